//! `fsdfs watch`: the pool as this node sees it, on the whole terminal, as it changes.

mod draw;
mod history;
mod screen;
#[cfg(test)]
pub(crate) mod tests;

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use clap::Args;
use fsdfs_node::control_client::ControlError;
use fsdfs_node::signals::EndSignals;
use fsdfs_proto::control::SpaceReport;
use jiff::tz::TimeZone;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use self::draw::{WatchView, plain};
use self::history::WatchHistory;
pub use self::history::WatchSample;
use self::screen::{Screen, ScreenOrder};
use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::outcome::{CliError, CliResult, ExitStatus};
use crate::verbs::status::NodeState;

/// A picture, and a question to the node, every second.
const EVERY: Duration = Duration::from_secs(1);
/// The space of the pool is as the members' cards say, which change by the minute.
const SPACE_EVERY: Duration = Duration::from_secs(10);
/// A node that takes longer to answer than that is said to be silent.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of a picture that goes to no terminal.
const COLUMNS: usize = 80;

/// Watch the pool: who is up, what repair does, how much the line carries, and what happened last.
///
/// Takes the whole terminal and looks every second, until q, Esc or Ctrl-C is pressed. Events are those seen since it
/// began. If the standard input or output is no terminal, and with --json, it looks once and ends with the exit code of
/// `fsdfs status`.
#[derive(Args, Clone, Debug)]
pub struct WatchCommand {}

/// One look, in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct WatchedPool<'a> {
    /// In a word.
    pub state: NodeState,
    /// What the node says.
    #[serde(flatten)]
    pub sample: &'a WatchSample,
}

impl<'a> WatchedPool<'a> {
    /// With what follows from it.
    pub fn new(sample: &'a WatchSample) -> Self {
        Self { state: NodeState::of(&sample.status), sample }
    }
}

impl WatchCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        // Asked before the terminal is taken: a node that does not run is said as everywhere.
        let first = look(&api, None).await.map_err(|error| api.stop(&error))?;
        let verdict = NodeState::of(&first.status).verdict();
        if !app.output.json && io::stdout().is_terminal() && io::stdin().is_terminal() {
            return on_screen(&api, first).await;
        }
        let zone = TimeZone::system();
        let history = WatchHistory::new(Duration::ZERO, first);
        let view = WatchView { history: &history, clock: &clock(&zone), silent_s: None, keys: "", zone: &zone };
        app.output.result(&WatchedPool::new(history.last()), app.program.in_hint(&plain(&view, COLUMNS)))?;
        app.output.note("this is no terminal: one look, which does not change; see 'fsdfs watch' on a terminal");
        Ok(verdict)
    }
}

/// Until a key or a signal ends it, or the node does.
async fn on_screen(api: &DaemonApi, first: WatchSample) -> CliResult {
    let failed = |what: &str, error: &io::Error| CliError::new(format!("{what}: {error}"), "");
    let mut signals = EndSignals::listen().map_err(|error| failed("cannot listen to signals", &error))?;
    let (began, zone) = (Instant::now(), TimeZone::system());
    let (answer, mut answers) = mpsc::channel(1);
    let asking = tokio::spawn(ask(api.clone(), first.space.clone(), answer));
    let mut history = WatchHistory::new(Duration::ZERO, first);
    let (mut screen, mut orders) = Screen::open().map_err(|error| failed("cannot use the terminal", &error))?;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered = Instant::now();
    let ended = loop {
        let clock = clock(&zone);
        let silent_s = Some(answered.elapsed()).filter(|silence| *silence > PATIENCE).map(|silence| silence.as_secs());
        let view = WatchView { history: &history, clock: &clock, silent_s, keys: "q quits", zone: &zone };
        if let Err(error) = screen.show(&view) {
            break Err(failed("cannot write to the terminal", &error).into());
        }
        tokio::select! {
            order = orders.recv() => match order {
                Some(ScreenOrder::Redraw) => {}
                Some(ScreenOrder::Quit) | None => break Ok(ExitStatus::Fine),
            },
            _ = signals.recv() => break Ok(ExitStatus::Fine),
            _ = ticks.tick() => {}
            answer = answers.recv() => match answer {
                Some(Ok(sample)) => {
                    answered = Instant::now();
                    history.observe(began.elapsed(), &clock, *sample);
                }
                Some(Err(error)) if !is_over(&error) => history.note(&clock, api.problem(&error).what),
                Some(Err(error)) => break Err(api.stop(&error)),
                None => break Err(CliError::new("asking the node ended", "repeat this").into()),
            },
        }
    };
    asking.abort();
    // Before anything is said.
    drop(screen);
    ended
}

/// Asks the node again and again, as long as somebody listens. One that is slow is waited for; what it says then counts.
async fn ask(api: DaemonApi, mut space: SpaceReport, to: mpsc::Sender<Result<Box<WatchSample>, ControlError>>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut space_asked = Instant::now();
    loop {
        ticks.tick().await;
        let is_due = space_asked.elapsed() >= SPACE_EVERY;
        // A question whose connection hangs is given up.
        let Ok(answer) = timeout(PATIENCE * 2, look(&api, (!is_due).then(|| space.clone()))).await else { continue };
        if let Ok(sample) = &answer
            && is_due
        {
            (space, space_asked) = (sample.space.clone(), Instant::now());
        }
        if to.send(answer.map(Box::new)).await.is_err() {
            return;
        }
    }
}

/// One look. The space is asked for if it is not known.
async fn look(api: &DaemonApi, space: Option<SpaceReport>) -> Result<WatchSample, ControlError> {
    let client = api.client();
    let known = async {
        match space {
            Some(space) => Ok(space),
            None => client.df().await,
        }
    };
    let (status, members, bandwidth, space) =
        tokio::try_join!(client.status(), client.members(), client.bandwidth(), known)?;
    Ok(WatchSample { status, members, bandwidth, space })
}

/// Whether the node is gone, so that there is nothing more to watch. One that refuses, or whose connection broke, is asked again.
fn is_over(error: &ControlError) -> bool {
    !matches!(error, ControlError::Refused(_) | ControlError::Broken(_))
}

fn clock(zone: &TimeZone) -> String {
    jiff::Timestamp::now().to_zoned(zone.clone()).strftime("%H:%M:%S").to_string()
}
