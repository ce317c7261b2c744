//! The structures that members sign.

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};

use super::text;
use crate::codec::{CanonicalCodec, FormatError, ascending, bound};
use crate::ids::{BlockId, DiskId, DiskNonce, FactId, Instance, Key, NodeId, PoolId, PublicKey, Signature, VolumeId};
use crate::label::sign;
use crate::signed::{Signable, message, verify};
use crate::time::Hlc;
use crate::u8_enum;

u8_enum! {
    /// What a certificate is for.
    pub enum CertKind {
        /// Its subject is a member's node.
        1 => Member,
        /// Its subject is the throw-away key of a ticket; it signs exactly one thing, a member certificate.
        2 => Ticket,
    }
}

u8_enum! {
    /// What a member may do.
    pub enum Role {
        /// Reads, writes, stores.
        1 => Full,
        /// Reads and stores.
        2 => Reader,
        /// Stores only; pulls no capabilities.
        3 => StorageOnly,
    }
}

/// One link of a membership chain:
/// `[1, kind, issuer, subject, role, may_invite, depth, grant_until, redeem_by, uses, weight_gib_max, parent, consent]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cert {
    /// 1.
    pub version: u8,
    /// Member or ticket.
    pub kind: CertKind,
    /// Who signs: the pool's root key, a member, or (for the member certificate of its redeemer) a ticket key.
    pub issuer: PublicKey,
    /// Whose certificate it is.
    pub subject: PublicKey,
    /// What the subject may do; never wider than the issuer's.
    pub role: Role,
    /// Whether the subject may invite.
    pub may_invite: bool,
    /// How many more links may follow; shrinks along the chain.
    pub depth: u8,
    /// Wall milliseconds after which the membership ends; 0 = never.
    pub grant_until: u64,
    /// Tickets: wall milliseconds after which nobody is admitted with it; 0 = never. Members: 0.
    pub redeem_by: u64,
    /// Tickets: how many newcomers it admits, at least 1. Members: 0.
    pub uses: u32,
    /// Units of weight that the subject's card is believed at most; 0 = any. Never more than the issuer's.
    pub weight_gib_max: u32,
    /// Id of the issuer's certificate by which it issued this one; none if the root key did. So every certificate has one
    /// chain, and what a chain costs to walk does not depend on how many certificates a key has.
    pub parent: Option<FactId>,
    /// Members': the subject's signature over this very payload with nil here; none if the root key issued it. Without it
    /// anybody could put a foreign key below itself, and with it that member's branch and its inviter's authority.
    pub consent: Option<Signature>,
}

impl Cert {
    /// The bytes that the subject of a member certificate signs.
    pub fn consent_message(&self) -> Vec<u8> {
        let payload = crate::codec::encode(&Self { consent: None, ..self.clone() });
        [crate::label::SIGN_PREFIX.as_bytes(), sign::CONSENT.as_bytes(), &[0], &payload].concat()
    }

    /// Whether the subject agreed, where it has to.
    fn has_consent(&self) -> bool {
        match &self.consent {
            Some(consent) => {
                self.kind == CertKind::Member
                    && self.parent.is_some()
                    && verify(self.subject, &self.consent_message(), consent)
            }
            None => self.kind == CertKind::Ticket || self.parent.is_none(),
        }
    }
}

/// "This newcomer came in with this ticket": `[1, ticket cert id, member cert id, witness, hlc]`, signed by the witness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// 1.
    pub version: u8,
    /// Id of the ticket's certificate.
    pub ticket: FactId,
    /// Id of the newcomer's member certificate.
    pub member: FactId,
    /// The member that let it in.
    pub witness: NodeId,
    /// When.
    pub hlc: Hlc,
}

/// A disk on a card: `[nonce16, gib]`. Its id follows from the card's node and the nonce ([`Card::disk_id`]), so no card can
/// name another node's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardDisk {
    /// From its superblock.
    pub nonce: DiskNonce,
    /// Its weight, whole GiB (test pools may declare a smaller unit); 0 = takes nothing new.
    pub gib: u32,
}

/// What a node says of itself: `[1, node, seq, instance, name, site, disks, addrs, uplink?, flags, features]`, signed by the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// 1.
    pub version: u8,
    /// Who.
    pub node: NodeId,
    /// Higher wins; at equal `seq` the larger id wins.
    pub seq: u64,
    /// Random, drawn when the home folder was made: tells a duplicate identity apart.
    pub instance: Instance,
    /// Its name for people, 1 to 64 bytes.
    pub name: String,
    /// Its site, 1 to 64 bytes: nodes with equal sites are expected to fail together, by one fire or flood.
    pub site: String,
    /// At most 64, ascending by nonce.
    pub disks: Vec<CardDisk>,
    /// At most 8 of `HOST:PORT` (UDP), the best first. HOST may be a DNS name.
    pub addrs: Vec<String>,
    /// Upload of its line in KiB/s, if the owner said so.
    pub uplink: Option<u32>,
    /// Bit set of [`card_flag`].
    pub flags: u32,
    /// Highest feature level the program supports.
    pub features: u32,
}

impl Card {
    /// The id of one of this card's disks.
    pub fn disk_id(&self, disk: &CardDisk) -> DiskId {
        DiskId::of(self.node, disk.nonce)
    }
}

/// Bits of [`Card::flags`].
pub mod card_flag {
    /// It takes no new blocks of files, but keeps its weight, and with it what it holds.
    pub const READ_ONLY: u32 = 1;
    /// It takes the messages of meetings (spec 04-wire, "Meeting").
    pub const MEETS: u32 = 2;
    /// It forwards packets between members that cannot reach each other.
    pub const RELAYS: u32 = 4;
    /// Bits that hold how full it is.
    const FULL_SHIFT: u32 = 8;

    /// The bits that say so; percent of what its disks give that blocks cannot take any more.
    pub fn of_full_percent(percent: u8) -> u32 {
        u32::from(percent.min(100)) << FULL_SHIFT
    }

    /// What they say: at most 100, which a node that takes nothing always is.
    pub fn full_percent(flags: u32) -> u8 {
        match flags & READ_ONLY {
            0 => (flags >> FULL_SHIFT).to_le_bytes()[0].min(100),
            _ => 100,
        }
    }
}

/// "I am alive": `[1, node, boot, counter]`, signed by the node. Heartbeats are gossiped, times never.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// 1.
    pub version: u8,
    /// Who.
    pub node: NodeId,
    /// Wall milliseconds of its start, made to grow from one boot to the next.
    pub boot: u64,
    /// Grows within a boot.
    pub counter: u64,
}

impl Heartbeat {
    /// The place of a node among those who may pass this heartbeat on to a member that its maker is not connected to; the lowest ones
    /// do (spec 04-wire, "Repair and grants"). Each heartbeat has an order of its own.
    pub fn relay_place(&self, node: NodeId, to: NodeId) -> [u8; 32] {
        let mut hash = blake3::Hasher::new();
        for part in [&node.0[..], &self.node.0, &to.0, &self.counter.to_be_bytes()] {
            hash.update(part);
        }
        *hash.finalize().as_bytes()
    }
}

/// "I have heard nothing of this member for longer than the rule says": `[1, member, last heartbeat, proof, issuer]`.
/// Effective when a majority of the branches says so; void after a newer heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    /// 1.
    pub version: u8,
    /// Who is gone.
    pub member: NodeId,
    /// `(boot, counter)` of the last heartbeat heard of it; `(0, 0)` if none ever was.
    pub last: (u64, u64),
    /// The member's signature over that heartbeat, so that nobody can name a later one than was heard; none if none was.
    pub proof: Option<Signature>,
    /// Who says so.
    pub issuer: NodeId,
}

impl Departure {
    /// Whether the heartbeat that it names, if any, is one that its member signed.
    pub fn is_proven(&self, pool: PoolId) -> bool {
        let beat = Heartbeat { version: 1, node: self.member, boot: self.last.0, counter: self.last.1 };
        let said = message(sign::HEARTBEAT, pool, &crate::codec::encode(&beat));
        self.proof.as_ref().map_or(self.last == (0, 0), |proof| verify(self.member.into(), &said, proof))
    }
}

/// The pool's admins: version n+1 names the id of n. Signed by root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminList {
    /// 1.
    pub version: u8,
    /// Number of this list, from 1.
    pub number: u64,
    /// Id of the list before; none for the first.
    pub previous: Option<FactId>,
    /// The pool's root key.
    pub signer: PublicKey,
    /// Rank 1, 2, ... (root is rank 0), at most 64, distinct.
    pub admins: Vec<NodeId>,
}

/// The pool's rules: version n+1 names the id of n. Signed by root or an admin. Compiled-in floors bound each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRules {
    /// 1.
    pub version: u8,
    /// Number of these rules, from 1.
    pub number: u64,
    /// Id of the rules before.
    pub previous: Option<FactId>,
    /// Root or an admin.
    pub signer: PublicKey,
    /// Replication factor N for new blocks, 1 to 32.
    pub copies: u8,
    /// Hours a holder may be away before a temporary replica is made.
    pub away_grace_hours: u32,
    /// Days of silence after which a member may be called gone.
    pub gone_days: u32,
    /// Hours between the last possession question and the first step of deletion.
    pub garbage_grace_hours: u32,
    /// Days for which every version is kept.
    pub retain_days: u32,
    /// Largest weight a card may claim, GiB; 0 = no cap.
    pub weight_gib_max: u32,
    /// Bytes of blocks, all copies together, that may be charged to one member; 0 = no limit.
    pub member_bytes_max: u64,
}

/// Statements a revocation keeps at most: half a megabyte of ids, as many as one key may sign in a pool.
pub const KEEP_MAX: usize = 16_384;

/// A revocation: `[1, signer, subject, reason, keep]`. Void is whatever `subject` signed that is not retained (in `keep`).
/// A signer revokes only members below it and lower ranks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// 1.
    pub version: u8,
    /// Root, an admin, or an ancestor of the subject in its chain.
    pub signer: PublicKey,
    /// A member's or a ticket's key.
    pub subject: PublicKey,
    /// For people, at most 200 bytes.
    pub reason: String,
    /// Ids of what the subject signed and what stays valid, ascending.
    pub keep: Vec<FactId>,
}

/// "This node leaves": it may still serve and hand over. `[1, signer, node]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// 1.
    pub version: u8,
    /// The node itself, or as for a revocation.
    pub signer: PublicKey,
    /// Who leaves.
    pub node: NodeId,
}

/// "This member stands for itself": what hangs on it is a branch of its own from now on, whoever invited it.
/// `[1, signer, node, weight_gib_max]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouch {
    /// 1.
    pub version: u8,
    /// Root or an admin.
    pub signer: PublicKey,
    /// Who is vouched for.
    pub node: NodeId,
    /// Units of weight that it is believed from now on, if its certificate says fewer; 0 = as the certificate says.
    pub weight_gib_max: u32,
}

/// The pool's feature level; monotone, raised when all members not gone support it. `[1, signer, level]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureLevel {
    /// 1.
    pub version: u8,
    /// Any full member.
    pub signer: PublicKey,
    /// The greatest valid one counts.
    pub level: u32,
}

/// The current key of a volume (spec 05-volume), signed by the volume's owner; for `pool` by root or an admin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolEpoch {
    /// 1.
    pub version: u8,
    /// Which volume.
    pub volume: VolumeId,
    /// From 1.
    pub epoch: u32,
    /// Who signs this.
    pub signer: PublicKey,
    /// Key that signs the heads of this epoch.
    pub write_pk: PublicKey,
    /// Lets a receiver check a read capability it was given.
    pub read_check: Key,
    /// Commit ids at which the previous epoch ended, ascending.
    pub frozen_heads: Vec<BlockId>,
    /// Read key of the epoch before, sealed for whoever has this one's (`VolumeKeys::seal_previous`).
    pub prev_sealed: Option<Bytes>,
    /// Nodes that may have had the key of the epoch before and get none of this one, ascending: for whose removal it began.
    pub without: Vec<NodeId>,
    /// The member who answers for a volume other than `pool`: anybody can make a key for a volume.
    pub sponsor: Option<Sponsor>,
}

/// Heads from which an epoch begins, at most.
pub const HEADS_FROZEN_MAX: usize = 1_024;
/// Nodes for whose removal one epoch begins, at most: as many as a pool can have members.
pub const WITHOUT_MAX: usize = 4_096;

impl VolEpoch {
    /// Whether the sponsor that it names, if any, signed for the volume.
    pub fn is_sponsored(&self, pool: PoolId) -> bool {
        let said = message(sign::SPONSOR, pool, &self.volume.0);
        self.sponsor.as_ref().is_none_or(|sponsor| verify(sponsor.member.into(), &said, &sponsor.signature))
    }
}

/// "This volume is kept at my expense": `[member, signature]`, the signature over the volume's id under
/// [`sign::SPONSOR`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sponsor {
    /// Who pays with its share of what members may make others keep.
    pub member: NodeId,
    /// Over the volume's id.
    pub signature: Signature,
}

/// Where a writer's view of a volume stands: `[1, volume, epoch, commit block, author, proof, marks]`, signed with the epoch's
/// write key. It carries the small commit block whole, so it never points at nothing. All full members have the write key: the
/// author's own signature says which of them it was, and the marks that each number it includes was used by its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// 1.
    pub version: u8,
    /// Which volume.
    pub volume: VolumeId,
    /// Which epoch's write key signs.
    pub epoch: u32,
    /// The commit block, at most [`crate::volume::COMMIT_BYTES_MAX`].
    pub commit: Bytes,
    /// The member that published it.
    pub author: NodeId,
    /// The author's signature over volume and commit.
    pub proof: Signature,
    /// One signature for each number in the commit's version vector, in its order.
    pub marks: Vec<NodeMarks>,
}

/// What a node signed of the numbers of its writers: `[node, [signature]]` (spec 05-volume §6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMarks {
    /// Whose writers they are.
    pub node: NodeId,
    /// One a writer, in their order.
    pub signatures: Vec<Signature>,
}

impl Head {
    /// A head as its author makes it.
    pub fn by(author: &SigningKey, volume: VolumeId, epoch: u32, commit: Bytes, marks: Vec<NodeMarks>) -> Self {
        let proof = Signature(author.sign(&authored(volume, &commit)).to_bytes());
        let author = NodeId(author.verifying_key().to_bytes());
        Self { version: 1, volume, epoch, commit, author, proof, marks }
    }
}

/// What the author of a head signs: `"fsdfs/2/author" 00 volume32 commit-id32`.
fn authored(volume: VolumeId, commit: &[u8]) -> Vec<u8> {
    let id = BlockId::of(commit);
    [crate::label::SIGN_PREFIX.as_bytes(), sign::AUTHOR.as_bytes(), &[0], &volume.0, &id.0].concat()
}

pub(super) fn first_version(what: &'static str, version: u8) -> Result<(), FormatError> {
    if version == 1 { Ok(()) } else { Err(FormatError::TooNew { what, version: version.into() }) }
}

impl CanonicalCodec for Cert {
    fn check(&self) -> Result<(), FormatError> {
        first_version("a certificate", self.version)?;
        match self.kind {
            CertKind::Member => {
                bound(self.redeem_by == 0 && self.uses == 0, "redeem_by or uses of a member certificate")?;
            }
            CertKind::Ticket => bound(self.uses >= 1, "uses of a ticket")?,
        }
        let agreed = self.has_consent();
        if agreed { Ok(()) } else { Err(FormatError::BadSignature { what: "the consent in a certificate" }) }
    }
}

impl CanonicalCodec for Admission {
    fn check(&self) -> Result<(), FormatError> {
        first_version("an admission", self.version)
    }
}

impl CanonicalCodec for Card {
    fn check(&self) -> Result<(), FormatError> {
        first_version("a card", self.version)?;
        text(&self.name, 64, "the name on a card")?;
        text(&self.site, 64, "the site on a card")?;
        bound(self.disks.len() <= 64, "the disks on a card")?;
        ascending(&self.disks, |disk| disk.nonce)?;
        bound(self.addrs.len() <= 8, "the addresses on a card")?;
        self.addrs.iter().try_for_each(|addr| text(addr, 255, "an address on a card"))
    }
}

impl CanonicalCodec for Heartbeat {
    fn check(&self) -> Result<(), FormatError> {
        first_version("a heartbeat", self.version)
    }
}

impl CanonicalCodec for Departure {
    fn check(&self) -> Result<(), FormatError> {
        first_version("a gone statement", self.version)
    }
}

impl CanonicalCodec for AdminList {
    fn check(&self) -> Result<(), FormatError> {
        first_version("a list of admins", self.version)?;
        bound(self.number >= 1 && (self.number == 1) == self.previous.is_none(), "the number of a list of admins")?;
        bound(self.admins.len() <= 64, "the list of admins")?;
        let distinct: std::collections::BTreeSet<_> = self.admins.iter().collect();
        bound(distinct.len() == self.admins.len(), "the list of admins")
    }
}

impl CanonicalCodec for PoolRules {
    fn check(&self) -> Result<(), FormatError> {
        first_version("rules", self.version)?;
        bound(self.number >= 1 && (self.number == 1) == self.previous.is_none(), "the number of rules")?;
        bound((1..=32).contains(&self.copies), "copies")
    }
}

impl CanonicalCodec for Revocation {
    fn check(&self) -> Result<(), FormatError> {
        first_version("a revocation", self.version)?;
        bound(self.reason.len() <= 200, "the reason of a revocation")?;
        bound(self.keep.len() <= KEEP_MAX, "what a revocation keeps")?;
        ascending(&self.keep, |id| *id)
    }
}

impl CanonicalCodec for Removal {
    fn check(&self) -> Result<(), FormatError> {
        first_version("a removal", self.version)
    }
}

impl CanonicalCodec for Vouch {
    fn check(&self) -> Result<(), FormatError> {
        first_version("a vouch", self.version)
    }
}

impl CanonicalCodec for FeatureLevel {
    fn check(&self) -> Result<(), FormatError> {
        first_version("a feature level", self.version)
    }
}

impl CanonicalCodec for VolEpoch {
    fn check(&self) -> Result<(), FormatError> {
        first_version("a volume epoch", self.version)?;
        bound(self.epoch >= 1, "epoch")?;
        bound(self.frozen_heads.len() <= HEADS_FROZEN_MAX, "frozen heads")?;
        bound(self.prev_sealed.as_ref().is_none_or(|sealed| sealed.len() <= 256), "the sealed previous key")?;
        ascending(&self.frozen_heads, |id| *id)?;
        bound(self.without.len() <= WITHOUT_MAX, "the nodes without a key")?;
        ascending(&self.without, |node| *node)
    }
}

impl CanonicalCodec for Head {
    fn check(&self) -> Result<(), FormatError> {
        first_version("a head", self.version)?;
        bound(self.epoch >= 1, "epoch")?;
        bound(self.commit.len() <= crate::volume::COMMIT_BYTES_MAX, "the commit in a head")?;
        bound(self.marks.len() <= crate::volume::VERSION_VECTOR_WRITERS_MAX, "the marks in a head")?;
        let is_authors = verify(self.author.into(), &authored(self.volume, &self.commit), &self.proof);
        if is_authors { Ok(()) } else { Err(FormatError::BadSignature { what: sign::AUTHOR }) }
    }
}

macro_rules! signable {
    ($($type:ty: $label:expr, $signer:expr;)+) => {
        $(impl Signable for $type {
            const LABEL: &'static str = $label;
            fn signer(&self) -> Option<PublicKey> {
                let signer: fn(&$type) -> Option<PublicKey> = $signer;
                signer(self)
            }
        })+
    };
}

signable! {
    Cert: sign::CERT, |cert| Some(cert.issuer);
    Admission: sign::ADMISSION, |admission| Some(admission.witness.into());
    Card: sign::CARD, |card| Some(card.node.into());
    Heartbeat: sign::HEARTBEAT, |beat| Some(beat.node.into());
    Departure: sign::GONE, |gone| Some(gone.issuer.into());
    AdminList: sign::ADMINS, |admins| Some(admins.signer);
    PoolRules: sign::RULES, |rules| Some(rules.signer);
    Revocation: sign::REVOKE, |revoke| Some(revoke.signer);
    Removal: sign::REMOVE, |remove| Some(remove.signer);
    FeatureLevel: sign::FEATURES, |features| Some(features.signer);
    VolEpoch: sign::VOL_EPOCH, |epoch| Some(epoch.signer);
    Head: sign::HEAD, |_| None;
    Vouch: sign::VOUCH, |vouch| Some(vouch.signer);
}
