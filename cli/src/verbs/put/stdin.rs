//! The standard input on its way into the store.

use std::io::{self, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fsdfs_proto::control::{self, WriteReply};
use futures::{Stream, TryStreamExt};
use tokio::sync::mpsc;

use crate::api::DaemonApi;
use crate::progress::TransferProgress;
use crate::remote::RemotePath;
use crate::verbs::put::upload::UploadError;

/// Read at once.
const PIECE_BYTES: usize = 256 << 10;

/// Stores the standard input.
pub async fn store(api: &DaemonApi, to: &RemotePath, progress: &TransferProgress) -> Result<WriteReply, UploadError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos();
    let attrs = control::EntryAttributes { mode: 0o644, mtime_ns: i64::try_from(now).unwrap_or(i64::MAX) };
    let progress = progress.clone();
    let body = pieces().inspect_ok(move |piece| progress.advance(piece.len() as u64));
    // Not patient: the standard input can be read only once.
    Ok(api.client().put(&to.volume, &to.bytes(), attrs, reqwest::Body::wrap_stream(body)).await?)
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
