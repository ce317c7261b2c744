//! The running node: one task owns the engine; waiting happens in one place, deciding in another (see [`node_loop`]).

mod addresses;
mod effect_runner;
mod error;
mod lifecycle;
mod newcomer;
mod node_loop;
mod start;
mod task_completion;
#[cfg(test)]
mod tests;

pub use error::{DaemonError, DaemonReady};
pub use lifecycle::run;
pub use start::store_config;
