//! Looks at the line some times a second: what may be used of it now, how full it is, and what repair may therefore send.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::event::NetEvent;
use super::governor::{Governor, LineReport, RepairBudget};
use super::session::SessionHub;
use super::shaper::SLICE_BYTES_MIN;
use super::socket::SocketHandle;
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
    /// Relays for others, as long as bytes cost nothing.
    relay: Option<SocketHandle>,
    governor: Governor,
    started: Instant,
    before: NetTraffic,
    /// What repair was told last that it may send.
    told: Option<u64>,
    /// What was told last of whether this node relays.
    told_relays: Option<bool>,
}

impl LineKeeper {
    pub fn new(hub: Arc<SessionHub>, settings: Arc<LiveBandwidth>, relay: Option<SocketHandle>) -> Self {
        let (before, governor, told, told_relays) = Default::default();
        Self { hub, settings, relay, governor, started: Instant::now(), before, told, told_relays }
    }

    /// Until nobody listens any more.
    pub async fn run(mut self) {
        loop {
            let traffic = TrafficMeter::new(Arc::clone(&self.hub.counters)).read();
            let is_busy = traffic.block_bytes() > self.before.block_bytes();
            let budget = self.look(&traffic);
            self.before = traffic;
            for event in self.news(budget.bytes_per_s) {
                if self.hub.events.send(event).await.is_err() {
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
        if let Some(relay) = &self.relay {
            relay.set_relays(!in_force.metered.value);
        }
        let (ceiling, line) = (in_force.repair_ceiling(uplink), in_force.line(uplink));
        let report = LineReport {
            ceiling,
            line,
            user_bytes: traffic.user_bytes - self.before.user_bytes,
            links: self.hub.links(),
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

    fn news(&mut self, budget: u64) -> Vec<NetEvent> {
        let mut news = Vec::new();
        if self.is_news(budget) {
            self.told = Some(budget);
            news.push(NetEvent::RepairBudget(budget));
        }
        let relays = self.relay.as_ref().is_some_and(SocketHandle::relays);
        if self.told_relays.replace(relays) != Some(relays) {
            news.push(NetEvent::Relays(relays));
        }
        news
    }

    /// A start, an end, or a change by an eighth: less would be many messages that say little.
    fn is_news(&self, budget: u64) -> bool {
        self.told.is_none_or(|told| (told == 0) != (budget == 0) || told.abs_diff(budget) > told / 8)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::config::BandwidthChange;
    use crate::net::session::InboundBudget;
    use crate::net::tests::pool::TestPool;

    #[tokio::test]
    async fn nothing_is_relayed_while_bytes_cost_money_and_the_card_says_so() {
        let keeper = TestPool::new(&[1]).keeper(1);
        let (socket, _events) = SocketHandle::new(*keeper.secret(), keeper.node());
        let hub =
            Arc::new(SessionHub::new(mpsc::channel(1).0, InboundBudget::new(4 << 20), keeper, mpsc::channel(1).0));
        let settings = Arc::new(LiveBandwidth::default());
        let mut line = LineKeeper::new(hub, Arc::clone(&settings), Some(socket.clone()));
        for (metered, relays) in [(false, true), (true, false), (false, true)] {
            settings.change(&BandwidthChange { metered: Some(metered), ..BandwidthChange::default() });
            line.look(&NetTraffic::default());
            assert_eq!(socket.relays(), relays);
            let told = |news: Vec<NetEvent>| {
                news.into_iter()
                    .find_map(|event| if let NetEvent::Relays(relays) = event { Some(relays) } else { None })
            };
            assert_eq!((told(line.news(7)), told(line.news(7))), (Some(relays), None), "once");
        }
    }
}
