//! What a daemon tells whoever started it: that it is ready, or why it does not run.

use std::path::PathBuf;

use fsdfs_proto::control::AttentionItem;
use fsdfs_proto::ids::{NodeId, PoolId};

use crate::clock::ClockTooEarly;
use crate::home::{HomeError, SocketError};
use crate::net::NetError;
use crate::store::StoreError;

/// Why the daemon does not start, or cannot go on. What was acknowledged before is safe.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The home folder or its configuration.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The wall clock.
    #[error(transparent)]
    Clock(#[from] ClockTooEarly),
    /// A storage folder or the log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The system gives no threads, signals or the like.
    #[error("the operating system refuses what fsdfs needs: {0}")]
    System(#[from] std::io::Error),
    /// The pool does not admit this node. What was made of it was removed; a new ticket begins from nothing.
    #[error("{pool} does not admit this node: {why}")]
    NotAdmitted {
        /// The pool's name.
        pool: String,
        /// Why, in words.
        why: String,
    },
    /// A task or thread that lives as long as the daemon ended: a bug.
    #[error("a part of the daemon ended by itself; see the log and report it")]
    Ended,
}

/// What a daemon tells when it is ready for requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonReady {
    /// Its control socket.
    pub socket: PathBuf,
    /// The pool.
    pub pool: PoolId,
    /// The pool's name.
    pub pool_name: String,
    /// This node.
    pub node: NodeId,
    /// Its UDP port.
    pub port: u16,
    /// What its owner has to know at once: disks that are missing.
    pub attention: Vec<AttentionItem>,
}
