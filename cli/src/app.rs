//! What every verb works with: how the program is called, where its home is, how it speaks.

use std::ffi::OsString;

use clap::parser::ValueSource;
use fsdfs_node::control_client::ControlClient;
use fsdfs_node::home::{Home, HomeError};

use crate::api::Api;
use crate::args::Global;
use crate::logs::LogWish;
use crate::outcome::{Outcome, Problem, Stop};
use crate::output::Output;
use crate::program::Program;

/// The global options, checked.
#[derive(Clone, Debug)]
pub struct App {
    /// For hints.
    pub program: Program,
    /// For results.
    pub output: Output,
    /// The node's home folder.
    pub home: Home,
    /// For the log.
    pub log: LogWish,
}

impl App {
    /// From what was typed. `home_from` tells a typed home from one of the environment.
    pub fn new(argv0: &OsString, global: Global, home_from: Option<ValueSource>) -> Result<Self, (Program, Problem)> {
        let typed_home = global.home.as_deref().filter(|_| home_from == Some(ValueSource::CommandLine));
        let program = Program::new(argv0, typed_home);
        let home = Home::locate(global.home.as_deref())
            .map_err(|error| (program.clone(), Problem::new(program.in_hint(&error.to_string()), "")))?;
        let Global { json, quiet, verbose, log, log_format, .. } = global;
        let log = LogWish { filter: log, verbose, quiet, format: log_format };
        Ok(Self { program, output: Output { json, quiet }, home, log })
    }

    /// The daemon of this home. Nothing is asked yet.
    pub fn api(&self) -> Outcome<Api> {
        let client = ControlClient::new(&self.home.socket()).map_err(|error| Problem::new(error.to_string(), ""))?;
        Ok(Api::new(client, self.program.clone(), self.home.clone()))
    }

    /// What is wrong with the home folder, and what to do.
    pub fn of_home(&self, error: &HomeError) -> Stop {
        let next = match error {
            HomeError::InUse { .. } => {
                format!("how is it: {}   end it: {}", self.program.command("status"), self.program.command("down"))
            }
            HomeError::HasPool { .. } => format!("run it: {}", self.program.command("up")),
            HomeError::NoPool(_) => String::new(),
            HomeError::Config(_) => format!("when it is corrected: {}", self.program.command("config check")),
            _ => String::new(),
        };
        Problem::new(self.program.in_hint(&error.to_string()), next).into()
    }
}

/// Does the work, or ends it when SIGINT or SIGTERM comes. What was being written is taken back by being dropped.
pub async fn or_interrupted<T>(work: impl Future<Output = Outcome<T>>, next: &str) -> Outcome<T> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|error| Problem::new(format!("cannot listen to signals: {error}"), ""));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::select! {
        ended = work => ended,
        _ = terminate.recv() => Err(Problem::new("terminated", next).into()),
        _ = interrupt.recv() => Err(Problem::new("interrupted", next).into()),
    }
}
