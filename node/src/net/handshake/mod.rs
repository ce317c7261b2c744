//! The handshake at the gate: each side proves that it belongs to the pool (spec 04-wire, "Gate"), on any stream of bytes.
//!
//! Runs before anything else may use the connection: whoever does not know the gate secret is told nothing.

pub(super) mod answers;
pub(super) mod gatekeeper;
mod pauses;
pub(super) mod rejection;

use std::io;
use std::time::Duration;

use fsdfs_proto::codec::FormatError;
use fsdfs_proto::gate::{
    GateFrame, GateHello, GateVerdict, GateWelcome, NONCE_BYTES, ProtocolMismatch, common_version, frame_len,
};
use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::NodeId;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use gatekeeper::{GateDecision, Gatekeeper};
use rejection::HandshakeRejected;

/// All of it. Short, because a stranger that says nothing holds a place meanwhile; long enough for three round trips
/// around the world on a lossy line.
pub(crate) const GATE_TIMEOUT: Duration = Duration::from_secs(3);

/// The peer did not pass, or did not let this node pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// Its key is not Ed25519, or it is this node itself.
    #[error("no member has this key")]
    NotANode,
    /// It does not know the gate secret. It was told nothing.
    #[error("a stranger")]
    Stranger,
    /// It said nothing.
    #[error("it said nothing for {} s", GATE_TIMEOUT.as_secs())]
    Silent,
    /// This node refused it and said so.
    #[error("refused: {0}")]
    Refused(HandshakeRejected),
    /// It refused this node and said so.
    #[error("it refused this node: {0}")]
    RefusedByPeer(HandshakeRejected),
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Both hellos, both verdicts. Returns what the peer showed.
pub(crate) async fn shake_hands<S>(
    keeper: &Gatekeeper,
    peer: NodeId,
    stream: &mut S,
) -> Result<Vec<Fact>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mine = keeper.hello(peer);
    let shown = mine.proof.is_some();
    send(keeper, peer, stream, &mine).await?;
    let theirs: GateHello = match receive(keeper, peer, stream).await? {
        Ok(hello) => hello,
        Err(_) => return refuse(keeper, peer, stream, HandshakeRejected::Mismatch(ProtocolMismatch::Malformed)).await,
    };
    if common_version(&theirs.versions).is_none() {
        return refuse(keeper, peer, stream, HandshakeRejected::Mismatch(ProtocolMismatch::NoCommonVersion)).await;
    }
    match keeper.decide(peer, theirs.proof.as_ref(), shown) {
        GateDecision::Reject(why) => refuse(keeper, peer, stream, why).await,
        GateDecision::Admit { mut facts, admission } => {
            let proof = (!shown).then(|| keeper.proof());
            let welcome = GateWelcome { admission: admission.map(|signed| signed.envelope()), proof };
            send(keeper, peer, stream, &GateVerdict::Accepted(welcome)).await?;
            let welcome = accepted(keeper, peer, stream).await?;
            facts.extend(admission_in(keeper, &welcome)?);
            Ok(facts)
        }
        GateDecision::Defer => decide_last(keeper, peer, stream).await,
    }
}

/// The peer shows its proof with its verdict, so this node's verdict comes last.
async fn decide_last<S>(keeper: &Gatekeeper, peer: NodeId, stream: &mut S) -> Result<Vec<Fact>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let welcome = accepted(keeper, peer, stream).await?;
    match keeper.decide(peer, welcome.proof.as_ref(), true) {
        GateDecision::Admit { mut facts, admission } => {
            let admission = admission.map(|signed| signed.envelope());
            send(keeper, peer, stream, &GateVerdict::Accepted(GateWelcome { admission, proof: None })).await?;
            facts.extend(admission_in(keeper, &welcome)?);
            Ok(facts)
        }
        GateDecision::Defer => {
            refuse(keeper, peer, stream, HandshakeRejected::Mismatch(ProtocolMismatch::Unknown)).await
        }
        GateDecision::Reject(why) => refuse(keeper, peer, stream, why).await,
    }
}

/// The peer's verdict, if it is good.
async fn accepted<S>(keeper: &Gatekeeper, peer: NodeId, stream: &mut S) -> Result<GateWelcome, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match receive(keeper, peer, stream).await? {
        Ok(GateVerdict::Accepted(welcome)) => Ok(welcome),
        Ok(GateVerdict::Refused(refusal)) => turned_away(stream, HandshakeRejected::Refused(refusal)).await,
        Ok(GateVerdict::Unsuited(unsuited)) => turned_away(stream, HandshakeRejected::Mismatch(unsuited)).await,
        Err(error) => Err(malformed(error).into()),
    }
}

/// The peer waits until it sees that its refusal has arrived.
async fn turned_away<S, T>(stream: &mut S, why: HandshakeRejected) -> Result<T, HandshakeError>
where
    S: AsyncWrite + Unpin,
{
    let _ = stream.close().await;
    Err(HandshakeError::RefusedByPeer(why))
}

fn admission_in(keeper: &Gatekeeper, welcome: &GateWelcome) -> Result<Vec<Fact>, HandshakeError> {
    keeper.admission_in(welcome).map_err(|error| malformed(error).into())
}

fn malformed(error: FormatError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Says why, and waits until it has been read: closing the connection at once would overtake it.
async fn refuse<S, T>(
    keeper: &Gatekeeper,
    peer: NodeId,
    stream: &mut S,
    why: HandshakeRejected,
) -> Result<T, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    send(keeper, peer, stream, &GateVerdict::from(why)).await?;
    stream.close().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    Err(HandshakeError::Refused(why))
}

async fn send<S, T>(keeper: &Gatekeeper, to: NodeId, stream: &mut S, value: &T) -> Result<(), HandshakeError>
where
    S: AsyncWrite + Unpin,
    T: GateFrame,
{
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|error| io::Error::other(error.to_string()))?;
    let frame = keeper.to(to).seal(nonce, value).map_err(malformed)?;
    stream.write_all(&frame).await?;
    stream.flush().await?;
    Ok(())
}

/// The outer error ends the connection without a word, the inner one comes from somebody who knows the gate secret.
async fn receive<S, T>(
    keeper: &Gatekeeper,
    from: NodeId,
    stream: &mut S,
) -> Result<Result<T, FormatError>, HandshakeError>
where
    S: AsyncRead + Unpin,
    T: GateFrame,
{
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let mut frame = vec![0; frame_len(head).map_err(|_| HandshakeError::Stranger)?];
    stream.read_exact(&mut frame).await?;
    match keeper.from(from).open(&frame) {
        Err(FormatError::DoesNotOpen { .. }) => Err(HandshakeError::Stranger),
        opened => Ok(opened),
    }
}
