//! The homes of a run: their machines and lines, when they sleep, and which of them never meet.

use std::collections::BTreeMap;

use fsdfs_proto::identity::{DailySpan, Role};

use super::hours::{DAY, MINUTE};
use crate::faults::{MachineSpec, ScenarioEvent};
use crate::world::clock::MachineClock;
use crate::world::queue::Micros;
use crate::world::{MachineId, World};

/// Homes at least: with two of them lost there are as many as copies.
const HOMES_MIN: usize = 5;
/// Homes that one never meets at most: with two homes lost it still reaches as many as have to know of a change.
const UNMET_MAX: usize = 1;
/// Minutes of a day.
const DAY_MINUTES: u64 = 24 * 60;

/// A home.
#[derive(Clone, Debug)]
pub struct Home {
    /// Its machines.
    pub machines: Vec<MachineId>,
    /// When they sleep, if they do.
    pub night: Option<Night>,
    /// Its router lets everybody in, so that it meets all others.
    pub open: bool,
}

/// Hours of every day in which a home is off.
#[derive(Clone, Copy, Debug)]
pub struct Night {
    /// Minute of the day.
    from: u64,
    minutes: u64,
    /// Its members said so.
    pub announced: bool,
}

impl Night {
    /// As a member announces it, with a quarter of an hour on both sides.
    pub fn span(self) -> DailySpan {
        let minute = |at: u64| u16::try_from(at % DAY_MINUTES).expect("a day has fewer minutes");
        DailySpan { from: minute(self.from + DAY_MINUTES - 15), to: minute(self.from + self.minutes + 15) }
    }

    /// When the next one begins. The world began at midnight.
    pub fn next(self, at: Micros) -> Micros {
        let tonight = at / DAY * DAY + self.from * MINUTE;
        if tonight > at { tonight } else { tonight + DAY }
    }

    /// How long it takes.
    pub fn length(self) -> Micros {
        self.minutes * MINUTE
    }
}

/// Homes with one machine or two, lines from 1 to 100 Mbit/s up. All machines run, the first home is the founder's.
pub fn build(world: &mut World, rng: &mut fastrand::Rng, most: usize) -> Vec<Home> {
    let homes = rng.usize(HOMES_MIN..=most.max(HOMES_MIN));
    let build = |number: usize| {
        let bytes_per_s = 125_000 * 10u64.pow(rng.u32(0..2)) * rng.u64(1..=10);
        let mut delays = rng.fork();
        let site = world.add_site(bytes_per_s, |_| delays.u64(3..=80));
        let machines = if rng.u8(0..6) == 0 { 2 } else { 1 };
        let machines = (0..machines).map(|_| {
            let disks: Vec<u64> = (0..rng.usize(1..=2)).map(|_| rng.u64(24..96)).collect();
            let clock = MachineClock::new(rng.i64(-100..=100), rng.i64(-3_000..=3_000));
            let id = world.add_newcomer(&MachineSpec { role: Role::Full, site, disks, clock });
            world.restart(id);
            id
        });
        let machines = machines.collect();
        let from = rng.u64(0..DAY_MINUTES);
        let night = Night { from, minutes: rng.u64(300..600), announced: rng.bool() };
        Home { machines, night: Some(night).filter(|_| rng.bool()), open: number < 2 }
    };
    (0..homes).map(build).collect()
}

/// A third of the pairs of homes does not meet: half of these never, half through the machine of an open home.
pub fn lines(rng: &mut fastrand::Rng, homes: &[Home]) -> ScenarioEvent {
    let closed: Vec<&Home> = homes.iter().filter(|home| !home.open).collect();
    let mut pairs: Vec<(&Home, &Home)> = (0..closed.len())
        .flat_map(|one| (one + 1..closed.len()).map(move |other| (one, other)))
        .map(|(one, other)| (closed[one], closed[other]))
        .collect();
    rng.shuffle(&mut pairs);
    pairs.truncate(homes.len() * (homes.len() - 1) / 6);
    let relays: Vec<MachineId> = homes.iter().filter(|home| home.open).flat_map(|home| home.machines.clone()).collect();
    let (mut strangers, mut relayed) = (Vec::new(), Vec::new());
    let mut unmet = BTreeMap::<MachineId, usize>::new();
    for (one, other) in pairs {
        let ends = [one.machines[0], other.machines[0]];
        let lonely = ends.iter().any(|end| unmet.get(end).copied().unwrap_or_default() >= UNMET_MAX);
        let through = rng.choice(relays.iter().copied()).filter(|_| lonely || rng.bool());
        if through.is_none() {
            ends.into_iter().for_each(|end| *unmet.entry(end).or_default() += 1);
        }
        for (one, other) in one.machines.iter().flat_map(|one| other.machines.iter().map(move |other| (*one, *other))) {
            match through {
                Some(relay) => relayed.push((one, other, relay)),
                None => strangers.push((one, other)),
            }
        }
    }
    ScenarioEvent::Lines { strangers, relayed }
}
