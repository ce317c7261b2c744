//! What the driver keeps to notice that this machine slept or moved, or that nothing comes from a peer.

use std::collections::BTreeMap;
use std::time::Duration;

use fsdfs_proto::ids::NodeId;
use libp2p::swarm::ConnectionId;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use crate::net::moving::{Moving, TICK};
use crate::net::way_out::WayOut;

/// Of a member's names that are looked up when nothing comes from it; a card has no more.
const NAMES_MAX: usize = 8;

/// See the module.
pub(super) struct MovingWatch {
    pub machine: Moving,
    started: Instant,
    ticks: Interval,
    pub way_out: WayOut,
    /// Dials of connected peers.
    pub dials: BTreeMap<ConnectionId, NodeId>,
    /// What members' cards say, names included.
    pub named: BTreeMap<NodeId, Vec<String>>,
}

/// What it woke up for.
#[derive(Clone, Copy)]
pub(super) enum MovingWakeup {
    Tick,
    Timeout,
}

impl MovingWatch {
    pub(super) fn start() -> Self {
        let started = Instant::now();
        let mut ticks = interval_at(started + TICK, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (dials, named) = Default::default();
        Self { machine: Moving::default(), started, ticks, way_out: WayOut::now(), dials, named }
    }

    /// When there is something to do. A call that is dropped may be repeated.
    pub(super) async fn wait(&mut self) -> MovingWakeup {
        let deadline = self.machine.deadline().map(|at| self.started + at);
        let due = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.ticks.tick() => MovingWakeup::Tick,
            () = due => MovingWakeup::Timeout,
        }
    }

    /// What the member's card says; whether that is news.
    pub(super) fn note_card(&mut self, node: NodeId, mut addrs: Vec<String>) -> bool {
        addrs.truncate(NAMES_MAX);
        self.named.insert(node, addrs.clone()).is_none_or(|before| before != addrs)
    }

    /// On a clock that stands still while the machine sleeps.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }
}
