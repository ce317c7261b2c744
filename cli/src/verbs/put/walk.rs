//! Walks the sources on threads of their own: once to send what is found, small files with their content, and ahead of that to
//! add up sizes for the bar.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use fsdfs_proto::control::CONTENTS_MAX;
use tokio::sync::mpsc;

use crate::local::FollowLinks;
use crate::local::scan::{FoundEntry, FoundKind, OwnFolders, SkippedEntry, TreeScan};
use crate::progress::TransferProgress;
use crate::remote::RemotePath;
use crate::verbs::put::source::{PutSource, PutTarget};
use crate::verbs::put::upload;

/// Open files that wait for a slot, or small ones for their batch.
const QUEUE: usize = 32;

/// Something found where it is, and where it goes.
#[derive(Debug)]
pub struct ScanItem {
    /// Where it is.
    pub from: PathBuf,
    /// Where it goes.
    pub to: RemotePath,
    /// It was named as a source itself.
    pub is_source: bool,
    /// What it is.
    pub found: Result<FoundEntry, SkippedEntry>,
    /// Of a small file, read already: a hand-over for each of a hundred thousand would take longer than reading it.
    pub content: Option<Bytes>,
}

/// Walks the sources on a thread of its own. It stops when the receiver is dropped.
pub fn walk(plan: &[PutTarget], own: OwnFolders, follow: FollowLinks) -> mpsc::Receiver<ScanItem> {
    let (send, found) = mpsc::channel(QUEUE);
    let plan = plan.to_vec();
    tokio::task::spawn_blocking(move || {
        for (path, to) in named(&plan) {
            let send_one = |found: Result<FoundEntry, SkippedEntry>, is_source: bool| {
                let content = found.as_ref().ok().and_then(small_content);
                let names = found.as_ref().map(|found| found.path.as_slice()).unwrap_or_default();
                let to = to.join_all(names.iter().map(Vec::as_slice));
                send.blocking_send(ScanItem { from: join(path, names), to, is_source, found, content }).is_ok()
            };
            match TreeScan::new(path, own.clone(), follow) {
                Ok(scan) => scan.below(to.names.len()).all(|found| {
                    let is_source = found.as_ref().is_ok_and(|found| found.path.is_empty());
                    send_one(found, is_source)
                }),
                Err(skipped) => send_one(Err(skipped), true),
            };
        }
    });
    found
}

fn small_content(found: &FoundEntry) -> Option<Bytes> {
    let FoundKind::File(open) = &found.what else { return None };
    upload::small_content(open, CONTENTS_MAX)
}

/// Adds up sizes for the bar, ahead of the transfer.
pub fn count(plan: &[PutTarget], own: OwnFolders, follow: FollowLinks, progress: TransferProgress) {
    let plan = plan.to_vec();
    tokio::task::spawn_blocking(move || {
        for (path, to) in named(&plan) {
            let Ok(scan) = TreeScan::new(path, own.clone(), follow) else { continue };
            for found in scan.below(to.names.len()).flatten().take_while(|_| !progress.is_finished()) {
                if let FoundKind::File(open) = found.what {
                    progress.expect(open.size);
                }
            }
        }
        progress.counted();
    });
}

fn named(plan: &[PutTarget]) -> impl Iterator<Item = (&Path, &RemotePath)> {
    plan.iter().filter_map(|(source, to)| match source {
        PutSource::Stdin => None,
        PutSource::Named { path, .. } | PutSource::Content { path } => Some((path.as_path(), to)),
    })
}

fn join(path: &Path, names: &[Vec<u8>]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    names.iter().fold(path.to_owned(), |path, name| path.join(std::ffi::OsStr::from_bytes(name)))
}
