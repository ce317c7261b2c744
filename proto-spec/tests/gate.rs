//! Gate frames against their published bytes, and what the gate refuses (spec 04-wire, "Gate").

use ed25519_dalek::SigningKey;
use fsdfs_proto::codec::{self, FormatError};
use fsdfs_proto::gate::{
    self, FRAME_BYTES_MAX, GateDirection, GateHello, GateProof, GateVerdict, GateWelcome, NONCE_BYTES,
    ProtocolMismatch, frame_len,
};
use fsdfs_proto::identity::{Admission, CHAIN_CERTS_MAX, Cert, CertKind, GateRefusal, Role};
use fsdfs_proto::ids::{Digest, Key, NodeId, PoolId, PublicKey, hex};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

const SECRET: Key = Key([7; 32]);
const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];
const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/gate.json");

/// `value` is the MessagePack inside the frame; `error` stands in its place when the frame must be refused.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct FrameVector {
    name: String,
    kind: String,
    secret: String,
    sender: String,
    receiver: String,
    nonce: Option<String>,
    frame: String,
    value: Option<String>,
    error: Option<String>,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    PublicKey(key(seed).verifying_key().to_bytes())
}

fn direction(secret: &Key) -> GateDirection<'_> {
    GateDirection { secret, sender: public(2).into(), receiver: public(3).into() }
}

fn proof() -> GateProof {
    let pool = PoolId(public(1).0);
    let cert = Cert {
        version: 1,
        kind: CertKind::Member,
        issuer: public(1),
        subject: public(2),
        role: Role::Full,
        may_invite: true,
        depth: 8,
        grant_until: 0,
        redeem_by: 0,
        uses: 0,
        weight_gib_max: 0,
        parent: None,
        consent: None,
    };
    let cert = Signed::sign(pool, &key(1), cert);
    GateProof { certs: vec![cert.envelope()], admissions: vec![], gossip: Digest([5; 32]) }
}

fn admission() -> Signed<Admission> {
    let id = |byte| fsdfs_proto::ids::FactId([byte; 32]);
    let hlc = Hlc { ms: 1_700_000_000_000, count: 0 };
    let admission = Admission { version: 1, ticket: id(1), member: id(2), witness: public(2).into(), hlc };
    Signed::sign(PoolId(public(1).0), &key(2), admission)
}

fn hellos() -> Vec<(&'static str, GateHello)> {
    vec![
        ("a hello that holds its proof back", GateHello { versions: vec![1], proof: None }),
        ("a hello to a known member", GateHello { versions: vec![1, 2], proof: Some(proof()) }),
    ]
}

fn verdicts() -> Vec<(&'static str, GateVerdict)> {
    let admitted = GateWelcome { admission: Some(admission().envelope()), proof: Some(proof()) };
    vec![
        ("accepted", GateVerdict::Accepted(GateWelcome::default())),
        ("accepted and admitted, proof shown now", GateVerdict::Accepted(admitted)),
        ("revoked", GateVerdict::Refused(GateRefusal::Revoked)),
        ("no common version", GateVerdict::Unsuited(ProtocolMismatch::NoCommonVersion)),
        ("not now", GateVerdict::Unsuited(ProtocolMismatch::Paused)),
    ]
}

fn good<T: gate::GateFrame>(name: &str, kind: &str, value: &T) -> FrameVector {
    let frame = direction(&SECRET).seal(NONCE, value).unwrap();
    vector(name, kind, &frame, Ok(codec::encode(value)))
}

fn bad(name: &str, kind: &str, frame: &[u8], error: &FormatError) -> FrameVector {
    vector(name, kind, frame, Err(error.to_string()))
}

fn vector(name: &str, kind: &str, frame: &[u8], value: Result<Vec<u8>, String>) -> FrameVector {
    let way = direction(&SECRET);
    FrameVector {
        name: name.into(),
        kind: kind.into(),
        secret: SECRET.to_string(),
        sender: way.sender.to_string(),
        receiver: way.receiver.to_string(),
        nonce: value.is_ok().then(|| hex(&NONCE)),
        frame: hex(frame),
        value: value.as_ref().ok().map(|value| hex(value)),
        error: value.err(),
    }
}

/// What an implementation that is not honest would send.
fn forged() -> Vec<FrameVector> {
    let shut = FormatError::DoesNotOpen { what: "a gate hello" };
    let hello = &hellos()[0].1;
    let other_secret = GateDirection { secret: &Key([8; 32]), ..direction(&SECRET) }.seal(NONCE, hello).unwrap();
    let way = direction(&SECRET);
    let echoed = GateDirection { sender: way.receiver, receiver: way.sender, ..way }.seal(NONCE, hello).unwrap();
    let mut flipped = way.seal(NONCE, hello).unwrap();
    flipped[100] ^= 1;
    let verdict = way.seal(NONCE, &verdicts()[0].1).unwrap();
    let too_long = [&(FRAME_BYTES_MAX as u16 + 1).to_be_bytes()[..], &[0; 40]].concat();
    let length = FormatError::OutOfBounds { what: "the length of a frame" };
    vec![
        bad("sealed under another secret", "hello", &other_secret, &shut),
        bad("the receiver's own frame sent back", "hello", &echoed, &shut),
        bad("one bit changed", "hello", &flipped, &shut),
        bad("a verdict played back as a hello", "hello", &verdict, &shut),
        bad("longer than a frame may be", "hello", &too_long, &length),
        bad("not padded to a multiple of 1024", "hello", &[&[0, 38][..], &[0; 38]].concat(), &length),
    ]
}

fn all() -> Vec<FrameVector> {
    let hellos = hellos().into_iter().map(|(name, value)| good(name, "hello", &value));
    let verdicts = verdicts().into_iter().map(|(name, value)| good(name, "verdict", &value));
    hellos.chain(verdicts).chain(forged()).collect()
}

fn open(vector: &FrameVector) -> Result<Vec<u8>, FormatError> {
    let frame: Vec<u8> = bytes(&vector.frame);
    let secret: Key = vector.secret.parse().unwrap();
    let way = GateDirection {
        secret: &secret,
        sender: vector.sender.parse::<NodeId>().unwrap(),
        receiver: vector.receiver.parse::<NodeId>().unwrap(),
    };
    let len = frame_len([frame[0], frame[1]])?;
    assert_eq!(frame.len(), 2 + len, "{}", vector.name);
    match vector.kind.as_str() {
        "hello" => way.open::<GateHello>(&frame[2..]).map(|hello| codec::encode(&hello)),
        _ => way.open::<GateVerdict>(&frame[2..]).map(|verdict| codec::encode(&verdict)),
    }
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

#[test]
fn frames_match_the_published_vectors() {
    let published: Vec<FrameVector> = serde_json::from_str(&std::fs::read_to_string(VECTORS).unwrap()).unwrap();
    assert_eq!(published, all());
    for vector in &published {
        let opened = open(vector).map(|value| hex(&value)).map_err(|error| error.to_string());
        let expected = vector.error.clone().map_or_else(|| Ok(vector.value.clone().unwrap()), Err);
        assert_eq!(opened, expected, "{}", vector.name);
    }
}

/// Run by hand when a frame is added. Published frames never change.
#[test]
#[ignore = "writes the vectors"]
fn write_vectors() {
    std::fs::write(VECTORS, serde_json::to_string_pretty(&all()).unwrap() + "\n").unwrap();
}

#[test]
fn the_kademlia_name_is_the_pools_own() {
    assert_eq!(gate::kademlia_protocol(&SECRET), "/fsdfs/2/dbcd1d9c5c0ed80ca54aa6f338dc3d80");
    assert_ne!(gate::kademlia_protocol(&SECRET), gate::kademlia_protocol(&Key([8; 32])));
}

#[test]
fn versions_are_ascending() {
    let versions = GateHello { versions: vec![2, 1], proof: None };
    assert!(direction(&SECRET).seal(NONCE, &versions).is_err());
    assert_eq!((gate::common_version(&[1, 9]), gate::common_version(&[9])), (Some(1), None));
}

#[test]
fn the_longest_proof_fits_into_a_frame() {
    let mut proof = proof();
    proof.certs = vec![proof.certs[0].clone(); CHAIN_CERTS_MAX];
    proof.admissions = vec![admission().envelope(); gate::ADMISSIONS_MAX];
    let welcome = GateWelcome { admission: Some(admission().envelope()), proof: Some(proof) };
    let verdict = GateVerdict::Accepted(welcome);
    let frame = direction(&SECRET).seal(NONCE, &verdict).unwrap();
    assert!(frame.len() <= 2 + FRAME_BYTES_MAX);
}

proptest! {
    #[test]
    fn any_bytes_give_an_error(frame in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let opened = direction(&SECRET).open::<GateHello>(&frame);
        prop_assert_eq!(opened, Err(FormatError::DoesNotOpen { what: "a gate hello" }));
    }

    #[test]
    fn any_plaintext_gives_a_value_or_an_error(value in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = codec::decode::<GateHello>(&value);
        let _ = codec::decode::<GateVerdict>(&value);
    }
}
