//! What could not be used is looked at again: conditions come and go, and a node must not need a restart for that.

use std::io;

use crate::store::disk::appender::Appender;
use crate::store::disk::attach;
use crate::store::disk::handle::{DiskHandle, DiskHealth};
use crate::store::error::is_full;
use crate::store::fs::{read_small, remove_if_there};
use crate::store::segment;

/// Written to see whether the disk keeps what it is given. Begun anew each time, so a killed process leaves at most one.
const PROBE: &str = "probe.tmp";
/// As long as a sector at least: shorter files lie in the inode of some file systems and never reach the data blocks.
const PROBE_BYTES: usize = 8192;

impl Appender {
    /// Tries what failed before. To be called every [`crate::store::threads::LOOK_AGAIN`].
    pub fn look_again(&mut self) {
        let disk = self.disk.clone();
        if disk.is_short() && attach::answers(&*disk.file_system, &disk.path, &disk.superblock).is_ok() {
            disk.note_shortage(None);
        }
        let found = match disk.health() {
            DiskHealth::Good => self.is_still_there(),
            DiskHealth::Failing => probe(&disk).and_then(|()| self.go_on()),
            DiskHealth::Offline => probe(&disk).and_then(|()| self.attach_again()).inspect_err(|_| self.let_go()),
        };
        if let Err(error) = found {
            tracing::debug!(disk = %disk.path.display(), %error, "the disk does not work yet");
        }
        disk.quarantine_unreadable_if_good();
        disk.note_room();
    }

    /// A folder that was emptied, or on which nothing is mounted any more, goes unnoticed for as long as its open files do.
    fn is_still_there(&self) -> io::Result<()> {
        let disk = &self.disk;
        attach::is_still(&*disk.file_system, &disk.path, &disk.superblock).inspect_err(|error| disk.fail(error))
    }

    /// The disk can be written to again. Nobody writes behind what a failed write left: a new segment and a new log file begin.
    fn go_on(&mut self) -> io::Result<()> {
        let disk = self.disk.clone();
        for number in disk.left_out() {
            let file = disk.file_system.open(&attach::segments(&disk.path).join(segment::file_name(number)))?;
            file.sync_or_discard()?;
        }
        self.start_over();
        if disk.is_incomplete() || disk.index().is_none() {
            return self.recover_again();
        }
        disk.revive();
        Ok(())
    }

    /// The disk is there again, perhaps mounted anew: nothing that was open is of use.
    fn attach_again(&mut self) -> io::Result<()> {
        self.disk.lock_again()?;
        self.start_over();
        self.recover_again()
    }

    /// Nothing is held open on a disk that is out: whoever mends it wants to unmount it.
    fn let_go(&mut self) {
        self.start_over();
        self.disk.set_index(None);
        self.disk.unlock();
    }

    fn start_over(&mut self) {
        self.active = None;
        self.log.start_over();
        self.disk.forget_files();
    }

    /// As at a start. What fails in it fails the disk once more.
    fn recover_again(&mut self) -> io::Result<()> {
        self.disk.set_index(None);
        self.disk.revive();
        self.recover(None);
        Ok(())
    }
}

/// Whether the disk is the one it was, takes bytes and gives them back. That it has no room is another matter.
fn probe(disk: &DiskHandle) -> io::Result<()> {
    let file_system = &*disk.file_system;
    attach::answers(file_system, &disk.path, &disk.superblock)?;
    let path = disk.path.join(PROBE);
    let content = [0xa5; PROBE_BYTES];
    let write = || {
        remove_if_there(file_system, &path)?;
        let file = file_system.create(&path)?;
        file.write_at(&[&content], 0)?;
        file.sync_or_discard()?;
        let read = read_small(file_system, &path, PROBE_BYTES as u64)?;
        let kept = read.is_some_and(|read| read == content);
        if kept { Ok(()) } else { Err(io::Error::other("it does not give back what was written")) }
    };
    let found = write();
    remove_if_there(file_system, &path)?;
    match found {
        Err(error) if is_full(&error) => Ok(()),
        other => other,
    }
}
