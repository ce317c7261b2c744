//! Budgets of memory for content under way. Puts and gets have one each: were it one, puts waiting for room that only
//! gets can free, and the reverse, would wait for each other.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Blocks of puts in memory at most, each up to [`fsdfs_proto::block::BLOCK_BYTES_MAX`]: four large puts at full speed.
const PUT_BLOCKS_MAX: usize = 64;
/// Bytes of puts that have not yet shown more than [`SMALL_BYTES`]: 256 of which nobody knows how small they are.
const SMALL_PUTS_BYTES: usize = 256 * SMALL_BYTES;
/// They are counted in pieces of this size.
const SMALL_UNIT_BYTES: usize = 4 << 10;
/// Blocks read ahead by all gets together at most. Each get may hold one more, so that none waits for the others.
const READ_AHEAD_BLOCKS_MAX: usize = 64;

/// Content up to here counts as small.
pub(super) const SMALL_BYTES: usize = 64 << 10;

/// The right to hold one piece of content in memory.
pub(super) type Permit = OwnedSemaphorePermit;

#[derive(Clone, Debug)]
pub(super) struct Memory {
    small: Arc<Semaphore>,
    blocks: Arc<Semaphore>,
    ahead: Arc<Semaphore>,
}

impl Default for Memory {
    fn default() -> Self {
        let budget = |permits| Arc::new(Semaphore::new(permits));
        Self {
            small: budget(SMALL_PUTS_BYTES / SMALL_UNIT_BYTES),
            blocks: budget(PUT_BLOCKS_MAX),
            ahead: budget(READ_AHEAD_BLOCKS_MAX),
        }
    }
}

impl Memory {
    /// For the first bytes of a put: for so many, if that is known, and otherwise for [`SMALL_BYTES`].
    pub async fn small(&self, bytes: usize) -> Permit {
        let units = bytes.clamp(1, SMALL_BYTES).div_ceil(SMALL_UNIT_BYTES);
        let units = u32::try_from(units).expect("a few");
        self.small.clone().acquire_many_owned(units).await.expect("a budget is never closed")
    }

    /// For a whole block of a put. Waiting for it while holding [`Memory::small`] is sound: no one waits the other way.
    pub async fn block(&self) -> Permit {
        self.blocks.clone().acquire_owned().await.expect("a budget is never closed")
    }

    /// For one block read ahead, if there is room.
    pub fn ahead(&self) -> Option<Permit> {
        self.ahead.clone().try_acquire_owned().ok()
    }
}
