//! Where the control socket of a home folder lies. Daemon and clients compute it alike, without talking to each other.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::Digest as _;

/// Bytes of a socket's path at most: the field in the kernel's structure has 108 with its end.
pub(crate) const PATH_BYTES_MAX: usize = 107;

/// Where to reach the daemon of this home folder.
pub fn socket_path(home: &Path) -> PathBuf {
    let near = beside_home(home);
    if fits(&near) {
        return near;
    }
    // The daemon may run in another environment than whoever asks, so it leaves a link to the place it chose.
    fs::read_link(&near).unwrap_or_else(|_| short(home))
}

/// In the home folder, where it belongs.
pub(crate) fn beside_home(home: &Path) -> PathBuf {
    home.join("run").join("control.sock")
}

/// For homes too deep for a socket's path: a short path named after the home.
pub(crate) fn short(home: &Path) -> PathBuf {
    let hash = sha2::Sha256::digest(home.as_os_str().as_encoded_bytes());
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    // `sudo` and `su` may leave the variable of the user before.
    let me = rustix::process::geteuid().as_raw();
    let is_own = |folder: &PathBuf| fs::metadata(folder).is_ok_and(|found| found.is_dir() && found.uid() == me);
    let folder = match runtime.filter(|folder| folder.as_os_str().len() < 64 && is_own(folder)) {
        Some(folder) => folder.join("fsdfs"),
        None => PathBuf::from(format!("/tmp/fsdfs-{me}")),
    };
    folder.join(format!("{}.sock", fsdfs_proto::ids::hex(&hash[..8])))
}

/// Whether the kernel takes so long a path for a socket.
pub(crate) fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= PATH_BYTES_MAX
}
