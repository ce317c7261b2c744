//! What befalls a pool: events, each of which can be written down and repeated, and the random scenario that draws them.

mod event;
mod scenario;

pub use self::event::{MachineSpec, ScenarioEvent, ScenarioStep};
pub use self::scenario::{RandomScenario, RunShape};
