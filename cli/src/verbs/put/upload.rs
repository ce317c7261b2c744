//! One file on its way into the store.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use fsdfs_node::control_client::ControlError;
use fsdfs_proto::control::{self, WriteReply};
use futures::Stream;

use crate::api::DaemonApi;
use crate::local::LocalAttributes;
use crate::local::scan::{ChangeWatch, SourceFile};
use crate::progress::TransferProgress;
use crate::remote::RemotePath;

/// Read at once: few system calls for large files, little memory for many in flight.
const PIECE_BYTES: u64 = 256 << 10;

/// How often a file that changes while it is read is begun again.
const TRIES: u32 = 3;

/// Why a file was not stored. Nothing of it was changed in the store.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The daemon, or the way to it.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A program writes to it.
    #[error("it changed while it was read, {TRIES} times in a row; put it again when no program writes to it")]
    ChangedWhileReading,
}

/// Stores a file as it is at one moment; begins again if it changes meanwhile.
pub async fn file(
    api: &DaemonApi,
    open: SourceFile,
    attrs: LocalAttributes,
    to: &RemotePath,
    progress: &TransferProgress,
) -> Result<WriteReply, UploadError> {
    let (mut open, mut attrs) = (open, attrs);
    for _ in 0..TRIES {
        let watch = open.watch()?;
        let reading = Arc::new(ReadState::default());
        let sent = send(api, open, attrs, to, progress, &reading).await;
        match sent {
            Ok(written) => return Ok(written),
            Err(_) if reading.changed.load(Ordering::Acquire) || !watch.is_unchanged() => {
                progress.take_back(reading.bytes.load(Ordering::Acquire));
                (open, attrs) = watch.reopen()?;
            }
            Err(error) => {
                return Err(reading
                    .error
                    .lock()
                    .ok()
                    .and_then(|mut error| error.take())
                    .map_or(error, UploadError::Read));
            }
        }
    }
    Err(UploadError::ChangedWhileReading)
}

/// What the reader of a body leaves for the caller that sees the request fail.
#[derive(Default)]
struct ReadState {
    changed: AtomicBool,
    bytes: AtomicU64,
    error: std::sync::Mutex<Option<io::Error>>,
}

async fn send(
    api: &DaemonApi,
    open: SourceFile,
    attrs: LocalAttributes,
    to: &RemotePath,
    progress: &TransferProgress,
    reading: &Arc<ReadState>,
) -> Result<WriteReply, UploadError> {
    let attrs = control::EntryAttributes { mode: attrs.mode, mtime_ns: attrs.mtime_ns };
    let size = open.size;
    let source =
        Arc::new(SourceReader { watch: open.watch()?, open, progress: progress.clone(), reading: Arc::clone(reading) });
    if size <= PIECE_BYTES {
        // Small files are read whole first: a change is noticed before anything is sent.
        let bytes = source.piece(0).await.map_err(UploadError::Read)?;
        source.check_end(bytes.len() as u64).await.map_err(UploadError::Read)?;
        return Ok(api.put_bytes(to, attrs, bytes).await?);
    }
    let path = to.bytes();
    let ask = || api.client().put(&to.volume, &path, attrs, reqwest::Body::wrap_stream(content(Arc::clone(&source))));
    Ok(api.patiently(ask).await?)
}

/// The content piece by piece. It ends with an error, and so the request does, if the file is not what it was.
fn content(source: Arc<SourceReader>) -> impl Stream<Item = io::Result<Bytes>> {
    futures::stream::try_unfold(0, move |offset| {
        let source = Arc::clone(&source);
        async move {
            let piece = source.piece(offset).await?;
            let offset = offset + piece.len() as u64;
            if piece.is_empty() {
                source.check_end(offset).await?;
                return Ok(None);
            }
            Ok(Some((piece, offset)))
        }
    })
}

/// Reads by offset, so that no shared position matters.
struct SourceReader {
    open: SourceFile,
    watch: ChangeWatch,
    progress: TransferProgress,
    reading: Arc<ReadState>,
}

impl SourceReader {
    async fn piece(self: &Arc<Self>, offset: u64) -> io::Result<Bytes> {
        if offset == 0 {
            // The request is tried again from the start when the daemon is busy.
            self.progress.take_back(self.reading.bytes.swap(0, Ordering::AcqRel));
        }
        let reader = Arc::clone(self);
        let piece = tokio::task::spawn_blocking(move || read(&reader.open, offset)).await.map_err(io::Error::other)?;
        match piece {
            Ok(piece) => {
                self.reading.bytes.fetch_add(piece.len() as u64, Ordering::AcqRel);
                self.progress.advance(piece.len() as u64);
                Ok(piece)
            }
            Err(error) => {
                let shown = io::Error::new(error.kind(), error.to_string());
                if let Ok(mut slot) = self.reading.error.lock() {
                    *slot = Some(error);
                }
                Err(shown)
            }
        }
    }

    async fn check_end(&self, offset: u64) -> io::Result<()> {
        if offset == self.open.size && self.watch.is_unchanged() {
            return Ok(());
        }
        self.reading.changed.store(true, Ordering::Release);
        Err(io::Error::other("the file changed while it was read"))
    }
}

/// Up to one piece, but not beyond the size that was seen when the file was opened.
fn read(open: &SourceFile, offset: u64) -> io::Result<Bytes> {
    let wanted = open.size.saturating_sub(offset).min(PIECE_BYTES);
    let mut piece = vec![0; usize::try_from(wanted).expect("a piece fits in memory")];
    let mut filled = 0;
    while filled < piece.len() {
        match open.file.read_at(&mut piece[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    piece.truncate(filled);
    Ok(Bytes::from(piece))
}
