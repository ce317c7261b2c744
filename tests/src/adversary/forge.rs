//! What no honest node says, made with a member's own keys: the only place of the adversary that knows the formats.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{
    AdminList, Card, CardDisk, Cert, CertKind, Departure, Fact, FeatureLevel, Head, Heartbeat, Invitation, NodeMarks,
    PoolRules, RawFact, Removal, Revocation, Role, SecretKey, Ticket, VolEpoch, consented, ticket_cert,
};
use fsdfs_proto::ids::{
    BlockId, Digest, DiskId, DiskNonce, FactId, Instance, Key, NodeId, PoolId, PublicKey, Signature, VolumeId, Writer,
};
use fsdfs_proto::message::{AttachedBlock, FetchOutcome, FetchReply, Message, Redundancy, StoreRequest};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{
    BlockRef, Commit, CommitView, DirectoryChild, DirectoryEntry, DirectoryNode, Dot, EntryFlags, EntryVersion,
    FileAttributes, FileContent, FileNode, FolderNode, FolderVectors, Manifest, MarkSet, VersionVector, VolumeKeys,
    WriteKeys, seal_data,
};

use super::link::{Liar, node_of, random_seed};

/// Copies that a pool of three makes.
const COPIES: u8 = 3;

/// Wall milliseconds.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A question to keep a block, as one to which the block is attached.
pub fn store(request: u64, receipt: BlockReceipt, block: &Block) -> Message {
    Message::Store(StoreRequest {
        request,
        map: Digest([0; 32]),
        redundancy: Redundancy::Replicas(COPIES),
        age_ms: 0,
        lease_ms: 0,
        receipt,
        more: false,
        block: AttachedBlock::from(block),
    })
}

/// "Here it is", and bytes that it is not.
pub fn wrong_bytes(request: u64, id: BlockId) -> (Message, Vec<u8>) {
    let bytes = b"wrong".to_vec();
    let block = Some(AttachedBlock { id, len: 5 });
    (Message::FetchReply(FetchReply { request, outcome: FetchOutcome::Found, block }), bytes)
}

/// A block that is none: random bytes.
pub fn noise(bytes: usize) -> Block {
    let mut noise = vec![0; bytes];
    fastrand::fill(&mut noise);
    Block::new(noise.into())
}

/// Who signs.
#[derive(Clone)]
pub struct ForgingMember {
    /// In which pool.
    pub pool: PoolId,
    /// With which key.
    pub key: SigningKey,
}

impl ForgingMember {
    /// A key that nobody knows.
    pub fn random(pool: PoolId) -> Self {
        Self { pool, key: SigningKey::from_bytes(&random_seed()) }
    }

    /// Its identity.
    pub fn node(&self) -> NodeId {
        node_of(&self.key)
    }

    fn signer(&self) -> PublicKey {
        self.node().into()
    }

    fn sign<T: fsdfs_proto::signed::Signable>(&self, value: T) -> Fact
    where
        Fact: From<Signed<T>>,
    {
        Fact::from(Signed::sign(self.pool, &self.key, value))
    }

    /// Its own word for a block.
    pub fn receipt(&self, id: BlockId) -> BlockReceipt {
        BlockReceipt::sign(self.pool, &self.key, id)
    }

    /// A card with these disks.
    pub fn card(&self, seq: u64, name: &str, disks: Vec<CardDisk>) -> Fact {
        self.sign(Card {
            version: 1,
            node: self.node(),
            seq,
            instance: Instance([9; 8]),
            name: name.into(),
            site: format!("site of {}", self.node().short()),
            disks,
            addrs: Vec::new(),
            uplink: None,
            flags: 0,
            features: 0,
        })
    }

    /// A card that promises all that can be written on one.
    pub fn boast(&self, seq: u64) -> Fact {
        let disk = |number: u8| CardDisk { nonce: DiskNonce([number; 16]), gib: u32::MAX };
        self.card(seq, "boaster", (0..64).map(disk).collect())
    }

    /// A card that names the disks of others, as far as one can be named: by what their ids are made of.
    pub fn steal(&self, seq: u64, disks: &[DiskId]) -> Fact {
        let mut disks: Vec<CardDisk> = disks.iter().map(|id| CardDisk { nonce: DiskNonce(id.0), gib: 1 }).collect();
        disks.sort_by_key(|disk| disk.nonce);
        self.card(seq, "thief", disks)
    }

    /// A statement that a member is gone, with a last heartbeat that no later one can be above.
    pub fn departure(&self, member: NodeId) -> Fact {
        self.sign(Departure {
            version: 1,
            member,
            last: (u64::MAX, u64::MAX),
            proof: Some(Signature([7; 64])),
            issuer: self.node(),
        })
    }

    /// The same, as if it had never been heard of.
    pub fn unheard(&self, member: NodeId) -> Fact {
        self.sign(Departure { version: 1, member, last: (0, 0), proof: None, issuer: self.node() })
    }

    /// A certificate for a key, below this member's own one, to which that key agrees; `variant` makes it another one than
    /// the last.
    pub fn member_cert(&self, own: &Signed<Cert>, subject: &Self, variant: u64) -> Fact {
        let parent = own.value();
        let cert = Cert {
            version: 1,
            kind: CertKind::Member,
            issuer: self.signer(),
            subject: subject.signer(),
            role: parent.role,
            may_invite: parent.may_invite,
            depth: parent.depth.saturating_sub(1),
            grant_until: if variant == 0 { parent.grant_until } else { now_ms() + (1 << 40) + variant },
            redeem_by: 0,
            uses: 0,
            weight_gib_max: own.value().weight_gib_max,
            parent: Some(own.id()),
            consent: None,
        };
        self.sign(consented(cert, &subject.key))
    }

    /// A revocation of somebody who does not exist, as long as can be.
    pub fn endless_revocation(&self, ids: usize) -> Fact {
        let mut keep: Vec<FactId> = (0..ids).map(|_| FactId(random_seed())).collect();
        keep.sort_unstable();
        let subject = PublicKey::from(Self::random(self.pool).node());
        self.sign(Revocation { version: 1, signer: self.signer(), subject, reason: "no reason".into(), keep })
    }

    /// What only the root key, an admin or somebody above may say, of these members: they leave, they are revoked, this member
    /// is an admin, one copy is enough, and the shared volume has new keys.
    pub fn usurpation(&self, others: &[NodeId]) -> Vec<Fact> {
        let signer = self.signer();
        let mut facts = Vec::new();
        for node in others {
            facts.push(self.sign(Removal { version: 1, signer, node: *node }));
            let (subject, reason) = (PublicKey::from(*node), "none".to_owned());
            facts.push(self.sign(Revocation { version: 1, signer, subject, reason, keep: Vec::new() }));
        }
        facts.push(self.sign(AdminList { version: 1, number: 1, previous: None, signer, admins: vec![self.node()] }));
        facts.push(self.sign(PoolRules {
            version: 1,
            number: 1,
            previous: None,
            signer,
            copies: 1,
            away_grace_hours: 0,
            gone_days: 0,
            garbage_grace_hours: 0,
            retain_days: 0,
            weight_gib_max: 1,
            member_bytes_max: 1,
        }));
        facts.push(self.sign(VolEpoch {
            version: 1,
            volume: self.pool.volume(),
            epoch: 2,
            signer,
            write_pk: signer,
            read_check: Key(random_seed()),
            frozen_heads: Vec::new(),
            prev_sealed: None,
            without: Vec::new(),
            sponsor: None,
        }));
        facts
    }

    /// A sign of life, one more.
    pub fn heartbeat(&self, counter: u64) -> Fact {
        self.sign(Heartbeat { version: 1, node: self.node(), boot: 1, counter })
    }

    /// A level of features that no program will ever have.
    pub fn highest_level(&self) -> Fact {
        self.sign(FeatureLevel { version: 1, signer: self.signer(), level: u32::MAX })
    }

    /// An epoch of a volume of which nobody has heard.
    pub fn unknown_volume(pool: PoolId) -> Fact {
        let owner = Self::random(pool);
        let mut frozen_heads: Vec<BlockId> = (0..1_024).map(|_| BlockId(random_seed())).collect();
        frozen_heads.sort_unstable();
        owner.sign(VolEpoch {
            version: 1,
            volume: VolumeId(owner.node().0),
            epoch: 1,
            signer: owner.signer(),
            write_pk: owner.signer(),
            read_check: Key(random_seed()),
            frozen_heads,
            prev_sealed: None,
            without: Vec::new(),
            sponsor: None,
        })
    }

    /// A heartbeat whose signature is of another pool, and so none of this one.
    pub fn badly_signed(&self, counter: u64) -> Fact {
        let elsewhere = PoolId(random_seed());
        let beat = Heartbeat { version: 1, node: self.node(), boot: u64::MAX, counter };
        Fact::from(Signed::sign(elsewhere, &self.key, beat))
    }
}

/// The operations that a head includes, each with whose it is and what that node signed, if it is one.
pub fn seen_in(pool: PoolId, raw: &RawFact) -> Option<Vec<MarkedDot>> {
    let Ok(Fact::Head(head)) = raw.open(pool) else { return None };
    let commit = CommitView::of_head(head.value()).ok()?;
    head.value().marks_of(&commit.extra.version_vector)
}

/// Whether these keys open the commit of a head that was made after an epoch.
pub fn opens_later(pool: PoolId, keys: &VolumeKeys, raw: &RawFact, epoch: u32) -> bool {
    let Ok(Fact::Head(head)) = raw.open(pool) else { return false };
    head.value().epoch > epoch && Commit::open(keys, &head.value().commit).is_ok()
}

/// A number, whose it is, and a signature that is the node's or is said to be.
pub type MarkedDot = (Dot, NodeId, Signature);

/// A ticket that a member makes on its own, below its own certificate.
pub fn own_ticket(from: &Liar, uses: u32) -> Option<(Fact, String)> {
    let throw_away = SigningKey::from_bytes(&random_seed());
    let mut chain = from.chain();
    let subject = PublicKey(throw_away.verifying_key().to_bytes());
    let weight_gib_max = chain.last()?.value().weight_gib_max;
    let invitation = Invitation { subject, role: Role::Full, redeem_by: 0, uses, weight_gib_max };
    let cert = ticket_cert(from.ticket.pool, &from.key, chain.last()?, invitation)?;
    chain.push(cert.clone());
    let seed = SecretKey::new(throw_away.to_bytes());
    let ticket = Ticket { chain, seed, ..from.ticket.clone() };
    Some((Fact::from(cert), ticket.text().to_string()))
}

/// Makes states of the shared volume that no honest writer makes.
pub struct TreeForger {
    member: ForgingMember,
    keys: VolumeKeys,
    /// Under which number it writes.
    pub writer: Writer,
    seq: u64,
}

impl TreeForger {
    /// With keys that were given to the member; none if they do not write.
    pub fn new(member: ForgingMember, keys: VolumeKeys) -> Option<Self> {
        keys.writer()?;
        let writer = Writer::of(member.node(), fastrand::u64(..));
        Some(Self { member, keys, writer, seq: 1 })
    }

    /// The same keys in the hands of somebody whom nobody knows.
    pub fn stranger(&self) -> Option<Self> {
        let key = SigningKey::from_bytes(&random_seed());
        Self::new(ForgingMember { pool: self.member.pool, key }, self.keys.clone())
    }

    fn write(&self) -> &WriteKeys {
        self.keys.writer().expect("looked at when it was made")
    }

    fn dot(&self) -> Dot {
        Dot { writer: self.writer, seq: self.seq }
    }

    fn within(&self) -> FolderVectors {
        let mut within = FolderVectors::default();
        within.add(self.dot());
        within
    }

    /// A head with this root folder and this operation.
    pub fn head(&self, tree: Option<BlockRef>, time_ms: u64) -> Fact {
        self.head_of(&self.commit(tree, time_ms, []), &MarkSet::default())
    }

    /// A head of an empty volume that is said to include these as well.
    pub fn including(&self, others: &[MarkedDot]) -> Fact {
        let mut marks = MarkSet::default();
        others.iter().for_each(|(dot, node, signature)| marks.add(*dot, *node, *signature));
        self.head_of(&self.commit(None, now_ms(), others.iter().map(|(dot, ..)| *dot)), &marks)
    }

    /// The next operation begins.
    pub fn begin(&mut self) {
        self.seq += 1;
    }

    fn commit(&self, tree: Option<BlockRef>, time_ms: u64, others: impl IntoIterator<Item = Dot>) -> Block {
        let within = if tree.is_some() { self.within() } else { FolderVectors::default() };
        self.commit_within(tree, time_ms, others, within)
    }

    fn commit_within(
        &self,
        tree: Option<BlockRef>,
        time_ms: u64,
        others: impl IntoIterator<Item = Dot>,
        within: FolderVectors,
    ) -> Block {
        let mut version_vector: VersionVector = others.into_iter().collect();
        version_vector.add(self.dot());
        let commit = Commit {
            parents: Vec::new(),
            time: Hlc { ms: time_ms, count: 0 },
            dot: Some(self.dot()),
            version_vector,
            flags: EntryFlags::NONE,
            root: FolderNode { tree, within, ..FolderNode::default() },
            message: None,
        };
        commit.seal(self.write(), COPIES)
    }

    fn head_of(&self, commit: &Block, marks: &MarkSet) -> Fact {
        let head = Commit::head(self.write(), &self.member.key, self.member.pool, commit, marks);
        Fact::from(head.expect("all that it names is marked"))
    }

    /// A head of another member, as far as it says so itself.
    pub fn framed_head(&self, author: NodeId) -> Fact {
        let commit = self.commit(None, now_ms(), []).bytes().clone();
        let (volume, epoch, proof) = (self.keys.volume, self.keys.epoch, Signature([7; 64]));
        let marks = vec![NodeMarks { node: author, signatures: vec![proof] }];
        let head = Head { version: 1, volume, epoch, commit, author, proof, marks };
        Fact::from(Signed::sign(self.member.pool, self.write().signing_key(), head))
    }

    /// A head whose commit opens under no key, although its header is one.
    pub fn shut_head(&self) -> Fact {
        let commit = self.commit(None, now_ms(), []);
        let mut bytes = commit.bytes().to_vec();
        *bytes.last_mut().expect("a commit is not empty") ^= 1;
        self.head_of(&Block::new(bytes.into()), &MarkSet::default())
    }

    /// A root that is nowhere.
    pub fn missing_root(&self) -> Fact {
        let nowhere = BlockRef { id: BlockId(random_seed()), key: Key(random_seed()) };
        self.head(Some(nowhere), now_ms())
    }

    /// A head that includes the operations of as many writers as one may name, of nodes that somebody made up.
    pub fn crowded(&self, writers: usize) -> Fact {
        let (mut marks, mut others) = (MarkSet::default(), Vec::new());
        for _ in 1..writers {
            let key = SigningKey::from_bytes(&random_seed());
            let dot = Dot { writer: Writer::of(NodeId(key.verifying_key().to_bytes()), 1), seq: 1 };
            marks.sign(&key, self.keys.volume, dot);
            others.push(dot);
        }
        self.head_of(&self.commit(None, now_ms(), others), &marks)
    }

    /// A small file as an entry.
    pub fn file(&self, name: &str) -> DirectoryEntry {
        self.entry(name, 1, FileContent::Inline(Bytes::from_static(b"x")))
    }

    fn entry(&self, name: &str, size: u64, content: FileContent) -> DirectoryEntry {
        let value = FileNode { attrs: FileAttributes { mode: 0o644, mtime_ns: 0 }, size, content };
        let version = EntryVersion {
            time: Hlc { ms: now_ms(), count: 0 },
            writer: self.writer,
            value,
            xattrs: Vec::new(),
            copies: None,
            dot: self.dot(),
        };
        DirectoryEntry { name: name.to_owned().into(), versions: vec![version], folder: None }
    }

    /// A folder as an entry.
    fn folder(&self, name: String, tree: BlockRef) -> DirectoryEntry {
        let folder =
            FolderNode { births: vec![self.dot()], tree: Some(tree), within: self.within(), ..FolderNode::default() };
        DirectoryEntry { name: name.into(), versions: Vec::new(), folder: Some(folder) }
    }

    fn leaf(&self, entries: Vec<DirectoryEntry>) -> (Block, BlockRef) {
        DirectoryNode::Leaf(entries).seal(self.write(), COPIES).expect("what is forged fits into a block")
    }

    /// A root folder with one entry, behind what it needs.
    fn under_root(&self, mut blocks: Vec<Block>, entry: DirectoryEntry) -> (Vec<Block>, BlockRef) {
        let (block, at) = self.leaf(vec![entry]);
        blocks.push(block);
        (blocks, at)
    }

    /// A folder of 61 small blocks with 2^60 leaves: each node names its child twice.
    pub fn doubling(&self, name: &str) -> (Vec<Block>, BlockRef) {
        let (block, mut at) = self.leaf(vec![self.file("a")]);
        let mut blocks = vec![block];
        for level in 1..=fsdfs_proto::volume::LEVEL_MAX {
            let child = |last: &str| DirectoryChild {
                last: last.to_owned().into(),
                node: at,
                count: 1 << (level - 1),
                within: self.within(),
            };
            let node = DirectoryNode::Interior { level, children: vec![child("a"), child("b")] };
            let (block, above) = node.seal(self.write(), COPIES).expect("what is forged fits into a block");
            blocks.push(block);
            at = above;
        }
        let entry = self.folder(name.to_owned(), at);
        self.under_root(blocks, entry)
    }

    /// Folders in folders, each with ten names for the next: 10^levels files.
    pub fn laughs(&self, name: &str, levels: usize) -> (Vec<Block>, BlockRef) {
        let (block, mut at) = self.leaf(vec![self.file("ha")]);
        let mut blocks = vec![block];
        for _ in 0..levels {
            let entries = (0..10).map(|number| self.folder(format!("ha{number}"), at)).collect();
            let (block, above) = self.leaf(entries);
            blocks.push(block);
            at = above;
        }
        let entry = self.folder(name.to_owned(), at);
        self.under_root(blocks, entry)
    }

    /// A file of an exbibyte in five blocks.
    pub fn bomb(&self, name: &str) -> (Vec<Block>, BlockRef) {
        let (chunk_bytes, fan_out) = (1 << 20, 1_024);
        let (block, mut at) = seal_data(self.write(), &vec![0; chunk_bytes as usize]);
        let (mut blocks, mut size) = (vec![block], u64::from(chunk_bytes));
        for level in 1..=4 {
            size *= u64::from(fan_out);
            let children = vec![Some(at); fan_out as usize];
            let manifest = Manifest { level, chunk_bytes, fan_out, size, children };
            let (block, above) = manifest.seal(self.write(), COPIES);
            blocks.push(block);
            at = above;
        }
        let entry = self.entry(name, size, FileContent::Tree { root: at, depth: 4 });
        self.under_root(blocks, entry)
    }

    /// A folder that was moved after thousands had written in it, in one that was moved after as many others had; and a head that
    /// has seen the outer move and removed it, and nothing that is inside. Who merges them joins both stamps.
    pub fn stamped(&self, name: &str, writers: usize) -> (Vec<Block>, Vec<Fact>) {
        let some = |count: usize| {
            let writer = || Writer(*random_seed().first_chunk().expect("32 bytes"));
            (0..count).map(move |_| Dot { writer: writer(), seq: 1 })
        };
        // What the heads include has to be marked, so it is written under numbers of its own.
        let own = || Writer::of(self.member.node(), fastrand::u64(..));
        let [inner_birth, file] = [(); 2].map(|()| Dot { writer: own(), seq: 1 });
        let mut entry = self.file("f");
        entry.versions[0].dot = file;
        entry.versions[0].writer = file.writer;
        let (mut within, mut within_outer) = (FolderVectors::default(), FolderVectors::default());
        within.add(file);
        [file, inner_birth].into_iter().for_each(|dot| within_outer.add(dot));
        let (leaf, tree) = self.leaf(vec![entry]);
        let inner = FolderNode {
            births: vec![inner_birth],
            since: some(writers).collect(),
            tree: Some(tree),
            within,
            ..FolderNode::default()
        };
        let folder = |name: &str, folder| DirectoryEntry {
            name: name.to_owned().into(),
            versions: Vec::new(),
            folder: Some(folder),
        };
        let (middle, tree) = self.leaf(vec![folder("inner", inner)]);
        let outer = FolderNode {
            births: vec![self.dot()],
            since: some(writers).chain([inner_birth]).collect(),
            tree: Some(tree),
            within: within_outer.clone(),
            ..FolderNode::default()
        };
        let (blocks, root) = self.under_root(vec![leaf, middle], folder(name, outer));
        within_outer.add(self.dot());
        let seen = [file, inner_birth];
        let has_both = self.commit_within(Some(root), now_ms(), seen, within_outer);
        let other = Self { member: self.member.clone(), keys: self.keys.clone(), writer: own(), seq: 1 };
        let mut marks = MarkSet::default();
        seen.into_iter().chain([self.dot()]).for_each(|dot| marks.sign(&self.member.key, self.keys.volume, dot));
        let saw_the_move = other.head_of(&other.commit(None, now_ms(), [self.dot()]), &marks);
        (blocks, vec![self.head_of(&has_both, &marks), saw_the_move])
    }

    /// A root folder with one small file.
    pub fn small(&self, name: &str) -> (Vec<Block>, BlockRef) {
        self.under_root(Vec::new(), self.file(name))
    }
}
