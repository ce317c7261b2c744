//! The command line: global options and verbs.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Parser, Subcommand};

use crate::logs::LogFormat;
use crate::remote::RemotePath;
use crate::verbs;

/// A private pool of disk space shared by friends: no master, no cloud. Whatever is put in is encrypted and kept on
/// several machines in several houses.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "fsdfs",
    version,
    about = "A private, encrypted, self-healing store pooled over friends' home servers",
    max_term_width = 110,
    after_help = "Paths in the pool begin with a slash: /photos/2026. Another volume than `pool` stands before it: mine:/photos.",
    after_long_help = AFTER_LONG_HELP
)]
pub struct Cli {
    /// What every verb understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const AFTER_LONG_HELP: &str = "\
Paths in the pool begin with a slash: /photos/2026. Another volume than `pool` stands before it: mine:/photos.

The first minutes:
  fsdfs up                    start a pool on this machine (or a node of the pool it is in)
  fsdfs invite                print a ticket for a friend's machine
  fsdfs join TICKET           there: join, and run
  fsdfs put photos /          store a folder
  fsdfs get /photos restored  fetch it, on any of the machines

Exit codes:
  0  fine
  1  stored, but with fewer copies than wanted so far; or the pool needs its owner's attention
  2  failed, or something was not done; the message says what to do next";

/// Options of every verb.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// The node's home folder: keys, configuration and, by default, blocks. Several nodes on one machine need one each.
    #[arg(long, value_name = "DIR", global = true, env = "FSDFS_HOME", hide_env_values = true)]
    pub home: Option<PathBuf>,
    /// Print results, and problems, as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Say only results and problems.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log more; twice for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Which log lines are written, such as info or warn,fsdfs_node::net=debug.
    #[arg(long, value_name = "FILTER", global = true, env = "FSDFS_LOG", hide_env_values = true)]
    pub log: Option<String>,
    /// How log lines look.
    #[arg(long, value_enum, value_name = "FORMAT", global = true)]
    pub log_format: Option<LogFormat>,
}

/// What to do.
#[derive(Subcommand, Clone, Debug)]
#[allow(missing_docs, reason = "each is described by its arguments")]
pub enum Verb {
    Init(verbs::init::Init),
    Up(verbs::up::Up),
    Down(verbs::down::Down),
    Invite(verbs::invite::Invite),
    Join(verbs::join::Join),
    Put(verbs::put::Put),
    Get(verbs::get::Get),
    Cat(verbs::cat::Cat),
    Ls(verbs::ls::Ls),
    Mkdir(verbs::change::Mkdir),
    Mv(verbs::change::Mv),
    Rm(verbs::change::Rm),
    Stat(verbs::stat::Stat),
    Members(verbs::members::Members),
    Status(verbs::status::Status),
    Df(verbs::df::Df),
    Plan(verbs::plan::Plan),
    Config(verbs::config::Config),
    Service(verbs::service::Service),
    Demo(verbs::demo::Demo),
    Completions(verbs::manual::Completions),
    Man(verbs::manual::Man),
}

/// Parses `[VOLUME:]/PATH`.
pub fn remote() -> impl TypedValueParser<Value = RemotePath> {
    OsStringValueParser::new().try_map(|text| RemotePath::parse(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        crate::command().debug_assert();
    }

    #[track_caller]
    fn check(line: &str, is_fine: bool) {
        let parsed = Cli::try_parse_from(line.split(' '));
        assert_eq!(parsed.is_ok(), is_fine, "{line}: {:?}", parsed.err().map(|error| error.to_string()));
    }

    #[test]
    fn lines_that_people_type() {
        check("fsdfs up", true);
        check("fsdfs --home /tmp/a up --json", true);
        check("fsdfs join - --name bob --storage /a:1GiB --storage none", true);
        check(
            "fsdfs init --name anna --site cellar --storage /mnt:10GiB --storage /b --listen 24007 --address a.example:24007",
            true,
        );
        check("fsdfs init --storage none", true);
        check("fsdfs put a b /c", true);
        check("fsdfs put - /c", true);
        check("fsdfs put a", false);
        check("fsdfs get /a", true);
        check("fsdfs get -f /a /b dest", true);
        check("fsdfs cat --range -5 /a", true);
        check("fsdfs cat a", false);
        check("fsdfs ls", true);
        check("fsdfs ls -l /a /b", true);
        check("fsdfs mv /a /b", true);
        check("fsdfs mv /a", false);
        check("fsdfs rm -r /a", true);
        check("fsdfs invite --expires 12h --uses 3", true);
        check("fsdfs invite --expires never", true);
        check("fsdfs invite --uses 0", false);
        check("fsdfs invite --list", true);
        check("fsdfs invite --list --uses 2", false);
        check("fsdfs invite --revoke 0123", true);
        check("fsdfs members", true);
        check("fsdfs members remove anna --yes", true);
        check("fsdfs plan", true);
        check("fsdfs plan add erin 4TB --site hill", true);
        check("fsdfs plan add erin 4T", true);
        check("fsdfs plan add erin 0", false);
        check("fsdfs plan add erin -4TB", false);
        check("fsdfs plan add erin", false);
        check("fsdfs plan remove anna", true);
        check("fsdfs plan drain anna", true);
        check("fsdfs plan copies 4", true);
        check("fsdfs plan copies 0", false);
        check("fsdfs plan copies 33", false);
        check("fsdfs config check", true);
        check("fsdfs -q -v ls", false);
        check("fsdfs completions bash", true);
        check("fsdfs service --system --install", true);
    }
}
