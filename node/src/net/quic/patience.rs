//! How long the first answer of an address is waited for.
//!
//! QUIC asks an address that does not answer again and again, with packets of 1,200 bytes: six in a handshake's time. Where nobody
//! answered lately, one has to do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Less than QUIC waits for its first answer (RFC 9002, 6.2.2: three times 333 ms), so nothing is asked twice; and more than any
/// line of a home takes.
const SHORT: Duration = Duration::from_millis(950);
/// Dials without any answer, one after the other, from which on they are short.
const SILENT_DIALS: u32 = 2;
/// Addresses that are remembered; about the others nothing is known.
const ADDRESSES_MAX: usize = 1_024;

/// Addresses at which nobody answered, and how often.
#[derive(Debug, Default)]
pub(super) struct DialPatience(Mutex<BTreeMap<SocketAddr, u32>>);

impl DialPatience {
    /// How long the first answer is waited for; none: as long as the handshake may take.
    pub fn first_answer_max(&self, to: SocketAddr) -> Option<Duration> {
        self.lock().get(&to).is_some_and(|silent| *silent >= SILENT_DIALS).then_some(SHORT)
    }

    /// How a dial ended.
    pub fn note(&self, to: SocketAddr, is_answered: bool) {
        let mut silent = self.lock();
        if is_answered {
            silent.remove(&to);
        } else if silent.len() < ADDRESSES_MAX || silent.contains_key(&to) {
            let dials = silent.entry(to).or_default();
            *dials = dials.saturating_add(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_answers_one_packet_has_to_do_until_somebody_does() {
        let patience = DialPatience::default();
        let at = |port| SocketAddr::from(([192, 0, 2, 1], port));
        for _ in 0..SILENT_DIALS {
            assert_eq!(patience.first_answer_max(at(1)), None);
            patience.note(at(1), false);
        }
        assert_eq!((patience.first_answer_max(at(1)), patience.first_answer_max(at(2))), (Some(SHORT), None));
        patience.note(at(1), true);
        assert_eq!(patience.first_answer_max(at(1)), None);
        for port in 1..=u16::MAX {
            patience.note(at(port), false);
        }
        assert!(patience.lock().len() <= ADDRESSES_MAX);
    }
}
