//! The configuration after the check, and what is taken when nothing was said.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bandwidth::BandwidthPlan;
use super::values::{BadValue, size};
use crate::files::{self, FileError};
use crate::store::IfMissing;

/// Bytes of one unit of weight: placement counts whole GiB.
pub const UNIT_BYTES: u64 = 1 << 30;
/// Bytes of one unit of weight instead, for tests with small disks. Must be the same on all nodes of a pool.
pub const TEST_UNIT_ENV: &str = "FSDFS_TEST_UNIT";
/// Milliseconds of an hour of history, for tests. Must be the same on all nodes of a pool.
pub const TEST_HOUR_ENV: &str = "FSDFS_TEST_HOUR_MS";
/// Seconds in which all stored blocks are read once to find damage, instead of days, for tests.
pub const TEST_SCRUB_ENV: &str = "FSDFS_TEST_SCRUB_S";
/// The same in days, unless config.toml says otherwise.
pub(super) const SCRUB_DAYS: u64 = 30;
/// Default quota at most.
const DEFAULT_QUOTA_BYTES_MAX: u64 = 100 << 30;

/// Every value was checked, also against the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Shown to other members.
    pub name: String,
    /// The site: what fails together. None = an id of this node's own.
    pub site: Option<String>,
    /// Folders for blocks; empty = this node stores none.
    pub storage: Vec<Storage>,
    /// The UDP socket. An unspecified address means every interface.
    pub listen: SocketAddr,
    /// `HOST:PORT` where others reach this node, besides what it finds out by itself.
    pub addresses: Vec<String>,
    /// Whether members on the local network are looked for.
    pub mdns: bool,
    /// Whether packets are forwarded between members that cannot reach each other.
    pub relay: bool,
    /// How fast connections may send.
    pub congestion: CongestionControl,
    /// Whether the router is asked to forward the port.
    pub port_mapping: bool,
    /// Upload of the line, KiB/s.
    pub uplink_kib: Option<u32>,
    /// Members of this Unix group may use the control socket too.
    pub control_group: Option<String>,
    /// What may be used of the line.
    pub bandwidth: BandwidthPlan,
    /// In which time all stored blocks are read once to find damage.
    pub scrub: Duration,
    /// Copies that no state needs are deleted; otherwise it is only said how much they are.
    pub collect: bool,
    /// Logging.
    pub log: Log,
    /// Bytes of one unit of weight.
    pub unit_bytes: u64,
}

/// Which congestion control connections have. Each side chooses for what it sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CongestionControl {
    /// The one for the lines of homes: loss by chance does not slow it down, and queues stay short.
    #[default]
    Fsdfs,
    /// That of RFC 9438, which takes each loss for a full queue.
    Cubic,
}

/// A folder for blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Where.
    pub path: PathBuf,
    /// Everything in it stays below this.
    pub quota_bytes: u64,
    /// What to do if the blocks it held are not there any more.
    pub if_missing: IfMissing,
}

/// Logging.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// A filter of tracing-subscriber, such as `info` or `fsdfs_node=debug`.
    pub filter: Option<String>,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// The owner's mistake, or a home folder that cannot be read. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not TOML, an unknown key, or a value of another type. The text names line and key.
    #[error("{file} is not valid: {problem}", file = .file.display())]
    Syntax {
        /// Which file.
        file: PathBuf,
        /// As the TOML library says it: line, column, what was expected.
        problem: String,
    },
    /// A value that cannot be used.
    #[error("{file}, line {line}: {key} {problem}", file = .file.display())]
    Value {
        /// Which file.
        file: PathBuf,
        /// Where in it, from 1; 0 = the key is missing.
        line: usize,
        /// Which key.
        key: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The test unit in the environment.
    #[error("{TEST_UNIT_ENV} {0}")]
    TestUnit(BadValue),
    /// Nothing was said about storage, and the default does not fit.
    #[error(
        "only {free} are free under {path}, too few for a default quota (a quarter of the free space, at least {needed}); \
         give a folder on a larger disk with '--storage PATH:SIZE', or '--storage none'",
        path = .path.display()
    )]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// Free bytes.
        free: bytesize::ByteSize,
        /// The least quota.
        needed: bytesize::ByteSize,
    },
}

impl Config {
    /// Where it lies in a home folder.
    pub fn file(home: &Path) -> PathBuf {
        home.join("config.toml")
    }
}

/// Bytes of one unit of weight, unless the environment asks for a smaller one.
pub fn unit_bytes() -> Result<u64, ConfigError> {
    match std::env::var(TEST_UNIT_ENV) {
        Ok(text) => size(&text).map_err(ConfigError::TestUnit),
        Err(_) => Ok(UNIT_BYTES),
    }
}

/// Milliseconds of an hour of history, unless the environment asks for less.
pub fn hour_ms() -> u64 {
    let given = std::env::var(TEST_HOUR_ENV).ok().and_then(|text| text.parse().ok());
    given.filter(|ms| *ms > 0).unwrap_or(3_600_000)
}

/// Days in which all stored blocks are read once, unless the environment asks for less.
pub(super) fn scrub_round(days: u64) -> Duration {
    let seconds = std::env::var(TEST_SCRUB_ENV).ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(days * 86_400))
}

/// The folder `blocks` of the home folder, with a default quota.
pub fn default_storage(home: &Path, unit_bytes: u64) -> Result<Storage, ConfigError> {
    let path = home.join("blocks");
    Ok(Storage { quota_bytes: default_quota(&path, unit_bytes)?, path, if_missing: IfMissing::default() })
}

/// A quarter of what is free, at most 100 GiB, in whole units.
pub fn default_quota(path: &Path, unit_bytes: u64) -> Result<u64, ConfigError> {
    let free = files::free_bytes(path)?;
    match quota_of(free, unit_bytes) {
        0 => Err(ConfigError::NoRoom {
            path: path.to_owned(),
            free: bytesize::ByteSize(free),
            needed: bytesize::ByteSize(unit_bytes),
        }),
        quota_bytes => Ok(quota_bytes),
    }
}

fn quota_of(free: u64, unit_bytes: u64) -> u64 {
    let most = (free / 4).min(DEFAULT_QUOTA_BYTES_MAX);
    most - most % unit_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_quota_is_a_quarter_of_the_free_space_in_whole_units() {
        for (free_gib, quota_gib) in [(0, 0), (3, 0), (4, 1), (11, 2), (4000, 100)] {
            assert_eq!(quota_of(free_gib << 30, UNIT_BYTES), quota_gib << 30, "{free_gib} GiB free");
        }
    }
}
