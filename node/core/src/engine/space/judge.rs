//! What becomes of a copy: whether a state needs it, and if none does, which of the two steps it is due for.
//!
//! First it is *condemned*: possession questions are answered no, and whoever puts it again revives it. After another grace, and
//! another mark that did not reach it either, it is deleted. Between the last time somebody asked for a block and its end every member
//! that is not gone was heard with all it had acknowledged, so no state that needs it is anywhere (traps: a writer that vanishes between
//! storing and telling, a folder that is moved by somebody who was away).

use fsdfs_proto::volume::BlockKind;

use super::walk::{Reach, Walk};
use crate::limits::FOLDER_GRACE_PART;
use crate::seam::{CopyState, PlacedCopy};

/// What a copy is judged by; wall milliseconds.
pub(super) struct JudgeTerms {
    pub now: u64,
    /// Before this the walk had not begun.
    pub began: u64,
    /// Between the last renewal and the first step, and between the two.
    pub grace_ms: u64,
    /// All members that are not gone were heard at this time or later, each with all it had acknowledged.
    pub heard: u64,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A state needs it.
    Keep(Reach),
    /// A state needs it after all, although it is condemned.
    Revive,
    /// Nobody asked for it, but not for long enough.
    Young,
    /// Somebody may still have it in a state that this node has not heard of.
    Unheard,
    /// The first step is due.
    Condemn,
    /// The second one is not.
    Condemned,
    Delete,
    /// Its bytes are wrong: it is no copy, and is kept for whoever wants to look at it.
    Damaged,
}

impl JudgeTerms {
    /// Folders and states are asked for by nobody but who makes them, and are most of what small changes leave behind.
    fn grace_of(&self, kind: Option<BlockKind>) -> u64 {
        match kind {
            Some(BlockKind::Directory | BlockKind::Commit) => self.grace_ms / FOLDER_GRACE_PART,
            Some(BlockKind::Data | BlockKind::Manifest) | None => self.grace_ms,
        }
    }

    /// Whether the block was made so long ago that it would be named by now; or when the clock was ahead.
    pub fn is_old(&self, copy: &PlacedCopy) -> bool {
        let made = copy.copy.info.first_seen;
        made > self.now || self.now > made.saturating_add(self.grace_of(copy.kind))
    }

    /// `copy` as it is on its disk now.
    pub fn judge(&self, walk: &Walk, copy: &PlacedCopy) -> Verdict {
        let (id, grace) = (copy.copy.info.id, self.grace_of(copy.kind));
        let reach = walk.reach(id);
        let since = match copy.copy.state {
            CopyState::Damaged => return Verdict::Damaged,
            CopyState::Held => None,
            CopyState::Condemned { since } => Some(since),
        };
        let renewed = copy.copy.info.renewed;
        let is_over = |at: u64| self.now > at.saturating_add(grace);
        match (reach, since) {
            (Some(reach), None) => Verdict::Keep(reach),
            (Some(_), Some(_)) => Verdict::Revive,
            (None, None) if !is_over(renewed) => Verdict::Young,
            (None, _) if self.heard <= renewed.saturating_add(grace) => Verdict::Unheard,
            (None, None) => Verdict::Condemn,
            (None, Some(since)) if !is_over(since) || self.began <= since => Verdict::Condemned,
            (None, Some(_)) => Verdict::Delete,
        }
    }
}

#[cfg(test)]
mod tests;
