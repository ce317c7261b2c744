//! From a handshake to a connection with a known peer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use libp2p::PeerId;
use quinn::rustls::pki_types::CertificateDer;
use quinn::{Connecting, Connection};
use tokio::sync::watch;
use tokio::time::timeout;

use super::error::QuicError;
use super::muxer::QuicMuxer;
use super::paths::QuicPaths;
use super::patience::DialTurn;
use super::pending::PendingHandshake;
use super::tls;
use crate::net::socket::SocketHandle;

/// TLS. With the gate's own timeout this bounds how long a dial takes.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// A handshake, up to the knowledge of who it is.
pub(super) type Upgrade = BoxFuture<'static, Result<(PeerId, QuicMuxer), QuicError>>;

/// The end of the handshake of somebody who came in. It holds its place until then.
pub(super) fn accept(connecting: Connecting, place: PendingHandshake, paths: &Arc<QuicPaths>) -> Upgrade {
    let paths = Arc::clone(paths);
    async move {
        let connection = timeout(HANDSHAKE_TIMEOUT, connecting).await.map_err(|_| QuicError::HandshakeTimeout)??;
        drop(place);
        established(connection, &paths)
    }
    .boxed()
}

/// The end of the handshake of a dial, which has its turn until then.
pub(super) fn dial(
    mut connecting: Connecting,
    turn: DialTurn,
    (paths, socket): (&Arc<QuicPaths>, &SocketHandle),
) -> Upgrade {
    let (paths, socket) = (Arc::clone(paths), socket.clone());
    let handshake = async move {
        let first = turn.first_answer_max.unwrap_or(HANDSHAKE_TIMEOUT);
        let answer = timeout(first, async { connecting.handshake_data().await.map(drop) }).await;
        turn.note(Instant::now(), answer.is_ok());
        if answer.is_err() {
            socket.end_silent_dial(turn.to);
        }
        answer.map_err(|_| QuicError::HandshakeTimeout)??;
        established(connecting.await?, &paths)
    };
    async move { timeout(HANDSHAKE_TIMEOUT, handshake).await.map_err(|_| QuicError::HandshakeTimeout)? }.boxed()
}

/// A dial beside another one to the same address: what that one leads to is there for both.
pub(super) fn wait(mut over: watch::Receiver<()>) -> Upgrade {
    async move {
        while over.changed().await.is_ok() {}
        Err(QuicError::AlreadyDialled)
    }
    .boxed()
}

fn established(connection: Connection, paths: &Arc<QuicPaths>) -> Result<(PeerId, QuicMuxer), QuicError> {
    let peer = peer(&connection)?;
    let path = paths.insert(peer, &connection);
    Ok((peer, QuicMuxer::new(connection, path)))
}

fn peer(connection: &Connection) -> Result<PeerId, QuicError> {
    let identity = connection.peer_identity().ok_or(QuicError::NoIdentity)?;
    let certs = identity.downcast::<Vec<CertificateDer<'static>>>().map_err(|_| QuicError::NoIdentity)?;
    Ok(tls::peer(certs.first().ok_or(QuicError::NoIdentity)?)?)
}
