//! `fsdfs up`: runs the node.

use clap::Args;
use fsdfs_node::home::Setup;

use crate::answers::NodeCreated;
use crate::app::AppContext;
use crate::outcome::CliResult;
use crate::verbs::init;
use crate::verbs::serve::{self, StartupGoal};

/// Run this machine's node, until Ctrl-C, SIGTERM or SIGHUP ends it.
///
/// Without a pool in the home folder it creates one, with the defaults that `init --help` describes. SIGHUP comes when its
/// terminal is closed; start it with nohup to let it outlive that. The configuration is read at the start: after a change,
/// end it and start it again. To run it whenever the machine runs, see `service --help`.
#[derive(Args, Clone, Debug)]
pub struct UpCommand {}

impl UpCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let home = app.home.lock().map_err(|error| app.of_home(&error))?;
        let is_new = !home.has_pool();
        if is_new {
            let made = home.found(&Setup::default()).map_err(|error| app.of_home(&error))?;
            app.output.done(&NodeCreated::new(&app.home, &made), init::created(&app.home, &made).trim_end())?;
        }
        serve::run(app, &home, StartupGoal::Up { is_new }).await
    }
}
