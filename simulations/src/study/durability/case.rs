//! Kinds of years, and how likely each of them loses something.

use super::site::{SIMPLE, SiteModel};

/// Deaths of a disk per year.
pub const DEATHS: f64 = 0.02;
/// Data in the pool of friends.
pub const DATA_TB: f64 = 6.0;
/// Blocks that stand for it: many more than there are sets of holders.
pub const BLOCKS: u64 = 2_000;
/// Years lived per case: many without a site failure, for in most of them nothing dies.
pub const YEARS: u64 = 50_000;
pub const YEARS_WITH_SITE_FAILURE: u64 = 30_000;
/// Hours until a dead disk is known as such: somebody looks at the status once a day.
pub const NOTICE_H: f64 = 24.0;
/// The same if nobody says a word: the rule by which a silent member counts as gone.
pub const SILENT_H: f64 = 14.0 * 24.0;

/// A kind of year.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DurabilityCase {
    pub sites: &'static [SiteModel],
    pub copies: u8,
    /// Placement takes each server for a site of its own.
    pub blind: bool,
    /// A site fails.
    pub site_fails: bool,
    pub notice_h: f64,
}

/// Probability of loss in such a year.
#[derive(Clone, Copy, Debug)]
pub struct LossRisk {
    pub probability: f64,
    /// Half of the interval in which it lies with 95 % confidence.
    pub confidence: f64,
    /// Years in which something was lost, of those that were lived in a hurry.
    pub seen: u64,
}

impl DurabilityCase {
    /// A case that [`formula`] knows.
    pub fn simple(copies: u8) -> Self {
        Self { sites: &SIMPLE, copies, blind: false, site_fails: false, notice_h: NOTICE_H }
    }
}

/// The same in closed form, for equal servers that repair at once when a death is known: after a first death, all further copies of
/// some block must die before it is known. Exact but for terms of the order of `rate * notice`.
pub fn formula(servers: f64, copies: u8, rate: f64, notice_h: f64, hours: f64) -> f64 {
    let others =
        (1..copies).fold(1.0, |chance, nr| chance * (servers - f64::from(nr)) * rate * notice_h / f64::from(nr));
    1.0 - libm::exp(-servers * rate * hours * others)
}
