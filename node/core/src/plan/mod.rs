//! What a pool can hold, what it can lose, and what a change of it would move, before anything happens.
//!
//! Room follows from the map alone and is exact. Bytes to move are counted by placing the pool's blocks, as an inventory lists
//! them, with the map as it is and as it would be: exact if every block was listed, otherwise a sample with its error. Only
//! a newcomer's share is always an expectation, because its id is not known yet.

mod advice;
mod blocks;
mod change;
mod pool;
mod risk;
mod safety;
mod sole_copies;
mod what_if;

#[cfg(test)]
mod tests;

pub use advice::PlanAdvice;
pub use blocks::{BlockSample, SampledBlock};
pub use change::{PlanError, PlannedChange};
pub use pool::{PoolCapacity, PoolSnapshot, UPLINK_ASSUMED};
pub use risk::{LossReport, RiskReport, risk_report};
pub use safety::SafetySum;
pub use what_if::{MemberChange, WhatIf, what_if};
