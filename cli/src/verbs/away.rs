//! `fsdfs away` and `fsdfs back`: saying when this node is off, so that what it holds is not copied meanwhile.

use clap::Args;
use fsdfs_proto::control::{AbsenceAnswer, AbsenceChange, DailyHours};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus};
use crate::text::human;
use crate::text::parse::{self, LocalHours};

/// Minutes of a day.
const DAY: i32 = 24 * 60;

/// Announce that this node will be off: for a while, until `fsdfs back`, or every day at some hours.
///
/// The other members wait for it so long: its copies are not made elsewhere, unless only one site has what it holds, and
/// no one counts it as gone. At most 60 days; announce it again if it takes longer. A node that comes back before that is
/// used at once, but says that it is away until `fsdfs back`. What a node usually does is learnt without this: who is off
/// every night need not say so.
#[derive(Args, Clone, Debug)]
pub struct AwayCommand {
    /// Until when: in so long, such as 3days or 2weeks, or a date such as 2026-12-24, or 2026-12-24T18:00, in local time.
    /// Without it and without --daily: until `fsdfs back`.
    #[arg(long, value_name = "WHEN", value_parser = parse::until)]
    until: Option<u64>,
    /// Every day at these hours, such as 23:00-07:00, in local time as it is now; may be given several times. What was
    /// announced before gives way to it. `none` ends it.
    #[arg(long, value_name = "HH:MM-HH:MM", value_parser = parse::daily_hours)]
    daily: Vec<LocalHours>,
}

/// End an absence that was announced with `fsdfs away`. Daily hours stay.
#[derive(Args, Clone, Debug)]
pub struct BackCommand {
    /// End the daily hours, too.
    #[arg(long)]
    daily: bool,
}

impl AwayCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let (now, zone) = (Timestamp::now(), TimeZone::system());
        let offset = zone.to_offset(now).seconds() / 60;
        let hours = |hours: &LocalHours| match hours {
            LocalHours::None => None,
            LocalHours::Span(from, to) => {
                Some(DailyHours { from_minute: utc(*from, offset), to_minute: utc(*to, offset) })
            }
        };
        let daily = (!self.daily.is_empty()).then(|| self.daily.iter().filter_map(hours).collect());
        // Further ahead than anybody is waited for: the node says how long that is.
        let until_ms = self.until.or_else(|| daily.is_none().then_some(u64::MAX));
        announce(app, &AbsenceChange { until_ms, daily }).await
    }
}

impl BackCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        announce(app, &AbsenceChange { until_ms: Some(0), daily: self.daily.then(Vec::new) }).await
    }
}

async fn announce(app: &AppContext, change: &AbsenceChange) -> CliResult {
    let api = app.api()?;
    let answer = api.client().change_absence(change).await.map_err(|error| api.stop(&error))?;
    let offset = TimeZone::system().to_offset(Timestamp::now()).seconds() / 60;
    app.output.done(&answer, shown(&answer, offset)).map(|()| ExitStatus::Fine)
}

/// Minutes of a day at `offset` minutes before UTC, in UTC.
fn utc(minute: u16, offset: i32) -> u16 {
    u16::try_from((i32::from(minute) - offset).rem_euclid(DAY)).unwrap_or_default()
}

fn shown(answer: &AbsenceAnswer, offset: i32) -> String {
    let until = match answer.until_ms {
        0 => "this node is not away".to_owned(),
        ms => format!("this node is away until {}", human::time_ms(i64::try_from(ms).unwrap_or(i64::MAX))),
    };
    let clock = |minute: u16| {
        let local = utc(minute, -offset);
        format!("{:02}:{:02}", local / 60, local % 60)
    };
    let spans: Vec<String> =
        answer.daily.iter().map(|span| format!("{}-{}", clock(span.from_minute), clock(span.to_minute))).collect();
    match spans.is_empty() {
        true => until,
        false => format!("{until}; every day it is away at {}", human::list(&spans)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_announced_in_utc_and_shown_in_local_time() {
        let offset = 60;
        let night = DailyHours { from_minute: utc(23 * 60, offset), to_minute: utc(30, offset) };
        assert_eq!((night.from_minute, night.to_minute), (22 * 60, 23 * 60 + 30));
        let answer = AbsenceAnswer { until_ms: 0, daily: vec![night] };
        assert_eq!(shown(&answer, offset), "this node is not away; every day it is away at 23:00-00:30");
    }
}
