//! Dots and sets of dots: what a state of a volume includes (spec 05-volume §2).

use serde::{Deserialize, Serialize};

use crate::codec::{FormatError, ascending, bound};
use crate::ids::Writer;

/// Writers in one [`VersionVector`] at most: 1,024 of 28 bytes are 28 KiB, so that a commit stays below its 64 KiB; with their
/// marks a head has some 170 KiB at most.
pub const VERSION_VECTOR_WRITERS_MAX: usize = 1024;
/// Of these, those of one node at most: its latest incarnations. A node that begins one more says by that that it knows the
/// changes under the fourth before it.
pub const WRITERS_PER_NODE_MAX: usize = 4;
/// Writers in one [`FolderVectors`] at most; a tree that more have written to is walked instead of skipped.
pub const FOLDER_VECTORS_WRITERS_MAX: usize = 32;

/// Names one operation: the `seq`-th of `writer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dot {
    /// Incarnation of the writer.
    pub writer: Writer,
    /// Its operations count from 1.
    pub seq: u64,
}

impl Dot {
    pub(crate) fn check(&self) -> Result<(), FormatError> {
        bound(self.seq >= 1, "the sequence number of a dot")
    }
}

/// Everything each writer did up to a sequence number: a version vector.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionVector(Vec<Dot>);

impl VersionVector {
    /// Whether the operation is included.
    pub fn covers(&self, dot: Dot) -> bool {
        self.get(dot.writer) >= dot.seq
    }

    /// Whether everything in `other` is included.
    pub fn covers_all(&self, other: &Self) -> bool {
        other.0.iter().all(|dot| self.covers(*dot))
    }

    /// The writer's last operation included, 0 if none is. All are of one before the latest that are listed of its node.
    pub fn get(&self, writer: Writer) -> u64 {
        match self.find(writer) {
            Ok(at) => self.0[at].seq,
            Err(at) if self.is_before_all(writer, at) => u64::MAX,
            Err(_) => 0,
        }
    }

    /// Whether as many later incarnations of its node are listed, from this place on, as may be.
    fn is_before_all(&self, writer: Writer, at: usize) -> bool {
        let later = self.0.get(at..at + WRITERS_PER_NODE_MAX);
        later.is_some_and(|later| later.iter().all(|dot| dot.writer.is_beside(&writer)))
    }

    /// Includes the operation and all earlier ones of its writer. Of one node the latest incarnations stay; of earlier ones
    /// all is included.
    pub fn add(&mut self, dot: Dot) {
        match self.find(dot.writer) {
            Ok(at) => self.0[at].seq = self.0[at].seq.max(dot.seq),
            Err(at) if self.is_before_all(dot.writer, at) => {}
            Err(at) => {
                self.0.insert(at, dot);
                let first = self.0.partition_point(|other| other.writer.node_part() < dot.writer.node_part());
                let of_node = self.0[first..].iter().take_while(|other| other.writer.is_beside(&dot.writer)).count();
                if of_node > WRITERS_PER_NODE_MAX {
                    self.0.remove(first);
                }
            }
        }
    }

    /// Includes what `other` includes.
    pub fn add_all(&mut self, other: &Self) {
        other.0.iter().for_each(|dot| self.add(*dot));
    }

    /// The last operation of each writer, in the writers' order.
    pub fn dots(&self) -> &[Dot] {
        &self.0
    }

    /// Whether it includes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, writer: Writer) -> Result<usize, usize> {
        self.0.binary_search_by_key(&writer, |dot| dot.writer)
    }

    pub(crate) fn check(&self) -> Result<(), FormatError> {
        bound(self.0.len() <= VERSION_VECTOR_WRITERS_MAX, "the writers of a version vector")?;
        self.0.iter().try_for_each(Dot::check)?;
        let mut windows = self.0.windows(WRITERS_PER_NODE_MAX + 1);
        let too_many = windows.any(|part| part.iter().all(|dot| dot.writer.is_beside(&part[0].writer)));
        bound(!too_many, "the writers of one node in a version vector")?;
        ascending(&self.0, |dot| dot.writer)
    }
}

impl FromIterator<Dot> for VersionVector {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut seen = Self::default();
        dots.into_iter().for_each(|dot| seen.add(dot));
        seen
    }
}

impl FromIterator<DotSpan> for FolderVectors {
    fn from_iter<I: IntoIterator<Item = DotSpan>>(spans: I) -> Self {
        let mut within = Self::default();
        spans.into_iter().for_each(|span| within.add_span(span));
        within
    }
}

/// The dots of one writer below a folder: all lie between these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DotSpan {
    /// Whose.
    pub writer: Writer,
    /// Sequence number of the oldest.
    pub least: u64,
    /// Sequence number of the newest.
    pub greatest: u64,
}

/// Which operations may have left something below a folder. A merge skips what the other side has seen nothing or all of.
///
/// `None` = more than [`FOLDER_VECTORS_WRITERS_MAX`] writers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FolderVectors(Option<Vec<DotSpan>>);

impl Default for FolderVectors {
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

impl FolderVectors {
    /// Takes in one more dot.
    pub fn add(&mut self, dot: Dot) {
        self.add_span(DotSpan { writer: dot.writer, least: dot.seq, greatest: dot.seq });
    }

    /// Takes in whatever lies below something else.
    pub fn add_all(&mut self, other: &Self) {
        match &other.0 {
            Some(spans) => spans.iter().for_each(|span| self.add_span(*span)),
            None => self.0 = None,
        }
    }

    /// Takes in a span.
    pub fn add_span(&mut self, span: DotSpan) {
        let Some(spans) = &mut self.0 else { return };
        match spans.binary_search_by_key(&span.writer, |known| known.writer) {
            Ok(at) => {
                spans[at].least = spans[at].least.min(span.least);
                spans[at].greatest = spans[at].greatest.max(span.greatest);
            }
            Err(at) => spans.insert(at, span),
        }
        if spans.len() > FOLDER_VECTORS_WRITERS_MAX {
            self.0 = None;
        }
    }

    /// In the writers' order; none if there are too many writers to say.
    pub fn spans(&self) -> Option<&[DotSpan]> {
        self.0.as_deref()
    }

    /// Whether nothing lies below.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether `seen` surely covers everything below.
    pub fn all_in(&self, seen: &VersionVector) -> bool {
        self.spans().is_some_and(|spans| spans.iter().all(|span| seen.get(span.writer) >= span.greatest))
    }

    /// Whether `seen` surely covers nothing below.
    pub fn none_in(&self, seen: &VersionVector) -> bool {
        self.spans().is_some_and(|spans| spans.iter().all(|span| seen.get(span.writer) < span.least))
    }

    pub(crate) fn check(&self) -> Result<(), FormatError> {
        let Some(spans) = &self.0 else { return Ok(()) };
        bound(spans.len() <= FOLDER_VECTORS_WRITERS_MAX, "the writers below a folder")?;
        for span in spans {
            bound(1 <= span.least && span.least <= span.greatest, "the span of a writer's dots")?;
        }
        ascending(spans, |span| span.writer)
    }
}
