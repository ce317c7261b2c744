//! How a command ends. The only place that knows exit codes.

use std::fmt;
use std::io;
use std::process::ExitCode;

use fsdfs_proto::control::ErrorCode;

use crate::program::Program;

/// How a command that ran to its end ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything as asked.
    Fine,
    /// Stored, but with fewer copies than wanted; or the pool needs its owner's attention.
    Attention,
    /// Something was not done. What and why was said already.
    Failed,
}

/// Why a command ended early.
#[derive(Debug)]
pub enum Stop {
    /// Something is wrong.
    Problem(Problem),
    /// Whoever reads the output has read enough, as `head` does. Nothing is wrong.
    PipeClosed,
}

/// What is wrong and what to do next, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    /// What to do next.
    pub next: String,
    /// For programs, if the daemon gave one.
    pub code: Option<ErrorCode>,
}

/// What every verb returns.
pub type Outcome<T = Verdict> = Result<T, Stop>;

impl Problem {
    /// A problem with its way out.
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into(), code: None }
    }
}

/// Ends a command with a problem.
pub fn problem<T>(what: impl Into<String>, next: impl Into<String>) -> Outcome<T> {
    Err(Problem::new(what, next).into())
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if self.next.is_empty() { Ok(()) } else { write!(f, "\n  {}", self.next) }
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Stop {
    /// Adds what was done before, and the command that goes on from there.
    pub fn before_that(self, done: &str, again: &str) -> Self {
        let Self::Problem(mut problem) = self else { return self };
        problem.what = format!("{}\n  {done}", problem.what);
        if !problem.next.contains(again) {
            problem.next = format!("{}\n  then go on with: {again}", problem.next);
        }
        problem.into()
    }

    /// Of a failed write to the standard output.
    pub fn of_output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Problem::new(format!("cannot write to the standard output: {error}"), "").into(),
        }
    }
}

/// Says what is left to say, and makes the exit code: 0 fine, 1 stored but degraded or the pool needs attention, 2 failed.
pub fn finish(program: &Program, json: bool, outcome: Outcome) -> ExitCode {
    let code = match outcome {
        Ok(Verdict::Fine) | Err(Stop::PipeClosed) => 0,
        Ok(Verdict::Attention) => 1,
        Ok(Verdict::Failed) => 2,
        Err(Stop::Problem(problem)) => {
            report(program, json, &problem);
            2
        }
    };
    ExitCode::from(code)
}

/// One problem to the standard error, as text or as one line of JSON.
pub fn report(program: &Program, json: bool, problem: &Problem) {
    let text = if json {
        let Problem { what, next, code } = problem;
        serde_json::json!({ "error": what, "hint": next, "code": code }).to_string()
    } else {
        crate::text::escape::line(&format!("{}: {problem}", program.name())).into_owned()
    };
    // Nobody is left to tell if this fails.
    let _ = io::Write::write_all(&mut io::stderr(), (text + "\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(outcome: Outcome, code: u8) {
        let ended = finish(&Program::for_tests(), true, outcome);
        assert_eq!(format!("{ended:?}"), format!("{:?}", ExitCode::from(code)));
    }

    #[test]
    fn exit_codes() {
        check(Ok(Verdict::Fine), 0);
        check(Ok(Verdict::Attention), 1);
        check(Ok(Verdict::Failed), 2);
        check(Err(Stop::PipeClosed), 0);
        check(problem("no", "try again"), 2);
    }

    #[test]
    fn an_early_end_says_how_to_go_on() {
        let Stop::Problem(problem) =
            Stop::from(Problem::new("disk full", "make room")).before_that("2 files came", "get /a")
        else {
            panic!("it stays a problem")
        };
        assert_eq!(problem.to_string(), "disk full\n  2 files came\n  make room\n  then go on with: get /a");
    }

    #[test]
    fn the_worse_verdict_is_the_greater() {
        assert_eq!(Verdict::Fine.max(Verdict::Attention).max(Verdict::Failed), Verdict::Failed);
    }
}
