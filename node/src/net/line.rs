//! Looks at the line some times a second: what may be used of it now, how full it is, and what repair may therefore send.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::event::NetEvent;
use super::governor::{Governor, LineReport, RepairBudget};
use super::session::SessionHub;
use super::shaper::SLICE_BYTES_MIN;
use crate::config::LiveBandwidth;
use crate::metrics::{LineGauge, NetTraffic, TrafficMeter};

/// While blocks move: a queue of two seconds is noticed when an eighth of it is there.
const BUSY_PERIOD: Duration = Duration::from_millis(250);
/// Otherwise: hours begin, and somebody begins to move blocks.
const IDLE_PERIOD: Duration = Duration::from_secs(1);
/// A block that was begun is moved to its end, though repair may send nothing more: the peer holds memory for it, and would take
/// a pause for an end. It gets this much of the line.
const DRAIN_DIVISOR: u64 = 32;
/// And so much of one that nobody knows, in bytes per second.
const DRAIN_BYTES_PER_S_MAX: u64 = 32 << 10;

/// See the module.
pub(super) struct LineKeeper {
    hub: Arc<SessionHub>,
    settings: Arc<LiveBandwidth>,
    governor: Governor,
    started: Instant,
    before: NetTraffic,
    /// What repair was told last that it may send.
    told: Option<u64>,
}

impl LineKeeper {
    pub fn new(hub: Arc<SessionHub>, settings: Arc<LiveBandwidth>) -> Self {
        let before = NetTraffic::default();
        Self { hub, settings, governor: Governor::default(), started: Instant::now(), before, told: None }
    }

    /// Until nobody listens any more.
    pub async fn run(mut self) {
        loop {
            let traffic = TrafficMeter::new(Arc::clone(&self.hub.counters)).read();
            let is_busy = traffic.block_bytes() > self.before.block_bytes();
            let budget = self.look(&traffic);
            self.before = traffic;
            if self.is_news(budget.bytes_per_s) {
                self.told = Some(budget.bytes_per_s);
                if self.hub.events.send(NetEvent::RepairBudget(budget.bytes_per_s)).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = sleep(if is_busy { BUSY_PERIOD } else { IDLE_PERIOD }) => {}
                () = self.settings.changed() => {}
            }
        }
    }

    fn look(&mut self, traffic: &NetTraffic) -> RepairBudget {
        let (in_force, uplink) = (self.settings.in_force(), self.settings.uplink());
        let (ceiling, line) = (in_force.repair_ceiling(uplink), in_force.line(uplink));
        let is_held = self.told.is_some_and(|told| told < ceiling);
        let report = LineReport {
            ceiling,
            line,
            user_bytes: traffic.user_bytes - self.before.user_bytes,
            links: self.hub.links(is_held),
        };
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let budget = self.governor.handle(now, &report);
        let drain = line.map_or(DRAIN_BYTES_PER_S_MAX, |line| line / DRAIN_DIVISOR);
        let drain = drain.clamp(SLICE_BYTES_MIN, DRAIN_BYTES_PER_S_MAX);
        self.hub.upload.limit(in_force.upload.value, Some(budget.bytes_per_s.max(drain)));
        // What others send to complete copies here they pace themselves.
        self.hub.download.limit(in_force.download.value, None);
        self.hub.counters.set_line(LineGauge { repair_bytes_per_s: budget.bytes_per_s, queueing_ms: budget.delay_ms });
        budget
    }

    /// A start, an end, or a change by an eighth: less would be many messages that say little.
    fn is_news(&self, budget: u64) -> bool {
        self.told.is_none_or(|told| (told == 0) != (budget == 0) || told.abs_diff(budget) > told / 8)
    }
}
