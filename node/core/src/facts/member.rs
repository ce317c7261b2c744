//! What the facts say of a member, and of a peer that wants to become one.

use fsdfs_proto::identity::{Absence, Card, Fact, Heartbeat, Role};
use fsdfs_proto::ids::{FactId, PublicKey};
use fsdfs_proto::signed::Signed;

use super::branches::BranchId;

/// Where a member stands in the pool, by its facts alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberStatus {
    /// With all rights of its certificate.
    Member,
    /// A surplus user of a ticket: may serve, holds no weight, gets no capability.
    Guest,
    /// Silent for so long that a majority of the others declared it gone.
    Departed,
    /// Left, or was asked to leave: may serve and hand over.
    Removed,
    /// Its key, or one along its chain, was revoked.
    Revoked,
}

/// What the facts say of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// From its best certificate.
    pub role: Role,
    /// From its best certificate.
    pub may_invite: bool,
    /// From its best certificate: how many links may still follow.
    pub depth: u8,
    /// Units of weight that its card is believed at most; 0 = any. From its best certificate, or an
    /// admin's vouch if that says more; a key with a rank has no limit.
    pub weight_gib_max: u32,
    /// The member (or the root key) that invited it: for a ticket, who made the ticket.
    pub invited_by: PublicKey,
    /// The branch it belongs to; none for somebody without a valid chain.
    pub branch: Option<BranchId>,
    /// Where it stands.
    pub status: MemberStatus,
    /// Its last card.
    pub card: Option<Signed<Card>>,
    /// When it is away, as it said last.
    pub absence: Option<Signed<Absence>>,
    /// Its last heartbeat.
    pub heartbeat: Option<Signed<Heartbeat>>,
}

/// A peer may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionVerdict {
    /// Its chain and the admissions it showed, to be inserted.
    pub facts: Vec<Fact>,
    /// It comes in by a ticket that can still be redeemed, and was not admitted yet: the member that lets it in signs the admission
    /// ([`FactSet::admission`](super::FactSet::admission)).
    pub redeem: Option<TicketRedemption>,
}

/// What an admission names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketRedemption {
    /// Id of the ticket's certificate.
    pub ticket: FactId,
    /// Id of the newcomer's certificate.
    pub member: FactId,
}
