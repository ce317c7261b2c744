//! How likely a pool loses something within a year.

mod case;
mod life;
mod page;
mod plan;
mod site;

use super::page::StudyPage;
use super::work::StudyWork;
use case::{BLOCKS, DATA_TB, DEATHS, DurabilityCase, LossRisk, NOTICE_H, SILENT_H, YEARS, YEARS_WITH_SITE_FAILURE};
use life::LifetimeModel;
use plan::PlacementPlan;
use site::{FRIENDS, YEAR_H};

/// Hours that friends need, about, to make the copies of a disk anew.
const REPAIR_H: f64 = 100.0;
/// Years in one piece of work.
const PIECE: u64 = 1_000;

/// The study.
pub fn study(work: &StudyWork) -> StudyPage {
    let cases = cases();
    let risks = cases.iter().map(|case| risk(case, work)).collect::<Vec<LossRisk>>();
    page::page(&cases.into_iter().zip(risks).collect::<Vec<(DurabilityCase, LossRisk)>>())
}

fn cases() -> Vec<DurabilityCase> {
    let mut cases = Vec::new();
    for copies in [2, 3, 4] {
        for (blind, site_fails) in [(false, false), (false, true), (true, false), (true, true)] {
            cases.push(DurabilityCase { sites: &FRIENDS, copies, blind, site_fails, notice_h: NOTICE_H });
        }
    }
    for site_fails in [false, true] {
        cases.push(DurabilityCase { sites: &FRIENDS, copies: 3, blind: false, site_fails, notice_h: SILENT_H });
    }
    cases.extend([2, 3].map(DurabilityCase::simple));
    cases
}

/// Monte Carlo over many years, in pieces.
fn risk(case: &DurabilityCase, work: &StudyWork) -> LossRisk {
    let (network, site_of) = site::network(case.sites, case.blind, work.seed);
    let plan = PlacementPlan::new(network, case.copies, work.samples(BLOCKS), work.seed);
    let megabytes_per_block = DATA_TB * 1e6 / work.samples(BLOCKS) as f64;
    let life = LifetimeModel {
        sites: case.sites,
        site_of: &site_of,
        plan: &plan,
        rate: DEATHS / YEAR_H,
        notice_h: case.notice_h,
        blocks_per_mbit_h: 3_600.0 / 8.0 / megabytes_per_block,
        site_fails: case.site_fails,
        hurry_h: case.notice_h + if case.sites.len() == FRIENDS.len() { REPAIR_H } else { 0.0 },
    };
    let years = work.samples(if case.site_fails { YEARS_WITH_SITE_FAILURE } else { YEARS });
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

#[cfg(test)]
mod tests {
    use super::case::formula;
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
