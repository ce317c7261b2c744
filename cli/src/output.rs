//! What goes to the standard output (results) and to the standard error (everything said on the way).

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use fsdfs_proto::control::legible_json;
use serde::Serialize;

use crate::outcome::{CliError, CliResult, Exit, report_part};
pub use crate::warning::warn;

/// How much is said, and in which form.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputMode {
    /// Results as JSON; nothing else on the standard output.
    pub json: bool,
    /// Results and problems only.
    pub quiet: bool,
}

impl OutputMode {
    /// A result: `value` with `--json`, `text` otherwise. Text must have its names escaped.
    pub fn result(self, value: &impl Serialize, text: impl Display) -> CliResult<()> {
        if self.json { self.json_line(value) } else { Self::print(&text.to_string()) }
    }

    /// A result that says nothing new to a person who asked for quiet, such as "done".
    pub fn done(self, value: &impl Serialize, text: impl Display) -> CliResult<()> {
        match (self.json, self.quiet) {
            (true, _) => self.json_line(value),
            (false, true) => Ok(()),
            (false, false) => Self::print(&format!("{text}\n")),
        }
    }

    /// A value as one line of JSON: what would steer a terminal, or cannot be seen, is escaped in it.
    pub fn json_line(self, value: &impl Serialize) -> CliResult<()> {
        let line = serde_json::to_string(value).map_err(|error| Exit::of_output(&error.into()))?;
        Self::print(&(legible_json(&line) + "\n"))
    }

    /// Said on the way.
    pub fn note(self, text: &str) {
        if !self.quiet && !self.json {
            warn(text);
        }
    }

    /// One of several things that was not done: said even when quiet.
    pub fn failed(self, problem: &CliError) {
        report_part(self.json, problem);
    }

    /// Whether progress is worth drawing.
    pub fn shows_progress(self) -> bool {
        !self.quiet && !self.json && io::stderr().is_terminal()
    }

    fn print(text: &str) -> CliResult<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Exit::of_output(&error))
    }
}
