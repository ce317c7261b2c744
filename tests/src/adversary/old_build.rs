//! What a program of the alpha says: formats that were replaced in place. A friend who did not update says such things in good
//! faith, with valid signatures.

use fsdfs_proto::codec;
use fsdfs_proto::identity::RawFact;
use fsdfs_proto::ids::{DiskId, Instance, NodeId, PublicKey, Signature};
use fsdfs_proto::label::sign;
use fsdfs_proto::signed;
use serde::Serialize;

use super::forge::ForgingMember;

/// Messages of the alpha that are none now, or mean something else: a block without a receipt, keys asked for without an epoch,
/// comparisons by ranges and the answer to one, an audit's answer without an outcome. Each begins with its length.
pub fn messages() -> Vec<Vec<u8>> {
    [
        concat!(
            "920c9703c420d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1920103ce05265c00c42022222222",
            "22222222222222222222222222222222222222222222222222222222c392c420b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1",
            "b1b1b1b1b1b1b1b1b1b1b1b1ce0010007c"
        ),
        "92169206c4201111111111111111111111111111111111111111111111111111111111111111",
        concat!(
            "921e9307c420d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d19194c420b1b1b1b1b1b1b1b1b1b1",
            "b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1c420b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2",
            "b2b2b2b2ce00011170c420d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"
        ),
        concat!(
            "921f9407c420d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d19194c420b1b1b1b1b1b1b1b1b1b1",
            "b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1c420b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2",
            "b2b2b2b2ce00011170c420d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d191c420b1b1b1b1b1b1",
            "b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1"
        ),
        "92239209c420d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1",
        // A tag that no program knows, a known one with fields of another time, a value that is no message.
        "927ec0",
        "92059190",
        "c3",
    ]
    .into_iter()
    .map(framed)
    .collect()
}

fn framed(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("two digits");
    let bytes: Vec<u8> = (0..hex.len() / 2).map(digit).collect();
    let len = u32::try_from(bytes.len()).expect("short");
    [&len.to_be_bytes()[..], &bytes].concat()
}

/// Statements of the alpha, validly signed: a card whose disks have ids and generations, "gone" without a proof of the last
/// heartbeat, a certificate below nothing, a removal of itself with one field too many.
pub fn facts(member: &ForgingMember, others: &[NodeId], disks: &[DiskId]) -> Vec<RawFact> {
    let (node, signer) = (member.node(), PublicKey::from(member.node()));
    let disks: Vec<(DiskId, u32, u64)> = disks.iter().map(|id| (*id, 1_000_000, u64::MAX)).collect();
    let card =
        (1u8, node, 1u64, Instance([9; 8]), "old build", "old house", disks, ["192.0.2.1:7"], None::<u32>, 0u32, 4u32);
    let mut facts = vec![signed_by(member, (3, sign::CARD), &card)];
    for other in others {
        let gone = (1u8, *other, (u64::MAX, u64::MAX), node);
        facts.push(signed_by(member, (5, sign::GONE), &gone));
        let subject = PublicKey::from(*other);
        facts.push(signed_by(member, (1, sign::CERT), &(1u8, 1u8, signer, subject, 1u8, true, 9u8, 0u64, 0u64, 0u32)));
    }
    facts.push(signed_by(member, (9, sign::REMOVE), &(1u8, signer, node, 7u8)));
    facts
}

/// Fields that this program would not write, with a signature that is valid all the same.
fn signed_by(member: &ForgingMember, (kind, label): (u8, &str), fields: &impl Serialize) -> RawFact {
    let payload = codec::encode(fields);
    let signature = ed25519_dalek::Signer::sign(&member.key, &signed::message(label, member.pool, &payload));
    let raw = (kind, bytes::Bytes::from(payload), Signature(signature.to_bytes()), None::<PublicKey>);
    codec::decode(&codec::encode(&raw)).expect("the form of a fact as it travels has not changed")
}
