//! What befalls a pool: events, each of which can be written down and repeated, and the random scenario that draws them.

mod event;
mod household;
mod scenario;
mod shape;

pub use self::event::{MachineSpec, ScenarioEvent, ScenarioStep};
pub use self::household::HouseholdScenario;
pub use self::scenario::RandomScenario;
pub use self::shape::{RunKind, RunShape};

use crate::simulation::Simulation;
use crate::trace::EventTrace;

/// What awaits a world, drawn while it happens.
pub enum Scenario {
    /// Minutes in which everything breaks.
    Crowded(RandomScenario),
    /// Days of homes.
    Household(HouseholdScenario),
}

impl Scenario {
    /// A world as the seed draws it, and the scenario that awaits it.
    pub fn begin(shape: RunShape, trace: EventTrace) -> (Simulation, Self) {
        match shape.kind {
            RunKind::Crowded => {
                let (world, scenario) = RandomScenario::begin(shape, trace);
                (world, Self::Crowded(scenario))
            }
            RunKind::Household => {
                let (world, scenario) = HouseholdScenario::begin(shape, trace);
                (world, Self::Household(scenario))
            }
        }
    }

    /// Runs it to its end.
    pub fn run(&mut self, world: &mut Simulation) {
        match self {
            Self::Crowded(scenario) => scenario.run(world),
            Self::Household(scenario) => scenario.run(world),
        }
    }

    /// What was done so far.
    pub fn into_steps(self) -> Vec<ScenarioStep> {
        match self {
            Self::Crowded(scenario) => scenario.steps,
            Self::Household(scenario) => scenario.steps,
        }
    }
}
