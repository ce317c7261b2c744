//! The gate: between TLS and the swarm, each side proves that it belongs to the pool (spec 04-wire, "Gate").
//!
//! It runs inside the transport. A connection that does not pass never reaches the swarm, so no behaviour opens a
//! protocol on it and nothing of this node is told.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fsdfs_proto::codec::FormatError;
use fsdfs_proto::gate::{
    GateFrame, GateHello, GateVerdict, GateWelcome, NONCE_BYTES, ProtocolMismatch, common_version, frame_len,
};
use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::NodeId;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::PeerId;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox};

use super::address;
use super::gatekeeper::{Gatekeeper, Judgement, NotLetIn};

/// All of it. Short, because a stranger that says nothing holds a place meanwhile; long enough for three round trips
/// around the world on a lossy line.
const GATE_TIMEOUT: Duration = Duration::from_secs(3);

/// The peer did not pass, or did not let this node pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum GateError {
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
    Refused(NotLetIn),
    /// It refused this node and said so.
    #[error("it refused this node: {0}")]
    RefusedByPeer(NotLetIn),
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Passes the gate on a fresh connection and returns it, or drops it.
pub(super) async fn pass(
    keeper: Arc<Gatekeeper>,
    peer: PeerId,
    mut muxer: StreamMuxerBox,
) -> Result<(PeerId, StreamMuxerBox), GateError> {
    let node = address::node_id(&peer).filter(|node| *node != keeper.node()).ok_or(GateError::NotANode)?;
    let gate = async {
        let mut stream = open(&mut muxer, keeper.node() < node).await?;
        drive(&mut muxer, shake_hands(&keeper, node, &mut stream)).await?
    };
    let outcome = tokio::time::timeout(GATE_TIMEOUT, gate).await.unwrap_or(Err(GateError::Silent));
    match outcome {
        Ok(facts) => keeper.note_passed(node, facts),
        Err(error) => {
            tracing::debug!(?node, "not let in: {error}");
            if let GateError::RefusedByPeer(why) = error {
                keeper.note_refused(node, why);
            }
            return Err(error);
        }
    }
    Ok((peer, muxer))
}

/// The node with the smaller id opens the stream. The dialler cannot be the one: after a hole punch both sides, or none,
/// take themselves for it.
async fn open(muxer: &mut StreamMuxerBox, opens: bool) -> Result<SubstreamBox, GateError> {
    poll_fn(|cx| {
        let stream = if opens { muxer.poll_outbound_unpin(cx) } else { muxer.poll_inbound_unpin(cx) };
        match stream {
            Poll::Pending => poll_muxer(muxer, cx).map(Err),
            ready => ready,
        }
    })
    .await
    .map_err(GateError::Io)
}

/// Some muxers move only while they are polled themselves.
async fn drive<T>(muxer: &mut StreamMuxerBox, work: impl Future<Output = T>) -> Result<T, GateError> {
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => poll_muxer(muxer, cx).map(|error| Err(GateError::Io(error))),
    })
    .await
}

/// Ready only with an error; a changed address matters to nobody here.
fn poll_muxer(muxer: &mut StreamMuxerBox, cx: &mut std::task::Context<'_>) -> Poll<io::Error> {
    loop {
        match muxer.poll_unpin(cx) {
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(error),
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// Both hellos, both verdicts. Returns what the peer showed.
async fn shake_hands<S>(keeper: &Gatekeeper, peer: NodeId, stream: &mut S) -> Result<Vec<Fact>, GateError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mine = keeper.hello(peer);
    let shown = mine.proof.is_some();
    send(keeper, peer, stream, &mine).await?;
    let theirs: GateHello = match receive(keeper, peer, stream).await? {
        Ok(hello) => hello,
        Err(_) => return refuse(keeper, peer, stream, NotLetIn::Unsuited(ProtocolMismatch::Malformed)).await,
    };
    if common_version(&theirs.versions).is_none() {
        return refuse(keeper, peer, stream, NotLetIn::Unsuited(ProtocolMismatch::NoCommonVersion)).await;
    }
    match keeper.judge(peer, theirs.proof.as_ref(), shown) {
        Judgement::Out(why) => refuse(keeper, peer, stream, why).await,
        Judgement::In { mut facts, admission } => {
            let proof = (!shown).then(|| keeper.proof());
            let welcome = GateWelcome { admission: admission.map(|signed| signed.envelope()), proof };
            send(keeper, peer, stream, &GateVerdict::Accepted(welcome)).await?;
            let welcome = accepted(keeper, peer, stream).await?;
            facts.extend(admission_in(keeper, &welcome)?);
            Ok(facts)
        }
        Judgement::Later => judge_later(keeper, peer, stream).await,
    }
}

/// The peer shows its proof with its verdict, so this node's verdict comes last.
async fn judge_later<S>(keeper: &Gatekeeper, peer: NodeId, stream: &mut S) -> Result<Vec<Fact>, GateError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let welcome = accepted(keeper, peer, stream).await?;
    match keeper.judge(peer, welcome.proof.as_ref(), true) {
        Judgement::In { mut facts, admission } => {
            let admission = admission.map(|signed| signed.envelope());
            send(keeper, peer, stream, &GateVerdict::Accepted(GateWelcome { admission, proof: None })).await?;
            facts.extend(admission_in(keeper, &welcome)?);
            Ok(facts)
        }
        Judgement::Later => refuse(keeper, peer, stream, NotLetIn::Unsuited(ProtocolMismatch::Unknown)).await,
        Judgement::Out(why) => refuse(keeper, peer, stream, why).await,
    }
}

/// The peer's verdict, if it is good.
async fn accepted<S>(keeper: &Gatekeeper, peer: NodeId, stream: &mut S) -> Result<GateWelcome, GateError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match receive(keeper, peer, stream).await? {
        Ok(GateVerdict::Accepted(welcome)) => Ok(welcome),
        Ok(GateVerdict::Refused(refusal)) => turned_away(stream, NotLetIn::Refused(refusal)).await,
        Ok(GateVerdict::Unsuited(unsuited)) => turned_away(stream, NotLetIn::Unsuited(unsuited)).await,
        Err(error) => Err(malformed(error).into()),
    }
}

/// The peer waits until it sees that its refusal has arrived.
async fn turned_away<S, T>(stream: &mut S, why: NotLetIn) -> Result<T, GateError>
where
    S: AsyncWrite + Unpin,
{
    let _ = stream.close().await;
    Err(GateError::RefusedByPeer(why))
}

fn admission_in(keeper: &Gatekeeper, welcome: &GateWelcome) -> Result<Vec<Fact>, GateError> {
    keeper.admitted(welcome).map_err(|error| malformed(error).into())
}

fn malformed(error: FormatError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Says why, and waits until it has been read: closing the connection at once would overtake it.
async fn refuse<S, T>(keeper: &Gatekeeper, peer: NodeId, stream: &mut S, why: NotLetIn) -> Result<T, GateError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    send(keeper, peer, stream, &GateVerdict::from(why)).await?;
    stream.close().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    Err(GateError::Refused(why))
}

async fn send<S, T>(keeper: &Gatekeeper, to: NodeId, stream: &mut S, value: &T) -> Result<(), GateError>
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
async fn receive<S, T>(keeper: &Gatekeeper, from: NodeId, stream: &mut S) -> Result<Result<T, FormatError>, GateError>
where
    S: AsyncRead + Unpin,
    T: GateFrame,
{
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let mut frame = vec![0; frame_len(head).map_err(|_| GateError::Stranger)?];
    stream.read_exact(&mut frame).await?;
    match keeper.from(from).open(&frame) {
        Err(FormatError::DoesNotOpen { .. }) => Err(GateError::Stranger),
        opened => Ok(opened),
    }
}
