//! What two nodes say before they trust each other (spec 04-wire, "Gate").
//!
//! Frames are sealed under the pool's gate secret, so that a stranger sees bytes that look random. Whoever knows the
//! secret (a member, but also somebody with an expired ticket or a revoked certificate) still has to show a chain; a
//! node shows its own [`GateProof`] only to a peer that it knows as a member, or after the peer's proof was accepted.
//! Deterministic: the nonce is handed in.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use crate::codec::{self, CanonicalCodec, FormatError, ascending, bound};
use crate::identity::{CHAIN_CERTS_MAX, GateRefusal};
use crate::ids::{Digest, Key, NodeId, hex};
use crate::label::key as label;
use crate::signed::Envelope;
use crate::{tagged_enum, u8_enum};

/// Bytes of a frame behind its length at most.
pub const FRAME_BYTES_MAX: usize = 8192;
/// Plaintext is padded to a multiple of this: its length tells neither how long a chain is nor how the verdict went.
pub const PAD_BYTES: usize = 1024;
/// Admissions in a proof at most: one for each ticket of a chain in which members and tickets alternate.
pub const ADMISSIONS_MAX: usize = CHAIN_CERTS_MAX / 2;
/// Protocol versions this program speaks.
pub const VERSIONS: [u16; 1] = [1];

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// First frame of either side: `[versions, proof?]`. Its shape never changes; whatever a later version has to say
/// comes after the verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateHello {
    /// Versions of the protocol behind the gate, ascending, at most 16. The greatest common one is spoken.
    pub versions: Vec<u16>,
    /// Present if the sender knows the receiver as a member of the pool.
    pub proof: Option<GateProof>,
}

/// Why the sender belongs to the pool: `[certs, admissions, gossip digest]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateProof {
    /// The chain: the first is signed by the root key, the last is the sender's own.
    pub certs: Vec<Envelope>,
    /// Admissions of the tickets in the chain, as far as the sender has them.
    pub admissions: Vec<Envelope>,
    /// The sender's digest over all facts.
    pub gossip: Digest,
}

tagged_enum! {
    /// Second and last frame of either side.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum GateVerdict {
        /// Come in.
        0 => Accepted(GateWelcome),
        /// The peer may not come in, and why.
        1 => Refused(GateRefusal),
        /// Its hello cannot be judged.
        2 => Unsuited(ProtocolMismatch),
    }
}

/// What a node that lets its peer in has to say: `[admission?, proof?]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateWelcome {
    /// The sender's admission of the receiver, if it came with a ticket that nobody had redeemed.
    pub admission: Option<Envelope>,
    /// The sender's proof, if its hello held it back.
    pub proof: Option<GateProof>,
}

u8_enum! {
    /// What is wrong with a hello.
    pub enum ProtocolMismatch {
        /// No version in common.
        1 => NoCommonVersion,
        /// It opened but is not in the form of this specification.
        2 => Malformed,
        /// Neither side knows the other as a member, so neither shows its proof.
        3 => Unknown,
        /// It broke the protocol a short time ago, or connects again and again.
        4 => Paused,
    }
}

impl fmt::Display for ProtocolMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCommonVersion => {
                "the two nodes run versions of fsdfs that do not understand each other; update both"
            }
            Self::Malformed => "what this node sent was not understood; update fsdfs on both nodes",
            Self::Unknown => "neither node knows the other as a member yet; connect through a member that knows both",
            Self::Paused => {
                "this node connected too often, or what it sent a short time ago was not valid; it is let in again by itself \
                 within some minutes"
            }
        })
    }
}

impl CanonicalCodec for GateHello {
    fn check(&self) -> Result<(), FormatError> {
        bound((1..=16).contains(&self.versions.len()), "the versions of a hello")?;
        ascending(&self.versions, |version| *version)?;
        self.proof.as_ref().map_or(Ok(()), GateProof::check)
    }
}

impl GateProof {
    fn check(&self) -> Result<(), FormatError> {
        bound((1..=CHAIN_CERTS_MAX).contains(&self.certs.len()), "the certificates of a proof")?;
        bound(self.admissions.len() <= ADMISSIONS_MAX, "the admissions of a proof")
    }
}

impl CanonicalCodec for GateVerdict {
    fn check(&self) -> Result<(), FormatError> {
        match self {
            Self::Accepted(GateWelcome { proof: Some(proof), .. }) => proof.check(),
            _ => Ok(()),
        }
    }
}

/// What crosses the gate: each kind has keys of its own, so that a hello cannot be played back as a verdict.
pub trait GateFrame: CanonicalCodec {
    /// Info of the key, and associated data.
    const LABEL: &'static str;
    /// For error messages.
    const WHAT: &'static str;
}

impl GateFrame for GateHello {
    const LABEL: &'static str = label::GATE;
    const WHAT: &'static str = "a gate hello";
}

impl GateFrame for GateVerdict {
    const LABEL: &'static str = label::GATE_VERDICT;
    const WHAT: &'static str = "a gate verdict";
}

/// Who speaks to whom, under which pool's secret.
#[derive(Clone, Copy, Debug)]
pub struct GateDirection<'a> {
    /// The pool's gate secret.
    pub secret: &'a Key,
    /// Whose frame it is.
    pub sender: NodeId,
    /// For whom it is.
    pub receiver: NodeId,
}

impl GateDirection<'_> {
    /// `be16(len) nonce ct`. `nonce` must be random: the key is the same for all connections of two nodes.
    pub fn seal<T: GateFrame>(&self, nonce: [u8; NONCE_BYTES], value: &T) -> Result<Vec<u8>, FormatError> {
        value.check()?;
        let mut text = pad(&codec::encode(value))?;
        self.key(T::LABEL)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(T::LABEL), &mut text)
            .expect("a frame is far below the limits of AES-GCM");
        let len = u16::try_from(NONCE_BYTES + text.len()).expect("FRAME_BYTES_MAX fits in 16 bits");
        Ok([&len.to_be_bytes()[..], &nonce, &text].concat())
    }

    /// Opens what stood behind the length. [`FormatError::DoesNotOpen`]: the sender does not know the secret, and gets no
    /// answer; any other error: it knows the secret and is at fault.
    pub fn open<T: GateFrame>(&self, frame: &[u8]) -> Result<T, FormatError> {
        let shut = || FormatError::DoesNotOpen { what: T::WHAT };
        let (nonce, text) = frame.split_first_chunk::<NONCE_BYTES>().ok_or_else(shut)?;
        let mut text = text.to_vec();
        let padded = self
            .key(T::LABEL)
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(T::LABEL), &mut text)
            .map_err(|_| shut())?;
        codec::decode(unpad(padded)?)
    }

    fn key(&self, label: &str) -> LessSafeKey {
        let info = [label.as_bytes(), &[0], &self.sender.0, &self.receiver.0].concat();
        let key = UnboundKey::new(&AES_256_GCM, &derive(self.secret, &info)).expect("a key of 32 bytes");
        LessSafeKey::new(key)
    }
}

/// The length in front of a frame, checked before memory is reserved.
pub fn frame_len(head: [u8; 2]) -> Result<usize, FormatError> {
    let len = usize::from(u16::from_be_bytes(head));
    let text = len.checked_sub(NONCE_BYTES + TAG_BYTES);
    bound(
        len <= FRAME_BYTES_MAX && text.is_some_and(|text| text > 0 && text % PAD_BYTES == 0),
        "the length of a frame",
    )?;
    Ok(len)
}

/// The greatest version that both speak.
pub fn common_version(theirs: &[u16]) -> Option<u16> {
    VERSIONS.into_iter().rev().find(|version| theirs.contains(version))
}

/// The name of the pool's Kademlia protocol. Two pools never share a routing table, even if a node is in both.
pub fn kademlia_protocol(secret: &Key) -> String {
    format!("/fsdfs/2/{}", hex(&derive(secret, label::KADEMLIA.as_bytes())[..16]))
}

/// `be16(len) value 00*` up to a multiple of [`PAD_BYTES`].
fn pad(value: &[u8]) -> Result<Vec<u8>, FormatError> {
    let padded = (2 + value.len()).next_multiple_of(PAD_BYTES);
    bound(NONCE_BYTES + padded + TAG_BYTES <= FRAME_BYTES_MAX, "the length of a frame")?;
    let len = u16::try_from(value.len()).expect("FRAME_BYTES_MAX fits in 16 bits");
    let mut text = Vec::with_capacity(padded + TAG_BYTES);
    text.extend_from_slice(&len.to_be_bytes());
    text.extend_from_slice(value);
    text.resize(padded, 0);
    Ok(text)
}

fn unpad(text: &[u8]) -> Result<&[u8], FormatError> {
    let short = || FormatError::Malformed("a frame ends early".into());
    let (len, rest) = text.split_first_chunk::<2>().ok_or_else(short)?;
    let (value, padding) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len))).ok_or_else(short)?;
    let canonical =
        text.len() == (2 + value.len()).next_multiple_of(PAD_BYTES) && padding.iter().all(|byte| *byte == 0);
    if canonical { Ok(value) } else { Err(FormatError::NotCanonical) }
}

fn derive(secret: &Key, info: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    hkdf::Hkdf::<sha2::Sha256>::new(None, &secret.0)
        .expand(info, &mut key)
        .expect("32 bytes are below the limit of HKDF-SHA256");
    key
}
