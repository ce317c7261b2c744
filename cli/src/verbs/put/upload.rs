//! One file on its way into the store.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fsdfs_node::control_client::{ControlError, FurtherAttributes};
use fsdfs_proto::control::{self, WriteReply};
use futures::Stream;

use crate::api::DaemonApi;
use crate::local::scan::{ChangeWatch, FileChange, SourceFile};
use crate::local::{LocalAttributes, holes};
use crate::progress::TransferProgress;
use crate::remote::RemotePath;

/// Read at once: few system calls for large files, little memory for many in flight. A file up to this is sent in one piece.
const PIECE_BYTES: usize = 256 << 10;
/// Read where a file should have ended: that there is nothing more is what is expected.
const PROBE_BYTES: usize = 4 << 10;

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

/// A file that was stored.
#[derive(Debug)]
pub struct StoredFile {
    /// How.
    pub written: WriteReply,
    /// It grew meanwhile, and was stored as it was when reading began.
    pub grew: bool,
}

/// Stores a file as it is at one moment; begins again if it changes meanwhile.
pub async fn file(
    api: &DaemonApi,
    open: SourceFile,
    (attrs, further): (LocalAttributes, FurtherAttributes),
    to: &RemotePath,
    progress: &TransferProgress,
) -> Result<StoredFile, UploadError> {
    let expected = open.size;
    let (mut open, mut attrs) = (open, attrs);
    for _ in 0..TRIES {
        let watch = open.watch()?;
        let reading = Arc::new(ReadState::default());
        let error = match send(api, open, (attrs, &further), to, progress, &reading).await {
            Ok(written) => {
                progress.correct(expected, written.bytes);
                return Ok(StoredFile { written, grew: reading.grew.load(Ordering::Acquire) });
            }
            Err(error) => error,
        };
        progress.take_back(reading.bytes.load(Ordering::Acquire));
        if !reading.changed.load(Ordering::Acquire) {
            progress.unexpect(expected);
            let read = reading.error.lock().ok().and_then(|mut error| error.take());
            return Err(read.map_or(error, UploadError::Read));
        }
        (open, attrs) = watch.reopen()?;
    }
    progress.unexpect(expected);
    Err(UploadError::ChangedWhileReading)
}

/// The content of a file of at most `max` bytes, if it is what its size says and does not change. What is not so simple has a
/// request of its own.
pub fn small_content(open: &SourceFile, max: usize) -> Option<Bytes> {
    let size = usize::try_from(open.size).ok().filter(|size| *size <= max)?;
    let watch = open.watch().ok()?;
    // One byte more, for a file that is longer than it tells.
    let content = read(open, 0, size + 1).ok()?;
    (content.len() == size && watch.change() == FileChange::Unchanged).then_some(content)
}

/// What the reader of a body leaves for the caller that sees the request fail.
#[derive(Debug, Default)]
struct ReadState {
    changed: AtomicBool,
    grew: AtomicBool,
    bytes: AtomicU64,
    /// Over all that was read, so that it can be told from what stands there afterwards.
    checksum: Mutex<crc32fast::Hasher>,
    error: Mutex<Option<io::Error>>,
}

async fn send(
    api: &DaemonApi,
    open: SourceFile,
    (attrs, further): (LocalAttributes, &FurtherAttributes),
    to: &RemotePath,
    progress: &TransferProgress,
    reading: &Arc<ReadState>,
) -> Result<WriteReply, UploadError> {
    let attrs = control::EntryAttributes { mode: attrs.mode, mtime_ns: attrs.mtime_ns };
    let is_small = open.size <= PIECE_BYTES as u64;
    let holes = if open.is_sparse { holes_of(&open).await? } else { Vec::new() };
    let further = &FurtherAttributes { holes: holes.clone(), ..further.clone() };
    let watch = open.watch()?;
    let source =
        Arc::new(SourceReader { watch, open, holes, progress: progress.clone(), reading: Arc::clone(reading) });
    // Small files are read whole first: a change is noticed before anything is sent.
    if is_small && let Some(bytes) = source.whole().await? {
        return Ok(api.put_bytes(to, (attrs, further), bytes).await?);
    }
    let path = to.bytes();
    let ask = || {
        api.client().put_with(
            &to.volume,
            &path,
            (attrs, further),
            reqwest::Body::wrap_stream(content(Arc::clone(&source))),
        )
    };
    Ok(api.patiently(ask).await?)
}

/// A file may have millions of them.
async fn holes_of(open: &SourceFile) -> io::Result<Vec<Range<u64>>> {
    let (file, size) = (open.file.try_clone()?, open.size);
    tokio::task::spawn_blocking(move || holes::of(&file, size)).await.map_err(io::Error::other)
}

/// The content piece by piece, without its holes. It ends with an error, and so the request does, if the file is not what it was.
fn content(source: Arc<SourceReader>) -> impl Stream<Item = io::Result<Bytes>> {
    futures::stream::try_unfold(0, move |offset| {
        let source = Arc::clone(&source);
        async move {
            let (piece, next) = source.in_background(move |source| source.next(offset)).await?;
            Ok((!piece.is_empty()).then_some((piece, next)))
        }
    })
}

/// Reads by offset, so that no shared position matters.
struct SourceReader {
    open: SourceFile,
    watch: ChangeWatch,
    /// Are not read.
    holes: Vec<Range<u64>>,
    progress: TransferProgress,
    reading: Arc<ReadState>,
}

impl SourceReader {
    async fn in_background<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let reader = Arc::clone(self);
        tokio::task::spawn_blocking(move || read(&reader)).await.map_err(io::Error::other)?
    }

    /// All of it, unless it is too much for one piece.
    async fn whole(self: &Arc<Self>) -> io::Result<Option<Bytes>> {
        self.in_background(|source| {
            source.begin();
            let mut pieces = source.piece(0)?;
            loop {
                let piece = source.piece(pieces.len() as u64)?;
                match piece.len() {
                    0 => return Ok(Some(pieces)),
                    more if pieces.len() + more > PIECE_BYTES => return Ok(None),
                    _ => pieces = [pieces, piece].concat().into(),
                }
            }
        })
        .await
    }

    /// The request is tried again from the start when the daemon is busy.
    fn begin(&self) {
        self.progress.take_back(self.reading.bytes.swap(0, Ordering::AcqRel));
        self.checksum(crc32fast::Hasher::reset);
    }

    /// The piece at `offset`, or behind the hole that begins there, and the place behind it.
    fn next(&self, offset: u64) -> io::Result<(Bytes, u64)> {
        if offset == 0 {
            self.begin();
        }
        let hole = self.holes.iter().find(|hole| hole.start == offset);
        let from = hole.map_or(offset, |hole| hole.end);
        self.came(from - offset);
        let piece = self.piece(from)?;
        let next = from + piece.len() as u64;
        Ok((piece, next))
    }

    fn came(&self, bytes: u64) {
        self.reading.bytes.fetch_add(bytes, Ordering::AcqRel);
        self.progress.advance(bytes);
    }

    /// The piece at `offset`; empty at the end, if the file is still what it was.
    fn piece(&self, offset: u64) -> io::Result<Bytes> {
        let piece = self.read(offset).inspect_err(|error| {
            if let Ok(mut slot) = self.reading.error.lock() {
                *slot = Some(io::Error::new(error.kind(), error.to_string()));
            }
        })?;
        if piece.is_empty() {
            self.check_end(offset)?;
            return Ok(piece);
        }
        self.checksum(|checksum| checksum.update(&piece));
        self.came(piece.len() as u64);
        Ok(piece)
    }

    fn checksum<T>(&self, use_it: impl FnOnce(&mut crc32fast::Hasher) -> T) -> T {
        use_it(&mut self.reading.checksum.lock().expect("no holder of this lock panics"))
    }

    /// Up to the size that was seen when the file was opened. Beyond it only if the file has not grown: then its size is not
    /// what it tells, as in /proc, and it ends where nothing more comes.
    fn read(&self, offset: u64) -> io::Result<Bytes> {
        let hole = self.holes.iter().map(|hole| hole.start).find(|start| *start > offset);
        let wanted = match hole.unwrap_or(self.open.size).saturating_sub(offset) {
            0 if self.watch.change() == FileChange::Grown => 0,
            0 if offset > self.open.size => PIECE_BYTES,
            0 => PROBE_BYTES,
            left => usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES),
        };
        read(&self.open, offset, wanted)
    }

    /// At the end of what was read: the file is what it was, or it is that and more.
    fn check_end(&self, offset: u64) -> io::Result<()> {
        let is_same = match self.watch.change() {
            FileChange::Unchanged => true,
            // Of an empty file that has content now the content is meant. Holes may have been filled: no log has any.
            FileChange::Grown if offset == self.open.size && offset > 0 && self.holes.is_empty() => {
                self.begins_as_read(offset)?
            }
            FileChange::Grown | FileChange::Changed => false,
        };
        if is_same {
            return Ok(());
        }
        self.reading.changed.store(true, Ordering::Release);
        Err(io::Error::other("the file changed while it was read"))
    }

    /// A file that only grew, such as a log, still begins with what was read. One that was rewritten does not.
    fn begins_as_read(&self, bytes: u64) -> io::Result<bool> {
        let mut now = crc32fast::Hasher::new();
        let mut offset = 0;
        while offset < bytes {
            let left = usize::try_from(bytes - offset).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let piece = read(&self.open, offset, left)?;
            if piece.is_empty() {
                return Ok(false);
            }
            now.update(&piece);
            offset += piece.len() as u64;
        }
        self.reading.grew.store(true, Ordering::Release);
        Ok(self.checksum(|checksum| checksum.clone().finalize()) == now.finalize())
    }
}

/// So many bytes from `offset` on; fewer only at the end.
fn read(open: &SourceFile, offset: u64, wanted: usize) -> io::Result<Bytes> {
    let mut piece = vec![0; wanted];
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

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one hole")]
mod tests {
    use super::*;
    use crate::local::FollowLinks;
    use crate::local::scan::{FoundKind, OwnFolders, TreeScan};
    use crate::output::OutputMode;
    use futures::{StreamExt, TryStreamExt};
    use std::fs::File;
    use std::io::Write;
    use std::path::{Path, PathBuf};

    fn reader(path: &Path) -> Arc<SourceReader> {
        let found = TreeScan::new(path, OwnFolders::new(), FollowLinks::Never).expect("readable").next();
        let FoundKind::File(open) = found.expect("one").expect("readable").what else { panic!("{path:?} is a file") };
        let progress = TransferProgress::new(OutputMode { json: true, quiet: true });
        let (holes, watch) = (holes::of(&open.file, open.size), open.watch().expect("dup"));
        Arc::new(SourceReader { watch, open, holes, progress, reading: Arc::default() })
    }

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().expect("temp");
        let path = temp.path().join("file");
        std::fs::write(&path, content).expect("written");
        (temp, path)
    }

    async fn all(source: Arc<SourceReader>) -> io::Result<Vec<u8>> {
        content(source).map_ok(|piece| piece.to_vec()).try_concat().await
    }

    #[tokio::test]
    async fn a_file_is_read_to_its_end_whatever_size_it_tells() {
        for path in ["/proc/version", "/proc/self/maps", "/sys/kernel/mm/transparent_hugepage/enabled"] {
            let Ok(expected) = std::fs::read(path) else { continue };
            let first_line = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').next().map(<[u8]>::to_vec);
            // Begun again as a put does it: the kernel's files may say at any time that they have changed.
            let (mut whole, mut pieces) = (None, None);
            for _ in 0..TRIES {
                whole = whole.or(reader(Path::new(path)).whole().await.ok().flatten());
                pieces = pieces.or(all(reader(Path::new(path))).await.ok());
            }
            assert_eq!(first_line(&whole.expect("small")), first_line(&expected), "{path}");
            assert_eq!(first_line(&pieces.expect("read")), first_line(&expected), "{path}");
        }
    }

    #[test]
    fn small_files_are_read_at_once_unless_they_tell_another_size() {
        for size in [0, 1, 10] {
            let (_temp, path) = file(&vec![7; size]);
            assert_eq!(small_content(&reader(&path).open, 10).as_deref(), Some(&vec![7; size][..]));
            assert_eq!(small_content(&reader(&path).open, 9).is_some(), size < 10);
        }
        assert_eq!(small_content(&reader(Path::new("/proc/version")).open, 10_000), None);
        let (_temp, path) = file(b"content");
        let source = reader(&path);
        std::fs::write(&path, b"other and longer").expect("written");
        assert_eq!(small_content(&source.open, 100), None);
    }

    #[tokio::test]
    async fn every_size_about_one_piece_is_read_whole() {
        for size in [0, 1, PROBE_BYTES, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES] {
            let content: Vec<u8> = (0..size).map(|number| number.to_le_bytes()[0]).collect();
            let (_temp, path) = file(&content);
            assert_eq!(all(reader(&path)).await.expect("read"), content, "{size}");
            if size <= PIECE_BYTES {
                assert_eq!(reader(&path).whole().await.expect("read").as_deref(), Some(&content[..]), "{size}");
            }
        }
    }

    /// Reads the first piece, lets the file change, and reads on.
    async fn read_across(content: &[u8], change: impl FnOnce(&mut File)) -> (io::Result<Vec<u8>>, Arc<SourceReader>) {
        let (_temp, path) = file(content);
        let source = reader(&path);
        let mut pieces = Box::pin(super::content(Arc::clone(&source)));
        let first = pieces.next().await.expect("a piece").expect("readable");
        change(&mut File::options().write(true).open(&path).expect("open"));
        let rest = pieces.map_ok(|piece| piece.to_vec()).try_concat().await;
        (rest.map(|rest| [first.to_vec(), rest].concat()), source)
    }

    static LARGE: [u8; 2 * PIECE_BYTES] = [7; 2 * PIECE_BYTES];

    #[tokio::test]
    async fn holes_are_not_read_and_count_as_read() {
        let (_temp, path) = file(b"");
        let size = (1 << 40) + 5;
        let open = File::options().write(true).open(&path).expect("open");
        open.set_len(size).expect("long");
        open.write_all_at(b"content", (7 << 20) - 3).expect("written");
        let source = reader(&path);
        if source.holes.is_empty() {
            println!("skipped: this file system has no holes");
            return;
        }
        assert_eq!(source.holes, [0..6 << 20, 8 << 20..1 << 40]);
        let data = all(Arc::clone(&source)).await.expect("read");
        assert_eq!(data.len(), (2 << 20) + 5);
        assert_eq!(&data[(1 << 20) - 3..(1 << 20) + 4], b"content");
        assert_eq!(source.reading.bytes.load(Ordering::Acquire), size);
        // A hole may have been filled meanwhile: what was read is not the file.
        let source = reader(&path);
        open.set_len(size + 1).expect("longer");
        assert!(all(Arc::clone(&source)).await.is_err() && source.reading.changed.load(Ordering::Acquire));
    }

    #[tokio::test]
    async fn a_log_that_grows_is_stored_as_it_was_when_reading_began() {
        let grow = |file: &mut File| {
            use std::io::Seek;
            file.seek(io::SeekFrom::End(0)).expect("seek");
            file.write_all(b"one more line\n").expect("written");
        };
        let (read, source) = read_across(&LARGE, grow).await;
        assert_eq!(read.expect("whole").len(), LARGE.len());
        assert!(source.reading.grew.load(Ordering::Acquire));
    }

    #[tokio::test]
    async fn a_file_that_changes_otherwise_is_an_error() {
        let shrink = |file: &mut File| file.set_len(10).expect("cut");
        let rewrite = |file: &mut File| file.write_all(b"new").expect("written");
        let both = |file: &mut File| {
            file.write_all(b"new").expect("written");
            file.set_len(LARGE.len() as u64 + 5).expect("longer");
        };
        let changes: [fn(&mut File); 3] = [shrink, rewrite, both];
        for change in changes {
            let (read, source) = read_across(&LARGE, change).await;
            assert!(read.is_err() && source.reading.changed.load(Ordering::Acquire));
        }
    }
}
