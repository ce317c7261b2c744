//! `fsdfs init`: a new pool.

use std::path::PathBuf;

use clap::Args;
use fsdfs_node::home::{CreatedPool, Home, RootKeyPlace, Setup};

use crate::answers::NodeCreated;
use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus};
use crate::text::{escape, parse};
use crate::verbs::setup::{self, SetupArgs};

/// Create a new pool, with this machine as its first node.
///
/// Writes keys and configuration; `up` runs the node (and creates a pool with defaults if there is none).
/// To join an existing pool use `join` instead.
#[derive(Args, Clone, Debug)]
pub struct InitCommand {
    #[command(flatten)]
    setup: SetupArgs,
    /// The pool's name, shown to those who join; default: after the node.
    #[arg(long, value_name = "NAME", value_parser = parse::label)]
    pool_name: Option<String>,
    /// Write the pool's root key to this file, which must not exist, such as one on a USB stick; default: into the home
    /// folder. The root key names admins and revokes anyone; nodes do not need it to run.
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
    /// Write the spare key to this file, which must not exist: from it the next root key is made if the first one is lost or
    /// stolen ('fsdfs root-key'). Default: into the home folder, or as words if the root key is shown as words.
    #[arg(long, value_name = "FILE")]
    spare_key: Option<PathBuf>,
    /// Show the root key as 24 words to be written on paper, and store it nowhere.
    #[arg(long, conflicts_with = "root_key")]
    root_key_words: bool,
}

impl InitCommand {
    /// Runs the verb.
    pub fn run(self, app: &AppContext) -> CliResult {
        let root_key = match self.root_key {
            Some(file) => RootKeyPlace::File(file),
            None if self.root_key_words => RootKeyPlace::Words,
            None => RootKeyPlace::Home,
        };
        let setup = Setup { pool_name: self.pool_name, root_key, spare_key: self.spare_key, ..self.setup.checked()? };
        let home = &app.home;
        let made = home.lock().and_then(|locked| locked.found(&setup)).map_err(|error| app.of_home(&error))?;
        let words = setup::root_words(&made);
        let text = format!("{}{words}next: {}", created(home, &made), app.program.command("up"));
        app.output.done(&NodeCreated::new(home, &made), text).map(|()| ExitStatus::Fine)
    }
}

/// The heading and what has to be known.
pub fn created(home: &Home, made: &CreatedPool) -> String {
    format!(
        "Created {}, with this node, {}, as its first member.\n{}",
        shown(&made.pool_name),
        shown(&made.config.name),
        setup::facts(home, made)
    )
}

fn shown(text: &str) -> String {
    escape::name(text.as_bytes())
}
