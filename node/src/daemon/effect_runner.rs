//! Carries out what the engine decides: network, disks and threads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fsdfs_core::engine::Engine;
use fsdfs_core::seam::{Effect, GetOutcome, Input, OpId, Reply};
use fsdfs_core::tree::{JobDone, TreeError};
use fsdfs_proto::codec::FormatError;
use fsdfs_proto::ids::{DiskId, NodeId};
use tokio::sync::{mpsc, oneshot, watch};

use super::task_completion::TaskCompletion;
use crate::client::VolumeState;
use crate::crypto_pool::CryptoPool;
use crate::net::{Gatekeeper, Net};
use crate::store::{BegunDisk, Store, StoreError};

/// Network, disks and threads: what carries effects out.
pub(super) struct EffectRunner {
    net: Net,
    keeper: Arc<Gatekeeper>,
    store: Store,
    pool: CryptoPool,
    /// Where the store's threads and the crypto pool's jobs report.
    done: mpsc::UnboundedSender<TaskCompletion>,
    shared: watch::Sender<VolumeState>,
    replies: BTreeMap<OpId, oneshot::Sender<Reply>>,
    /// What the gate and Kademlia were told last.
    gate_version: Option<u64>,
    told: BTreeMap<NodeId, Vec<String>>,
    /// Disks that the store empties.
    drained: Vec<DiskId>,
}

impl EffectRunner {
    pub fn new(
        net: Net,
        keeper: Arc<Gatekeeper>,
        store: Store,
        pool: CryptoPool,
        done: mpsc::UnboundedSender<TaskCompletion>,
        shared: watch::Sender<VolumeState>,
    ) -> Self {
        let (replies, told) = (BTreeMap::new(), BTreeMap::new());
        Self { net, keeper, store, pool, done, shared, replies, gate_version: None, told, drained: Vec::new() }
    }

    /// The network.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Who waits for the reply to `op`.
    pub fn expect_reply(&mut self, op: OpId, answer: oneshot::Sender<Reply>) {
        let before = self.replies.insert(op, answer);
        debug_assert!(before.is_none(), "clients never use a number twice");
    }

    /// Nobody waits any more; false if the reply was given already.
    pub fn forget_reply(&mut self, op: OpId) -> bool {
        self.replies.remove(&op).is_some()
    }

    /// Says goodbye and makes everything durable.
    pub async fn stop(self) {
        let Self { net, store, replies, .. } = self;
        drop(replies);
        net.stop().await;
        // Closing waits for threads that finish their writes.
        if tokio::task::spawn_blocking(move || store.close()).await.is_err() {
            tracing::error!("the store did not close properly; its tail is checked at the next start");
        }
    }

    /// What gateways must know before they can seal.
    pub fn shared(engine: &Engine) -> VolumeState {
        let pool = engine.facts().pool();
        VolumeState {
            pool,
            keys: engine.keys(pool.volume()).cloned(),
            lacks_write_key: engine.lacks_write_key(),
            copies: engine.facts().rules().copies,
            renew_every: Duration::from_millis(engine.renew_every_ms()),
        }
    }

    /// Tells gate, Kademlia and gateways what the facts say now, if they changed in a way that matters to these: the copy takes
    /// milliseconds in a large pool.
    pub fn publish(&mut self, engine: &Engine) {
        if self.gate_version != Some(engine.gate_version()) {
            self.gate_version = Some(engine.gate_version());
            self.keeper.update(engine.facts().clone());
            self.tell_addresses(engine);
        }
        let drained = engine.drained_disks();
        if self.drained != drained {
            self.store.drain(drained.clone());
            self.drained = drained;
        }
        let shared = Self::shared(engine);
        self.shared.send_if_modified(|known| {
            let is_new = *known != shared;
            if is_new {
                *known = shared;
            }
            is_new
        });
    }

    /// Gives the logs what they have to hold, in place of all that was sealed.
    pub fn compact_log(&self, engine: &Engine) {
        self.store.compact_log(engine.log_entries());
    }

    /// Has the store begin a new disk. Whoever asked may have gone away meanwhile.
    pub fn begin_disk(&self, path: PathBuf, answer: oneshot::Sender<Result<BegunDisk, StoreError>>) {
        self.store.begin_disk(path, |begun| drop(answer.send(begun)));
    }

    fn tell_addresses(&mut self, engine: &Engine) {
        for (node, member) in engine.facts().members() {
            let Some(card) = &member.card else { continue };
            let addrs = &card.value().addrs;
            if self.told.get(node) != Some(addrs) {
                self.net.learn(*node, addrs);
                self.told.insert(*node, addrs.clone());
            }
        }
    }

    pub fn run_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, message, block, class } => self.net.send(to, message, block, class),
            Effect::Disk { request, token } => {
                let inputs = self.done.clone();
                // After the loop's end nobody needs the answer.
                self.store
                    .submit(request, move |done| drop(inputs.send(TaskCompletion::Input(Input::Disk { token, done }))));
            }
            Effect::Work { job, token } => {
                let inputs = self.done.clone();
                let job = Arc::new(*job);
                let running = Arc::clone(&job);
                self.pool.start_now(
                    move || running.run(),
                    move |done| {
                        let done = done.unwrap_or_else(|panicked| broken(&panicked));
                        let job = Arc::into_inner(job).expect("a job that ended, even by a panic, is let go of");
                        let input = Input::Work { token, job: Box::new(job), done };
                        drop(inputs.send(TaskCompletion::Input(input)));
                    },
                );
            }
            Effect::Reply { op, reply } => {
                if let Some(answer) = self.replies.remove(&op) {
                    // Whoever asked went away meanwhile.
                    drop(answer.send(unguarded(reply)));
                }
            }
            Effect::Connect { node, addrs } => self.net.find(node, addrs),
            Effect::Disconnect { node, reason, pause_ms: 0 } => self.net.dismiss(node, reason),
            Effect::Disconnect { node, reason, pause_ms } => {
                self.keeper.pause(node, Duration::from_millis(pause_ms));
                self.net.drop_peer(node, reason);
            }
            Effect::Notice(notice) => tracing::warn!("{}", crate::gateway::words::notice(&notice)),
        }
    }
}

/// Gateways have a budget of their own for the blocks that they ask for. A block that nobody takes, because somebody reads no
/// further, must not keep a share of the memory for what arrives from all peers.
fn unguarded(reply: Reply) -> Reply {
    match reply {
        Reply::GetBlock(GetOutcome::Found(block)) => Reply::GetBlock(GetOutcome::Found(block.unguarded())),
        other => other,
    }
}

/// What the engine hears of a job that panicked, so that whoever waits for it is told.
fn broken(panicked: &crate::crypto_pool::JobPanicked) -> JobDone {
    JobDone::Failed(TreeError::Damaged(FormatError::Malformed(panicked.to_string())))
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::block::Block;

    use super::*;

    #[test]
    fn a_block_on_its_way_to_a_reader_holds_no_memory_of_the_network() {
        let permit = Arc::new(());
        let block = Block::new(b"content".to_vec().into()).guarded(permit.clone());
        let reply = unguarded(Reply::GetBlock(GetOutcome::Found(block)));
        assert_eq!(Arc::strong_count(&permit), 1);
        assert!(matches!(reply, Reply::GetBlock(GetOutcome::Found(_))));
    }
}
