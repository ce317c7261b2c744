//! Directory blocks: a leaf holds entries, an interior node holds smaller nodes (spec 05-volume §4).

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::entry::{DirectoryEntry, EntryName, check_name};
use super::flags::EntryFlags;
use super::header::{BlockKind, BlockRef, LINKS_MAX, LinkClass};
use super::keys::WriteKeys;
use super::links::{IndexedLink, LinkCollector, LinkResolver, LinkUsage};
use super::seal;
use super::version_vector::FolderVectors;
use crate::block::{Block, PAYLOAD_BYTES_MAX};
use crate::codec::{self, CanonicalCodec, FormatError, ascending, bound};
use crate::ids::VolumeId;
use crate::label;

/// Measured sizes of the items of one node at most, see [`weight`].
pub const NODE_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - 64;
/// References in one node at most.
pub const NODE_REFS_MAX: usize = LINKS_MAX;
/// Levels of nodes at most. Two children a node at least, so even this is out of reach.
pub const LEVEL_MAX: u8 = 60;

/// One node of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryNode {
    /// Entries in name order. Never empty.
    Leaf(Vec<DirectoryEntry>),
    /// Nodes of the next lower level in name order. Never empty.
    Interior {
        /// 1 = above leaves.
        level: u8,
        /// The nodes.
        children: Vec<DirectoryChild>,
    },
}

/// A node as its parent tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryChild<R = BlockRef> {
    /// The last name in it.
    pub last: EntryName,
    /// The node.
    pub node: R,
    /// Names in it.
    pub count: u64,
    /// The dots of everything in it and below.
    pub within: FolderVectors,
}

/// `[flags, level, entries, children]`, of which one is empty.
#[derive(Serialize, Deserialize)]
struct NodePayload {
    flags: EntryFlags,
    level: u8,
    entries: Vec<DirectoryEntry<IndexedLink>>,
    children: Vec<DirectoryChild<IndexedLink>>,
}

impl DirectoryNode {
    /// 0 = a leaf.
    pub fn level(&self) -> u8 {
        match self {
            Self::Leaf(_) => 0,
            Self::Interior { level, .. } => *level,
        }
    }

    /// Seals a node; `copies` is the redundancy of what it links to. A node that no reader would take is refused: what was
    /// sealed once can never be mended.
    pub fn seal(self, keys: &WriteKeys, copies: u8) -> Result<(Block, BlockRef), FormatError> {
        let mut linker = LinkCollector::new(copies);
        let mut link = |at, usage| Ok(linker.add(at, usage));
        let level = self.level();
        let (entries, children) = match self {
            Self::Leaf(entries) => (all(entries, |entry| entry.map(&mut link)), Ok(Vec::new())),
            Self::Interior { children, .. } => (Ok(Vec::new()), all(children, |child| child.map(&mut link))),
        };
        let infallible = "collecting links does not fail";
        let wire = NodePayload {
            flags: EntryFlags::NONE,
            level,
            entries: entries.expect(infallible),
            children: children.expect(infallible),
        };
        wire.check()?;
        Ok(seal::seal(keys, BlockKind::Directory, linker.finish(), &wire))
    }

    /// Opens a node.
    pub fn open(volume: VolumeId, at: BlockRef, block: &Block) -> Result<Self, FormatError> {
        let (links, payload) = seal::open(volume, BlockKind::Directory, at, block)?;
        let wire: NodePayload = codec::decode(&payload)?;
        let mut resolver = LinkResolver::new(&links);
        let mut resolve = |from, usage| resolver.resolve(from, usage);
        let entries = all(wire.entries, |entry| entry.map(&mut resolve))?;
        let children = all(wire.children, |child| child.map(&mut resolve))?;
        resolver.finish()?;
        entries.iter().try_for_each(DirectoryEntry::check_order)?;
        Ok(if wire.level == 0 { Self::Leaf(entries) } else { Self::Interior { level: wire.level, children } })
    }
}

fn all<T, S>(items: Vec<T>, map: impl FnMut(T) -> Result<S, FormatError>) -> Result<Vec<S>, FormatError> {
    items.into_iter().map(map).collect()
}

impl<R> DirectoryChild<R> {
    fn map<S>(
        self,
        to: &mut impl FnMut(R, LinkUsage) -> Result<S, FormatError>,
    ) -> Result<DirectoryChild<S>, FormatError> {
        let Self { last, node, count, within } = self;
        Ok(DirectoryChild { last, node: to(node, LinkUsage::of(LinkClass::Tree))?, count, within })
    }
}

impl CanonicalCodec for NodePayload {
    fn check(&self) -> Result<(), FormatError> {
        self.flags.readable("a directory")?;
        bound(self.level <= LEVEL_MAX, "the level of a directory's node")?;
        let (some, none) = if self.level == 0 {
            (self.entries.len(), self.children.len())
        } else {
            (self.children.len(), self.entries.len())
        };
        bound(some > 0 && none == 0, "the items of a directory's node")?;
        self.entries.iter().try_for_each(DirectoryEntry::check)?;
        ascending(&self.entries, |entry| entry.name.clone())?;
        for child in &self.children {
            check_name(&child.last)?;
            child.within.check()?;
            bound(child.count >= 1 && !child.within.is_empty(), "a child of a directory's node")?;
        }
        ascending(&self.children, |child| child.last.clone())
    }
}

/// The measure by which nodes are cut: bytes of an item encoded with each reference as `[id, key]`, so that it does not
/// depend on the item's neighbours.
pub fn weight<T: Serialize>(item: &T) -> usize {
    codec::encode(item).len()
}

/// What nodes of a directory weigh: they are closed behind a boundary from half of the target on, so that about half of
/// it is certain and the other half is chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeTarget {
    /// Of leaves.
    pub leaf_bytes: usize,
    /// Of the nodes above them. An item there is a tenth of a file's, and all of a node is written for one of them.
    pub interior_bytes: usize,
}

impl NodeTarget {
    /// What every pool uses; `study nodes` of the simulations measures others.
    pub const DEFAULT: Self = Self { leaf_bytes: 8 << 10, interior_bytes: 4 << 10 };

    /// Weights of a node of this level before it may be closed, and the mean of those that follow.
    fn half(self, level: u8) -> usize {
        (if level == 0 { self.leaf_bytes } else { self.interior_bytes }) / 2
    }

    /// Whether a node of `level` whose items weigh `filled`, is closed behind its last one, which has this name and weight.
    /// spec 05-volume §4: "is a boundary iff `h * half < weight * 2^64`".
    ///
    /// Nothing but the node's own items counts, so where nodes end does not depend on the order in which names came. The
    /// chance grows with the weight, so nodes weigh about the same whatever the entries are like; without the certain
    /// half, a change would meet a node of twice the mean.
    pub fn ends_node(self, level: u8, name: &[u8], weight: usize, filled: usize) -> bool {
        let half = self.half(level);
        filled >= half && is_boundary(level, name, weight, half)
    }
}

fn is_boundary(level: u8, name: &[u8], weight: usize, half: usize) -> bool {
    let hash = sha2::Sha256::new()
        .chain_update(label::digest::DIRECTORY_SPLIT)
        .chain_update([0, level])
        .chain_update(name)
        .finalize();
    let head = u64::from_be_bytes(*hash.first_chunk().expect("SHA-256 has 32 bytes"));
    u128::from(head) * (half as u128) < (weight as u128) << 64
}
