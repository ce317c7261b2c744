//! What a node may use of its line: as the file says, by the hour, and as it was changed while it runs. Pure; the clocks are
//! handed in.

use std::time::{Duration, Instant};

use fsdfs_core::limits::REPAIR_BYTES_PER_S_MAX;
use jiff::civil::DateTime;

use super::hours::HourRule;

/// The section `[bandwidth]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BandwidthPlan {
    /// At all hours that no rule names.
    pub base: BandwidthLimits,
    /// Of those that fit the first counts, for what it names.
    pub hours: Vec<HourRule>,
    /// Bytes cost money here: nothing is sent that no user waits for.
    pub metered: bool,
}

/// What may be used of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandwidthLimits {
    /// Bytes per second; none: no limit.
    pub upload: Option<u64>,
    /// The same, of what comes in.
    pub download: Option<u64>,
    /// Of the upload, how much repair may take at most.
    pub repair_percent: u8,
}

impl Default for BandwidthLimits {
    fn default() -> Self {
        Self { upload: None, download: None, repair_percent: 50 }
    }
}

impl BandwidthPlan {
    /// What may come in at the hour at which most may; none: no limit.
    pub fn download_max(&self) -> Option<u64> {
        let of_hours = self.hours.iter().filter_map(|rule| rule.download);
        of_hours.chain([self.base.download]).collect::<Option<Vec<u64>>>()?.into_iter().max()
    }
}

/// A change while the node runs: what is named counts in place of the file, for so long or until the node ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BandwidthChange {
    /// See [`BandwidthLimits`].
    pub upload: Option<Option<u64>>,
    /// See [`BandwidthLimits`].
    pub download: Option<Option<u64>>,
    /// See [`BandwidthLimits`].
    pub repair_percent: Option<u8>,
    /// See [`BandwidthPlan`].
    pub metered: Option<bool>,
    /// None: until the node ends.
    pub lasts: Option<Duration>,
}

/// Who said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingSource {
    /// The file, or the default.
    File,
    /// A rule for some hours.
    Hours,
    /// A change while the node runs.
    Command,
}

/// A value that counts now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandwidthSetting<T> {
    /// The value.
    pub value: T,
    /// Who said so.
    pub source: SettingSource,
    /// For how long, if it is known.
    pub left: Option<Duration>,
}

/// All that counts now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandwidthInForce {
    /// See [`BandwidthLimits`].
    pub upload: BandwidthSetting<Option<u64>>,
    /// See [`BandwidthLimits`].
    pub download: BandwidthSetting<Option<u64>>,
    /// See [`BandwidthLimits`].
    pub repair_percent: BandwidthSetting<u8>,
    /// See [`BandwidthPlan`].
    pub metered: BandwidthSetting<bool>,
}

impl BandwidthInForce {
    /// Bytes per second that repair may send at most. `uplink` is what the line carries, if the owner said.
    pub fn repair_ceiling(&self, uplink: Option<u64>) -> u64 {
        let percent = if self.metered.value { 0 } else { u64::from(self.repair_percent.value) };
        let share = |line: u64| u64::try_from(u128::from(line) * u128::from(percent) / 100).unwrap_or(u64::MAX);
        match self.line(uplink) {
            _ if percent == 0 => 0,
            Some(line) => share(line).clamp(1, REPAIR_BYTES_PER_S_MAX),
            None => REPAIR_BYTES_PER_S_MAX,
        }
    }

    /// What there is to upload with, as far as the owner said.
    pub fn line(&self, uplink: Option<u64>) -> Option<u64> {
        self.upload.value.into_iter().chain(uplink).min()
    }
}

/// What was changed while the node runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BandwidthChanges {
    upload: Option<TimedValue<Option<u64>>>,
    download: Option<TimedValue<Option<u64>>>,
    repair_percent: Option<TimedValue<u8>>,
    metered: Option<TimedValue<bool>>,
}

#[derive(Clone, Copy, Debug)]
struct TimedValue<T> {
    value: T,
    until: Option<Instant>,
}

impl BandwidthChanges {
    /// What is not named stays as it was changed before, for as long as was said then.
    pub(super) fn add(&mut self, now: Instant, change: &BandwidthChange) {
        let until = change.lasts.and_then(|lasts| now.checked_add(lasts));
        self.upload = timed(change.upload, until).or(self.upload);
        self.download = timed(change.download, until).or(self.download);
        self.repair_percent = timed(change.repair_percent, until).or(self.repair_percent);
        self.metered = timed(change.metered, until).or(self.metered);
    }

    /// What counts: the change, else the first rule that fits the hour, else the file. `local` is what the clock on the wall shows.
    pub(super) fn in_force(&self, plan: &BandwidthPlan, now: Instant, local: DateTime) -> BandwidthInForce {
        let rule = plan.hours.iter().find(|rule| rule.fits(local));
        let base = plan.base;
        BandwidthInForce {
            upload: setting(now, self.upload, rule.and_then(|rule| rule.upload), base.upload),
            download: setting(now, self.download, rule.and_then(|rule| rule.download), base.download),
            repair_percent: setting(
                now,
                self.repair_percent,
                rule.and_then(|rule| rule.repair_percent),
                base.repair_percent,
            ),
            metered: setting(now, self.metered, None, plan.metered),
        }
    }
}

fn timed<T>(value: Option<T>, until: Option<Instant>) -> Option<TimedValue<T>> {
    value.map(|value| TimedValue { value, until })
}

fn setting<T>(now: Instant, change: Option<TimedValue<T>>, hours: Option<T>, file: T) -> BandwidthSetting<T> {
    let left = |until: Instant| until.saturating_duration_since(now);
    match (change.filter(|change| change.until.is_none_or(|until| until > now)), hours) {
        (Some(TimedValue { value, until }), _) => {
            BandwidthSetting { value, source: SettingSource::Command, left: until.map(left) }
        }
        (None, Some(value)) => BandwidthSetting { value, source: SettingSource::Hours, left: None },
        (None, None) => BandwidthSetting { value: file, source: SettingSource::File, left: None },
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn plan() -> BandwidthPlan {
        BandwidthPlan {
            base: BandwidthLimits { upload: Some(2_000_000), download: None, repair_percent: 25 },
            hours: vec![
                "08:00-18:00 upload=4Mbit repair=0".parse().expect("a rule"),
                "08:00-20:00 download=8Mbit".parse().expect("a rule"),
            ],
            metered: false,
        }
    }

    fn values(in_force: &BandwidthInForce) -> (Option<u64>, Option<u64>, u8, bool) {
        let BandwidthInForce { upload, download, repair_percent, metered } = in_force;
        (upload.value, download.value, repair_percent.value, metered.value)
    }

    #[test]
    fn the_first_rule_that_fits_counts_for_what_it_names() {
        let (plan, now, changes) = (plan(), Instant::now(), BandwidthChanges::default());
        let at = |hour| changes.in_force(&plan, now, date(2026, 3, 2).at(hour, 0, 0, 0));
        assert_eq!(values(&at(7)), (Some(2_000_000), None, 25, false));
        assert_eq!(values(&at(9)), (Some(500_000), None, 0, false));
        assert_eq!(values(&at(19)), (Some(2_000_000), Some(1_000_000), 25, false));
        assert_eq!((at(9).upload.source, at(9).download.source), (SettingSource::Hours, SettingSource::File));
        assert_eq!(plan.download_max(), None, "at some hours there is no limit");
        let base = BandwidthLimits { download: Some(500_000), ..plan.base };
        assert_eq!(BandwidthPlan { base, ..plan.clone() }.download_max(), Some(1_000_000));
    }

    #[test]
    fn a_change_counts_for_its_time_and_what_it_does_not_name_stays() {
        let (plan, now, mut changes) = (plan(), Instant::now(), BandwidthChanges::default());
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let limit =
            BandwidthChange { upload: Some(Some(100_000)), lasts: Some(hours(2)), ..BandwidthChange::default() };
        changes.add(now, &limit);
        changes.add(now, &BandwidthChange { metered: Some(true), ..BandwidthChange::default() });
        let noon = date(2026, 3, 2).at(12, 0, 0, 0);
        let soon = changes.in_force(&plan, now + hours(1), noon);
        assert_eq!(values(&soon), (Some(100_000), None, 0, true));
        assert_eq!((soon.upload.left, soon.metered.left), (Some(hours(1)), None));
        let later = changes.in_force(&plan, now + hours(2), noon);
        assert_eq!(values(&later), (Some(500_000), None, 0, true));
        assert_eq!((later.upload.source, later.metered.source), (SettingSource::Hours, SettingSource::Command));
    }

    #[test]
    fn repair_has_its_share_of_what_is_known_of_the_line() {
        let (now, noon) = (Instant::now(), date(2026, 3, 2).at(12, 0, 0, 0));
        let ceiling = |upload, repair_percent, metered, uplink| {
            let base = BandwidthLimits { upload, download: None, repair_percent };
            let plan = BandwidthPlan { base, hours: Vec::new(), metered };
            BandwidthChanges::default().in_force(&plan, now, noon).repair_ceiling(uplink)
        };
        assert_eq!(ceiling(Some(2_000_000), 25, false, None), 500_000);
        assert_eq!(ceiling(Some(2_000_000), 25, false, Some(1_000_000)), 250_000);
        assert_eq!(ceiling(None, 50, false, Some(1_000_000)), 500_000);
        assert_eq!(ceiling(None, 50, false, None), REPAIR_BYTES_PER_S_MAX);
        assert_eq!(ceiling(Some(u64::MAX), 100, false, None), REPAIR_BYTES_PER_S_MAX);
        assert_eq!((ceiling(None, 0, false, None), ceiling(None, 50, true, Some(1))), (0, 0));
    }
}
