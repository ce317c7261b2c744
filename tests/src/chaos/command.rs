//! Commands as users give them, timed, and never waited for without end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::log::ChaosLog;
use crate::cluster::{ClusterNode, TestProgram};

/// A command that has not ended by then hangs.
const HANGS: Duration = Duration::from_secs(120);

/// Gives commands to one node; clones belong to the same node.
#[derive(Clone)]
pub struct CommandCaller {
    /// Its place in the cluster.
    pub node: usize,
    program: TestProgram,
    home: PathBuf,
    frozen: Arc<Mutex<FrozenCommand>>,
    log: Arc<ChaosLog>,
}

/// How long a node was stopped by the test. A command cannot end while its own daemon's process does not run.
#[derive(Default)]
struct FrozenCommand {
    since: Option<Instant>,
    total: Duration,
}

impl FrozenCommand {
    fn until_now(&self) -> Duration {
        self.total + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// How a command ended.
pub struct CommandResult {
    status: ExitStatus,
    /// What it printed.
    pub out: Vec<u8>,
    /// What it said was wrong.
    pub errors: String,
}

impl CommandResult {
    /// Fine, or fine with fewer copies.
    pub fn is_fine(&self) -> bool {
        matches!(self.status.code(), Some(0 | 1))
    }

    /// Whether one of these codes of the control API was given as the reason.
    pub fn has_code(&self, codes: &[&str]) -> bool {
        let out = String::from_utf8_lossy(&self.out);
        codes.iter().any(|code| {
            let quoted = format!("\"code\":\"{code}\"");
            self.errors.contains(&quoted) || out.contains(&quoted)
        })
    }

    /// No daemon took the command.
    pub fn found_nobody(&self) -> bool {
        self.errors.contains("is not running")
    }
}

impl CommandCaller {
    /// For a node of a cluster.
    pub fn new(at: usize, program: &TestProgram, node: &ClusterNode, log: &Arc<ChaosLog>) -> Self {
        let (program, home) = (program.clone(), node.home.clone());
        Self { node: at, program, home, frozen: Arc::default(), log: Arc::clone(log) }
    }

    /// Its daemon was stopped, or goes on.
    pub fn set_frozen(&self, is_frozen: bool) {
        let mut frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = frozen.since.take() {
            frozen.total += since.elapsed();
        }
        frozen.since = is_frozen.then(Instant::now);
    }

    /// Runs a command with `--json` to its end. `scratch` names files of the caller's own.
    pub fn call<I: AsRef<OsStr>>(&self, scratch: &Path, args: impl IntoIterator<Item = I>) -> Result<CommandResult> {
        let (out, errors) = (scratch.with_extension("out"), scratch.with_extension("err"));
        let mut command = self.program.command(&self.home);
        command.arg("--json").args(args);
        command.stdout(File::create(&out)?).stderr(File::create(&errors)?);
        let (begun, frozen) = (Instant::now(), self.frozen_until_now());
        let status = wait(&mut command.spawn()?)?;
        let frozen = self.frozen_until_now().saturating_sub(frozen);
        let words: Vec<_> = command.get_args().skip(1).map(OsStr::to_string_lossy).collect();
        let ended = CommandResult { status, out: fs::read(out)?, errors: fs::read_to_string(errors)? };
        self.note(&words.join(" "), begun.elapsed().saturating_sub(frozen), &ended);
        Ok(ended)
    }

    fn frozen_until_now(&self) -> Duration {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner).until_now()
    }

    fn note(&self, words: &str, took: Duration, ended: &CommandResult) {
        let name = format!("node{}: {words}", self.node);
        self.log.timed(words.split(' ').next().unwrap_or_default(), &name, took, ended.is_fine());
        let code = ended.status.code();
        if !matches!(code, Some(0..=2)) {
            self.log.wrong(format!("{name} ended with {}: {}", ended.status, ended.errors));
        } else if code == Some(2) && ended.errors.trim().len() < 10 && ended.out.is_empty() {
            self.log.wrong(format!("{name} failed without saying why"));
        } else if code == Some(2) {
            let why = ended.errors.lines().next().unwrap_or_default();
            self.log.say(format!("{name} failed after {:.1} s: {why:.200}", took.as_secs_f64()));
        }
    }
}

fn wait(child: &mut Child) -> Result<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begun.elapsed() > HANGS {
            child.kill()?;
            return child.wait().context("a killed command ends");
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}
