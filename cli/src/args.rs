//! The command line: global options and verbs.

use clap::{CommandFactory, Parser, Subcommand};

use crate::options::GlobalOptions;
use crate::verbs;

/// A private pool of disk space, shared among friends without a master or a cloud. Files are encrypted and replicated to
/// several machines at several sites.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "fsdfs",
    version,
    about = "A private, encrypted, self-healing store pooled over friends' home servers",
    max_term_width = 110,
    after_help = "Paths in the pool begin with a slash: /photos/2026.",
    after_long_help = AFTER_LONG_HELP
)]
pub struct CommandLine {
    /// What every verb understands.
    #[command(flatten)]
    pub global: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub verb: CommandVerb,
}

const AFTER_LONG_HELP: &str = "\
Paths in the pool begin with a slash: /photos/2026.

The first minutes:
  fsdfs up                    create a pool on this machine and run its first node (or run its node)
  fsdfs invite                print a ticket for another machine
  fsdfs join -                there: paste the ticket, join, and run
  fsdfs put photos /          store a folder
  fsdfs get /photos restored  fetch it, on any of the machines

Exit codes:
  0  success
  1  stored, but with fewer copies than required so far; or something needs time or the owner's attention
  2  failed in whole or in part; the message says what to do next";

/// What to do.
#[derive(Subcommand, Clone, Debug)]
#[allow(missing_docs, reason = "each is described by its arguments")]
pub enum CommandVerb {
    Init(verbs::init::InitCommand),
    Up(verbs::up::UpCommand),
    Down(verbs::down::DownCommand),
    Invite(verbs::invite::InviteCommand),
    Join(verbs::join::JoinCommand),
    Put(verbs::put::PutCommand),
    Get(verbs::get::GetCommand),
    Cat(verbs::cat::CatCommand),
    Ls(verbs::ls::LsCommand),
    Mkdir(verbs::change::MkdirCommand),
    Mv(verbs::change::MvCommand),
    Rm(verbs::change::RmCommand),
    Stat(verbs::stat::StatCommand),
    Log(verbs::log::LogCommand),
    Restore(verbs::restore::RestoreCommand),
    Undelete(verbs::restore::UndeleteCommand),
    Snapshots(verbs::snapshots::SnapshotsCommand),
    Members(verbs::members::MembersCommand),
    Meet(verbs::meet::MeetCommand),
    Admins(verbs::admins::AdminsCommand),
    RootKey(verbs::root_key::RootKeyCommand),
    Rules(verbs::rules::RulesCommand),
    Status(verbs::status::StatusCommand),
    Watch(verbs::watch::WatchCommand),
    Safe(verbs::safe::SafeCommand),
    Df(verbs::df::DfCommand),
    Disk(verbs::disk::DiskCommand),
    Plan(verbs::plan::PlanCommand),
    Away(verbs::away::AwayCommand),
    Back(verbs::away::BackCommand),
    Drain(verbs::drain::DrainCommand),
    Leave(verbs::drain::LeaveCommand),
    Bandwidth(verbs::bandwidth::BandwidthCommand),
    Config(verbs::config::ConfigCommand),
    Service(verbs::service::ServiceCommand),
    Demo(verbs::demo::DemoCommand),
    Completions(verbs::manual::CompletionsCommand),
    Man(verbs::manual::ManCommand),
}

/// The whole command line, for completions, manual pages and checks.
pub fn command() -> clap::Command {
    CommandLine::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        command().debug_assert();
    }

    #[track_caller]
    fn check(line: &str, is_fine: bool) {
        let parsed = CommandLine::try_parse_from(line.split(' '));
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
        check("fsdfs join --ticket-file t --name bob", true);
        check("fsdfs join", false);
        check("fsdfs join - --ticket-file t", false);
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
        check("fsdfs status -v", true);
        check("fsdfs watch", true);
        check("fsdfs members", true);
        check("fsdfs members revoke anna --yes", true);
        check("fsdfs members revoke anna --with-invited --root-key /mnt/key", true);
        check("fsdfs meet bob.example.org:24007", true);
        check("fsdfs meet bob.example.org", false);
        check("fsdfs admins", true);
        check("fsdfs admins add anna --root-key -", true);
        check("fsdfs admins add anna", false);
        check("fsdfs root-key", true);
        check("fsdfs root-key replace --spare-key - --new-root-key k --without abcdef01", true);
        check("fsdfs root-key replace --spare-key a --words", true);
        check("fsdfs root-key replace --spare-key a", false);
        check("fsdfs root-key replace --words", false);
        check("fsdfs rules", true);
        check("fsdfs rules set --copies 4 --member-budget 1TB --root-key -", true);
        check("fsdfs rules set --member-budget none", true);
        check("fsdfs rules set", false);
        check("fsdfs rules set --copies 33", false);
        check("fsdfs init --root-key /mnt/key", true);
        check("fsdfs init --root-key /mnt/key --root-key-words", false);
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
        check("fsdfs safe", true);
        check("fsdfs safe /photos --all", true);
        check("fsdfs safe photos", false);
        check("fsdfs away", true);
        check("fsdfs away --until 2weeks", true);
        check("fsdfs away --daily 23:00-07:00 --daily 12:00-13:00", true);
        check("fsdfs away --daily night", false);
        check("fsdfs disk", true);
        check("fsdfs disk new /mnt/a", true);
        check("fsdfs disk new", false);
        check("fsdfs drain", true);
        check("fsdfs drain --undo", true);
        check("fsdfs drain --undo --wait", false);
        check("fsdfs drain --disk /mnt/a --wait", true);
        check("fsdfs drain --disk /mnt/a --undo", true);
        check("fsdfs leave --wait --yes", true);
        check("fsdfs members remove bob --yes", true);
        check("fsdfs back --daily", true);
        check("fsdfs bandwidth", true);
        check("fsdfs bandwidth --upload 5Mbit --download none --repair 10% --metered false --for 2h", true);
        check("fsdfs bandwidth --upload fast", false);
        check("fsdfs bandwidth --for 2h", false);
        check("fsdfs bandwidth --reset", true);
        check("fsdfs bandwidth --reset --upload 5Mbit", false);
        check("fsdfs -q -v ls", false);
        check("fsdfs completions bash", true);
        check("fsdfs service --system --install", true);
    }

    #[test]
    fn every_verb_has_a_page() {
        let temp = tempfile::tempdir().expect("temp");
        verbs::manual::write_all(&command(), temp.path()).expect("written");
        for verb in command().get_subcommands() {
            assert!(temp.path().join(format!("fsdfs-{}.1", verb.get_name())).exists(), "{}", verb.get_name());
        }
        let put = std::fs::read_to_string(temp.path().join("fsdfs-put.1")).expect("there");
        assert!(put.contains("fsdfs\\-put") && put.contains("rsync"), "{put}");
    }
}
