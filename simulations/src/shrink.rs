//! From a life that fails to the smallest part of it that still fails with the same checker.

use std::collections::BTreeMap;
use std::fmt;

use crate::minimal::{minimal, shortest};
use crate::queue::{MS, Us};
use crate::report::{Cut, Keep, Report};
use crate::run::{breaks, replay};
use crate::trace::Trace;

/// Ends of lives are looked for in these steps.
const GRAIN: Us = 100 * MS;

/// What is left of a life that fails.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// Of the part that is left.
    pub report: Report,
    /// Faults and wishes before.
    pub numbers_before: usize,
    /// Lives that were lived to find it.
    pub lives: usize,
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (self.numbers_before, self.report.numbers().len());
        write!(f, "shrunk from {before} to {after} faults and wishes by {} lives: {}", self.lives, self.report)
    }
}

/// The shortest prefix and the fewest faults and wishes that still fail with the checker that complained first: it passes
/// without any one of them, and when it ends a tenth of a second earlier. None if nothing fails.
pub fn shrink(report: &Report) -> Option<Shrunk> {
    let found = report.violations.first()?;
    let (shape, steps) = (report.shape, &report.steps);
    let mut tried = BTreeMap::new();
    let mut fails = |until: Us, kept: &[u32]| {
        let live = || breaks(shape, steps, &cut(until, kept), found.checker);
        *tried.entry((until, kept.to_vec())).or_insert_with(live)
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
    let mut report = replay(shape, steps, &cut(until * GRAIN, &kept), Trace::default());
    if found.checker == "replay" {
        // One run alone does not show it.
        report.violations.push(found.clone());
    }
    Some(Shrunk { report, numbers_before, lives: tried.len() })
}

fn cut(until: Us, kept: &[u32]) -> Cut {
    Cut { until: Some(until), keep: Keep::Only(kept.iter().copied().collect()) }
}
