//! What members say that lie: the only place of the simulator that makes what no honest node makes.

use ed25519_dalek::SigningKey;
use fsdfs_core::facts::FactSet;
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{
    Card, Cert, CertKind, Departure, Fact, FeatureLevel, Head, Invitation, Revocation, VolEpoch, consented,
    newcomer_cert, ticket_cert,
};
use fsdfs_proto::ids::{BlockId, Digest, FactId, Key, NodeId, PoolId, PublicKey, Signature, VolumeId, Writer};
use fsdfs_proto::message::{
    AttachedBlock, FactBatch, FactDigests, HaveRequest, Message, Redundancy, StoreRequest, fact_parts,
};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::signed::{Signable, Signed};
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{
    BlockRef, Commit, DirectoryChild, DirectoryEntry, DirectoryNode, Dot, EntryFlags, EntryVersion, FileAttributes,
    FileContent, FileNode, FolderNode, FolderVectors, LEVEL_MAX, MarkSet, VersionVector, VolumeKeys, WriteKeys,
};

use crate::world::net::Parcel;

/// An hour, which no clock of a simulated machine is off without a fault.
const HOUR_MS: u64 = 3_600_000;
/// Ids that one endless revocation keeps. What it says is to burden others, not its line.
const KEPT: usize = 200;
/// Rounds of a flood at its full pace, which is more than anybody is to keep; from then on only one round in so many.
const FLOOD_ROUNDS: (u64, u64) = (24, 8);
/// Copies that users ask for.
const COPIES: u8 = 3;
/// Copies that a claim asks for.
const CLAIMED: u8 = 32;
/// Writers that one head names, of nodes that nobody knows.
const WRITERS: usize = 250;

/// How a member lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostileWay {
    /// Promises all the capacity there is, confirms everything, gives nothing out.
    Lying,
    /// Makes others keep statements and noise.
    Flooding,
    /// Makes states of the shared volume that cannot be used.
    Poisoning,
    /// Says of others what is not so: gone, of another time, to be copied everywhere.
    Forging,
    /// Says that it holds blocks that it does not have, some of which nobody has, and gives nothing out.
    Listing,
}

impl HostileWay {
    /// Those that are drawn where members lie; that of [`Self::Listing`] is in runs of homes.
    pub const ALL: [Self; 4] = [Self::Lying, Self::Flooding, Self::Poisoning, Self::Forging];
}

/// A member that has turned.
#[derive(Debug)]
pub(super) struct HostileMember {
    pub way: HostileWay,
    pub forger: Forger,
    /// An honest node has revoked it.
    pub revoked: bool,
}

/// The keys of a member, and what it has said so far.
pub(super) struct Forger {
    pool: PoolId,
    key: SigningKey,
    /// The last of the shared volume that its node was given; of its own making if it was never given any that write.
    write: WriteKeys,
    rng: fastrand::Rng,
    rounds: u64,
    /// Members that it has made, each with its key.
    sybils: Vec<SigningKey>,
    /// Nodes that it has made up.
    crowd: Vec<SigningKey>,
    /// As whom it means to come back, by a ticket that it made before anybody revoked it.
    comeback: Option<(NodeId, Vec<Signed<Cert>>)>,
}

impl std::fmt::Debug for Forger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Forger({} rounds)", self.rounds)
    }
}

impl Forger {
    pub fn new(pool: PoolId, key: [u8; 32], seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut secret = [0; 32];
        rng.fill(&mut secret);
        let made_up = VolumeKeys::from_write_secret(pool.volume(), 1, Key(secret));
        let write = made_up.writer().expect("made from a write secret").clone();
        let (sybils, crowd) = (Vec::new(), Vec::new());
        Self { pool, key: SigningKey::from_bytes(&key), write, rng, rounds: 0, sybils, crowd, comeback: None }
    }

    /// Its node was given these; those of a new epoch nobody gives it after it was revoked.
    pub fn holds(&mut self, keys: Option<&VolumeKeys>) {
        if let Some(write) = keys.and_then(VolumeKeys::writer) {
            self.write = write.clone();
        }
    }

    /// Heads that it makes in this round, and all that it says to each peer.
    pub fn round(
        &mut self,
        way: HostileWay,
        (facts, wall): (&FactSet, u64),
        blocks: Vec<BlockId>,
    ) -> (Vec<Signed<Head>>, Vec<Parcel>) {
        self.rounds += 1;
        let (heads, mut parcels) =
            if way == HostileWay::Poisoning { self.poison(wall) } else { (Vec::new(), Vec::new()) };
        let ticket = if self.comeback.is_none() { self.own_ticket(facts) } else { None };
        let mut stated: Vec<Fact> = match way {
            HostileWay::Lying => self.boast(facts).into_iter().collect(),
            HostileWay::Flooding => self.flood(facts),
            HostileWay::Poisoning => heads.iter().cloned().map(Fact::from).collect(),
            HostileWay::Forging => self.slander(facts),
            HostileWay::Listing => Vec::new(),
        };
        stated.extend(ticket);
        let raw: Vec<_> = stated.iter().map(Fact::raw).collect();
        let batch = |facts| said(Message::Facts(FactBatch { request: 0, facts }));
        parcels.extend(fact_parts(&raw).into_iter().map(batch));
        match way {
            HostileWay::Flooding => parcels.push(self.noise()),
            HostileWay::Forging => parcels.extend(self.false_words(wall, blocks)),
            HostileWay::Lying | HostileWay::Poisoning | HostileWay::Listing => {}
        }
        (heads, parcels)
    }

    /// A node that nobody knows, and the chain with which it means to come in.
    pub fn comeback(&self) -> Option<(NodeId, &[Signed<Cert>])> {
        self.comeback.as_ref().map(|(node, chain)| (*node, chain.as_slice()))
    }

    /// A ticket that never ends, for somebody new.
    fn own_ticket(&mut self, facts: &FactSet) -> Option<Fact> {
        let mut chain = facts.chain_of(self.node())?;
        let (throw_away, newcomer) = (SigningKey::from_bytes(&self.random()), SigningKey::from_bytes(&self.random()));
        let subject = PublicKey(throw_away.verifying_key().to_bytes());
        let weight_gib_max = chain.last()?.value().weight_gib_max;
        let role = chain.last()?.value().role;
        let invitation = Invitation { subject, role, redeem_by: 0, uses: 5, weight_gib_max };
        let ticket = ticket_cert(self.pool, &self.key, chain.last()?, invitation)?;
        chain.extend([ticket.clone(), newcomer_cert(self.pool, &throw_away, &ticket, &newcomer)?]);
        self.comeback = Some((NodeId(newcomer.verifying_key().to_bytes()), chain));
        Some(ticket.into())
    }

    fn node(&self) -> NodeId {
        NodeId(self.key.verifying_key().to_bytes())
    }

    fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill(&mut bytes);
        bytes
    }

    fn sign<T: Signable>(&self, value: T) -> Fact
    where
        Fact: From<Signed<T>>,
    {
        Fact::from(Signed::sign(self.pool, &self.key, value))
    }

    /// Its own card, with more than anybody has, and another weight each time.
    fn boast(&self, facts: &FactSet) -> Option<Fact> {
        let mut card: Card = facts.members().get(&self.node())?.card.as_ref()?.value().clone();
        card.seq = u64::MAX / 2 + self.rounds;
        let gib = u32::MAX - u32::from(self.rounds.is_multiple_of(2));
        card.disks.iter_mut().for_each(|disk| disk.gib = gib);
        Some(self.sign(card))
    }

    /// Statements about keys and volumes that nobody has, and members that nobody invited.
    fn flood(&mut self, facts: &FactSet) -> Vec<Fact> {
        let (most, one_in) = FLOOD_ROUNDS;
        if self.rounds > most && !self.rounds.is_multiple_of(one_in) {
            return Vec::new();
        }
        let mut keep: Vec<FactId> = (0..KEPT).map(|_| FactId(self.random())).collect();
        keep.sort_unstable();
        let (signer, subject) = (PublicKey::from(self.node()), PublicKey::from(NodeId(self.random())));
        let revocation = Revocation { version: 1, signer, subject, reason: "none".into(), keep };
        let level = FeatureLevel { version: 1, signer, level: u32::MAX };
        let volume = self.unknown_volume();
        let members = (0..40).filter_map(|_| self.sybil(facts));
        let members: Vec<Fact> = members.collect();
        [vec![self.sign(revocation), self.sign(level), volume], members].concat()
    }

    fn unknown_volume(&mut self) -> Fact {
        let owner = SigningKey::from_bytes(&self.random());
        let signer = PublicKey(owner.verifying_key().to_bytes());
        let mut frozen_heads: Vec<BlockId> = (0..50).map(|_| BlockId(self.random())).collect();
        frozen_heads.sort_unstable();
        let epoch = VolEpoch {
            version: 1,
            volume: VolumeId(signer.0),
            epoch: 1,
            signer,
            write_pk: signer,
            read_check: Key(self.random()),
            frozen_heads,
            prev_sealed: None,
            without: Vec::new(),
            sponsor: None,
        };
        Fact::from(Signed::sign(self.pool, &owner, epoch))
    }

    /// One more member, certified by this one.
    fn sybil(&mut self, facts: &FactSet) -> Option<Fact> {
        let chain = facts.chain_of(self.node())?;
        let (parent, own) = (chain.last()?.id(), chain.last()?.value());
        let key = SigningKey::from_bytes(&self.random());
        let cert = Cert {
            version: 1,
            kind: CertKind::Member,
            issuer: own.subject,
            subject: PublicKey(key.verifying_key().to_bytes()),
            role: own.role,
            may_invite: own.may_invite,
            depth: own.depth.checked_sub(1)?,
            grant_until: own.grant_until,
            redeem_by: 0,
            uses: 0,
            parent: Some(parent),
            consent: None,
            weight_gib_max: own.weight_gib_max,
        };
        let cert = consented(cert, &key);
        self.sybils.push(key);
        Some(self.sign(cert))
    }

    /// It and its own members say that all others are gone.
    fn slander(&mut self, facts: &FactSet) -> Vec<Fact> {
        let mut stated: Vec<Fact> =
            if self.sybils.len() < 12 { self.sybil(facts).into_iter().collect() } else { Vec::new() };
        let own: Vec<NodeId> =
            self.sybils.iter().chain([&self.key]).map(|key| NodeId(key.verifying_key().to_bytes())).collect();
        let others = facts.members().keys().filter(|node| !own.contains(node));
        for member in others {
            for (key, issuer) in self.sybils.iter().chain([&self.key]).zip(&own) {
                let gone = Departure {
                    version: 1,
                    member: *member,
                    last: (u64::MAX, u64::MAX),
                    proof: Some(Signature([7; 64])),
                    issuer: *issuer,
                };
                stated.push(Fact::from(Signed::sign(self.pool, key, gone)));
            }
        }
        stated
    }

    /// A clock that is an hour off, and 32 copies wanted of all that it knows of.
    fn false_words(&mut self, wall: u64, ids: Vec<BlockId>) -> Vec<Parcel> {
        let (gossip, map) = (Digest(self.random()), Digest(self.random()));
        let clock = Hlc { ms: wall + HOUR_MS, count: 0 };
        let redundancy = Redundancy::Replicas(CLAIMED);
        let have = HaveRequest { request: self.rng.u64(..), renew: true, map, redundancy, ids };
        vec![said(Message::Digests(FactDigests { gossip, map, clock })), said(Message::Have(have))]
    }

    /// A block that is none.
    fn noise(&mut self) -> Parcel {
        let bytes = (0..2_000).map(|_| self.rng.u8(..)).collect::<Vec<u8>>();
        self.store(Block::new(bytes.into()))
    }

    fn store(&mut self, block: Block) -> Parcel {
        let message = Message::Store(StoreRequest {
            request: self.rng.u64(..),
            map: Digest([0; 32]),
            redundancy: Redundancy::Replicas(COPIES),
            age_ms: 0,
            lease_ms: 0,
            receipt: BlockReceipt::sign(self.pool, &self.key, block.id()),
            more: false,
            block: AttachedBlock::from(&block),
        });
        Parcel { message, block: Some(block) }
    }

    /// Heads of one kind after the other, and the blocks behind them.
    fn poison(&mut self, wall: u64) -> (Vec<Signed<Head>>, Vec<Parcel>) {
        let me = NodeId(self.key.verifying_key().to_bytes());
        let dot = Dot { writer: Writer::of(me, self.rng.u64(..)), seq: 1 };
        match self.rounds % 8 {
            1 => {
                let commit = self.commit(dot, None, wall, []);
                let mut bytes = commit.bytes().to_vec();
                *bytes.last_mut().expect("a commit is not empty") ^= 1;
                (vec![self.head(&Block::new(bytes.into()))], Vec::new())
            }
            3 => {
                let nowhere = BlockRef { id: BlockId(self.random()), key: Key(self.random()) };
                let commit = self.commit(dot, Some(nowhere), wall, []);
                (vec![self.head(&commit)], Vec::new())
            }
            5 => {
                if self.crowd.is_empty() {
                    self.crowd = (0..WRITERS).map(|_| SigningKey::from_bytes(&self.random())).collect();
                }
                let (mut marks, mut others) = (MarkSet::default(), Vec::new());
                for key in &self.crowd {
                    let writer = Writer::of(NodeId(key.verifying_key().to_bytes()), self.rounds);
                    others.push(Dot { writer, seq: 1 });
                    marks.sign(key, self.write.volume(), Dot { writer, seq: 1 });
                }
                let commit = self.commit(dot, None, u64::MAX, others);
                (vec![self.head_with(&commit, &marks)], Vec::new())
            }
            7 => {
                // Sometimes it is a folder that users have, too.
                let name = *self.rng.choice(&["evil", "d0", "d1"]).expect("there are some");
                let (blocks, root) = self.doubling(dot, wall, name);
                let commit = self.commit(dot, Some(root), wall, []);
                let parcels = blocks.into_iter().map(|block| self.store(block)).collect();
                (vec![self.head(&commit)], parcels)
            }
            _ => (Vec::new(), Vec::new()),
        }
    }

    fn head(&self, commit: &Block) -> Signed<Head> {
        self.head_with(commit, &MarkSet::default())
    }

    fn head_with(&self, commit: &Block, marks: &MarkSet) -> Signed<Head> {
        Commit::head(&self.write, &self.key, self.pool, commit, marks).expect("all that it names is marked")
    }

    fn commit(&self, dot: Dot, tree: Option<BlockRef>, ms: u64, others: impl IntoIterator<Item = Dot>) -> Block {
        let mut version_vector: VersionVector = others.into_iter().collect();
        version_vector.add(dot);
        let within = if tree.is_some() { within(dot) } else { FolderVectors::default() };
        let commit = Commit {
            parents: Vec::new(),
            time: Hlc { ms, count: 0 },
            dot: Some(dot),
            version_vector,
            flags: EntryFlags::NONE,
            root: FolderNode { tree, within, ..FolderNode::default() },
            message: None,
        };
        commit.seal(&self.write, COPIES)
    }

    /// A folder of 61 blocks with 2^60 names: each node names its child twice.
    fn doubling(&self, dot: Dot, ms: u64, name: &'static str) -> (Vec<Block>, BlockRef) {
        let attrs = FileAttributes { mode: 0o644, mtime_ns: 0 };
        let value = FileNode { attrs, size: 1, content: FileContent::Inline(bytes::Bytes::from_static(b"x")) };
        let time = Hlc { ms, count: 0 };
        let version = EntryVersion { time, writer: dot.writer, value, xattrs: Vec::new(), copies: None, dot };
        let file = bytes::Bytes::from_static(b"a");
        let entry = DirectoryEntry { name: file.clone(), versions: vec![version], folder: None };
        let (block, mut at) =
            DirectoryNode::Leaf(vec![entry]).seal(&self.write, COPIES).expect("what is forged fits into a block");
        let mut blocks = vec![block];
        for level in 1..=LEVEL_MAX {
            let child = |last| DirectoryChild { last, node: at, count: 1 << (level - 1), within: within(dot) };
            let children = vec![child(file.clone()), child(bytes::Bytes::from_static(b"b"))];
            let (block, above) = DirectoryNode::Interior { level, children }
                .seal(&self.write, COPIES)
                .expect("what is forged fits into a block");
            blocks.push(block);
            at = above;
        }
        let folder = FolderNode { births: vec![dot], tree: Some(at), within: within(dot), ..FolderNode::default() };
        let name = bytes::Bytes::from_static(name.as_bytes());
        let evil = DirectoryEntry { name, versions: Vec::new(), folder: Some(folder) };
        let (block, root) =
            DirectoryNode::Leaf(vec![evil]).seal(&self.write, COPIES).expect("what is forged fits into a block");
        blocks.push(block);
        (blocks, root)
    }
}

fn within(dot: Dot) -> FolderVectors {
    let mut within = FolderVectors::default();
    within.add(dot);
    within
}

/// A message without a block.
fn said(message: Message) -> Parcel {
    Parcel { message, block: None }
}
