//! What is to be done when this machine has slept or is somewhere else, and when a peer is: pure, in any clock's time.
//!
//! Promise: after a sleep, a change of addresses or of the way out, every link is tried anew at once, and nothing that was found
//! out about the network before holds anybody up. A link over which nothing comes is tried anew while it still stands: what is
//! in use stays in use until something better is there. One over a relay that loses much, or answers nothing, is one of these.

mod health;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use fsdfs_proto::ids::NodeId;

use super::session::streams::PathPackets;
use health::{RelayFault, RelayedHealth};

/// How often [`MovingInput::Tick`] is to come.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// Time that is missing between two ticks: the machine slept, or the program was stopped.
const GAP_MAX: Duration = Duration::from_secs(3);
/// Interfaces come and go with several addresses each.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// If addresses come and go without end, this long is waited for the last one.
const DEBOUNCE_MAX: Duration = Duration::from_secs(1);
/// Nothing came over a link for so long: two packets that keep it alive are missing. It is tried again after each further time.
const SILENCE: Duration = Duration::from_secs(5);
/// Links that are tried anew at one time.
const DIALS_MAX: usize = 8;
/// A dial of which nothing was heard for so long makes room for the next one.
const DIAL_MAX: Duration = Duration::from_secs(8);

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MovingInput {
    /// Once a second: how much time passed in all, sleep included, and the links in use.
    Tick { with_sleep: Duration, links: Vec<LinkPackets> },
    /// This machine has an address more.
    Appeared,
    /// This machine has an address less, or another way out.
    Changed,
    /// The peer sends to an address that this machine has no more.
    Stranded(NodeId),
    /// A dial that was asked for has led to a connection, or to none.
    DialEnded(NodeId),
    /// The time of [`Moving::deadline`] has come.
    Timeout,
}

/// A link in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkPackets {
    pub node: NodeId,
    /// Over a relay.
    pub is_relayed: bool,
    /// If the transport counts them.
    pub packets: Option<PathPackets>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MovingOutput {
    /// Whatever was found out about this machine's place in the network is void: mapped ports, seen addresses, and how long
    /// to wait before members that were not reached are tried again.
    Refresh,
    /// The peer is to be dialled wherever it may be, although it is connected.
    Dial(NodeId),
    /// Whether nothing comes over the link. False also says that no more too much is lost.
    Silence(NodeId, bool),
    /// The relay over which the link goes loses too much.
    Lossy(NodeId),
}

/// See the module. Times are those of one clock that does not go on while the machine sleeps.
#[derive(Debug, Default)]
pub(super) struct Moving {
    /// Of the last tick, in both clocks.
    last_tick: Option<(Duration, Duration)>,
    /// When the first and the last change came that nothing was done about yet.
    changed: Option<(Duration, Duration)>,
    links: BTreeMap<NodeId, LinkSilence>,
    /// To be dialled, the first one next.
    waiting: VecDeque<NodeId>,
    /// Being dialled, and until when that is waited for.
    dialling: BTreeMap<NodeId, Duration>,
    /// When a packet of any member was last known to have come.
    heard_at: Duration,
}

#[derive(Clone, Debug)]
struct LinkSilence {
    /// That came.
    packets: Option<u64>,
    /// Whether that was said, or that too much is lost.
    is_silent: bool,
    /// When it is to be dialled again, if nothing comes.
    dial_at: Duration,
    /// Of one over a relay.
    health: Option<RelayedHealth>,
    /// When it is said again that this is bad, if it still is.
    say_at: Duration,
}

impl Moving {
    pub fn handle(&mut self, now: Duration, input: MovingInput, out: &mut Vec<MovingOutput>) {
        match input {
            MovingInput::Tick { with_sleep, links } => {
                let is_awake_again = self.note_tick(now, with_sleep);
                self.note_links(now, links, out);
                if is_awake_again {
                    self.refresh(now, out);
                }
            }
            // Until the first tick the system names the addresses that this machine had all the time.
            MovingInput::Appeared if self.last_tick.is_none() => {}
            MovingInput::Appeared | MovingInput::Changed => {
                let first = self.changed.map_or(now, |(first, _)| first);
                self.changed = Some((first, now));
            }
            MovingInput::Stranded(node) => {
                if let Some(link) = self.links.get_mut(&node).filter(|link| !link.is_silent) {
                    link.is_silent = true;
                    out.push(MovingOutput::Silence(node, true));
                }
            }
            MovingInput::DialEnded(node) => {
                self.dialling.remove(&node);
            }
            MovingInput::Timeout => {}
        }
        if self.debounced().is_some_and(|at| at <= now) {
            self.refresh(now, out);
        }
        self.dial(now, out);
    }

    /// For how long no packet of any member has come, or since the start.
    pub fn silence(&self, now: Duration) -> Duration {
        now.saturating_sub(self.heard_at)
    }

    /// When something is to be done even if nothing happens.
    pub fn deadline(&self) -> Option<Duration> {
        let dials = if self.waiting.is_empty() { None } else { self.dialling.values().min().copied() };
        self.debounced().into_iter().chain(dials).min()
    }

    fn debounced(&self) -> Option<Duration> {
        self.changed.map(|(first, last)| (last + DEBOUNCE).min(first + DEBOUNCE_MAX))
    }

    /// Whether time is missing since the last one.
    fn note_tick(&mut self, now: Duration, with_sleep: Duration) -> bool {
        let Some((last, last_with_sleep)) = self.last_tick.replace((now, with_sleep)) else { return false };
        let (awake, in_all) = (now.saturating_sub(last), with_sleep.saturating_sub(last_with_sleep));
        awake.max(in_all) > TICK + GAP_MAX
    }

    fn note_links(&mut self, now: Duration, links: Vec<LinkPackets>, out: &mut Vec<MovingOutput>) {
        let current: BTreeSet<NodeId> = links.iter().map(|link| link.node).collect();
        self.links.retain(|node, _| current.contains(node));
        self.waiting.retain(|node| current.contains(node));
        for LinkPackets { node, is_relayed, packets } in links {
            let came = packets.map(|packets| packets.came);
            let known = self.links.get(&node);
            if came.is_none() || known.is_none_or(|link| link.packets != came) {
                self.heard_at = now;
            }
            let link = self.links.entry(node).or_insert_with(|| LinkSilence::new(now, came));
            let fault = link.relay_fault(now, is_relayed, packets);
            if came.is_none() || came != link.packets {
                (link.packets, link.dial_at) = (came, now + SILENCE);
                if link.is_silent && fault.is_none() {
                    link.is_silent = false;
                    out.push(MovingOutput::Silence(node, false));
                }
            } else if now >= link.dial_at {
                (link.is_silent, link.dial_at, link.say_at) = (true, now + SILENCE, now + SILENCE);
                out.push(MovingOutput::Silence(node, true));
                if !self.waiting.contains(&node) {
                    self.waiting.push_back(node);
                }
            }
            // Nothing is dialled for it: the relay that leads to the peer is at fault, and another one is asked.
            if let Some(fault) = fault.filter(|_| now >= link.say_at) {
                (link.is_silent, link.say_at) = (true, now + SILENCE);
                out.push(match fault {
                    RelayFault::Silent => MovingOutput::Silence(node, true),
                    RelayFault::Lossy => MovingOutput::Lossy(node),
                });
            }
        }
    }

    /// Every link is tried; none is taken for silent that had no chance to speak.
    fn refresh(&mut self, now: Duration, out: &mut Vec<MovingOutput>) {
        self.changed = None;
        self.dialling.clear();
        self.waiting = self.links.keys().copied().collect();
        self.links.values_mut().for_each(|link| link.dial_at = now + SILENCE);
        out.push(MovingOutput::Refresh);
    }

    fn dial(&mut self, now: Duration, out: &mut Vec<MovingOutput>) {
        self.dialling.retain(|_, until| *until > now);
        while self.dialling.len() < DIALS_MAX {
            let Some(node) = self.waiting.pop_front() else { return };
            if let std::collections::btree_map::Entry::Vacant(place) = self.dialling.entry(node) {
                place.insert(now + DIAL_MAX);
                out.push(MovingOutput::Dial(node));
            }
        }
    }
}

impl LinkSilence {
    fn new(now: Duration, packets: Option<u64>) -> Self {
        Self { packets, is_silent: false, dial_at: now + SILENCE, health: None, say_at: now }
    }

    /// What is wrong with the relay over which it goes.
    fn relay_fault(&mut self, now: Duration, is_relayed: bool, packets: Option<PathPackets>) -> Option<RelayFault> {
        let Some(packets) = packets.filter(|_| is_relayed) else {
            self.health = None;
            return None;
        };
        self.health.get_or_insert_with(|| RelayedHealth::new(now, packets)).fault(now, packets)
    }
}

#[cfg(test)]
mod tests;
