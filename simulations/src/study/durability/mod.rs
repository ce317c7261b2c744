//! How likely a pool loses something within a year.

mod house;
mod life;
mod page;
mod plan;

use super::page::StudyPage;
use super::work::StudyWork;
use house::{FRIENDS, SIMPLE, SiteModel, YEAR_H};
use life::LifetimeModel;
use plan::PlacementPlan;

/// Hours that friends need, about, to make the copies of a disk anew.
const REPAIR_H: f64 = 100.0;
/// Deaths of a disk per year.
const DEATHS: f64 = 0.02;
/// Data in the pool of friends.
const DATA_TB: f64 = 6.0;
/// Blocks that stand for it: many more than there are sets of holders.
const BLOCKS: u64 = 2_000;
/// Years lived per case: many without a fire, for in most of them nothing dies.
const YEARS: u64 = 50_000;
const YEARS_WITH_FIRE: u64 = 30_000;
/// Years in one piece of work.
const PIECE: u64 = 1_000;
/// Hours until a dead disk is known as such: somebody looks at the status once a day.
const NOTICE_H: f64 = 24.0;
/// The same if nobody says a word: the rule by which a silent member counts as gone.
const SILENT_H: f64 = 14.0 * 24.0;

/// A kind of year.
#[derive(Clone, Copy, Debug, PartialEq)]
struct DurabilityCase {
    houses: &'static [SiteModel],
    copies: u8,
    /// Placement takes each server for a house of its own.
    blind: bool,
    /// A house burns down.
    fire: bool,
    notice_h: f64,
}

/// Probability of loss in such a year.
#[derive(Clone, Copy, Debug)]
struct LossRisk {
    probability: f64,
    /// Half of the interval in which it lies with 95 % confidence.
    confidence: f64,
    /// Years in which something was lost, of those that were lived in a hurry.
    seen: u64,
}

/// The study.
pub fn study(work: &StudyWork) -> StudyPage {
    let cases = cases();
    let risks = cases.iter().map(|case| risk(case, work)).collect::<Vec<LossRisk>>();
    page::page(&cases.into_iter().zip(risks).collect::<Vec<(DurabilityCase, LossRisk)>>())
}

fn cases() -> Vec<DurabilityCase> {
    let mut cases = Vec::new();
    for copies in [2, 3, 4] {
        for (blind, fire) in [(false, false), (false, true), (true, false), (true, true)] {
            cases.push(DurabilityCase { houses: &FRIENDS, copies, blind, fire, notice_h: NOTICE_H });
        }
    }
    for fire in [false, true] {
        cases.push(DurabilityCase { houses: &FRIENDS, copies: 3, blind: false, fire, notice_h: SILENT_H });
    }
    cases.extend([2, 3].map(DurabilityCase::simple));
    cases
}

impl DurabilityCase {
    /// A case that [`formula`] knows.
    fn simple(copies: u8) -> Self {
        Self { houses: &SIMPLE, copies, blind: false, fire: false, notice_h: NOTICE_H }
    }
}

/// Monte Carlo over many years, in pieces.
fn risk(case: &DurabilityCase, work: &StudyWork) -> LossRisk {
    let (network, house_of) = house::network(case.houses, case.blind, work.seed);
    let plan = PlacementPlan::new(network, case.copies, work.samples(BLOCKS), work.seed);
    let megabytes_per_block = DATA_TB * 1e6 / work.samples(BLOCKS) as f64;
    let life = LifetimeModel {
        houses: case.houses,
        house_of: &house_of,
        plan: &plan,
        rate: DEATHS / YEAR_H,
        notice_h: case.notice_h,
        blocks_per_mbit_h: 3_600.0 / 8.0 / megabytes_per_block,
        fire: case.fire,
        hurry_h: case.notice_h + if case.houses.len() == FRIENDS.len() { REPAIR_H } else { 0.0 },
    };
    let years = work.samples(if case.fire { YEARS_WITH_FIRE } else { YEARS });
    let pieces: Vec<u64> = (0..years.div_ceil(PIECE)).collect();
    let sums = work.map("living years", &pieces, |piece| {
        let years = piece * PIECE..((piece + 1) * PIECE).min(years);
        years.fold((0.0, 0.0, 0), |(sum, squares, seen), year| {
            let weight = life.loss(work.seed << 32 | year);
            (sum + weight, squares + weight * weight, seen + u64::from(weight > 0.0))
        })
    });
    let (sum, squares, seen) =
        sums.into_iter().fold((0.0, 0.0, 0), |all: (f64, f64, u64), one| (all.0 + one.0, all.1 + one.1, all.2 + one.2));
    let (mean, count) = (sum / years as f64, years as f64);
    let variance = f64::max(squares / count - mean * mean, 0.0) / count;
    LossRisk { probability: mean, confidence: 1.96 * variance.sqrt(), seen }
}

/// The same in closed form, for equal servers that repair at once when a death is known: after a first death, all further copies of
/// some block must die before it is known. Exact but for terms of the order of `rate * notice`.
fn formula(servers: f64, copies: u8, rate: f64, notice_h: f64, hours: f64) -> f64 {
    let others =
        (1..copies).fold(1.0, |chance, nr| chance * (servers - f64::from(nr)) * rate * notice_h / f64::from(nr));
    1.0 - libm::exp(-servers * rate * hours * others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_study_runs_and_repeats_itself() {
        let pages = [study(&StudyWork::tiny(1)), study(&StudyWork::tiny(1))];
        assert_eq!(pages[0].markdown(1), pages[1].markdown(1));
    }

    #[test]
    fn the_simulation_agrees_with_the_formula_in_the_simple_case() {
        for copies in [2, 3] {
            let risk = risk(&DurabilityCase::simple(copies), &StudyWork::new(7, ""));
            let expected = formula(9.0, copies, DEATHS / YEAR_H, NOTICE_H, YEAR_H);
            assert!(risk.confidence < 0.1 * expected, "{copies} copies: {risk:?} is no measurement");
            assert!(
                (risk.probability - expected).abs() < 1.5 * risk.confidence,
                "{copies} copies: {risk:?}, expected {expected}"
            );
        }
    }

    #[test]
    fn the_formula_of_a_pair_is_the_well_known_one() {
        // Two disks, 1/1000 h each, a day: twice the rate, times the chance of a second death within the day.
        assert!((formula(2.0, 2, 1e-3, 24.0, 1.0) - (1.0 - (-2e-3f64 * 0.024).exp())).abs() < 1e-12);
    }
}
