//! How many bytes a message is on the wire, about. Encoding each one only to measure it would be half of the simulator's work.

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::RawFact;
use fsdfs_proto::message::Message;

/// Framing, AEAD tag and header of a packet.
const PACKET: usize = 60;
/// An id with its MessagePack header.
const ID: usize = 34;
/// A signed fact, as most are.
const FACT: usize = 400;

/// Bytes on the wire.
pub fn size_of(message: &Message, block: Option<&Block>) -> u64 {
    let facts = |facts: &[RawFact]| facts.len() * FACT;
    let body = match message {
        Message::Facts(some) => facts(&some.facts),
        Message::HeadsReply(reply) => facts(&reply.facts),
        Message::Summary(summary) => summary.ids.len() * ID,
        Message::Want(want) => want.ids.len() * ID,
        Message::Have(have) => have.ids.len() * ID + 2 * ID,
        Message::HaveReply(reply) => reply.answers.len(),
        Message::Heard(heard) => heard.members.len() * (ID + 5),
        Message::Heads(heads) => heads.known.len() * ID + ID,
        Message::Prove(prove) => prove.ids.len() * ID + ID,
        Message::ProveReply(reply) => reply.held.len() + ID,
        Message::Assure(assure) => assure.ids.len() * ID + ID,
        Message::AssureReply(reply) => reply.copies.len() * 7,
        Message::ListBlocksReply(reply) => reply.records.len() * (ID + 5),
        Message::Ping(_) | Message::Pong(_) => 10,
        Message::Store(_) => 6 * ID,
        Message::RelayedStore(store) => 7 * ID + store.holders.len() * (ID + 5),
        Message::CapabilityReply(_) => 300,
        _ => 2 * ID,
    };
    let block = block.map_or(0, |block| block.bytes().len());
    (PACKET + body + block) as u64
}

/// Name and number of a message's kind, for the trace.
pub fn kind(message: &Message) -> (&'static str, u8) {
    match message {
        Message::Ping(_) => ("ping", 1),
        Message::Pong(_) => ("pong", 2),
        Message::Digests(_) => ("digests", 3),
        Message::Summary(_) => ("summary", 4),
        Message::Facts(_) => ("facts", 5),
        Message::FactsAck(_) => ("facts-ack", 6),
        Message::Want(_) => ("want", 7),
        Message::Have(_) => ("have", 10),
        Message::HaveReply(_) => ("have-reply", 11),
        Message::Store(_) => ("store", 12),
        Message::StoreReply(_) => ("store-reply", 13),
        Message::Fetch(_) => ("fetch", 14),
        Message::FetchReply(_) => ("fetch-reply", 15),
        Message::RelayedStore(_) => ("relayed-store", 16),
        Message::NotRelayed(_) => ("not-relayed", 17),
        Message::RelayedStoreReply(_) => ("relayed-store-reply", 18),
        Message::Heads(_) => ("heads", 20),
        Message::HeadsReply(_) => ("heads-reply", 21),
        Message::Capability(_) => ("capability", 22),
        Message::CapabilityReply(_) => ("capability-reply", 23),
        Message::Unpublished(_) => ("unpublished", 24),
        Message::Entitled(_) => ("entitled", 25),
        Message::EntitledReply(_) => ("entitled-reply", 26),
        Message::Prove(_) => ("prove", 32),
        Message::ProveReply(_) => ("prove-reply", 33),
        Message::Audit(_) => ("audit", 34),
        Message::AuditReply(_) => ("audit-reply", 35),
        Message::ListBlocks(_) => ("records", 40),
        Message::ListBlocksReply(_) => ("records-reply", 41),
        Message::Heard(_) => ("heard", 46),
        Message::Assure(_) => ("assure", 60),
        Message::AssureReply(_) => ("assure-reply", 61),
        Message::Prints(_) => ("prints", 0),
        Message::PrintsReply(_) => ("prints-reply", 0),
        Message::Holdings(_) => ("holdings", 0),
        Message::HoldingsReply(_) => ("holdings-reply", 0),
        Message::Offer(_) => ("offer", 0),
        Message::OfferReply(_) => ("offer-reply", 0),
        Message::Pull(_) => ("pull", 0),
        Message::PullReply(_) => ("pull-reply", 0),
        // Nobody says these yet.
        _ => ("later", 0),
    }
}
