//! What every verb works with: how the program is called, where its home is, how it speaks.

use std::ffi::OsString;

use clap::parser::ValueSource;
use fsdfs_node::control_client::ControlClient;
use fsdfs_node::home::{Home, HomeError, HomeFault};
use fsdfs_node::signals::{EndSignal, EndSignals};

use crate::api::DaemonApi;
use crate::logs::LogOptions;
use crate::options::GlobalOptions;
use crate::outcome::{CliError, CliResult, Exit};
use crate::output::OutputMode;
use crate::program::{ProgramName, quote};

/// The global options, checked.
#[derive(Clone, Debug)]
pub struct AppContext {
    /// For hints.
    pub program: ProgramName,
    /// For results.
    pub output: OutputMode,
    /// The node's home folder.
    pub home: Home,
    /// For the log.
    pub log: LogOptions,
}

impl AppContext {
    /// From what was typed. `home_from` tells a typed home from one of the environment.
    pub fn new(
        argv0: &OsString,
        global: GlobalOptions,
        home_from: Option<ValueSource>,
    ) -> Result<Self, (ProgramName, CliError)> {
        let typed_home = global.home.as_deref().filter(|_| home_from == Some(ValueSource::CommandLine));
        let program = ProgramName::new(argv0, typed_home);
        let home = Home::locate(global.home.as_deref())
            .map_err(|error| (program.clone(), CliError::new(program.in_hint(&error.to_string()), "")))?;
        let GlobalOptions { json, quiet, verbose, log, log_format, .. } = global;
        // Who sets the variable to nothing wants what is logged without it.
        let log = log.filter(|filter| !filter.is_empty());
        let log = LogOptions { filter: log, verbose, quiet, format: log_format };
        Ok(Self { program, output: OutputMode { json, quiet }, home, log })
    }

    /// The daemon of this home. Nothing is asked yet.
    pub fn api(&self) -> CliResult<DaemonApi> {
        let client = ControlClient::new(&self.home.socket()).map_err(|error| CliError::new(error.to_string(), ""))?;
        Ok(DaemonApi::new(client, self.program.clone(), self.home.clone()))
    }

    /// What is wrong with the home folder, and what to do.
    pub fn of_home(&self, error: &HomeError) -> Exit {
        let next = match error {
            HomeError::InUse { .. } => {
                format!(
                    "show its state: {}   stop it: {}",
                    self.program.command("status"),
                    self.program.command("down")
                )
            }
            HomeError::HasPool { .. } => format!("start it: {}", self.program.command("up")),
            HomeError::NoPool(_) => String::new(),
            HomeError::Fault(HomeFault::Shared { path, .. }) => {
                format!("make it so: chmod go-w {}   or choose another one with --home DIR", quote(path.as_os_str()))
            }
            HomeError::Fault(HomeFault::InPublic { path, .. }) => {
                let path = quote(path.as_os_str());
                format!("let owners alone rename theirs: chmod +t {path}   or choose another home with --home DIR")
            }
            HomeError::Config(_) => format!("when it is corrected, check it: {}", self.program.command("config check")),
            _ => String::new(),
        };
        CliError::new(self.program.in_hint(&error.to_string()), next).into()
    }
}

/// Does the work, or ends it when a signal asks for it. What was being written is taken back, or kept for the next time, by
/// being dropped.
pub async fn or_interrupted<T>(work: impl Future<Output = CliResult<T>>, next: &str) -> CliResult<T> {
    let listening = EndSignals::listen();
    let mut signals = listening.map_err(|error| CliError::new(format!("cannot listen to signals: {error}"), ""))?;
    tokio::select! {
        ended = work => ended,
        signal = signals.recv() => Err(CliError::new(match signal {
            EndSignal::Terminate => "terminated",
            EndSignal::Interrupt => "interrupted",
            EndSignal::Hangup => "the terminal was closed",
        }, next).into()),
    }
}
