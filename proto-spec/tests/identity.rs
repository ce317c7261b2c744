//! Every statement, ticket and capability string against its published bytes, and what is refused (spec 01-identity).

use std::sync::LazyLock;

use fsdfs_proto::codec::{self, FormatError};
use fsdfs_proto::identity::{Capability, Fact, RawFact, SecretKey, TextError, Ticket, root_key};
use fsdfs_proto::ids::{BlockId, Digest, PoolId, PublicKey, hex};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::samples::{self, RefusedText, StringVector};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/identity.json");

/// A root key, made from a spare key.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct RootKeyVector {
    spare: String,
    number: u8,
    seed: String,
    key: String,
}

/// A file that another implementation can be held to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct VectorFile {
    pool: PoolId,
    block_ids: Vec<BlockIdVector>,
    digests: Vec<BlockIdVector>,
    root_keys: Vec<RootKeyVector>,
    statements: Vec<StatementVector>,
    refused: Vec<RefusedBytes>,
    strings: Vec<StringVector>,
    refused_strings: Vec<RefusedText>,
}

/// `out` is the id or digest of `bytes`; a digest is made under `tag`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct BlockIdVector {
    tag: Option<String>,
    bytes: String,
    out: String,
}

/// `value` is the payload for people; `raw` is the fact as it travels.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct StatementVector {
    name: String,
    signer_seed: String,
    signer: String,
    label: String,
    value: serde_json::Value,
    payload: String,
    signature: String,
    id: String,
    raw: String,
}

/// `error` is a class: malformed, trailing, not canonical, bounds, too new, signature.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct RefusedBytes {
    name: String,
    raw: String,
    error: String,
}

fn class(error: &FormatError) -> &'static str {
    match error {
        FormatError::Malformed(_) | FormatError::EndsEarly => "malformed",
        FormatError::Trailing(_) => "trailing",
        FormatError::NotCanonical => "not canonical",
        FormatError::OutOfBounds { .. } | FormatError::BadName => "bounds",
        FormatError::TooNew { .. } => "too new",
        FormatError::BadSignature { .. } => "signature",
        FormatError::DoesNotOpen { .. } => "does not open",
    }
}

fn all() -> VectorFile {
    VectorFile {
        pool: samples::pool(),
        block_ids: [&b""[..], b"fsdfs", &[0; 100]].map(block_id).into(),
        digests: [("fsdfs/2/gossip", &[][..]), ("fsdfs/2/gossip", &[7; 64]), ("fsdfs/2/map", &[1, 2, 3])]
            .map(digest)
            .into(),
        root_keys: [1, 2, 16].map(|number| root_key_of(&SecretKey::new([11; 32]), number)).into(),
        statements: samples::statements().into_iter().map(statement).collect(),
        refused: samples::refused().into_iter().map(refused).collect(),
        strings: samples::strings(),
        refused_strings: samples::refused_strings(),
    }
}

fn root_key_of(spare: &SecretKey, number: u8) -> RootKeyVector {
    let key = root_key(spare, number);
    RootKeyVector {
        spare: hex(spare.as_bytes()),
        number,
        seed: hex(key.as_bytes()),
        key: PublicKey(key.signing_key().verifying_key().to_bytes()).to_string(),
    }
}

fn block_id(bytes: &[u8]) -> BlockIdVector {
    BlockIdVector { tag: None, bytes: hex(bytes), out: BlockId::of(bytes).to_string() }
}

fn digest((tag, bytes): (&str, &[u8])) -> BlockIdVector {
    BlockIdVector { tag: Some(tag.into()), bytes: hex(bytes), out: Digest::of(tag, bytes).to_string() }
}

fn statement(sample: samples::MessageSample) -> StatementVector {
    let parts = samples::parts(&sample.fact);
    StatementVector {
        name: sample.name.into(),
        signer_seed: hex(&[sample.seed; 32]),
        signer: sample.fact.signer().to_string(),
        label: sample.label.into(),
        value: sample.value,
        payload: hex(&parts.payload),
        signature: hex(&parts.signature.0),
        id: sample.fact.id().to_string(),
        raw: hex(&codec::encode(&sample.fact.raw())),
    }
}

fn refused((name, raw): (&'static str, Vec<u8>)) -> RefusedBytes {
    let error = open(&raw).expect_err(name);
    RefusedBytes { name: name.into(), raw: hex(&raw), error: class(&error).into() }
}

fn open(raw: &[u8]) -> Result<Fact, FormatError> {
    codec::decode::<RawFact>(raw)?.open(samples::pool())
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn published() -> VectorFile {
    serde_json::from_str(&std::fs::read_to_string(VECTORS).unwrap()).unwrap()
}

#[test]
fn what_is_made_matches_the_published_vectors() {
    let (published, made) = (published(), all());
    assert_eq!(published.block_ids, made.block_ids);
    assert_eq!(published.digests, made.digests);
    assert_eq!(published.root_keys, made.root_keys);
    same_list(&published.statements, &made.statements);
    same_list(&published.refused, &made.refused);
    same_list(&published.strings, &made.strings);
    same_list(&published.refused_strings, &made.refused_strings);
}

/// One by one, so that a failure shows one vector and not the file.
#[track_caller]
fn same_list<T: PartialEq + std::fmt::Debug>(published: &[T], made: &[T]) {
    published.iter().zip(made).for_each(|(published, made)| assert_eq!(published, made));
    assert_eq!(published.len(), made.len());
}

#[test]
fn published_statements_open_and_travel_verbatim() {
    for vector in published().statements {
        let fact = open(&bytes(&vector.raw)).expect(&vector.name);
        assert_eq!(fact.id().to_string(), vector.id, "{}", vector.name);
        assert_eq!(hex(&codec::encode(&fact.raw())), vector.raw, "{}", vector.name);
    }
}

#[test]
fn published_strings_are_read_and_refused() {
    for vector in published().strings {
        let again = match vector.text.parse::<Ticket>() {
            Ok(ticket) => ticket.text(),
            Err(_) => vector.text.parse::<Capability>().expect(&vector.name).text(),
        };
        assert_eq!(*again, vector.text, "{}", vector.name);
    }
    for vector in published().refused_strings {
        let error: TextError = match vector.kind.as_str() {
            "ticket" => vector.text.parse::<Ticket>().expect_err(&vector.name),
            _ => vector.text.parse::<Capability>().expect_err(&vector.name),
        };
        assert_eq!(error.to_string(), vector.error, "{}", vector.name);
    }
}

#[test]
fn a_head_with_too_long_a_commit_is_refused() {
    assert_eq!(class(&open(&samples::long_head()).unwrap_err()), "bounds");
}

/// Run by hand when a statement is added. Published bytes never change.
#[test]
#[ignore = "writes the vectors"]
fn write_vectors() {
    std::fs::write(VECTORS, serde_json::to_string_pretty(&all()).unwrap() + "\n").unwrap();
}

static SAMPLES: LazyLock<Vec<samples::MessageSample>> = LazyLock::new(samples::statements);

proptest! {
    #[test]
    fn any_bytes_give_a_fact_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = open(&bytes);
    }

    #[test]
    fn a_changed_fact_never_opens_as_another(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let fact = &SAMPLES[pick.index(SAMPLES.len())].fact;
        let mut raw = codec::encode(&fact.raw());
        let at = at.index(raw.len());
        raw[at] = byte;
        if let Ok(opened) = open(&raw) {
            prop_assert_eq!(opened.id(), fact.id());
            prop_assert_eq!(&opened, fact);
        }
    }

    #[test]
    fn any_payload_gives_a_value_with_one_encoding_or_an_error(
        pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let sample = &SAMPLES[pick.index(SAMPLES.len())];
        let mut payload = samples::parts(&sample.fact).payload.to_vec();
        let at = at.index(payload.len());
        payload[at] = byte;
        samples::reencode(&sample.fact, &payload)?;
    }
}
