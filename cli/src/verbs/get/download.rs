//! One file on its way out of the store: the network side feeds a thread that owns the file.

use std::io;

use bytes::Bytes;
use fsdfs_node::control_client::{ControlError, Download, DownloadRange};
use fsdfs_proto::control::ExtendedAttribute;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::api::DaemonApi;
use crate::local::LocalAttributes;
use crate::local::incoming::{IncomingFile, LARGE_BYTES};
use crate::local::journal::{STRETCH_BYTES, VerifiedPart};
use crate::local::write::{LocalFolder, OverwritePolicy, WriteError};
use crate::progress::{FileProgress, TransferProgress};
use crate::remote::RemotePath;

/// Pieces between network and disk; a piece is at most a block.
const PIECES: usize = 8;

/// Why a file was not fetched. What stood there before still stands.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The daemon, or the way to it.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// This machine.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The daemon ended the content early without saying why.
    #[error("received only {got} of {size} bytes")]
    Short {
        /// Bytes that came.
        got: u64,
        /// Bytes expected.
        size: u64,
    },
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownloadedFile {
    /// Of the file, those included that were here.
    pub bytes: u64,
    /// All its extended attributes could be set.
    pub has_xattrs: bool,
}

enum FilePiece {
    Bytes(Bytes),
    /// All of it came; only now may the file get its name.
    End(LocalAttributes, Vec<ExtendedAttribute>),
}

/// Fetches `from`, of about `size` bytes, into `folder` as `name`. A large file goes on where an earlier get of the same
/// content stopped.
pub async fn file(
    api: &DaemonApi,
    from: &RemotePath,
    size: u64,
    target: (&LocalFolder, &[u8]),
    existing: OverwritePolicy,
    progress: &TransferProgress,
) -> Result<DownloadedFile, DownloadError> {
    let (mut incoming, found) = begin(target.0.clone(), target.1.to_vec(), size).await?;
    let range = found.map_or(DownloadRange::Whole, |found| rest_of(&found, size));
    let download = api.download(from, &range).await?;
    let start = if let (true, DownloadRange::Rest(start, _)) = (download.is_part, &range) { *start } else { 0 };
    incoming.go_on(&download.tag, start).map_err(WriteError::from)?;
    let (pieces, writer) = writer(incoming, existing);
    let mut shown = progress.file();
    shown.advance(start);
    let sent = receive(download, start, &pieces, &mut shown).await;
    drop(pieces);
    // If the writer failed, that is why sending to it did.
    let has_xattrs = match writer.await {
        Ok(written) => written?,
        Err(error) => return Err(WriteError::Io(io::Error::other(error)).into()),
    };
    let bytes = sent?;
    shown.keep();
    Ok(DownloadedFile { bytes, has_xattrs })
}

async fn begin(
    folder: LocalFolder,
    name: Vec<u8>,
    size: u64,
) -> Result<(IncomingFile, Option<VerifiedPart>), DownloadError> {
    if size < LARGE_BYTES {
        return Ok((folder.begin(&name, size)?, None));
    }
    // What is there is read and compared, which takes its time.
    let begun = tokio::task::spawn_blocking(move || {
        let mut incoming = folder.begin(&name, size)?;
        let found = incoming.found()?;
        Ok::<_, WriteError>((incoming, found))
    });
    Ok(begun.await.map_err(|error| WriteError::Io(io::Error::other(error)))??)
}

/// At least one byte is asked for, even if all of them are here: the answer says whether they are still the right ones.
fn rest_of(found: &VerifiedPart, size: u64) -> DownloadRange {
    let whole_stretches = size.saturating_sub(1) / STRETCH_BYTES * STRETCH_BYTES;
    match found.bytes.min(whole_stretches) {
        0 => DownloadRange::Whole,
        here => DownloadRange::Rest(here, found.tag.clone()),
    }
}

/// The bytes of the file that are here at the end.
async fn receive(
    mut download: Download,
    start: u64,
    pieces: &mpsc::Sender<FilePiece>,
    progress: &mut FileProgress,
) -> Result<u64, DownloadError> {
    let (size, attrs) = (download.size, LocalAttributes { mode: download.mode, mtime_ns: download.mtime_ns });
    let xattrs = std::mem::take(&mut download.xattrs);
    let mut content = download.content();
    let mut got = start;
    while let Some(bytes) = content.next().await {
        let bytes = bytes?;
        got += bytes.len() as u64;
        progress.advance(bytes.len() as u64);
        if pieces.send(FilePiece::Bytes(bytes)).await.is_err() {
            return Ok(got);
        }
    }
    if got != size {
        return Err(DownloadError::Short { got, size });
    }
    let _ = pieces.send(FilePiece::End(attrs, xattrs)).await;
    Ok(got)
}

/// Without an end the file is dropped, and its temporary name with it unless it can be gone on with: also when the whole
/// program is interrupted.
fn writer(
    mut incoming: IncomingFile,
    existing: OverwritePolicy,
) -> (mpsc::Sender<FilePiece>, JoinHandle<Result<bool, WriteError>>) {
    let (send, mut pieces) = mpsc::channel(PIECES);
    let task = tokio::task::spawn_blocking(move || {
        while let Some(piece) = pieces.blocking_recv() {
            match piece {
                FilePiece::Bytes(bytes) => incoming.write(&bytes)?,
                FilePiece::End(attrs, xattrs) => {
                    let has_xattrs = incoming.set_xattrs(&xattrs);
                    return incoming.publish(attrs, existing).map(|()| has_xattrs);
                }
            }
        }
        Ok(true)
    });
    (send, task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_has_at_least_one_byte() {
        let rest = |bytes, size| rest_of(&VerifiedPart { tag: "t".into(), bytes: bytes * STRETCH_BYTES }, size);
        let from = |bytes| DownloadRange::Rest(bytes * STRETCH_BYTES, "t".into());
        assert_eq!(rest(2, 5 * STRETCH_BYTES), from(2));
        assert_eq!(rest(5, 5 * STRETCH_BYTES), from(4));
        assert_eq!(rest(5, 5 * STRETCH_BYTES + 1), from(5));
        assert_eq!(rest(9, 5 * STRETCH_BYTES), from(4), "the file became shorter");
        assert_eq!(rest(9, 0), DownloadRange::Whole);
    }
}
