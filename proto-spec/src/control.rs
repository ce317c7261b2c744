//! The control API: what users' programs ask of their own node (spec 07-control). JSON over HTTP on a Unix socket.
//!
//! Requests refuse fields they do not know, so that a misspelt one is noticed; readers of answers ignore them, so that
//! answers can grow. Times ending in `_ms` are wall milliseconds since 1970; `mtime_ns` is a 64-bit integer of nanoseconds.

mod absence;
mod address;
mod admins;
mod attention;
mod bandwidth;
mod disk;
mod drain;
mod escape;
mod history;
mod legible;
mod member_ref;
mod members;
mod plan;
mod reachability;
mod safety;
mod status;
mod tree;

pub use absence::*;
pub use address::*;
pub use admins::*;
pub use attention::*;
pub use bandwidth::*;
pub use disk::*;
pub use drain::*;
pub use escape::{EscapedText, SmallContent, pairs, parameters, query, raw_bytes, text_and_bytes};
pub use history::*;
pub use legible::*;
pub use member_ref::*;
pub use members::*;
pub use plan::*;
pub use reachability::*;
pub use safety::*;
pub use status::*;
pub use tree::*;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where each resource lies.
pub mod route {
    /// `GET`: [`super::NodeStatus`].
    pub const STATUS: &str = "/v1/status";
    /// `GET`: [`super::MemberListing`].
    pub const MEMBERS: &str = "/v1/members";
    /// `DELETE`, member by name or id, `?reason=&with_invited=`: revokes it. [`super::MemberRevokeReply`].
    /// `POST` [`super::NewVouch`]: an admin states that it stands for itself. [`super::VouchReply`].
    pub const MEMBER: &str = "/v1/members/{member}";
    /// `POST` [`super::RootRevocation`]: revokes it with the pool's root key. [`super::MemberRevokeReply`].
    pub const MEMBER_REVOCATION: &str = "/v1/members/{member}/revocation";
    /// `POST`: removes it for good, or this node itself. [`super::MemberRemoveReply`].
    pub const MEMBER_REMOVAL: &str = "/v1/members/{member}/removal";
    /// `GET`: [`super::AdminListing`]. `POST` [`super::AdminChange`]: the new [`super::AdminListing`].
    pub const ADMINS: &str = "/v1/admins";
    /// `GET`: [`super::RootKeyAnswer`]. `POST` [`super::RootKeyReplacement`]: the new [`super::RootKeyAnswer`].
    pub const ROOT_KEY: &str = "/v1/root-key";
    /// `GET`: [`super::PoolRulesAnswer`]. `POST` [`super::RulesChange`]: the new [`super::PoolRulesAnswer`].
    pub const RULES: &str = "/v1/rules";
    /// `GET`: [`super::AbsenceAnswer`]. `POST` [`super::AbsenceChange`]: the new [`super::AbsenceAnswer`].
    pub const ABSENCE: &str = "/v1/absence";
    /// `GET`: [`super::DrainAnswer`]. `POST` [`super::DrainChange`]: the new [`super::DrainAnswer`].
    pub const DRAIN: &str = "/v1/drain";
    /// `GET`: [`super::BandwidthAnswer`]. `POST` [`super::BandwidthRequest`]: the new [`super::BandwidthAnswer`].
    pub const BANDWIDTH: &str = "/v1/bandwidth";
    /// `POST` [`super::NewInvite`]: [`super::InviteReply`]. `GET`: [`super::InviteListing`].
    pub const INVITES: &str = "/v1/invites";
    /// `DELETE`, invitation by id or an unambiguous beginning of it: revokes it. [`super::RevokeReply`].
    pub const INVITE: &str = "/v1/invites/{invite}";
    /// `GET`: [`super::SpaceReport`].
    pub const DF: &str = "/v1/df";
    /// `GET`: [`super::DiskListing`]. `POST` [`super::NewDisk`]: [`super::NewDiskReply`].
    pub const DISKS: &str = "/v1/disks";
    /// `GET`: [`super::DiskDrainListing`]. `POST` [`super::DiskDrainChange`]: the new [`super::DiskDrainAnswer`].
    pub const DISK_DRAIN: &str = "/v1/disks/drain";
    /// `GET`: [`super::DiskSpaceListing`].
    pub const DISK_SPACE: &str = "/v1/disks/space";
    /// `GET`: [`super::PoolPlan`].
    pub const PLAN: &str = "/v1/plan";
    /// `GET` with one of `?add=NAME&bytes=&site=`, `?remove=MEMBER`, `?drain=MEMBER`, `?copies=N`: [`super::ChangePlan`].
    pub const PLAN_CHANGE: &str = "/v1/plan/change";
    /// `PUT ?path=&mode=&mtime_ns=&volume=` (mode in octal) with the content as body: [`super::WriteReply`].
    /// `GET ?path=&volume=`, with or without `Range`: the content; attributes in [`super::header`].
    pub const FILES: &str = "/v1/files";
    /// `GET ?path=&from=&volume=`: [`super::HoleListing`], where a file has holes.
    pub const HOLES: &str = "/v1/holes";
    /// `GET ?path=&after=&max=&contents=&volume=`: [`super::ListingPage`], a page of a folder; with the contents of files of at
    /// most so many bytes, at most [`super::CONTENTS_MAX`].
    /// `DELETE ?path=&recursive=&volume=`: [`super::WriteReply`].
    pub const ENTRIES: &str = "/v1/entries";
    /// `GET ?path=&blocks=&volume=`: [`super::StatReply`].
    pub const ENTRY: &str = "/v1/entry";
    /// `GET ?path=&all=&volume=`: [`super::SafetyReport`].
    pub const SAFE: &str = "/v1/safe";
    /// `GET ?path=&all=&volume=`: [`super::SafetyProofLine`]s, while holders prove what they have.
    pub const SAFE_PROOF: &str = "/v1/safe/proof";
    /// `POST` [`super::EditsRequest`]: [`super::EditsReply`], many small changes in one commit.
    pub const EDITS: &str = "/v1/edits";
    /// `GET ?path=&volume=`: [`super::HistoryReply`], the earlier states of a volume. `POST` [`super::HistoryChange`]:
    /// [`super::WriteReply`].
    pub const HISTORY: &str = "/v1/history";
    /// `POST` [`super::JoinRequest`]: the daemon leaves its empty pool and starts again in the ticket's. [`super::JoinReply`].
    pub const JOIN: &str = "/v1/join";
    /// `POST` [`super::MeetOrder`]: dials an address without knowing who answers there. [`super::MeetAnswer`].
    pub const MEET: &str = "/v1/meet";
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
    /// Extended attributes of users, `name=value` in the form of a query string; of requests and answers.
    pub const XATTRS: &str = "fsdfs-xattrs";
    /// 32 hexadecimal digits that the names of one file have in common; of requests.
    pub const HARD_LINK: &str = "fsdfs-hard-link";
    /// Holes of a file, `bytes=FIRST-LAST,...` as a `Range` has them: the body lacks these bytes, which are zeros; of requests.
    pub const HOLES: &str = "fsdfs-holes";
    /// `true` if newer changes may exist that could not be heard of.
    pub const MAYBE_STALE: &str = "fsdfs-maybe-stale";
    /// `true` if a connected member acknowledged changes that it could not publish yet.
    pub const MAYBE_INCOMPLETE: &str = "fsdfs-maybe-incomplete";
}

/// Entries of one page at most, and when `max` is not given.
pub const PAGE_MAX: usize = 10_000;
/// Edits of one request at most.
pub const EDITS_MAX: usize = 10_000;
/// Bytes of a file whose content goes along with others, in a page of a folder or in an edit, at most. Larger ones have a
/// request of their own, which costs less than they do.
pub const CONTENTS_MAX: usize = 64 << 10;
/// Bytes of contents in one page of a folder at most, and so many and one more file's; the page ends there.
pub const PAGE_CONTENTS_MAX: usize = 4 << 20;
/// A hole is a multiple of this long, from a multiple of it on: the bytes of a block.
pub const HOLE_BYTES: u64 = 1 << 20;
/// Holes of one request or answer at most: they stand in one header.
pub const HOLES_MAX: usize = 1_024;
/// Bytes of a file with holes at most: more than any file system has.
pub const SPARSE_BYTES_MAX: u64 = 1 << 62;
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
    /// No free space on any server that can be reached.
    NoSpace,
    /// Too few servers acknowledged in time, or a block is on no server that is up.
    Unavailable,
    /// Not yet: the node has just started or has no key yet.
    NotYet,
    /// Too many requests in flight.
    Busy,
    /// A clock is wrong.
    Clock,
    /// Another node runs with this identity.
    DuplicateIdentity,
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
    /// A code of a later version. No node of this version sends it.
    #[serde(other)]
    Other,
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
        let folder =
            EditRequest::Folder { path: EscapedText(b"/a\xff".to_vec()), attrs, xattrs: Vec::new(), fresh: false };
        let remove = EditRequest::Remove { path: "/b".into(), recursive: false };
        assert_eq!(edits, EditsRequest { volume: "pool".into(), edits: vec![folder, remove], work: None });
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
