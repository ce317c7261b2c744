//! Logs: through tracing to the standard error, as text or as JSON lines.

use std::io::IsTerminal;

use fsdfs_node::config::log_filter;
use tracing_subscriber::EnvFilter;

use crate::outcome::{CliError, CliResult};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLineFormat {
    /// Readable text.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What decides which lines are written.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// `--log`, such as `info,fsdfs_node::net=debug`; overrules the rest.
    pub filter: Option<String>,
    /// How often `-v` was given.
    pub verbose: u8,
    /// `-q`.
    pub quiet: bool,
    /// `--log-format`; default: text.
    pub format: Option<LogLineFormat>,
}

/// Starts logging. A daemon tells what happens, a command only what goes wrong.
pub fn start(wish: &LogOptions, daemon: bool) -> CliResult<()> {
    let text = wish.filter.clone().unwrap_or_else(|| default_filter(wish, daemon).to_owned());
    let not_valid = |problem: String| CliError::new(format!("the log filter {problem}"), "see --log and FSDFS_LOG");
    let text = log_filter(&text).map_err(|bad| not_valid(bad.to_string()))?;
    let filter = EnvFilter::try_new(&text).map_err(|error| not_valid(format!("{text:?} is not valid: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first.
    let _ = match wish.format.unwrap_or_default() {
        LogLineFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogLineFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Libraries log their own inner life at info; only this program's own modules are worth that.
fn default_filter(wish: &LogOptions, daemon: bool) -> &'static str {
    match (wish.quiet, wish.verbose, daemon) {
        (true, ..) => "error",
        (_, 0, false) => "error",
        (_, 0, true) => "warn,libp2p_kad=error,fsdfs=info,fsdfs_node=info,fsdfs_core=info",
        (_, 1, _) => "info,fsdfs=debug,fsdfs_node=debug,fsdfs_core=debug",
        (_, 2, _) => "debug,fsdfs=trace,fsdfs_node=trace,fsdfs_core=trace",
        _ => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_filter() {
        for quiet in [false, true] {
            for verbose in 0..4 {
                for daemon in [false, true] {
                    let wish = LogOptions { quiet, verbose, ..LogOptions::default() };
                    assert!(log_filter(default_filter(&wish, daemon)).is_ok());
                }
            }
        }
        for wrong in ["a=b=c", "inof", "fsdfs_ndoe=debug"] {
            assert!(
                start(&LogOptions { filter: Some(wrong.into()), ..LogOptions::default() }, true).is_err(),
                "{wrong}"
            );
        }
    }
}
