//! The blocks of a file, whatever its size says: each manifest is read once. One block may stand for a piece at as many places
//! as a writer likes, so that a file of an exbibyte is five blocks.

use std::collections::BTreeSet;

use fsdfs_proto::block::Block;
use fsdfs_proto::codec::bound;
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::volume::Manifest;

use super::{BlockRef, FileContent, TreeError};

/// Goes through the blocks of a file, manifests before what they list.
#[derive(Clone, Debug)]
pub struct FileBlocks {
    volume: VolumeId,
    /// What was not visited yet, the next one last, with its level and size.
    queue: Vec<(BlockRef, u8, u64)>,
    /// Manifests that were.
    seen: BTreeSet<BlockRef>,
}

/// What a [`FileBlocks`] comes to next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextBlock {
    /// A piece of the file.
    Chunk(BlockId),
    /// Fetch this block and [`FileBlocks::give`] it.
    Manifest(BlockRef),
    /// There are no others.
    End,
}

impl FileBlocks {
    /// Of a file of `size` bytes. What lies in its entry has no block.
    pub fn new(volume: VolumeId, content: &FileContent, size: u64) -> Self {
        let root = match content {
            FileContent::Tree { root, depth } => Some((*root, *depth, size)),
            FileContent::Inline(_) | FileContent::Symlink(_) => None,
        };
        Self { volume, queue: root.into_iter().collect(), seen: BTreeSet::new() }
    }

    /// The next block; a manifest until it is given.
    pub fn next_block(&mut self) -> NextBlock {
        // Thousands of equal pieces may follow each other.
        while self.queue.last().is_some_and(|(at, level, _)| *level > 0 && self.seen.contains(at)) {
            self.queue.pop();
        }
        match self.queue.last() {
            None => NextBlock::End,
            Some((at, level, _)) if *level > 0 => NextBlock::Manifest(*at),
            Some((chunk, ..)) => {
                let id = chunk.id;
                self.queue.pop();
                NextBlock::Chunk(id)
            }
        }
    }

    /// Takes in the manifest that was asked for last.
    pub fn give(&mut self, block: &Block) -> Result<(), TreeError> {
        let Some((at, level, size)) = self.queue.pop() else { return Ok(()) };
        let manifest = Manifest::open(self.volume, at, block)?;
        bound(manifest.level == level && manifest.size == size, "the level or size of a manifest")?;
        self.seen.insert(at);
        let each = manifest.child_bytes().unwrap_or(u64::MAX);
        let mut listed = BTreeSet::new();
        let mut children = Vec::new();
        // A hole has no blocks.
        let there = manifest.children.iter().enumerate().filter_map(|(number, child)| Some((number, (*child)?)));
        for (number, child) in there {
            let bytes = each.min(size.saturating_sub((number as u64).saturating_mul(each)));
            // The last piece may be the same block and shorter: then its manifest says so, and is refused for it.
            if listed.insert((child, bytes)) {
                children.push((child, level - 1, bytes));
            }
        }
        self.queue.extend(children.into_iter().rev());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::Key;
    use fsdfs_proto::volume::VolumeKeys;

    use super::*;

    fn keys() -> VolumeKeys {
        VolumeKeys::from_write_secret(VolumeId([9; 32]), 1, Key([3; 32]))
    }

    /// Blocks visited, manifests among them.
    fn visited(content: &FileContent, size: u64, blocks: &[Block]) -> (usize, usize) {
        let (mut walk, mut chunks, mut manifests) = (FileBlocks::new(keys().volume, content, size), 0, 0);
        loop {
            match walk.next_block() {
                NextBlock::End => return (chunks, manifests),
                NextBlock::Chunk(_) => chunks += 1,
                NextBlock::Manifest(at) => {
                    manifests += 1;
                    let block = blocks.iter().find(|block| block.id() == at.id).expect("one of those made");
                    walk.give(block).expect("an honest manifest");
                }
            }
        }
    }

    #[test]
    fn a_file_of_an_exbibyte_in_five_blocks_has_five() {
        let keys = keys();
        let writer = keys.writer().expect("made from the write secret");
        let (mut root, mut size) = (BlockRef { id: BlockId([1; 32]), key: Key([1; 32]) }, 1u64 << 20);
        let mut blocks = Vec::new();
        for level in 1..=4 {
            size <<= 10;
            let children = vec![Some(root); 1024];
            let manifest = Manifest { level, chunk_bytes: 1 << 20, fan_out: 1024, size, children };
            let (block, at) = manifest.seal(writer, 3);
            blocks.push(block);
            root = at;
        }
        assert_eq!(size, 1 << 60);
        assert_eq!(visited(&FileContent::Tree { root, depth: 4 }, size, &blocks), (1, 4));
    }

    #[test]
    fn other_pieces_are_all_visited() {
        let keys = keys();
        let writer = keys.writer().expect("made from the write secret");
        let piece = |number: u8| BlockRef { id: BlockId([number; 32]), key: Key([number; 32]) };
        let children = vec![Some(piece(1)), Some(piece(2)), Some(piece(1)), None, Some(piece(3))];
        let manifest = Manifest { level: 1, chunk_bytes: 10, fan_out: 5, size: 50, children };
        let (block, root) = manifest.seal(writer, 3);
        assert_eq!(visited(&FileContent::Tree { root, depth: 1 }, 50, &[block]), (3, 1), "a hole has none");
        assert_eq!(visited(&FileContent::Tree { root: piece(1), depth: 0 }, 7, &[]), (1, 0));
        assert_eq!(visited(&FileContent::Inline(bytes::Bytes::new()), 0, &[]), (0, 0));
    }
}
