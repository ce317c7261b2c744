//! The loop. [`NodeLoop::wait`] only waits: cancelling it loses nothing, for nothing was decided. [`NodeLoop::take`] lets the engine
//! decide and carries out what it says; that waits for nothing.

use fsdfs_core::engine::Engine;
use fsdfs_core::seam::{DiskDone, Effect, Input, PeerEvent};
use fsdfs_proto::ids::NodeId;
use tokio::sync::mpsc;

use super::addresses::addresses;
use super::effect_runner::EffectRunner;
use super::error::DaemonError;
use super::task_completion::TaskCompletion;
use crate::client::{ClientRequest, Lifecycle};
use crate::clock::Clock;
use crate::config::Config;
use crate::home::Instance;
use crate::net::NetEvent;

pub(super) struct NodeParts {
    pub engine: Engine,
    pub clock: Clock,
    pub runner: EffectRunner,
    pub config: Config,
    pub instance: Instance,
    pub requests: mpsc::UnboundedReceiver<ClientRequest>,
    pub events: mpsc::Receiver<NetEvent>,
    pub done: mpsc::UnboundedReceiver<TaskCompletion>,
}

/// One node: decisions and runner.
pub(super) struct NodeLoop {
    parts: NodeParts,
    effects: Vec<Effect>,
    addrs: Vec<String>,
    /// The new incarnation of a copied home is not durable yet.
    is_new_instance: bool,
    /// Inputs since the last one of a peer.
    own_in_a_row: u32,
    /// It was said what helps if members are reached through others.
    told_of_relays: bool,
}

/// So many inputs of this node's own go before one of a peer: both go on, however much there is of the other.
const OWN_IN_A_ROW_MAX: u32 = 8;

/// What the loop woke up for.
enum Wakeup {
    Request(ClientRequest),
    Event(NetEvent),
    Input(Input),
    LogLong,
}

impl NodeLoop {
    pub fn new(parts: NodeParts) -> Self {
        let (addrs, is_new_instance) = (addresses(&parts.config, &parts.runner.net().reach()), parts.instance.is_copy);
        Self { parts, effects: Vec::new(), addrs, is_new_instance, own_in_a_row: 0, told_of_relays: false }
    }

    /// Runs until somebody asks for an end.
    pub async fn run(&mut self) -> Result<Lifecycle, DaemonError> {
        loop {
            match self.wait().await? {
                Wakeup::Request(ClientRequest::Lifecycle(change)) => return Ok(change),
                Wakeup::Request(request) => self.take_request(request),
                Wakeup::Event(event) => self.take_event(event),
                Wakeup::Input(input) => self.take(input),
                Wakeup::LogLong => self.parts.runner.compact_log(&self.parts.engine),
            }
        }
    }

    /// Says goodbye and makes everything durable.
    pub async fn stop(self) {
        self.parts.runner.stop().await;
    }

    async fn wait(&mut self) -> Result<Wakeup, DaemonError> {
        let NodeParts { engine, clock, requests, events, done, .. } = &mut self.parts;
        let deadline = engine.deadline().map(|mono| clock.instant(mono));
        let timeout = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        if self.own_in_a_row >= OWN_IN_A_ROW_MAX
            && let Ok(event) = events.try_recv()
        {
            self.own_in_a_row = 0;
            return Ok(Wakeup::Event(event));
        }
        // What this node's users wait for goes before what peers want of it: a peer that always wants something would else make
        // each of the twenty steps of a write wait for one of its messages. What is due is looked at with every input.
        let wakeup = tokio::select! {
            biased;
            Some(completion) = done.recv() => match completion {
                TaskCompletion::Input(input) => Wakeup::Input(input),
                TaskCompletion::LogLong => Wakeup::LogLong,
            },
            Some(request) = requests.recv() => Wakeup::Request(request),
            event = events.recv() => Wakeup::Event(event.ok_or(DaemonError::Ended)?),
            () = timeout => Wakeup::Input(Input::Timeout),
        };
        self.own_in_a_row = if matches!(wakeup, Wakeup::Event(_)) { 0 } else { self.own_in_a_row + 1 };
        Ok(wakeup)
    }

    /// Events that came before the loop ran.
    pub fn take_all(&mut self, events: Vec<NetEvent>) {
        events.into_iter().for_each(|event| self.take_event(event));
    }

    fn take_request(&mut self, request: ClientRequest) {
        match request {
            ClientRequest::Command { op, command, answer } => {
                self.parts.runner.expect_reply(op, answer);
                self.take(Input::Command { op, command });
            }
            ClientRequest::BeginDisk { path, answer } => self.parts.runner.begin_disk(path, answer),
            ClientRequest::Lifecycle(_) => unreachable!("the loop ends with it"),
            ClientRequest::Cancel(op) => {
                if self.parts.runner.forget_reply(op) {
                    self.take(Input::Command { op, command: fsdfs_core::seam::Command::Cancel { op } });
                }
            }
        }
    }

    fn take_event(&mut self, event: NetEvent) {
        let peer = |node, event| Input::Peer { node, event };
        let input = match event {
            NetEvent::Message { from, message, payload } => Input::Message { from, message, payload },
            NetEvent::Up { node, facts } => peer(node, PeerEvent::Up { facts }),
            NetEvent::Down { node } => peer(node, PeerEvent::Down),
            NetEvent::Relayed { node, member, bytes } => peer(node, PeerEvent::Relayed { member, bytes }),
            NetEvent::Misbehaved { node } => peer(node, PeerEvent::Misbehaved),
            NetEvent::Progress { node } => peer(node, PeerEvent::Progress),
            NetEvent::Unreachable { node, refused } => {
                if let Some(verdict) = refused {
                    tracing::warn!(node = %node.short(), ?verdict, "a member was reached, but does not let this node in");
                }
                peer(node, PeerEvent::Unreachable)
            }
            NetEvent::Moved => Input::Moved,
            NetEvent::Relays(relays) => Input::Relays(relays),
            NetEvent::RepairBudget(bytes_per_s) => Input::RepairBudget(bytes_per_s),
            NetEvent::Path { node, path, via, rtt_ms, is_change } => {
                if is_change {
                    self.note_path(node, via, rtt_ms);
                }
                peer(node, PeerEvent::Path(path))
            }
            NetEvent::Listening(_) | NetEvent::AddressesChanged => return self.addresses_may_have_changed(),
        };
        self.take(input);
    }

    /// Whoever has a slow connection is told once what would help.
    fn note_path(&mut self, node: NodeId, via: Option<NodeId>, rtt_ms: Option<u32>) {
        let (node, via) = (node.short(), via.map(|relay| relay.short()));
        tracing::info!(%node, via, rtt_ms, "the way to a member");
        if via.is_some() && !std::mem::replace(&mut self.told_of_relays, true) {
            tracing::warn!("{}", crate::gateway::words::reached_by_relays(self.parts.runner.net().port()));
        }
    }

    fn addresses_may_have_changed(&mut self) {
        let addrs = addresses(&self.parts.config, &self.parts.runner.net().reach());
        if addrs != self.addrs {
            self.addrs.clone_from(&addrs);
            self.take(Input::Addresses(addrs));
        }
    }

    fn take(&mut self, input: Input) {
        if self.is_new_instance && matches!(input, Input::Disk { done: DiskDone::Logged(true), .. }) {
            self.remember_instance();
        }
        let mut effects = std::mem::take(&mut self.effects);
        self.parts.engine.handle(self.parts.clock.now(), input, &mut effects);
        self.run_all(&mut effects);
        self.effects = effects;
    }

    /// Carries out the effects of the start.
    pub fn run_effects(&mut self, mut effects: Vec<Effect>) {
        self.run_all(&mut effects);
    }

    fn run_all(&mut self, effects: &mut Vec<Effect>) {
        // The gate goes first: a peer that is dropped now must not come in again by older facts.
        self.parts.runner.publish(&self.parts.engine);
        for effect in effects.drain(..) {
            self.parts.runner.run_effect(effect);
        }
    }

    fn remember_instance(&mut self) {
        self.is_new_instance = false;
        let instance = self.parts.instance.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = instance.remember_place() {
                tracing::warn!("{error}: the node will take its home folder for a copy again at its next start");
            }
        });
    }
}
