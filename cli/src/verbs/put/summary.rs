//! What a put did.

use fsdfs_proto::control::WriteReply;
use serde::Serialize;

use crate::local::xattrs::NotKept;
use crate::remote::RemotePath;
use crate::text::human;
use crate::verbs::durability::Durability;
use crate::verbs::put::source::PutTarget;
use crate::verbs::troubles::FailureList;

/// What was done so far.
#[derive(Debug, Default, Serialize)]
pub struct UploadSummary {
    /// Stored, or stored before.
    pub files: u64,
    /// The same of folders.
    pub folders: u64,
    /// The same of symbolic links.
    pub links: u64,
    /// Those of them that were named as sources, and point at something else.
    pub source_links: u64,
    /// Of the files.
    pub bytes: u64,
    /// New to the pool.
    pub uploaded_bytes: u64,
    /// Whether anything is now other than before.
    pub changed: bool,
    /// Pipes, sockets, devices, fsdfs's own folders.
    pub skipped: u64,
    /// What the entries that were stored had beside, and how many of them.
    pub not_kept: NotKept,
    /// Of what failed: lies deeper than the store has room for names.
    pub too_deep: u64,
    /// Not stored.
    pub failed: FailureList,
    /// How safe it is.
    #[serde(flatten)]
    pub durability: Durability,
}

impl UploadSummary {
    /// Counts one more write.
    pub fn add(&mut self, written: &WriteReply) {
        self.uploaded_bytes += written.uploaded_bytes;
        self.changed |= !written.unchanged;
        self.durability.add(written);
    }

    /// What was stored.
    pub fn sentence(&self) -> String {
        let mut parts = vec![human::count(self.files, "file", "files")];
        if self.folders > 0 {
            parts.push(human::count(self.folders, "folder", "folders"));
        }
        if self.links > 0 {
            parts.push(human::count(self.links, "link", "links"));
        }
        let size = human::size(self.bytes);
        let new = match self.uploaded_bytes {
            _ if !self.changed => "; all in the pool already".to_owned(),
            // Names, empty files, holes.
            0 => String::new(),
            new => format!("; {} new to the pool", human::size(new)),
        };
        format!("stored {} ({size}{new})", human::list(&parts))
    }
}

/// Where it went.
pub fn place(plan: &[PutTarget]) -> String {
    match plan {
        [(_, to)] => format!("as {to}"),
        [(_, to), ..] => {
            format!("in {}", RemotePath { names: to.names[..to.names.len().saturating_sub(1)].to_vec(), ..to.clone() })
        }
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fsdfs_proto::control::WriteOutcome;

    #[test]
    fn the_last_line_says_what_was_new() {
        let written = WriteReply {
            outcome: WriteOutcome::Stored,
            copies: 3,
            target_copies: 3,
            sites: 3,
            bytes: 5,
            uploaded_bytes: 0,
            unchanged: true,
            verified: true,
        };
        let mut summary = UploadSummary { files: 1, folders: 2, bytes: 5, ..UploadSummary::default() };
        summary.add(&written);
        assert_eq!(summary.sentence(), "stored 1 file and 2 folders (5 B; all in the pool already)");
        summary.add(&WriteReply { unchanged: false, ..written.clone() });
        assert_eq!(summary.sentence(), "stored 1 file and 2 folders (5 B)");
        summary.add(&WriteReply { unchanged: false, uploaded_bytes: 1 << 20, ..written });
        assert_eq!(summary.sentence(), "stored 1 file and 2 folders (5 B; 1.0 MiB new to the pool)");
    }
}
