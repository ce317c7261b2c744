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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use fsdfs_core::seam::{Copies, GetOutcome, PutOutcome, Refusal};
    use fsdfs_core::tree::TreeParams;
    use fsdfs_proto::ids::{Key, PoolId};
    use fsdfs_proto::volume::VolumeKeys;
    use tokio::sync::{Notify, mpsc, watch};

    use super::*;
    use crate::client::request::{ClientRequest, VolumeState};
    use crate::crypto_pool::CryptoPool;

    /// An engine that keeps blocks, and loses the first of them before it is renewed for the second time.
    async fn engine(mut requests: mpsc::UnboundedReceiver<ClientRequest>, renewed_twice: Arc<Notify>) -> Vec<String> {
        let (mut blocks, mut renewals, mut log) = (Vec::new(), 0, Vec::new());
        while let Some(request) = requests.recv().await {
            let ClientRequest::Command { command, answer, .. } = request else { continue };
            let reply = match command {
                Command::PutBlock { block, .. } => {
                    log.push("put".to_owned());
                    blocks.push(block);
                    Reply::PutBlock(PutOutcome::Stored(Copies::default()))
                }
                Command::RenewLeases { blocks: renewed } => {
                    renewals += 1;
                    log.push(format!("renew {}", renewed.len()));
                    if renewals == 2 {
                        renewed_twice.notify_one();
                    }
                    let gone = (renewals == 1).then(|| renewed[0].0);
                    Reply::RenewLeases(gone.into_iter().collect())
                }
                Command::GetBlock { id } => {
                    log.push("get".to_owned());
                    let block = blocks.iter().find(|block| block.id() == id).expect("it was put").clone();
                    Reply::GetBlock(GetOutcome::Found(block))
                }
                other => panic!("no part of an upload: {other:?}"),
            };
            drop(answer.send(reply));
        }
        log
    }

    #[tokio::test]
    async fn an_upload_that_lasts_renews_what_it_put_and_puts_again_what_is_gone() {
        let (requests, inbox) = mpsc::unbounded_channel();
        let pool = PoolId([1; 32]);
        let keys = VolumeKeys::from_write_secret(pool.volume(), 1, Key([2; 32]));
        let renew_every = Duration::from_millis(20);
        let state = VolumeState { pool, keys: Some(keys), lacks_write_key: Refusal::NoKey, copies: 2, renew_every };
        let (_keep, shared) = watch::channel(state);
        let client = Client::new(requests, shared, CryptoPool::new().expect("threads"));
        let renewed_twice = Arc::new(Notify::new());
        let served = tokio::spawn(engine(inbox, renewed_twice.clone()));
        let chunk = TreeParams::DEFAULT.chunk_bytes;
        let first = futures::stream::iter([Ok(Bytes::from(vec![7; chunk + 1]))]);
        // The sender pauses until what it sent was renewed twice.
        let second = futures::stream::once(async move {
            renewed_twice.notified().await;
            Ok(Bytes::from(vec![8; chunk]))
        });
        let body = futures::StreamExt::chain(first, second);
        client.store(pool.volume(), body, Vec::new()).await.expect("nothing is refused");
        drop(client);
        let log = served.await.expect("it ends with the client");
        let first_renewal = log.iter().position(|entry| entry == "renew 1").expect("one chunk was put");
        assert_eq!(log[..first_renewal], ["put"], "{log:?}");
        assert_eq!(log[first_renewal + 1..first_renewal + 3], ["get", "put"], "what is gone is put again: {log:?}");
        assert_eq!(
            log.last().map(String::as_str),
            Some("renew 4"),
            "three chunks and a manifest, before the commit: {log:?}"
        );
    }

    #[tokio::test]
    async fn a_short_upload_renews_nothing() {
        let mut lease = UploadLease::new(Duration::from_secs(3_600));
        lease.add(BlockId([1; 32]), 2);
        let (requests, inbox) = mpsc::unbounded_channel();
        let state = VolumeState {
            pool: PoolId([1; 32]),
            keys: None,
            lacks_write_key: Refusal::NoKey,
            copies: 2,
            renew_every: lease.every,
        };
        let (_keep, shared) = watch::channel(state);
        let client = Client::new(requests, shared, CryptoPool::new().expect("threads"));
        client.renew_at_end(&mut lease).await.expect("nothing is asked");
        drop(client);
        assert_eq!(engine(inbox, Arc::default()).await, [""; 0]);
    }
}
