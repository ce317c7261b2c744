//! Where no one answered a dial. QUIC ends each attempt with a packet of 1,200 bytes that says so, and there is no one to read it:
//! it does not leave.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Addresses at most; about others the packet leaves.
const HUSHED_MAX: usize = 1_024;

/// See the module. Only first packets of handshakes are held back: a connection that was there before goes on to try, for its
/// packets may open the way again.
#[derive(Default)]
pub(super) struct Hush {
    /// Whether there are any, for those who look at each packet.
    any: AtomicBool,
    addresses: Mutex<BTreeSet<SocketAddr>>,
}

impl Hush {
    /// No one answered there.
    pub fn add(&self, to: SocketAddr) {
        let mut addresses = self.lock();
        if addresses.len() < HUSHED_MAX {
            addresses.insert(to);
            self.any.store(true, Ordering::Release);
        }
    }

    /// A dial begins, or a packet came from there.
    pub fn lift(&self, of: SocketAddr) {
        if self.any.load(Ordering::Acquire) {
            let mut addresses = self.lock();
            addresses.remove(&of);
            self.any.store(!addresses.is_empty(), Ordering::Release);
        }
    }

    /// Whether this packet has no reader.
    pub fn holds_back(&self, to: SocketAddr, packet: &[u8]) -> bool {
        self.any.load(Ordering::Acquire) && is_initial(packet) && self.lock().contains(&to)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<SocketAddr>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of the first kind that a handshake has (RFC 9000, 17.2.2).
fn is_initial(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first & 0xf0 == 0xc0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL: [u8; 2] = [0xc3, 0];
    const SHORT: [u8; 2] = [0x43, 0];

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn first_packets_to_a_silent_address_are_held_back_until_something_is_known_of_it() {
        let hush = Hush::default();
        assert!(!hush.holds_back(at(1), &INITIAL));
        hush.add(at(1));
        assert!(hush.holds_back(at(1), &INITIAL));
        assert!(!hush.holds_back(at(1), &SHORT), "of a connection that is there");
        assert!(!hush.holds_back(at(1), &[]) && !hush.holds_back(at(2), &INITIAL));
        hush.lift(at(2));
        assert!(hush.holds_back(at(1), &INITIAL));
        hush.lift(at(1));
        assert!(!hush.holds_back(at(1), &INITIAL));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let hush = Hush::default();
        (0..2 * HUSHED_MAX as u16).for_each(|port| hush.add(at(port)));
        assert_eq!(hush.lock().len(), HUSHED_MAX);
        assert!(!hush.holds_back(at(HUSHED_MAX as u16), &INITIAL));
    }
}
