//! Who passes heartbeats on (spec 04-wire, "Repair and grants").

use fsdfs_proto::identity::Heartbeat;
use fsdfs_proto::ids::{NodeId, unhex};
use serde::Deserialize;

#[derive(Deserialize)]
struct RelayVector {
    relay: NodeId,
    maker: NodeId,
    member: NodeId,
    counter: u64,
    place: String,
}

#[test]
fn places_are_what_is_published() {
    let vectors: Vec<RelayVector> = serde_json::from_str(include_str!("../vectors/relay.json")).unwrap();
    for RelayVector { relay, maker, member, counter, place } in vectors {
        let beat = Heartbeat { version: 1, node: maker, boot: 1, counter };
        assert_eq!(beat.relay_place(relay, member), unhex(&place).unwrap());
    }
}
