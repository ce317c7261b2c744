//! The pieces of one file on their way to the thread that writes it, and what can come of it.

use std::io;

use bytes::Bytes;
use fsdfs_node::control_client::ControlError;
use fsdfs_proto::control::ExtendedAttribute;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::local::LocalAttributes;
use crate::local::incoming::IncomingFile;
use crate::local::write::{OverwritePolicy, WriteError};
use crate::progress::FileProgress;

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
    /// It is fetched in several parts, and they are not of one content.
    #[error("it was changed in the pool while it was fetched; get it again")]
    Changed,
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownloadedFile {
    /// Of the file, those included that were here.
    pub bytes: u64,
    /// All its extended attributes could be set.
    pub has_xattrs: bool,
}

pub enum FilePiece {
    Bytes(Bytes),
    /// So many zeros that nobody sends.
    Hole(u64),
    /// All of it came; only now may the file get its name.
    End(LocalAttributes, Vec<ExtendedAttribute>),
}

/// What came of a file whose pieces were all handed over.
pub async fn ended(
    writer: JoinHandle<Result<bool, WriteError>>,
    sent: Result<u64, DownloadError>,
    shown: FileProgress,
) -> Result<DownloadedFile, DownloadError> {
    // If the writer failed, that is why sending to it did.
    let has_xattrs = match writer.await {
        Ok(written) => written?,
        Err(error) => return Err(WriteError::Io(io::Error::other(error)).into()),
    };
    let bytes = sent?;
    shown.keep();
    Ok(DownloadedFile { bytes, has_xattrs })
}

/// Without an end the file is dropped, and its temporary name with it unless it can be gone on with: also when the whole
/// program is interrupted.
pub fn writer(
    mut incoming: IncomingFile,
    existing: OverwritePolicy,
) -> (mpsc::Sender<FilePiece>, JoinHandle<Result<bool, WriteError>>) {
    let (send, mut pieces) = mpsc::channel(PIECES);
    let task = tokio::task::spawn_blocking(move || {
        while let Some(piece) = pieces.blocking_recv() {
            match piece {
                FilePiece::Bytes(bytes) => incoming.write(&bytes)?,
                FilePiece::Hole(bytes) => incoming.skip(bytes)?,
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
