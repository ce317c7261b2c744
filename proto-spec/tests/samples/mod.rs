//! Sample statements and strings, from fixed seeds, and ways to spoil them.

mod vector;

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use fsdfs_proto::codec;
use fsdfs_proto::identity::{
    Absence, AdminList, Admission, Capability, CapabilityLevel, Card, CardDisk, Cert, DailySpan, Departure, Fact,
    FactKind, FeatureLevel, Founding, Head, Heartbeat, Invitation, PoolRules, Removal, Revocation, Role, RootFacts,
    SecretKey, Sponsor, Succession, Ticket, VolEpoch, Vouch, consented, founder_cert, newcomer_cert, ticket_cert,
};
use fsdfs_proto::ids::{BlockId, DiskNonce, FactId, Instance, Key, NodeId, PoolId, PublicKey, Signature, VolumeId};
use fsdfs_proto::label::sign;
use fsdfs_proto::signed::{Envelope, Signable, Signed, message};
use fsdfs_proto::time::Hlc;
use proptest::test_runner::TestCaseError;

pub use vector::{RefusedText, StringVector};

use vector::same;

pub const ROOT: u8 = 1;
pub const FOUNDER: u8 = 2;
pub const TICKET: u8 = 3;
pub const NEWCOMER: u8 = 4;
const WRITER: u8 = 5;
const FIRST_ROOT: u8 = 6;
const SECOND_ROOT: u8 = 7;

pub struct MessageSample {
    pub name: &'static str,
    pub seed: u8,
    pub label: &'static str,
    pub value: serde_json::Value,
    pub fact: Fact,
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn public(seed: u8) -> PublicKey {
    PublicKey(key(seed).verifying_key().to_bytes())
}

pub fn node(seed: u8) -> NodeId {
    public(seed).into()
}

pub fn pool() -> PoolId {
    PoolId(public(ROOT).0)
}

pub fn parts(fact: &Fact) -> Envelope {
    match fact {
        Fact::Cert(signed) => signed.envelope(),
        Fact::Admission(signed) => signed.envelope(),
        Fact::Card(signed) => signed.envelope(),
        Fact::Heartbeat(signed) => signed.envelope(),
        Fact::Departure(signed) => signed.envelope(),
        Fact::AdminList(signed) => signed.envelope(),
        Fact::PoolRules(signed) => signed.envelope(),
        Fact::Revocation(signed) => signed.envelope(),
        Fact::Removal(signed) => signed.envelope(),
        Fact::FeatureLevel(signed) => signed.envelope(),
        Fact::VolEpoch(signed) => signed.envelope(),
        Fact::Head(signed) => signed.envelope(),
        Fact::Vouch(signed) => signed.envelope(),
        Fact::Founding(signed) => signed.envelope(),
        Fact::Succession(signed) => signed.envelope(),
        Fact::Absence(signed) => signed.envelope(),
    }
}

pub fn reencode(fact: &Fact, payload: &[u8]) -> Result<(), TestCaseError> {
    match fact.kind() {
        FactKind::Cert => same::<Cert>(payload),
        FactKind::Admission => same::<Admission>(payload),
        FactKind::Card => same::<Card>(payload),
        FactKind::Heartbeat => same::<Heartbeat>(payload),
        FactKind::Departure => same::<Departure>(payload),
        FactKind::AdminList => same::<AdminList>(payload),
        FactKind::PoolRules => same::<PoolRules>(payload),
        FactKind::Revocation => same::<Revocation>(payload),
        FactKind::Removal => same::<Removal>(payload),
        FactKind::FeatureLevel => same::<FeatureLevel>(payload),
        FactKind::VolEpoch => same::<VolEpoch>(payload),
        FactKind::Head => same::<Head>(payload),
        FactKind::Vouch => same::<Vouch>(payload),
        FactKind::Founding => same::<Founding>(payload),
        FactKind::Succession => same::<Succession>(payload),
        FactKind::Absence => same::<Absence>(payload),
    }
}

fn sample<T: Signable>(name: &'static str, seed: u8, value: T) -> MessageSample
where
    Fact: From<Signed<T>>,
{
    let json = serde_json::to_value(&value).unwrap();
    MessageSample { name, seed, label: T::LABEL, value: json, fact: Signed::sign(pool(), &key(seed), value).into() }
}

pub fn founder() -> Signed<Cert> {
    founder_cert(pool(), &key(ROOT), node(FOUNDER))
}

pub fn ticket_certificate() -> Signed<Cert> {
    let invitation = Invitation {
        subject: public(TICKET),
        role: Role::Full,
        redeem_by: 1_800_000_000_000,
        uses: 1,
        weight_gib_max: 16_384,
    };
    ticket_cert(pool(), &key(FOUNDER), &founder(), invitation).unwrap()
}

pub fn newcomer() -> Signed<Cert> {
    newcomer_cert(pool(), &key(TICKET), &ticket_certificate(), &key(NEWCOMER)).unwrap()
}

fn admission() -> Admission {
    let hlc = Hlc { ms: 1_700_000_000_000, count: 7 };
    Admission { version: 1, ticket: ticket_certificate().id(), member: newcomer().id(), witness: node(FOUNDER), hlc }
}

fn disk(nonce: u8, gib: u32) -> CardDisk {
    CardDisk { nonce: DiskNonce([nonce; 16]), gib }
}

fn card() -> Card {
    Card {
        version: 1,
        node: node(NEWCOMER),
        seq: 300,
        instance: Instance([6; 8]),
        name: "büro".into(),
        site: "Haus am Hang".into(),
        disks: vec![disk(1, 100), disk(2, 4000)],
        addrs: vec!["home.example.org:4001".into(), "[2001:db8::7]:4001".into()],
        uplink: Some(1250),
        flags: 1,
        features: 1,
    }
}

fn bare_card() -> Card {
    let (name, site) = ("a".into(), "b".into());
    Card { disks: vec![], addrs: vec![], uplink: None, flags: 0, name, site, ..card() }
}

fn first_admins() -> AdminList {
    AdminList { version: 1, number: 1, previous: None, signer: public(ROOT), admins: vec![node(FOUNDER)] }
}

fn next_admins() -> AdminList {
    let previous = Some(Signed::sign(pool(), &key(ROOT), first_admins()).id());
    AdminList { number: 2, previous, admins: vec![node(NEWCOMER), node(FOUNDER)], ..first_admins() }
}

fn rules() -> PoolRules {
    PoolRules {
        version: 1,
        number: 1,
        previous: None,
        signer: public(FOUNDER),
        copies: 3,
        away_grace_hours: 1,
        gone_days: 14,
        garbage_grace_hours: 72,
        retain_days: 7,
        weight_gib_max: 0,
        member_bytes_max: 1 << 40,
    }
}

fn revoke() -> Revocation {
    let keep = [newcomer().id(), ticket_certificate().id()];
    let keep = std::collections::BTreeSet::from(keep).into_iter().collect();
    Revocation { version: 1, signer: public(FOUNDER), subject: public(NEWCOMER), reason: "laptop stolen".into(), keep }
}

fn epoch() -> VolEpoch {
    VolEpoch {
        version: 1,
        volume: pool().volume(),
        epoch: 2,
        signer: public(FOUNDER),
        write_pk: public(WRITER),
        read_check: Key([8; 32]),
        frozen_heads: vec![BlockId([1; 32]), BlockId([2; 32])],
        prev_sealed: Some(Bytes::from_static(&[9; 48])),
        without: vec![NodeId([3; 32])],
        sponsor: None,
    }
}

/// Of a volume of its own: the volume's id is its owner's key.
fn sponsored() -> VolEpoch {
    let volume = VolumeId(public(WRITER).0);
    let signature = key(FOUNDER).sign(&message(sign::SPONSOR, pool(), &volume.0));
    let sponsor = Some(Sponsor { member: node(FOUNDER), signature: Signature(signature.to_bytes()) });
    VolEpoch { volume, epoch: 1, signer: public(WRITER), frozen_heads: vec![], prev_sealed: None, sponsor, ..epoch() }
}

fn gone(boot: u64) -> Departure {
    let last = Heartbeat { version: 1, node: node(NEWCOMER), boot, counter: 200 };
    let proof = Signed::sign(pool(), &key(NEWCOMER), last).envelope().signature;
    Departure { version: 1, member: node(NEWCOMER), last: (boot, 200), proof: Some(proof), issuer: node(FOUNDER) }
}

fn head() -> Head {
    // What a head says of its commit is 05-volume's; here it is bytes.
    Head::by(&key(FOUNDER), VolumeId(pool().0), 2, Bytes::from_static(b"a commit block"), Vec::new())
}

fn founding() -> Founding {
    Founding { version: 1, signer: public(ROOT), roots: vec![public(FIRST_ROOT), public(SECOND_ROOT)] }
}

fn succession() -> Succession {
    Succession { version: 1, number: 2, signer: public(SECOND_ROOT), keep: vec![founder().id()] }
}

fn absence() -> Absence {
    let night = DailySpan { from: 23 * 60, to: 7 * 60 };
    let noon = DailySpan { from: 12 * 60, to: 13 * 60 };
    Absence {
        version: 1,
        node: node(NEWCOMER),
        seq: 3,
        until: 1_700_000_000_000,
        daily: vec![noon, night],
        drained: Some(vec![DiskNonce([1; 16]), DiskNonce([2; 16])]),
    }
}

pub fn statements() -> Vec<MessageSample> {
    let reader = Cert {
        role: Role::StorageOnly,
        may_invite: false,
        depth: 0,
        grant_until: 1_900_000_000_000,
        ..newcomer().value().clone()
    };
    let reader = consented(reader, &key(NEWCOMER));
    let boot = 1_700_000_000_000;
    vec![
        sample("the founder's certificate", ROOT, founder().value().clone()),
        sample("a ticket's certificate", FOUNDER, ticket_certificate().value().clone()),
        sample("a newcomer's certificate", TICKET, newcomer().value().clone()),
        sample("a certificate with few rights, for a time", TICKET, reader),
        sample("an admission", FOUNDER, admission()),
        sample("a card", NEWCOMER, card()),
        sample("the shortest card", NEWCOMER, bare_card()),
        sample("a heartbeat", NEWCOMER, Heartbeat { version: 1, node: node(NEWCOMER), boot, counter: 200 }),
        sample("gone", FOUNDER, gone(boot)),
        sample("gone, and never heard of", FOUNDER, Departure { last: (0, 0), proof: None, ..gone(boot) }),
        sample("the first admins", ROOT, first_admins()),
        sample("the next admins", ROOT, next_admins()),
        sample("rules", FOUNDER, rules()),
        sample("a revocation that keeps what was signed", FOUNDER, revoke()),
        sample(
            "a revocation that keeps nothing",
            ROOT,
            Revocation { signer: public(ROOT), reason: String::new(), keep: vec![], ..revoke() },
        ),
        sample("a removal", NEWCOMER, Removal { version: 1, signer: public(NEWCOMER), node: node(NEWCOMER) }),
        sample("a feature level", FOUNDER, FeatureLevel { version: 1, signer: public(FOUNDER), level: 2 }),
        sample("an epoch", FOUNDER, epoch()),
        sample(
            "the first epoch",
            ROOT,
            VolEpoch {
                epoch: 1,
                signer: public(ROOT),
                frozen_heads: vec![],
                prev_sealed: None,
                without: vec![],
                ..epoch()
            },
        ),
        sample("an epoch of a volume that a member answers for", WRITER, sponsored()),
        sample("a head", WRITER, head()),
        sample(
            "a vouch",
            FOUNDER,
            Vouch { version: 1, signer: public(FOUNDER), node: node(NEWCOMER), weight_gib_max: 40_000 },
        ),
        sample("a founding", ROOT, founding()),
        sample("a succession", SECOND_ROOT, succession()),
        sample("an absence", NEWCOMER, absence()),
        sample(
            "back, and emptying all disks",
            NEWCOMER,
            Absence { until: 0, daily: vec![], drained: None, ..absence() },
        ),
    ]
}

/// A fact as it travels, from parts that need not fit together.
fn raw(kind: FactKind, payload: &[u8], signature: Signature, key: Option<PublicKey>) -> Vec<u8> {
    codec::encode(&(kind, Bytes::copy_from_slice(payload), signature, key))
}

/// Any payload, well signed.
fn signed(kind: FactKind, label: &str, of: PoolId, seed: u8, payload: &[u8]) -> Vec<u8> {
    let signature = Signature(key(seed).sign(&message(label, of, payload)).to_bytes());
    raw(kind, payload, signature, None)
}

/// A value that its own rules forbid, well signed.
fn spoilt<T: Signable>(kind: FactKind, seed: u8, value: &T) -> Vec<u8> {
    signed(kind, T::LABEL, pool(), seed, &codec::encode(value))
}

pub fn refused() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = misencoded();
    all.extend(missigned());
    all.extend(out_of_bounds());
    all
}

/// The same removal in other bytes.
fn misencoded() -> Vec<(&'static str, Vec<u8>)> {
    let value = Removal { version: 1, signer: public(FOUNDER), node: node(NEWCOMER) };
    let good = codec::encode(&value);
    let say = |payload: Vec<u8>| signed(FactKind::Removal, sign::REMOVE, pool(), FOUNDER, &payload);
    let ints = codec::encode(&(1u8, public(FOUNDER).0.to_vec(), node(NEWCOMER)));
    let text = [&good[..2], &[0xd9, 32], &[b'a'; 32], &good[36..]].concat();
    let envelope = codec::encode(&Fact::from(Signed::sign(pool(), &key(FOUNDER), value)).raw());
    vec![
        ("a byte follows the payload", say([&good[..], &[0xc0]].concat())),
        ("the payload is cut", say(good[..good.len() - 1].to_vec())),
        ("the version takes two bytes", say([&good[..1], &[0xcc], &good[1..]].concat())),
        ("the array has a longer header than it needs", say([&[0xdc, 0, 3], &good[1..]].concat())),
        ("a byte string has a longer header than it needs", say([&good[..2], &[0xc5, 0, 32], &good[4..]].concat())),
        ("a key as an array of numbers", say(ints)),
        ("a key as text", say(text)),
        ("a key of 31 bytes", say([&good[..2], &[0xc4, 31], &good[5..]].concat())),
        ("a map instead of an array", say([&[0x83], &good[1..]].concat())),
        ("a field too many", say([&[0x94], &good[1..], &[1]].concat())),
        ("a field too few", say([&[0x92], &good[1..36]].concat())),
        ("a length beyond the input", say([&good[..2], &[0xc6, 0xff, 0xff, 0xff, 0xff], &good[4..]].concat())),
        ("version 2", say([&good[..1], &[2], &good[2..]].concat())),
        ("version 2 with a new field", say([&[0x94, 2], &good[2..], &[7]].concat())),
        ("a byte follows the fact", [&envelope[..], &[0]].concat()),
        ("a fact of a kind that does not exist", [&envelope[..1], &[99], &envelope[2..]].concat()),
        ("a fact without its last field", [&[0x93], &envelope[1..envelope.len() - 1]].concat()),
    ]
}

/// A good payload under a signature that is not good for it.
fn missigned() -> Vec<(&'static str, Vec<u8>)> {
    let payload = codec::encode(founder().value());
    let good = founder().envelope().signature;
    let mut bit = good;
    bit.0[5] ^= 1;
    let cert = |of: PoolId, label: &str, seed: u8| signed(FactKind::Cert, label, of, seed, &payload);
    let silent = Cert { consent: None, ..newcomer().value().clone() };
    let later = Departure { last: (1_700_000_000_000, 201), ..gone(1_700_000_000_000) };
    let elsewhere = VolEpoch { volume: VolumeId([7; 32]), ..sponsored() };
    let agreeing = consented(ticket_certificate().value().clone(), &key(TICKET));
    let weak = Removal { version: 1, signer: WEAK, node: node(NEWCOMER) };
    let head = codec::encode(&head());
    let write = Signature(key(WRITER).sign(&message(sign::HEAD, pool(), &head)).to_bytes());
    vec![
        ("signed under another label", cert(pool(), sign::ADMISSION, ROOT)),
        ("signed for another pool", cert(PoolId(public(9).0), sign::CERT, ROOT)),
        ("signed by another key", cert(pool(), sign::CERT, FOUNDER)),
        ("a certificate without its subject's consent", spoilt(FactKind::Cert, TICKET, &silent)),
        ("another's consent", spoilt(FactKind::Cert, TICKET, &consented(silent.clone(), &key(FOUNDER)))),
        ("consent to other rights", spoilt(FactKind::Cert, TICKET, &Cert { depth: 1, ..newcomer().value().clone() })),
        ("a ticket's consent", spoilt(FactKind::Cert, FOUNDER, &agreeing)),
        ("a last heartbeat that was not the last", spoilt(FactKind::Departure, FOUNDER, &later)),
        ("a sponsor of another volume", spoilt(FactKind::VolEpoch, WRITER, &elsewhere)),
        ("a bit of the signature is wrong", raw(FactKind::Cert, &payload, bit, None)),
        ("the signature's number is not reduced", raw(FactKind::Cert, &payload, unreduced(good), None)),
        ("the signer is a weak key", raw(FactKind::Removal, &codec::encode(&weak), Signature(weak_signature()), None)),
        ("a head names another write key", raw(FactKind::Head, &head, write, Some(public(FOUNDER)))),
        ("a head names no key", raw(FactKind::Head, &head, write, None)),
        ("something else than a head names a key", raw(FactKind::Cert, &payload, good, Some(public(ROOT)))),
    ]
}

/// The neutral element: a signature of R = neutral, s = 0 fits every message for a verifier that is not strict.
const WEAK: PublicKey = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    PublicKey(bytes)
};

fn weak_signature() -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    bytes
}

/// s + L instead of s: the same signature for a verifier that is not strict.
fn unreduced(signature: Signature) -> Signature {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut bytes = signature.0;
    let mut carry = 0;
    for (byte, add) in bytes[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    Signature(bytes)
}

/// A sound statement under a kind that level 1 does not have.
fn of_kind(kind: u8) -> Vec<u8> {
    let mut bytes =
        spoilt(FactKind::Removal, FOUNDER, &Removal { version: 1, signer: public(FOUNDER), node: node(NEWCOMER) });
    bytes[1] = kind;
    bytes
}

fn out_of_bounds() -> Vec<(&'static str, Vec<u8>)> {
    let member = newcomer().value().clone();
    let ticket = ticket_certificate().value().clone();
    let cards = |card: Card| spoilt(FactKind::Card, NEWCOMER, &card);
    let rule = |rules: PoolRules| spoilt(FactKind::PoolRules, FOUNDER, &rules);
    let admin = |admins: AdminList| spoilt(FactKind::AdminList, ROOT, &admins);
    let epochs = |epoch: VolEpoch| spoilt(FactKind::VolEpoch, FOUNDER, &epoch);
    let revokes = |revoke: Revocation| spoilt(FactKind::Revocation, FOUNDER, &revoke);
    let foundings = |roots| spoilt(FactKind::Founding, ROOT, &Founding { roots, ..founding() });
    let successions = |succession: Succession| spoilt(FactKind::Succession, SECOND_ROOT, &succession);
    let ids = |count: u8| (0..count).map(|byte| BlockId([byte; 32])).collect::<Vec<_>>();
    vec![
        ("a member certificate with uses", spoilt(FactKind::Cert, TICKET, &Cert { uses: 1, ..member.clone() })),
        (
            "a member certificate with a time to redeem",
            spoilt(FactKind::Cert, TICKET, &Cert { redeem_by: 1, ..member }),
        ),
        ("a ticket without uses", spoilt(FactKind::Cert, FOUNDER, &Cert { uses: 0, ..ticket })),
        ("a card without name", cards(Card { name: String::new(), ..card() })),
        ("a name of 65 bytes", cards(Card { name: "n".repeat(65), ..card() })),
        ("a name that moves the cursor", cards(Card { name: "\u{1b}[2J".into(), ..card() })),
        ("a card without site", cards(Card { site: String::new(), ..card() })),
        ("65 disks", cards(Card { disks: (0..65).map(|id| disk(id, 1)).collect(), ..card() })),
        ("disks out of order", cards(Card { disks: vec![disk(2, 1), disk(1, 1)], ..card() })),
        ("a disk twice", cards(Card { disks: vec![disk(1, 1), disk(1, 2)], ..card() })),
        ("nine addresses", cards(Card { addrs: vec!["192.0.2.1:1".into(); 9], ..card() })),
        ("an empty address", cards(Card { addrs: vec![String::new()], ..card() })),
        ("admins number 0", admin(AdminList { number: 0, ..first_admins() })),
        ("the first admins with a predecessor", admin(AdminList { previous: Some(FactId([1; 32])), ..first_admins() })),
        ("later admins without a predecessor", admin(AdminList { number: 2, ..first_admins() })),
        ("an admin twice", admin(AdminList { admins: vec![node(FOUNDER); 2], ..first_admins() })),
        ("rules for no copy", rule(PoolRules { copies: 0, ..rules() })),
        ("rules for 33 copies", rule(PoolRules { copies: 33, ..rules() })),
        ("later rules without a predecessor", rule(PoolRules { number: 7, ..rules() })),
        (
            "ids to keep out of order",
            revokes(Revocation { keep: revoke().keep.into_iter().rev().collect(), ..revoke() }),
        ),
        ("an id to keep twice", revokes(Revocation { keep: vec![FactId([1; 32]); 2], ..revoke() })),
        ("a reason of 201 bytes", revokes(Revocation { reason: "r".repeat(201), ..revoke() })),
        ("epoch 0", epochs(VolEpoch { epoch: 0, ..epoch() })),
        ("frozen heads out of order", epochs(VolEpoch { frozen_heads: ids(3).into_iter().rev().collect(), ..epoch() })),
        ("a founding without root keys", foundings(vec![])),
        ("a founding of 17 root keys", foundings((20..37).map(public).collect())),
        ("a root key twice", foundings(vec![public(20), public(20)])),
        ("the pool's own key as a root key", foundings(vec![public(ROOT)])),
        ("a weak root key", foundings(vec![WEAK])),
        ("succession 1", successions(Succession { number: 1, ..succession() })),
        ("succession 17", successions(Succession { number: 17, ..succession() })),
        (
            "a succession that keeps an id twice",
            successions(Succession { keep: vec![FactId([1; 32]); 2], ..succession() }),
        ),
        ("a sealed key of 257 bytes", epochs(VolEpoch { prev_sealed: Some(vec![0; 257].into()), ..epoch() })),
        ("kind 14, an absence, which is of a later level", of_kind(14)),
        ("kind 15, the end of a volume, which is of a later level", of_kind(15)),
    ]
}

/// Too long to publish.
pub fn long_head() -> Vec<u8> {
    let long = Head { commit: Bytes::from(vec![0; fsdfs_proto::volume::COMMIT_BYTES_MAX + 1]), ..head() };
    let head = codec::encode(&long);
    let signature = Signature(key(WRITER).sign(&message(sign::HEAD, pool(), &head)).to_bytes());
    raw(FactKind::Head, &head, signature, Some(public(WRITER)))
}

pub fn ticket() -> Ticket {
    Ticket {
        pool: pool(),
        gate_secret: SecretKey::new([10; 32]),
        roots: RootFacts {
            founding: Some(Signed::sign(pool(), &key(ROOT), founding())),
            succession: Some(Signed::sign(pool(), &key(SECOND_ROOT), succession())),
        },
        chain: vec![founder(), ticket_certificate()],
        seed: SecretKey::new([TICKET; 32]),
        bootstrap: vec![(node(FOUNDER), vec!["home.example.org:4001".into(), "192.0.2.7:4001".into()])],
        pool_name: "Freunde".into(),
    }
}

pub fn capability(level: CapabilityLevel) -> Capability {
    Capability {
        pool: pool(),
        volume: pool().volume(),
        level,
        epoch: 2,
        secret: SecretKey::new([11; 32]),
        owner_seed: (level == CapabilityLevel::Manage).then(|| SecretKey::new([ROOT; 32])),
    }
}

pub fn strings() -> Vec<StringVector> {
    let ticket = ticket();
    let value = serde_json::json!({
        "pool": ticket.pool,
        "gate_secret": ticket.gate_secret,
        "certs": ticket.chain.iter().map(Signed::id).collect::<Vec<_>>(),
        "seed": ticket.seed,
        "bootstrap": ticket.bootstrap,
        "pool_name": ticket.pool_name,
    });
    let mut strings = vec![StringVector { name: "a ticket".into(), text: ticket.text().to_string(), value }];
    for (name, level) in
        [("reads", CapabilityLevel::Read), ("writes", CapabilityLevel::Write), ("manages", CapabilityLevel::Manage)]
    {
        let capability = capability(level);
        let value = serde_json::to_value(&capability).unwrap();
        strings.push(StringVector {
            name: format!("a capability that {name}"),
            text: capability.text().to_string(),
            value,
        });
    }
    strings
}

fn other(character: &str) -> &'static str {
    if character == "x" { "y" } else { "x" }
}

pub fn refused_strings() -> Vec<RefusedText> {
    let text = ticket().text().to_string();
    let capability = capability(CapabilityLevel::Write).text().to_string();
    let foreign = Ticket { pool: PoolId(public(9).0), ..ticket() }.text().to_string();
    let locked = Ticket { seed: SecretKey::new([9; 32]), ..ticket() }.text().to_string();
    let no_ticket =
        Ticket { chain: vec![founder()], seed: SecretKey::new([FOUNDER; 32]), ..ticket() }.text().to_string();
    let refused = |name: &str, text: String| RefusedText {
        name: name.into(),
        kind: "ticket".into(),
        error: text.parse::<Ticket>().expect_err(name).to_string(),
        text,
    };
    let mut list = vec![
        refused("something else", "hello".into()),
        refused("nothing", String::new()),
        refused("cut in half", text[..text.len() / 2].into()),
        refused("the last character is missing", text[..text.len() - 1].into()),
        refused("a character is wrong", [&text[..200], other(&text[200..=200]), &text[201..]].concat()),
        refused("characters follow", format!("{text}AAAA")),
        refused("of version 2", text.replace("ticket-1", "ticket-2")),
        refused("a capability", capability.clone()),
        refused("certificates of another pool", foreign),
        refused("a key that its certificate does not name", locked),
        refused("a member's certificate instead of a ticket's", no_ticket),
    ];
    let cut = capability[..capability.len() - 9].to_owned();
    let error = cut.parse::<Capability>().unwrap_err().to_string();
    list.push(RefusedText { name: "cut".into(), kind: "capability".into(), text: cut, error });
    list
}
