//! `fsdfs snapshots`: which earlier states there are, and which are kept.

use clap::{ArgGroup, Args, Subcommand};
use fsdfs_proto::control::{HistoryChange, HistoryKeep, HistoryReply, StateEntry, StateRung};

use crate::app::AppContext;
use crate::outcome::{CliResult, problem};
use crate::remote::DEFAULT_VOLUME;
use crate::text::human;
use crate::text::parse::{self, PastTime};
use crate::text::table::{ColumnAlign, TextTable};
use crate::verbs::at;
use crate::verbs::change::ChangeSummary;
use crate::verbs::durability::Durability;
use crate::verbs::log::{by, freshness, when};

/// Show the earlier states of the pool; change which are kept.
///
/// Every change makes a state. Of these the last one of each hour is kept for a day, of each six hours for a week, of each
/// day for thirty days, unless it is set otherwise here; whatever members put, however often, that is the same number. A put
/// of a folder is one state. The newest state is also there as long as nothing was changed since.
///
/// Each node also remembers by its own clock what stood at the end of each hour, for a day, and every six hours for a week
/// (pool rules). So what somebody emptied with a stolen key can still be read here: "by this node only".
#[derive(Args, Clone, Debug)]
pub struct SnapshotsCommand {
    #[command(subcommand)]
    action: Option<SnapshotsAction>,
}

#[derive(Subcommand, Clone, Debug)]
enum SnapshotsAction {
    /// Show the states, the newest first, and what keeps each.
    List,
    /// Keep some states no more. They cannot be read by their time from then on.
    ///
    /// Space is not freed yet: there is no garbage collection so far, so it is not known either what only these states hold.
    /// A member that was away and had them in its list brings them back when it returns; nodes go on remembering what stood
    /// in the last days.
    Drop(DropArgs),
    /// Set how many states are kept, for all members; what is not named stays as it is.
    Keep(KeepArgs),
}

#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("which").required(true))]
struct DropArgs {
    /// All that are older than this: a span, such as 3days, a date, or 2026-11-24T18:00.
    #[arg(long, value_name = "TIME", group = "which", value_parser = parse::past)]
    before: Option<PastTime>,
    /// States, as the list shows them.
    #[arg(value_name = "STATE", group = "which", value_parser = parse::state)]
    states: Vec<String>,
}

#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("rungs").required(true).multiple(true))]
struct KeepArgs {
    /// For this number of hours, the last state of each.
    #[arg(long, value_name = "N", group = "rungs")]
    hourly: Option<u16>,
    /// For this many times six hours, the last state of each.
    #[arg(long, value_name = "N", group = "rungs")]
    six_hourly: Option<u16>,
    /// For this number of days.
    #[arg(long, value_name = "N", group = "rungs")]
    daily: Option<u16>,
    /// For this many times thirty days. All four together are at most 96.
    #[arg(long, value_name = "N", group = "rungs")]
    monthly: Option<u16>,
}

impl SnapshotsCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        let history = api.history(DEFAULT_VOLUME, None).await.map_err(|error| api.stop(&error))?;
        let unchanged = HistoryChange { volume: DEFAULT_VOLUME.into(), keep: None, drop: Vec::new() };
        let (change, done) = match self.action.unwrap_or(SnapshotsAction::List) {
            SnapshotsAction::List => {
                app.output.result(&history, shown(&history))?;
                return Ok(freshness(app, &history));
            }
            SnapshotsAction::Drop(args) => {
                let drop = match chosen(&history, &args) {
                    Ok(drop) => drop,
                    Err(what) => {
                        return problem(what, format!("see what is kept: {}", app.program.command("snapshots")));
                    }
                };
                let done = format!("dropped {}", human::count(drop.len() as u64, "state", "states"));
                (HistoryChange { drop, ..unchanged }, done)
            }
            SnapshotsAction::Keep(args) => {
                let keep = kept(&history.keep, &args);
                let done = format!("kept from now on: {}", rungs(&keep));
                (HistoryChange { keep: Some(keep), ..unchanged }, done)
            }
        };
        let written = api.change_history(&change).await.map_err(|error| api.stop(&error))?;
        let mut durability = Durability::default();
        durability.add(&written);
        let (text, verdict) = durability.sentence(&app.program);
        app.output.done(&ChangeSummary { done: 1, failed: &[], durability }, format!("{done}: {text}"))?;
        Ok(verdict)
    }
}

fn kept(before: &HistoryKeep, args: &KeepArgs) -> HistoryKeep {
    HistoryKeep {
        hourly: args.hourly.unwrap_or(before.hourly),
        six_hourly: args.six_hourly.unwrap_or(before.six_hourly),
        daily: args.daily.unwrap_or(before.daily),
        monthly: args.monthly.unwrap_or(before.monthly),
    }
}

/// The whole ids of the states that are to be dropped.
fn chosen(history: &HistoryReply, args: &DropArgs) -> Result<Vec<String>, String> {
    let earlier = || history.states.iter().filter(|state| !state.stands && !state.only_here);
    let found: Vec<String> = match &args.before {
        Some(PastTime::At(ms)) => {
            let is_before = |state: &&StateEntry| state.time_ms.is_some_and(|time| time < *ms);
            earlier().filter(is_before).map(|state| state.state.clone()).collect()
        }
        Some(PastTime::State(_)) => return Err("--before takes a time".into()),
        None => {
            let whole = |digits: &String| {
                let mut found = earlier().filter(|state| state.state.starts_with(digits.as_str()));
                match (found.next(), found.next()) {
                    (Some(state), None) => Ok(state.state.clone()),
                    (Some(_), Some(_)) => Err(format!("several states begin with {digits}")),
                    (None, _) => Err(format!("there is no earlier state {digits}")),
                }
            };
            args.states.iter().map(whole).collect::<Result<_, _>>()?
        }
    };
    if found.is_empty() { Err("no earlier state is so old".into()) } else { Ok(found) }
}

fn shown(history: &HistoryReply) -> String {
    let left = ColumnAlign::Left;
    let mut table = TextTable::new(&[("TIME", left), ("BY", left), ("KEPT", left), ("STATE", left)]);
    for state in &history.states {
        table.row([when(state), by(state), why(state).to_owned(), at::short(&state.state).to_owned()]);
    }
    let states = human::count(history.states.len() as u64, "state", "states");
    format!("{states}; kept are the last of: {}\n{table}", rungs(&history.keep))
}

fn rungs(keep: &HistoryKeep) -> String {
    let HistoryKeep { hourly, six_hourly, daily, monthly } = keep;
    let parts = [(*hourly, "hour", "hours"), (*six_hourly, "time 6 hours", "times 6 hours"), (*daily, "day", "days")];
    let months = (*monthly, "time 30 days", "times 30 days");
    let shown = parts.into_iter().chain([months]).filter(|(count, ..)| *count > 0);
    let parts: Vec<String> = shown.map(|(count, one, many)| human::count(count.into(), one, many)).collect();
    if parts.is_empty() { "nothing".into() } else { parts.join(", ") }
}

fn why(state: &StateEntry) -> &'static str {
    match (state.kept, state.time_ms) {
        (Some(StateRung::Hourly), _) => "hourly",
        (Some(StateRung::SixHourly), _) => "six-hourly",
        (Some(StateRung::Daily), _) => "daily",
        (Some(StateRung::Monthly), _) => "monthly",
        _ if state.only_here => "by this node only",
        (None, None) => "cannot be read now",
        (None, Some(_)) => "until the next change",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::log::tests::state;

    fn history() -> HistoryReply {
        let mut states: Vec<StateEntry> = (1..5).rev().map(|number| state(number, None)).collect();
        states[0].stands = true;
        states[1].kept = Some(StateRung::SixHourly);
        let keep = HistoryKeep { hourly: 24, six_hourly: 1, daily: 0, monthly: 2 };
        HistoryReply { keep, states, maybe_stale: false, unpublished_on: Vec::new() }
    }

    fn dropped(before: Option<PastTime>, states: &[&str]) -> Result<Vec<String>, String> {
        let states = states.iter().map(|state| (*state).to_owned()).collect();
        let found = chosen(&history(), &DropArgs { before, states })?;
        Ok(found.into_iter().map(|state| state[..2].to_owned()).collect())
    }

    #[test]
    fn what_stands_is_never_dropped() {
        let hours = |hours: u64| Some(PastTime::At(hours * 3_600_000));
        assert_eq!(dropped(hours(99), &[]), Ok(vec!["03".into(), "02".into(), "01".into()]));
        assert_eq!(dropped(hours(2), &[]), Ok(vec!["01".into()]));
        assert_eq!(dropped(None, &["0202", "01"]), Ok(vec!["02".into(), "01".into()]));
        assert!(dropped(hours(1), &[]).is_err() && dropped(None, &["04"]).is_err() && dropped(None, &["0"]).is_err());
    }

    #[test]
    fn what_is_kept_is_said_in_words() {
        let text = shown(&history());
        assert!(
            text.starts_with("4 states; kept are the last of: 24 hours, 1 time 6 hours, 2 times 30 days\n"),
            "{text}"
        );
        assert!(text.contains("six-hourly") && text.contains("(now)"), "{text}");
        let none = KeepArgs { hourly: Some(0), six_hourly: None, daily: None, monthly: None };
        assert_eq!(kept(&history().keep, &none), HistoryKeep { hourly: 0, ..history().keep });
    }
}
