//! Floor 3, one block and its N copies: put, get, serving others, and whatever completes copies later.

mod accept;
mod audit;
mod background;
mod budget;
mod cache;
mod get;
mod hints;
mod holdings;
mod inventory;
#[cfg(test)]
mod kit;
mod put;
mod relay;
mod repair;
mod replication;
mod serve;

pub(super) use audit::Audits;
pub(super) use background::{Answer, BackgroundMachines};
pub(super) use get::Gets;
pub(super) use holdings::Holdings;
pub(super) use inventory::Inventories;
pub(super) use put::{PutItem, Puts};
pub(super) use relay::Relays;
pub(super) use repair::Repair;
pub(super) use replication::ReplicationLog;
pub(super) use serve::BlockServer;

/// All background machines, a line for each.
pub(super) fn background_machines() -> BackgroundMachines {
    BackgroundMachines::new(vec![
        Box::<hints::Hints>::default(), // hinted handoff
    ])
}
