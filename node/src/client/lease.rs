//! Leases of blocks that no commit names yet.
//!
//! Holders keep a block as long as somebody renewed its lease within their grace, or a tree that they know needs it. An upload
//! may last for days, so its blocks are renewed each quarter of the grace and once more before the commit, and what is gone is
//! put again. What a restore places is renewed before it is placed, if no head lists the state that it comes from.

use std::time::Duration;

use fsdfs_core::seam::{Command, Reply};
use fsdfs_core::tree::TreePath;
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::message::IDS_MAX;
use tokio::time::Instant;

use super::error::ClientError;
use super::handle::{Client, VolumeView, answer};

/// The blocks of one upload: 33 bytes each, so 33 MiB for a TiB.
pub(super) struct UploadLease {
    blocks: Vec<(BlockId, u8)>,
    /// A quarter of the grace.
    every: Duration,
    due: Instant,
    was_renewed: bool,
}

impl UploadLease {
    pub fn new(every: Duration) -> Self {
        Self { blocks: Vec::new(), every, due: Instant::now() + every, was_renewed: false }
    }

    /// A block was put just now.
    pub fn add(&mut self, id: BlockId, copies: u8) {
        self.blocks.push((id, copies));
    }

    /// When all of them are to be renewed.
    pub fn due(&self) -> Instant {
        self.due
    }
}

impl Client {
    /// All blocks that were put until now.
    pub(super) async fn renew(&self, lease: &mut UploadLease) -> Result<(), ClientError> {
        // From before the first is renewed: that is how old it is when the next time comes.
        lease.due = Instant::now() + lease.every;
        lease.was_renewed = true;
        self.renew_blocks(&lease.blocks).await
    }

    /// Before the commit: an upload that took so long is renewed once more.
    pub(super) async fn renew_at_end(&self, lease: &mut UploadLease) -> Result<(), ClientError> {
        if lease.was_renewed { self.renew(lease).await } else { Ok(()) }
    }

    /// Makes sure that holders keep all that a restore is to place, if no head lists that state: those of states that are listed
    /// are kept for their sake. Fails, and names how many, if something is nowhere.
    pub async fn renew_state(&self, volume: VolumeId, state: BlockId, path: TreePath) -> Result<(), ClientError> {
        let (history, _) = self.history(volume).await?;
        let is_listed = history.states.iter().any(|known| known.id == state && !known.remembered);
        if is_listed {
            return Ok(());
        }
        let blocks = self.subtree(VolumeView { volume, state: Some(state) }, path).await?;
        self.renew_blocks(&blocks).await
    }

    /// Renews these; what no holder has any more is put again, from wherever it is left.
    async fn renew_blocks(&self, blocks: &[(BlockId, u8)]) -> Result<(), ClientError> {
        for part in blocks.chunks(IDS_MAX) {
            let renew = Command::RenewLeases { blocks: part.to_vec() };
            let gone: Vec<BlockId> = answer!(self.ask(renew).await? => RenewLeases)?;
            for (id, copies) in part.iter().filter(|(id, _)| gone.contains(id)) {
                tracing::info!(block = %id, "no holder has it any more: it is put again");
                let block = self.get_block(*id).await?;
                self.store_block(block, *copies).await?;
            }
        }
        Ok(())
    }
}
