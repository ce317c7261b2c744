//! A pool with one founder, and nodes of the real network code.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use fsdfs_core::facts::{FactSet, TicketRedemption};
use fsdfs_node::net::{GateIdentity, Gatekeeper, Net, NetConfig, NetEvent};
use fsdfs_proto::identity::{
    Admission, Cert, Fact, Invitation, Revocation, Role, founder_cert, newcomer_cert, pool_of, ticket_cert,
};
use fsdfs_proto::ids::{Key, NodeId, PoolId, PublicKey};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use tokio::sync::mpsc;

/// Seed of the founder's key.
pub const FOUNDER: u8 = 2;
pub const SECRET: Key = Key([7; 32]);
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two searches: the second would fail as the first did if it began at once.
const PAUSE: Duration = Duration::from_millis(100);

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn node(seed: u8) -> NodeId {
    NodeId(key(seed).verifying_key().to_bytes())
}

pub fn pool_id() -> PoolId {
    pool_of(&key(255))
}

/// Where a node listens on loopback.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// What is known of the pool.
pub struct Pool {
    pub root: SigningKey,
    pub facts: FactSet,
}

impl Pool {
    pub fn new() -> Self {
        let mut pool = Self { root: key(255), facts: FactSet::new(pool_id()) };
        pool.add(FOUNDER);
        pool
    }

    pub fn add(&mut self, seed: u8) {
        self.facts.insert(founder_cert(pool_of(&self.root), &self.root, node(seed)).into());
    }

    pub fn add_and_revoke(&mut self, seed: u8) {
        self.add(seed);
        let signer = PublicKey(self.root.verifying_key().to_bytes());
        let keep = self.facts.signed_by(node(seed).into());
        let revoke = Revocation { version: 1, signer, subject: node(seed).into(), reason: "left".into(), keep };
        self.facts.insert(Signed::sign(pool_id(), &self.root, revoke).into());
    }

    /// The chain of somebody who holds a ticket of the founder's.
    pub fn ticket_chain(&self, newcomer: u8, redeem_by: u64) -> Vec<Signed<Cert>> {
        let mut chain = self.facts.chain_of(node(FOUNDER)).expect("the founder has a chain");
        let ticket_key = key(newcomer ^ 0x80);
        let subject = PublicKey(ticket_key.verifying_key().to_bytes());
        let invitation = Invitation { subject, role: Role::Full, redeem_by, uses: 1, weight_gib_max: 0 };
        let ticket = ticket_cert(pool_id(), &key(FOUNDER), &chain[0], invitation).expect("may invite");
        let own = newcomer_cert(pool_id(), &ticket_key, &ticket, &key(newcomer)).expect("deep enough");
        chain.extend([ticket, own]);
        chain
    }

    /// The facts of somebody whom the founder let in in time, with a ticket that has expired since.
    pub fn admit(&mut self, newcomer: u8, redeem_by: u64) -> FactSet {
        let chain = self.ticket_chain(newcomer, redeem_by);
        let [.., ticket, member] = &chain[..] else { unreachable!("a ticket's chain has three links") };
        let redeem = TicketRedemption { ticket: ticket.id(), member: member.id() };
        let admission: Admission = self.facts.admission(node(FOUNDER), Hlc { ms: 1, count: 0 }, redeem);
        let admission = Signed::sign(pool_id(), &key(FOUNDER), admission);
        let mut facts = self.facts.clone();
        for fact in chain.iter().cloned().map(Fact::from).chain([admission.into()]) {
            facts.insert(fact);
        }
        facts
    }

    pub fn keeper(&self, seed: u8) -> Arc<Gatekeeper> {
        self.keeper_with(seed, self.facts.clone())
    }

    pub fn keeper_with(&self, seed: u8, facts: FactSet) -> Arc<Gatekeeper> {
        let chain = facts.chain_of(node(seed)).expect("a member has a chain");
        let identity =
            GateIdentity { pool: pool_id(), secret: SECRET, key: key(seed), chain, bootstraps: BTreeSet::new() };
        Arc::new(Gatekeeper::new(identity, facts))
    }
}

/// A member's node.
pub struct Member {
    pub node: NodeId,
    pub net: Net,
    pub keeper: Arc<Gatekeeper>,
    events: mpsc::Receiver<NetEvent>,
}

impl Member {
    pub async fn start(keeper: &Arc<Gatekeeper>) -> Self {
        let (sender, events) = mpsc::channel(1024);
        let config = NetConfig::new(loopback(0), 4 << 20);
        let net = Net::start(config, Arc::clone(keeper), sender).await.expect("loopback can be listened on");
        Self { node: keeper.node(), net, keeper: Arc::clone(keeper), events }
    }

    pub fn addr(&self) -> SocketAddr {
        loopback(self.net.port())
    }

    /// Whether anybody was reported as connected so far.
    pub fn was_up(&mut self) -> bool {
        let mut up = false;
        while let Ok(event) = self.events.try_recv() {
            up |= matches!(event, NetEvent::Up { .. });
        }
        up
    }

    /// Searches for a member until it is connected, again if a search ended in vain: on a busy machine a handshake takes too
    /// long. Whether that was in time.
    pub async fn comes_to(&mut self, member: &Self) -> bool {
        let coming = async {
            while !self.found(member).await {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, coming).await.is_ok()
    }

    /// One search to its end.
    async fn found(&mut self, member: &Self) -> bool {
        self.net.find(member.node, vec![member.addr().to_string()]);
        let is_end = |event: &NetEvent| match event {
            NetEvent::Up { node, .. } | NetEvent::Unreachable { node, .. } => *node == member.node,
            _ => false,
        };
        matches!(self.until(is_end).await, NetEvent::Up { .. })
    }

    pub async fn until(&mut self, wanted: impl Fn(&NetEvent) -> bool) -> NetEvent {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("no event in time");
            let event = event.expect("the network runs");
            if wanted(&event) {
                return event;
            }
        }
    }
}
