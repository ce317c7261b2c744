//! Why a home folder cannot be used.

use std::path::PathBuf;

use crate::config::ConfigError;
use crate::files::FileError;

/// Where the home folder is, unless a flag says.
pub const HOME_ENV: &str = "FSDFS_HOME";

/// Why a home folder cannot be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A file or folder of it.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not this user's alone.
    #[error(transparent)]
    Fault(#[from] HomeFault),
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system does not say where users keep their data.
    #[error("this user has no home directory: give a folder with '--home DIR' or {HOME_ENV}")]
    NoPlace,
    /// Somebody works on it: the daemon, or another command.
    #[error("{dir} is in use by process {by}: a node runs with it already (stop it with 'fsdfs down', or choose another '--home DIR')", dir = .dir.display())]
    InUse {
        /// Which folder.
        dir: PathBuf,
        /// Its process id, as it wrote it down.
        by: String,
    },
    /// A pool was to be made where one is.
    #[error("this node is in the pool {name:?} already; use '--home DIR' for another node")]
    HasPool {
        /// Its name.
        name: String,
    },
    /// There is none yet.
    #[error("{dir} holds no pool yet: create one with 'fsdfs init' or join one with 'fsdfs join -'", dir = .0.display())]
    NoPool(PathBuf),
    /// A file does not hold what it should.
    #[error("{file} is damaged ({problem}); restore it from a backup, or join again with another '--home DIR'", file = .file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
        /// In which way.
        problem: String,
    },
    /// The ticket cannot be redeemed.
    #[error("this ticket cannot be used: {}; ask for a new one", crate::gateway::words::refusal::gate_text(*.0))]
    Ticket(fsdfs_proto::identity::GateRefusal),
}

/// Why a folder is no home for this user's node. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HomeFault {
    /// Whoever owns it can exchange what is in it.
    #[error("{path} belongs to another user (number {owner}), who could exchange what is in it; run this as that user, or choose another '--home DIR'", path = .path.display())]
    Foreign {
        /// The home folder, or what is in it.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Others may write there.
    #[error("other users may write to {path} (mode {mode:03o}), and a home folder must be its user's alone", path = .path.display())]
    Shared {
        /// The home folder, or a folder or file in it.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// Everybody may write to a folder above it, and so exchange the home folder as a whole.
    #[error("every user may rename what is in {path} (mode {mode:04o}), also the home folder in it", path = .path.display())]
    InPublic {
        /// The folder above.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// A link among the node's own files.
    #[error("{path} is a symbolic link, and nothing in a home folder is looked for elsewhere; put the file or folder itself there", path = .path.display())]
    Link {
        /// Which.
        path: PathBuf,
    },
}
