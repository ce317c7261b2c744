//! The public part of a block: what every holder can read without keys (spec 02-block §2 and §3).

use serde::{Deserialize, Serialize};

use super::flags::EntryFlags;
use super::limits::PARENTS_MAX;
use super::version_vector::VersionVector;
use crate::block::{OVERHEAD_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::codec::{self, CanonicalCodec, FormatError, ascending, bound};
use crate::ids::{BlockId, Key, VolumeId, Writer};
use crate::message::Redundancy;
use crate::time::Hlc;
use crate::u8_enum;

/// Links of one block at most. The longest link, a stripe member, takes 77 bytes.
pub const LINKS_MAX: usize = 1536;
/// Bytes of the authentication tag at the end of a block.
pub(super) const TAG_BYTES: usize = 16;
/// Bytes of an encoded header at most.
const HEADER_BYTES_MAX: usize = OVERHEAD_BYTES_MAX - 4 - TAG_BYTES;

const _: () = assert!(LINKS_MAX * 80 + 256 <= HEADER_BYTES_MAX, "a header with all its links must fit");

u8_enum! {
    /// What a block holds.
    pub enum BlockKind {
        /// A piece of a file, nothing else; no links.
        1 => Data,
        /// The pieces of a file in order.
        2 => Manifest,
        /// A folder or a part of one.
        3 => Directory,
        /// A state of a volume.
        4 => Commit,
    }
}

u8_enum! {
    /// How a link is to be followed.
    pub enum LinkClass {
        /// Part of the same tree; has links of its own.
        0 => Tree,
        /// An earlier state: kept or not as the rules on history say.
        1 => Parent,
        /// Data that is a member of a stripe. Interior blocks are never sharded.
        2 => Stripe,
        /// Part of the same tree, data without links: whoever walks over links need not read it.
        3 => Leaf,
    }
}

/// A block this one needs, visible to holders without keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockLink {
    /// Which block.
    pub id: BlockId,
    /// How to follow it.
    pub class: LinkClass,
    /// The redundancy wanted for it.
    pub redundancy: Redundancy,
}

/// The public part of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHeader {
    /// 1.
    pub version: u8,
    /// What the block holds.
    pub kind: BlockKind,
    /// Of which volume.
    pub volume: VolumeId,
    /// Sealed with keys of which epoch.
    pub epoch: u32,
    /// What it needs, in the order of first use by the payload, no id twice.
    pub links: Vec<BlockLink>,
    /// With commits only.
    pub extra: Option<CommitExtra>,
}

/// A reference: a block and the key that opens it. Caches, comparisons and deduplication go by pairs, for AES-GCM does
/// not commit to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlockRef {
    /// Which block.
    pub id: BlockId,
    /// Its key.
    pub key: Key,
}

/// The public part of a commit: enough to order states and to count operations, without any key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitExtra {
    /// When; of a merge the greatest of its parents.
    pub time: Hlc,
    /// Who; none for a pure merge, which is no operation.
    pub writer: Option<Writer>,
    /// Which operation of the writer; 0 for a pure merge.
    pub seq: u64,
    /// Every operation the state includes, this one too.
    pub version_vector: VersionVector,
    /// Features to be understood.
    pub flags: EntryFlags,
    /// From which the key is made.
    pub salt: Key,
}

/// Reads the public part of a block; no key is needed.
pub fn header(block: &[u8]) -> Result<BlockHeader, FormatError> {
    codec::decode(split(block)?.0.get(4..).unwrap_or_default())
}

/// Bytes from the beginning of a block that say its kind.
pub const KIND_BYTES: usize = 7;

/// What a block holds, by its first [`KIND_BYTES`] bytes, for those who do not want to read all of it. None: it is no block of this
/// version.
pub fn kind_of(begin: &[u8]) -> Option<BlockKind> {
    // Behind the length of the header: an array of six, the version, the kind.
    let [_, _, _, _, 0x96, 1, kind, ..] = begin else { return None };
    [BlockKind::Data, BlockKind::Manifest, BlockKind::Directory, BlockKind::Commit]
        .into_iter()
        .find(|known| *known as u8 == *kind)
}

/// A block's AAD and its sealed payload with tag.
pub(super) fn split(block: &[u8]) -> Result<(&[u8], &[u8]), FormatError> {
    let short = || FormatError::Malformed("a block ends early".into());
    let (len, rest) = block.split_first_chunk::<4>().ok_or_else(short)?;
    let len = u32::from_be_bytes(*len) as usize;
    bound(len <= HEADER_BYTES_MAX, "the length of a block's header")?;
    let sealed = rest.get(len..).filter(|sealed| sealed.len() >= TAG_BYTES).ok_or_else(short)?;
    bound(sealed.len() - TAG_BYTES <= PAYLOAD_BYTES_MAX, "the length of a block's payload")?;
    Ok((&block[..4 + len], sealed))
}

impl CanonicalCodec for BlockHeader {
    fn check(&self) -> Result<(), FormatError> {
        if self.version != 1 {
            return Err(FormatError::TooNew { what: "a block", version: self.version.into() });
        }
        bound(self.epoch >= 1, "the epoch of a block")?;
        bound(self.links.len() <= LINKS_MAX, "the links of a block")?;
        self.links.iter().try_for_each(|link| link.check(self.kind))?;
        distinct(&self.links)?;
        match (&self.extra, self.kind) {
            (Some(extra), BlockKind::Commit) => extra.check(&self.links),
            (None, BlockKind::Data | BlockKind::Manifest | BlockKind::Directory) => Ok(()),
            _ => bound(false, "the extra field of a block's header"),
        }
    }
}

impl BlockLink {
    fn check(&self, from: BlockKind) -> Result<(), FormatError> {
        use LinkClass::{Leaf, Parent, Stripe, Tree};
        let allowed = match from {
            BlockKind::Data => false,
            BlockKind::Manifest => matches!(self.class, Tree | Leaf | Stripe),
            BlockKind::Directory => matches!(self.class, Tree | Leaf),
            BlockKind::Commit => matches!(self.class, Tree | Parent),
        };
        bound(allowed, "the class of a link")?;
        match self.redundancy {
            Redundancy::Replicas(copies) => bound(copies >= 1 && self.class != Stripe, "the redundancy of a link"),
            Redundancy::Stripe(_) => {
                bound(self.class == Stripe, "the redundancy of a link")?;
                self.redundancy.check()
            }
        }
    }
}

fn distinct(links: &[BlockLink]) -> Result<(), FormatError> {
    let mut ids: Vec<BlockId> = links.iter().map(|link| link.id).collect();
    ids.sort_unstable();
    ascending(&ids, |id| *id)
}

impl CommitExtra {
    fn check(&self, links: &[BlockLink]) -> Result<(), FormatError> {
        self.version_vector.check()?;
        let parents: Vec<BlockId> =
            links.iter().filter(|link| link.class == LinkClass::Parent).map(|link| link.id).collect();
        match self.writer {
            Some(writer) => {
                bound(self.seq >= 1 && self.version_vector.get(writer) == self.seq, "the operation of a commit")?;
            }
            None => bound(self.seq == 0 && parents.len() >= 2, "the parents of a merge")?,
        }
        let trees = links.len() - parents.len();
        bound(parents.len() <= PARENTS_MAX, "the parents of a commit")?;
        bound(
            trees <= 1 && links.iter().take(trees).all(|link| link.class == LinkClass::Tree),
            "the root of a commit",
        )?;
        ascending(&parents, |id| *id)
    }
}
