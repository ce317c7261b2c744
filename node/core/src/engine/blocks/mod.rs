//! Floor 3, one block and its N copies: put, get, serving others, and whatever completes copies later.

mod accept;
mod audit;
mod budget;
mod cache;
mod eviction;
mod get;
mod holdings;
mod inventory;
#[cfg(test)]
pub(super) mod kit;
mod put;
mod relay;
mod renewal;
mod repair;
mod replication;
mod serve;

pub(super) use audit::Audits;
pub(super) use eviction::{Eviction, EvictionParts};
pub(super) use get::Gets;
pub(super) use holdings::{Holdings, PairTables, holds_nothing};
pub(super) use inventory::Inventories;
pub(super) use put::{PutItem, Puts};
pub(super) use relay::Relays;
pub(super) use renewal::Renewals;
pub(super) use repair::{Repair, RepairParts};
pub(super) use replication::ReplicationLog;
pub(super) use serve::BlockServer;
