//! `fsdfs config`: is the configuration right.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use fsdfs_node::config::{Config as Checked, Storage};
use fsdfs_node::store::{DiskConfig, Store};

use crate::answers::ConfigChecked;
use crate::app::AppContext;
use crate::outcome::{CliError, CliResult, ExitStatus};
use crate::text::{escape, human};

/// Check the configuration.
#[derive(Args, Clone, Debug)]
pub struct ConfigCommand {
    #[command(subcommand)]
    action: ConfigAction,
}

#[derive(Subcommand, Clone, Debug)]
enum ConfigAction {
    /// Read config.toml as `up` would, and report errors with their line and how to correct them. A node that runs takes in what
    /// was changed when it is started again.
    Check,
}

impl ConfigCommand {
    /// Runs the verb.
    pub fn run(&self, app: &AppContext) -> CliResult {
        let ConfigAction::Check = self.action;
        app.home.check().map_err(|error| app.of_home(&error))?;
        let file = Checked::file(app.home.dir());
        let shown = escape::name(file.as_os_str().as_encoded_bytes());
        if !file.exists() {
            let next =
                format!("it is written by: {}   or: {}", app.program.command("init"), app.program.command("join -"));
            return Err(CliError::new(format!("there is no {shown} yet"), next).into());
        }
        let config = Checked::load(app.home.dir()).map_err(|error| {
            CliError::new(
                error.to_string(),
                format!("correct {shown}, then check again: {}", app.program.command("config check")),
            )
        })?;
        let missing = self.check_folders(app, &config)?;
        let storage: Vec<String> = config.storage.iter().map(described).collect();
        let value = ConfigChecked::new(&file, &config, &missing);
        let stored = if storage.is_empty() { "no storage".to_owned() } else { human::list(&storage) };
        let mut text =
            format!("{shown} is valid: node {}, UDP {}, {stored}", escape::name(config.name.as_bytes()), config.listen);
        for (path, why) in &missing {
            let path = escape::name(path.as_os_str().as_encoded_bytes());
            text += &format!(
                "\n! the node would start without {path}: {}",
                app.program.in_hint(&escape::name(why.as_bytes()))
            );
        }
        app.output.done(&value, text)?;
        Ok(if missing.is_empty() { ExitStatus::Fine } else { ExitStatus::Attention })
    }
}

impl ConfigCommand {
    /// A path that is valid and wrong: what was stored is elsewhere. Folders without which the node would start, and why.
    fn check_folders(&self, app: &AppContext, config: &Checked) -> Result<Vec<(PathBuf, String)>, CliError> {
        let disk = |storage: &Storage| DiskConfig {
            path: storage.path.clone(),
            quota_bytes: storage.quota_bytes,
            if_missing: storage.if_missing,
        };
        let disks: Vec<DiskConfig> = config.storage.iter().map(disk).collect();
        Store::check_folders(&app.home.facts_dir(), &disks).map_err(|error| {
            let what = app.program.in_hint(&error.to_string());
            CliError::new(what, format!("then check again: {}", app.program.command("config check")))
        })
    }
}

fn described(storage: &Storage) -> String {
    format!("{} in {}", human::size(storage.quota_bytes), escape::name(storage.path.as_os_str().as_encoded_bytes()))
}
