//! How a command ends. The only place that knows exit codes.

use std::fmt;
use std::io;
use std::process::ExitCode;

use fsdfs_proto::control::{ErrorCode, legible_json};

use crate::answers::FailedCommand;
use crate::program::ProgramName;
use crate::warning::warn;

/// How a command that ran to its end ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// Everything as asked.
    Fine,
    /// Stored, but with fewer copies than required; or the pool needs its owner's attention.
    Attention,
    /// Something was not done. What and why was said already.
    Failed,
}

/// Why a command ended early.
#[derive(Debug)]
pub enum Exit {
    /// Something is wrong.
    Problem(CliError),
    /// The reader of the output has read enough, as `head` does. Nothing is wrong.
    PipeClosed,
}

/// What is wrong and what to do next, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError {
    /// What is wrong.
    pub what: String,
    /// What to do next.
    pub next: String,
    /// For programs, if the daemon gave one.
    pub code: Option<ErrorCode>,
}

/// What every verb returns.
pub type CliResult<T = ExitStatus> = Result<T, Exit>;

impl CliError {
    /// A problem with its way out.
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into(), code: None }
    }
}

/// Ends a command with a problem.
pub fn problem<T>(what: impl Into<String>, next: impl Into<String>) -> CliResult<T> {
    Err(CliError::new(what, next).into())
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if self.next.is_empty() { Ok(()) } else { write!(f, "\n  {}", self.next) }
    }
}

/// Without a way out.
impl From<String> for CliError {
    fn from(what: String) -> Self {
        Self::new(what, "")
    }
}

impl From<CliError> for Exit {
    fn from(problem: CliError) -> Self {
        Self::Problem(problem)
    }
}

impl Exit {
    /// Adds what was done before, and the command that goes on from there.
    pub fn before_that(self, done: &str, again: &str) -> Self {
        let Self::Problem(mut problem) = self.after(done) else { return Self::PipeClosed };
        if !problem.next.contains(again) {
            problem.next = format!("{}\n  then continue with: {again}", problem.next);
        }
        problem.into()
    }

    /// Adds what was done before.
    pub fn after(self, done: &str) -> Self {
        let Self::Problem(mut problem) = self else { return self };
        problem.what = format!("{}\n  {done}", problem.what);
        problem.into()
    }

    /// Of a failed write to the standard output.
    pub fn of_output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => CliError::new(format!("cannot write to the standard output: {error}"), "").into(),
        }
    }
}

/// Says what is left to say, and makes the exit code: 0 fine, 1 stored but degraded or the pool needs attention, 2 failed.
pub fn finish(program: &ProgramName, json: bool, outcome: CliResult) -> ExitCode {
    let code = match outcome {
        Ok(ExitStatus::Fine) | Err(Exit::PipeClosed) => 0,
        Ok(ExitStatus::Attention) => 1,
        Ok(ExitStatus::Failed) => 2,
        Err(Exit::Problem(problem)) => {
            report(program, json, &problem);
            2
        }
    };
    ExitCode::from(code)
}

/// One problem to the standard error, as text or as one line of JSON.
pub fn report(program: &ProgramName, json: bool, problem: &CliError) {
    if json {
        report_part(true, problem);
    } else {
        warn(&format!("{}: {problem}", program.name()));
    }
}

/// The same of one of several things that a command was to do: as text it begins with what it is about.
pub fn report_part(json: bool, problem: &CliError) {
    if !json {
        return warn(&problem.to_string());
    }
    let CliError { what, next, code } = problem.clone();
    let line = serde_json::to_string(&FailedCommand { error: what, hint: next, code }).unwrap_or_default();
    // There is no other place to report to if this fails.
    let _ = io::Write::write_all(&mut io::stderr(), (legible_json(&line) + "\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(outcome: CliResult, code: u8) {
        let ended = finish(&ProgramName::for_tests(), true, outcome);
        assert_eq!(format!("{ended:?}"), format!("{:?}", ExitCode::from(code)));
    }

    #[test]
    fn exit_codes() {
        check(Ok(ExitStatus::Fine), 0);
        check(Ok(ExitStatus::Attention), 1);
        check(Ok(ExitStatus::Failed), 2);
        check(Err(Exit::PipeClosed), 0);
        check(problem("no", "try again"), 2);
    }

    #[test]
    fn an_early_end_says_how_to_go_on() {
        let Exit::Problem(problem) =
            Exit::from(CliError::new("disk full", "make room")).before_that("2 files came", "get /a")
        else {
            panic!("it stays a problem")
        };
        assert_eq!(problem.to_string(), "disk full\n  2 files came\n  make room\n  then continue with: get /a");
    }

    #[test]
    fn the_worse_verdict_is_the_greater() {
        assert_eq!(ExitStatus::Fine.max(ExitStatus::Attention).max(ExitStatus::Failed), ExitStatus::Failed);
    }
}
