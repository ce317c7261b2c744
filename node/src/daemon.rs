//! The running node: one task owns the engine; waiting happens in one place, deciding in another (see [`node`]).

mod node;
mod start;

use std::path::PathBuf;

use fsdfs_core::seam::Refusal;
use fsdfs_proto::identity::Ticket;
use fsdfs_proto::ids::{NodeId, PoolId};
use tokio::signal::unix::{SignalKind, signal};

use crate::client::{Client, ClientError};
use crate::clock::ClockTooEarly;
use crate::gateway::control::SocketError;
use crate::home::{HomeError, LockedHome};
use crate::net::NetError;
use crate::store::StoreError;

/// Why the daemon does not start, or cannot go on. What was acknowledged before is safe.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The home folder or its configuration.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The wall clock.
    #[error(transparent)]
    Clock(#[from] ClockTooEarly),
    /// A storage folder or the log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The system gives no threads, signals or the like.
    #[error("the operating system refuses what fsdfs needs: {0}")]
    System(#[from] std::io::Error),
    /// A task or thread that lives as long as the daemon ended: a bug.
    #[error("a part of the daemon ended by itself; see the log and report it")]
    Ended,
}

/// What a daemon tells when it is ready for requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Its control socket.
    pub socket: PathBuf,
    /// The pool.
    pub pool: PoolId,
    /// The pool's name.
    pub pool_name: String,
    /// This node.
    pub node: NodeId,
    /// Its UDP port.
    pub port: u16,
}

/// How a run ended.
enum End {
    Stop,
    Join(Box<Ticket>),
}

/// Runs the node of a home folder until it is told to stop: by a request, SIGTERM or SIGINT. `ready` is called when it
/// answers requests; once more if it starts again in another pool.
pub async fn run(home: LockedHome, mut ready: impl FnMut(&Ready)) -> Result<(), DaemonError> {
    crate::clock::check_wall_clock()?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    loop {
        let mut running = start::start(&home).await?;
        tracing::info!(node = %running.ready.node, pool = %running.ready.pool, port = running.ready.port, "the node is up");
        ready(&running.ready);
        let end = tokio::select! {
            end = running.node.run() => end?,
            _ = terminate.recv() => End::Stop,
            _ = interrupt.recv() => End::Stop,
        };
        tracing::info!("stopping");
        running.stop().await;
        match end {
            End::Stop => return Ok(()),
            End::Join(ticket) => {
                let made = home.replace(&ticket)?;
                tracing::info!(pool = %made.pool, "the empty pool was left; starting again in the pool of the ticket");
            }
        }
    }
}

/// Whether nothing would be lost if this node left its pool: it is alone in it and the shared volume is empty. If not, why.
pub(crate) async fn pool_is_empty(client: &Client) -> Result<Result<(), String>, ClientError> {
    let members = client.members().await?.members.len();
    if members > 1 {
        return Ok(Err(format!("it has {} other members", members - 1)));
    }
    let is_empty = match client.list(client.pool_volume(), Vec::new(), None, 1).await {
        Ok((entries, _, _)) => entries.is_empty(),
        // Alone and without a head: nothing was ever written, be it for want of storage.
        Err(ClientError::Refused(Refusal::NotYet)) => true,
        Err(other) => return Err(other),
    };
    Ok(if is_empty { Ok(()) } else { Err("it holds files".into()) })
}

#[cfg(test)]
mod tests;
