//! What several messages are made of (spec 04-wire).

use serde::{Deserialize, Serialize};

use crate::codec::{FormatError, bound};
use crate::ids::{BlockId, VolumeId, Writer};
use crate::{tagged_enum, u8_enum};

/// Block ids in one message at most: 512 ids are 16 KiB, an eighth of a second on a 1 Mbit/s line.
pub const IDS_MAX: usize = 512;
/// Replicas, or shards of a stripe, at most: as many holders as placement names for one block.
pub const COPIES_MAX: u8 = 32;

/// Chosen by whoever asks, repeated by whoever answers.
pub type RequestId = u64;

tagged_enum! {
    /// What redundancy a link asks for; the stored redundancy of a record.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Redundancy {
        /// This many replicas.
        1 => Replicas(u8),
        /// Member of a stripe.
        2 => Stripe(StripeShard),
    }
}

impl Redundancy {
    /// Servers that placement is asked for: replicas, or all shards of a stripe; at least 1.
    pub fn copies(self) -> u8 {
        match self {
            Self::Replicas(copies) => copies.clamp(1, COPIES_MAX),
            Self::Stripe(stripe) => stripe.k.saturating_add(stripe.m).clamp(1, COPIES_MAX),
        }
    }

    /// What a claim must say to be one: a number of replicas that placement knows, or a shard of a stripe with all that places it.
    pub fn check(self) -> Result<(), FormatError> {
        match self {
            Self::Replicas(copies) => bound((1..=COPIES_MAX).contains(&copies), "the replicas of a claim"),
            Self::Stripe(StripeShard { index, k, m, .. }) => {
                let shards = u16::from(k) + u16::from(m);
                let complete = k >= 1 && m >= 1 && shards <= COPIES_MAX.into() && u16::from(index) < shards;
                bound(complete, "the stripe of a claim")
            }
        }
    }
}

/// `(stripe, index, k, m)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StripeShard {
    /// Which stripe.
    pub stripe: BlockId,
    /// Which shard of it.
    pub index: u8,
    /// Shards needed.
    pub k: u8,
    /// Shards to spare.
    pub m: u8,
}

u8_enum! {
    /// Answer to a possession question about one block.
    pub enum Possession {
        /// Not here, and this node has read its whole index.
        0 => No,
        /// Here; renewed if that was asked.
        1 => Yes,
        /// This node cannot say yet.
        2 => NotYet,
    }
}

/// A block that follows its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedBlock {
    /// Its id; the receiver hashes what follows and compares.
    pub id: BlockId,
    /// How many bytes follow, at most [`crate::block::BLOCK_BYTES_MAX`].
    pub len: u32,
}

impl From<&crate::block::Block> for AttachedBlock {
    fn from(block: &crate::block::Block) -> Self {
        let len = u32::try_from(block.bytes().len()).expect("a block is at most BLOCK_BYTES_MAX long");
        Self { id: block.id(), len }
    }
}

u8_enum! {
    /// What became of a block that was sent.
    pub enum StoreOutcome {
        /// Durable here.
        1 => Stored,
        /// No room.
        2 => Full,
        /// The disk failed.
        3 => Failed,
        /// The bytes did not have the id they came with.
        4 => WrongBytes,
        /// Not kept for this sender: it is no block of the pool, or nobody who may put blocks stands behind it.
        5 => Refused,
        /// Whoever it is charged to has used up what the pool's rules give a member.
        6 => OverBudget,
    }
}

u8_enum! {
    /// Whether a block follows, or why none does.
    pub enum FetchOutcome {
        /// It follows.
        1 => Found,
        /// Not here.
        2 => No,
        /// This node cannot say yet.
        3 => NotYet,
        /// It was here, but its record is damaged.
        4 => Damaged,
    }
}

/// An operation that a reader elsewhere cannot see yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnpublishedOperation {
    /// Of which volume.
    pub volume: VolumeId,
    /// Under which incarnation.
    pub writer: Writer,
    /// The last one of it.
    pub seq: u64,
}

/// A block that a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBlock {
    /// Which.
    pub id: BlockId,
    /// Its length in bytes.
    pub len: u32,
}
