//! Which addresses are dialled now, and how long the first answer of one is waited for. Every dial passes here: several parts of
//! a node look for members, Kademlia by itself, and none knows of the others.
//!
//! The first flight of QUIC is two packets of 1,200 bytes, for it bears a key share of ML-KEM; to an address that does not answer it
//! leaves three times in a handshake's time. Promise: an address is dialled once at a time; where no one answered lately, one
//! flight has to do, and the next one leaves later and later; all of it is forgotten when a packet comes from there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::net::socket::is_virtual;

/// Less than QUIC waits for its first answer (RFC 9002, 6.2.2: three times 333 ms), so nothing is asked twice; and more than any
/// line of a home takes.
const SHORT: Duration = Duration::from_millis(950);
/// Dials without any answer, one after the other, from which on they are short.
const SILENT_DIALS: u32 = 2;
/// The same of a node that has no connection at all: its own line is to be suspected first.
const SILENT_DIALS_ALONE: u32 = 1;
/// Addresses that are remembered; about the others nothing is known.
const ADDRESSES_MAX: usize = 1_024;

/// Between two dials to an address at which no one answered; doubles with each.
const PAUSE: Duration = Duration::from_secs(1);
/// And no longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// A node that has no connection at all repeats one dial in this time, whatever address it is to: a flight and the end of the attempt,
/// which QUIC says with a third packet, would be 3.7 KB ([`SocketHandle::end_silent_dial`] holds that one back).
const PAUSE_ALONE: Duration = Duration::from_secs(25);

/// See the module.
#[derive(Debug, Default)]
pub(in crate::net) struct DialPatience(Mutex<DialLog>);

#[derive(Debug, Default)]
struct DialLog {
    addresses: BTreeMap<SocketAddr, AddressDials>,
    /// Nothing comes over any connection of this node: its own line is to be suspected before it has none.
    line_is_silent: bool,
    /// When the last dial was over that was not answered, or when one of these was repeated.
    silent_at: Option<Instant>,
    last: u64,
}

#[derive(Debug, Default)]
struct AddressDials {
    /// Without any answer, one after the other.
    silent: u32,
    /// When the last of them was over.
    silent_at: Option<Instant>,
    /// Its number, and what tells that it is over.
    under_way: Option<(u64, watch::Receiver<()>)>,
}

/// What becomes of a dial.
#[derive(Debug)]
pub(super) enum DialStep {
    /// It is the only one to that address until this is dropped.
    Dial(DialTurn),
    /// Another one to that address is under way; over when the channel is closed.
    Wait(watch::Receiver<()>),
    /// No one answered there a moment ago.
    Refuse,
}

/// The one dial to an address.
#[derive(Debug)]
pub(super) struct DialTurn {
    patience: Arc<DialPatience>,
    pub to: SocketAddr,
    number: u64,
    /// How long the first answer is waited for; none: as long as the handshake may take.
    pub first_answer_max: Option<Duration>,
    _ends: watch::Sender<()>,
}

impl DialPatience {
    /// Whether an address is dialled now. `is_alone`: this node has no connection.
    pub(super) fn step(self: &Arc<Self>, now: Instant, to: SocketAddr, is_alone: bool) -> DialStep {
        let log = &mut *self.lock();
        let is_alone = is_alone || log.line_is_silent;
        log.last += 1;
        if log.is_too_soon(now, to, is_alone) {
            return DialStep::Refuse;
        }
        // A virtual address is another one in each session.
        let (number, is_kept) = (log.last, log.addresses.len() < ADDRESSES_MAX && !is_virtual(to.ip()));
        let (ends, over) = watch::channel(());
        let mut first_answer_max = None;
        if let Some(dials) = log.addresses.get_mut(&to) {
            if let Some((_, over)) = &dials.under_way {
                return DialStep::Wait(over.clone());
            }
            let silent_dials = if is_alone { SILENT_DIALS_ALONE } else { SILENT_DIALS };
            first_answer_max = (dials.silent >= silent_dials).then_some(SHORT);
            dials.under_way = Some((number, over));
            // Counts from its beginning: another one could begin beside it.
            log.silent_at = log.silent_at.max((dials.silent > 0).then_some(now));
        } else if is_kept {
            first_answer_max = log.line_is_silent.then_some(SHORT);
            log.addresses.insert(to, AddressDials { under_way: Some((number, over)), ..AddressDials::default() });
        }
        DialStep::Dial(DialTurn { patience: Arc::clone(self), to, number, first_answer_max, _ends: ends })
    }

    /// Whether a dial there would be refused.
    pub(in crate::net) fn is_too_soon(&self, now: Instant, to: SocketAddr, is_alone: bool) -> bool {
        let log = self.lock();
        log.is_too_soon(now, to, is_alone || log.line_is_silent)
    }

    /// Whether nothing comes over any connection, as long as there are some.
    pub(in crate::net) fn note_line(&self, is_silent: bool) {
        self.lock().line_is_silent = is_silent;
    }

    /// A packet came from there, or its owner says so: the next dial is as the first one, also beside one that is under way.
    pub(in crate::net) fn forget(&self, to: SocketAddr) {
        self.lock().addresses.remove(&to);
    }

    /// This machine is somewhere else.
    pub(in crate::net) fn forget_all(&self) {
        let mut log = self.lock();
        log.addresses.clear();
        (log.silent_at, log.line_is_silent) = (None, false);
    }

    fn lock(&self) -> MutexGuard<'_, DialLog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DialLog {
    fn is_too_soon(&self, now: Instant, to: SocketAddr, is_alone: bool) -> bool {
        let Some(dials) = self.addresses.get(&to).filter(|dials| dials.silent > 0) else { return false };
        let is_within = |at: Option<Instant>, pause| at.is_some_and(|at| now.saturating_duration_since(at) < pause);
        let pause = (PAUSE * (1 << (dials.silent - 1).min(8))).min(PAUSE_MAX);
        dials.under_way.is_none()
            && (is_within(dials.silent_at, pause) || (is_alone && is_within(self.silent_at, PAUSE_ALONE)))
    }
}

impl DialTurn {
    /// Whether an answer came, or none in time.
    pub(super) fn note(&self, now: Instant, is_answered: bool) {
        let log = &mut *self.patience.lock();
        let Some(dials) = log.addresses.get_mut(&self.to).filter(|dials| dials.is(self.number)) else { return };
        if is_answered {
            (dials.silent, dials.silent_at) = (0, None);
        } else {
            (dials.silent, dials.silent_at) = (dials.silent.saturating_add(1), Some(now));
            log.silent_at = Some(now);
        }
    }
}

impl Drop for DialTurn {
    fn drop(&mut self) {
        let mut log = self.patience.lock();
        let Some(dials) = log.addresses.get_mut(&self.to).filter(|dials| dials.is(self.number)) else { return };
        dials.under_way = None;
        if dials.silent == 0 {
            log.addresses.remove(&self.to);
        }
    }
}

impl AddressDials {
    fn is(&self, number: u64) -> bool {
        self.under_way.as_ref().is_some_and(|(under_way, _)| *under_way == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    /// How long a dial that is not answered waits; none if it is not made.
    fn silent_dial(patience: &Arc<DialPatience>, now: Instant, is_alone: bool) -> Option<Option<Duration>> {
        let DialStep::Dial(turn) = patience.step(now, at(1), is_alone) else { return None };
        turn.note(now, false);
        Some(turn.first_answer_max)
    }

    /// Seconds at which an address that never answers is dialled, of those who ask ten times a second.
    fn dials(is_alone: bool, seconds: u32) -> Vec<u32> {
        let (patience, start) = (Arc::<DialPatience>::default(), Instant::now());
        let asks = (0..seconds * 10).map(|tenth| (tenth, start + Duration::from_millis(100) * tenth));
        asks.filter(|(_, now)| silent_dial(&patience, *now, is_alone).is_some()).map(|(tenth, _)| tenth / 10).collect()
    }

    #[test]
    fn where_no_one_answers_it_is_tried_later_and_later() {
        assert_eq!(dials(false, 60), [0, 1, 3, 7, 15, 30, 45]);
        assert_eq!(dials(true, 90), [0, 25, 50, 75]);
    }

    #[test]
    fn who_has_no_connection_tries_each_address_once_and_then_one_of_all() {
        let (patience, start) = (Arc::<DialPatience>::default(), Instant::now());
        let dialled = |after: u64| {
            let now = start + Duration::from_secs(after);
            let flies = |port: &u16| match patience.step(now, at(*port), true) {
                DialStep::Dial(turn) => {
                    turn.note(now, false);
                    true
                }
                DialStep::Wait(_) | DialStep::Refuse => false,
            };
            (1..=20).filter(flies).count()
        };
        assert_eq!(dialled(0), 20);
        assert_eq!(dialled(24), 0);
        assert!(!patience.is_too_soon(start, at(21), true), "nothing is known of this one");
        let DialStep::Dial(turn) = patience.step(start + PAUSE_ALONE, at(7), true) else { panic!("it is time") };
        assert_eq!(dialled(25), 0, "that is one");
        turn.note(start + PAUSE_ALONE, false);
        assert_eq!(dialled(26), 0);
        assert!(!patience.is_too_soon(start + PAUSE_ALONE, at(8), false), "with a connection the others are tried");
    }

    #[test]
    fn while_nothing_comes_over_any_connection_each_address_gets_one_flight() {
        let (patience, now) = (Arc::<DialPatience>::default(), Instant::now());
        patience.note_line(true);
        assert_eq!(silent_dial(&patience, now, false), Some(Some(SHORT)), "nothing is known of it");
        assert!(patience.is_too_soon(now + PAUSE_MAX, at(1), false), "as if there were no connection");
        patience.note_line(false);
        assert!(!patience.is_too_soon(now + PAUSE_MAX, at(1), false));
        patience.note_line(true);
        patience.forget_all();
        assert_eq!(silent_dial(&patience, now, false), Some(None), "another network is another line");
    }

    #[test]
    fn where_no_one_answers_one_flight_has_to_do_until_a_packet_comes() {
        let (patience, start) = (Arc::<DialPatience>::default(), Instant::now());
        let later = |minutes: u64| start + Duration::from_secs(60 * minutes);
        assert_eq!(silent_dial(&patience, start, false), Some(None));
        assert_eq!(silent_dial(&patience, later(1), false), Some(None));
        assert_eq!(silent_dial(&patience, later(2), false), Some(Some(SHORT)));
        assert_eq!(silent_dial(&patience, later(2), false), None);
        assert!(patience.is_too_soon(later(2), at(1), false));
        patience.forget(at(1));
        assert_eq!(silent_dial(&patience, later(2), false), Some(None));
        assert_eq!(silent_dial(&patience, later(3), true), Some(Some(SHORT)), "its own line may be at fault");
        patience.forget_all();
        assert_eq!(silent_dial(&patience, later(3), true), Some(None));
        if let DialStep::Dial(turn) = patience.step(later(4), at(1), false) {
            turn.note(later(4), true);
        }
        assert!(patience.lock().addresses.is_empty(), "it has answered");
    }

    #[test]
    fn an_address_is_dialled_once_at_a_time() {
        let (patience, now) = (Arc::<DialPatience>::default(), Instant::now());
        let DialStep::Dial(turn) = patience.step(now, at(1), false) else { panic!("the first one") };
        assert!(matches!(patience.step(now, at(2), false), DialStep::Dial(_)), "that is another address");
        let DialStep::Wait(over) = patience.step(now, at(1), false) else { panic!("the second one") };
        assert!(over.has_changed().is_ok());
        patience.forget(at(1));
        let DialStep::Dial(fresh) = patience.step(now, at(1), false) else { panic!("a packet came") };
        turn.note(now, false);
        drop(turn);
        assert!(over.has_changed().is_err(), "that one is over");
        assert!(matches!(patience.step(now, at(1), false), DialStep::Wait(_)), "this one is not");
        drop(fresh);
        assert!(matches!(patience.step(now, at(1), false), DialStep::Dial(_)), "given up before it was answered");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (patience, now) = (Arc::<DialPatience>::default(), Instant::now());
        for port in 1..=u16::MAX {
            let DialStep::Dial(turn) = patience.step(now, at(port), false) else { panic!("each is another") };
            turn.note(now, false);
        }
        assert!(patience.lock().addresses.len() <= ADDRESSES_MAX);
    }
}
