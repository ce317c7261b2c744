//! Reading a file around what the disk does not give back of it: one bad sector costs what it hits, not the whole file.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::FileHandle;

/// What is tried alone where a larger read failed: a page, and a sector of most disks.
const STRETCH_BYTES: u64 = 4096;
/// Stretches of one file that may be lost: 4 MiB. With more it is the disk, or its cable; and each may take it seconds.
const LOST_MAX: usize = 1024;

/// A file of which stretches may be unreadable; they are read as zeros, which begin no record, and are remembered.
pub(crate) struct ReadAround<'a> {
    file: &'a dyn FileHandle,
    /// Whether the disk works otherwise. If it does not, nothing is to be concluded from what cannot be read.
    works: &'a (dyn Fn() -> bool + Send + Sync),
    lost: Mutex<BTreeSet<u64>>,
}

impl<'a> ReadAround<'a> {
    /// `works` tells whether the disk gives back anything else.
    pub fn new(file: &'a dyn FileHandle, works: &'a (dyn Fn() -> bool + Send + Sync)) -> Self {
        Self { file, works, lost: Mutex::default() }
    }

    /// Bytes that could not be read so far.
    pub fn lost_bytes(&self) -> u64 {
        self.lost().len() as u64 * STRETCH_BYTES
    }

    fn lost(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_lost(&self, from: u64, to: u64) -> bool {
        self.lost().range(from / STRETCH_BYTES..to.div_ceil(STRETCH_BYTES)).next().is_some()
    }

    /// Stretch by stretch, each once more if it fails.
    fn read_stretches(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let len = self.file.len()?.saturating_sub(offset);
        let wanted = buffer.len().min(usize::try_from(len).unwrap_or(usize::MAX));
        let mut filled = 0;
        while filled < wanted {
            let at = offset + filled as u64;
            let stretch = at / STRETCH_BYTES;
            let end = usize::try_from((stretch + 1) * STRETCH_BYTES - offset).unwrap_or(usize::MAX).min(wanted);
            let piece = &mut buffer[filled..end];
            if self.is_lost(at, at + 1) || !self.read_stretch(piece, at, stretch)? {
                piece.fill(0);
            }
            filled = end;
        }
        Ok(filled)
    }

    /// False if it is lost.
    fn read_stretch(&self, piece: &mut [u8], at: u64, stretch: u64) -> io::Result<bool> {
        let read = self.file.read_at(piece, at).or_else(|_| self.file.read_at(piece, at));
        match read {
            Ok(_) => Ok(true),
            Err(error) if is_of_the_medium(&error) && self.lost().len() < LOST_MAX && (self.works)() => {
                self.lost().insert(stretch);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

impl FileHandle for ReadAround<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if !self.is_lost(offset, offset + buffer.len() as u64) {
            match self.file.read_at(buffer, offset) {
                Err(error) if is_of_the_medium(&error) => {}
                other => return other,
            }
        }
        self.read_stretches(buffer, offset)
    }

    fn read_to_spare(&self, buffer: &mut Vec<u8>, offset: u64) -> io::Result<()> {
        let before = buffer.len();
        buffer.resize(buffer.capacity(), 0);
        let read = self.read_at(&mut buffer[before..], offset);
        buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        read.map(drop)
    }

    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        self.file.write_at(parts, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }

    fn sync_or_discard(&self) -> io::Result<()> {
        self.file.sync_or_discard()
    }
}

/// A sector that cannot be read, or whose checksum in the file system does not fit.
pub(crate) fn is_of_the_medium(error: &io::Error) -> bool {
    let of_the_medium = [Errno::IO, Errno::BADMSG, Errno::NODATA, Errno::ILSEQ, Errno::REMOTEIO, Errno::UCLEAN];
    of_the_medium.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}
