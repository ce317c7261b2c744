//! A volume in memory that counts what each commit of it would write.

use std::collections::BTreeMap;

use bytes::Bytes;
use fsdfs_core::tree::{BlockMap, EditJob, JobDone, JobTerms, TreeEdit, TreeJob, TreeParams, TreePath};
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, Key, NodeId, PoolId, VolumeId, Writer};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::VolumeKeys;

use crate::users::file::seal;

/// Copies of every block.
const COPIES: u8 = 3;
/// Bytes of a record before its block (spec 06-store).
const RECORD_HEAD_BYTES: u64 = 124;
/// Bytes of the message that brings a block, and of its answer (spec 04-wire).
const STORE_BYTES: u64 = 125 + 16;
const POOL: PoolId = PoolId([7; 32]);

/// What was written so far on each node.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteCost {
    /// With the heads of their records.
    pub appended: u64,
    /// To each other holder.
    pub sent: u64,
    pub blocks: u64,
    pub commits: u64,
}

impl WriteCost {
    fn add(&mut self, block: &Block) {
        let bytes = block.bytes().len() as u64;
        self.appended += bytes + RECORD_HEAD_BYTES;
        self.sent += bytes + STORE_BYTES;
        self.blocks += 1;
    }
}

impl std::ops::Sub for WriteCost {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            appended: self.appended - before.appended,
            sent: self.sent - before.sent,
            blocks: self.blocks - before.blocks,
            commits: self.commits - before.commits,
        }
    }
}

/// A volume with one writer. Blocks of files are counted and not kept: nothing reads them.
pub struct CountedVolume {
    params: TreeParams,
    keys: VolumeKeys,
    heads: Vec<Signed<Head>>,
    tree: BTreeMap<BlockId, Block>,
    seq: u64,
    pub cost: WriteCost,
}

impl CountedVolume {
    /// An empty one.
    pub fn new(params: TreeParams) -> Self {
        let keys = VolumeKeys::from_write_secret(VolumeId([9; 32]), 1, Key([3; 32]));
        let (heads, tree, cost) = (Vec::new(), BTreeMap::new(), WriteCost::default());
        let mut volume = Self { params, keys, heads, tree, seq: 0, cost };
        volume.commit(Vec::new());
        volume
    }

    /// One commit that writes these files.
    pub fn put(&mut self, files: impl IntoIterator<Item = (TreePath, Bytes)>) {
        let writer = self.keys.writer().expect("it was made from the write secret").clone();
        let mut edits = Vec::new();
        for (path, content) in files {
            let (file, blocks) = seal(&writer, self.params, COPIES, &content);
            blocks.iter().for_each(|block| self.cost.add(block));
            edits.push(TreeEdit::Put { path, file, xattrs: Vec::new() });
        }
        self.commit(edits);
    }

    fn commit(&mut self, edits: Vec<TreeEdit>) {
        self.seq += 1;
        let author = ed25519_dalek::SigningKey::from_bytes(&[2; 32]);
        let mut job = TreeJob::Edit(EditJob {
            keys: self.keys.clone(),
            pool: POOL,
            author: author.clone(),
            heads: self.heads.clone(),
            edits,
            work: None,
            dot: (Writer::of(NodeId(author.verifying_key().to_bytes()), 1), self.seq),
            hlc: Hlc { ms: 1_700_000_000_000 + self.seq, count: 0 },
            copies: COPIES,
            params: self.params,
            // As a node that made them.
            terms: JobTerms { good: self.heads.clone(), ..JobTerms::default() },
            blocks: BlockMap::new(),
        });
        let (blocks, head) = loop {
            match job.run() {
                JobDone::Missing(ids) => job.give(ids.iter().map(|id| self.tree[id].clone())),
                JobDone::Edited { blocks, head: Some(head), .. } => break (blocks, head),
                other => unreachable!("every commit of a study writes something, not {other:?}"),
            }
        };
        blocks.iter().for_each(|block| self.cost.add(block));
        self.tree.extend(blocks.into_iter().map(|block| (block.id(), block)));
        self.heads = vec![head];
        self.cost.commits += 1;
    }
}
