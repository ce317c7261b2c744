//! A pool for tests: node 0 is the founder and first admin; keys are made from small numbers.

use ed25519_dalek::SigningKey;
use fsdfs_proto::identity::{
    Absence, AdminList, Card, CardDisk, Cert, DailySpan, Departure, Fact, FeatureLevel, Head, Heartbeat, Invitation,
    PoolRules, Removal, Revocation, Role, SecretKey, Succession, VolEpoch, Vouch, founder_cert, founding,
    newcomer_cert, pool_of, root_key, ticket_cert,
};
use fsdfs_proto::ids::{BlockId, DiskNonce, FactId, Instance, Key, NodeId, PoolId, PublicKey, Writer};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{Commit, Dot, EntryFlags, FolderNode, MarkSet, VolumeKeys};

use crate::facts::{FactSet, InsertOutcome, MemberStatus, TicketRedemption};

/// The secret key of a node (0..100), of ticket n (100 + n), of the root (255).
pub fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number + 1; 32])
}

pub fn root() -> SigningKey {
    SigningKey::from_bytes(&[0xff; 32])
}

pub fn public(key: &SigningKey) -> PublicKey {
    PublicKey(key.verifying_key().to_bytes())
}

pub fn node(number: u8) -> NodeId {
    public(&key(number)).into()
}

pub fn pool_id() -> PoolId {
    pool_of(&root())
}

#[derive(Clone)]
pub struct TestPool {
    pub facts: FactSet,
    /// Everything that was ever said.
    pub said: Vec<Fact>,
    pub tickets: Vec<Signed<Cert>>,
}

impl TestPool {
    pub fn new() -> Self {
        let mut pool = Self { facts: FactSet::new(pool_id()), said: Vec::new(), tickets: Vec::new() };
        pool.say(founder_cert(pool_of(&root()), &root(), node(0)));
        pool.say(admins(1, None, &[0]));
        pool
    }

    /// The founder and so many others, each invited by the founder.
    pub fn of(nodes: u8) -> Self {
        let mut pool = Self::new();
        for newcomer in 1..nodes {
            let ticket = pool.ticket(0, 1, 0);
            pool.join(0, ticket, newcomer, u64::from(newcomer));
        }
        pool
    }

    /// The founder and others of a pool with spare root keys; its own key is that of [`root`].
    pub fn founded(nodes: u8) -> Self {
        let mut pool = Self { facts: FactSet::new(pool_id()), said: Vec::new(), tickets: Vec::new() };
        pool.say(founding(&root(), &spare()));
        pool.say(founder_cert(pool_id(), &root_number(1), node(0)));
        pool.say(admins_by(&root_number(1), 1, None, &[0]));
        pool.say(epoch(&root_number(1), 1, Vec::new()));
        for newcomer in 1..nodes {
            let ticket = pool.ticket(0, 1, 0);
            pool.join(0, ticket, newcomer, u64::from(newcomer));
        }
        pool
    }

    pub fn say(&mut self, fact: impl Into<Fact>) -> InsertOutcome {
        let fact = fact.into();
        self.said.push(fact.clone());
        self.facts.insert(fact)
    }

    pub fn hear(&mut self, facts: Vec<Fact>) {
        for fact in facts {
            self.say(fact);
        }
    }

    /// Makes a ticket; its number names it.
    pub fn ticket(&mut self, issuer: u8, uses: u32, redeem_by: u64) -> usize {
        self.ticket_up_to(issuer, uses, redeem_by, 0)
    }

    /// The same, with a limit to what newcomers are believed to store.
    pub fn ticket_up_to(&mut self, issuer: u8, uses: u32, redeem_by: u64, weight_gib_max: u32) -> usize {
        let number = self.tickets.len();
        let chain = self.facts.chain_of(node(issuer)).expect("the issuer is a member");
        let own = chain.last().expect("not empty");
        let subject = public(&ticket_key(number));
        let invitation = Invitation { subject, role: Role::Full, redeem_by, uses, weight_gib_max };
        let ticket = ticket_cert(pool_id(), &key(issuer), own, invitation).expect("may invite");
        self.say(ticket.clone());
        self.tickets.push(ticket);
        number
    }

    /// A ticket for one newcomer, by somebody who may give that role.
    pub fn ticket_for(&mut self, issuer: u8, role: Role) -> usize {
        let number = self.tickets.len();
        let own = self.facts.chain_of(node(issuer)).and_then(|mut chain| chain.pop()).expect("the issuer is a member");
        let invitation =
            Invitation { subject: public(&ticket_key(number)), role, redeem_by: 0, uses: 1, weight_gib_max: 0 };
        let ticket = ticket_cert(pool_id(), &key(issuer), &own, invitation).expect("may invite");
        self.say(ticket.clone());
        self.tickets.push(ticket);
        number
    }

    /// The chain a newcomer shows; `issuer` made the ticket.
    pub fn chain_by(&self, issuer: u8, ticket: usize, newcomer: u8) -> Vec<Signed<Cert>> {
        let mut chain = self.facts.chain_of(node(issuer)).expect("the issuer is a member");
        chain.push(self.tickets[ticket].clone());
        chain.push(self.member_cert(ticket, newcomer));
        chain
    }

    pub fn member_cert(&self, ticket: usize, newcomer: u8) -> Signed<Cert> {
        newcomer_cert(pool_id(), &ticket_key(ticket), &self.tickets[ticket], &key(newcomer)).expect("has room")
    }

    /// A newcomer's certificate and its admission by a witness at a stamp exactly so.
    pub fn join(&mut self, witness: u8, ticket: usize, newcomer: u8, ms: u64) -> InsertOutcome {
        let member = self.member_cert(ticket, newcomer);
        self.say(member.clone());
        let redeem = TicketRedemption { ticket: self.tickets[ticket].id(), member: member.id() };
        let hlc = Hlc { ms, count: 0 };
        let mut admission = self.facts.admission(node(witness), hlc, redeem);
        admission.hlc = hlc;
        self.say(Signed::sign(pool_id(), &key(witness), admission))
    }

    pub fn revoke(&mut self, signer: u8, subject: PublicKey, keep: Vec<FactId>) -> InsertOutcome {
        let revoke = Revocation { version: 1, signer: node(signer).into(), subject, reason: "test".into(), keep };
        self.say(Signed::sign(pool_id(), &key(signer), revoke))
    }

    pub fn standing(&self, number: u8) -> Option<MemberStatus> {
        self.facts.members().get(&node(number)).map(|member| member.status)
    }
}

pub fn ticket_key(number: usize) -> SigningKey {
    key(100 + u8::try_from(number).expect("few tickets"))
}

pub fn card(number: u8, seq: u64, disks: &[(u8, u32)], flags: u32) -> Signed<Card> {
    let disk = |(nonce, gib): &(u8, u32)| CardDisk { nonce: DiskNonce([*nonce; 16]), gib: *gib };
    let card = Card {
        version: 1,
        node: node(number),
        seq,
        instance: Instance([number; 8]),
        name: format!("node{number}"),
        site: format!("site{number}"),
        disks: disks.iter().map(disk).collect(),
        addrs: vec![format!("192.0.2.{number}:4001")],
        uplink: None,
        flags,
        features: 1,
    };
    Signed::sign(pool_id(), &key(number), card)
}

/// A card of a program that supports so much.
pub fn card_of(number: u8, seq: u64, features: u32) -> Signed<Card> {
    Signed::sign(pool_id(), &key(number), Card { features, ..card(number, seq, &[], 0).value().clone() })
}

pub fn beat(number: u8, boot: u64, counter: u64) -> Signed<Heartbeat> {
    Signed::sign(pool_id(), &key(number), Heartbeat { version: 1, node: node(number), boot, counter })
}

/// With a night from 23 to 7 o'clock.
pub fn absence(number: u8, seq: u64, until: u64) -> Signed<Absence> {
    let daily = vec![DailySpan { from: 23 * 60, to: 7 * 60 }];
    let absence = Absence { version: 1, node: node(number), seq, until, daily, drained: Some(Vec::new()) };
    Signed::sign(pool_id(), &key(number), absence)
}

pub fn gone(issuer: u8, member: u8, last: (u64, u64)) -> Signed<Departure> {
    let proof = (last != (0, 0)).then(|| beat(member, last.0, last.1).envelope().signature);
    let gone = Departure { version: 1, member: node(member), last, proof, issuer: node(issuer) };
    Signed::sign(pool_id(), &key(issuer), gone)
}

pub fn remove(signer: u8, subject: u8) -> Signed<Removal> {
    Signed::sign(pool_id(), &key(signer), Removal { version: 1, signer: node(signer).into(), node: node(subject) })
}

pub fn vouch(signer: u8, subject: u8) -> Signed<Vouch> {
    vouch_up_to(signer, subject, 0)
}

/// The same, with a weight that the subject is believed.
pub fn vouch_up_to(signer: u8, subject: u8, weight_gib_max: u32) -> Signed<Vouch> {
    let vouch = Vouch { version: 1, signer: node(signer).into(), node: node(subject), weight_gib_max };
    Signed::sign(pool_id(), &key(signer), vouch)
}

pub fn features(signer: u8, level: u32) -> Signed<FeatureLevel> {
    Signed::sign(pool_id(), &key(signer), FeatureLevel { version: 1, signer: node(signer).into(), level })
}

pub fn admins(number: u64, previous: Option<FactId>, admins: &[u8]) -> Signed<AdminList> {
    admins_by(&root(), number, previous, admins)
}

/// The same by another key.
pub fn admins_by(root: &SigningKey, number: u64, previous: Option<FactId>, admins: &[u8]) -> Signed<AdminList> {
    let admins = admins.iter().map(|number| node(*number)).collect();
    Signed::sign(pool_id(), root, AdminList { version: 1, number, previous, signer: public(root), admins })
}

/// Of a pool that was founded.
pub fn spare() -> SecretKey {
    SecretKey::new([0x5e; 32])
}

/// Root key of a pool that was founded.
pub fn root_number(number: u8) -> SigningKey {
    root_key(&spare(), number).signing_key()
}

/// From now on this root key counts.
pub fn succession(number: u8, keep: impl IntoIterator<Item = FactId>) -> Signed<Succession> {
    let keep: std::collections::BTreeSet<FactId> = keep.into_iter().collect();
    let (root, keep) = (root_number(number), keep.into_iter().collect());
    Signed::sign(pool_id(), &root, Succession { version: 1, number, signer: public(&root), keep })
}

pub fn rules(signer: u8, number: u64, previous: Option<FactId>, copies: u8) -> Signed<PoolRules> {
    let rules = PoolRules {
        version: 1,
        number,
        previous,
        signer: node(signer).into(),
        copies,
        away_grace_hours: 1,
        gone_days: 0,
        garbage_grace_hours: 72,
        retain_days: 7,
        weight_gib_max: 100,
        member_bytes_max: 0,
    };
    Signed::sign(pool_id(), &key(signer), rules)
}

/// Keys of an epoch of the shared volume.
pub fn keys(epoch: u32) -> VolumeKeys {
    let secret = Key([0x70 + u8::try_from(epoch).expect("few epochs"); 32]);
    VolumeKeys::from_write_secret(pool_id().volume(), epoch, secret)
}

pub fn epoch(signer: &SigningKey, epoch: u32, frozen_heads: Vec<BlockId>) -> Signed<VolEpoch> {
    let keys = keys(epoch);
    let statement = VolEpoch {
        version: 1,
        volume: pool_id().volume(),
        epoch,
        signer: public(signer),
        write_pk: keys.writer().expect("made from the write secret").write_pk(),
        read_check: keys.read_check(),
        frozen_heads,
        prev_sealed: None,
        without: Vec::new(),
        sponsor: None,
    };
    Signed::sign(pool_id(), signer, statement)
}

/// Writer `number` of a node.
pub fn writer(of: u8, number: u8) -> Writer {
    Writer::of(node(of), number.into())
}

/// A head by the first writer of `version_vector`, whose operations are numbered so; all are writers of the founder.
pub fn head(epoch: u32, version_vector: &[(u8, u64)]) -> Signed<Head> {
    head_by(0, epoch, version_vector)
}

/// A head that node `author` published; the first writer is one of its, the others are the founder's.
pub fn head_by(author: u8, epoch: u32, version_vector: &[(u8, u64)]) -> Signed<Head> {
    let of = |at: usize| if at == 0 { author } else { 0 };
    let dots = version_vector.iter().enumerate();
    let dots: Vec<(u8, Dot)> =
        dots.map(|(at, (number, seq))| (of(at), Dot { writer: writer(of(at), *number), seq: *seq })).collect();
    let first = dots.first().map(|(_, dot)| *dot);
    head_under(&keys(epoch), author, Vec::new(), first, &dots)
}

/// A merge of what these include, each a writer's number of a node, that `author` published.
pub fn merge_by(author: u8, epoch: u32, dots: &[(u8, Dot)]) -> Signed<Head> {
    head_under(&keys(epoch), author, vec![BlockId([1; 32]), BlockId([2; 32])], None, dots)
}

/// A head of an empty volume under these keys; `dot` is the operation, `dots` what it includes with whose they are.
pub fn head_under(
    keys: &VolumeKeys,
    author: u8,
    parents: Vec<BlockId>,
    dot: Option<Dot>,
    dots: &[(u8, Dot)],
) -> Signed<Head> {
    let mut marks = MarkSet::default();
    dots.iter().for_each(|(of, dot)| marks.sign(&key(*of), keys.volume, *dot));
    let commit = Commit {
        parents,
        time: Hlc { ms: 1, count: 0 },
        dot,
        version_vector: dots.iter().map(|(_, dot)| *dot).collect(),
        flags: EntryFlags::NONE,
        root: FolderNode::default(),
        message: None,
    };
    let writer = keys.writer().expect("made from the write secret");
    Commit::head(writer, &key(author), pool_id(), &commit.seal(writer, 3), &marks).expect("all is marked")
}
