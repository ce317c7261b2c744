//! Ids of standing meetings against published ones, which another implementation made (spec 04-wire, "Standing knocks").

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use fsdfs_proto::ids::{Key, MeetingId, NodeId, unhex};
use fsdfs_proto::message::meeting::standing_meeting;
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    secret: String,
    pair: [NodeId; 2],
    hour: u64,
    meeting: MeetingId,
}

#[test]
fn both_sides_of_a_pair_know_the_meeting_of_an_hour() {
    let rows: Vec<Row> = serde_json::from_str(include_str!("../vectors/meeting.json")).unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert_eq!(
            standing_meeting(&Key(unhex(&row.secret).unwrap()), row.pair, row.hour),
            row.meeting,
            "{:?}",
            row.pair
        );
    }
}
