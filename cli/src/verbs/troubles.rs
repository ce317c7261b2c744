//! What went wrong among thousands of files: the first ones are printed at once, all are counted.

use fsdfs_proto::control::ErrorCode;
use serde::Serialize;

use crate::outcome::CliError;
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
    /// For programs, if the daemon gave one.
    pub code: Option<ErrorCode>,
}

impl FailureList {
    /// Counts one more and prints it if there were few.
    pub fn add(&mut self, progress: &TransferProgress, path: String, why: impl Into<CliError>) {
        let why = why.into();
        self.count += 1;
        match self.count {
            0..=PRINTED_MAX => {
                let what = format!("{path}: {}", why.what);
                progress.failed(&CliError { what, ..why.clone() });
            }
            count if count == PRINTED_MAX + 1 => {
                progress.failed(&"... more like this; only counted from here on".to_owned().into());
            }
            _ => {}
        }
        if self.first.len() < KEPT_MAX {
            self.first.push(FailedEntry { path, why: why.to_string(), code: why.code });
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
            troubles.add(&progress, format!("/{number}"), "no".to_owned());
        }
        assert_eq!((troubles.count, troubles.first.len()), (2_000, KEPT_MAX));
        assert_eq!(troubles.sentence("stored"), "2000 entries were not stored; see above");
    }
}
