//! The `fsdfs` command: what people and scripts use. It also runs the daemon.
//!
//! `args` says what can be typed, `verbs` what each verb does; all of them ask the user's own daemon through `api`, and
//! end in `outcome`. `local` reads and writes this machine's files, `text` is what passes between people and program.

pub mod api;
pub mod app;
pub mod args;
pub mod local;
pub mod logs;
pub mod outcome;
pub mod output;
pub mod program;
pub mod progress;
pub mod remote;
pub mod text;
pub mod verbs;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};

use crate::app::App;
use crate::args::{Cli, Verb};
use crate::outcome::{Outcome, Problem, finish, report};

/// The whole command line, for completions, manual pages and checks.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program with these arguments, the first being its own name.
pub fn main_with_args(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let matches = match command().try_get_matches_from(&args) {
        Ok(matches) => matches,
        // Help and version are no failures; clap knows where each goes.
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let home_from = matches.value_source("home");
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let json = cli.global.json;
    match App::new(&args.first().cloned().unwrap_or_default(), cli.global, home_from) {
        Ok(app) => finish(&app.program, json, run(&app, cli.verb)),
        Err((program, problem)) => {
            report(&program, json, &problem);
            ExitCode::from(2)
        }
    }
}

fn run(app: &App, verb: Verb) -> Outcome {
    // A daemon's log is also a matter of its configuration.
    match verb {
        Verb::Up(_) | Verb::Join(_) => fsdfs_node::allocator::keep_freed(),
        _ => logs::start(&app.log, false)?,
    }
    raise_open_files_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new(format!("cannot start threads: {error}"), "close other programs"))?;
    let outcome = runtime.block_on(dispatch(app, verb));
    // Long enough for files that are being written to be taken back, but a blocked read never ends.
    runtime.shutdown_timeout(Duration::from_secs(2));
    outcome
}

async fn dispatch(app: &App, verb: Verb) -> Outcome {
    match verb {
        Verb::Init(verb) => verb.run(app),
        Verb::Up(verb) => verb.run(app).await,
        Verb::Down(verb) => verb.run(app).await,
        Verb::Invite(verb) => verb.run(app).await,
        Verb::Join(verb) => verb.run(app).await,
        Verb::Put(verb) => verb.run(app).await,
        Verb::Get(verb) => verb.run(app).await,
        Verb::Cat(verb) => verb.run(app).await,
        Verb::Ls(verb) => verb.run(app).await,
        Verb::Mkdir(verb) => verb.run(app).await,
        Verb::Mv(verb) => verb.run(app).await,
        Verb::Rm(verb) => verb.run(app).await,
        Verb::Stat(verb) => verb.run(app).await,
        Verb::Members(verb) => verb.run(app).await,
        Verb::Status(verb) => verb.run(app).await,
        Verb::Df(verb) => verb.run(app).await,
        Verb::Plan(verb) => verb.run(app).await,
        Verb::Config(verb) => verb.run(app),
        Verb::Service(verb) => verb.run(app),
        Verb::Demo(verb) => verb.run(app).await,
        Verb::Completions(verb) => verb.run(),
        Verb::Man(verb) => verb.run(app),
    }
}

/// A tree's folders and a node's segments and sockets are open files; the usual soft limit of 1,024 is for `select`.
fn raise_open_files_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Without a higher limit the program works, too, as far as it reaches.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
