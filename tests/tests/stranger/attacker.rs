//! A program of its own that speaks libp2p: QUIC without the gate, streams by hand, everything that comes back kept.

use std::net::SocketAddr;
use std::time::Duration;

use fsdfs_proto::gate::kademlia_protocol;
use fsdfs_proto::ids::NodeId;
use fsdfs_tests::adversary::quic::{RawEndpoint, RawStream, inbound, open};
use futures::future::join_all;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use quinn::Connection;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::pool::{SECRET, key, node};

/// The gate gives up after 3 s; a connection that is still open now stays open.
const OPEN_MAX: Duration = Duration::from_secs(15);

/// A dial that a busy machine did not finish is made again so often.
const DIALS: usize = 5;

/// What a stranger got.
#[derive(Default)]
pub struct AttackHaul {
    /// On the gate's stream.
    pub gate: Vec<u8>,
    /// On all other streams.
    pub elsewhere: Vec<u8>,
    /// Streams that the member opened.
    pub streams_opened: usize,
    /// Whether one of them is the gate's.
    pub gate_was_opened_for_us: bool,
    /// Whether the member closed the connection.
    pub closed: bool,
}

pub struct Attacker {
    own: NodeId,
    endpoint: RawEndpoint,
}

impl Attacker {
    pub async fn listen(seed: u8, ip: [u8; 4]) -> Self {
        let endpoint = RawEndpoint::bind(&key(seed), (ip, 0).into()).expect("Linux has the whole of 127/8");
        Self { own: node(seed), endpoint }
    }

    pub fn addr(&self) -> SocketAddr {
        self.endpoint.addr()
    }

    pub async fn dial(&mut self, to: SocketAddr, member: NodeId, gate: Option<Vec<u8>>) -> AttackHaul {
        for _ in 0..DIALS {
            if let Some(connection) = self.start_dial(to).await {
                return attack(connection, leads(self.own, member), gate).await;
            }
        }
        panic!("the member's port is closed");
    }

    /// To be dialled; none if that takes longer.
    pub async fn wait(&mut self, most: Duration, member: NodeId, gate: Option<Vec<u8>>) -> Option<AttackHaul> {
        let connection = timeout(most, self.endpoint.dialled()).await.ok()?;
        Some(attack(connection, leads(self.own, member), gate).await)
    }

    /// Connections that finish TLS and then say nothing, as far as the member takes them.
    pub async fn knock(&mut self, to: SocketAddr, times: usize) -> Vec<Connection> {
        let dials: Vec<_> = (0..times).map(|_| self.start_dial(to)).collect();
        join_all(dials).await.into_iter().flatten().collect()
    }

    /// None if it is not taken.
    async fn start_dial(&self, to: SocketAddr) -> Option<Connection> {
        self.endpoint.dial(to).await.ok()
    }
}

/// Says what it has to say on the gate's stream and asks for every protocol there is on others.
async fn attack(connection: Connection, opens_gate: bool, gate: Option<Vec<u8>>) -> AttackHaul {
    let (mut haul, mut reads) = (AttackHaul::default(), JoinSet::new());
    let mut frame = gate;
    let protocols = ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/fsdfs/3/lanes", &kademlia_protocol(&SECRET)];
    let mut first_words: Vec<Vec<u8>> = protocols.into_iter().map(multistream).collect();
    if opens_gate && let Some(frame) = frame.take() {
        first_words.insert(0, frame);
    }
    for (at, words) in first_words.into_iter().enumerate() {
        // The member takes the first stream for the gate's, whatever is on it.
        let Some(stream) = open(&connection).await else { break };
        start(&mut reads, stream, words, opens_gate && at == 0);
    }
    let watch = async {
        // Ends with an error when the member closes the connection.
        while let Some(stream) = inbound(&connection).await {
            haul.streams_opened += 1;
            let is_gate = !opens_gate && !haul.gate_was_opened_for_us;
            haul.gate_was_opened_for_us |= is_gate;
            start(&mut reads, stream, frame.take().unwrap_or_default(), is_gate);
        }
    };
    haul.closed = timeout(OPEN_MAX, watch).await.is_ok();
    drop(connection);
    while let Some(read) = reads.join_next().await {
        let (bytes, is_gate) = read.expect("reading does not fail");
        if is_gate { &mut haul.gate } else { &mut haul.elsewhere }.extend(bytes);
    }
    haul
}

/// Writes, and collects what comes back.
fn start(reads: &mut JoinSet<(Vec<u8>, bool)>, mut stream: RawStream, bytes: Vec<u8>, is_gate: bool) {
    reads.spawn(async move {
        let mut got = Vec::new();
        // Either fails as soon as the member closes the connection; what came before is kept.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.flush().await;
        let _ = stream.read_to_end(&mut got).await;
        (got, is_gate)
    });
}

/// The two lines with which a stream's opener proposes a protocol.
fn multistream(name: &str) -> Vec<u8> {
    let line = |text: &str| {
        let len = u8::try_from(text.len() + 1).expect("protocol names are short");
        [&[len], text.as_bytes(), b"\n"].concat()
    };
    [line("/multistream/1.0.0"), line(name)].concat()
}

/// Ids are ordered as bytes, as the gate orders them.
fn leads(own: NodeId, other: NodeId) -> bool {
    own < other
}
