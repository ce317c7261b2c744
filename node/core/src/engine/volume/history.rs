//! What this node knows of the states of its volumes, so that a commit that lists earlier ones need not read each of them.
//!
//! A state is noted when its head comes or is made, or when its commit had to be read. Nothing here is needed: what was
//! forgotten is read again. Only when a state was first seen is known to no one else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::{BlockKind, CommitView, kind_of};

use crate::engine::context::Context;
use crate::limits::{STATES_AWAY_MS, STATES_NOTED_MAX};
use crate::tree::{BlockAbsence, HistoryTerms, JobTerms, StateNote};

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct StateNotes(BTreeMap<VolumeId, VolumeNotes>);

#[derive(Default)]
struct VolumeNotes {
    /// By commit id, at most [`STATES_NOTED_MAX`]. Shared with the jobs that go by it.
    known: Arc<BTreeMap<BlockId, StateNote>>,
    /// Commits that could not be had, and until when they are not asked for again: a write must not wait for each of them.
    absent: BTreeMap<BlockId, (BlockAbsence, u64)>,
}

impl StateNotes {
    /// A head came, or was made here.
    pub fn note_head(&mut self, cx: &Context, head: &Signed<Head>) {
        self.note_commit(cx, head.value().volume, &head.value().commit);
    }

    /// A block of this volume that was read for a job; whatever is no commit says nothing of states.
    pub fn note_block(&mut self, cx: &Context, volume: VolumeId, block: &[u8]) {
        if kind_of(block) == Some(BlockKind::Commit) {
            self.note_commit(cx, volume, block);
        }
    }

    fn note_commit(&mut self, cx: &Context, volume: VolumeId, commit: &[u8]) {
        let Some(keys) = cx.keys.get(&volume) else { return };
        let id = BlockId::of(commit);
        let own = self.0.entry(volume).or_default();
        own.absent.remove(&id);
        if own.known.contains_key(&id) {
            return;
        }
        if let Ok(note) = StateNote::of_block(keys, commit, cx.now.wall) {
            Arc::make_mut(&mut own.known).insert(id, note);
        }
    }

    /// The commit of a state that a job asked for cannot be had now.
    pub fn note_absent(&mut self, cx: &Context, volume: VolumeId, id: BlockId, absence: BlockAbsence) {
        let own = self.0.entry(volume).or_default();
        own.absent.insert(id, (absence, cx.now.mono + STATES_AWAY_MS));
    }

    /// Somebody is there who may have what was missing.
    pub fn try_again(&mut self) {
        self.0.values_mut().for_each(|own| own.absent.clear());
    }

    /// What a job on these heads goes by, with all else that it does. Notes that none of the heads leads to go, if they are many.
    pub fn extend(&mut self, cx: &Context, volume: VolumeId, heads: &[Signed<Head>], terms: JobTerms) -> JobTerms {
        let own = self.0.entry(volume).or_default();
        let named = named_by(heads);
        if own.known.len() > STATES_NOTED_MAX {
            Arc::make_mut(&mut own.known).retain(|id, _| named.contains(id));
        }
        own.absent.retain(|id, (_, until)| named.contains(id) && cx.now.mono < *until);
        let mut absent = terms.absent;
        absent.extend(own.absent.iter().map(|(id, (absence, _))| (*id, *absence)));
        let known = Arc::clone(&own.known);
        let history = HistoryTerms { now_ms: cx.now.wall, known, remembered: BTreeSet::new() };
        JobTerms { absent, history: Some(history), ..terms }
    }
}

/// The commits of these heads and all that they name as parents.
fn named_by(heads: &[Signed<Head>]) -> BTreeSet<BlockId> {
    let views = heads.iter().filter_map(|head| CommitView::of_head(head.value()).ok());
    views.flat_map(|view| std::iter::once(view.id).chain(view.parents().collect::<Vec<_>>())).collect()
}

#[cfg(test)]
mod tests;
