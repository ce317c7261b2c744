//! `fsdfs init`: a new pool.

use clap::Args;
use fsdfs_node::home::{Home, Made};

use crate::app::App;
use crate::outcome::{Outcome, Verdict};
use crate::text::{escape, parse};
use crate::verbs::setup::{self, SetupArgs};

/// Found a new pool, with this machine as its first node.
///
/// Only settles what the node is; `up` runs it (and founds a pool by itself, with defaults, if there is none).
/// To enter a friend's pool use `join` instead.
#[derive(Args, Clone, Debug)]
pub struct Init {
    #[command(flatten)]
    setup: SetupArgs,
    /// The pool's name, shown to those who join; default: after the node.
    #[arg(long, value_name = "NAME", value_parser = parse::label)]
    pool_name: Option<String>,
}

impl Init {
    /// Runs the verb.
    pub fn run(self, app: &App) -> Outcome {
        let setup = self.setup.checked(self.pool_name)?;
        let home = &app.home;
        let made = home.lock().and_then(|locked| locked.found(&setup)).map_err(|error| app.of_home(&error))?;
        let text = format!("{}next: {}", founded(home, &made), app.program.command("up"));
        app.output.done(&setup::value(home, &made), text).map(|()| Verdict::Fine)
    }
}

/// The heading and the six lines.
pub fn founded(home: &Home, made: &Made) -> String {
    format!(
        "Founded {}, with this node, {}, as its first member.\n{}",
        shown(&made.pool_name),
        shown(&made.config.name),
        setup::facts(home, made)
    )
}

fn shown(text: &str) -> String {
    escape::name(text.as_bytes())
}
