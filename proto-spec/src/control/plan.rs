//! What a pool can hold and lose, and what a change of it would move. Nothing is changed by asking.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::MemberShare;

/// The pool as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolPlan {
    /// What was found in it.
    pub found: InventorySample,
    /// What fits. Exact: follows from what the members give.
    pub room: PoolCapacity,
    /// Members with storage: what each should hold, and what if it dies.
    pub members: Vec<PlanMember>,
    /// Sites: what if one burns.
    pub sites: Vec<PlanSite>,
    /// Pairs of sites that together have the only copies of blocks. All others may burn together.
    pub pairs: Vec<SitePair>,
    /// The one thing to do next.
    pub advice: String,
    /// Whether the advice asks for something to be done.
    pub attention: bool,
}

/// One change of the pool, before anything happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangePlan {
    /// What is thought about, in words.
    pub change: String,
    /// What was found in the pool.
    pub found: InventorySample,
    /// What fits now. Exact.
    pub now: PoolCapacity,
    /// What fits after the change. Exact.
    pub then: PoolCapacity,
    /// Members with storage now or then.
    pub members: Vec<MemberTraffic>,
    /// Bytes to be copied from member to member: the sum of all `in_bytes`.
    pub move_bytes: u64,
    /// Bytes of blocks that would be gone, because no other member said that it has them.
    pub lost_bytes: u64,
    /// Seconds until everything is copied, if every member sends its part with all of its uplink.
    pub seconds: u64,
    /// `move_bytes` may be off by so many thousandths (two standard deviations): not every block was listed, or a newcomer's
    /// id decides what it gets. 0 = every block was counted.
    pub error_permille: u64,
    /// The one thing to do next.
    pub advice: String,
    /// Whether the advice asks for something to be done.
    pub attention: bool,
}

/// What the members were found to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InventorySample {
    /// Bytes of all blocks, each counted once. Blocks that nobody needs any more count, too.
    pub stored_bytes: u64,
    /// All blocks.
    pub blocks: u64,
    /// Blocks that were listed. Fewer than `blocks`: the others are concluded from these.
    pub blocks_listed: u64,
    /// Every block that the members asked hold was listed.
    pub exact: bool,
    /// Copies that exist less those wanted, over the blocks listed; none without blocks.
    pub margin: Option<ReplicationMargin>,
    /// Names of members with storage that did not say what they hold; copies there are not counted.
    pub silent: Vec<String>,
}

/// Copies that exist less those wanted (K - N) of the blocks that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicationMargin {
    /// Of the block with the fewest.
    pub min: i64,
    /// Of the block with the most.
    pub max: i64,
}

/// What fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolCapacity {
    /// N.
    pub copies: u8,
    /// What all members give together.
    pub given_bytes: u64,
    /// What fits at N copies on different servers.
    pub usable_bytes: u64,
    /// Copies fewer than N, because there are fewer servers.
    pub copies_short: u8,
    /// Sites fewer than copies.
    pub sites_short: u8,
    /// Space that cannot be used because the others cannot match it.
    pub stranded: Vec<MemberShare>,
}

/// A member's upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberUplink {
    /// Bytes per second.
    pub bytes_per_s: u64,
    /// It does not tell, and this is assumed.
    pub assumed: bool,
}

/// A member with storage, and what if it dies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanMember {
    /// Its key in hexadecimal.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: String,
    /// What it gives.
    pub gives_bytes: u64,
    /// What it should hold of what is stored.
    pub holds_bytes: u64,
    /// Its upload.
    pub uplink: MemberUplink,
    /// If it dies.
    pub loss: FailureLoss,
}

/// A site, and what if it burns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanSite {
    /// Its name.
    pub site: String,
    /// If it burns.
    pub loss: FailureLoss,
}

/// What a loss costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureLoss {
    /// Bytes of blocks of which nobody else said to have a copy.
    pub lost_bytes: u64,
    /// All that would be gone has been told of. If not, more than `lost_bytes` may be lost.
    pub heard: bool,
    /// Bytes to copy until all wanted copies exist again.
    pub copy_bytes: u64,
    /// Seconds for it at the other members' uplinks.
    pub seconds: u64,
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
    /// Bytes that are lost only if both burn.
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
    /// What it should hold now.
    pub holds_bytes: u64,
    /// What it should hold then.
    pub holds_then_bytes: u64,
    /// What it has to get.
    pub in_bytes: u64,
    /// What it need not hold any more.
    pub out_bytes: u64,
    /// What it sends to others, if all that have a block share the work.
    pub sends_bytes: u64,
    /// Its upload.
    pub uplink: MemberUplink,
    /// Seconds that it sends.
    pub seconds: u64,
}
