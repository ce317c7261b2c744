//! What is going to happen, in order of time and, within a microsecond, of planning.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Microseconds since the world began.
pub type Micros = u64;

/// A millisecond.
pub const MS: Micros = 1_000;
/// A second.
pub const S: Micros = 1_000_000;

/// Future events.
#[derive(Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<QueueEntry<E>>,
    planned: u64,
}

#[derive(Debug)]
struct QueueEntry<E> {
    at: Micros,
    nr: u64,
    event: E,
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), planned: 0 }
    }
}

impl<E> EventQueue<E> {
    /// Plans an event.
    pub fn plan(&mut self, at: Micros, event: E) {
        self.planned += 1;
        self.heap.push(QueueEntry { at, nr: self.planned, event });
    }

    /// The next event not later than `until`.
    pub fn next(&mut self, until: Micros) -> Option<(Micros, E)> {
        if self.heap.peek()?.at > until {
            return None;
        }
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}

impl<E> QueueEntry<E> {
    fn key(&self) -> (Micros, u64) {
        (self.at, self.nr)
    }
}

impl<E> PartialEq for QueueEntry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for QueueEntry<E> {}

impl<E> PartialOrd for QueueEntry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for QueueEntry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives the greatest first; the earliest is wanted.
        other.key().cmp(&self.key())
    }
}
