//! A member's program of its own: it passes the gate honestly, and then says whatever it is told to say.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ed25519_dalek::SigningKey;
use fsdfs_proto::codec;
use fsdfs_proto::gate::{GateDirection, GateHello, GateProof, GateVerdict, GateWelcome, VERSIONS, frame_len};
use fsdfs_proto::identity::{Card, CardDisk, Cert, Fact, Ticket};
use fsdfs_proto::ids::{Digest, DiskNonce, Instance, NodeId};
use fsdfs_proto::message::{FactBatch, Message};
use fsdfs_proto::signed::{Envelope, Signed};
use fsdfs_proto::volume::{BlockHeader, BlockKind};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use quinn::Connection;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::quic::{RawEndpoint, RawStream, inbound, open};

const STREAMS: &str = "/fsdfs/3/lanes";

/// How long a member has for its part of the gate, on a busy machine.
const GATE_PATIENCE: Duration = Duration::from_secs(30);

/// A member to knock at.
#[derive(Clone, Copy, Debug)]
pub struct MemberDoor {
    /// Who.
    pub node: NodeId,
    /// Where.
    pub addr: SocketAddr,
}

/// Who lies.
pub struct Liar {
    /// Its identity.
    pub node: NodeId,
    /// The secret half of it.
    pub key: SigningKey,
    /// What it came in with.
    pub ticket: Ticket,
    admission: Option<Envelope>,
    doors: Vec<MemberDoor>,
    connections: u64,
}

/// A connection behind the gate.
pub struct Link {
    /// Streams to write on; the first is for messages.
    pub streams: Vec<RawStream>,
    /// What the member says: each message, without the blocks.
    pub inbox: mpsc::UnboundedReceiver<Message>,
    /// Bytes of blocks that the member sent so far.
    pub block_bytes: Arc<AtomicU64>,
    takes_blocks: tokio::sync::watch::Sender<bool>,
    /// Opens more streams, if somebody asks for them.
    more: mpsc::UnboundedSender<tokio::sync::oneshot::Sender<RawStream>>,
}

impl Liar {
    /// Reads a ticket; the member that it names first is the only door.
    pub fn new(ticket: &str) -> Self {
        let parsed: Ticket = ticket.parse().expect("a ticket");
        let (node, addrs) = parsed.bootstrap.first().cloned().expect("a member to turn to");
        let addr = addrs.first().expect("an address").parse().expect("of loopback");
        Self::at(ticket, vec![MemberDoor { node, addr }])
    }

    /// Reads a ticket. The key is chosen so that it leads at all doors: it opens the gate's stream and its streams first.
    pub fn at(ticket: &str, doors: Vec<MemberDoor>) -> Self {
        let leads = |key: &SigningKey| doors.iter().all(|door| node_of(key) < door.node);
        let mut keys = std::iter::repeat_with(|| SigningKey::from_bytes(&random_seed()));
        let key = keys.find(leads).expect("there is no end of keys");
        Self::with_key(key, ticket, doors)
    }

    /// With a key that is given, which has to be smaller than those at the doors.
    pub fn with_key(key: SigningKey, ticket: &str, doors: Vec<MemberDoor>) -> Self {
        let ticket: Ticket = ticket.parse().expect("a ticket");
        Self { node: node_of(&key), key, ticket, admission: None, doors, connections: 0 }
    }

    /// Its own certificate and those above it, root first.
    pub fn chain(&self) -> Vec<Signed<Cert>> {
        self.ticket.redeem(&self.key).expect("a ticket that leaves a link for its newcomer")
    }

    /// Comes in at the first door, as soon as it may: whoever comes in again and again is made to wait.
    pub async fn connect(&mut self) -> Link {
        let until = tokio::time::Instant::now() + GATE_PATIENCE;
        loop {
            match self.connect_at(0).await {
                Ok(link) => return link,
                Err(error) => assert!(tokio::time::Instant::now() < until, "let in: {error:#}"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Dials, passes the gate, opens its streams; or why not.
    pub async fn connect_at(&mut self, door: usize) -> Result<Link> {
        let door = self.doors[door];
        timeout(GATE_PATIENCE, self.enter(door)).await.context("no answer at the gate")?
    }

    async fn enter(&mut self, door: MemberDoor) -> Result<Link> {
        // From another port each time, as a program that is started again.
        let own = RawEndpoint::bind(&self.key, (Ipv4Addr::UNSPECIFIED, 0).into())?;
        let connection = own.dial(door.addr).await.context("the member's port is open")?;
        self.pass_gate(&connection, door.node).await?;
        self.connections += 1;
        let mut streams = Vec::new();
        for place in 0..4 {
            let mut stream = open(&connection).await.context("a stream")?;
            let name = [self.connections, 0].map(u64::to_be_bytes).concat();
            let words = [proposal(STREAMS), name, vec![place]].concat();
            stream.write_all(&words).await?;
            stream.flush().await?;
            streams.push(stream);
        }
        for stream in &mut streams {
            let said = (line(stream).await, line(stream).await);
            ensure!(said == (lined_version(), format!("{STREAMS}\n").into_bytes()), "streams are refused");
        }
        let (heard, inbox) = mpsc::unbounded_channel();
        let (more, wanted) = mpsc::unbounded_channel();
        let (takes_blocks, takes) = tokio::sync::watch::channel(true);
        let block_bytes = Arc::new(AtomicU64::new(0));
        let hearer = MessageHearer { heard, takes_blocks: takes, block_bytes: Arc::clone(&block_bytes) };
        tokio::spawn(serve(connection, hearer, wanted));
        Ok(Link { streams, inbox, block_bytes, takes_blocks, more })
    }

    /// What passes for a block of the pool as far as one sees without keys.
    pub fn pool_block(&self, len: usize) -> Vec<u8> {
        let volume = self.ticket.pool.volume();
        let header =
            BlockHeader { version: 1, kind: BlockKind::Data, volume, epoch: 1, links: Vec::new(), extra: None };
        let header = codec::encode(&header);
        let header_len = u32::try_from(header.len()).expect("some fifty bytes");
        [&header_len.to_be_bytes()[..], &header, &vec![7; len]].concat()
    }

    async fn pass_gate(&mut self, connection: &Connection, member: NodeId) -> Result<()> {
        let mut stream = open(connection).await.context("a stream")?;
        let secret = self.ticket.gate_secret.key();
        let (there, back) = (
            GateDirection { secret, sender: self.node, receiver: member },
            GateDirection { secret, sender: member, receiver: self.node },
        );
        let certs = self.chain().iter().map(Signed::envelope).collect();
        let admissions = self.admission.iter().cloned().collect();
        let proof = Some(GateProof { certs, admissions, gossip: Digest([0; 32]) });
        let hello = GateHello { versions: VERSIONS.to_vec(), proof };
        let nonce = *random_seed().first_chunk().expect("32 bytes");
        stream.write_all(&there.seal(nonce, &hello)?).await?;
        stream.flush().await?;
        let _: GateHello = back.open(&frame(&mut stream).await?)?;
        let verdict: GateVerdict = back.open(&frame(&mut stream).await?)?;
        let GateVerdict::Accepted(welcome) = verdict else { bail!("not let in: {verdict:?}") };
        self.admission = welcome.admission.or(self.admission.take());
        let nonce = *random_seed().first_chunk().expect("32 bytes");
        stream.write_all(&there.seal(nonce, &GateVerdict::Accepted(GateWelcome::default()))?).await?;
        stream.flush().await?;
        Ok(())
    }

    /// The admission that it was given at the gate so far.
    pub fn admission(&self) -> Option<&Envelope> {
        self.admission.as_ref()
    }

    /// A card that promises much capacity.
    pub fn boast(&self) -> Message {
        let disks = vec![CardDisk { nonce: DiskNonce([9; 16]), gib: 8 }];
        let card = Card {
            version: 1,
            node: self.node,
            seq: 1,
            instance: Instance([9; 8]),
            name: "liar".into(),
            site: "nowhere".into(),
            disks,
            addrs: vec![],
            uplink: None,
            flags: 0,
            features: 0,
        };
        let card = Fact::from(Signed::sign(self.ticket.pool, &self.key, card));
        Message::Facts(FactBatch { request: 0, facts: vec![card.raw()] })
    }
}

impl Link {
    /// Says something on the message stream; whether the connection still took it.
    pub async fn say(&mut self, message: &Message) -> bool {
        self.write(0, &frame_of(message)).await
    }

    /// Writes anything on a stream.
    pub async fn write(&mut self, stream: usize, bytes: &[u8]) -> bool {
        let stream = &mut self.streams[stream];
        stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok()
    }

    /// One more stream; none if the connection is closed, or the member allows no more.
    pub async fn open_stream(&mut self) -> Option<RawStream> {
        let (stream, opened) = tokio::sync::oneshot::channel();
        self.more.send(stream).ok()?;
        timeout(Duration::from_secs(2), opened).await.ok()?.ok()
    }

    /// From now on no block that the member sends is taken from the connection.
    pub fn take_no_blocks(&self) {
        self.takes_blocks.send_replace(false);
    }

    /// Whether the member closes the connection.
    pub async fn is_dropped(&mut self) -> bool {
        let closed = async { while self.inbox.recv().await.is_some() {} };
        timeout(Duration::from_secs(60), closed).await.is_ok()
    }
}

/// Takes in what the member says, as long as it goes on.
#[derive(Clone)]
struct MessageHearer {
    heard: mpsc::UnboundedSender<Message>,
    takes_blocks: tokio::sync::watch::Receiver<bool>,
    block_bytes: Arc<AtomicU64>,
}

/// A message as it crosses a stream.
pub fn frame_of(message: &Message) -> Vec<u8> {
    let bytes = codec::encode(message);
    let len = u32::try_from(bytes.len()).expect("messages are short");
    [&len.to_be_bytes(), &bytes[..]].concat()
}

/// The identity of a key.
pub fn node_of(key: &SigningKey) -> NodeId {
    NodeId(key.verifying_key().to_bytes())
}

/// Answers the member's streams until the connection ends.
async fn serve(
    connection: Connection,
    hearer: MessageHearer,
    mut wanted: mpsc::UnboundedReceiver<tokio::sync::oneshot::Sender<RawStream>>,
) {
    loop {
        tokio::select! {
            stream = inbound(&connection) => match stream {
                Some(stream) => drop(tokio::spawn(listen(stream, hearer.clone()))),
                None => return,
            },
            Some(answer) = wanted.recv() => {
                let stream = timeout(Duration::from_secs(1), open(&connection)).await;
                if let Ok(Some(stream)) = stream {
                    let _ = answer.send(stream);
                }
            }
        }
    }
}

/// Takes part in streams only; other protocols wait for an answer in vain.
async fn listen(mut stream: RawStream, mut hearer: MessageHearer) -> Option<()> {
    let (version, protocol) = (line(&mut stream).await, line(&mut stream).await);
    if protocol != [STREAMS.as_bytes(), b"\n"].concat() {
        return None;
    }
    stream.write_all(&[lined(&version), lined(&protocol)].concat()).await.ok()?;
    stream.flush().await.ok()?;
    stream.read_exact(&mut [0; 17]).await.ok()?;
    loop {
        let mut head = [0; 4];
        stream.read_exact(&mut head).await.ok()?;
        let mut bytes = vec![0; u32::from_be_bytes(head) as usize];
        stream.read_exact(&mut bytes).await.ok()?;
        let message: Message = codec::decode(&bytes).expect("an honest node's message");
        if let Some(attached) = message.attached() {
            hearer.takes_blocks.wait_for(|takes| *takes).await.ok()?;
            stream.read_exact(&mut vec![0; attached.len as usize]).await.ok()?;
            hearer.block_bytes.fetch_add(attached.len.into(), Ordering::Relaxed);
        }
        hearer.heard.send(message).ok()?;
    }
}

async fn frame(stream: &mut RawStream) -> Result<Vec<u8>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.context("a frame")?;
    let mut frame = vec![0; frame_len(head).context("a length")?];
    stream.read_exact(&mut frame).await.context("a frame")?;
    Ok(frame)
}

/// One line of multistream-select; nothing if the stream ended.
async fn line(stream: &mut RawStream) -> Vec<u8> {
    let mut len = [0];
    let mut line = Vec::new();
    if stream.read_exact(&mut len).await.is_ok() {
        line.resize(usize::from(len[0]), 0);
        let _ = stream.read_exact(&mut line).await;
    }
    line
}

fn lined_version() -> Vec<u8> {
    b"/multistream/1.0.0\n".to_vec()
}

/// Bytes of a key, or of a nonce.
pub fn random_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    fastrand::fill(&mut seed);
    seed
}

fn lined(line: &[u8]) -> Vec<u8> {
    [&[u8::try_from(line.len()).expect("protocol names are short")], line].concat()
}

fn proposal(protocol: &str) -> Vec<u8> {
    [lined(&lined_version()), lined(format!("{protocol}\n").as_bytes())].concat()
}
