//! Why a home folder cannot be used.

use std::path::PathBuf;

use super::ownership::HomeFault;
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
