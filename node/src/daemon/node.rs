//! The loop. [`Node::wait`] only waits: cancelling it loses nothing, for nothing was decided. [`Node::take`] lets the engine
//! decide and carries out what it says; that waits for nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use fsdfs_core::engine::Engine;
use fsdfs_core::seam::{DiskDone, Effect, GetOutcome, Input, OpId, PeerEvent, Reply};
use fsdfs_core::tree::{JobDone, TreeError};
use fsdfs_proto::codec::FormatError;
use fsdfs_proto::ids::NodeId;
use tokio::sync::{mpsc, oneshot, watch};

use super::start::{Effects, addresses};
use super::{DaemonError, End};
use crate::client::{Request, Shared};
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto_pool::CryptoPool;
use crate::gateway::control::Wish;
use crate::home::Instance;
use crate::net::{Gatekeeper, Net, NetEvent};
use crate::store::Store;

/// Network, disks and threads: what carries effects out.
pub(super) struct Hands {
    net: Net,
    keeper: Arc<Gatekeeper>,
    store: Store,
    pool: CryptoPool,
    /// Where the store's threads and the crypto pool's jobs report.
    done: mpsc::UnboundedSender<Input>,
    shared: watch::Sender<Shared>,
    replies: BTreeMap<OpId, oneshot::Sender<Reply>>,
    /// What the gate and Kademlia were told last.
    facts_version: u64,
    told: BTreeMap<NodeId, Vec<String>>,
}

pub(super) struct NodeParts {
    pub engine: Engine,
    pub clock: Clock,
    pub hands: Hands,
    pub config: Config,
    pub instance: Instance,
    pub requests: mpsc::UnboundedReceiver<Request>,
    pub events: mpsc::Receiver<NetEvent>,
    pub done: mpsc::UnboundedReceiver<Input>,
    pub wishes: mpsc::UnboundedReceiver<Wish>,
}

/// One node: decisions and hands.
pub(super) struct Node {
    parts: NodeParts,
    effects: Effects,
    addrs: Vec<String>,
    /// The new incarnation of a copied home is not durable yet.
    unsettled: bool,
}

/// What the loop woke up for.
enum Woke {
    Request(Request),
    Event(NetEvent),
    Input(Input),
    Wish(Wish),
}

impl Node {
    pub fn new(parts: NodeParts) -> Self {
        let (addrs, unsettled) = (addresses(&parts.config, &parts.hands.net), parts.instance.is_copy);
        Self { parts, effects: Vec::new(), addrs, unsettled }
    }

    /// Runs until somebody wishes otherwise.
    pub async fn run(&mut self) -> Result<End, DaemonError> {
        loop {
            match self.wait().await? {
                Woke::Wish(Wish::Stop) => return Ok(End::Stop),
                Woke::Wish(Wish::Join(ticket)) => return Ok(End::Join(ticket)),
                Woke::Request(request) => self.take_request(request),
                Woke::Event(event) => self.take_event(event),
                Woke::Input(input) => self.take(input),
            }
        }
    }

    /// Says goodbye and makes everything durable.
    pub async fn stop(self) {
        let Hands { net, store, replies, .. } = self.parts.hands;
        drop(replies);
        net.stop().await;
        // Closing waits for threads that finish their writes.
        if tokio::task::spawn_blocking(move || store.close()).await.is_err() {
            tracing::error!("the store did not close properly; its tail is checked at the next start");
        }
    }

    async fn wait(&mut self) -> Result<Woke, DaemonError> {
        let NodeParts { engine, clock, requests, events, done, wishes, .. } = &mut self.parts;
        let deadline = engine.deadline().map(|mono| clock.instant(mono));
        let timeout = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        Ok(tokio::select! {
            Some(wish) = wishes.recv() => Woke::Wish(wish),
            Some(request) = requests.recv() => Woke::Request(request),
            Some(input) = done.recv() => Woke::Input(input),
            event = events.recv() => Woke::Event(event.ok_or(DaemonError::Ended)?),
            () = timeout => Woke::Input(Input::Timeout),
        })
    }

    /// Events that came before the loop ran.
    pub fn take_all(&mut self, events: Vec<NetEvent>) {
        events.into_iter().for_each(|event| self.take_event(event));
    }

    fn take_request(&mut self, request: Request) {
        match request {
            Request::Command { op, command, answer } => {
                self.parts.hands.replies.insert(op, answer);
                self.take(Input::Command { op, command });
            }
            Request::Cancel(op) => {
                if self.parts.hands.replies.remove(&op).is_some() {
                    self.take(Input::Command { op, command: fsdfs_core::seam::Command::Cancel { op } });
                }
            }
        }
    }

    fn take_event(&mut self, event: NetEvent) {
        let peer = |node, event| Input::Peer { node, event };
        self.take(match event {
            NetEvent::Message { from, message, payload } => Input::Message { from, message, payload },
            NetEvent::Up { node, facts } => peer(node, PeerEvent::Up { facts }),
            NetEvent::Down { node } => peer(node, PeerEvent::Down),
            NetEvent::Progress { node } => peer(node, PeerEvent::Progress),
            NetEvent::Unreachable { node, refused } => {
                if let Some(verdict) = refused {
                    tracing::warn!(node = %node.short(), ?verdict, "a member was reached, but does not let this node in");
                }
                peer(node, PeerEvent::Unreachable)
            }
            NetEvent::Listening(_) => return self.addresses_may_have_changed(),
        });
    }

    fn addresses_may_have_changed(&mut self) {
        let addrs = addresses(&self.parts.config, &self.parts.hands.net);
        if addrs != self.addrs {
            self.addrs.clone_from(&addrs);
            self.take(Input::Addresses(addrs));
        }
    }

    fn take(&mut self, input: Input) {
        if self.unsettled && matches!(input, Input::Disk { done: DiskDone::Logged(true), .. }) {
            self.settle_instance();
        }
        let mut effects = std::mem::take(&mut self.effects);
        self.parts.engine.handle(self.parts.clock.now(), input, &mut effects);
        self.carry_out_all(&mut effects);
        self.effects = effects;
    }

    /// Carries out the effects of the start.
    pub fn carry_out(&mut self, mut effects: Effects) {
        self.carry_out_all(&mut effects);
    }

    fn carry_out_all(&mut self, effects: &mut Effects) {
        // The gate goes first: a peer that is dropped now must not come in again by older facts.
        self.parts.hands.publish(&self.parts.engine);
        for effect in effects.drain(..) {
            self.parts.hands.carry_out(effect);
        }
    }

    fn settle_instance(&mut self) {
        self.unsettled = false;
        let instance = self.parts.instance.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = instance.settle() {
                tracing::warn!("{error}: the node will take its home folder for a copy again at its next start");
            }
        });
    }
}

impl Hands {
    pub fn new(
        net: Net,
        keeper: Arc<Gatekeeper>,
        store: Store,
        pool: CryptoPool,
        done: mpsc::UnboundedSender<Input>,
        shared: watch::Sender<Shared>,
    ) -> Self {
        let (replies, told) = (BTreeMap::new(), BTreeMap::new());
        Self { net, keeper, store, pool, done, shared, replies, facts_version: 0, told }
    }

    /// What gateways must know before they can seal.
    pub fn shared(engine: &Engine) -> Shared {
        let pool = engine.facts().pool();
        Shared { pool, keys: engine.keys(pool.volume()).cloned(), copies: engine.facts().rules().copies }
    }

    /// Tells gate, Kademlia and gateways what the facts say now, if they changed.
    fn publish(&mut self, engine: &Engine) {
        if self.facts_version != engine.facts_version() {
            self.facts_version = engine.facts_version();
            self.keeper.update(engine.facts().clone());
            self.tell_addresses(engine);
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

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, message, block } => self.net.send(to, message, block),
            Effect::Disk { request, token } => {
                let inputs = self.done.clone();
                // After the loop's end nobody needs the answer.
                self.store.submit(request, move |done| drop(inputs.send(Input::Disk { token, done })));
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
                        drop(inputs.send(Input::Work { token, job: Box::new(job), done }));
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
            Effect::Disconnect { node, reason } => self.net.drop_peer(node, reason),
            Effect::Notice(notice) => tracing::warn!("{}", crate::words::notice(&notice)),
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
