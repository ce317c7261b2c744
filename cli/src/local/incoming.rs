//! One file on its way into a folder: it appears whole, under its name, or not at all. Zeros become holes.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use fsdfs_proto::control::ExtendedAttribute;
use rustix::fs::{fchmod, futimens};
use rustix::io::Errno;

use super::LocalAttributes;
use super::journal::{BlockJournal, STRETCH_BYTES, VerifiedPart};
use super::unfinished::TemporaryName;
use super::write::{LocalFolder, OverwritePolicy, WriteResult, times};
use super::xattrs;

/// What file systems allocate at once, so that zeros within are no hole.
const HOLE_BYTES: u64 = 4096;

/// From here on it is worth to go on where an earlier get stopped.
pub const LARGE_BYTES: u64 = 8 << 20;

/// A file being written. Dropped without [`IncomingFile::publish`] it leaves nothing behind but a part of a large file that
/// the next get goes on with.
#[derive(Debug)]
pub struct IncomingFile {
    file: File,
    /// Bytes so far.
    at: u64,
    /// Where the last byte that was written stands; behind it is a hole.
    end: u64,
    journal: Option<BlockJournal>,
    temporary: TemporaryName,
    name: Vec<u8>,
}

impl IncomingFile {
    /// Of a file that begins from nothing whenever it is got.
    pub(super) fn small(folder: &LocalFolder, name: &[u8]) -> WriteResult<Self> {
        loop {
            let mut temporary = TemporaryName::random(folder);
            match temporary.create() {
                Ok(Some(fd)) => {
                    return Ok(Self { file: fd.into(), at: 0, end: 0, journal: None, temporary, name: name.to_vec() });
                }
                Ok(None) => {}
                // It is somebody else's.
                Err(Errno::EXIST) => temporary.keep(),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Of a file that goes on where an earlier get stopped. If somebody else is getting it, or there are no locks here, it
    /// begins from nothing.
    pub(super) fn large(folder: &LocalFolder, name: &[u8]) -> WriteResult<Self> {
        let mut temporary = TemporaryName::of(folder, name);
        // It may be somebody else's.
        temporary.keep();
        let Some(fd) = temporary.open_or_create()? else { return Self::small(folder, name) };
        let Ok(journal) = temporary.journal() else { return Self::small(folder, name) };
        let journal = Some(BlockJournal::new(journal));
        temporary.give_up();
        Ok(Self { file: fd.into(), at: 0, end: 0, journal, temporary, name: name.to_vec() })
    }

    /// What is here of an earlier get, compared byte by byte with what was verified then.
    pub fn found(&mut self) -> io::Result<Option<VerifiedPart>> {
        let Some(journal) = &mut self.journal else { return Ok(None) };
        let found = journal.verified(&mut self.file)?;
        if found.is_some() {
            self.temporary.keep();
        }
        Ok(found)
    }

    /// From now on bytes of the content of this tag come, behind the first `from`, which are here.
    pub fn go_on(&mut self, tag: &str, from: u64) -> io::Result<()> {
        debug_assert!(from.is_multiple_of(STRETCH_BYTES), "whole stretches are verified");
        (self.at, self.end) = (from, from);
        let Some(journal) = &mut self.journal else { return Ok(()) };
        // The journal goes first: it must not tell of bytes of another content.
        journal.go_on(tag, from)?;
        self.file.set_len(from)
    }

    /// Takes what comes next.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for stretch in stretches(self.at, bytes) {
            self.file.write_all_at(&bytes[stretch.clone()], self.at + stretch.start as u64)?;
            self.end = self.at + stretch.end as u64;
        }
        self.at += bytes.len() as u64;
        if let Some(journal) = &mut self.journal
            && journal.add(bytes)?
        {
            self.temporary.keep();
        }
        Ok(())
    }

    /// Leaves out what comes next: whole stretches of zeros.
    pub fn skip(&mut self, bytes: u64) -> io::Result<()> {
        self.at += bytes;
        match &mut self.journal {
            Some(journal) => journal.add_hole(bytes),
            None => Ok(()),
        }
    }

    /// Gives the file extended attributes. False if some cannot be had here.
    pub fn set_xattrs(&self, xattrs: &[ExtendedAttribute]) -> bool {
        xattrs::write(&self.file, xattrs)
    }

    /// Gives the file its attributes and its name.
    pub fn publish(self, attrs: LocalAttributes, existing: OverwritePolicy) -> WriteResult<()> {
        if self.end < self.at {
            self.file.set_len(self.at)?;
        }
        fchmod(&self.file, self.temporary.folder().mode(attrs))?;
        futimens(&self.file, &times(attrs.mtime_ns))?;
        self.temporary.rename(&self.name, existing)
    }
}

/// What has to be written of `bytes`, which come at `at`: whole blocks of zeros are left out, for new files are zeros.
fn stretches(at: u64, bytes: &[u8]) -> Vec<Range<usize>> {
    const ZEROS: [u8; HOLE_BYTES as usize] = [0; HOLE_BYTES as usize];
    let mut stretches: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let room = HOLE_BYTES - (at + start as u64) % HOLE_BYTES;
        let end = bytes.len().min(start + usize::try_from(room).expect("at most a block"));
        let block = &bytes[start..end];
        if block != &ZEROS[..block.len()] {
            match stretches.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => stretches.push(start..end),
            }
        }
        start = end;
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    const ATTRS: LocalAttributes = LocalAttributes { mode: 0o640, mtime_ns: 5 };
    const BLOCK: usize = HOLE_BYTES as usize;

    fn folder() -> (tempfile::TempDir, LocalFolder) {
        let temp = tempfile::tempdir().expect("temp");
        let folder = LocalFolder::open(temp.path(), crate::local::write::ModeMask::EXACT).expect("open");
        (temp, folder)
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(3);
        std::iter::repeat_with(|| rng.u8(1..)).take(len).collect()
    }

    fn names(temp: &tempfile::TempDir) -> Vec<String> {
        let list = fs::read_dir(temp.path()).expect("list");
        list.map(|entry| entry.expect("entry").file_name().into_string().expect("text")).collect()
    }

    #[test]
    fn only_whole_blocks_of_zeros_are_left_out() {
        let zeros = vec![0; 3 * BLOCK];
        assert!(stretches(0, &zeros).is_empty() && stretches(5, &zeros).is_empty());
        let mut one = zeros.clone();
        one[BLOCK + 1] = 1;
        assert_eq!(stretches(0, &one), vec![BLOCK..2 * BLOCK]);
        assert_eq!(stretches(8, &one), vec![BLOCK - 8..2 * BLOCK - 8]);
        assert_eq!(stretches(7, &[1; 3 * BLOCK]), vec![0..3 * BLOCK]);
    }

    #[test]
    fn holes_come_back_and_so_does_a_length_that_ends_in_one() {
        let (temp, folder) = folder();
        let mut content = vec![0; 4 << 20];
        content[1 << 20..(1 << 20) + 10].copy_from_slice(&noise(10));
        let mut file = folder.begin(b"sparse", 0).expect("begun");
        content.chunks(100_000).for_each(|piece| file.write(piece).expect("written"));
        file.publish(ATTRS, OverwritePolicy::Keep).expect("published");
        let path = temp.path().join("sparse");
        assert_eq!(fs::read(&path).expect("there"), content);
        // A file system without holes allocates all 8192 sectors.
        assert!(fs::metadata(&path).expect("there").blocks() <= 8192);
        let is_sparse = fs::metadata(&path).expect("there").blocks() < 100;
        assert!(is_sparse || fs::metadata(&path).expect("there").blocks() == 8192);
    }

    #[test]
    fn a_large_file_goes_on_where_it_was_dropped() {
        let (temp, folder) = folder();
        let content = noise(3 << 20);
        let mut first = folder.begin(b"big", LARGE_BYTES).expect("begun");
        assert_eq!(first.found().expect("read"), None);
        first.go_on("\"t-1\"", 0).expect("begun");
        first.write(&content[..(2 << 20) + 5]).expect("written");
        drop(first);
        assert_eq!(names(&temp).len(), 2, "the part and its journal");

        let mut second = folder.begin(b"big", LARGE_BYTES).expect("begun");
        let found = second.found().expect("read").expect("something");
        assert_eq!(found, VerifiedPart { tag: "\"t-1\"".into(), bytes: 2 << 20 });
        second.go_on(&found.tag, found.bytes).expect("on");
        second.write(&content[2 << 20..]).expect("written");
        second.publish(ATTRS, OverwritePolicy::Keep).expect("published");
        assert_eq!(fs::read(temp.path().join("big")).expect("there"), content);
        assert_eq!(names(&temp), ["big"]);
    }

    #[test]
    fn another_content_begins_anew() {
        let (temp, folder) = folder();
        let mut first = folder.begin(b"big", LARGE_BYTES).expect("begun");
        first.go_on("\"t-1\"", 0).expect("begun");
        first.write(&noise(2 << 20)).expect("written");
        drop(first);
        let mut second = folder.begin(b"big", LARGE_BYTES).expect("begun");
        assert!(second.found().expect("read").is_some());
        second.go_on("\"u-1\"", 0).expect("anew");
        second.write(b"short").expect("written");
        drop(second);
        let mut third = folder.begin(b"big", LARGE_BYTES).expect("begun");
        assert_eq!(third.found().expect("read"), None, "nothing of the first counts for the second");
        third.go_on("\"u-1\"", 0).expect("anew");
        third.write(b"short").expect("written");
        third.publish(ATTRS, OverwritePolicy::Keep).expect("published");
        assert_eq!(fs::read(temp.path().join("big")).expect("there"), b"short");
    }

    #[test]
    fn two_at_once_do_not_meet() {
        let (temp, folder) = folder();
        let mut one = folder.begin(b"big", LARGE_BYTES).expect("begun");
        let mut other = folder.begin(b"big", LARGE_BYTES).expect("begun");
        for (file, content) in [(&mut one, b"one"), (&mut other, b"two")] {
            file.go_on("\"t-1\"", 0).expect("begun");
            file.write(content).expect("written");
        }
        one.publish(ATTRS, OverwritePolicy::Keep).expect("published");
        assert!(other.publish(ATTRS, OverwritePolicy::Keep).is_err());
        assert_eq!(fs::read(temp.path().join("big")).expect("there"), b"one");
        assert_eq!(names(&temp), ["big"]);
    }
}
