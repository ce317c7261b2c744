//! The real file system.

use std::any::Any;
use std::fs::{self, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Advice, AtFlags, FlockOperation, StatxFlags};

use crate::files;
use crate::store::fs::{FileHandle, FileSystem};

/// Files under the operating system.
pub(crate) struct OsFileSystem;

/// Slices that one `pwritev` takes; more is `EINVAL`.
const IOV_MAX: usize = 1024;
/// `STATX_MNT_ID_UNIQUE` (Linux 6.8): never used again within a boot, unlike `STATX_MNT_ID`.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

impl FileSystem for OsFileSystem {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Ok(Arc::new(files::open_own(OpenOptions::new().read(true), path)?))
    }

    fn open_writable(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Ok(Arc::new(files::open_own(OpenOptions::new().read(true).write(true), path)?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            // The store makes no names that are not UTF-8, so one that is not is none of its business.
            if let (true, Ok(name)) = (meta.is_file(), entry.file_name().into_string()) {
                files.push((name, meta.len()));
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    fn is_dir(&self, dir: &Path) -> bool {
        dir.is_dir()
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn size_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
    }

    fn tree_bytes(&self, dir: &Path) -> io::Result<u64> {
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let meta = match fs::symlink_metadata(dir) {
            Err(error) if gone(&error) => return Ok(0),
            other => other?,
        };
        let mut bytes = meta.len();
        if meta.is_dir() {
            for entry in fs::read_dir(dir)? {
                bytes += self.tree_bytes(&entry?.path())?;
            }
        }
        Ok(bytes)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let made = files::open_own(&options, path);
        // A disk that is mounted read-only is used for reading; its lock is there from before.
        let file = match made {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                files::open_own(OpenOptions::new().read(true), path)?
            }
            other => other?,
        };
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }

    fn session(&self, dir: &Path) -> Option<String> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let dir = fs::File::open(dir).ok()?;
        let mount = [MNT_ID_UNIQUE, StatxFlags::MNT_ID].into_iter().find_map(|kind| {
            let stat = rustix::fs::statx(&dir, "", AtFlags::EMPTY_PATH, kind).ok()?;
            (stat.stx_mask & kind.bits() != 0).then_some(stat.stx_mnt_id)
        })?;
        Some(format!("{} {mount}", boot.trim()))
    }
}

impl FileHandle for fs::File {
    fn write_at(&self, parts: &[&[u8]], mut offset: u64) -> io::Result<()> {
        for parts in parts.chunks(IOV_MAX) {
            let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let mut left = &mut slices[..];
            IoSlice::advance_slices(&mut left, 0);
            while !left.is_empty() {
                match rustix::io::pwritev(self, left, offset) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        offset += written as u64;
                        IoSlice::advance_slices(&mut left, written);
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match std::os::unix::fs::FileExt::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn read_to_spare(&self, buffer: &mut Vec<u8>, offset: u64) -> io::Result<()> {
        let before = buffer.len();
        while buffer.len() < buffer.capacity() {
            let at = offset + (buffer.len() - before) as u64;
            match rustix::io::pread(self, rustix::buffer::spare_capacity(buffer), at) {
                Ok(0) => break,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        fs::File::sync_data(self)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync_or_discard(&self) -> io::Result<()> {
        fs::File::sync_data(self)?;
        // Only clean pages go, and after a failed sync the bad ones count as clean.
        Ok(rustix::fs::fadvise(self, 0, None, Advice::DontNeed)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::store::fs::read_range;

    #[test]
    fn a_storage_folder_that_others_share_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (elsewhere, link) = (dir.path().join("elsewhere"), dir.path().join("link"));
        fs::write(&elsewhere, b"mine").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        assert!(OsFileSystem.create(&link).is_err() && OsFileSystem.open(&link).is_err());
        assert!(OsFileSystem.open_writable(&link).is_err() && OsFileSystem.lock(&link).is_err());
        assert_eq!(fs::read(&elsewhere).unwrap(), b"mine");
    }

    #[test]
    fn what_the_store_makes_is_its_users_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        OsFileSystem.make_dir(&path("folder")).unwrap();
        drop(OsFileSystem.create(&path("file")).unwrap());
        drop(OsFileSystem.lock(&path("lock")).unwrap());
        for (name, mode) in [("folder", 0o700), ("file", 0o600), ("lock", 0o600)] {
            assert_eq!(fs::metadata(path(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
        }
    }

    #[test]
    fn a_block_is_read_into_one_buffer() {
        const LEN: usize = 1 << 20;
        let dir = tempfile::tempdir().unwrap();
        let file = OsFileSystem.create(&dir.path().join("file")).unwrap();
        let content: Vec<u8> = (0..LEN).map(|at| (at % 251) as u8).collect();
        file.write_at(&[b"head", &content], 0).unwrap();
        let mut read = Vec::new();
        let counted = allocation_counter::measure(|| read = read_range(&*file, 4, LEN as u64).unwrap());
        assert_eq!((read == content, counted.bytes_total), (true, LEN as u64));
        assert_eq!(read_range(&*file, 4 + 10, 20).unwrap(), content[10..30]);
        assert_eq!(read_range(&*file, 5, LEN as u64).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(read_range(&*file, 5, 0).unwrap().is_empty());
    }
}
