//! The options that every command understands.

use std::path::PathBuf;

use crate::logs::LogLineFormat;

/// Options of every command.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct GlobalOptions {
    /// The node's home folder: keys, configuration and, by default, blocks. Several nodes on one machine need one each.
    #[arg(long, value_name = "DIR", global = true, env = "FSDFS_HOME", hide_env_values = true)]
    pub home: Option<PathBuf>,
    /// Print results and errors as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print only results and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log more; twice for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Filter of log lines, such as info or warn,fsdfs_node::net=debug.
    #[arg(long, value_name = "FILTER", global = true, env = "FSDFS_LOG", hide_env_values = true)]
    pub log: Option<String>,
    /// Format of log lines.
    #[arg(long, value_enum, value_name = "FORMAT", global = true)]
    pub log_format: Option<LogLineFormat>,
}
