//! One file on its way out of the store: the network side feeds a thread that owns the file.

use std::io;

use fsdfs_node::control_client::{Download, DownloadRange};
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::api::DaemonApi;
use crate::local::LocalAttributes;
use crate::local::incoming::{IncomingFile, LARGE_BYTES};
use crate::local::journal::{STRETCH_BYTES, VerifiedPart};
use crate::local::write::{LocalFolder, OverwritePolicy, WriteError};
use crate::progress::{FileProgress, TransferProgress};
use crate::remote::RemotePath;
use crate::verbs::get::pieces::{DownloadError, DownloadedFile, FilePiece, ended, writer};
use crate::verbs::get::sparse::SparseFile;

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
    if size >= LARGE_BYTES
        && let Some(sparse) = SparseFile::look(api, from).await?
    {
        return sparse.fetch(api, (incoming, found), existing, progress.file()).await;
    }
    let range = found.map_or(DownloadRange::Whole, |found| rest_of(&found, size));
    let download = api.download(from, &range).await?;
    let start = if let (true, DownloadRange::Rest(start, _)) = (download.is_part, &range) { *start } else { 0 };
    incoming.go_on(&download.tag, start).map_err(WriteError::from)?;
    let (pieces, writer) = writer(incoming, existing);
    let mut shown = progress.file();
    shown.advance(start);
    let sent = receive(download, start, &pieces, &mut shown).await;
    drop(pieces);
    ended(writer, sent, shown).await
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
