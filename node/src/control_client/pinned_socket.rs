//! Makes sure who listens at a control socket before anything is sent to it: in `/tmp`, and in a folder that somebody else made,
//! anybody can.
//!
//! What is checked is not the path, which may lead elsewhere a moment later, but the socket behind it: a handle pins its inode,
//! and all connections go through that handle (`/proc/self/fd/N`). Who listens at an inode stays who it is.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{DupFlags, Errno, dup3};
use tokio::net::UnixStream;

/// Why nothing is sent.
#[derive(Debug)]
pub(super) enum NotServed {
    /// Nobody listens, or this user may not ask.
    Unreachable,
    /// Somebody listens who must not be told anything.
    By(u32),
}

/// The way to the daemon that listens at a path, as long as it is one of this user's.
#[derive(Debug)]
pub(super) struct PinnedSocket {
    path: PathBuf,
    pinned: Mutex<PinnedInode>,
}

#[derive(Debug)]
struct PinnedInode {
    /// Of the socket that was checked; before that of a file that nobody listens at.
    handle: OwnedFd,
    inode: Option<(u64, u64)>,
}

impl PinnedSocket {
    pub fn new(path: &Path) -> io::Result<Self> {
        let handle = File::open("/dev/null")?.into();
        Ok(Self { path: path.to_owned(), pinned: Mutex::new(PinnedInode { handle, inode: None }) })
    }

    /// Where connections go. It stays the same, whatever is pinned.
    pub fn way(&self) -> PathBuf {
        through(&self.pinned().handle)
    }

    /// To be called before each request: a daemon that was started again listens at another socket.
    pub async fn check(&self) -> Result<(), NotServed> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let unreachable = |_: Errno| NotServed::Unreachable;
        let found = File::from(openat(CWD, &self.path, flags, Mode::empty()).map_err(unreachable)?);
        let inode = found.metadata().map(|found| (found.dev(), found.ino())).map_err(|_| NotServed::Unreachable)?;
        // A number is not used again as long as the handle pins it.
        if self.pinned().inode == Some(inode) {
            return Ok(());
        }
        let peer = UnixStream::connect(through(&found)).await.and_then(|stream| stream.peer_cred());
        let server = peer.map_err(|_| NotServed::Unreachable)?.uid();
        let me = rustix::process::geteuid().as_raw();
        if !may_serve(server, me, || SocketPlace::of(&self.path)) {
            return Err(NotServed::By(server));
        }
        let mut pinned = self.pinned();
        dup3(&found, &mut pinned.handle, DupFlags::CLOEXEC).map_err(unreachable)?;
        pinned.inode = Some(inode);
        Ok(())
    }

    fn pinned(&self) -> MutexGuard<'_, PinnedInode> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The path of what a handle is of.
fn through(handle: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd()))
}

/// Whether this user's requests and files may go to that one's daemon: to the own, to root's, and to one that serves others at
/// home.
fn may_serve(server: u32, me: u32, place: impl FnOnce() -> Option<SocketPlace>) -> bool {
    server == me || server == 0 || place().is_some_and(|place| place.is_home_of(server))
}

/// What a socket's place says of who can have put it there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SocketPlace {
    /// Of its folder.
    owner: u32,
    /// Modes of its folder and of all above, as named and with links resolved.
    modes: Vec<u32>,
}

impl SocketPlace {
    fn of(socket: &Path) -> Option<Self> {
        let folder = socket.parent()?;
        let real = fs::canonicalize(folder).ok()?;
        let mode = |path: &Path| fs::metadata(path).ok().map(|found| found.mode());
        let modes = [folder, &real].into_iter().flat_map(Path::ancestors).map(mode).collect::<Option<Vec<u32>>>()?;
        Some(Self { owner: fs::metadata(folder).ok()?.uid(), modes })
    }

    /// Whether a user's daemon lets a group use it there (`control_group`): in that user's folder, where nobody else could have
    /// made that folder. Whoever names such a place means that user's node.
    fn is_home_of(&self, server: u32) -> bool {
        self.owner == server && self.modes.iter().all(|mode| mode & 0o002 == 0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_ones_own_and_roots_daemon_is_told_anything() {
        let never = || -> Option<SocketPlace> { panic!("it does not matter where") };
        assert!(may_serve(1000, 1000, never) && may_serve(0, 1000, never));
        let place = |owner: u32, modes: &[u32]| Some(SocketPlace { owner, modes: modes.to_vec() });
        let in_tmp = [0o40710, 0o40755, 0o41777, 0o40755];
        for (server, me) in [(65_534, 1000), (1001, 1000), (1000, 0)] {
            assert!(!may_serve(server, me, || None));
            assert!(!may_serve(server, me, || place(server, &in_tmp)), "anybody can make a folder there");
            assert!(!may_serve(server, me, || place(me, &[0o40710, 0o40755])), "it is not at home");
            // As with a group in its configuration.
            assert!(may_serve(server, me, || place(server, &[0o40710, 0o40711, 0o40755, 0o40755])));
        }
    }

    #[test]
    fn a_place_is_all_that_its_path_leads_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("run");
        fs::create_dir(&run).expect("made");
        let me = rustix::process::geteuid().as_raw();
        let place = SocketPlace::of(&run.join("control.sock")).expect("it is there");
        assert_eq!((place.owner, place.modes.len()), (me, 2 * run.ancestors().count()));
        // A private folder that is reached through one that everybody can write to.
        let public = folder.path().join("public");
        fs::create_dir(&public).expect("made");
        fs::set_permissions(&public, fs::Permissions::from_mode(0o1777)).expect("set");
        symlink(folder.path(), public.join("link")).expect("linked");
        let by_link = SocketPlace::of(&public.join("link/run/control.sock")).expect("it is there");
        assert!(by_link.modes.iter().any(|mode| mode & 0o7777 == 0o1777) && !by_link.is_home_of(me));
        assert_eq!(SocketPlace::of(&folder.path().join("nowhere/control.sock")), None);
    }

    #[tokio::test]
    async fn what_was_checked_is_what_is_talked_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let pinned = PinnedSocket::new(&path).expect("a client");
        assert!(matches!(pinned.check().await, Err(NotServed::Unreachable)), "nobody listens");
        assert!(UnixStream::connect(pinned.way()).await.is_err(), "there is no way yet");

        let first = UnixListener::bind(&path).expect("listening");
        pinned.check().await.expect("this user's");
        // Another socket takes the name: the way still leads to the one that was checked.
        fs::rename(&path, folder.path().join("aside")).expect("renamed");
        let second = UnixListener::bind(&path).expect("listening");
        [&first, &second].into_iter().for_each(|socket| socket.set_nonblocking(true).expect("set"));
        while first.accept().is_ok() {}
        UnixStream::connect(pinned.way()).await.expect("the first");
        assert!(first.accept().is_ok() && second.accept().is_err());
        // Until the next request, before which the new one is checked.
        pinned.check().await.expect("this user's");
        while second.accept().is_ok() {}
        UnixStream::connect(pinned.way()).await.expect("the second");
        assert!(second.accept().is_ok() && first.accept().is_err());
        // A link in its place is nobody's socket.
        fs::rename(&path, folder.path().join("aside")).expect("renamed");
        symlink(folder.path().join("aside"), &path).expect("linked");
        assert!(pinned.check().await.is_err());
    }
}
