//! Identifiers: fixed-length byte strings with a type each, so that one cannot be handed in for another.
//!
//! In MessagePack they are `bin` of exactly their length; in text and JSON they are lower-case hexadecimal.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::label;

/// A text that is not an identifier: wrong length or not hexadecimal. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is {expected} hexadecimal digits")]
pub struct BadId {
    /// How many digits the identifier has.
    pub expected: usize,
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The first four bytes in hexadecimal: enough for a person to tell two apart in a log.
            pub fn short(&self) -> String {
                hex(&self.0[..4])
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = BadId;
            fn try_from(bytes: &[u8]) -> Result<Self, BadId> {
                bytes.try_into().map(Self).map_err(|_| BadId { expected: 2 * $len })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                unhex(text).map(Self).ok_or(BadId { expected: 2 * $len })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                if to.is_human_readable() { to.collect_str(self) } else { to.serialize_bytes(&self.0) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct IdVisitor;
                impl Visitor<'_> for IdVisitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "{} bytes", $len)
                    }
                    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<$name, E> {
                        bytes.try_into().map($name).map_err(|_| E::invalid_length(bytes.len(), &self))
                    }
                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                if from.is_human_readable() { from.deserialize_str(IdVisitor) } else { from.deserialize_bytes(IdVisitor) }
            }
        }
    };
}

byte_id!(
    /// A raw Ed25519 public key: who signs. Never a libp2p type.
    PublicKey, 32);
byte_id!(
    /// A node: its Ed25519 public key.
    NodeId, 32);
byte_id!(
    /// A pool: the public half of its root key.
    PoolId, 32);
byte_id!(
    /// A volume: the public half of its owner's key. The shared volume `pool` has the pool's id.
    VolumeId, 32);
byte_id!(
    /// A block: `SHA-256("fsdfs/2/block" 00 || block)`, spec 02-block.
    BlockId, 32);
byte_id!(
    /// A signed statement: SHA-256 of the bytes its signature covers, spec 01-identity.
    FactId, 32);
byte_id!(
    /// A digest over facts or over the map.
    Digest, 32);
byte_id!(
    /// A disk of a node, see [`DiskId::of`].
    DiskId, 16);
byte_id!(
    /// What tells a node's disks apart: random, written into a disk's superblock once.
    DiskNonce, 16);
byte_id!(
    /// One incarnation of a writer, see [`Writer::of`]: a restored backup writes under another, so that it cannot reuse its
    /// sequence numbers.
    Writer, 16);
byte_id!(
    /// One home folder of a node: drawn when it is made, so that a copy that runs beside it is noticed.
    Instance, 8);
byte_id!(
    /// A symmetric key or secret. Its `Debug` shows four bytes only; it is never displayed in messages to users.
    Key, 32);
byte_id!(
    /// A keyed sum over block ids, modulo 2^128, big endian.
    IdSum, 16);
byte_id!(
    /// One side of a relayed session: on each of its packets.
    SessionToken, 8);
byte_id!(
    /// A meeting of two nodes that a relay introduced.
    MeetingId, 16);
byte_id!(
    /// What a probe carries back to the asker.
    ProbeNonce, 16);
byte_id!(
    /// A UDP address: 16 bytes IPv6, or IPv4 mapped into it, then the port, big endian.
    UdpAddress, 18);
byte_id!(
    /// A raw Ed25519 signature.
    Signature, 64);

impl From<SocketAddr> for UdpAddress {
    fn from(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut bytes = [0; 18];
        let (host, port) = bytes.split_at_mut(16);
        host.copy_from_slice(&ip.octets());
        port.copy_from_slice(&address.port().to_be_bytes());
        Self(bytes)
    }
}

impl From<UdpAddress> for SocketAddr {
    fn from(UdpAddress([ip @ .., high, low]): UdpAddress) -> Self {
        Self::new(Ipv6Addr::from(ip).to_canonical(), u16::from_be_bytes([high, low]))
    }
}

impl From<NodeId> for PublicKey {
    fn from(node: NodeId) -> Self {
        Self(node.0)
    }
}

impl From<PoolId> for PublicKey {
    fn from(pool: PoolId) -> Self {
        Self(pool.0)
    }
}

impl From<PublicKey> for NodeId {
    fn from(key: PublicKey) -> Self {
        Self(key.0)
    }
}

impl PoolId {
    /// The shared volume of the pool, spec 05-volume.
    pub fn volume(self) -> VolumeId {
        VolumeId(self.0)
    }
}

impl Digest {
    /// `SHA-256(tag 00 bytes)`.
    pub fn of(tag: &str, bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::new().chain_update(tag).chain_update([0]).chain_update(bytes).finalize().into())
    }
}

impl DiskId {
    /// The first bytes of `SHA-256("fsdfs/2/disk" 00 owner nonce)`: nobody can name a disk of another node.
    pub fn of(owner: NodeId, nonce: DiskNonce) -> Self {
        use sha2::Digest as _;
        let hash = sha2::Sha256::new().chain_update(label::DISK).chain_update([0]);
        let hash: [u8; 32] = hash.chain_update(owner.0).chain_update(nonce.0).finalize().into();
        Self(*hash.first_chunk().expect("32 bytes begin with 16"))
    }
}

impl Writer {
    /// Bytes that the writers of one node have in common.
    pub const NODE_LEN: usize = 10;

    /// The node's part, the first bytes of `SHA-256("fsdfs/2/writer" 00 node)`, and the number of its incarnation: of two
    /// incarnations of a node the later has the greater one. Nobody can make a writer of another node.
    pub fn of(node: NodeId, incarnation: u64) -> Self {
        use sha2::Digest as _;
        let hash = sha2::Sha256::new().chain_update(label::WRITER).chain_update([0]);
        let hash: [u8; 32] = hash.chain_update(node.0).finalize().into();
        let mut writer = [0; 16];
        writer[..Self::NODE_LEN].copy_from_slice(&hash[..Self::NODE_LEN]);
        writer[Self::NODE_LEN..].copy_from_slice(&incarnation.to_be_bytes()[2..]);
        Self(writer)
    }

    /// What it has in common with all writers of its node, and with no others.
    pub fn node_part(&self) -> &[u8; 10] {
        self.0.first_chunk().expect("16 bytes begin with 10")
    }

    /// Whether both are of one node.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.node_part() == other.node_part()
    }

    /// Whether it is one of this node's.
    pub fn is_of(&self, node: NodeId) -> bool {
        self.is_beside(&Self::of(node, 0))
    }

    /// Which one of its node, 48 bits.
    pub fn incarnation(&self) -> u64 {
        self.0[Self::NODE_LEN..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl BlockId {
    /// The id of these bytes.
    pub fn of(block: &[u8]) -> Self {
        let mut hash = BlockHasher::default();
        hash.update(block);
        hash.finish()
    }
}

/// Computes a block's id while its bytes arrive.
#[derive(Clone)]
pub struct BlockHasher(sha2::Sha256);

impl Default for BlockHasher {
    fn default() -> Self {
        use sha2::Digest as _;
        let mut hash = sha2::Sha256::new();
        hash.update(label::BLOCK);
        hash.update([0]);
        Self(hash)
    }
}

impl BlockHasher {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        use sha2::Digest as _;
        self.0.update(bytes);
    }

    /// The id of all bytes taken in.
    pub fn finish(self) -> BlockId {
        use sha2::Digest as _;
        BlockId(self.0.finalize().into())
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

/// Reads exactly `N` bytes of lower-case hexadecimal.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}
