//! `fsdfs status`: is the node healthy, and if not, what to do.

mod brief;
mod full;
mod state;
#[cfg(test)]
pub(in crate::verbs) mod tests;

use clap::Args;
use fsdfs_proto::control::NodeStatus;
use jiff::tz::TimeZone;
use serde::Serialize;

pub use brief::{absence, attention, code, condition, copies, moved, storage, up_of};
pub use state::{NodeState, meaning};

use crate::app::AppContext;
use crate::outcome::CliResult;

/// Show the state of this node and its pool, in five lines and one for each thing that needs attention.
///
/// The first line says it in a word: healthy; mending (copies are being completed, no one has to do anything); at risk
/// (some blocks have one copy left); needs attention (the last lines say what, each with its code). With --verbose, or
/// --json, everything is shown that the node says of itself: since when it runs, its home folder, all disks and addresses,
/// for whom it relays. `fsdfs watch` shows all of it as it changes.
///
/// The exit code is 0 if the node is healthy, 1 if something needs time or attention, 2 if the node does not answer.
#[derive(Args, Clone, Debug)]
pub struct StatusCommand {}

/// The answer in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct JudgedStatus<'a> {
    /// In a word.
    pub state: NodeState,
    /// What it follows from.
    #[serde(flatten)]
    pub status: &'a NodeStatus,
}

impl<'a> JudgedStatus<'a> {
    /// With what follows from it.
    pub fn new(status: &'a NodeStatus) -> Self {
        Self { state: NodeState::of(status), status }
    }
}

impl StatusCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        let status = api.client().status().await.map_err(|error| api.stop(&error))?;
        let text = if app.output.json {
            String::new()
        } else if app.log.verbose > 0 {
            full::shown(&status)
        } else {
            let listing = api.client().members().await.map_err(|error| api.stop(&error))?;
            brief::shown(&status, &listing, &TimeZone::system())
        };
        let judged = JudgedStatus::new(&status);
        app.output.result(&judged, app.program.in_hint(&text))?;
        Ok(judged.state.verdict())
    }
}
