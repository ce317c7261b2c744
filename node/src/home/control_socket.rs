//! The control socket: its place, its rights, and who may open it.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::socket_path;
use crate::files::{self, FileError, at};

/// Why the socket cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A file or folder in its way.
    #[error(transparent)]
    File(#[from] FileError),
    /// Something else lies where it should be.
    #[error("{path} is in the way of the control socket; move it away", path = .0.display())]
    NotASocket(PathBuf),
    /// The folder for short paths belongs to somebody else, or is open to others.
    #[error("{path} must be a folder of this user with mode 0700; remove it, or set XDG_RUNTIME_DIR", path = .0.display())]
    Unsafe(PathBuf),
    /// The group in the configuration.
    #[error("there is no group {0:?} on this machine; correct control_group in config.toml")]
    NoGroup(String),
}

/// An open control socket. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: Option<UnixListener>,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens for this user, root, and the members of `group`. The caller holds the home folder's lock, so whatever
    /// socket lies there belongs to a dead daemon.
    pub fn open(home: &Path, group: Option<&str>) -> Result<Self, SocketError> {
        let near = socket_path::beside_home(home);
        let gid = group.map(group_id).transpose()?;
        prepare_folder(&near, gid)?;
        remove_stale(&near)?;
        let path = if socket_path::fits(&near) { near } else { link_to_short(home, &near, gid)? };
        let listener = UnixListener::bind(&path).map_err(at("listen at", &path))?;
        share(&path, gid, 0o600, 0o660)?;
        Ok(Self { listener: Some(listener), path })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// To take connections from, once. The socket is kept until they end, for with it goes its file.
    pub(crate) fn take_listener(&mut self) -> UnixListener {
        self.listener.take().expect("taken once, by the gateway that serves it")
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Left behind it would be replaced at the next start; there is nothing to do about a failure.
        drop(fs::remove_file(&self.path));
    }
}

fn link_to_short(home: &Path, near: &Path, gid: Option<u32>) -> Result<PathBuf, SocketError> {
    let path = socket_path::short(home);
    prepare_folder(&path, gid)?;
    remove_stale(&path)?;
    std::os::unix::fs::symlink(&path, near).map_err(at("make the link", near))?;
    Ok(path)
}

/// Makes the folder of `socket`; refuses one that somebody else made, which is possible in `/tmp`.
fn prepare_folder(socket: &Path, gid: Option<u32>) -> Result<(), SocketError> {
    let folder = socket.parent().unwrap_or(Path::new("/"));
    files::make_private_folder(folder)?;
    let found = fs::symlink_metadata(folder).map_err(at("examine", folder))?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(SocketError::Unsafe(folder.to_owned()));
    }
    Ok(share(folder, gid, 0o700, 0o710)?)
}

fn share(path: &Path, gid: Option<u32>, alone: u32, with_group: u32) -> Result<(), FileError> {
    let mode = if gid.is_some() { with_group } else { alone };
    if gid.is_some() {
        std::os::unix::fs::chown(path, None, gid).map_err(at("give to the control group", path))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(at("set the mode of", path))
}

fn remove_stale(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at("examine", path)(error).into()),
        Ok(found) if found.file_type().is_socket() || found.is_symlink() => {
            Ok(fs::remove_file(path).map_err(at("remove", path))?)
        }
        Ok(_) => Err(SocketError::NotASocket(path.to_owned())),
    }
}

/// The group's number. `/etc/group` only: a system service's group is a local one.
fn group_id(name: &str) -> Result<u32, SocketError> {
    let groups = files::read_system_text(Path::new("/etc/group"))?;
    let fields = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let id =
        fields.into_iter().find(|fields| fields.first() == Some(&name)).and_then(|fields| fields.get(2)?.parse().ok());
    id.ok_or_else(|| SocketError::NoGroup(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::socket_path::{PATH_BYTES_MAX, socket_path};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_socket_is_for_its_user_only_and_a_stale_one_is_replaced() {
        let home = tempfile::tempdir().expect("a folder");
        let first = ControlSocket::open(home.path(), None).expect("opened");
        assert_eq!(first.path(), socket_path(home.path()));
        assert_eq!((mode(first.path()), mode(&home.path().join("run"))), (0o600, 0o700));
        // As after a kill: the file stays.
        std::mem::forget(first);
        let second = ControlSocket::open(home.path(), None).expect("replaced");
        drop(second);
        assert!(!socket_path(home.path()).exists());
    }

    #[tokio::test]
    async fn a_deep_home_gets_a_short_path_that_its_clients_find() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("d".repeat(120));
        let socket = ControlSocket::open(&home, None).expect("opened");
        assert!(socket.path().as_os_str().len() <= PATH_BYTES_MAX);
        assert_eq!(socket_path(&home), socket.path());
        tokio::net::UnixStream::connect(socket_path(&home)).await.expect("somebody listens");
    }

    #[tokio::test]
    async fn what_lies_in_the_way_is_named_and_left_alone() {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join("run")).expect("made");
        fs::write(socket_path(home.path()), "mine").expect("written");
        assert!(matches!(ControlSocket::open(home.path(), None), Err(SocketError::NotASocket(_))));
        assert!(matches!(ControlSocket::open(home.path(), Some("no such group")), Err(SocketError::NoGroup(_))));
        assert_eq!(fs::read(socket_path(home.path())).expect("still there"), b"mine");
    }
}
