//! What a node may use of its line.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What counts now, and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BandwidthAnswer {
    /// All that is sent.
    pub upload: SpeedLimit,
    /// All that comes in.
    pub download: SpeedLimit,
    /// What repair may take.
    pub repair: RepairShare,
    /// Whether bytes cost money here.
    pub metered: MeteredLine,
    /// What repair may send in a second just now: less than its share while the line is full, 0 on a thin line while a user moves
    /// bytes.
    pub repair_bytes_per_s: u64,
    /// How long packets stand in queues, in milliseconds; null if nothing was measured lately.
    pub queueing_ms: Option<u32>,
    /// Bytes of blocks since the start that users wait for, sent and received.
    pub user_bytes: u64,
    /// Bytes of blocks since the start that complete copies elsewhere.
    pub repair_bytes_out: u64,
    /// The same, of copies on this node.
    pub repair_bytes_in: u64,
}

/// A limit of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpeedLimit {
    /// Bytes per second; 0: no limit.
    pub bytes_per_s: u64,
    /// Where it comes from.
    pub source: LimitSource,
    /// Seconds until it ends by itself; null if it does not.
    pub left_s: Option<u64>,
}

/// A limit of repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepairShare {
    /// Of the upload, at most.
    pub percent: u8,
    /// Where it comes from.
    pub source: LimitSource,
    /// Seconds until it ends by itself; null if it does not.
    pub left_s: Option<u64>,
}

/// Whether bytes cost money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MeteredLine {
    /// Then nothing is sent that no user waits for.
    pub metered: bool,
    /// Where it comes from.
    pub source: LimitSource,
    /// Seconds until it ends by itself; null if it does not.
    pub left_s: Option<u64>,
}

/// Where a limit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitSource {
    /// `config.toml`, or its default.
    Config,
    /// A rule of `config.toml` for these hours.
    Hours,
    /// A request to the running node.
    Request,
    /// A code of a later version. No node of this version sends it.
    #[serde(other)]
    Other,
}

/// Changes what counts, in place of the configuration, until the node ends. What is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BandwidthRequest {
    /// First of all, all earlier requests are forgotten: the configuration counts.
    #[serde(default)]
    pub reset: bool,
    /// Bytes per second, at least 32,000; 0: no limit.
    #[serde(default)]
    pub upload_bytes_per_s: Option<u64>,
    /// The same, of what comes in.
    #[serde(default)]
    pub download_bytes_per_s: Option<u64>,
    /// Of the upload, how much repair may take at most, 0 to 100.
    #[serde(default)]
    pub repair_percent: Option<u8>,
    /// Whether bytes cost money here.
    #[serde(default)]
    pub metered: Option<bool>,
    /// What is named counts for so many seconds only.
    #[serde(default)]
    pub for_s: Option<u64>,
}
