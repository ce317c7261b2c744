//! One file on its way out of the store: the network side feeds a thread that owns the file.

use std::io::{self, Write};

use bytes::Bytes;
use fsdfs_node::control_client::ControlError;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::api::DaemonApi;
use crate::local::LocalAttributes;
use crate::local::write::{IncomingFile, LocalFolder, OverwritePolicy, WriteError};
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

enum FilePiece {
    Bytes(Bytes),
    /// All of it came; only now may the file get its name.
    End(LocalAttributes),
}

/// Fetches `from` into `folder` as `name`.
pub async fn file(
    api: &DaemonApi,
    from: &RemotePath,
    folder: &LocalFolder,
    name: &[u8],
    existing: OverwritePolicy,
    progress: &TransferProgress,
) -> Result<u64, DownloadError> {
    let download = api.download(from, None).await?;
    let incoming = folder.begin(name)?;
    let (pieces, writer) = writer(incoming, existing);
    let mut shown = progress.file();
    let sent = receive(download, &pieces, &mut shown).await;
    drop(pieces);
    // If the writer failed, that is why sending to it did.
    match writer.await {
        Ok(written) => written?,
        Err(error) => return Err(WriteError::Io(io::Error::other(error)).into()),
    }
    let got = sent?;
    shown.keep();
    Ok(got)
}

async fn receive(
    download: fsdfs_node::control_client::Download,
    pieces: &mpsc::Sender<FilePiece>,
    progress: &mut FileProgress,
) -> Result<u64, DownloadError> {
    let (size, attrs) = (download.size, LocalAttributes { mode: download.mode, mtime_ns: download.mtime_ns });
    let mut content = download.content();
    let mut got = 0;
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
    let _ = pieces.send(FilePiece::End(attrs)).await;
    Ok(got)
}

/// Without an end the file is dropped, and its temporary name with it: also when the whole program is interrupted.
fn writer(
    mut incoming: IncomingFile,
    existing: OverwritePolicy,
) -> (mpsc::Sender<FilePiece>, JoinHandle<Result<(), WriteError>>) {
    let (send, mut pieces) = mpsc::channel(PIECES);
    let task = tokio::task::spawn_blocking(move || {
        while let Some(piece) = pieces.blocking_recv() {
            match piece {
                FilePiece::Bytes(bytes) => incoming.file.write_all(&bytes)?,
                FilePiece::End(attrs) => return incoming.publish(attrs, existing),
            }
        }
        Ok(())
    });
    (send, task)
}
