//! Facts whose signer is not known yet, or whose certificate or epoch has not come.

use std::collections::{BTreeSet, VecDeque};

use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::FactId;

use crate::limits::{FACTS_WAITING_BYTES_MAX, FACTS_WAITING_MAX};

/// First in, first out: what falls out comes again with the next exchange of facts.
#[derive(Clone, Debug, Default)]
pub(super) struct WaitingFacts {
    queue: VecDeque<Fact>,
    ids: BTreeSet<FactId>,
    bytes: usize,
}

impl WaitingFacts {
    /// Keeps a fact aside.
    pub fn push(&mut self, fact: Fact) {
        if !self.ids.insert(fact.id()) {
            return;
        }
        self.bytes += fact.payload_len();
        self.queue.push_back(fact);
        while self.queue.len() > FACTS_WAITING_MAX || self.bytes > FACTS_WAITING_BYTES_MAX {
            let Some(oldest) = self.queue.pop_front() else { break };
            self.ids.remove(&oldest.id());
            self.bytes -= oldest.payload_len();
        }
    }

    /// All of them, oldest first; none is left.
    pub fn take(&mut self) -> VecDeque<Fact> {
        std::mem::take(self).queue
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
