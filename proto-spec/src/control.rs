//! The control API: what users' programs ask of their own node (spec 07-control). JSON over HTTP on a Unix socket.
//!
//! Requests refuse fields they do not know, so that a misspelt one is noticed; readers of answers ignore them, so that
//! answers can grow. Times ending in `_ms` are wall milliseconds since 1970; `mtime_ns` is a 64-bit integer of nanoseconds.

mod escape;
mod people;
mod plan;
mod tree;

pub use escape::{EscapedText, parameters, query, raw_bytes, text_and_bytes};
pub use people::*;
pub use plan::*;
pub use tree::*;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where each resource lies.
pub mod route {
    /// `GET`: [`super::NodeStatus`].
    pub const STATUS: &str = "/v1/status";
    /// `GET`: [`super::Members`].
    pub const MEMBERS: &str = "/v1/members";
    /// `DELETE`, member by name or id, `?reason=`: revokes it. [`super::Removed`].
    pub const MEMBER: &str = "/v1/members/{member}";
    /// `POST` [`super::NewInvite`]: [`super::Invite`]. `GET`: [`super::Invites`].
    pub const INVITES: &str = "/v1/invites";
    /// `DELETE`, invitation by id or an unambiguous beginning of it: revokes it. [`super::Removed`].
    pub const INVITE: &str = "/v1/invites/{invite}";
    /// `GET`: [`super::SpaceReport`].
    pub const DF: &str = "/v1/df";
    /// `GET`: [`super::Plan`].
    pub const PLAN: &str = "/v1/plan";
    /// `GET` with one of `?add=NAME&bytes=&site=`, `?remove=MEMBER`, `?drain=MEMBER`, `?copies=N`: [`super::WhatIf`].
    pub const PLAN_CHANGE: &str = "/v1/plan/change";
    /// `PUT ?path=&mode=&mtime_ns=&volume=` (mode in octal) with the content as body: [`super::Written`].
    /// `GET ?path=&volume=`, with or without `Range`: the content; attributes in [`super::header`].
    pub const FILES: &str = "/v1/files";
    /// `GET ?path=&after=&max=&volume=`: [`super::Page`], a page of a folder.
    /// `DELETE ?path=&recursive=&volume=`: [`super::Written`].
    pub const ENTRIES: &str = "/v1/entries";
    /// `GET ?path=&blocks=&volume=`: [`super::Stat`].
    pub const ENTRY: &str = "/v1/entry";
    /// `POST` [`super::Edits`]: [`super::Edited`], many small changes in one commit.
    pub const EDITS: &str = "/v1/edits";
    /// `POST` [`super::JoinRequest`]: the daemon leaves its empty pool and starts again in the ticket's. [`super::JoinReply`].
    pub const JOIN: &str = "/v1/join";
    /// `POST`: the daemon ends gracefully. Answered before it does.
    pub const SHUTDOWN: &str = "/v1/shutdown";
    /// `GET`: this API as an OpenAPI document.
    pub const OPENAPI: &str = "/v1/openapi.json";
}

/// Headers of a file's content.
pub mod header {
    /// Permission bits in octal.
    pub const MODE: &str = "fsdfs-mode";
    /// Modification time in nanoseconds since 1970.
    pub const MTIME_NS: &str = "fsdfs-mtime-ns";
    /// Size of the whole file, also when a range is sent.
    pub const SIZE: &str = "fsdfs-size";
    /// `true` if newer changes may exist that could not be heard of.
    pub const MAYBE_STALE: &str = "fsdfs-maybe-stale";
}

/// Entries of one page at most, and when `max` is not given.
pub const PAGE_MAX: usize = 10_000;
/// Edits of one request at most.
pub const EDITS_MAX: usize = 10_000;
/// Bytes of a JSON request at most: the most edits with long paths.
pub const REQUEST_BYTES_MAX: usize = 32 << 20;
/// Bytes of a path at most: 100 levels of the longest names and some.
pub const PATH_BYTES_MAX: usize = 64 << 10;

/// The name of the shared volume.
pub const POOL_VOLUME: &str = "pool";

/// Why a request failed. Nothing was changed unless it says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{error}")]
pub struct ApiError {
    /// What is wrong.
    pub error: String,
    /// What to do next.
    pub hint: String,
    /// For programs.
    pub code: ErrorCode,
}

/// What kind of failure, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request itself is wrong.
    BadRequest,
    /// A name that cannot be stored.
    BadName,
    /// No such file, folder, member, invitation or volume.
    NotFound,
    /// It exists already.
    Exists,
    /// A file is in the way.
    NotAFolder,
    /// A folder is in the way.
    IsAFolder,
    /// The folder has content.
    NotEmpty,
    /// The range lies outside the file.
    BadRange,
    /// Not allowed for this user or this node's certificate.
    Forbidden,
    /// No room on any server that can be reached.
    NoSpace,
    /// Too few servers confirmed in time, or a block is on no server that is up.
    Unavailable,
    /// Not yet: the node has just started or has no key yet.
    NotYet,
    /// Too much under way.
    Busy,
    /// A clock is wrong.
    Clock,
    /// Another node runs with this identity.
    Twin,
    /// This node's disk or home folder fails.
    Disk,
    /// Stored data is not valid.
    Damaged,
    /// Written by a newer version.
    TooNew,
    /// The pool of this node is not empty.
    PoolInUse,
    /// The node is stopping.
    Stopping,
}

/// State of this node and its pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeStatus {
    /// Version of the program.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Seconds since its start.
    pub uptime_s: u64,
    /// Its home folder.
    pub home: String,
    /// This node's key in hexadecimal.
    pub node: String,
    /// This node's name.
    pub name: String,
    /// This node's site.
    pub site: String,
    /// The pool's id in hexadecimal.
    pub pool: String,
    /// The pool's name, local to whoever uses it.
    pub pool_name: String,
    /// The UDP port.
    pub port: u16,
    /// Where other members may reach this node.
    pub addresses: Vec<NodeAddress>,
    /// N: copies of new files.
    pub copies: u8,
    /// Facts were exchanged since the start, or there is nobody to exchange with.
    pub ready: bool,
    /// This node holds the key of the shared volume.
    pub has_key: bool,
    /// Members connected, without this node.
    pub connected: usize,
    /// Members of the pool, without this node.
    pub members: usize,
    /// This node's disks.
    pub disks: Vec<DiskStatus>,
    /// Copies still to be made.
    pub topup: RepairStatus,
    /// Copies less those wanted over the blocks on this node, as far as it has heard of them since its start.
    #[serde(default)]
    pub margin: Option<ReplicationMargin>,
    /// What it did since its start.
    #[serde(default)]
    pub counters: NodeCounters,
    /// Minutes this clock is off the others' median.
    pub clock_off_min: i64,
    /// What needs the owner's attention, most important first; empty = nothing for them to do.
    pub attention: Vec<String>,
}

/// Progress of completing copies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepairStatus {
    /// Blocks known to be short of copies.
    pub pending: u64,
    /// Blocks sent since the start.
    pub sent: u64,
    /// Records are being compared, or about to be: not all that is pending is known.
    pub running: bool,
}

/// What a node did since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeCounters {
    /// Times the store made something durable (fdatasync, fsync).
    pub syncs: u64,
    /// Records appended to segments.
    pub records_appended: u64,
    /// Bytes appended to segments.
    pub bytes_appended: u64,
    /// Blocks read from its disks.
    pub blocks_read: u64,
    /// Bytes of messages that came from other members.
    pub message_bytes_in: u64,
    /// Bytes of messages that went to other members.
    pub message_bytes_out: u64,
    /// Bytes of blocks that came from other members.
    pub block_bytes_in: u64,
    /// Bytes of blocks that went to other members.
    pub block_bytes_out: u64,
}

/// A disk of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskStatus {
    /// From its superblock, in hexadecimal.
    pub id: String,
    /// Its folder.
    pub path: Option<String>,
    /// Its quota.
    pub quota_bytes: u64,
    /// Everything in its folder.
    pub used_bytes: u64,
    /// Of it, current copies of blocks.
    pub live_bytes: u64,
    /// Of it, the index.
    pub index_bytes: u64,
    /// Kept free for the store's own needs.
    pub reserve_bytes: u64,
    /// Blocks on it.
    pub blocks: u64,
    /// Takes no new blocks: full or failing.
    pub read_only: bool,
}

/// An address and from where it works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeAddress {
    /// `HOST:PORT`, UDP.
    pub address: String,
    /// From where it works.
    pub scope: AddressScope,
}

/// From where an address works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddressScope {
    /// From anywhere, if the router forwards the port.
    Public,
    /// A DNS name: from wherever it leads to.
    Name,
    /// From the same local network or behind the same provider only.
    Private,
    /// From the same machine only.
    Loopback,
}

/// Space, of the pool and of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpaceReport {
    /// N.
    pub copies: u8,
    /// What all members give together.
    pub given_bytes: u64,
    /// What fits at N copies on different servers.
    pub usable_bytes: u64,
    /// Copies fewer than N, because there are fewer servers.
    pub copies_short: u8,
    /// Sites fewer than copies: what is lost together when a house burns.
    pub sites_short: u8,
    /// Space that cannot be used because the others cannot match it.
    pub stranded: Vec<MemberShare>,
    /// What each member gives.
    pub shares: Vec<MemberShare>,
    /// This node's disks.
    pub disks: Vec<DiskStatus>,
}

/// A member's part of the space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberShare {
    /// Its key in hexadecimal.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
}

/// Asks a running daemon to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The invitation.
    pub ticket: String,
}

/// The daemon starts again in another pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinReply {
    /// Its id.
    pub pool: String,
    /// Its name.
    pub pool_name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_of_a_request_is_refused() {
        let edits = r#"{"edits": [{"op": "folder", "path": "/a%FF", "attrs": {"mode": 493, "mtime_ns": 7}},
                                  {"op": "remove", "path": "/b"}]}"#;
        let edits: EditsRequest = serde_json::from_str(edits).expect("as the chapter says");
        let attrs = Some(EntryAttributes { mode: 0o755, mtime_ns: 7 });
        let folder = EditRequest::Folder { path: EscapedText(b"/a\xff".to_vec()), attrs, fresh: false };
        let remove = EditRequest::Remove { path: "/b".into(), recursive: false };
        assert_eq!(edits, EditsRequest { volume: "pool".into(), edits: vec![folder, remove] });
        for wrong in [r#"{"op": "remove", "path": "/b", "recursiv": true}"#, r#"{"op": "chmod", "path": "/b"}"#] {
            assert!(serde_json::from_str::<EditRequest>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_that_are_not_utf8_survive_json() {
        for name in [&b"plain"[..], b"\xff\xfe", "\u{fffd}".as_bytes()] {
            let (text, bytes) = text_and_bytes(name);
            assert_eq!(raw_bytes(&text, bytes.as_deref()), name);
        }
    }
}
