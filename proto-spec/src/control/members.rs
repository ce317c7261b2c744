//! Members and invitations.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AttentionItem, NodeAddress};

/// All members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberListing {
    /// In name order; this node included.
    pub members: Vec<MemberEntry>,
    /// Which members cannot reach each other.
    pub warnings: Vec<AttentionItem>,
    /// Bytes of all disks together that one member may use, copies counted; 0 = any part of the pool.
    #[serde(default)]
    pub member_budget_bytes: u64,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberEntry {
    /// Its key in hexadecimal.
    pub id: String,
    /// Its name; names need not be unique.
    pub name: String,
    /// Its site: members at one site are expected to fail together.
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
    /// Name or id of the member through which it is connected, if it is not connected directly.
    #[serde(default)]
    pub via: Option<String>,
    /// Seconds since its last sign of life; none = not seen since this node started.
    pub last_seen_s: Option<u64>,
    /// Seconds since it came up, or went away; none = it was so when this node started.
    #[serde(default)]
    pub since_s: Option<u64>,
    /// Of a member that is away: what is known of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away: Option<MemberAbsence>,
    /// Seconds since this node knew all that the member had published, from it or through others; none = not since this node started.
    #[serde(default)]
    pub facts_known_s: Option<u64>,
    /// Name or id of the member that invited it.
    pub invited_by: String,
    /// The id of that member, which its name need not tell.
    #[serde(default)]
    pub invited_by_id: String,
    /// Space it offers to the pool.
    pub offered_bytes: u64,
    /// As much of it as is used: what its invitation and the pool's rules allow.
    #[serde(default)]
    pub counted_bytes: u64,
    /// Number of its disks.
    pub disks: usize,
    /// Bytes of its blocks that this node passed on to other holders since its start, in the place of that member.
    #[serde(default)]
    pub passed_on_bytes: u64,
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
    /// Seen within a minute.
    Up,
    /// Silent for longer.
    Away,
    /// Declared departed by a majority.
    Departed,
    /// Leaving: it serves and hands over its blocks, and takes none.
    Removed,
    /// Revoked: it can no longer connect, read or write.
    Revoked,
    /// A state of a later version. No node of this version sends it.
    #[serde(other)]
    Other,
}

/// Why a member is away, as far as that is known, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberAbsence {
    /// What speaks for it.
    pub reason: AbsenceReason,
    /// Milliseconds since 1970 by which it says that it is back, or usually is; none = not known.
    pub until_ms: Option<u64>,
    /// Seconds of the running time of this node, while it was connected, in which nothing was heard of the member: over restarts.
    pub quiet_s: u64,
    /// It has been away for so long that blocks with copies at one other site are due to be copied elsewhere.
    pub overdue: bool,
}

/// What speaks for a member that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AbsenceReason {
    /// Nothing.
    Unexplained,
    /// It said so.
    Announced,
    /// It is usually away at this time.
    UsualHours,
    /// It fell silent together with many others.
    Outage,
    /// A reason of a later version. No node of this version sends it.
    #[serde(other)]
    Other,
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
    /// Bytes of storage that each of them is believed at most; 0 = any; default [`UP_TO_BYTES_DEFAULT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to_bytes: Option<u64>,
}

/// How much storage a newcomer is believed if its inviter says nothing: 16 TiB, one large disk.
/// More than that takes a word of the inviter.
pub const UP_TO_BYTES_DEFAULT: u64 = 16 << 40;

/// A new invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InviteReply {
    /// What the newcomer types after `fsdfs join`. A secret: it is all that is needed to join.
    pub ticket: String,
    /// Names the invitation when it is listed or revoked.
    pub id: String,
    /// When it expires; 0 = never.
    pub expires_at_ms: u64,
    /// Newcomers it admits.
    pub uses: u32,
    /// Addresses of members in the ticket.
    pub addresses: Vec<NodeAddress>,
    /// What may keep the newcomer from reaching a member.
    pub warnings: Vec<AttentionItem>,
}

/// All invitations known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InviteListing {
    /// Those that expire last come first.
    pub invites: Vec<InviteState>,
}

/// The state of an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InviteState {
    /// Names it.
    pub id: String,
    /// Name or id of the member that issued it.
    pub issued_by: String,
    /// When it expires; 0 = never.
    pub expires_at_ms: u64,
    /// Newcomers it admits.
    pub uses: u32,
    /// Newcomers so far.
    pub used: u32,
    /// Whether it can still be used.
    pub open: bool,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// What the revocation of a member achieved, and what it did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberRevokeReply {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Names of members that were revoked with it, because it had invited them.
    pub also_revoked: Vec<String>,
    /// Names of members that it had invited and that stay.
    pub invited_and_staying: Vec<String>,
    /// Tickets of all these that admit nobody any more.
    pub tickets_ended: usize,
    /// Names of connected members: they know, and have ended their connections to it.
    pub informed: Vec<String>,
    /// Names of members that could not be informed yet: they let it in until they hear of it.
    pub not_informed_yet: Vec<String>,
    /// What becomes of the keys that it had.
    pub keys: KeyOutcome,
    /// Names of admins, one of whose nodes begins the new keys, if it is not this one.
    pub keys_left_to: Vec<String>,
}

/// A member was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberRemoveReply {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Names of connected members: they know.
    pub informed: Vec<String>,
    /// Names of members that have yet to hear of it.
    pub not_informed_yet: Vec<String>,
}

/// What becomes of the keys of `pool` when a member is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyOutcome {
    /// It never had any.
    Unneeded,
    /// This node begins new ones now: what is written from now on it cannot read.
    Changed,
    /// The node of an admin does so when it hears of the revocation.
    ChangedLater,
    /// No member may: the root key has to name an admin first.
    NotChanged,
}

/// Asks an admin's node to vouch for a member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVouch {
    /// Bytes of storage that it is believed from now on, if its invitation says fewer; none = as the invitation says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to_bytes: Option<u64>,
}

/// An admin vouches for a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VouchReply {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// An invitation was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevokeReply {
    /// Its id.
    pub id: String,
    /// The member's name, or the invitation's id.
    pub name: String,
}
