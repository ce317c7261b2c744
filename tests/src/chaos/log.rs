//! What happened, when, and what was wrong.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// No command may take longer. (What a user is promised; commands that have much to move may take as long as bytes move.)
const PROMISED: Duration = Duration::from_secs(10);

/// Shared by everybody who takes part.
pub struct ChaosLog {
    begun: Instant,
    /// Lines are printed as they come.
    echo: bool,
    state: Mutex<LogState>,
}

#[derive(Default)]
struct LogState {
    lines: Vec<String>,
    wrong: Vec<String>,
    verbs: BTreeMap<String, VerbTimes>,
    late: Vec<(Duration, String)>,
}

#[derive(Default)]
struct VerbTimes {
    fine: usize,
    failed: usize,
    worst: Duration,
    worst_name: String,
}

impl ChaosLog {
    /// An empty one.
    pub fn new(echo: bool) -> Self {
        Self { begun: Instant::now(), echo, state: Mutex::default() }
    }

    /// Something happened.
    pub fn say(&self, what: impl AsRef<str>) {
        let line = format!("{:8.2} {}", self.begun.elapsed().as_secs_f64(), what.as_ref());
        if self.echo {
            println!("{line}");
        }
        self.state().lines.push(line);
    }

    /// Something happened that must not.
    pub fn wrong(&self, what: impl AsRef<str>) {
        self.say(format!("WRONG: {}", what.as_ref()));
        self.state().wrong.push(what.as_ref().to_owned());
    }

    /// A command ended.
    pub fn timed(&self, verb: &str, name: &str, took: Duration, is_fine: bool) {
        let mut state = self.state();
        let entry = state.verbs.entry(verb.to_owned()).or_default();
        *(if is_fine { &mut entry.fine } else { &mut entry.failed }) += 1;
        if took > entry.worst {
            (entry.worst, entry.worst_name) = (took, name.to_owned());
        }
        if took > PROMISED {
            state.late.push((took, name.to_owned()));
        }
    }

    /// Everything that was wrong.
    pub fn all_wrong(&self) -> Vec<String> {
        self.state().wrong.clone()
    }

    /// All lines.
    pub fn text(&self) -> String {
        self.state().lines.join("\n")
    }

    /// Commands by verb: how many, and the slowest.
    pub fn figures(&self) -> String {
        let state = self.state();
        let one = |(name, verb): (&String, &VerbTimes)| {
            format!("{name} {} fine, {} failed, worst {:.2} s", verb.fine, verb.failed, verb.worst.as_secs_f64())
        };
        let verbs: Vec<String> = state.verbs.iter().map(one).collect();
        let late: Vec<String> =
            state.late.iter().map(|(took, name)| format!("\n  {:.1} s: {name}", took.as_secs_f64())).collect();
        format!("{}; {} took longer than {PROMISED:?}{}", verbs.join("; "), late.len(), late.concat())
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
