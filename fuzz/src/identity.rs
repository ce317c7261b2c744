//! Certificates and all other facts; tickets and capabilities as people paste them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fsdfs_proto::codec::decode;
use fsdfs_proto::identity::{
    Absence, AdminList, Admission, Capability, Card, Cert, Departure, FeatureLevel, Founding, Head, Heartbeat, PoolRules,
    RawFact, Removal, Revocation, Succession, Ticket, VolEpoch,
};
use fsdfs_proto::ids::{Digest, PoolId};
use fsdfs_proto::label;
use fsdfs_proto::signed::Envelope;
use fsdfs_proto::volume::CommitView;

/// A fact as it travels, and the payload of each kind of fact, whose signature a member can make.
pub fn facts(data: &[u8]) {
    if let Ok(fact) = decode::<RawFact>(data) {
        let _ = fact.open(PoolId([1; 32]));
    }
    let _ = decode::<Envelope>(data);
    let _ = decode::<Cert>(data);
    let _ = decode::<Admission>(data);
    let _ = decode::<Card>(data);
    let _ = decode::<Heartbeat>(data);
    let _ = decode::<Departure>(data);
    let _ = decode::<AdminList>(data);
    let _ = decode::<PoolRules>(data);
    let _ = decode::<Revocation>(data);
    let _ = decode::<Removal>(data);
    let _ = decode::<FeatureLevel>(data);
    let _ = decode::<VolEpoch>(data);
    let _ = decode::<Founding>(data);
    let _ = decode::<Succession>(data);
    let _ = decode::<Absence>(data);
    if let Ok(head) = decode::<Head>(data) {
        let _ = CommitView::of_head(&head);
    }
}

/// Pasted text, and the value inside it with its checksum.
pub fn strings(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        pasted(text);
    }
    for prefix in [label::TICKET, label::CAPABILITY] {
        pasted(&armour(prefix, data));
    }
}

fn pasted(text: &str) {
    if let Ok(ticket) = text.parse::<Ticket>() {
        assert_eq!(ticket.text().parse::<Ticket>().as_ref(), Ok(&ticket), "a ticket survives its string");
    }
    if let Ok(capability) = text.parse::<Capability>() {
        assert_eq!(capability.text().parse::<Capability>().as_ref(), Ok(&capability), "so does a capability");
    }
}

fn armour(prefix: &str, value: &[u8]) -> String {
    let Digest(sum) = Digest::of(label::digest::CHECKSUM, &[prefix.as_bytes(), value].concat());
    [prefix, &URL_SAFE_NO_PAD.encode([value, &sum[..4]].concat())].concat()
}
