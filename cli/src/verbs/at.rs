//! The option `--at` of commands that read: which earlier state is meant.

use clap::Args;
use fsdfs_proto::control::{HistoryReply, StateEntry};

use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::outcome::{CliError, CliResult, problem};
use crate::remote::RemotePath;
use crate::text::human;
use crate::text::parse::{self, PastTime};

/// Digits of a state's id that are shown.
pub const STATE_DIGITS: usize = 8;

/// The option itself.
#[derive(Args, Clone, Debug)]
pub struct AtOption {
    /// As it was then: in the newest state that is kept of that time or before. TIME is a span, such as 3days, a date
    /// (2026-11-24, as it began), 2026-11-24T18:00, or a state as `fsdfs snapshots` shows it.
    #[arg(long, value_name = "TIME", value_parser = parse::past)]
    at: Option<PastTime>,
}

impl AtOption {
    /// Has the paths lead into the state that is meant, if one is. What was found, to be typed again.
    pub async fn apply(
        &self,
        app: &AppContext,
        api: &DaemonApi,
        paths: &mut [RemotePath],
    ) -> CliResult<Option<String>> {
        let Some(at) = &self.at else { return Ok(None) };
        let mut typed = None;
        for path in paths {
            let found = state_at(app, api, &path.volume, at).await?;
            typed = found.as_ref().map(|state| state.state.clone()).or(typed);
            path.state = found.map(|state| state.state);
        }
        Ok(typed)
    }
}

/// The state of that time; none: what stands now. Says which one it is.
pub async fn state_at(app: &AppContext, api: &DaemonApi, volume: &str, at: &PastTime) -> CliResult<Option<StateEntry>> {
    let history = api.history(volume, None).await.map_err(|error| api.stop(&error))?;
    let found = match choose(&history, at) {
        Ok(found) => found,
        Err(what) => return problem(what, format!("see what is kept: {}", app.program.command("snapshots"))),
    };
    if let Some(state) = &found {
        app.output.note(&format!("as of {} (state {})", time(state), short(&state.state)));
    }
    Ok(found)
}

/// Of several that stand side by side, what they show together is read, and not one of them.
fn choose(history: &HistoryReply, at: &PastTime) -> Result<Option<StateEntry>, String> {
    let standing = history.states.iter().filter(|state| state.stands).count();
    let found = match at {
        PastTime::State(digits) => {
            let mut found = history.states.iter().filter(|state| state.state.starts_with(digits));
            match (found.next(), found.next()) {
                (Some(state), None) => state,
                (Some(_), Some(_)) => return Err(format!("several states begin with {digits}")),
                (None, _) => return Err(format!("there is no state {digits}, or it is not kept any more")),
            }
        }
        PastTime::At(ms) => {
            let is_before = |state: &&StateEntry| state.time_ms.is_some_and(|time| time <= *ms);
            let Some(found) = history.states.iter().find(is_before) else {
                let oldest = history.states.iter().filter_map(|state| state.time_ms).min();
                let oldest = oldest
                    .map_or_else(|| "none is kept".into(), |oldest| format!("the oldest is of {}", shown(oldest)));
                return Err(format!("no state of {} or before is kept; {oldest}", shown(*ms)));
            };
            found
        }
    };
    let is_newest = history.states.first().is_some_and(|first| first.state == found.state);
    Ok((standing < 2 || !(is_newest && found.stands)).then(|| found.clone()))
}

/// The beginning of a state's id, as people type it.
pub fn short(state: &str) -> &str {
    state.get(..STATE_DIGITS).unwrap_or(state)
}

/// When a state was made.
pub fn time(state: &StateEntry) -> String {
    state.time_ms.map_or_else(|| "unknown".into(), shown)
}

fn shown(ms: u64) -> String {
    human::time_ms(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// Nothing of the kind can be done with what stands now.
pub fn is_now() -> CliError {
    CliError::new("that is what stands now", "name an earlier time with --at TIME")
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::control::HistoryKeep;

    use super::*;

    fn history(states: &[(&str, u64, bool)]) -> HistoryReply {
        let state = |(id, time_ms, stands): &(&str, u64, bool)| StateEntry {
            state: (*id).into(),
            time_ms: Some(*time_ms),
            by: None,
            stands: *stands,
            kept: None,
            only_here: false,
            entry: None,
            tag: None,
            unreadable: false,
        };
        HistoryReply {
            keep: HistoryKeep { hourly: 1, six_hourly: 1, daily: 1, monthly: 1 },
            states: states.iter().map(state).collect(),
            maybe_stale: false,
            unpublished_on: Vec::new(),
        }
    }

    fn chosen(states: &[(&str, u64, bool)], at: &PastTime) -> Result<Option<String>, String> {
        choose(&history(states), at).map(|found| found.map(|state| state.state))
    }

    #[test]
    fn the_newest_state_of_that_time_or_before_is_meant() {
        let states = [("cc", 30, true), ("bb", 20, false), ("aa", 10, false)];
        for (at, expected) in [(9, None), (10, Some("aa")), (29, Some("bb")), (30, Some("cc")), (99, Some("cc"))] {
            let found = chosen(&states, &PastTime::At(at));
            assert_eq!(found.ok().flatten().as_deref(), expected, "{at}");
        }
        let error = chosen(&states, &PastTime::At(9)).expect_err("too early");
        assert!(error.contains("the oldest is of"), "{error}");
    }

    #[test]
    fn of_several_that_stand_what_they_show_together_is_meant() {
        let states = [("cc", 30, true), ("bb", 20, true), ("aa", 10, false)];
        assert_eq!(chosen(&states, &PastTime::At(31)), Ok(None));
        assert_eq!(chosen(&states, &PastTime::At(25)), Ok(Some("bb".into())));
    }

    #[test]
    fn a_state_is_named_by_its_beginning() {
        let states = [("ab01", 30, true), ("ab02", 20, false)];
        assert_eq!(chosen(&states, &PastTime::State("ab02".into())), Ok(Some("ab02".into())));
        assert!(chosen(&states, &PastTime::State("ab".into())).is_err_and(|why| why.contains("several")));
        assert!(chosen(&states, &PastTime::State("ff".into())).is_err_and(|why| why.contains("no state")));
    }
}
