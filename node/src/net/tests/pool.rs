//! A pool of nodes for tests.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use fsdfs_core::facts::FactSet;
use fsdfs_core::seam::{BlockPayload, TrafficClass};
use fsdfs_proto::identity::{
    Card, Cert, Invitation, Revocation, Role, card_flag, founder_cert, newcomer_cert, pool_of, ticket_cert,
};
use fsdfs_proto::ids::{BlockId, Instance, Key, NodeId, PublicKey};
use fsdfs_proto::message::Message;
use fsdfs_proto::signed::Signed;
use tokio::sync::mpsc;

use crate::config::LiveBandwidth;
use crate::net::{GateIdentity, Gatekeeper, HandshakeRejected, Net, NetConfig, NetEvent};

/// Nothing on loopback takes so long, except on a machine that is busy with other things.
pub(in crate::net) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two searches: the second would fail as the first did if it began at once.
const PAUSE: Duration = Duration::from_millis(100);

pub(in crate::net) struct TestPool {
    root: SigningKey,
    pub(in crate::net) facts: FactSet,
}

pub(in crate::net) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

impl TestPool {
    /// Members are named by the seeds of their keys.
    pub(in crate::net) fn new(members: &[u8]) -> Self {
        let root = key(255);
        let mut facts = FactSet::new(pool_of(&root));
        for seed in members {
            facts.insert(founder_cert(pool_of(&root), &root, node(*seed)).into());
        }
        Self { root, facts }
    }

    /// These members have told the others that they take part in meetings, and relay.
    pub(in crate::net) fn with_cards(mut self, members: &[u8]) -> Self {
        for seed in members {
            let (instance, flags) = (Instance([*seed; 8]), card_flag::MEETS | card_flag::RELAYS);
            let (name, site) = (format!("node{seed}"), format!("site{seed}"));
            let (disks, addrs, uplink) = (Vec::new(), Vec::new(), None);
            let node = node(*seed);
            let card =
                Card { version: 1, node, seq: 1, instance, name, site, disks, addrs, uplink, flags, features: 1 };
            self.facts.insert(Signed::sign(pool_of(&self.root), &key(*seed), card).into());
        }
        self
    }

    pub(in crate::net) fn node(&self, seed: u8) -> NodeId {
        node(seed)
    }

    pub(in crate::net) fn revoke(&mut self, seed: u8) {
        let (signer, subject) = (PublicKey(self.root.verifying_key().to_bytes()), node(seed).into());
        let revoke = Revocation { version: 1, signer, subject, reason: "test".into(), keep: vec![] };
        self.facts.insert(Signed::sign(pool_of(&self.root), &self.root, revoke).into());
    }

    /// The ticket's chain, and the newcomer's certificate.
    pub(in crate::net) fn invite(&self, issuer: u8, newcomer: u8, redeem_by: u64) -> (Vec<Signed<Cert>>, Signed<Cert>) {
        let (pool, ticket_key) = (pool_of(&self.root), key(newcomer ^ 0x80));
        let mut chain = self.facts.chain_of(node(issuer)).unwrap();
        let subject = PublicKey(ticket_key.verifying_key().to_bytes());
        let invitation = Invitation { subject, role: Role::Full, redeem_by, uses: 1, weight_gib_max: 0 };
        let ticket = ticket_cert(pool, &key(issuer), chain.last().unwrap(), invitation).unwrap();
        let own = newcomer_cert(pool, &ticket_key, &ticket, &key(newcomer)).unwrap();
        chain.push(ticket);
        (chain, own)
    }

    pub(in crate::net) fn keeper(&self, seed: u8) -> Arc<Gatekeeper> {
        let chain = self.facts.chain_of(node(seed)).unwrap();
        Arc::new(Gatekeeper::new(self.identity(seed, chain, BTreeSet::new()), self.facts.clone()))
    }

    pub(in crate::net) async fn start(&self, seed: u8) -> TestNode {
        self.start_with(seed, 64 << 20).await
    }

    pub(in crate::net) async fn start_with(&self, seed: u8, inbound_bytes_max: usize) -> TestNode {
        TestNode::start(self.keeper(seed), config("127.0.0.1:0", false, inbound_bytes_max)).await
    }

    pub(in crate::net) async fn start_capped(&self, seed: u8, bandwidth: Arc<LiveBandwidth>) -> TestNode {
        TestNode::start(self.keeper(seed), NetConfig { bandwidth, ..config("127.0.0.1:0", false, 64 << 20) }).await
    }

    pub(in crate::net) async fn start_on(&self, seed: u8, listen: &str, mdns: bool) -> TestNode {
        TestNode::start(self.keeper(seed), config(listen, mdns, 64 << 20)).await
    }

    /// Knows nothing but its ticket.
    pub(in crate::net) async fn start_newcomer(
        &self,
        seed: u8,
        ticket: &[Signed<Cert>],
        own: Signed<Cert>,
    ) -> TestNode {
        let mut facts = FactSet::new(pool_of(&self.root));
        let bootstraps = BTreeSet::from([NodeId(ticket.last().unwrap().value().issuer.0)]);
        let chain: Vec<_> = ticket.iter().cloned().chain([own]).collect();
        for cert in ticket {
            facts.insert(cert.clone().into());
        }
        let keeper = Gatekeeper::new(self.identity(seed, chain, bootstraps), facts);
        TestNode::start(Arc::new(keeper), config("127.0.0.1:0", false, 64 << 20)).await
    }

    fn identity(&self, seed: u8, chain: Vec<Signed<Cert>>, bootstraps: BTreeSet<NodeId>) -> GateIdentity {
        GateIdentity { pool: pool_of(&self.root), secret: Key([7; 32]), key: key(seed), chain, bootstraps }
    }
}

pub(in crate::net) fn config(listen: &str, mdns: bool, inbound_bytes_max: usize) -> NetConfig {
    NetConfig { mdns, ..NetConfig::new(listen.parse().unwrap(), inbound_bytes_max) }
}

fn node(seed: u8) -> NodeId {
    NodeId(key(seed).verifying_key().to_bytes())
}

pub(in crate::net) struct TestNode {
    pub(in crate::net) node: NodeId,
    pub(in crate::net) net: Net,
    pub(in crate::net) keeper: Arc<Gatekeeper>,
    events: mpsc::Receiver<NetEvent>,
    /// Whether the last event of a connection was `Up`.
    pub(in crate::net) up: bool,
    pub(in crate::net) pings: Vec<u64>,
    pub(in crate::net) progress: usize,
}

impl TestNode {
    async fn start(keeper: Arc<Gatekeeper>, config: NetConfig) -> Self {
        let (sender, events) = mpsc::channel(16);
        let net = Net::start(config, Arc::clone(&keeper), sender).await.unwrap();
        Self { node: keeper.node(), net, keeper, events, up: false, pings: Vec::new(), progress: 0 }
    }

    pub(in crate::net) fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.net.port()))
    }

    pub(in crate::net) async fn connect(&mut self, other: &mut Self) {
        self.find(other.node, &[other.addr().to_string()]).await;
        other.until(|event| matches!(event, NetEvent::Up { node, .. } if *node == self.node)).await;
    }

    /// Searches until it is connected, again if a search ended in vain: on a busy machine a handshake takes too long.
    pub(in crate::net) async fn find(&mut self, node: NodeId, addrs: &[String]) -> NetEvent {
        let found = async {
            loop {
                let ended = self.search(node, addrs).await;
                if matches!(ended, NetEvent::Up { .. }) {
                    return ended;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("not found in time")
    }

    /// Searches for a node that does not let this one in, until it has said why.
    pub(in crate::net) async fn refused_by(&mut self, node: NodeId, addrs: &[String]) -> HandshakeRejected {
        let told = async {
            loop {
                if let NetEvent::Unreachable { refused: Some(why), .. } = self.search(node, addrs).await {
                    return why;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("not told in time")
    }

    /// One search to its end.
    async fn search(&mut self, wanted: NodeId, addrs: &[String]) -> NetEvent {
        self.net.find(wanted, addrs.to_vec());
        let is_end = |event: &NetEvent| match event {
            NetEvent::Up { node, .. } | NetEvent::Unreachable { node, .. } => *node == wanted,
            _ => false,
        };
        self.until(is_end).await
    }

    pub(in crate::net) async fn next(&mut self) -> NetEvent {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("no event in time").unwrap();
        match &event {
            NetEvent::Up { .. } => self.up = true,
            NetEvent::Down { .. } => self.up = false,
            NetEvent::Progress { .. } => self.progress += 1,
            NetEvent::Message { message: Message::Ping(number), .. } => self.pings.push(*number),
            _ => {}
        }
        event
    }

    pub(in crate::net) async fn until(&mut self, wanted: impl Fn(&NetEvent) -> bool) -> NetEvent {
        loop {
            let event = self.next().await;
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Pings until one arrives: a connection may be replaced while the first is on its way.
    pub(in crate::net) async fn reaches(&mut self, other: &mut Self) {
        let arrived = async {
            loop {
                self.net.send(other.node, Message::Ping(1), None, TrafficClass::User);
                let soon = tokio::time::timeout(Duration::from_millis(100), async {
                    other.until(|event| matches!(event, NetEvent::Message { message: Message::Ping(1), .. })).await
                });
                if soon.await.is_ok() {
                    break;
                }
                while let Ok(event) = self.events.try_recv() {
                    match event {
                        NetEvent::Up { .. } => self.up = true,
                        NetEvent::Down { .. } => self.up = false,
                        _ => {}
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, arrived).await.expect("no ping arrived");
    }

    pub(in crate::net) async fn payloads(&mut self, count: usize) -> Vec<BlockPayload> {
        let mut payloads = Vec::new();
        while payloads.len() < count {
            if let NetEvent::Message { payload: payload @ BlockPayload::Block(_), .. } = self.next().await {
                payloads.push(payload);
            }
        }
        payloads
    }

    pub(in crate::net) async fn blocks(&mut self, count: usize) -> BTreeSet<BlockId> {
        let mut ids = BTreeSet::new();
        while ids.len() < count {
            if let NetEvent::Message { payload: BlockPayload::Block(block), .. } = self.next().await {
                ids.insert(block.id());
            }
        }
        ids
    }
}
