//! Packets on a node's UDP port that are not QUIC's (spec 04-wire, "Meeting").
//!
//! Whoever does not know the gate secret cannot make one that a node believes, and sees none answered.

use aws_lc_rs::{constant_time, hmac};

use crate::ids::{Key, NodeId, ProbeNonce};
use crate::label::key as label;

/// Bytes of a probe.
pub const PROBE_BYTES: usize = 36;
/// Of the first byte; QUIC sets at least one of them in each packet (RFC 9000 §17), as long as nobody allows it otherwise
/// (RFC 9287).
const QUIC_BITS: u8 = 0xC0;
const PROBE_HEAD: [u8; 4] = [4, 0, 0, 0];
const NONCE_BYTES: usize = 16;
const MAC_BYTES: usize = 16;

/// Whether a packet that begins so is none of QUIC's.
pub fn is_foreign(first: u8) -> bool {
    first & QUIC_BITS == 0
}

/// From one node to another: each direction of each pair has its own checksums.
#[derive(Clone, Copy, Debug)]
pub struct PacketDirection<'a> {
    /// The pool's gate secret.
    pub secret: &'a Key,
    /// Whose packet it is.
    pub sender: NodeId,
    /// For whom it is.
    pub receiver: NodeId,
}

impl PacketDirection<'_> {
    /// `04 00 0000 nonce16 mac16`.
    pub fn probe(&self, nonce: ProbeNonce) -> [u8; PROBE_BYTES] {
        let mut packet = [0; PROBE_BYTES];
        let (said, mac) = packet.split_at_mut(PROBE_BYTES - MAC_BYTES);
        let (head, body) = said.split_at_mut(PROBE_HEAD.len());
        head.copy_from_slice(&PROBE_HEAD);
        body.copy_from_slice(&nonce.0);
        mac.copy_from_slice(&self.mac(said));
        packet
    }

    /// Whether the sender made this probe, and for this receiver.
    pub fn made_probe(&self, packet: &[u8; PROBE_BYTES]) -> bool {
        let (said, mac) = packet.split_at(PROBE_BYTES - MAC_BYTES);
        constant_time::verify_slices_are_equal(&self.mac(said), mac).is_ok()
    }

    /// First 16 bytes of HMAC-SHA256(key, what is said, sender, receiver).
    fn mac(&self, said: &[u8]) -> [u8; MAC_BYTES] {
        let mut key = [0; 32];
        hkdf::Hkdf::<sha2::Sha256>::new(None, &self.secret.0)
            .expand(label::KNOCK.as_bytes(), &mut key)
            .expect("32 bytes are below the limit of HKDF-SHA256");
        let mut sum = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
        sum.update(said);
        sum.update(&self.sender.0);
        sum.update(&self.receiver.0);
        *sum.sign().as_ref().first_chunk().expect("HMAC-SHA256 has 32 bytes")
    }
}

/// The nonce of what has the form of a probe. To be looked up before anything is computed: a stranger's packet should cost no
/// more than that.
pub fn probe_nonce(packet: &[u8; PROBE_BYTES]) -> Option<ProbeNonce> {
    let nonce = packet.strip_prefix(&PROBE_HEAD)?.first_chunk::<NONCE_BYTES>()?;
    Some(ProbeNonce(*nonce))
}
