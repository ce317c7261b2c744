//! What a job is given beside its task: what it may cost, whether anybody still wants it, and what is known of the heads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::signed::Signed;

use super::ladder::StateNote;
use crate::limits::{JOB_BYTES_MAX, JOB_NAMES_MAX};

/// See the module. Without any of it a job has the budget of every job, and knows nothing.
#[derive(Clone, Debug, Default)]
pub struct JobTerms {
    /// Heads that an earlier job could use. What is new in another head is held against their trees.
    pub good: Vec<Signed<Head>>,
    /// Quarantined heads that the next operation names as parents and covers, so that they stand for nobody any more.
    pub covered: Vec<Signed<Head>>,
    /// Who has a place among the writers of a volume; none: whoever it is.
    pub writers: Option<Arc<BTreeSet<NodeId>>>,
    /// Blocks that could not be had when an earlier run asked for them.
    pub absent: BTreeMap<BlockId, BlockAbsence>,
    /// What it goes by when it lists earlier states; none: it lists none of them.
    pub history: Option<HistoryTerms>,
    /// What it may cost.
    pub budget: JobBudget,
    /// Whether it is to end.
    pub cancel: CancelFlag,
}

/// What is known of earlier states.
#[derive(Clone, Debug)]
pub struct HistoryTerms {
    /// Wall milliseconds.
    pub now_ms: u64,
    /// States that need not be looked at again.
    pub known: Arc<BTreeMap<BlockId, StateNote>>,
    /// States that this node remembers, whatever the heads list. They are shown, and listed by no commit.
    pub remembered: BTreeSet<BlockId>,
}

impl JobTerms {
    /// The same with states that this node remembers.
    pub fn remembering(mut self, states: &BTreeSet<BlockId>) -> Self {
        if let Some(history) = &mut self.history {
            history.remembered.clone_from(states);
        }
        self
    }

    /// Whether a head names somebody who has no place among the writers, and whom no head names that was used before. Merged,
    /// it would take the place of somebody who has one.
    pub fn has_strangers(&self, head: &Head) -> bool {
        let Some(writers) = &self.writers else { return false };
        let used = |node| self.good.iter().any(|good| good.value().marks.iter().any(|marks| marks.node == node));
        head.marks.iter().any(|marks| !writers.contains(&marks.node) && !used(marks.node))
    }
}

/// Why a block could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockAbsence {
    /// Some server that may have it could not be asked, or cannot say yet.
    Away,
    /// All servers of the pool were asked, and none has it.
    Nowhere,
}

/// What one run of a job may cost: a folder tree costs what its writer made it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobBudget {
    /// Names it may visit.
    pub names: u64,
    /// Bytes of blocks it may open.
    pub bytes: u64,
}

impl Default for JobBudget {
    fn default() -> Self {
        Self { names: JOB_NAMES_MAX, bytes: JOB_BYTES_MAX }
    }
}

/// Says to a job on another thread that nobody waits for it any more. Clones are one flag.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// The job ends at the next name that it comes to.
    pub fn cancel(&self) {
        // Nothing else is read or written because of it, so no order is needed.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether nobody waits any more.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
