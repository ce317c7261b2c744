//! `fsdfs rules`: what holds for the whole pool.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use fsdfs_proto::control::{PoolRulesAnswer, RulesChange};

use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus};
use crate::text::human;
use crate::verbs::admins;

/// Show the pool's rules; change them on the node of an admin, or with the pool's root key.
#[derive(Args, Clone, Debug)]
pub struct RulesCommand {
    #[command(subcommand)]
    action: Option<RulesAction>,
}

#[derive(Subcommand, Clone, Debug)]
enum RulesAction {
    /// Change rules; what is not named stays as it is.
    Set(SetArgs),
}

#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("rule").required(true).multiple(true))]
struct SetArgs {
    /// Copies of new files, and of those that are there as repair comes by, 1 to 32.
    #[arg(long, value_name = "N", group = "rule", value_parser = clap::value_parser!(u8).range(1..=32))]
    copies: Option<u8>,
    /// How much storage any member is believed at most, such as 40TB, or `none`: an invitation may say less.
    #[arg(long, value_name = "SIZE", group = "rule", value_parser = size_or_none)]
    up_to: Option<u64>,
    /// How much of all disks together one member may use, its copies counted, such as 3TB; `none` = any part of the pool.
    /// A member that has used it up puts no more files; it reads, and removes names, which frees no space yet.
    #[arg(long, value_name = "SIZE", group = "rule", value_parser = size_or_none)]
    member_budget: Option<u64>,
    /// The file with the pool's root key, or its 24 words; - reads them from the standard input. Then any member's node will do.
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
}

fn size_or_none(text: &str) -> Result<u64, String> {
    if text == "none" { Ok(0) } else { fsdfs_node::config::size(text).map_err(|bad| bad.to_string()) }
}

impl RulesCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        let Some(RulesAction::Set(args)) = self.action else {
            let rules = api.client().rules().await.map_err(|error| api.stop(&error))?;
            return app.output.result(&rules, shown(&rules)).map(|()| ExitStatus::Fine);
        };
        let change = RulesChange {
            root_key: args.root_key.as_deref().map(admins::read_root_key).transpose()?,
            copies: args.copies,
            up_to_bytes: args.up_to,
            member_budget_bytes: args.member_budget,
        };
        let rules = api.client().change_rules(&change).await.map_err(|error| api.stop(&error))?;
        app.output.done(&rules, format!("the pool's rules are now:\n{}", shown(&rules).trim_end()))?;
        Ok(ExitStatus::Fine)
    }
}

fn shown(rules: &PoolRulesAnswer) -> String {
    let size = |bytes: u64, none: &str| if bytes == 0 { none.to_owned() } else { human::size(bytes) };
    format!(
        "copies of new files: {}\nstorage that a member is believed: {}\nspace that a member may use, copies counted: {}\n",
        rules.copies,
        size(rules.up_to_bytes, "what its invitation says"),
        size(rules.member_budget_bytes, "any part of the pool")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_shown_with_what_none_means() {
        let rules = PoolRulesAnswer { copies: 3, up_to_bytes: 0, member_budget_bytes: 3 << 40 };
        assert_eq!(
            shown(&rules),
            "copies of new files: 3\nstorage that a member is believed: what its invitation says\n\
             space that a member may use, copies counted: 3.0 TiB\n"
        );
    }
}
