//! The control API: bodies of requests (a local user's program) and of answers (the daemon's, read by the command).

use fsdfs_proto::control::{
    Df, Edited, Edits, Error, Escaped, Invite, Invites, Join, Joined, Members, NewInvite, Page, Removed, Stat, Status,
    Written, parameters, query,
};
use serde_json::from_slice;

/// Every body, and the query string of a request.
pub fn control(data: &[u8]) {
    let _ = from_slice::<Edits>(data);
    let _ = from_slice::<NewInvite>(data);
    let _ = from_slice::<Join>(data);
    let _ = from_slice::<Error>(data);
    let _ = from_slice::<Status>(data);
    let _ = from_slice::<Df>(data);
    let _ = from_slice::<Members>(data);
    let _ = from_slice::<Invite>(data);
    let _ = from_slice::<Invites>(data);
    let _ = from_slice::<Joined>(data);
    let _ = from_slice::<Removed>(data);
    let _ = from_slice::<Edited>(data);
    let _ = from_slice::<Page>(data);
    let _ = from_slice::<Stat>(data);
    let _ = from_slice::<Written>(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let found: Vec<(String, Vec<u8>)> = parameters(text).collect();
        let written = query(found.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
        // Names are asked for by the program and are letters; only values are arbitrary bytes.
        if found.iter().all(|(name, _)| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic())) {
            assert_eq!(parameters(&written).collect::<Vec<_>>(), found, "a query survives its string");
        }
    }
    let escaped = Escaped(data.to_vec());
    assert_eq!(escaped.to_string().parse(), Ok(escaped), "a path survives its string");
}
