//! Small files that are written whole: the superblock of a disk, the home folder's list of its disks.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::be32;
use crate::codec::{self, CanonicalCodec, FormatError, ascending, bound};
use crate::ids::{DiskId, DiskNonce, NodeId, PoolId};

/// A small file at most; a reader reserves no more.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Disks in the list at most: the 64 that a card may list, and many that were there once.
const DISKS_MAX: usize = 1024;

const SUPERBLOCK_MAGIC: &[u8; 8] = b"FSDFSSUP";
const DISKS_MAGIC: &[u8; 8] = b"FSDFSDSK";
const VERSION: u8 = 1;

/// What a disk says of itself: `[pool, nonce, owner, begun]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Superblock {
    /// The pool its blocks belong to.
    pub pool: PoolId,
    /// Random, drawn once. A disk in the place of a lost one has that one's, so that it is assigned what that one was.
    pub nonce: DiskNonce,
    /// The node that stores on it.
    pub owner: NodeId,
    /// When it was begun, in wall milliseconds: tells a disk from the one whose place it took.
    pub begun: u64,
}

impl CanonicalCodec for Superblock {}

/// The disks a home folder has known, by which a disk that is not mounted is told from a new, empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskList(
    /// Ascending by disk.
    pub Vec<KnownDisk>,
);

/// One of them: `[disk, nonce, path]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDisk {
    /// From its superblock.
    pub disk: DiskId,
    /// From there, too: the disk follows from it and the owner.
    pub nonce: DiskNonce,
    /// Where it was: the bytes of an absolute path.
    pub path: Bytes,
}

impl CanonicalCodec for DiskList {
    fn check(&self) -> Result<(), FormatError> {
        bound(self.0.len() <= DISKS_MAX, "the list of disks")?;
        ascending(&self.0, |known| known.disk)
    }
}

impl Superblock {
    /// Which disk this is.
    pub fn disk(&self) -> DiskId {
        DiskId::of(self.owner, self.nonce)
    }

    /// The whole file.
    pub fn encode(&self) -> Vec<u8> {
        encode(SUPERBLOCK_MAGIC, self)
    }

    /// Reads the whole file.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        decode("a superblock", SUPERBLOCK_MAGIC, bytes)
    }
}

impl DiskList {
    /// The whole file.
    pub fn encode(&self) -> Vec<u8> {
        encode(DISKS_MAGIC, self)
    }

    /// Reads the whole file.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        decode("the list of disks", DISKS_MAGIC, bytes)
    }
}

/// `magic8 version body crc32(all before)`.
fn encode(magic: &[u8; 8], body: &impl Serialize) -> Vec<u8> {
    let mut bytes = [&magic[..], &[VERSION], &codec::encode(body)].concat();
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

fn decode<T: CanonicalCodec>(what: &'static str, magic: &[u8; 8], bytes: &[u8]) -> Result<T, FormatError> {
    bound((13..=FILE_BYTES_MAX).contains(&bytes.len()), what)?;
    let (sealed, crc) = bytes.split_at(bytes.len() - 4);
    if &sealed[..8] != magic || crc32fast::hash(sealed) != be32(crc, 0) {
        return Err(FormatError::Malformed(format!("not {what}, or its checksum does not fit")));
    }
    if sealed[8] != VERSION {
        return Err(FormatError::TooNew { what, version: sealed[8].into() });
    }
    codec::decode(&sealed[9..])
}
