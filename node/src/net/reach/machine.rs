//! Which addresses of this node are proven to be open, by what members could do. Pure: time, answers and chance are handed in.
//!
//! Promise: an address is *open* only if a packet came through it that a member sent from a socket which this node had
//! never sent anything to, and *closed* only if every member that was asked sent one, and none came. Each is asked at most
//! [`QUESTIONS_MAX`] things at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use fsdfs_proto::ids::{NodeId, ProbeNonce};
use fsdfs_proto::message::RequestId;

use crate::net::findings::{Reachability, is_public};

/// Members asked about one address at once: one's own line may be at fault.
const JUDGES: usize = 2;
/// Open questions at most, of all addresses.
pub(super) const QUESTIONS_MAX: usize = 16;
/// A member has so long to send its packets, and to say so.
const ANSWER_MS: u64 = 5_000;
/// A packet that was not here so long after the member said that it was sent does not come.
const ARRIVAL_MS: u64 = 2_000;
/// What is known is found out anew after this: owners change their routers.
const VERIFY_MS: u64 = 30 * 60_000;
/// If no one said anything: they may be of a version that cannot, or have no way to such an address. Who comes later is asked at once.
const NO_ANSWER_MS_MAX: u64 = 5 * 60_000;
/// So long after the first time: a question or its answer may be lost with a connection that ends. It doubles.
const NO_ANSWER_MS_MIN: u64 = 10_000;

/// What the machine is told.
#[derive(Clone, Debug)]
pub(super) enum ReachInput {
    /// Addresses that may lead to this node, and the connected members.
    Known { addresses: BTreeSet<SocketAddr>, peers: BTreeMap<NodeId, ReachPeer> },
    /// A member has sent its packets.
    Sent { from: NodeId, request: RequestId },
    /// One of them came.
    Arrived { nonce: ProbeNonce },
    /// Time has passed.
    Timeout,
}

/// A connected member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReachPeer {
    pub at: SocketAddr,
    /// Questions and answers are lost with it.
    pub session: u64,
}

/// "Send a packet with this nonce to that address."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReachQuestion {
    pub node: NodeId,
    pub request: RequestId,
    pub nonce: ProbeNonce,
    pub address: SocketAddr,
}

/// See the module.
pub(super) struct ReachMachine {
    chance: fastrand::Rng,
    peers: BTreeMap<NodeId, ReachPeer>,
    addresses: BTreeMap<SocketAddr, CandidateAddress>,
    open: Vec<OpenQuestion>,
}

/// An address that may lead here.
#[derive(Default)]
struct CandidateAddress {
    verdict: Option<Reachability>,
    /// When members are asked about it.
    ask_at: u64,
    /// Of those that were asked now: how many sent a packet that did not come.
    missed: usize,
    /// How often nobody said anything.
    unanswered: u32,
}

impl CandidateAddress {
    /// How long to wait before the next time.
    fn note_unanswered(&mut self) -> u64 {
        let pause = NO_ANSWER_MS_MIN << self.unanswered.min(10);
        self.unanswered += 1;
        pause.min(NO_ANSWER_MS_MAX)
    }
}

struct OpenQuestion {
    asked: ReachQuestion,
    /// Afterwards nothing is expected any more.
    until: u64,
    is_sent: bool,
}

impl ReachMachine {
    pub fn new(seed: u64) -> Self {
        let chance = fastrand::Rng::with_seed(seed);
        Self { chance, peers: BTreeMap::new(), addresses: BTreeMap::new(), open: Vec::new() }
    }

    pub fn handle(&mut self, now: u64, input: ReachInput, out: &mut Vec<ReachQuestion>) {
        match input {
            ReachInput::Known { addresses, peers } => self.on_known(now, &addresses, peers),
            ReachInput::Sent { from, request } => {
                let is_it = |open: &&mut OpenQuestion| open.asked.node == from && open.asked.request == request;
                if let Some(open) = self.open.iter_mut().find(is_it) {
                    (open.is_sent, open.until) = (true, now + ARRIVAL_MS);
                }
            }
            ReachInput::Arrived { nonce } => self.on_arrived(now, nonce),
            ReachInput::Timeout => {}
        }
        self.give_up(now);
        self.ask(now, out);
    }

    /// When [`ReachInput::Timeout`] has something to do.
    pub fn deadline(&self) -> Option<u64> {
        let questions = self.open.iter().map(|open| open.until);
        let candidates = self.addresses.iter().filter(|(address, _)| self.may_ask_about(**address));
        questions.chain(candidates.map(|(_, candidate)| candidate.ask_at)).min()
    }

    /// Which member was asked to send this nonce.
    pub fn asked_for(&self, nonce: ProbeNonce) -> Option<NodeId> {
        self.open.iter().find(|open| open.asked.nonce == nonce).map(|open| open.asked.node)
    }

    pub fn verdicts(&self) -> BTreeMap<SocketAddr, Reachability> {
        let known = self.addresses.iter();
        known.filter_map(|(address, candidate)| candidate.verdict.map(|verdict| (*address, verdict))).collect()
    }

    fn on_known(&mut self, now: u64, addresses: &BTreeSet<SocketAddr>, peers: BTreeMap<NodeId, ReachPeer>) {
        let before = std::mem::replace(&mut self.peers, peers);
        let session = |peer: Option<&ReachPeer>| peer.map(|peer| peer.session);
        let is_new = |node: &NodeId| session(before.get(node)) != session(self.peers.get(node));
        let came = self.peers.keys().any(is_new);
        // What was asked on a connection that ended is asked again: two that dial each other have two for a moment.
        self.open.retain(|open| !is_new(&open.asked.node));
        self.addresses.retain(|address, _| addresses.contains(address));
        self.open.retain(|open| addresses.contains(&open.asked.address));
        for address in addresses {
            self.addresses
                .entry(*address)
                .or_insert_with(|| CandidateAddress { ask_at: now, ..CandidateAddress::default() });
        }
        // Somebody new may be able to tell what nobody could.
        let unknown = self.addresses.values_mut().filter(|candidate| came && candidate.verdict.is_none());
        unknown.for_each(|candidate| candidate.ask_at = now);
    }

    fn on_arrived(&mut self, now: u64, nonce: ProbeNonce) {
        let Some(open) = self.open.iter().find(|open| open.asked.nonce == nonce) else { return };
        let address = open.asked.address;
        self.open.retain(|open| open.asked.address != address);
        if let Some(candidate) = self.addresses.get_mut(&address) {
            *candidate = CandidateAddress {
                verdict: Some(Reachability::Open),
                ask_at: now + VERIFY_MS,
                ..CandidateAddress::default()
            };
        }
    }

    /// Ends questions whose time is over, and judges addresses about which nobody has anything to say any more.
    fn give_up(&mut self, now: u64) {
        let (over, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.open).into_iter().partition(|open| open.until <= now);
        self.open = open;
        for question in over {
            let address = question.asked.address;
            let Some(candidate) = self.addresses.get_mut(&address) else { continue };
            candidate.missed += usize::from(question.is_sent);
            if self.open.iter().any(|open| open.asked.address == address) {
                continue;
            }
            // Nobody's answer is no answer: what was known before stays.
            candidate.ask_at = now
                + match std::mem::take(&mut candidate.missed) {
                    0 => candidate.note_unanswered(),
                    _ => {
                        (candidate.verdict, candidate.unanswered) = (Some(Reachability::Closed), 0);
                        VERIFY_MS
                    }
                };
        }
    }

    fn ask(&mut self, now: u64, out: &mut Vec<ReachQuestion>) {
        let due = self.addresses.iter().filter(|(_, candidate)| candidate.ask_at <= now);
        let due: Vec<SocketAddr> = due.map(|(address, _)| *address).collect();
        for address in due {
            if !self.may_ask_about(address) {
                continue;
            }
            let mut judges: Vec<NodeId> = self.judges(address).collect();
            self.chance.shuffle(&mut judges);
            for node in judges.into_iter().take(JUDGES) {
                let (request, nonce) = (self.chance.u64(1..), ProbeNonce(self.chance.u128(..).to_be_bytes()));
                let asked = ReachQuestion { node, request, nonce, address };
                self.open.push(OpenQuestion { asked, until: now + ANSWER_MS, is_sent: false });
                out.push(asked);
            }
        }
    }

    /// Nothing is open about it, there is room for questions, and somebody to be asked.
    fn may_ask_about(&self, address: SocketAddr) -> bool {
        let is_asked = self.open.iter().any(|open| open.asked.address == address);
        !is_asked && self.open.len() + JUDGES <= QUESTIONS_MAX && self.judges(address).next().is_some()
    }

    /// Those that are elsewhere: a packet from the same network takes another way, or none.
    fn judges(&self, address: SocketAddr) -> impl Iterator<Item = NodeId> {
        let is_elsewhere = move |ip: IpAddr| is_public(ip) && ip != address.ip();
        self.peers.iter().filter(move |(_, peer)| is_elsewhere(peer.at.ip())).map(|(node, _)| *node)
    }
}

#[cfg(test)]
mod tests;
