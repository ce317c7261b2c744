//! `fsdfs down`: ends the running daemon.

use std::time::{Duration, Instant};

use clap::Args;

use crate::answers::NodeStopped;
use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus, problem};

/// How long a daemon may take to finish what it is doing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stop the node that runs with this home folder, gracefully.
///
/// Its files stay in the pool; its copies cannot be reached until it is up again.
#[derive(Args, Clone, Debug)]
pub struct DownCommand {}

impl DownCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        // Nothing is asked of an answer's form: the daemon may be of an older version, and that the reason to stop it.
        api.client().shutdown().await.map_err(|error| api.stop(&error))?;
        let end = Instant::now() + PATIENCE;
        // It answers no more before its disks are closed; the lock on its home folder goes last.
        while app.home.is_in_use() {
            if Instant::now() > end {
                let wait = format!("wait, or see its log; its state: {}", app.program.command("status"));
                return problem(format!("the node is still stopping after {} s", PATIENCE.as_secs()), wait);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let up = app.program.command("up");
        app.output
            .done(&NodeStopped { stopped: true }, format!("stopped; start it again: {up}"))
            .map(|()| ExitStatus::Fine)
    }
}
