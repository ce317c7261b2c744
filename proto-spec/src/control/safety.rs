//! How safe files are.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AbsenceReason, ApiError};

/// How safe everything below a path is, by the word of the members that answered just now. Who did not answer, or fails its audits,
/// counts as having nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SafetyReport {
    /// In one word.
    pub verdict: SafetyVerdict,
    /// Blocks below the path, and those of its folders up to the root, as far as they could be read.
    pub blocks: u64,
    /// Of these, blocks that were asked about; if not all, those with the smallest ids, which is a fair sample.
    pub checked_blocks: u64,
    /// Bytes of them, where a copy was found.
    pub checked_bytes: u64,
    /// Sites that may be destroyed at once, whichever they are, and everything is still there: one less than the sites with a
    /// copy, of the block that has the fewest.
    pub sites_may_fail: u64,
    /// Copies on distinct members of the block that has the fewest.
    pub copies_min: u64,
    /// Copies that are required of a new block.
    pub target_copies: u8,
    /// Blocks with fewer copies than required, of those that were checked.
    pub short_blocks: u64,
    /// Bytes of them, where a copy was found.
    pub short_bytes: u64,
    /// Blocks of which no member that answered has a copy, of those that were checked, or that were to be read to find further ones.
    pub unreadable_blocks: u64,
    /// Copies that are here and were found damaged, or are about to be deleted.
    pub bad_copies: u64,
    /// Members with damaged copies: each replaces them with good ones as soon as it has found those.
    pub damaged: Vec<MemberBlocks>,
    /// Members that said that they have copies and could not prove it, where proofs were asked for: these do not count.
    pub unproven: Vec<MemberBlocks>,
    /// Copies that were proven just now: their holders read them. None unless proofs were asked for; then no other copy counts.
    pub proven_copies: Option<u64>,
    /// Members that are required to have copies which are missing, and did not say anything.
    pub missing: Vec<MissingHolder>,
    /// Members that answered that they lack copies which they are required to have: those are on their way.
    pub mending: Vec<MemberBlocks>,
    /// Blocks that this node knows to be short of copies, anywhere in the pool.
    pub repair_pending: u64,
    /// Checked blocks of which each counted copy is known to have been right at some time: written, or read and hashed.
    pub verified_blocks: u64,
    /// Of their copies, hours since the one that was not verified for longest.
    pub oldest_verified_h: Option<u32>,
    /// Newer changes may exist that are not looked at.
    pub maybe_stale: bool,
    /// Connected members that acknowledged changes which are not looked at.
    pub unpublished_on: Vec<String>,
}

/// How safe, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SafetyVerdict {
    /// All copies are there, on more than one site.
    Safe,
    /// Something lacks copies, or the loss of one site would lose it.
    AtRisk,
    /// Something cannot be read from any member that answers.
    Lost,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

/// Why a member counts as having nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingReason {
    /// It is away.
    Away,
    /// It is up, and this node is not connected to it.
    NotConnected,
    /// It did not answer, or cannot say yet.
    NoAnswer,
    /// It fails its audits: its word counts for nothing.
    FailsAudits,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

/// A member that counts as having nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissingHolder {
    /// Its node id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: MissingReason,
    /// Seconds since it went away; none if it was so when this node started.
    pub since_s: Option<u64>,
    /// Why it is away.
    pub away: Option<AbsenceReason>,
    /// Milliseconds since 1970 by which it said that it is back, or usually is.
    pub until_ms: Option<u64>,
    /// Checked blocks that it is required to have.
    pub blocks: u64,
}

/// Some of the checked blocks at a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberBlocks {
    /// Its node id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How many.
    pub blocks: u64,
}

/// A line of the answer to a request for proofs: how far it is, and in the last one what was found, or why nothing was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SafetyProofLine {
    /// Not the last line.
    Progress(SafetyProgress),
    /// The last line.
    Report(Box<SafetyReport>),
    /// The last line, if it could not be found out.
    Error(ApiError),
}

/// How far proofs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SafetyProgress {
    /// Blocks whose holders were asked for a proof, and whose answers are known.
    pub blocks: u64,
    /// Blocks that will be.
    pub of_blocks: u64,
}
