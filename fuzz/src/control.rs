//! The control API: bodies of requests (a local user's program) and of answers (the daemon's, read by the command).

use fsdfs_proto::control::{
    ApiError, EditsReply, EditsRequest, EscapedText, InviteListing, InviteReply, JoinReply, JoinRequest, ListingPage,
    MemberListing, MemberRevokeReply, NewInvite, NodeStatus, RevokeReply, SpaceReport, StatReply, WriteReply, parameters, query,
};
use serde_json::from_slice;

/// Every body, and the query string of a request.
pub fn control(data: &[u8]) {
    let _ = from_slice::<EditsRequest>(data);
    let _ = from_slice::<NewInvite>(data);
    let _ = from_slice::<JoinRequest>(data);
    let _ = from_slice::<ApiError>(data);
    let _ = from_slice::<NodeStatus>(data);
    let _ = from_slice::<SpaceReport>(data);
    let _ = from_slice::<MemberListing>(data);
    let _ = from_slice::<InviteReply>(data);
    let _ = from_slice::<InviteListing>(data);
    let _ = from_slice::<JoinReply>(data);
    let _ = from_slice::<RevokeReply>(data);
    let _ = from_slice::<MemberRevokeReply>(data);
    let _ = from_slice::<EditsReply>(data);
    let _ = from_slice::<ListingPage>(data);
    let _ = from_slice::<StatReply>(data);
    let _ = from_slice::<WriteReply>(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let found: Vec<(String, Vec<u8>)> = parameters(text).collect();
        let written = query(found.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
        // Names are asked for by the program and are letters; only values are arbitrary bytes.
        if found.iter().all(|(name, _)| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic())) {
            assert_eq!(parameters(&written).collect::<Vec<_>>(), found, "a query survives its string");
        }
    }
    let escaped = EscapedText(data.to_vec());
    assert_eq!(escaped.to_string().parse(), Ok(escaped), "a path survives its string");
}
