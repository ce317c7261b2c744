//! The log of facts, in the home folder and as a copy on every disk.
//!
//! A folder of log files. Each start opens a new file instead of appending to an old one: nothing is ever written behind
//! a torn tail. Compaction replaces the *sealed* files by one; the others go on meanwhile. The order of entries means nothing,
//! and an entry may be there twice; so every crash in between leaves at worst too much.

mod reserve;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fsdfs_proto::codec::FormatError;
use fsdfs_proto::record::{
    FRAME_HEAD_BYTES, FRAME_PAYLOAD_BYTES_MAX, LOG_HEADER_BYTES, LogEntry, LogHeader, SegmentMarker, frame,
    frame_payload, log_entry,
};

use crate::store::error::is_full;
use crate::store::fs::around::{ReadAround, is_of_the_medium};
use crate::store::fs::{FileHandle, FileSystem, create_dir, publish, remove_if_there};
use crate::store::segment;
use crate::store::segment::scan::find;

/// Below this no compaction is worth its writing: some thousand heads. More would be more than a small disk keeps for removals.
const LONG_BYTES_MIN: u64 = if cfg!(test) { 64 << 10 } else { 1 << 20 };
/// Of a file that [`publish`] has not finished.
const UNFINISHED: &str = ".log.tmp";

/// A folder of log files.
pub(crate) struct LogFolder {
    file_system: Arc<dyn FileSystem>,
    dir: PathBuf,
    /// Files of which everything that counts is known to whoever says what to keep: the next compaction replaces them.
    sealed: Vec<u64>,
    /// Files written since; the last one may be the current one.
    recent: Vec<u64>,
    /// What the only sealed file holds, by which a compaction that would change nothing is noticed.
    loaded: Option<Vec<Bytes>>,
    /// What this version does not understand of that: it is kept verbatim.
    unknown: Vec<LogEntry>,
    current: Option<CurrentFile>,
    next: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that were left after the last compaction, or were there when it was opened.
    live_bytes: u64,
    /// Times something was made durable since the folder was opened.
    pub syncs: u64,
    /// When it was opened, entries were missing that had been written: damage, with entries behind it, or a part that the
    /// disk did not give back.
    pub damaged: bool,
}

/// What reading a file found.
enum FileState {
    /// All that was promised; a torn tail never was.
    Whole,
    /// Something in it is no frame, and frames follow.
    Damaged,
    /// The disk did not give back some of it. It is left alone: it may be readable another time.
    Unreadable,
}

struct CurrentFile {
    file: Arc<dyn FileHandle>,
    marker: SegmentMarker,
    end: u64,
    named: bool,
}

impl LogFolder {
    /// Opens the folder, made if need be, and reads every entry in it that the disk gives back.
    pub fn open(file_system: Arc<dyn FileSystem>, dir: PathBuf) -> io::Result<(Self, Vec<Bytes>)> {
        Self::open_with(file_system, dir, |error| if is_of_the_medium(&error) { Ok(()) } else { Err(error) })
    }

    /// The same; a file that cannot be read is left out and left alone, compaction included, if `unreadable` says so.
    pub fn open_with(
        file_system: Arc<dyn FileSystem>,
        dir: PathBuf,
        unreadable: impl Fn(io::Error) -> io::Result<()>,
    ) -> io::Result<(Self, Vec<Bytes>)> {
        create_dir(&*file_system, &dir)?;
        let mut entries = Vec::new();
        let (mut sealed, mut bytes, mut next, mut complete, mut damaged) = (Vec::new(), 0, 1, true, false);
        for (name, len) in file_system.list(&dir)? {
            if name.ends_with(UNFINISHED) {
                // A compaction that was killed; what it was to replace is there.
                let _ = file_system.remove(&dir.join(&name));
            }
            let Some(number) = number_of(&name) else { continue };
            bytes += len;
            next = number + 1;
            match file_system.open(&dir.join(&name)).and_then(|file| read_file(&*file, &mut entries)) {
                Ok(FileState::Whole) => sealed.push(number),
                Ok(FileState::Damaged) => {
                    damaged = true;
                    sealed.push(number);
                }
                Ok(FileState::Unreadable) => (damaged, complete) = (true, false),
                Err(error) => {
                    unreadable(error)?;
                    (damaged, complete) = (true, false);
                }
            }
        }
        if !sealed.is_empty() {
            // The last start may have been killed before it made the name of its file durable.
            file_system.sync_dir(&dir)?;
        }
        let loaded = (complete && sealed.len() == 1).then(|| entries.clone());
        let unknown = entries.iter().map(|entry| log_entry(entry));
        let unknown = unknown.filter(|entry| matches!(entry, LogEntry::Unknown(_))).collect();
        let log = Self {
            file_system,
            dir,
            sealed,
            recent: Vec::new(),
            loaded,
            unknown,
            current: None,
            next,
            bytes,
            live_bytes: bytes,
            syncs: 0,
            damaged,
        };
        Ok((log, entries))
    }

    /// Nobody took in what was read when it was opened, so compaction leaves it alone.
    pub fn leave_old_files(&mut self) {
        (self.sealed, self.loaded, self.live_bytes) = (Vec::new(), None, 0);
    }

    /// It is twice as long as what it has to hold.
    pub fn is_long(&self) -> bool {
        self.bytes >= LONG_BYTES_MIN && self.bytes / 2 >= self.live_bytes
    }

    /// What was appended until now may be replaced by the next compaction; what is appended from now on is not.
    pub fn seal(&mut self) {
        self.current = None;
        if !self.recent.is_empty() {
            self.sealed.append(&mut self.recent);
            self.loaded = None;
        }
    }

    /// Keeps some space for when the file system is full. Whether it has.
    pub fn keep_reserve(&self) -> bool {
        reserve::keep(&*self.file_system, &self.dir).unwrap_or(false)
    }

    /// Gives that space to whatever is written next. Whether there was any.
    pub fn use_reserve(&self) -> bool {
        reserve::give_way(&*self.file_system, &self.dir)
    }

    /// The next append begins a new file.
    pub fn start_over(&mut self) {
        self.current = None;
    }

    /// Appends; the entries are durable when it returns `Ok`. After an error none of them is promised. If the disk was
    /// merely full the next call goes on, else it begins a new file.
    pub fn append(&mut self, entries: &[LogEntry]) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.create()?,
        };
        let frames = frames(entries, &current.marker)?;
        let parts: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let len: usize = frames.iter().map(Vec::len).sum();
        if let Err(error) = current.file.write_at(&parts, current.end) {
            // A disk that stays full would gather one file for each time it was tried.
            if current.file.truncate(current.end).is_ok() && is_full(&error) {
                self.current = Some(current);
            }
            return Err(error);
        }
        // A file whose sync failed is dropped here and never touched again: the kernel may have forgotten the pages, so a
        // second sync that succeeds would prove nothing.
        current.file.sync_data()?;
        self.syncs += 1;
        if !current.named {
            self.file_system.sync_dir(&self.dir)?;
            self.syncs += 1;
            current.named = true;
        }
        current.end += len as u64;
        self.bytes += len as u64;
        self.current = Some(current);
        Ok(())
    }

    /// Replaces the sealed files by one that holds these. What was appended since stays.
    pub fn compact(&mut self, keep: &[LogEntry]) -> io::Result<()> {
        let done = self.replace_sealed(keep);
        if done.is_err() {
            // Not again before it has doubled once more: a full disk would be asked with every entry.
            self.live_bytes = self.bytes;
        }
        done
    }

    fn replace_sealed(&mut self, keep: &[LogEntry]) -> io::Result<()> {
        let marker = segment::marker()?;
        let mut frames = frames(keep, &marker)?;
        frames.extend(self::frames(&self.unknown, &marker)?);
        let unchanged = self.loaded.take().is_some_and(|loaded| {
            loaded.len() == frames.len() && loaded.iter().zip(&frames).all(|(old, new)| *old == new[FRAME_HEAD_BYTES..])
        });
        if unchanged || (frames.is_empty() && self.sealed.is_empty()) {
            return Ok(());
        }
        let number = self.take_number();
        let header = LogHeader { marker }.encode();
        let file: Vec<u8> =
            [&header[..]].into_iter().chain(frames.iter().map(Vec::as_slice)).collect::<Vec<_>>().concat();
        publish(&*self.file_system, &self.dir, &file_name(number), &file)?;
        // The file and its name. Only now may the others go; whatever of them stays says nothing wrong.
        self.syncs += 2;
        let mut removed = Ok(());
        for old in std::mem::replace(&mut self.sealed, vec![number]) {
            if let Err(error) = remove_if_there(&*self.file_system, &self.dir.join(file_name(old))) {
                self.sealed.push(old);
                removed = Err(error);
            }
        }
        self.live_bytes = file.len() as u64;
        let files = self.file_system.list(&self.dir)?;
        self.bytes = files.iter().filter(|(name, _)| number_of(name).is_some()).map(|(_, len)| len).sum();
        removed
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn create(&mut self) -> io::Result<CurrentFile> {
        let marker = segment::marker()?;
        let number = self.take_number();
        let path = self.dir.join(file_name(number));
        let file = self.file_system.create(&path)?;
        if let Err(error) = file.write_at(&[&LogHeader { marker }.encode()], 0) {
            // An empty file harms nobody, but a full disk would gather them.
            let _ = self.file_system.remove(&path);
            return Err(error);
        }
        self.bytes += LOG_HEADER_BYTES as u64;
        self.recent.push(number);
        Ok(CurrentFile { file, marker, end: LOG_HEADER_BYTES as u64, named: false })
    }

    fn take_number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}

/// Every entry once, in the order of its first appearance.
pub(crate) fn union(logs: impl IntoIterator<Item = Bytes>) -> Vec<Bytes> {
    let mut seen = BTreeSet::new();
    logs.into_iter().filter(|entry| seen.insert(entry.clone())).collect()
}

fn frames(entries: &[LogEntry], marker: &SegmentMarker) -> io::Result<Vec<Vec<u8>>> {
    let frames = entries.iter().map(|entry| frame(entry, marker));
    frames.collect::<Result<_, _>>().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// Whole frames; damage between them is skipped, a torn tail ends the file.
fn read_file(file: &dyn FileHandle, entries: &mut Vec<Bytes>) -> io::Result<FileState> {
    // What cannot be made durable is believed, but not relied on: it is written anew, like what comes after it.
    let is_durable = match file.sync_or_discard() {
        Err(error) if !is_of_the_medium(&error) => return Err(error),
        synced => synced.is_ok(),
    };
    let file = ReadAround::new(file, &|| true);
    let len = file.len()?;
    let mut state = FileState::Whole;
    if let Some(marker) = read_marker(&file)? {
        let (mut at, mut gap) = (LOG_HEADER_BYTES as u64, false);
        while at < len {
            match read_frame(&file, at, &marker)? {
                Some(payload) => {
                    at += (FRAME_HEAD_BYTES + payload.len()) as u64;
                    entries.push(payload);
                    if gap {
                        state = FileState::Damaged;
                    }
                }
                None => match find(&file, at + 1, len, &marker)? {
                    Some(next) => (at, gap) = (next, true),
                    None => break,
                },
            }
        }
    }
    Ok(if is_durable && file.lost_bytes() == 0 { state } else { FileState::Unreadable })
}

/// The header's marker. If the header is damaged, what stands at the place of the first frame, if it is one. Of a file
/// without either no entry was promised, or the other copies have them.
fn read_marker(file: &dyn FileHandle) -> io::Result<Option<SegmentMarker>> {
    let mut begin = [0; LOG_HEADER_BYTES + 8];
    let read = file.read_at(&mut begin, 0)?;
    match LogHeader::decode(&begin[..read]) {
        Ok(header) => Ok(Some(header.marker)),
        // Compaction would delete what a newer version wrote.
        Err(error @ FormatError::TooNew { .. }) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        Err(_) => {
            let marker = *begin.last_chunk::<8>().expect("longer than eight bytes");
            let first = read_frame(file, LOG_HEADER_BYTES as u64, &marker)?;
            Ok(first.map(|_| marker))
        }
    }
}

fn read_frame(file: &dyn FileHandle, at: u64, marker: &SegmentMarker) -> io::Result<Option<Bytes>> {
    let mut head = [0; FRAME_HEAD_BYTES];
    if file.read_at(&mut head, at)? < FRAME_HEAD_BYTES || head[..8] != marker[..] {
        return Ok(None);
    }
    let len = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
    if len > FRAME_PAYLOAD_BYTES_MAX {
        return Ok(None);
    }
    let mut bytes = vec![0; FRAME_HEAD_BYTES + len];
    let read = file.read_at(&mut bytes, at)?;
    bytes.truncate(read);
    let bytes = Bytes::from(bytes);
    Ok(frame_payload(&bytes, marker).map(|payload| bytes.slice_ref(payload)))
}

fn file_name(number: u64) -> String {
    format!("{number:016x}.log")
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// The folder's name below a home folder or a disk.
pub(crate) fn folder(root: &Path) -> PathBuf {
    root.join("log")
}
