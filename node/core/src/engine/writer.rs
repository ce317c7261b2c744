//! The incarnation under which this node writes, and its sequence numbers.
//!
//! A number is used once: it is logged before the head that bears it is shown to anyone. After a start, and when the disk may
//! be an old image of itself, an incarnation goes on only if nobody saw more of it than it remembers.

use std::collections::BTreeMap;

use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::Writer;
use fsdfs_proto::record::{LogEntry, OwnSequence};
use fsdfs_proto::signed::Signed;

use super::{Engine, look};
use crate::facts::FactSet;
use crate::planted::{self, Bug};

/// The incarnation under which this node writes.
#[derive(Default)]
pub(super) struct WriterState {
    /// Its last number.
    pub own: Option<OwnSequence>,
    /// From the logs, in no order: the greatest number of each incarnation.
    recalled: BTreeMap<Writer, u64>,
    /// No majority has confirmed the last sequence number since the start.
    unconfirmed: bool,
}

impl WriterState {
    pub fn entry(&self) -> Option<LogEntry> {
        self.own.map(LogEntry::Own)
    }
}

impl Engine {
    pub(super) fn recall_writer(&mut self, own: OwnSequence) {
        let seq = self.writer.recalled.entry(own.writer).or_default();
        *seq = own.seq.max(*seq);
    }

    pub(super) fn writer_starts(&mut self, may_be_restored_copy: bool) {
        self.writer.unconfirmed = true;
        let longest = std::mem::take(&mut self.writer.recalled).into_iter().max_by_key(|(_, seq)| *seq);
        let may_be_restored_copy = may_be_restored_copy && !planted::is(Bug::ReuseNumbers);
        self.writer.own = longest.filter(|_| !may_be_restored_copy).map(|(writer, seq)| OwnSequence { writer, seq });
    }

    /// After a start, an incarnation goes on only if everything that was ever confirmed to it was heard of, and nobody saw a
    /// number it does not remember.
    pub(super) fn confirm_writer(&mut self, heard: look::Heard) {
        let Some(own) = self.writer.own else { return };
        let seen = self.seq_seen(own.writer);
        let stale = seen > own.seq || (self.writer.unconfirmed && !heard.own_past);
        if stale && !planted::is(Bug::ReuseNumbers) {
            self.writer.own = None;
        }
        self.writer.unconfirmed = false;
    }

    fn seq_seen(&self, writer: Writer) -> u64 {
        let volumes = self.facts.volumes();
        let heads = volumes.iter().flat_map(|volume| self.heads(*volume));
        let seen = heads.flat_map(|head| FactSet::seen_of(&head));
        seen.filter(|(other, _)| *other == writer).map(|(_, seq)| seq).max().unwrap_or(0)
    }

    pub(super) fn next_dot(&mut self) -> OwnSequence {
        let rng = &mut self.rng;
        let last =
            self.writer.own.get_or_insert_with(|| OwnSequence { writer: Writer(rng.u64(..).to_be_bytes()), seq: 0 });
        OwnSequence { writer: last.writer, seq: last.seq + 1 }
    }

    /// The dot that this commit uses up; none for a merge.
    pub(super) fn own_seq_in(&self, head: &Signed<Head>) -> Option<OwnSequence> {
        let last = self.writer.own?;
        let seen = FactSet::seen_of(head);
        let (writer, seq) = *seen.iter().find(|(writer, _)| *writer == last.writer)?;
        (seq == last.seq + 1).then_some(OwnSequence { writer, seq })
    }
}
