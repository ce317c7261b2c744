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
    /// Those that the same command would meet again.
    #[serde(skip)]
    pub lasting: u64,
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

    /// The same of one that the same command would meet again: repeating it does not help.
    pub fn add_lasting(&mut self, progress: &TransferProgress, path: String, why: impl Into<CliError>) {
        self.lasting += 1;
        self.add(progress, path, why);
    }

    /// The same of one that is like `before` others, of which only the first is told.
    pub fn add_alike(&mut self, progress: &TransferProgress, before: u64, path: String, why: String) {
        if before == 0 {
            self.add(progress, path, why);
        } else {
            self.count += 1;
        }
    }

    /// What is said at the end; `again` is the command once more.
    pub fn end(&self, done: &str, again: &str) -> CliError {
        let next = if self.count > self.lasting { format!("once that is resolved: {again}") } else { String::new() };
        CliError::new(self.sentence(done), next)
    }

    /// Whether everything went well.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// `3 files were not stored`.
    fn sentence(&self, done: &str) -> String {
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
        let end = troubles.end("stored", "put a /");
        assert_eq!(end.to_string(), "2000 entries were not stored; see above\n  once that is resolved: put a /");
    }

    #[test]
    fn what_would_be_met_again_is_not_to_be_repeated() {
        let mut troubles = FailureList::default();
        let progress = TransferProgress::new(OutputMode { json: true, quiet: true });
        troubles.add_lasting(&progress, "/a".into(), "b becomes /a already".to_owned());
        assert_eq!(troubles.end("stored", "put a /").to_string(), "1 entry was not stored; see above");
        troubles.add(&progress, "/c".into(), "no".to_owned());
        assert!(troubles.end("stored", "put a /").next.ends_with(": put a /"));
    }
}
