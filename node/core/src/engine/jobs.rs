//! Feeding jobs with the blocks they lacked.

use fsdfs_proto::block::Block;

use crate::tree::{Blocks, EditJob, Job, LookJob, MergeJob, WalkJob};

/// The blocks a job may use.
pub(super) fn blocks_of(job: &mut Job) -> &mut Blocks {
    match job {
        Job::Edit(EditJob { blocks, .. })
        | Job::Merge(MergeJob { blocks, .. })
        | Job::Look(LookJob { blocks, .. })
        | Job::Walk(WalkJob { blocks, .. }) => blocks,
    }
}

pub(super) fn give(job: &mut Job, block: Block) {
    blocks_of(job).insert(block.id(), block);
}
