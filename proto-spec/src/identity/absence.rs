//! What a node says of when it is away.

use serde::{Deserialize, Serialize};

use super::statement::first_version;
use crate::codec::{CanonicalCodec, FormatError, ascending, bound};
use crate::ids::{DiskNonce, NodeId, PublicKey};
use crate::label::sign;
use crate::signed::Signable;

/// Spans of a day in one absence at most.
pub const DAILY_SPANS_MAX: usize = 8;
/// Disks named by one absence at most: as many as a card has.
const DRAINED_MAX: usize = 64;
/// Minutes of a day.
const DAY_MIN: u16 = 24 * 60;

/// "I am away until then, or every day at these hours": `[1, node, seq, until, daily, drained]`, signed by the node. Nobody is
/// called gone, and no copies are made elsewhere, for an absence that was announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// 1.
    pub version: u8,
    /// Who.
    pub node: NodeId,
    /// Higher wins; at equal `seq` the larger id wins.
    pub seq: u64,
    /// Wall milliseconds until which it is away; 0 = it is not, but for the daily hours.
    pub until: u64,
    /// Hours of each day, at most [`DAILY_SPANS_MAX`], ascending.
    pub daily: Vec<DailySpan>,
    /// Disks that it empties; none = all of them.
    pub drained: Option<Vec<DiskNonce>>,
}

/// Minutes of a day in UTC: `[from, to]`, the end excluded. One that ends before it begins goes on past midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DailySpan {
    /// 0 to 1,439.
    pub from: u16,
    /// 0 to 1,439, never equal to `from`.
    pub to: u16,
}

impl DailySpan {
    /// Minutes that are left of the span at that minute of the day; none if it is outside.
    pub fn minutes_left(&self, minute: u16) -> Option<u16> {
        let into = (minute + DAY_MIN - self.from) % DAY_MIN;
        let length = (self.to + DAY_MIN - self.from) % DAY_MIN;
        (into < length).then(|| length - into)
    }
}

impl CanonicalCodec for Absence {
    fn check(&self) -> Result<(), FormatError> {
        first_version("an absence", self.version)?;
        bound(self.daily.len() <= DAILY_SPANS_MAX, "the hours of an absence")?;
        let is_span = |span: &DailySpan| span.from < DAY_MIN && span.to < DAY_MIN && span.from != span.to;
        bound(self.daily.iter().all(is_span), "the hours of an absence")?;
        ascending(&self.daily, |span| *span)?;
        let drained = self.drained.as_deref().unwrap_or_default();
        bound(drained.len() <= DRAINED_MAX, "the disks of an absence")?;
        ascending(drained, |disk| *disk)
    }
}

impl Signable for Absence {
    const LABEL: &'static str = sign::ABSENCE;
    fn signer(&self) -> Option<PublicKey> {
        Some(self.node.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_may_go_on_past_midnight() {
        let night = DailySpan { from: 23 * 60, to: 7 * 60 };
        assert_eq!(night.minutes_left(23 * 60), Some(8 * 60));
        assert_eq!(night.minutes_left(6 * 60 + 59), Some(1));
        assert_eq!(night.minutes_left(7 * 60), None);
        let noon = DailySpan { from: 12 * 60, to: 13 * 60 };
        assert_eq!((noon.minutes_left(11), noon.minutes_left(12 * 60 + 30)), (None, Some(30)));
    }
}
