//! What was verified of a large file that is still coming: a line of text for its content's tag, then a digest for each
//! stretch, or how many of them are a hole. Whoever goes on compares the stretches with it: after a power cut a file may have its length without its bytes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;

/// Bytes under one digest: what a block of the store holds.
pub const STRETCH_BYTES: u64 = 1 << 20;

const MAGIC: &str = "fsdfs-get 1 ";
const HOLE: &str = "hole ";

/// What an earlier get left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPart {
    /// Of the content that it was getting.
    pub tag: String,
    /// From the start of the file, whole stretches.
    pub bytes: u64,
}

/// A journal that is being written.
#[derive(Debug)]
pub(super) struct BlockJournal {
    file: File,
    hasher: blake3::Hasher,
    /// Bytes in the hasher.
    filled: u64,
    /// What an earlier get left, compared.
    verified: Vec<JournalLine>,
}

#[derive(Debug)]
enum JournalLine {
    /// Of one stretch.
    Digest(String),
    /// So many stretches that no byte was written to.
    Hole(u64),
}

impl JournalLine {
    fn read(line: &str) -> Option<Self> {
        match line.strip_prefix(HOLE) {
            Some(count) => count.parse().ok().map(Self::Hole),
            None => Some(Self::Digest(line.to_owned())),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Digest(digest) => format!("{digest}\n"),
            Self::Hole(count) => format!("{HOLE}{count}\n"),
        }
    }
}

impl BlockJournal {
    /// An empty one, or that of an earlier get.
    pub fn new(fd: OwnedFd) -> Self {
        Self { file: fd.into(), hasher: blake3::Hasher::new(), filled: 0, verified: Vec::new() }
    }

    /// Compares what it says with the bytes that are there.
    pub fn verified(&mut self, content: &mut File) -> io::Result<Option<VerifiedPart>> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0))?;
        // One that is not text was not written by this program.
        if self.file.read_to_string(&mut text).is_err() {
            return Ok(None);
        }
        // A line without its end was cut short.
        let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let Some(tag) = lines.next().and_then(|line| line.strip_prefix(MAGIC)) else { return Ok(None) };
        let mut bytes: u64 = 0;
        for line in lines.map_while(JournalLine::read) {
            let stretches = match &line {
                // The file was cut before it, and nothing was written there since.
                JournalLine::Hole(count) => *count,
                JournalLine::Digest(expected) => {
                    let mut hasher = blake3::Hasher::new();
                    content.seek(SeekFrom::Start(bytes))?;
                    let read = io::copy(&mut content.take(STRETCH_BYTES), &mut hasher)?;
                    if read != STRETCH_BYTES || *expected != digest(&hasher) {
                        break;
                    }
                    1
                }
            };
            let Some(end) = stretches.checked_mul(STRETCH_BYTES).and_then(|more| bytes.checked_add(more)) else {
                break;
            };
            bytes = end;
            self.verified.push(line);
        }
        Ok((bytes > 0).then(|| VerifiedPart { tag: tag.to_owned(), bytes }))
    }

    /// Goes on behind so many bytes, which were verified, of the content of this tag.
    pub fn go_on(&mut self, tag: &str, bytes: u64) -> io::Result<()> {
        let mut text = format!("{MAGIC}{tag}\n");
        let mut left = bytes / STRETCH_BYTES;
        for line in std::mem::take(&mut self.verified) {
            let line = match line {
                JournalLine::Hole(count) => JournalLine::Hole(count.min(left)),
                digest @ JournalLine::Digest(_) => digest,
            };
            if left == 0 {
                break;
            }
            left -= if let JournalLine::Hole(count) = line { count } else { 1 };
            text.push_str(&line.text());
        }
        debug_assert_eq!(left, 0, "no more was verified than is gone on behind");
        // It is cut first: digests of another content must not stand behind this tag.
        self.file.set_len(text.len() as u64)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(text.as_bytes())
    }

    /// Whole stretches follow that are a hole.
    pub fn add_hole(&mut self, bytes: u64) -> io::Result<()> {
        debug_assert!(self.filled == 0 && bytes.is_multiple_of(STRETCH_BYTES), "a hole is whole stretches");
        self.file.write_all(JournalLine::Hole(bytes / STRETCH_BYTES).text().as_bytes())
    }

    /// Takes in bytes that were written. Whether a stretch became complete.
    pub fn add(&mut self, mut bytes: &[u8]) -> io::Result<bool> {
        let mut is_complete = false;
        while !bytes.is_empty() {
            let room = usize::try_from(STRETCH_BYTES - self.filled).expect("a stretch fits in memory");
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.hasher.update(now);
            self.filled += now.len() as u64;
            bytes = later;
            if self.filled == STRETCH_BYTES {
                self.file.write_all(format!("{}\n", digest(&self.hasher)).as_bytes())?;
                self.hasher.reset();
                (self.filled, is_complete) = (0, true);
            }
        }
        Ok(is_complete)
    }
}

/// Half of it suffices: it guards against accidents, not against whoever may write here anyway.
fn digest(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRETCH: usize = 1 << 20;

    fn noise(len: usize) -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
    }

    /// A journal of `written` bytes, in pieces, and the file with what is there of them.
    fn journal(written: &[u8], there: &[u8]) -> (BlockJournal, File) {
        let mut journal = BlockJournal::new(tempfile::tempfile().expect("temp").into());
        journal.go_on("\"a-1\"", 0).expect("begun");
        for piece in written.chunks(300_000) {
            journal.add(piece).expect("written");
        }
        let mut file = tempfile::tempfile().expect("temp");
        file.write_all(there).expect("written");
        (journal, file)
    }

    fn verified(journal: &mut BlockJournal, file: &mut File) -> u64 {
        let part = journal.verified(file).expect("read");
        assert!(part.iter().all(|part| part.tag == "\"a-1\""));
        part.map_or(0, |part| part.bytes)
    }

    #[test]
    fn whole_stretches_that_are_there_count() {
        let bytes = noise(3 * STRETCH + 5);
        let mut zeros = bytes.clone();
        zeros[STRETCH + 9] = !bytes[STRETCH + 9];
        for (there, expected) in
            [(&bytes[..], 3), (&bytes[..3 * STRETCH], 3), (&bytes[..3 * STRETCH - 1], 2), (&zeros, 1), (&[], 0)]
        {
            let (mut journal, mut file) = journal(&bytes, there);
            assert_eq!(verified(&mut journal, &mut file), expected * STRETCH_BYTES);
        }
    }

    #[test]
    fn it_goes_on_where_it_stopped() {
        let bytes = noise(4 * STRETCH);
        let (mut first, mut file) = journal(&bytes[..2 * STRETCH + 7], &bytes);
        assert_eq!(verified(&mut first, &mut file), 2 * STRETCH_BYTES);
        let mut second = BlockJournal::new(first.file.into());
        assert_eq!(verified(&mut second, &mut file), 2 * STRETCH_BYTES);
        second.go_on("\"a-1\"", 2 * STRETCH_BYTES).expect("begun");
        assert!(second.add(&bytes[2 * STRETCH..]).expect("written"));
        assert_eq!(verified(&mut second, &mut file), 4 * STRETCH_BYTES);
    }

    #[test]
    fn holes_are_a_line_of_any_length() {
        let bytes = noise(STRETCH);
        let (mut first, mut file) = journal(&bytes, &bytes);
        first.add_hole(1 << 40).expect("written");
        first.add(&bytes).expect("written");
        file.set_len((1 << 40) + STRETCH_BYTES).expect("long");
        file.seek(SeekFrom::End(0)).expect("end");
        file.write_all(&bytes).expect("written");
        assert_eq!(verified(&mut first, &mut file), (1 << 40) + 2 * STRETCH_BYTES);
        // One may go on within a hole.
        let mut second = BlockJournal::new(first.file.into());
        assert_eq!(verified(&mut second, &mut file), (1 << 40) + 2 * STRETCH_BYTES);
        second.go_on("\"a-1\"", 5 * STRETCH_BYTES).expect("begun");
        assert_eq!(verified(&mut second, &mut file), 5 * STRETCH_BYTES);
        second.go_on("\"a-1\"", 0).expect("anew");
        assert_eq!(verified(&mut second, &mut file), 0);
    }

    #[test]
    fn a_line_that_was_cut_short_or_is_not_ours_says_nothing() {
        let bytes = noise(2 * STRETCH);
        let (mut cut, mut file) = journal(&bytes, &bytes);
        let len = cut.file.metadata().expect("there").len();
        cut.file.set_len(len - 1).expect("cut");
        assert_eq!(verified(&mut cut, &mut file), STRETCH_BYTES);
        for text in ["", "fsdfs-get 2 x\n", "\u{0}\u{0}\n", "fsdfs-get 1 \"a-1\""] {
            let (mut other, mut file) = journal(&bytes, &bytes);
            other.file.set_len(0).expect("cut");
            other.file.rewind().expect("start");
            other.file.write_all(text.as_bytes()).expect("written");
            assert_eq!(verified(&mut other, &mut file), 0, "{text:?}");
        }
    }
}
