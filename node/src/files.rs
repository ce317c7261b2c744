//! Small files that must not be lost or half written: read with a bound, written beside and renamed, durable with their folder.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes of a small file at most: far more than any honest one, little enough to read at once.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Readable by the owner only.
pub const SECRET: u32 = 0o600;

/// A file or folder of this machine that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}", path = .path.display())]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// With what.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// Makes a [`FileError`] of a system error.
pub fn at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FileError + 'a {
    move |source| FileError { action, path: path.to_owned(), source }
}

/// Opens a file of this node's own. Nobody but its user may have laid a symbolic link in its place, which would lead the node to
/// a file that it is not about, or a pipe, at which it would wait for ever: both are refused.
pub fn open_own(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let opened = options.clone().custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other("it is a symbolic link, which is not followed"),
        _ => error,
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// A small file of this node's own.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    open_own(OpenOptions::new().read(true), path).and_then(read_bounded).map_err(at("read", path))
}

/// The text of a small file.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    text(read(path)?, path)
}

/// The text of a small file of the machine's, which its administrator may have laid where they like.
pub fn read_system_text(path: &Path) -> Result<String, FileError> {
    text(File::open(path).and_then(read_bounded).map_err(at("read", path))?, path)
}

fn text(bytes: Vec<u8>, path: &Path) -> Result<String, FileError> {
    String::from_utf8(bytes).map_err(|_| at("read", path)(io::Error::other("it is not UTF-8 text")))
}

fn read_bounded(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if length as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is far larger than such a file can be"));
    }
    Ok(bytes)
}

/// On return the file is complete and survives a power cut; before that, nobody sees it.
pub fn publish(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let write = || {
        // Whatever has the name, such as what a killed process left behind, goes; a new file leads nowhere else.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        // The mode of `open` is less what the process's umask takes away.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(at("write", path))?;
    sync_parent(path)
}

/// A rename lives in the folder, so the folder needs its own sync.
pub fn sync_parent(path: &Path) -> Result<(), FileError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(at("sync", parent))
}

/// Makes a folder for its owner only, and its parents. An existing one is left as it is.
pub fn make_private_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at("make the folder", path))
}

/// Free bytes for this user on the file system of `path`, or of its nearest parent that exists.
pub fn free_bytes(path: &Path) -> Result<u64, FileError> {
    let stat = file_system(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn file_system(path: &Path) -> Result<rustix::fs::StatVfs, FileError> {
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    rustix::fs::statvfs(existing).map_err(|error| at("ask for the free space of", existing)(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_leads_to_a_file_elsewhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let (elsewhere, path) = (folder.path().join("elsewhere"), folder.path().join("own"));
        fs::write(&elsewhere, b"mine").expect("written");
        std::os::unix::fs::symlink(&elsewhere, &path).expect("linked");
        std::os::unix::fs::symlink(&elsewhere, folder.path().join("own.new")).expect("linked");
        let refused = read(&path).expect_err("a link").to_string();
        assert!(refused.contains("symbolic link"), "{refused}");
        assert_eq!(read_system_text(&path).expect("the machine's own"), "mine");
        publish(&path, b"own", SECRET).expect("takes the link's place");
        assert_eq!(fs::read(&elsewhere).expect("there"), b"mine", "nothing was written through a link");
        let meta = fs::symlink_metadata(&path).expect("there");
        assert!(meta.is_file() && meta.permissions().mode() & 0o777 == SECRET);
        assert_eq!(read(&path).expect("a file now"), b"own");
    }

    #[test]
    fn a_pipe_in_a_files_place_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).expect("made");
        assert!(read(&path).expect_err("a pipe").to_string().contains("not a regular file"));
    }
}
