//! The sites: who gives what, when they are on, and how fast they send.

use crate::study::network::{NetworkMember, OverlayNetwork, TB};

/// Hours in a year.
pub const YEAR_H: f64 = 8_760.0;
/// Two weeks.
const HOLIDAY_H: f64 = 336.0;

/// When the servers of a site run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerHabit {
    /// Always.
    On,
    /// Always, but for two weeks a year.
    HolidaysOff,
    /// Not from 23 to 7 o'clock, nor for two weeks a year.
    NightsOff,
}

/// A site.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SiteModel {
    pub habit: OwnerHabit,
    /// What it sends.
    pub uplink_mbit_s: f64,
    /// Sizes of its servers.
    pub servers_tb: &'static [u32],
}

impl SiteModel {
    /// Whether it is on, at this hour of a year in which its holidays begin at that hour.
    pub fn is_on(&self, hour: f64, holidays: f64) -> bool {
        let away = (hour - holidays).rem_euclid(YEAR_H) < HOLIDAY_H;
        let asleep = !(7.0..23.0).contains(&(hour % 24.0));
        match self.habit {
            OwnerHabit::On => true,
            OwnerHabit::HolidaysOff => !away,
            OwnerHabit::NightsOff => !away && !asleep,
        }
    }
}

/// Six sites with nine servers, as friends have them.
pub const FRIENDS: [SiteModel; 6] = [
    SiteModel { habit: OwnerHabit::On, uplink_mbit_s: 40.0, servers_tb: &[8, 4] },
    SiteModel { habit: OwnerHabit::HolidaysOff, uplink_mbit_s: 20.0, servers_tb: &[4, 4] },
    SiteModel { habit: OwnerHabit::On, uplink_mbit_s: 10.0, servers_tb: &[4, 2] },
    SiteModel { habit: OwnerHabit::NightsOff, uplink_mbit_s: 40.0, servers_tb: &[6] },
    SiteModel { habit: OwnerHabit::NightsOff, uplink_mbit_s: 20.0, servers_tb: &[4] },
    SiteModel { habit: OwnerHabit::On, uplink_mbit_s: 50.0, servers_tb: &[4] },
];

/// Nine equal servers, always on, that send at once: a case that can be calculated.
pub const SIMPLE: [SiteModel; 9] = [SiteModel { habit: OwnerHabit::On, uplink_mbit_s: 1e9, servers_tb: &[4] }; 9];

/// The sites as a network, with the site of each server. If `blind`, placement takes each server for a site of its own.
pub fn network(sites: &[SiteModel], blind: bool, salt: u64) -> (OverlayNetwork, Vec<usize>) {
    let servers = || sites.iter().enumerate().flat_map(|(site, is)| is.servers_tb.iter().map(move |size| (site, size)));
    let member = |(id, (site, size)): (usize, (usize, &u32))| NetworkMember {
        site: if blind { id } else { site },
        disks: vec![size * TB],
        batch: id,
    };
    let network = OverlayNetwork { salt, members: servers().enumerate().map(member).collect() };
    (network, servers().map(|(site, _)| site).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nights_and_holidays_are_off() {
        let site = FRIENDS[3];
        assert!(site.is_on(12.0, 1_000.0) && !site.is_on(3.0, 1_000.0) && !site.is_on(23.5, 1_000.0));
        assert!(!site.is_on(1_000.0 + 15.0 * 24.0 - 25.0, 1_000.0));
        assert!(!FRIENDS[1].is_on(10.0, YEAR_H - 100.0), "holidays go on over New Year");
        assert!(FRIENDS[0].is_on(3.0, 0.0));
    }
}
