//! The answers in JSON that commands print besides those of the control API: one type each, so that a test sees every key.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use fsdfs_node::config::Config;
use fsdfs_node::daemon::DaemonReady;
use fsdfs_node::home::{CreatedPool, Home, root_key_words};
use fsdfs_proto::control::{AttentionItem, ErrorCode, EscapedText};
use serde::Serialize;

/// A folder for blocks.
#[derive(Clone, Debug, Serialize)]
pub struct StorageFolder {
    /// Where.
    pub path: String,
    /// Its quota.
    pub quota_bytes: u64,
}

/// Of `init`, and of `up` and `join` when they create the node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeCreated {
    /// The pool's id.
    pub pool: String,
    /// The pool's name.
    pub pool_name: String,
    /// The node's id.
    pub node: String,
    /// The node's name.
    pub name: String,
    /// Its home folder.
    pub home: String,
    /// The file with the pool's root key, where the pool was created.
    pub root_key: Option<String>,
    /// The pool's root key as 24 words, if it was stored nowhere.
    pub root_key_words: Option<String>,
    /// The file with the spare key, from which the next root key is made.
    pub spare_key: Option<String>,
    /// The spare key as 24 words, if it was stored nowhere.
    pub spare_key_words: Option<String>,
    /// Its UDP port.
    pub port: u16,
    /// Its folders for blocks.
    pub storage: Vec<StorageFolder>,
}

impl NodeCreated {
    /// What was created in this home folder.
    pub fn new(home: &Home, made: &CreatedPool) -> Self {
        Self {
            pool: made.pool.to_string(),
            pool_name: made.pool_name.clone(),
            node: made.node.to_string(),
            name: made.config.name.clone(),
            home: home.dir().to_string_lossy().into_owned(),
            root_key: made.root_key.as_ref().map(|path| path.to_string_lossy().into_owned()),
            root_key_words: made.root_words.as_ref().map(|key| root_key_words(key).as_str().to_owned()),
            spare_key: made.spare_key.as_ref().map(|path| path.to_string_lossy().into_owned()),
            spare_key_words: made.spare_words.as_ref().map(|key| root_key_words(key).as_str().to_owned()),
            port: made.config.listen.port(),
            storage: storage(&made.config),
        }
    }
}

fn storage(config: &Config) -> Vec<StorageFolder> {
    let folder = |storage: &fsdfs_node::config::Storage| StorageFolder {
        path: storage.path.to_string_lossy().into_owned(),
        quota_bytes: storage.quota_bytes,
    };
    config.storage.iter().map(folder).collect()
}

/// Of `up`, once the node answers requests.
#[derive(Clone, Debug, Serialize)]
pub struct NodeUp {
    /// The node's id.
    pub up: String,
    /// The pool's id.
    pub pool: String,
    /// Its UDP port.
    pub port: u16,
    /// What its owner has to know at once: disks without which it runs.
    pub attention: Vec<AttentionItem>,
}

impl NodeUp {
    /// This node.
    pub fn new(ready: &DaemonReady) -> Self {
        let (up, pool) = (ready.node.to_string(), ready.pool.to_string());
        Self { up, pool, port: ready.port, attention: ready.attention.clone() }
    }
}

/// Of `join`, once the node is connected and has the pool's key.
#[derive(Clone, Debug, Serialize)]
pub struct NodeJoined {
    /// The pool's id.
    pub joined: String,
    /// The node's id.
    pub node: String,
    /// Its UDP port.
    pub port: u16,
    /// Since the command began.
    pub seconds: f64,
    /// Members it is connected to.
    pub connected: usize,
}

/// Of `down`.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStopped {
    /// Always true: a failure is an error.
    pub stopped: bool,
}

/// Of `config check`.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigChecked {
    /// Which file.
    pub file: String,
    /// The node's name.
    pub name: String,
    /// Its site, if it is named.
    pub site: Option<String>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where other members reach it from outside.
    pub addresses: Vec<String>,
    /// Its folders for blocks.
    pub storage: Vec<StorageFolder>,
    /// Of these, those without which the node would start.
    pub missing: Vec<String>,
}

impl ConfigChecked {
    /// A valid configuration.
    pub fn new(file: &Path, config: &Config, missing: &[(PathBuf, String)]) -> Self {
        Self {
            file: file.to_string_lossy().into_owned(),
            name: config.name.clone(),
            site: config.site.clone(),
            listen: config.listen,
            addresses: config.addresses.clone(),
            storage: storage(config),
            missing: missing.iter().map(|(path, _)| path.to_string_lossy().into_owned()).collect(),
        }
    }
}

/// Of `service`.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceUnit {
    /// Where it was installed; none if it was only printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The text of the unit.
    pub unit: String,
}

/// Of `man --dir`.
#[derive(Clone, Debug, Serialize)]
pub struct ManualPages {
    /// The folder they were written into.
    pub dir: String,
}

/// A change that was not made, in the answers of `mkdir`, `mv` and `rm`.
#[derive(Clone, Debug, Serialize)]
pub struct FailedEdit {
    /// Which path.
    pub path: EscapedText,
    /// What is wrong.
    pub error: String,
    /// For programs.
    pub code: ErrorCode,
}

/// Any command that failed, on the standard error.
#[derive(Clone, Debug, Serialize)]
pub struct FailedCommand {
    /// What is wrong.
    pub error: String,
    /// What to do next.
    pub hint: String,
    /// For programs, if the daemon gave one.
    pub code: Option<ErrorCode>,
}
