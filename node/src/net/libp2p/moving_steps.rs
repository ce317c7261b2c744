//! Lets the driver act when this machine has slept or moved, or nothing comes from a peer.

use std::net::SocketAddr;

use fsdfs_proto::ids::NodeId;
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};

use super::address;
use super::driver::SwarmDriver;
use super::moving::MovingWakeup;
use crate::net::command::NetCommand;
use crate::net::discovery::resolve;
use crate::net::event::NetEvent;
use crate::net::findings::is_local;
use crate::net::meet::MeetInput;
use crate::net::moving::{LinkPackets, MovingInput, MovingOutput};
use crate::net::way_out::{WayOut, with_sleep};

impl SwarmDriver {
    pub(super) fn on_moving(&mut self, wakeup: MovingWakeup) {
        let input = match wakeup {
            MovingWakeup::Timeout => MovingInput::Timeout,
            MovingWakeup::Tick => {
                let way_out = WayOut::now();
                if std::mem::replace(&mut self.moving.way_out, way_out) != way_out {
                    tracing::info!("this machine has another way out");
                    self.note_moving(MovingInput::Changed);
                }
                MovingInput::Tick { with_sleep: with_sleep(), links: self.link_packets() }
            }
        };
        self.note_moving(input);
        self.addresses.lock().silence = self.moving.machine.silence(self.moving.now());
    }

    fn link_packets(&self) -> Vec<LinkPackets> {
        let links = self.hub.packets().into_iter();
        let table = self.addresses.lock();
        links
            .map(|(node, packets)| LinkPackets { node, is_relayed: table.relays.contains_key(&node), packets })
            .collect()
    }

    pub(super) fn note_moving(&mut self, input: MovingInput) {
        let mut outputs = Vec::new();
        self.moving.machine.handle(self.moving.now(), input, &mut outputs);
        // Known before any dial that follows from it.
        for output in &outputs {
            if let MovingOutput::Silence(node, is_silent) = output {
                self.hub.links.note_silence(*node, *is_silent);
            }
        }
        self.patience.note_line(self.hub.links.are_silent());
        for output in outputs {
            match output {
                MovingOutput::Refresh => self.refresh(),
                MovingOutput::Dial(node) => self.try_anew(node),
                MovingOutput::Silence(node, is_silent) => {
                    tracing::debug!(?node, is_silent, "whether anything comes over a link");
                    if is_silent {
                        self.meet(MeetInput::Suspect(node));
                    }
                }
                MovingOutput::Lossy(node) => {
                    tracing::debug!(?node, "a relay loses too much");
                    // What is under way would have to leave over it.
                    self.hub.links.note_silence(node, true);
                    self.meet(MeetInput::Lossy(node));
                }
            }
        }
    }

    /// A dial of a connected peer has ended, if it was one.
    pub(super) fn end_redial(&mut self, connection: ConnectionId) {
        if let Some(node) = self.moving.dials.remove(&connection) {
            self.note_moving(MovingInput::DialEnded(node));
        }
    }

    /// What was found out on another network says nothing of this one.
    fn refresh(&mut self) {
        tracing::info!("this machine slept or moved; all members are tried again");
        for node in self.searches.end_all() {
            self.events.push_back(NetEvent::Unreachable { node, refused: None });
        }
        self.budget.forget_all();
        self.patience.forget_all();
        self.addresses.note_move();
        self.events.push_back(NetEvent::Moved);
        let has = |ip| self.addresses.lock().listening.iter().any(|addr| addr.ip() == ip);
        for node in self.hub.stranded(has) {
            self.note_moving(MovingInput::Stranded(node));
        }
    }

    fn try_anew(&mut self, node: NodeId) {
        let named = self.moving.named.get(&node).cloned().unwrap_or_default();
        let (numbers, names): (Vec<_>, Vec<_>) = named.into_iter().partition(|addr| addr.parse::<SocketAddr>().is_ok());
        let addrs = numbers.iter().filter_map(|addr| addr.parse().ok()).collect();
        let addrs = self.dialled_of(node, addrs);
        self.redial(node, addrs);
        // A name server may be slow.
        let orders = self.orders.clone();
        tokio::spawn(async move {
            let addrs = resolve::all(&names).await;
            if let Some(orders) = orders.upgrade().filter(|_| !addrs.is_empty()) {
                let _ = orders.send(NetCommand::Redial { node, addrs });
            }
        });
    }

    /// Dials a peer that is connected, or its connection ends just now.
    pub(super) fn redial(&mut self, node: NodeId, mut addrs: Vec<SocketAddr>) {
        // Of more than are dialled at once the nearest go first.
        addrs.sort_by_key(|addr| !is_local(addr.ip()));
        let Some(peer) = address::peer_id(node) else { return };
        let dial = DialOpts::peer_id(peer).condition(PeerCondition::Always);
        let dial = dial.addresses(addrs.into_iter().map(address::quic).collect()).build();
        let connection = dial.connection_id();
        self.moving.dials.insert(connection, node);
        if let Err(error) = self.swarm.dial(dial) {
            tracing::debug!(?node, %error, "not dialled");
            self.end_redial(connection);
        }
    }
}
