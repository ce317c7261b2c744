//! When a node is away, by its owner's word.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// When this node is away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AbsenceAnswer {
    /// Milliseconds since 1970 until which it is away; 0 = it is not, but for the daily hours.
    pub until_ms: u64,
    /// Hours of each day at which it is away.
    pub daily: Vec<DailyHours>,
}

/// Minutes of a day in UTC, the end excluded. A span that ends before it begins goes on past midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DailyHours {
    /// 0 to 1,439.
    pub from_minute: u16,
    /// 0 to 1,439, other than `from_minute`.
    pub to_minute: u16,
}

/// Announces when this node is away; what is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AbsenceChange {
    /// Milliseconds since 1970 until which it is away, at most 60 days ahead; 0 = it is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Hours of each day, at most 8 spans; an empty list ends them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<Vec<DailyHours>>,
}
