//! What went wrong among thousands of files: the first ones are printed at once, all are counted.

use serde::Serialize;

use crate::progress::TransferProgress;

/// Printed one by one before only counting: enough to see the pattern, too few to flood a terminal.
const PRINTED_MAX: u64 = 20;
/// Kept for the JSON answer: bounded, whatever the size of the tree.
const KEPT_MAX: usize = 1_000;

/// Files that were not transferred.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FailureList {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<FailedEntry>,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub struct FailedEntry {
    /// Which; escaped.
    pub path: String,
    /// Why.
    pub why: String,
}

impl FailureList {
    /// Counts one more and prints it if there were few.
    pub fn add(&mut self, progress: &TransferProgress, path: String, why: String) {
        self.count += 1;
        match self.count {
            0..=PRINTED_MAX => progress.warn(&format!("{path}: {why}")),
            count if count == PRINTED_MAX + 1 => progress.warn("... more like this; only counted from here on"),
            _ => {}
        }
        if self.first.len() < KEPT_MAX {
            self.first.push(FailedEntry { path, why });
        }
    }

    /// Whether everything went well.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// `3 files were not stored`.
    pub fn sentence(&self, done: &str) -> String {
        let were = if self.count == 1 { "entry was" } else { "entries were" };
        format!("{} {were} not {done}; see above", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::OutputMode;

    #[test]
    fn any_number_is_counted_in_bounded_memory() {
        let mut troubles = FailureList::default();
        let progress = TransferProgress::new(OutputMode { json: true, quiet: true });
        for number in 0..2_000 {
            troubles.add(&progress, format!("/{number}"), "no".into());
        }
        assert_eq!((troubles.count, troubles.first.len()), (2_000, KEPT_MAX));
        assert_eq!(troubles.sentence("stored"), "2000 entries were not stored; see above");
    }
}
