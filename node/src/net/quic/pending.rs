//! Bounds the handshakes that a listener has under way (spec 04-wire, "a handshake that is begun takes memory for seconds").
//!
//! A bound of its own for those who have shown their address: forged ones cannot take their places.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Inbound connections that may be in TLS before a peer has to show that it gets what is sent to its address (RFC 9000, 8.1.2).
/// Addresses can be forged; each handshake that is begun takes memory for seconds.
pub(super) const PENDING_MAX: usize = 256;
/// The same of peers that did.
pub(super) const PENDING_VALIDATED_MAX: usize = 4 * PENDING_MAX;

/// What a first packet is answered with.
#[derive(Debug)]
pub(super) enum HandshakeStep {
    /// It is counted as long as this lives.
    Begin(PendingHandshake),
    /// A packet and no state: whoever gets it comes again with the token in it.
    Retry,
    Refuse,
}

/// Counts the handshakes of one listener.
#[derive(Debug, Default)]
pub(super) struct PendingHandshakes(Arc<AtomicUsize>);

/// An inbound connection that is neither established nor given up.
#[derive(Debug)]
pub(super) struct PendingHandshake(Arc<AtomicUsize>);

impl PendingHandshakes {
    pub(super) fn step(&self, address_shown: bool) -> HandshakeStep {
        let most = if address_shown { PENDING_VALIDATED_MAX } else { PENDING_MAX };
        let pending = self.0.load(Ordering::Relaxed);
        if pending < most {
            self.0.fetch_add(1, Ordering::Relaxed);
            return HandshakeStep::Begin(PendingHandshake(Arc::clone(&self.0)));
        }
        if pending < PENDING_VALIDATED_MAX { HandshakeStep::Retry } else { HandshakeStep::Refuse }
    }
}

impl Drop for PendingHandshake {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{HandshakeStep, PENDING_MAX, PENDING_VALIDATED_MAX, PendingHandshakes};

    fn begin(pending: &PendingHandshakes, count: usize, address_shown: bool) -> Vec<HandshakeStep> {
        let steps: Vec<_> = (0..count).map(|_| pending.step(address_shown)).collect();
        assert!(steps.iter().all(|step| matches!(step, HandshakeStep::Begin(_))));
        steps
    }

    #[test]
    fn behind_many_an_address_has_to_be_shown() {
        let pending = PendingHandshakes::default();
        let unknown = begin(&pending, PENDING_MAX, false);
        assert!(matches!(pending.step(false), HandshakeStep::Retry));
        let shown = begin(&pending, PENDING_VALIDATED_MAX - PENDING_MAX, true);
        for address_shown in [false, true] {
            assert!(matches!(pending.step(address_shown), HandshakeStep::Refuse));
        }
        drop(unknown);
        assert!(matches!(pending.step(false), HandshakeStep::Retry), "{} are under way", shown.len());
        drop(shown);
        begin(&pending, PENDING_MAX, false);
    }
}
