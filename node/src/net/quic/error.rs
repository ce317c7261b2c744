//! Why there is no connection.

use std::io;

/// Why there is no connection, or no longer.
#[derive(Debug, thiserror::Error)]
pub(in crate::net) enum QuicError {
    /// The system refuses a socket.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// There is nothing to dial with, or nobody can be dialled there.
    #[error("{0}")]
    Connect(#[from] quinn::ConnectError),
    /// A virtual address whose session is over.
    #[error("no relay leads there")]
    NoRelay,
    /// This machine has no route to that address, or none of its family.
    #[error("no route leads there")]
    NoRoute,
    /// No one answered there a moment ago.
    #[error("no one answered there, and it is too soon to ask again")]
    TooSoon,
    /// Another dial to that address is over, and has led to what this one would have.
    #[error("it was dialled already")]
    AlreadyDialled,
    /// The handshake failed, or the connection ended.
    #[error("{0}")]
    Connection(#[from] quinn::ConnectionError),
    /// Not done in time.
    #[error("the handshake took too long")]
    HandshakeTimeout,
    /// TLS ended without a certificate.
    #[error("the peer did not say who it is")]
    NoIdentity,
    /// A certificate is none of libp2p's, or the own key makes none.
    #[error("TLS: {0}")]
    Tls(#[from] quinn::rustls::Error),
}
