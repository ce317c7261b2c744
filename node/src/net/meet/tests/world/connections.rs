//! Connections: dialled, used, replaced, lost.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use fsdfs_proto::ids::{NodeId, SessionToken};

use super::{Connection, DIAL_MAX, Dial, Event, IDLE, Packet, REPEAT, SUSPECT, World};
use crate::net::meet::{MeetInput, MeetPath};

impl World {
    /// Both are connected directly, however that came.
    pub(in super::super) fn link(&mut self, a: NodeId, b: NodeId) {
        let is_v4 = self.address(a).is_ipv4();
        let there = self.hosts[&b].interfaces.iter().map(|(own, _)| *own).find(|own| own.is_ipv4() == is_v4);
        let address = there.expect("an address of one family");
        self.dial(a, b, MeetPath::Direct(address), false);
        let until = self.now + 2_000;
        self.run_until(until, |world| world.is_linked(a, b));
        assert!(self.is_linked(a, b), "{a:?} and {b:?} are not linked");
    }

    pub(in super::super) fn is_linked(&self, a: NodeId, b: NodeId) -> bool {
        self.in_use.contains_key(&(a, b)) && self.in_use.contains_key(&(b, a))
    }

    /// How the first is connected with the second.
    pub(in super::super) fn path(&self, a: NodeId, b: NodeId) -> Option<MeetPath> {
        let connection = &self.connections[self.in_use.get(&(a, b))?];
        connection.ends.iter().find(|(node, _)| *node == a).map(|(_, path)| *path)
    }

    pub(in super::super) fn is_direct(&self, a: NodeId, b: NodeId) -> bool {
        matches!(self.path(a, b), Some(MeetPath::Direct(_))) && matches!(self.path(b, a), Some(MeetPath::Direct(_)))
    }

    /// Stops it without a word.
    pub(in super::super) fn kill(&mut self, id: NodeId) {
        self.host(id).alive = false;
        let dead: Vec<usize> = self.connections.keys().copied().filter(|number| self.depends_on(*number, id)).collect();
        for number in dead {
            for (end, _) in self.connections[&number].ends {
                let other = self.other(number, end);
                self.later(SUSPECT, Event::Input { node: end, input: MeetInput::Suspect(other) });
                self.later(IDLE, Event::Drop { node: end, connection: number });
            }
        }
    }

    /// It ends its connections and stops.
    pub(in super::super) fn stop(&mut self, id: NodeId) {
        let own: Vec<usize> = self.connections.keys().copied().filter(|number| self.is_of(*number, id)).collect();
        for number in own {
            self.close(number);
        }
        self.host(id).alive = false;
    }

    pub(super) fn is_of(&self, number: usize, id: NodeId) -> bool {
        self.connections[&number].ends.iter().any(|(end, _)| *end == id)
    }

    pub(super) fn depends_on(&self, number: usize, id: NodeId) -> bool {
        let goes_over = |(end, path): &(NodeId, MeetPath)| match path {
            MeetPath::Relayed(token) => self.hosts[end].paths.get(token) == Some(&id),
            MeetPath::Direct(_) => false,
        };
        self.is_of(number, id) || self.connections[&number].ends.iter().any(goes_over)
    }

    pub(super) fn other(&self, number: usize, id: NodeId) -> NodeId {
        let [(one, _), (two, _)] = &self.connections[&number].ends;
        if *one == id { *two } else { *one }
    }

    pub(super) fn dial(&mut self, by: NodeId, to: NodeId, way: MeetPath, reported: bool) {
        self.dials.push(Dial { by, to, way, step: 0, ended: false, reported });
        let dial = self.dials.len() - 1;
        self.later(DIAL_MAX, Event::DialOver { dial });
        self.say(dial, 0);
    }

    /// The dialler says something, and again until it is answered.
    pub(super) fn say(&mut self, dial: usize, step: u8) {
        let Dial { by, to, way, .. } = self.dials[dial].clone();
        self.later(REPEAT, Event::Repeat { dial, step });
        match way {
            MeetPath::Direct(address) => self.packet(by, address, Packet::Dial { dial, step }),
            MeetPath::Relayed(token) => self.relayed(by, to, token, Packet::Dial { dial, step }),
        }
    }

    pub(super) fn on_dial_over(&mut self, dial: usize) {
        let Dial { by, to, way, ended, reported, .. } = self.dials[dial].clone();
        self.dials[dial].ended = true;
        if ended || !reported {
            return;
        }
        match way {
            MeetPath::Direct(address) => self.input(by, MeetInput::DialFailed { node: to, address }),
            MeetPath::Relayed(token) => self.input(by, MeetInput::Closed(token)),
        }
    }

    /// Two round trips: keys and gate. Repeats are answered again.
    pub(super) fn on_handshake(
        &mut self,
        dial: usize,
        step: u8,
        (from, via): (SocketAddr, Option<SessionToken>),
        at: NodeId,
    ) {
        let known = self.dials[dial].clone();
        if step.is_multiple_of(2) {
            let is_open = via.is_none_or(|token| self.hosts[&at].paths.contains_key(&token));
            if known.to != at || !is_open {
                return;
            }
            let answer = Packet::Dial { dial, step: step + 1 };
            match via {
                None => self.packet(at, from, answer),
                Some(token) => self.relayed(at, known.by, token, answer),
            }
            if step == 2 && !known.ended {
                let back = via.map_or(MeetPath::Direct(from), MeetPath::Relayed);
                self.dials[dial].ended = true;
                self.establish([(known.by, known.way), (at, back)]);
            }
        } else if known.by == at && known.step + 1 == step && step == 1 {
            self.dials[dial].step = 2;
            self.say(dial, 2);
        }
    }

    /// A connection takes the place of the one before.
    pub(super) fn establish(&mut self, ends: [(NodeId, MeetPath); 2]) {
        let [(a, _), (b, _)] = ends;
        self.number += 1;
        let number = self.number as usize;
        let before = self.in_use.get(&(a, b)).copied().into_iter().chain(self.in_use.get(&(b, a)).copied());
        let before: BTreeSet<usize> = before.collect();
        self.connections.insert(number, Connection { ends });
        for (end, path) in ends {
            let other = self.other(number, end);
            self.in_use.insert((end, other), number);
            self.input(end, MeetInput::Up { node: other, path });
        }
        for old in before {
            self.close(old);
        }
    }

    pub(super) fn close(&mut self, connection: usize) {
        let Some(known) = self.connections.get(&connection).cloned() else { return };
        for (end, _) in known.ends {
            self.drop_at(end, connection);
        }
    }

    /// A side sees that the connection is over.
    pub(super) fn drop_at(&mut self, id: NodeId, number: usize) {
        let Some(connection) = self.connections.get(&number).cloned() else { return };
        let Some((_, path)) = connection.ends.iter().find(|(end, _)| *end == id).copied() else { return };
        let other = self.other(number, id);
        let was_in_use = self.in_use.get(&(id, other)) == Some(&number);
        if was_in_use {
            self.in_use.remove(&(id, other));
            self.host(id).seen.remove(&other);
            self.input(id, MeetInput::Down(other));
        }
        let over = |known: &Connection, token| known.ends.contains(&(id, MeetPath::Relayed(token)));
        let is_last = |token| !self.connections.iter().any(|(other, known)| *other != number && over(known, token));
        if let MeetPath::Relayed(token) = path
            && is_last(token)
        {
            self.input(id, MeetInput::Closed(token));
        }
        if self.in_use.get(&(other, id)) != Some(&number) && self.in_use.get(&(id, other)) != Some(&number) {
            self.connections.remove(&number);
        }
    }
}
