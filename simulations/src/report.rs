//! What became of a run, or of a part of it, and how to replay it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::checkers::Violation;
use crate::faults::{RunKind, RunShape, ScenarioEvent, ScenarioStep};
use crate::simulation::Simulation;

use crate::world::description::WorldDescription;
use crate::world::queue::{MS, Micros, S};

/// Which part of a scenario is run: nothing after `until`, and only what is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunCut {
    /// Faults and operations end then; none: at their drawn end.
    pub until: Option<Micros>,
    /// Which of them there are.
    pub keep: StepSelection,
}

/// Faults and operations by the numbers of their steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what they are called")]
pub enum StepSelection {
    #[default]
    All,
    Only(BTreeSet<u32>),
    Without(BTreeSet<u32>),
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// Of which run.
    pub shape: RunShape,
    /// Of which part of it.
    pub cut: RunCut,
    /// The world in which it took place.
    pub parameters: WorldDescription,
    /// What was drawn to be done to that world; the cut may leave some of it out.
    pub steps: Vec<ScenarioStep>,
    /// Hash over all events.
    pub trace: u64,
    /// How many there were.
    pub events: u64,
    /// Sentences about what happened, for people.
    pub summary: String,
    /// What must not be.
    pub violations: Vec<Violation>,
}

impl RunCut {
    /// Whether the part is long enough for this step.
    pub(crate) fn reaches(&self, step: &ScenarioStep) -> bool {
        self.until.is_none_or(|until| step.at <= until)
    }

    /// Whether this step is one of what is kept.
    pub(crate) fn keeps(&self, step: &ScenarioStep) -> bool {
        step.nr == 0
            || match &self.keep {
                StepSelection::All => true,
                StepSelection::Only(only) => only.contains(&step.nr),
                StepSelection::Without(without) => !without.contains(&step.nr),
            }
    }

    /// As options of the command.
    fn options(&self) -> String {
        let list = |numbers: &BTreeSet<u32>| {
            let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
            texts.join(",")
        };
        let until = self.until.map(|until| format!(" --until {}", seconds(until))).unwrap_or_default();
        until
            + &match &self.keep {
                StepSelection::All => String::new(),
                // Nothing has the number 0 that could be left out.
                StepSelection::Only(none) if none.is_empty() => " --only 0".into(),
                StepSelection::Only(only) => format!(" --only {}", list(only)),
                StepSelection::Without(without) => format!(" --without {}", list(without)),
            }
    }
}

impl RunReport {
    /// Of a world at its end.
    pub(crate) fn new(
        (shape, cut): (RunShape, RunCut),
        parameters: WorldDescription,
        steps: Vec<ScenarioStep>,
        mut world: Simulation,
    ) -> Self {
        let (trace, events, summary) = (world.trace.hash(), world.trace.events(), world.summary());
        Self { shape, cut, parameters, steps, trace, events, summary, violations: world.violations().to_vec() }
    }

    /// Whether everything held.
    pub fn fine(&self) -> bool {
        self.violations.is_empty()
    }

    /// Numbers of the faults and operations that were done, in the order of their beginning.
    pub fn numbers(&self) -> Vec<u32> {
        let mut seen = BTreeSet::new();
        self.kept().map(|step| step.nr).filter(|nr| seen.insert(*nr)).collect()
    }

    /// Steps of faults and operations that were done.
    fn kept(&self) -> impl Iterator<Item = &ScenarioStep> {
        self.steps.iter().filter(|step| step.nr > 0 && self.cut.reaches(step) && self.cut.keeps(step))
    }

    /// How many of each kind. A fault counts as what it begins with.
    fn kinds(&self) -> String {
        let (mut faults, mut kinds) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
        for step in self.kept() {
            if matches!(step.act, ScenarioEvent::Operation { .. }) || faults.insert(step.nr) {
                *kinds.entry(step.act.kind()).or_default() += 1;
            }
        }
        let texts: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if texts.is_empty() { "nothing".into() } else { texts.join(", ") }
    }

    fn replay(&self) -> String {
        let RunShape { seed, kind, nodes, minutes, hostile, way, collects, .. } = self.shape;
        let kind = match (kind, collects) {
            (RunKind::Crowded, _) => "",
            (RunKind::Household, false) => " --household",
            (RunKind::Household, true) => " --household --collect",
        };
        let cut = self.cut.options();
        let lying = if hostile > 0 { format!(" --hostile {hostile}") } else { String::new() };
        let way = way.map(|way| format!(" --way {way:?}").to_lowercase()).unwrap_or_default();
        format!(
            "cargo run --release -p simulations -- --seed {seed}{kind} --nodes {nodes} --minutes {minutes}{lying}{way}{cut}"
        )
    }
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, events, summary, .. } = self;
        writeln!(f, "seed {}: {events} events, trace {trace:016x}; {summary}", self.shape.seed)?;
        write!(f, "{}", self.parameters)?;
        let until = self.cut.until.unwrap_or(self.shape.end());
        writeln!(f, "  done to it until {} s: {}", seconds(until), self.kinds())?;
        if self.cut.keep != StepSelection::All {
            self.kept().try_for_each(|step| writeln!(f, "  {step}"))?;
        }
        self.violations.iter().try_for_each(|violation| writeln!(f, "  {violation}"))?;
        if !self.fine() {
            writeln!(f, "  replay: {} (also: --trace FILE, --shrink)", self.replay())?;
        }
        Ok(())
    }
}

fn seconds(at: Micros) -> String {
    format!("{}.{:03}", at / S, at % S / MS)
}
