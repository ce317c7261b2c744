//! The bandwidth settings of a node that runs: the network reads them, and gateways change them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Zoned;
use tokio::sync::Notify;

use super::bandwidth::{BandwidthChange, BandwidthChanges, BandwidthInForce, BandwidthPlan};

/// See the module. Changes are kept in memory only: a restart begins with the file again.
#[derive(Debug, Default)]
pub struct LiveBandwidth {
    plan: BandwidthPlan,
    /// Bytes per second that the line carries upwards, if the owner said.
    uplink: Option<u64>,
    changes: Mutex<BandwidthChanges>,
    changed: Notify,
}

impl LiveBandwidth {
    /// As the file says.
    pub fn new(plan: BandwidthPlan, uplink: Option<u64>) -> Self {
        Self { plan, uplink, changes: Mutex::default(), changed: Notify::new() }
    }

    /// What counts now. The hours are those of the clock on the wall; how long a change lasts is measured by the other one.
    pub fn in_force(&self) -> BandwidthInForce {
        self.lock().in_force(&self.plan, Instant::now(), Zoned::now().datetime())
    }

    /// Bytes per second that the line carries upwards, if the owner said.
    pub fn uplink(&self) -> Option<u64> {
        self.uplink
    }

    /// See [`BandwidthPlan::download_max`].
    pub fn download_max(&self) -> Option<u64> {
        self.plan.download_max()
    }

    /// From now on.
    pub fn change(&self, change: &BandwidthChange) {
        self.lock().add(Instant::now(), change);
        self.changed.notify_one();
    }

    /// The file counts again.
    pub fn reset(&self) {
        *self.lock() = BandwidthChanges::default();
        self.changed.notify_one();
    }

    /// Waits for a change.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BandwidthChanges> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
