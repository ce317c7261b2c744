//! The standard input on its way into the store.

use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fsdfs_proto::control;
use futures::{Stream, TryStreamExt};
use rustix::fs::{FileType, SeekFrom, fstat, seek};
use tokio::sync::mpsc;

use crate::api::DaemonApi;
use crate::progress::TransferProgress;
use crate::remote::RemotePath;
use crate::verbs::put::upload::{StoredFile, UploadError};

/// Read at once.
const PIECE_BYTES: usize = 256 << 10;

/// Stores the standard input.
pub async fn store(api: &DaemonApi, to: &RemotePath, progress: &TransferProgress) -> Result<StoredFile, UploadError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos();
    let attrs = control::EntryAttributes { mode: 0o644, mtime_ns: i64::try_from(now).unwrap_or(i64::MAX) };
    expect(progress);
    let (advanced, broken) = (progress.clone(), Arc::new(Mutex::new(None)));
    let slot = Arc::clone(&broken);
    let body = pieces().inspect_ok(move |piece| advanced.advance(piece.len() as u64)).map_err(move |error| {
        // The HTTP client says only that the body failed.
        let shown = io::Error::new(error.kind(), error.to_string());
        if let Ok(mut slot) = slot.lock() {
            *slot = Some(error);
        }
        shown
    });
    // Not patient: the standard input can be read only once.
    let sent = api.client().put(&to.volume, &to.bytes(), attrs, reqwest::Body::wrap_stream(body)).await;
    match broken.lock().ok().and_then(|mut broken| broken.take()) {
        Some(error) => Err(UploadError::Read(error)),
        None => Ok(StoredFile { written: sent?, grew: false }),
    }
}

/// A file that was redirected has a size; a pipe or terminal ends when it ends.
fn expect(progress: &TransferProgress) {
    let input = io::stdin();
    let size = fstat(&input).ok().filter(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    let size = size.and_then(|stat| u64::try_from(stat.st_size).ok()).filter(|size| *size > 0);
    match size.zip(seek(&input, SeekFrom::Current(0)).ok()) {
        Some((size, position)) => progress.expect(size.saturating_sub(position)),
        None => progress.expect_unknown(),
    }
}

/// Read on a thread of its own, which ends with the program if nothing comes any more.
fn pieces() -> impl Stream<Item = io::Result<Bytes>> + Send {
    let (send, read_pieces) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let read = input.read(&mut piece);
            let is_last = !matches!(read, Ok(1..));
            let read = read.map(|length| {
                piece.truncate(length);
                Bytes::from(piece)
            });
            if send.blocking_send(read).is_err() || is_last {
                return;
            }
        }
    });
    futures::stream::unfold(read_pieces, async |mut rest| rest.recv().await.map(|piece| (piece, rest)))
}
