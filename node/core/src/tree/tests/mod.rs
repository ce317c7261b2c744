//! Tests of the jobs, on a store that hands out blocks as a network would: only what was asked for.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "tests read the vectors, and write them when asked to")]

mod contents;
mod edits;
mod histories;
mod hostile;
mod merges;
mod model;
mod published;
mod restores;
mod writers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, Key, NodeId, PoolId, VolumeId, Writer};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{CommitView, NodeTarget, VolumeKeys};

use super::{
    BlockMap, EditError, EditJob, EditOutcome, EntryName, FileAttributes, FileContent, FileNode, HeadFault,
    HistoryTerms, JobDone, JobTerms, MergeJob, QueryJob, QueryResult, TreeEdit, TreeError, TreeItem, TreeItemKind,
    TreeJob, TreeParams, TreePath, TreeQuery, WalkJob,
};

/// Small enough for several levels of nodes from a few dozen names.
pub const TINY: TreeParams =
    TreeParams { chunk_bytes: 64, inline_bytes: 16, fan_out: 3, nodes: nodes(300, 300), hour_ms: 3_600_000 };
pub const POOL: PoolId = PoolId([7; 32]);

pub const fn nodes(leaf_bytes: usize, interior_bytes: usize) -> NodeTarget {
    NodeTarget { leaf_bytes, interior_bytes }
}

/// Who publishes merges here.
pub fn author() -> SigningKey {
    SigningKey::from_bytes(&[4; 32])
}

/// The key of the node of a writer.
pub fn key_of(name: u8) -> SigningKey {
    SigningKey::from_bytes(&[name; 32])
}

pub fn node_of(name: u8) -> NodeId {
    NodeId(key_of(name).verifying_key().to_bytes())
}

pub fn writer_of(name: u8) -> Writer {
    Writer::of(node_of(name), 1)
}

pub fn keys() -> VolumeKeys {
    VolumeKeys::from_write_secret(VolumeId([9; 32]), 1, Key([3; 32]))
}

/// A writer with its heads; stores may be shared.
#[derive(Clone)]
pub struct TestWriter {
    pub name: u8,
    pub writer: Writer,
    pub seq: u64,
    pub clock: u64,
    pub params: TreeParams,
    pub heads: Vec<Signed<Head>>,
    pub store: BTreeMap<BlockId, Block>,
    /// Jobs are given all blocks at once.
    pub at_hand: bool,
    /// Its commits list earlier states.
    pub lists_states: bool,
    /// Earlier states that it knows besides, when it looks at the history.
    pub remembers: BTreeSet<BlockId>,
    /// Rounds of fetching and blocks fetched by the last job.
    pub cost: (usize, usize),
}

impl TestWriter {
    /// A writer at the genesis commit.
    pub fn new(name: u8) -> Self {
        let mut peer = Self {
            name,
            writer: writer_of(name),
            seq: 0,
            clock: 1_700_000_000_000,
            params: TINY,
            heads: Vec::new(),
            store: BTreeMap::new(),
            at_hand: false,
            lists_states: false,
            remembers: BTreeSet::new(),
            cost: (0, 0),
        };
        peer.edit(&[]);
        peer
    }

    /// Another writer that starts from the same state.
    pub fn fork(&self, name: u8) -> Self {
        Self { name, writer: writer_of(name), seq: 0, ..self.clone() }
    }

    /// Runs a job as the engine does.
    pub fn run(&mut self, mut job: TreeJob) -> JobDone {
        self.cost = (0, 0);
        if self.at_hand {
            job.give(self.store.values().cloned());
        }
        loop {
            match job.run() {
                JobDone::Missing(ids) => {
                    assert!(!ids.is_empty() && ids.is_sorted());
                    self.cost = (self.cost.0 + 1, self.cost.1 + ids.len());
                    assert!(self.cost.0 < 50, "a job that never ends");
                    job.give(ids.iter().map(|id| self.store[id].clone()));
                }
                done => return done,
            }
        }
    }

    fn keep(&mut self, blocks: Vec<Block>, head: Signed<Head>) {
        self.store.extend(blocks.into_iter().map(|block| (block.id(), block)));
        self.heads = vec![head];
    }

    /// As a node that used these heads before.
    pub fn terms(&self) -> JobTerms {
        let history = HistoryTerms { now_ms: self.clock, known: Arc::default(), remembered: BTreeSet::new() };
        let history = Some(history).filter(|_| self.lists_states);
        JobTerms { good: self.heads.clone(), history, ..JobTerms::default() }
    }

    pub fn edit_job(&mut self, edits: &[TreeEdit]) -> EditJob {
        self.clock += 1000;
        EditJob {
            keys: keys(),
            pool: POOL,
            author: key_of(self.name),
            heads: self.heads.clone(),
            edits: edits.to_vec(),
            work: None,
            dot: (self.writer, self.seq + 1),
            hlc: Hlc { ms: self.clock, count: 0 },
            copies: 3,
            params: self.params,
            terms: self.terms(),
            blocks: BlockMap::new(),
        }
    }

    pub fn edit(&mut self, edits: &[TreeEdit]) -> Vec<Result<EditOutcome, EditError>> {
        let job = self.edit_job(edits);
        match self.run(TreeJob::Edit(job)) {
            JobDone::Edited { blocks, head, outcomes } => {
                assert_eq!(outcomes.len(), edits.len());
                if let Some(head) = head {
                    self.seq += 1;
                    self.keep(blocks, head);
                }
                outcomes
            }
            other => panic!("{other:?}"),
        }
    }

    /// One change that has to succeed.
    pub fn one(&mut self, edit: TreeEdit) -> EditOutcome {
        self.edit(&[edit]).remove(0).expect("the change is possible")
    }

    pub fn put(&mut self, at: &str, content: &str) -> EditOutcome {
        self.one(TreeEdit::Put { path: path(at), file: inline(content), xattrs: Vec::new() })
    }

    pub fn remove(&mut self, at: &str) -> Result<EditOutcome, EditError> {
        self.edit(&[TreeEdit::Remove { path: path(at), recursive: true }]).remove(0)
    }

    pub fn rename(&mut self, from: &str, to: &str) -> Result<EditOutcome, EditError> {
        self.edit(&[TreeEdit::Move { from: path(from), to: path(to) }]).remove(0)
    }

    /// Hears of another's heads and blocks.
    pub fn hear(&mut self, other: &Self) {
        self.store.extend(other.store.clone());
        self.heads.extend(other.heads.clone());
        let views: Vec<CommitView> = self.heads.iter().map(|head| CommitView::of_head(head.value()).unwrap()).collect();
        let stands = |view: &CommitView| !views.iter().any(|other| view.is_superseded_by(other));
        let mut standing: Vec<_> = self.heads.iter().zip(&views).filter(|(_, view)| stands(view)).collect();
        standing.dedup_by_key(|(_, view)| view.id);
        self.heads = standing.into_iter().map(|(head, _)| head.clone()).collect();
        self.clock = self.clock.max(other.clock);
    }

    /// Merges what it heard, if there is anything to merge.
    pub fn merge(&mut self) {
        if self.heads.len() < 2 {
            return;
        }
        let job = MergeJob {
            keys: keys(),
            pool: POOL,
            author: author(),
            heads: self.heads.clone(),
            copies: 3,
            params: self.params,
            terms: self.terms(),
            blocks: BlockMap::new(),
        };
        match self.run(TreeJob::Merge(job)) {
            JobDone::Merged { blocks, head } => self.keep(blocks, head),
            other => panic!("{other:?}"),
        }
    }

    pub fn query(&mut self, query: TreeQuery) -> Result<QueryResult, TreeError> {
        self.query_at(None, query)
    }

    /// Of an earlier state, if one is named.
    pub fn query_at(&mut self, state: Option<BlockId>, query: TreeQuery) -> Result<QueryResult, TreeError> {
        let keys = VolumeKeys::from_read_key(keys().volume, 1, keys().read_key());
        let job = QueryJob {
            keys,
            heads: self.heads.clone(),
            state,
            terms: self.terms().remembering(&self.remembers),
            query,
            known: None,
            params: self.params,
            blocks: BlockMap::new(),
        };
        match self.run(TreeJob::Query(job)) {
            JobDone::Queried { found, .. } => found,
            other => panic!("{other:?}"),
        }
    }

    pub fn entry(&mut self, at: &str) -> Result<TreeItem, TreeError> {
        match self.query(TreeQuery::Entry { path: path(at) })? {
            QueryResult::Entry(shown) => Ok(shown),
            other => panic!("no entry: {other:?}"),
        }
    }

    pub fn list(&mut self, at: &str) -> Vec<TreeItem> {
        self.list_at(None, at)
    }

    fn list_at(&mut self, state: Option<BlockId>, at: &str) -> Vec<TreeItem> {
        let (mut shown, mut after) = (Vec::new(), None);
        loop {
            match self.query_at(state, TreeQuery::List { path: path(at), after, max: 7 }).unwrap() {
                QueryResult::List { entries, more } => {
                    after = entries.last().map(|last| last.name.clone());
                    shown.extend(entries);
                    if !more {
                        return shown;
                    }
                }
                other => panic!("no list: {other:?}"),
            }
        }
    }

    /// Everything as `path` or `path=content` lines.
    pub fn tree(&mut self) -> Vec<String> {
        self.tree_at(None)
    }

    /// The same of an earlier state.
    pub fn tree_at(&mut self, state: Option<BlockId>) -> Vec<String> {
        let mut lines = Vec::new();
        self.tree_below(state, "", &mut lines);
        lines
    }

    fn tree_below(&mut self, state: Option<BlockId>, at: &str, lines: &mut Vec<String>) {
        for shown in self.list_at(state, at) {
            let full = format!("{at}/{}", String::from_utf8_lossy(&shown.name));
            match shown.kind {
                TreeItemKind::Dir { .. } => {
                    lines.push(format!("{full}/"));
                    self.tree_below(state, &full, lines);
                }
                TreeItemKind::File { content, .. } => lines.push(format!("{full}={}", text(&content))),
            }
        }
    }
}

pub fn text(content: &FileContent) -> String {
    match content {
        FileContent::Inline(bytes) => String::from_utf8_lossy(bytes).into(),
        FileContent::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
        FileContent::Tree { root, depth } => format!("{}:{depth}", root.id.short()),
    }
}

pub fn name(text: &str) -> EntryName {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn path(text: &str) -> TreePath {
    text.split('/').filter(|part| !part.is_empty()).map(name).collect()
}

pub fn inline(content: &str) -> FileNode {
    let attrs = FileAttributes { mode: 0o644, mtime_ns: -5 };
    FileNode { attrs, size: content.len() as u64, content: FileContent::Inline(name(content)) }
}
