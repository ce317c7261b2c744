//! From start to stop, and from one pool to another.

use super::error::{DaemonError, DaemonReady};
use super::start;
use crate::client::Lifecycle;
use crate::gateway::words::refusal::rejected_text;
use crate::home::LockedHome;
use crate::net::HandshakeRejected;
use crate::signals::EndSignals;

/// Runs the node of a home folder until it is asked to stop: by a request, SIGTERM, SIGINT or SIGHUP. `ready` is called when it
/// answers requests; once more if it starts again in another pool. A newcomer that the pool does not admit leaves nothing.
pub async fn run(home: &LockedHome, mut ready: impl FnMut(&DaemonReady)) -> Result<(), DaemonError> {
    crate::clock::check_wall_clock()?;
    let mut signals = EndSignals::listen()?;
    loop {
        let mut running = start::start(home).await?;
        tracing::info!(node = %running.ready.node, pool = %running.ready.pool, port = running.ready.port, "the node is up");
        ready(&running.ready);
        let end = tokio::select! {
            end = running.node.run() => RunEnd::Asked(end?),
            signal = signals.recv() => {
                tracing::info!(?signal, "asked to stop");
                RunEnd::Asked(Lifecycle::Stop)
            }
            why = running.admission.turned_away() => RunEnd::TurnedAway(why),
        };
        tracing::info!("stopping");
        running.stop().await;
        match end {
            RunEnd::Asked(Lifecycle::Stop) => return Ok(()),
            RunEnd::TurnedAway(why) => {
                let (pool, why) = (home.identity()?.pool_name, rejected_text(why));
                home.withdraw()?;
                return Err(DaemonError::NotAdmitted { pool, why });
            }
            RunEnd::Asked(Lifecycle::Join(ticket)) => {
                let made = home.replace(&ticket)?;
                tracing::info!(pool = %made.pool, node = %made.node, "starting again with the ticket");
            }
        }
    }
}

/// Why a node stopped running.
enum RunEnd {
    /// Somebody wanted it.
    Asked(Lifecycle),
    /// No member lets this newcomer in.
    TurnedAway(HandshakeRejected),
}
