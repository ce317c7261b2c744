//! `fsdfs up`: runs the node.

use clap::Args;
use fsdfs_node::home::Setup;

use crate::app::App;
use crate::outcome::Outcome;
use crate::verbs::serve::{self, Begin};
use crate::verbs::{init, setup};

/// Run this machine's node, until Ctrl-C or SIGTERM ends it.
///
/// Without a pool in the home folder it founds one, with the defaults that `init --help` describes. To have it run
/// whenever the machine does, see `service --help`.
#[derive(Args, Clone, Debug)]
pub struct Up {}

impl Up {
    /// Runs the verb.
    pub async fn run(self, app: &App) -> Outcome {
        let home = app.home.lock().map_err(|error| app.of_home(&error))?;
        let is_new = !home.has_pool();
        if is_new {
            let made = home.found(&Setup::default()).map_err(|error| app.of_home(&error))?;
            app.output.done(&setup::value(&app.home, &made), init::founded(&app.home, &made).trim_end())?;
        }
        serve::run(app, home, Begin::Up { is_new }).await
    }
}
