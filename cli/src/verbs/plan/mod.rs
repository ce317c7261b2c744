//! `fsdfs plan`: what the pool can hold and lose, and what a change would move. Nothing is changed.

use clap::{Args, Subcommand};

use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus};
use crate::text::parse;

mod change;
mod outlook;
mod render;
#[cfg(test)]
mod tests;

pub use render::replication;

/// Show capacity, what a failed member or site would lose, and repair times; or what a change would move.
///
/// Nothing is changed. The members are asked which blocks they hold. The capacity is exact; bytes to move are counted over
/// those blocks, and the answer says if they are a sample. Times assume that each member uploads with all of its uplink
/// (`uplink` in config.toml).
#[derive(Args, Clone, Debug)]
pub struct PlanCommand {
    #[command(subcommand)]
    change: Option<PlanChange>,
}

#[derive(Subcommand, Clone, Debug)]
enum PlanChange {
    /// What if a new member, or another disk of a member, offers this much space?
    Add {
        /// The new member's name, or the member that gets another disk.
        #[arg(value_parser = parse::label)]
        name: String,
        /// How much it offers, such as 500GiB or 4TB.
        #[arg(value_parser = fsdfs_node::config::size)]
        size: u64,
        /// The new member's site, if it is not a new one: members at one site can fail together.
        #[arg(long, value_name = "SITE", value_parser = parse::label)]
        site: Option<String>,
    },
    /// What if a member leaves at once, without handing over its blocks?
    Remove {
        /// Its name, or at least 8 digits of its id as `members --json` shows it.
        name: String,
    },
    /// What if every file had this number of copies?
    Copies {
        /// Number of copies, 1 to 32.
        #[arg(value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
        copies: u8,
    },
    /// What if a member hands over its blocks and takes no new ones?
    Drain {
        /// Its name, or at least 8 digits of its id as `members --json` shows it.
        name: String,
    },
}

impl PlanCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        let Some(change) = self.change else {
            let plan = api.patiently(|| api.client().plan()).await.map_err(|error| api.stop(&error))?;
            return app.output.result(&plan, app.program.in_hint(&outlook::shown(&plan))).map(|()| ExitStatus::Fine);
        };
        let change = change.parameters();
        let change: Vec<(&str, &[u8])> = change.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let planned = api.patiently(|| api.client().what_if(&change)).await.map_err(|error| api.stop(&error))?;
        app.output.result(&planned, app.program.in_hint(&change::shown(&planned))).map(|()| ExitStatus::Fine)
    }
}

impl PlanChange {
    fn parameters(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Add { name, size, site } => {
                let site = site.map(|site| ("site", site));
                [("add", name), ("bytes", size.to_string())].into_iter().chain(site).collect()
            }
            Self::Remove { name } => vec![("remove", name)],
            Self::Copies { copies } => vec![("copies", copies.to_string())],
            Self::Drain { name } => vec![("drain", name)],
        }
    }
}
