//! Earlier states of a volume.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ListingEntry, POOL_VOLUME};

/// The earlier states of a volume that can be read, and what stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryReply {
    /// Which states are kept.
    pub keep: HistoryKeep,
    /// The newest first.
    pub states: Vec<StateEntry>,
    /// Newer changes may exist: too few members could be asked.
    pub maybe_stale: bool,
    /// Names of connected members that acknowledged changes which are not shown, because they could not publish them yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpublished_on: Vec<String>,
}

/// How many earlier states are kept, counted back from now; 96 together at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryKeep {
    /// For this number of hours, the newest of each.
    pub hourly: u16,
    /// For this many times six hours.
    pub six_hourly: u16,
    /// For this number of days.
    pub daily: u16,
    /// For this many times thirty days.
    pub monthly: u16,
}

/// A state of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateEntry {
    /// Its id, for `state` of requests.
    pub state: String,
    /// When it was made, by its writer's clock; null if that cannot be read now.
    pub time_ms: Option<u64>,
    /// Name of the member that made the change; null for a merge of several, and for a writer that no member is known to be.
    pub by: Option<String>,
    /// It is what stands now, or one of several that stand side by side.
    pub stands: bool,
    /// What keeps it; null if it is only there because the newest state was made from it.
    pub kept: Option<StateRung>,
    /// No state that stands lists it: only this node remembers that it stood here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_here: bool,
    /// With `path`: what it has there. Null: nothing, or it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Box<ListingEntry>>,
    /// With `path`: equal in two states only if what they have there is equal, of a folder with all in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// With `path`: what it has there could not be read now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unreadable: bool,
}

/// What keeps a state: the finest of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateRung {
    /// It is the newest of its hour.
    Hourly,
    /// Of six hours.
    SixHourly,
    /// Of its day.
    Daily,
    /// Of thirty days.
    Monthly,
}

/// What is to be different in the history of a volume. In one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryChange {
    /// Which volume; default [`POOL_VOLUME`].
    #[serde(default = "pool_volume")]
    pub volume: String,
    /// Which states are kept from now on; none = as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<HistoryKeep>,
    /// States that are not to be listed any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
}

fn pool_volume() -> String {
    POOL_VOLUME.into()
}
