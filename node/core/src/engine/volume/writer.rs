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
use fsdfs_proto::volume::VersionVector;

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
    /// The greatest number of an incarnation that this node ever had, as far as it remembers.
    last_incarnation: u64,
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
        self.last_incarnation = self.last_incarnation.max(own.writer.incarnation());
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
    pub fn next_dot(&mut self, cx: &mut Context, heads: &LocalHeads) -> OwnSequence {
        let last = match self.own {
            Some(own) => own,
            None => OwnSequence { writer: self.next_incarnation(cx, heads), seq: 0 },
        };
        self.own = Some(last);
        OwnSequence { writer: last.writer, seq: last.seq + 1 }
    }

    /// Later than all of this node's that were heard of, for what is included goes by the latest; and than those that were not,
    /// as far as its clock is right. Two copies of a machine that start in one second draw different ones.
    fn next_incarnation(&mut self, cx: &mut Context, heads: &LocalHeads) -> WriterId {
        let volumes = cx.facts.volumes();
        let seen = volumes.iter().flat_map(|volume| heads.standing(cx, *volume));
        let seen: Vec<_> = seen.map(|head| FactSet::version_vector_of(&head)).collect();
        let own = seen.iter().flat_map(VersionVector::dots).filter(|dot| dot.writer.is_of(cx.me));
        let last = own.map(|dot| dot.writer.incarnation()).fold(self.last_incarnation, u64::max);
        let second = (cx.now.wall / 1_000).min(u32::MAX.into());
        let drawn = second << 16 | u64::from(cx.rng.u16(..));
        self.last_incarnation = drawn.max(last.saturating_add(1)).min(INCARNATION_MAX);
        WriterId::of(cx.me, self.last_incarnation)
    }

    /// The dot that this commit uses up, for the log; none for a merge.
    pub fn use_up(&mut self, head: &Signed<Head>) -> Option<OwnSequence> {
        let last = self.own?;
        let (writer, seq) = (last.writer, FactSet::version_vector_of(head).get(last.writer));
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

/// Six bytes: seconds since 1970 until 2106, and sixteen random bits.
const INCARNATION_MAX: u64 = (1 << 48) - 1;

/// The greatest number of this incarnation that any head includes; the greatest there is, if later ones took its place.
fn seq_seen(cx: &Context, heads: &LocalHeads, writer: WriterId) -> u64 {
    let volumes = cx.facts.volumes();
    // A head that nobody can read may have used the number all the same.
    let heads = volumes.iter().flat_map(|volume| heads.standing(cx, *volume));
    heads.map(|head| FactSet::version_vector_of(&head).get(writer)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
