//! From start to stop, and from one pool to another.

use tokio::signal::unix::{SignalKind, signal};

use super::error::{DaemonError, DaemonReady};
use super::start;
use crate::client::Lifecycle;
use crate::home::LockedHome;

/// Runs the node of a home folder until it is told to stop: by a request, SIGTERM or SIGINT. `ready` is called when it
/// answers requests; once more if it starts again in another pool.
pub async fn run(home: LockedHome, mut ready: impl FnMut(&DaemonReady)) -> Result<(), DaemonError> {
    crate::clock::check_wall_clock()?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    loop {
        let mut running = start::start(&home).await?;
        tracing::info!(node = %running.ready.node, pool = %running.ready.pool, port = running.ready.port, "the node is up");
        ready(&running.ready);
        let end = tokio::select! {
            end = running.node.run() => end?,
            _ = terminate.recv() => Lifecycle::Stop,
            _ = interrupt.recv() => Lifecycle::Stop,
        };
        tracing::info!("stopping");
        running.stop().await;
        match end {
            Lifecycle::Stop => return Ok(()),
            Lifecycle::Join(ticket) => {
                let made = home.replace(&ticket)?;
                tracing::info!(pool = %made.pool, "the empty pool was left; starting again in the pool of the ticket");
            }
        }
    }
}
