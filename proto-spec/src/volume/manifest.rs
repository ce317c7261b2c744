//! Manifests: the pieces of a file in order (spec 05-volume §5).

use serde::{Deserialize, Serialize};

use super::entry::FILE_DEPTH_MAX;
use super::flags::EntryFlags;
use super::header::{BlockKind, BlockRef, LINKS_MAX};
use super::keys::WriteKeys;
use super::links::{IndexedLink, LinkCollector, LinkResolver, LinkUsage};
use super::seal;
use crate::block::{Block, PAYLOAD_BYTES_MAX};
use crate::codec::{self, CanonicalCodec, FormatError, bound};
use crate::ids::VolumeId;

/// The pieces of a file, or of a part of one. All but the last are full, so any byte's place is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// 1 = of chunks, 2 = of manifests of chunks, ...
    pub level: u8,
    /// Bytes of a full chunk.
    pub chunk_bytes: u32,
    /// Pieces of a full manifest.
    pub fan_out: u32,
    /// Bytes of content below.
    pub size: u64,
    /// The pieces in order. None: a hole, all of whose bytes are zeros.
    pub children: Vec<Option<BlockRef>>,
}

/// `[flags, level, chunk_bytes, fan_out, size, children]`; a hole is nil.
#[derive(Serialize, Deserialize)]
struct ManifestPayload {
    flags: EntryFlags,
    level: u8,
    chunk_bytes: u32,
    fan_out: u32,
    size: u64,
    children: Vec<Option<IndexedLink>>,
}

impl Manifest {
    /// Bytes below a full child; none if no such file can exist.
    pub fn child_bytes(&self) -> Option<u64> {
        child_bytes(self.level, self.chunk_bytes, self.fan_out)
    }

    /// Seals a manifest; `copies` is the redundancy of what it links to.
    ///
    /// # Panics
    /// If its numbers do not fit its children.
    pub fn seal(&self, keys: &WriteKeys, copies: u8) -> (Block, BlockRef) {
        let mut linker = LinkCollector::new(copies);
        let usage = LinkUsage::file(self.level - 1);
        let children = self.children.iter().map(|child| child.map(|child| linker.add(child, usage))).collect();
        let &Self { level, chunk_bytes, fan_out, size, .. } = self;
        let wire = ManifestPayload { flags: EntryFlags::NONE, level, chunk_bytes, fan_out, size, children };
        assert_eq!(wire.check(), Ok(()), "a manifest is valid before it is sealed");
        seal::seal(keys, BlockKind::Manifest, linker.finish(), &wire)
    }

    /// Opens a manifest.
    pub fn open(volume: VolumeId, at: BlockRef, block: &Block) -> Result<Self, FormatError> {
        let (links, payload) = seal::open(volume, BlockKind::Manifest, at, block)?;
        let ManifestPayload { level, chunk_bytes, fan_out, size, children, .. } = codec::decode(&payload)?;
        let mut resolver = LinkResolver::new(&links);
        let usage = LinkUsage::file(level - 1);
        let mut resolve = |child: Option<IndexedLink>| child.map(|child| resolver.resolve(child, usage)).transpose();
        let children = children.into_iter().map(&mut resolve).collect::<Result<_, _>>()?;
        resolver.finish()?;
        Ok(Self { level, chunk_bytes, fan_out, size, children })
    }
}

impl CanonicalCodec for ManifestPayload {
    fn check(&self) -> Result<(), FormatError> {
        self.flags.readable("a manifest")?;
        bound((1..=FILE_DEPTH_MAX).contains(&self.level), "the level of a manifest")?;
        bound((1..=PAYLOAD_BYTES_MAX).contains(&(self.chunk_bytes as usize)), "the chunk size of a manifest")?;
        bound((2..=LINKS_MAX).contains(&(self.fan_out as usize)), "the fan-out of a manifest")?;
        bound(self.size >= 1 && self.children.len() <= self.fan_out as usize, "the size of a manifest")?;
        let child = child_bytes(self.level, self.chunk_bytes, self.fan_out);
        let needed = child.map(|child| self.size.div_ceil(child));
        bound(needed == Some(self.children.len() as u64), "the pieces of a manifest")
    }
}

fn child_bytes(level: u8, chunk_bytes: u32, fan_out: u32) -> Option<u64> {
    let children = u64::from(fan_out).checked_pow(u32::from(level) - 1)?;
    children.checked_mul(u64::from(chunk_bytes)).filter(|bytes| *bytes <= i64::MAX as u64)
}
