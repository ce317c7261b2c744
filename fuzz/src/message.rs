//! What a member says behind the gate.

use fsdfs_proto::codec::{decode, encode};
use fsdfs_proto::ids::PoolId;
use fsdfs_proto::message::{Message, fact_parts};

/// One message, and the facts in it.
pub fn message(data: &[u8]) {
    let Ok(message) = decode::<Message>(data) else { return };
    assert_eq!(encode(&message), data, "one value, one encoding");
    let facts = match &message {
        Message::Facts(facts) => &facts.facts,
        Message::HeadsReply(reply) => &reply.facts,
        _ => return,
    };
    let parts = fact_parts(facts);
    assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), facts.len());
    for fact in facts {
        let _ = fact.open(PoolId([1; 32]));
    }
}
