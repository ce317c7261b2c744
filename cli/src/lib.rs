//! The `fsdfs` command: what people and scripts use. It also runs the daemon.
//!
//! The order in which to read it:
//!
//! 1. [`args`] and [`options`]: what can be typed. A verb knows the options of all verbs, but not the list of verbs.
//! 2. [`app`]: what every verb is given, with [`program`], [`output`] and [`progress`]: how the program is called, and how it speaks.
//! 3. [`verbs`]: one file for each verb; begin with `ls`, then `put` and `get`.
//! 4. [`api`]: the user's own daemon, which nearly all verbs ask; [`remote`] says which file in the store is meant.
//! 5. [`local`]: this machine's files, read for `put` and written for `get`.
//! 6. [`outcome`]: how a command ends, the only place that knows exit codes; [`answers`]: what it prints as JSON.
//!
//! [`text`] is what passes between people and program, [`logs`] where the daemon writes.

pub mod answers;
pub mod api;
pub mod app;
pub mod args;
pub mod claims;
pub mod local;
pub mod logs;
pub mod options;
pub mod outcome;
pub mod output;
pub mod program;
pub mod progress;
pub mod remote;
pub mod service_unit;
#[cfg(test)]
mod tests;
pub mod text;
pub mod usage;
pub mod verbs;
mod warning;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::FromArgMatches;

use crate::app::AppContext;
pub use crate::args::command;
use crate::args::{CommandLine, CommandVerb};
use crate::outcome::{CliError, CliResult, finish, report};
use crate::program::ProgramName;

/// Runs the program with these arguments, the first being its own name.
pub fn main_with_args(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let matches = match command().try_get_matches_from(&args) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() && usage::wants_json(&args) => {
            let program = ProgramName::new(args.first().map(OsString::as_os_str).unwrap_or_default(), None);
            report(&program, true, &usage::problem(&program, &command(), &args, &error));
            return ExitCode::from(2);
        }
        // Help and version are no failures; clap knows where each goes.
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let home_from = matches.value_source("home");
    let cli = CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let json = cli.global.json;
    match AppContext::new(&args.first().cloned().unwrap_or_default(), cli.global, home_from) {
        Ok(app) => finish(&app.program, json, run(&app, cli.verb, &args)),
        Err((program, problem)) => {
            report(&program, json, &problem);
            ExitCode::from(2)
        }
    }
}

fn run(app: &AppContext, verb: CommandVerb, args: &[OsString]) -> CliResult {
    if let CommandVerb::Join(join) = &verb {
        join.hide_ticket(args)?;
    }
    // A daemon's log is also a matter of its configuration.
    match verb {
        CommandVerb::Up(_) | CommandVerb::Join(_) => fsdfs_node::allocator::keep_freed(),
        _ => logs::start(&app.log, false)?,
    }
    raise_open_files_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("cannot start threads: {error}"), "close other programs"))?;
    let outcome = runtime.block_on(dispatch(app, verb));
    // Long enough for files that are being written to be taken back, but a blocked read never ends.
    runtime.shutdown_timeout(Duration::from_secs(2));
    outcome
}

async fn dispatch(app: &AppContext, verb: CommandVerb) -> CliResult {
    match verb {
        CommandVerb::Init(verb) => verb.run(app),
        CommandVerb::Up(verb) => verb.run(app).await,
        CommandVerb::Down(verb) => verb.run(app).await,
        CommandVerb::Invite(verb) => verb.run(app).await,
        CommandVerb::Join(verb) => verb.run(app).await,
        CommandVerb::Put(verb) => verb.run(app).await,
        CommandVerb::Get(verb) => verb.run(app).await,
        CommandVerb::Cat(verb) => verb.run(app).await,
        CommandVerb::Ls(verb) => verb.run(app).await,
        CommandVerb::Mkdir(verb) => verb.run(app).await,
        CommandVerb::Mv(verb) => verb.run(app).await,
        CommandVerb::Rm(verb) => verb.run(app).await,
        CommandVerb::Stat(verb) => verb.run(app).await,
        CommandVerb::Log(verb) => verb.run(app).await,
        CommandVerb::Restore(verb) => verb.run(app).await,
        CommandVerb::Undelete(verb) => verb.run(app).await,
        CommandVerb::Snapshots(verb) => verb.run(app).await,
        CommandVerb::Safe(verb) => verb.run(app).await,
        CommandVerb::Members(verb) => verb.run(app).await,
        CommandVerb::Meet(verb) => verb.run(app).await,
        CommandVerb::Admins(verb) => verb.run(app).await,
        CommandVerb::RootKey(verb) => verb.run(app).await,
        CommandVerb::Rules(verb) => verb.run(app).await,
        CommandVerb::Status(verb) => verb.run(app).await,
        CommandVerb::Watch(verb) => verb.run(app).await,
        CommandVerb::Df(verb) => verb.run(app).await,
        CommandVerb::Disk(verb) => verb.run(app).await,
        CommandVerb::Plan(verb) => verb.run(app).await,
        CommandVerb::Away(verb) => verb.run(app).await,
        CommandVerb::Back(verb) => verb.run(app).await,
        CommandVerb::Drain(verb) => verb.run(app).await,
        CommandVerb::Leave(verb) => verb.run(app).await,
        CommandVerb::Bandwidth(verb) => verb.run(app).await,
        CommandVerb::Config(verb) => verb.run(app),
        CommandVerb::Service(verb) => verb.run(app),
        CommandVerb::Demo(verb) => verb.run(app).await,
        CommandVerb::Completions(verb) => verb.run(command()),
        CommandVerb::Man(verb) => verb.run(app, &command()),
    }
}

/// A tree's folders and a node's segments and sockets are open files; the usual soft limit of 1,024 is for `select`.
fn raise_open_files_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Without a higher limit the program works, too, as far as it reaches.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
