//! Members and invitations.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::NodeAddress;

/// All members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberListing {
    /// In name order; this node included.
    pub members: Vec<MemberEntry>,
    /// Who cannot reach whom, in sentences.
    pub warnings: Vec<String>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberEntry {
    /// Its key in hexadecimal.
    pub id: String,
    /// Its name; names need not be unique.
    pub name: String,
    /// Its house: what burns together.
    pub site: String,
    /// This is the node asked.
    pub me: bool,
    /// What it may do.
    pub role: MemberRole,
    /// As this node, or the pool, sees it.
    pub presence: MemberPresence,
    /// Connected to this node now.
    pub connected: bool,
    /// Round trip, if connected and measured.
    pub rtt_ms: Option<u32>,
    /// Seconds since anything was heard of it.
    pub heard_s: Option<u64>,
    /// Name or id of whoever invited it.
    pub invited_by: String,
    /// Space it gives to the pool.
    pub space_bytes: u64,
    /// Number of its disks.
    pub disks: usize,
    /// Where it says that it can be reached.
    pub addresses: Vec<NodeAddress>,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Reads, writes, stores.
    #[default]
    Full,
    /// Reads and stores.
    Reader,
    /// Stores only.
    StorageOnly,
}

/// How a member is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberPresence {
    /// Heard of within a minute.
    Up,
    /// Silent for longer.
    Away,
    /// Declared gone by a majority.
    Gone,
    /// Leaves: serves and hands over.
    Removed,
    /// Thrown out.
    Revoked,
}

/// Asks for an invitation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvite {
    /// Seconds until it expires; 0 = never; default 3 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
    /// Newcomers it admits; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// What they may do.
    #[serde(default)]
    pub role: MemberRole,
}

/// A new invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InviteReply {
    /// What the newcomer types after `fsdfs join`. A secret: whoever has it can join.
    pub ticket: String,
    /// Names the invitation when it is listed or revoked.
    pub id: String,
    /// When it expires; 0 = never.
    pub redeem_by_ms: u64,
    /// Newcomers it admits.
    pub uses: u32,
    /// Addresses of members in the ticket.
    pub addresses: Vec<NodeAddress>,
    /// What may keep the newcomer from reaching anybody, in sentences.
    pub warnings: Vec<String>,
}

/// All invitations known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InviteListing {
    /// Those that expire last come first.
    pub invites: Vec<InviteState>,
}

/// What became of an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InviteState {
    /// Names it.
    pub id: String,
    /// Name or id of whoever made it.
    pub made_by: String,
    /// When it expires; 0 = never.
    pub redeem_by_ms: u64,
    /// Newcomers it admits.
    pub uses: u32,
    /// Newcomers so far.
    pub used: u32,
    /// Whether somebody can still join with it.
    pub open: bool,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A member or an invitation was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevokeReply {
    /// Its id.
    pub id: String,
    /// The member's name, or the invitation's id.
    pub name: String,
}
