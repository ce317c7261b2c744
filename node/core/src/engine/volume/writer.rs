//! The incarnation under which this node writes, its sequence numbers, and its stamps.
//!
//! Promise: a number is used once: it is logged before the head that bears it is shown to anyone. After a start, and when the
//! disk may be an old image of itself, an incarnation goes on only if nobody saw more of it than it remembers.

use std::collections::BTreeMap;

use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::Writer as WriterId;
use fsdfs_proto::record::{LogEntry, OwnSequence};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;

use super::LocalHeads;
use crate::engine::context::Context;
use crate::engine::event::HeardHeads;
use crate::facts::FactSet;
use crate::limits::CLOCK_OFF_MS_MAX;

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Writer {
    /// Incarnation and last number; none: the next commit begins an incarnation.
    own: Option<OwnSequence>,
    /// From the logs, in no order: the greatest number of each incarnation. Empty after the start.
    replayed: BTreeMap<WriterId, u64>,
    /// No majority has confirmed the last sequence number since the start.
    unconfirmed: bool,
    /// The last stamp made or seen.
    clock: Hlc,
}

impl Writer {
    /// For a log that is written again.
    pub fn entry(&self) -> Option<LogEntry> {
        self.own.map(LogEntry::Own)
    }

    /// From a log.
    pub fn replay(&mut self, own: OwnSequence) {
        let seq = self.replayed.entry(own.writer).or_default();
        *seq = own.seq.max(*seq);
    }

    /// All entries are in.
    pub fn on_start(&mut self, may_be_restored_copy: bool) {
        self.unconfirmed = true;
        let longest = std::mem::take(&mut self.replayed).into_iter().max_by_key(|(_, seq)| *seq);
        self.own = longest.filter(|_| !may_be_restored_copy).map(|(writer, seq)| OwnSequence { writer, seq });
    }

    /// After a start, an incarnation goes on only if everything that was ever confirmed to it was heard of, and nobody saw a
    /// number it does not remember.
    pub fn confirm(&mut self, cx: &Context, heads: &LocalHeads, heard: HeardHeads) {
        let Some(own) = self.own else { return };
        let seen = seq_seen(cx, heads, own.writer);
        if seen > own.seq || (self.unconfirmed && !heard.own_past) {
            self.own = None;
        }
        self.unconfirmed = false;
    }

    /// The dot of the next commit. It is used up only by [`Writer::use_up`].
    pub fn next_dot(&mut self, cx: &mut Context) -> OwnSequence {
        let last =
            self.own.get_or_insert_with(|| OwnSequence { writer: WriterId(cx.rng.u64(..).to_be_bytes()), seq: 0 });
        OwnSequence { writer: last.writer, seq: last.seq + 1 }
    }

    /// The dot that this commit uses up, for the log; none for a merge.
    pub fn use_up(&mut self, head: &Signed<Head>) -> Option<OwnSequence> {
        let last = self.own?;
        let seen = FactSet::version_vector_of(head);
        let (writer, seq) = *seen.iter().find(|(writer, _)| *writer == last.writer)?;
        let used = (seq == last.seq + 1).then_some(OwnSequence { writer, seq })?;
        self.own = Some(used);
        Some(used)
    }

    /// The next stamp of this node: never before one it made or saw, unless that lies too far ahead of its own clock.
    pub fn stamp(&mut self, cx: &Context) -> Hlc {
        let (wall, before) = (cx.now.wall, self.clock);
        self.clock = match before.count.checked_add(1) {
            _ if wall > before.ms => Hlc { ms: wall, count: 0 },
            Some(count) => Hlc { ms: before.ms, count },
            // Somebody's stamp ended its millisecond.
            None => Hlc { ms: before.ms.saturating_add(1), count: 0 },
        };
        debug_assert!(self.clock > before || before.ms == u64::MAX, "stamps only grow");
        self.clock
    }

    /// Takes note of another's stamp.
    pub fn saw_stamp(&mut self, cx: &Context, stamp: Hlc) {
        if stamp.ms <= cx.now.wall.saturating_add(CLOCK_OFF_MS_MAX) {
            self.clock = self.clock.max(stamp);
        }
    }
}

/// The greatest number of this incarnation that any head includes.
fn seq_seen(cx: &Context, heads: &LocalHeads, writer: WriterId) -> u64 {
    let volumes = cx.facts.volumes();
    // A head that nobody can read may have used the number all the same.
    let heads = volumes.iter().flat_map(|volume| heads.standing(cx, *volume));
    let seen = heads.flat_map(|head| FactSet::version_vector_of(&head));
    seen.filter(|(other, _)| *other == writer).map(|(_, seq)| seq).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
