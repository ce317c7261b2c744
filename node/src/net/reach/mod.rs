//! Finds out which addresses of this node are open, by asking members to send packets to them; and does the same for them.
//!
//! A connection proves nothing: a router lets in whoever its own side has spoken to. So members send from sockets that were
//! never used (spec 04-wire, "Meeting").

mod candidates;
mod machine;
mod report;
mod sender;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fsdfs_core::seam::TrafficClass;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Message;
use fsdfs_proto::message::meeting::ProbeRequest;
use fsdfs_proto::packet::Packet;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use machine::{ReachInput, ReachMachine, ReachPeer, ReachQuestion};
pub use report::{ProvenReach, ReachMeter, ReachReport};
use sender::ProbeSender;

use super::command::OwnAddresses;
use super::event::ProbeMessage;
use super::findings::Reachability;
use super::handshake::gatekeeper::Gatekeeper;
use super::session::SessionHub;
use super::socket::{PeerPacket, SocketHandle};
use crate::random;

/// What members said and is not looked at yet. Whoever says more is not heard.
pub(super) const MESSAGES_WAITING_MAX: usize = 64;

/// What the task is given.
pub(super) struct ReachParts {
    /// Addresses that the owner named.
    pub named: Vec<SocketAddr>,
    pub addresses: Arc<OwnAddresses>,
    pub hub: Arc<SessionHub>,
    pub keeper: Arc<Gatekeeper>,
    pub messages: mpsc::Receiver<ProbeMessage>,
    pub packets: mpsc::Receiver<PeerPacket>,
    pub socket: SocketHandle,
}

/// Runs until it is dropped.
pub(super) fn start(parts: ReachParts) -> AbortOnDropHandle<()> {
    let task = ReachTask {
        machine: ReachMachine::new(u64::from_be_bytes(random::bytes())),
        sender: ProbeSender::new(Arc::clone(&parts.hub), Arc::clone(&parts.keeper)),
        begun: Instant::now(),
        parts,
    };
    AbortOnDropHandle::new(tokio::spawn(task.run()))
}

struct ReachTask {
    parts: ReachParts,
    machine: ReachMachine,
    sender: ProbeSender,
    begun: Instant,
}

impl ReachTask {
    async fn run(mut self) {
        let mut changes = self.parts.addresses.watch();
        let mut opened = self.parts.hub.watch_opened();
        self.look();
        loop {
            let deadline = self.machine.deadline().map(|at| self.begun + Duration::from_millis(at));
            let due = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) => self.look(),
                    Err(_) => return,
                },
                // Where a peer is, is known a moment before something can be sent to it.
                Ok(()) = opened.changed() => self.look(),
                Some(said) = self.parts.messages.recv() => self.on_message(said),
                Some(packet) = self.parts.packets.recv() => self.on_packet(&packet),
                () = due => self.handle(ReachInput::Timeout),
            }
        }
    }

    fn look(&mut self) {
        let known = {
            let table = self.parts.addresses.lock();
            let addresses = candidates::of(&table, &self.parts.named);
            let peer = |(node, at): (&NodeId, &SocketAddr)| {
                Some((*node, ReachPeer { at: *at, session: self.parts.hub.session(*node)? }))
            };
            ReachInput::Known { addresses, peers: table.remotes.iter().filter_map(peer).collect() }
        };
        self.handle(known);
    }

    fn on_message(&mut self, ProbeMessage { from, message }: ProbeMessage) {
        match message {
            Message::Probe(request) => self.sender.send(from, &request, self.begun.elapsed()),
            Message::ProbeReply(request) => self.handle(ReachInput::Sent { from, request }),
            _ => {}
        }
    }

    fn on_packet(&mut self, PeerPacket { peer, packet, .. }: &PeerPacket) {
        if let Packet::Probe { nonce } = packet
            && self.machine.asked_for(*nonce) == Some(*peer)
        {
            self.handle(ReachInput::Arrived { nonce: *nonce });
        }
    }

    fn handle(&mut self, input: ReachInput) {
        let mut questions = Vec::new();
        let now = u64::try_from(self.begun.elapsed().as_millis()).expect("584 million years");
        self.machine.handle(now, input, &mut questions);
        for ReachQuestion { node, request, nonce, address } in questions {
            // With too many, this one is not heard: as if its packets were lost.
            self.parts.socket.expect_probe(nonce, node);
            let asked = ProbeRequest { request, nonce, addresses: vec![address.into()] };
            self.parts.hub.send(node, Message::Probe(asked), None, TrafficClass::User);
        }
        let verdicts: BTreeMap<SocketAddr, Reachability> = self.machine.verdicts();
        let news = verdicts.clone();
        if self.parts.addresses.change(|table| std::mem::replace(&mut table.verdicts, verdicts) != news) {
            tracing::info!(verdicts = ?news, "members have tried this node's addresses");
        }
    }
}
