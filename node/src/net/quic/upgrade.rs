//! From a handshake to a connection with a known peer.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use libp2p::PeerId;
use quinn::rustls::pki_types::CertificateDer;
use quinn::{Connecting, Connection};
use tokio::time::timeout;

use super::error::QuicError;
use super::muxer::QuicMuxer;
use super::pending::PendingHandshake;
use super::tls;

/// TLS. With the gate's own timeout this bounds how long a dial takes.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// A handshake, up to the knowledge of who it is.
pub(super) type Upgrade = BoxFuture<'static, Result<(PeerId, QuicMuxer), QuicError>>;

/// The end of the handshake. An inbound one holds its place until then.
pub(super) fn upgrade(connecting: Connecting, place: Option<PendingHandshake>) -> Upgrade {
    async move {
        let connection = timeout(HANDSHAKE_TIMEOUT, connecting).await.map_err(|_| QuicError::HandshakeTimeout)??;
        drop(place);
        Ok((peer(&connection)?, QuicMuxer::new(connection)))
    }
    .boxed()
}

fn peer(connection: &Connection) -> Result<PeerId, QuicError> {
    let identity = connection.peer_identity().ok_or(QuicError::NoIdentity)?;
    let certs = identity.downcast::<Vec<CertificateDer<'static>>>().map_err(|_| QuicError::NoIdentity)?;
    Ok(tls::peer(certs.first().ok_or(QuicError::NoIdentity)?)?)
}
