//! Jobs: what they are given and what becomes of them.

use ed25519_dalek::SigningKey;
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, PoolId, Writer};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{NodeTarget, VolumeKeys};

use super::block_map::BlockMap;
use super::error::{EditError, HeadFault, TreeError};
use super::known::KnownFolder;
use super::operation::{EditOutcome, QueryResult, TreeEdit, TreeQuery};
use super::terms::JobTerms;

/// CPU-bound, pure work. The daemon runs it on the crypto pool, the simulator inline.
#[derive(Clone, Debug)]
pub enum TreeJob {
    /// Merge the heads and apply edits on top: one commit.
    Edit(EditJob),
    /// Merge the heads: a commit without writer.
    Merge(MergeJob),
    /// Read the (merged view of the) heads.
    Query(QueryJob),
    /// All blocks reachable from the heads.
    Walk(WalkJob),
}

/// See [`TreeJob::Edit`].
#[derive(Clone, Debug)]
pub struct EditJob {
    /// Keys of the volume's current epoch, with write secret.
    pub keys: VolumeKeys,
    /// The pool, for signing.
    pub pool: PoolId,
    /// In whose name the head is published.
    pub author: SigningKey,
    /// Current heads, none superseded; empty only for the genesis commit.
    pub heads: Vec<Signed<Head>>,
    /// In order; each succeeds or fails by itself.
    pub edits: Vec<TreeEdit>,
    /// The piece of work that all of it is part of.
    pub work: Option<u64>,
    /// The writer's incarnation and the sequence number of this commit: the dot of everything it writes.
    pub dot: (Writer, u64),
    /// Orders versions inside one entry.
    pub hlc: Hlc,
    /// Replication factor of tree blocks.
    pub copies: u8,
    /// Sizes.
    pub params: TreeParams,
    /// What it may cost, and what is known of the heads.
    pub terms: JobTerms,
    /// What was fetched.
    pub blocks: BlockMap,
}

/// See [`TreeJob::Merge`].
#[derive(Clone, Debug)]
pub struct MergeJob {
    /// Keys of the volume's current epoch, with write secret.
    pub keys: VolumeKeys,
    /// The pool, for signing.
    pub pool: PoolId,
    /// In whose name the head is published.
    pub author: SigningKey,
    /// At least two heads, none superseded.
    pub heads: Vec<Signed<Head>>,
    /// Replication factor of tree blocks.
    pub copies: u8,
    /// Sizes.
    pub params: TreeParams,
    /// What it may cost, and what is known of the heads.
    pub terms: JobTerms,
    /// What was fetched.
    pub blocks: BlockMap,
}

/// See [`TreeJob::Query`].
#[derive(Clone, Debug)]
pub struct QueryJob {
    /// Keys of the volume; reading is enough.
    pub keys: VolumeKeys,
    /// Current heads; several are shown merged.
    pub heads: Vec<Signed<Head>>,
    /// The earlier state to read instead, by its commit.
    pub state: Option<BlockId>,
    /// What to read.
    pub query: TreeQuery,
    /// A folder of the same heads on the way to it, to begin there; none = at the root.
    pub known: Option<KnownFolder>,
    /// Sizes.
    pub params: TreeParams,
    /// What it may cost, and what is known of the heads.
    pub terms: JobTerms,
    /// What was fetched.
    pub blocks: BlockMap,
}

/// See [`TreeJob::Walk`].
#[derive(Clone, Debug)]
pub struct WalkJob {
    /// Current heads. Links are visible, so no key is needed.
    pub heads: Vec<Signed<Head>>,
    /// What was fetched.
    pub blocks: BlockMap,
}

/// Sizes that shape trees. Parameters so that simulations get deep trees from small data; all nodes of a pool use the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeParams {
    /// Plaintext bytes of a chunk.
    pub chunk_bytes: usize,
    /// A file up to this size lies in its directory entry.
    pub inline_bytes: usize,
    /// Chunks or manifests under one manifest.
    pub fan_out: usize,
    /// Encoded bytes of the blocks of a large directory.
    pub nodes: NodeTarget,
    /// Milliseconds of an hour of history.
    pub hour_ms: u64,
}

impl TreeParams {
    /// What every real pool uses.
    pub const DEFAULT: Self = Self {
        chunk_bytes: 1 << 20,
        inline_bytes: 4 << 10,
        fan_out: 1024,
        nodes: NodeTarget::DEFAULT,
        hour_ms: 3_600_000,
    };
}

/// What became of a job.
#[derive(Clone, Debug)]
pub enum JobDone {
    /// Run it again with these too. Ascending, none was given before.
    Missing(Vec<BlockId>),
    /// Run it again without these heads, by commit id: the job is not to fail for them.
    BadHeads(Vec<(BlockId, HeadFault)>),
    /// Of an edit.
    Edited {
        /// New blocks, children before parents; the commit, which the head carries too, is the last.
        blocks: Vec<Block>,
        /// The new head; none if every edit failed or changed nothing.
        head: Option<Signed<Head>>,
        /// One an edit.
        outcomes: Vec<Result<EditOutcome, EditError>>,
    },
    /// Of a merge.
    Merged {
        /// New blocks, children before parents, the commit last.
        blocks: Vec<Block>,
        /// The new head.
        head: Signed<Head>,
    },
    /// Of a query.
    Queried {
        /// The answer.
        found: Result<QueryResult, TreeError>,
        /// The folder that it was found in: the next query of the same heads may begin there.
        folder: Option<KnownFolder>,
    },
    /// Of a walk: every block reached, with the greatest redundancy that reached it, ascending.
    Walked(Vec<(BlockId, Redundancy)>),
    /// The tree itself is not readable. Nothing was changed.
    Failed(TreeError),
}
