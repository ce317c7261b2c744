//! From a run that fails to the smallest part of it that still fails with the same checker.

mod minimal;

use std::collections::BTreeMap;
use std::fmt;

use crate::report::{RunCut, RunReport, StepSelection};
use crate::run::{breaks, replay};
use crate::shrink::minimal::{minimal, shortest};
use crate::trace::EventTrace;
use crate::world::queue::{MS, Micros};

/// Ends of runs are looked for in these steps.
const GRAIN: Micros = 100 * MS;

/// What is left of a run that fails.
#[derive(Clone, Debug)]
pub struct ShrunkRun {
    /// Of the part that is left.
    pub report: RunReport,
    /// Faults and operations before.
    pub numbers_before: usize,
    /// Runs it took to find it.
    pub runs: usize,
}

impl fmt::Display for ShrunkRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (self.numbers_before, self.report.numbers().len());
        write!(f, "shrunk from {before} to {after} faults and operations in {} runs: {}", self.runs, self.report)
    }
}

/// The shortest prefix and the fewest faults and operations that still fail with the checker that complained first: it passes
/// without any one of them, and when it ends a tenth of a second earlier. None if nothing fails.
pub fn shrink(report: &RunReport) -> Option<ShrunkRun> {
    let found = report.violations.first()?;
    let (shape, steps) = (report.shape, &report.steps);
    let mut tried = BTreeMap::new();
    let mut fails = |until: Micros, kept: &[u32]| {
        let run = || breaks(shape, steps, &cut(until, kept), found.checker);
        *tried.entry((until, kept.to_vec())).or_insert_with(run)
    };
    // Nothing that came after it can have caused it.
    let end = report.cut.until.unwrap_or(shape.end()).div_ceil(GRAIN);
    let mut until = if found.at == 0 { end } else { end.min(found.at.div_ceil(GRAIN)) };
    let mut kept = report.numbers();
    let numbers_before = kept.len();
    loop {
        let before = (until, kept.len());
        until = shortest(until, |until| fails(until * GRAIN, &kept));
        kept = minimal(&kept, |kept| fails(until * GRAIN, kept));
        if (until, kept.len()) == before {
            break;
        }
    }
    let mut report = replay(shape, steps, &cut(until * GRAIN, &kept), EventTrace::default());
    if found.checker == "replay" {
        // One run alone does not show it.
        report.violations.push(found.clone());
    }
    Some(ShrunkRun { report, numbers_before, runs: tried.len() })
}

fn cut(until: Micros, kept: &[u32]) -> RunCut {
    RunCut { until: Some(until), keep: StepSelection::Only(kept.iter().copied().collect()) }
}
