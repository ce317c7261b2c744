//! What a pool can hold and lose, and what a change of it would move. Nothing is changed by asking.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MemberShare, ReplicationMargin};

/// The pool as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolPlan {
    /// What is stored.
    pub inventory: InventorySample,
    /// What fits. Exact: follows from what the members offer.
    pub capacity: PoolCapacity,
    /// Members with storage: what each should hold, and what is lost if it fails.
    pub members: Vec<PlanMember>,
    /// Sites: what is lost if one fails.
    pub sites: Vec<PlanSite>,
    /// Pairs of sites that together have the only copies of blocks. Any other two may fail at once without loss.
    pub site_pairs: Vec<SitePair>,
    /// The one thing to do next.
    pub advice: AdviceItem,
}

/// One change of the pool, before anything happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangePlan {
    /// The change, as a sentence.
    pub change: String,
    /// What is stored.
    pub inventory: InventorySample,
    /// What fits now. Exact.
    pub capacity_now: PoolCapacity,
    /// What fits after the change. Exact.
    pub capacity_after: PoolCapacity,
    /// Members with storage now or after the change.
    pub members: Vec<MemberTraffic>,
    /// Bytes to be copied from member to member: the sum of all `receives_bytes`.
    pub transfer_bytes: u64,
    /// Seconds until everything is copied, if every member uploads its part with all of its uplink.
    pub transfer_s: u64,
    /// Bytes of blocks that would be lost, because no other member reports a copy.
    pub lost_bytes: u64,
    /// Thousandths by which `transfer_bytes` may be off (two standard deviations): not every block was listed, or a newcomer's
    /// id decides what it gets. 0 = every block was counted.
    pub error_permille: u64,
    /// The one thing to do next.
    pub advice: AdviceItem,
}

/// The one thing to do next: `{"code": ..., fields of the code, "text": ..., "action_needed": ...}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdviceItem {
    /// Which, with its fields.
    #[serde(flatten)]
    pub reason: AdviceReason,
    /// The same as a sentence.
    pub text: String,
    /// Whether there is anything to do.
    pub action_needed: bool,
}

/// What a plan advises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum AdviceReason {
    /// The member holds the only copies of blocks.
    OnlyCopies {
        /// Whether other members can take copies of them.
        can_hand_over: bool,
    },
    /// The member did not answer: it may hold the only copies of blocks.
    InventoryUnknown,
    /// The member offers no storage, so nothing moves.
    NoStorage,
    /// No member with storage is left.
    NoServer,
    /// What is stored does not fit.
    OverCapacity {
        /// Bytes of capacity that are missing.
        missing_bytes: u64,
    },
    /// There are fewer servers than copies.
    TooFewServers {
        /// Servers that are missing.
        missing: u8,
    },
    /// Blocks have fewer copies than required; repair is completing them.
    UnderReplicated {
        /// Copies that are missing of the block with the fewest.
        missing_copies: u8,
    },
    /// The same, as far as known: members that did not answer may have those copies.
    MembersUnresponsive {
        /// Copies that are missing of the block with the fewest.
        missing_copies: u8,
        /// Members that did not answer.
        names: Vec<String>,
    },
    /// There are fewer sites than copies.
    TooFewSites {
        /// Sites that are missing.
        missing: u8,
    },
    /// Part of the offered space cannot be used.
    StrandedSpace {
        /// The site, or the newcomer, that the others cannot match.
        at: String,
        /// Bytes that cannot be used.
        stranded_bytes: u64,
        /// Bytes at other sites that would make all of them useful.
        needed_bytes: u64,
    },
    /// There is one copy of every file.
    SingleCopy,
    /// Little capacity is left.
    NearlyFull {
        /// How much is used.
        percent: u64,
    },
    /// Nothing to do.
    None,
    /// A code of a later version. No node of this version sends it.
    #[serde(other)]
    Other,
}

/// What the members report to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InventorySample {
    /// Bytes of all blocks, each counted once. Unreferenced blocks count, too.
    pub stored_bytes: u64,
    /// All blocks.
    pub blocks: u64,
    /// Blocks that were listed. Fewer than `blocks`: the others are estimated from these.
    pub blocks_listed: u64,
    /// Every block of the members that answered was listed.
    pub exact: bool,
    /// Of the blocks listed; none without blocks.
    pub replication_margin: Option<ReplicationMargin>,
    /// Names of members with storage that did not answer; their copies are not counted.
    pub unresponsive: Vec<String>,
}

/// What fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolCapacity {
    /// N.
    pub copies: u8,
    /// What all members offer together.
    pub offered_bytes: u64,
    /// What fits at N copies on different servers.
    pub usable_bytes: u64,
    /// Copies fewer than N, because there are fewer servers.
    pub copies_short: u8,
    /// Sites fewer than copies.
    pub sites_short: u8,
    /// Space that cannot be used because the other members cannot match it.
    pub stranded: Vec<MemberShare>,
}

/// A member's upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberUplink {
    /// Bytes per second.
    pub bytes_per_s: u64,
    /// The member publishes none, and this is assumed.
    pub assumed: bool,
}

/// A member with storage, and what is lost if it fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanMember {
    /// Its key in hexadecimal.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: String,
    /// What it offers.
    pub offered_bytes: u64,
    /// Its share of what is stored.
    pub share_bytes: u64,
    /// Its upload.
    pub uplink: MemberUplink,
    /// If it fails.
    pub loss: FailureLoss,
}

/// A site, and what is lost if it fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanSite {
    /// Its name.
    pub site: String,
    /// If it fails.
    pub loss: FailureLoss,
}

/// What a failure costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureLoss {
    /// Bytes of blocks of which no other member reports a copy.
    pub lost_bytes: u64,
    /// Everything that would fail has reported what it holds. If not, more than `lost_bytes` may be lost.
    pub lost_is_complete: bool,
    /// Bytes to copy until every block has as many copies as required again.
    pub re_replicate_bytes: u64,
    /// Seconds for it at the other members' uplinks.
    pub repair_s: u64,
    /// What fits without it.
    pub usable_bytes: u64,
    /// Copies of every block that are possible without it.
    pub copies: u8,
}

/// Two sites with the only copies of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SitePair {
    /// Their names.
    pub sites: [String; 2],
    /// Bytes that are lost only if both fail.
    pub lost_bytes: u64,
}

/// What a change moves at one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberTraffic {
    /// Its key in hexadecimal; none for a newcomer.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: String,
    /// Its share now.
    pub now_bytes: u64,
    /// Its share after the change.
    pub after_bytes: u64,
    /// What it receives.
    pub receives_bytes: u64,
    /// What it need not hold any more.
    pub frees_bytes: u64,
    /// What it uploads to others, if all holders of a block share the work.
    pub uploads_bytes: u64,
    /// Its upload.
    pub uplink: MemberUplink,
    /// Seconds that it uploads.
    pub upload_s: u64,
}
