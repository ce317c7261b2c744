//! What a get did.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::text::human;
use crate::verbs::troubles::FailureList;

/// What was done so far.
#[derive(Debug, Default, Serialize)]
pub struct DownloadSummary {
    /// That came.
    pub files: u64,
    /// Entered, made or not.
    pub folders: u64,
    /// Symbolic links that were made.
    pub links: u64,
    /// Of the files that came.
    pub bytes: u64,
    /// Were there already, the same.
    pub same: u64,
    /// Newer changes may exist.
    pub maybe_stale: bool,
    /// Members that are connected and acknowledged changes which did not come: this may be incomplete.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unpublished_on: BTreeSet<String>,
    /// Came without some of their extended attributes, which this file system does not take.
    pub without_xattrs: u64,
    /// Did not come.
    pub failed: FailureList,
}

impl DownloadSummary {
    /// What came.
    pub fn sentence(&self) -> String {
        let were = if self.same == 1 { "was" } else { "were" };
        if self.files + self.links == 0 && self.same > 0 {
            return format!("nothing new: {} {were} here already", human::count(self.same, "entry", "entries"));
        }
        let mut parts = vec![human::count(self.files, "file", "files")];
        if self.folders > 0 {
            parts.push(human::count(self.folders, "folder", "folders"));
        }
        if self.links > 0 {
            parts.push(human::count(self.links, "link", "links"));
        }
        let same = if self.same == 0 { String::new() } else { format!("; {} more {were} here already", self.same) };
        format!("got {} ({}){same}", human::list(&parts), human::size(self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_what_was_here() {
        let summary =
            DownloadSummary { files: 2, folders: 1, links: 1, bytes: 7, same: 1, ..DownloadSummary::default() };
        assert_eq!(summary.sentence(), "got 2 files, 1 folder and 1 link (7 B); 1 more was here already");
        let again = DownloadSummary { folders: 1, same: 4, ..DownloadSummary::default() };
        assert_eq!(again.sentence(), "nothing new: 4 entries were here already");
    }
}
