//! Every message against its published bytes, and what a receiver refuses (spec 04-wire, "Messages").

use ed25519_dalek::SigningKey;
use fsdfs_proto::block::BLOCK_BYTES_MAX;
use fsdfs_proto::codec;
use fsdfs_proto::identity::{Fact, Head, Heartbeat, RawFact};
use fsdfs_proto::ids::{BlockId, Digest, FactId, Key, NodeId, PoolId, VolumeId, Writer, hex};
use fsdfs_proto::message::{
    self, AttachedBlock, AuditReply, AuditRequest, CapabilityReply, CapabilityRequest, EntitledReply, EntitledRequest,
    FactBatch, FactDigests, FactSummary, FactsAck, FetchOutcome, FetchReply, FetchRequest, HaveReply, HaveRequest,
    HeadsReply, HeadsRequest, HeldBlock, IDS_MAX, ListBlocksReply, ListBlocksRequest, Message, Possession, ProveReply,
    ProveRequest, Redundancy, StoreOutcome, StoreReply, StoreRequest, StripeShard, UnpublishedOperation,
    UnpublishedOperations, WantFacts,
};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::later;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/message.json");

/// `message` is the value for people, as JSON; there is none when the bytes must be refused.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct MessageVector {
    name: String,
    bytes: String,
    message: Option<serde_json::Value>,
}

fn fact() -> RawFact {
    let key = SigningKey::from_bytes(&[2; 32]);
    let node = NodeId(key.verifying_key().to_bytes());
    let beat = Heartbeat { version: 1, node, boot: 1_700_000_000_000, counter: 3 };
    Fact::from(Signed::sign(PoolId([1; 32]), &key, beat)).raw()
}

const BLOCK: BlockId = BlockId([0xb1; 32]);
const OTHER: BlockId = BlockId([0xb2; 32]);
const MAP: Digest = Digest([0xd1; 32]);
const FACT: FactId = FactId([0xf1; 32]);
const VOLUME: VolumeId = VolumeId([0x11; 32]);

fn samples() -> Vec<(&'static str, Message)> {
    let attached = AttachedBlock { id: BLOCK, len: 1_048_700 };
    let mut samples = vec![
        ("ping", Message::Ping(7)),
        ("pong", Message::Pong(300)),
        ("digests", Message::Digests(FactDigests { gossip: Digest([0xd2; 32]), map: MAP, clock: hlc() })),
        ("summary", Message::Summary(FactSummary { last: true, from: FACT, to: FactId([0xff; 32]), ids: vec![FACT] })),
        ("facts", Message::Facts(FactBatch { request: 1, facts: vec![fact()] })),
        ("facts ack", Message::FactsAck(FactsAck { request: 1, durable: true })),
        ("want", Message::Want(WantFacts { ids: vec![FACT] })),
        ("have", Message::Have(have(Redundancy::Replicas(3), vec![BLOCK, OTHER]))),
        ("have, for a shard", Message::Have(have(shard(1, 4, 2), vec![]))),
        ("have reply", Message::HaveReply(HaveReply { request: 2, answers: answers() })),
        ("store", Message::Store(store(attached))),
        ("store reply", Message::StoreReply(StoreReply { request: 3, outcome: StoreOutcome::Full })),
        ("store reply, refused", Message::StoreReply(StoreReply { request: 3, outcome: StoreOutcome::Refused })),
        ("fetch", Message::Fetch(FetchRequest { request: 4, id: BLOCK })),
        ("fetch reply, found", Message::FetchReply(found(Some(attached)))),
        ("fetch reply, damaged", Message::FetchReply(FetchReply { outcome: FetchOutcome::Damaged, ..found(None) })),
        ("heads", Message::Heads(HeadsRequest { request: 5, volume: VOLUME, known: vec![FACT] })),
        ("heads reply", Message::HeadsReply(HeadsReply { request: 5, finished: false, facts: vec![] })),
        ("capability", Message::Capability(CapabilityRequest { request: 6, volume: VOLUME, epoch: None })),
        (
            "capability of an epoch",
            Message::Capability(CapabilityRequest { request: 6, volume: VOLUME, epoch: Some(FACT) }),
        ),
        ("entitled", Message::Entitled(EntitledRequest { request: 7, node: NodeId([4; 32]) })),
        ("entitled, no", Message::EntitledReply(EntitledReply { request: 7, entitled: false })),
        ("capability reply, none", Message::CapabilityReply(CapabilityReply { request: 6, capability: None })),
        ("capability reply", Message::CapabilityReply(capability("fsdfs-cap-1:example"))),
        ("prove", Message::Prove(ProveRequest { request: 8, map: MAP, copies: 3, ids: vec![BLOCK] })),
        ("prove reply", Message::ProveReply(ProveReply { request: 8, map: MAP, copies: 3, held: vec![true, false] })),
        ("audit", Message::Audit(AuditRequest { request: 9, nonce: Key([0x99; 32]), id: BLOCK })),
        ("audit reply", audited(FetchOutcome::Found, Some(MAP))),
        ("audit reply, not here", audited(FetchOutcome::No, None)),
        ("records, from the first", Message::ListBlocks(ListBlocksRequest { request: 10, after: None })),
        ("records", Message::ListBlocks(ListBlocksRequest { request: 10, after: Some(BLOCK) })),
        ("records reply", Message::ListBlocksReply(held(&[(BLOCK, 70_000), (OTHER, 1)]))),
        ("unpublished", unpublished(&[(1, 70_000), (2, 1)])),
        ("unpublished, nothing any more", unpublished(&[])),
    ];
    samples.extend(later::repair(attached));
    samples.extend(later::meeting(attached));
    samples
}

fn hlc() -> Hlc {
    Hlc { ms: 1_700_000_000_000, count: 2 }
}

fn have(redundancy: Redundancy, ids: Vec<BlockId>) -> HaveRequest {
    HaveRequest { request: 2, renew: true, map: MAP, redundancy, ids }
}

fn shard(index: u8, k: u8, m: u8) -> Redundancy {
    Redundancy::Stripe(StripeShard { stripe: OTHER, index, k, m })
}

fn answers() -> Vec<Possession> {
    vec![Possession::Yes, Possession::No, Possession::NotYet]
}

fn store(block: AttachedBlock) -> StoreRequest {
    let redundancy = Redundancy::Replicas(3);
    let receipt = BlockReceipt::sign(PoolId([1; 32]), &SigningKey::from_bytes(&[2; 32]), block.id);
    let (age_ms, lease_ms) = (86_400_000, 3_600_000);
    StoreRequest { request: 3, map: MAP, redundancy, age_ms, lease_ms, receipt, more: true, block }
}

fn audited(outcome: FetchOutcome, proof: Option<Digest>) -> Message {
    Message::AuditReply(AuditReply { request: 9, outcome, proof })
}

fn found(block: Option<AttachedBlock>) -> FetchReply {
    FetchReply { request: 4, outcome: FetchOutcome::Found, block }
}

fn capability(text: &str) -> CapabilityReply {
    CapabilityReply { request: 6, capability: Some(text.into()) }
}

fn held(records: &[(BlockId, u32)]) -> ListBlocksReply {
    let records = records.iter().map(|(id, len)| HeldBlock { id: *id, len: *len }).collect();
    ListBlocksReply { request: 10, records }
}

/// Each `(writer, seq)`.
fn unpublished(operations: &[(u8, u64)]) -> Message {
    let operation =
        |(writer, seq): &(u8, u64)| UnpublishedOperation { volume: VOLUME, writer: Writer([*writer; 16]), seq: *seq };
    Message::Unpublished(UnpublishedOperations { operations: operations.iter().map(operation).collect() })
}

/// Bytes that no honest implementation sends.
fn forged() -> Vec<(&'static str, Vec<u8>)> {
    let encode = |message: &Message| codec::encode(message);
    let block = |len| AttachedBlock { id: BLOCK, len };
    vec![
        ("empty", vec![]),
        ("an unknown kind", vec![0x92, 0xcc, 200, 0xc0]),
        ("a ping in a longer form than needed", vec![0x92, 0x01, 0xcc, 7]),
        ("bytes after the message", vec![0x92, 0x01, 7, 0]),
        ("a message of three items", vec![0x93, 0x01, 7, 7]),
        ("a map", vec![0x81, 0x01, 7]),
        ("an id of 31 bytes", [&[0x92, 14, 0x92, 4, 0xc4, 31][..], &[0; 31]].concat()),
        ("an id written as an array", [&[0x92, 14, 0x92, 4, 0xdc, 0, 32][..], &[0; 32]].concat()),
        ("an array longer than the message", vec![0x92, 7, 0x91, 0xdd, 0xff, 0xff, 0xff, 0xff]),
        ("a block of no bytes", encode(&Message::Store(store(block(0))))),
        ("a block too long", encode(&Message::Store(store(block(BLOCK_BYTES_MAX as u32 + 1))))),
        ("found, but no block", encode(&Message::FetchReply(found(None)))),
        ("not found, but a block", {
            encode(&Message::FetchReply(FetchReply { outcome: FetchOutcome::No, ..found(Some(block(1))) }))
        }),
        ("a capability string too long", encode(&Message::CapabilityReply(capability(&"x".repeat(1025))))),
        ("records in another order", encode(&Message::ListBlocksReply(held(&[(OTHER, 1), (BLOCK, 1)])))),
        ("unpublished operations of one writer twice", encode(&unpublished(&[(1, 2), (1, 3)]))),
        ("a claim of no copies", encode(&Message::Have(have(Redundancy::Replicas(0), vec![])))),
        (
            "a claim of more copies than holders are named",
            encode(&Message::Have(have(Redundancy::Replicas(33), vec![]))),
        ),
        ("a shard behind the last of its stripe", encode(&Message::Have(have(shard(6, 4, 2), vec![])))),
        ("a stripe of more shards than holders are named", encode(&Message::Have(have(shard(0, 30, 3), vec![])))),
        ("not here, but a proof", encode(&audited(FetchOutcome::No, Some(MAP)))),
        ("a record of no bytes", encode(&Message::ListBlocksReply(held(&[(BLOCK, 0)])))),
    ]
}

fn all() -> Vec<MessageVector> {
    let good = samples().into_iter().map(|(name, message)| MessageVector {
        name: name.into(),
        bytes: hex(&codec::encode(&message)),
        message: Some(serde_json::to_value(&message).unwrap()),
    });
    let bad = forged().into_iter().map(|(name, bytes)| MessageVector {
        name: name.into(),
        bytes: hex(&bytes),
        message: None,
    });
    good.chain(bad).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

#[test]
fn messages_match_the_published_vectors() {
    let published: Vec<MessageVector> = serde_json::from_str(&std::fs::read_to_string(VECTORS).unwrap()).unwrap();
    let ours = all();
    assert_eq!(published.len(), ours.len());
    for (published, ours) in published.iter().zip(&ours) {
        assert_eq!(published, ours);
        let read = codec::decode::<Message>(&bytes(&published.bytes)).ok();
        let read = read.map(|message| serde_json::to_value(message).unwrap());
        assert_eq!(read, published.message, "{}", published.name);
    }
}

/// Run by hand when a message is added. Published bytes never change.
#[test]
#[ignore = "writes the vectors"]
fn write_vectors() {
    std::fs::write(VECTORS, serde_json::to_string_pretty(&all()).unwrap() + "\n").unwrap();
}

#[test]
fn questions_are_bounded() {
    let ask = |count| Message::Have(have(Redundancy::Replicas(3), vec![BLOCK; count]));
    assert!(codec::decode::<Message>(&codec::encode(&ask(IDS_MAX))).is_ok());
    assert!(codec::decode::<Message>(&codec::encode(&ask(IDS_MAX + 1))).is_err());
}

#[test]
fn any_number_of_facts_fits_into_messages() {
    let facts: Vec<RawFact> = (0..70).map(|byte| large_fact(byte, 60_000)).chain((0..600).map(|_| fact())).collect();
    let parts = message::fact_parts(&facts);
    assert_eq!(parts.concat(), facts, "in order and complete");
    for facts in parts {
        let message = codec::encode(&Message::Facts(FactBatch { request: 0, facts }));
        assert!(message.len() <= message::MESSAGE_BYTES_MAX);
        assert!(codec::decode::<Message>(&message).is_ok());
    }
    assert!(message::fact_parts(&[]).is_empty());
}

/// A head with a commit of that many bytes.
fn large_fact(byte: u8, bytes: usize) -> RawFact {
    let commit = vec![byte; bytes].into();
    let head = Head::by(&SigningKey::from_bytes(&[4; 32]), VOLUME, 1, commit, Vec::new());
    Fact::from(Signed::sign(PoolId([1; 32]), &SigningKey::from_bytes(&[3; 32]), head)).raw()
}

proptest! {
    #[test]
    fn any_bytes_give_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        if let Ok(message) = codec::decode::<Message>(&bytes) {
            prop_assert_eq!(codec::encode(&message), bytes);
        }
    }

    #[test]
    fn a_changed_message_has_one_encoding(at in any::<prop::sample::Index>(), pick in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let samples = samples();
        let mut bytes = codec::encode(&samples[pick.index(samples.len())].1);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(message) = codec::decode::<Message>(&bytes) {
            prop_assert_eq!(codec::encode(&message), bytes);
        }
    }
}
