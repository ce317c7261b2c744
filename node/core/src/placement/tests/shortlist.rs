//! Looking only at those who can win makes no difference: the same holders as the clear form, for every map.

use super::super::math::{ONE, PlacementKey, exponential, least_draw};
use super::super::race::{RaceEntrant, race, slack};
use super::super::sites::DiskArrival;
use super::super::straw_race::{RaceCandidate, StrawRace, StrawSource};
use super::clear::{self, PlainItem};
use super::*;

/// Winners among all runners, in order of winning.
pub(super) fn winners(runners: &[PlainItem], places: usize) -> Vec<usize> {
    let sum = runners.iter().map(|runner| runner.p).sum();
    let nothing = DiskArrival { e: 0, weight: 1, disk: 0 };
    let entrant =
        |(place, runner): (usize, &PlainItem)| RaceEntrant::new(place, runner.e, runner.p, slack(sum, places), nothing);
    let won = race(runners.iter().enumerate().map(entrant).collect(), sum, places, u64::MAX);
    won.expect("without a limit there is an end").iter().map(|entrant| entrant.place).collect()
}

/// Weights as they are and as they could be: equal, spread over a factor of thirty, or anything from 1 to 2^32-1.
fn weight(dice: &mut fastrand::Rng, shape: u32) -> u32 {
    match shape {
        0 => 1000,
        1 => 100 << dice.u32(0..6),
        2 => *dice.choice(&[0, 1, 2, u32::MAX - 1, u32::MAX]).expect("some"),
        _ => dice.u32(..) >> dice.u32(0..32),
    }
}

fn map(dice: &mut fastrand::Rng) -> Vec<MapServer> {
    let (shape, disks) = (dice.u32(0..4), *dice.choice(&[1, 1, 2, 5]).expect("some"));
    let count = *dice.choice(&[1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40]).expect("some");
    let (sites, branches) = (1 + dice.u64(0..count), dice.bool());
    let server = |number| {
        let disks = (0..dice.u64(0..disks) + 1).map(|place| disk(number, place, weight(dice, shape))).collect();
        let branch = branches.then(|| dice.u64(0..6)).filter(|branch| *branch < 3).map(node);
        MapServer { id: node(number), site: format!("house {}", dice.u64(0..sites)), branch, disks }
    };
    (0..count).map(server).collect()
}

#[test]
fn a_hundred_thousand_cases_like_the_clear_form() {
    let mut dice = fastrand::Rng::with_seed(4);
    for number in 0..10_000 {
        let view = ClusterMap::new(map(&mut dice));
        let copies = if dice.bool() { 3 } else { dice.u8(1..=32) };
        for number in number * 10..number * 10 + 10 {
            let (short, clear) = (view.holders(block(number), copies), clear::holders(&view, block(number), copies));
            assert_eq!(short, clear, "N = {copies}, block {number}, {:?}", view.servers());
        }
    }
}

#[test]
fn a_thousand_servers_like_the_clear_form() {
    for (servers, sites, copies) in [(1000, 1000, 3), (1000, 40, 3), (1000, 7, 9), (300, 300, 32)] {
        let view = ClusterMap::new(uneven(servers, sites, 2));
        for number in 0..50 {
            assert_eq!(
                view.holders(block(number), copies),
                clear::holders(&view, block(number), copies),
                "{sites} sites"
            );
        }
    }
}

/// Of the chances that rounding, ties and near certainty bring about.
#[test]
fn races_like_the_clear_form() {
    let mut dice = fastrand::Rng::with_seed(5);
    for _ in 0..20_000 {
        let count = dice.usize(2..12);
        let chance = |dice: &mut fastrand::Rng| match dice.u32(0..6) {
            0 => 1,
            1 => ONE - 1 - dice.u64(0..300),
            2 => ONE / 2,
            _ => dice.u64(1..ONE),
        };
        let e = |dice: &mut fastrand::Rng| match dice.u32(0..4) {
            0 => 7 << 40,
            _ => exponential(dice.u64(..)) << dice.u32(0..17),
        };
        let runners: Vec<PlainItem> = (0..count).map(|_| PlainItem { e: e(&mut dice), p: chance(&mut dice) }).collect();
        // As many places as the chances ask for, or fewer: with more the probabilities would not be theirs.
        let sum = runners.iter().map(|runner| runner.p).sum::<u64>();
        let places = dice.usize(0..=(sum / ONE) as usize + 1).min(count);
        assert_eq!(winners(&runners, places), clear::race(runners.clone(), places), "{places} of {runners:?}");
    }
}

#[test]
fn no_draw_below_the_least_is_early() {
    let mut dice = fastrand::Rng::with_seed(6);
    for _ in 0..100_000 {
        let u = dice.u64(..) >> dice.u32(0..64);
        let e = exponential(u);
        for e in [e + 1, e + 2, e + dice.u64(1..1 << 40)] {
            assert!(u >= least_draw(e), "u = {u:x} comes up before {e}");
        }
        assert!(exponential(least_draw(e)) < e + (1 << 31), "at {e} a step more than needed is let through");
    }
    assert!((0..=2047).all(|u| exponential(u) >= exponential(u + 1)), "a larger draw comes up no later");
}

#[test]
fn a_race_beyond_its_limit_is_run_again_by_all() {
    let view = ClusterMap::new(uneven(200, 200, 3));
    let contender =
        |who: usize| RaceCandidate { who, p: ONE / 50, by: StrawSource::Disks(view.sites.servers[who].disks.clone()) };
    let field = StrawRace::new(&view.sites, &(0..200).map(contender).collect::<Vec<_>>(), 4);
    let mut again = 0;
    for number in 0..5_000 {
        let key = PlacementKey::of(block(number).as_bytes());
        let arrivals = view.sites.arrivals(key);
        let runners = arrivals.iter().map(|arrival| PlainItem { e: arrival.e, p: ONE / 50 }).collect();
        let short: Vec<usize> = field.winners(key).iter().map(|winner| winner.who).collect();
        assert_eq!(short, clear::race(runners, 4), "block {number}");
        again += u32::from(field.within_limit(key).is_none());
    }
    assert!((10..=100).contains(&again), "{again} of 5000: the limit should let through about 99 of 100");
}
