//! Members that lie: machines with real nodes, of which what goes out is changed, and which say more than their nodes would.
//!
//! A member turns at a moment, after which nothing that is on its machine counts: no checker expects anything of it. It can do
//! what its key and the keys of the shared volume let it do, and goes on after it was revoked.

use fsdfs_core::seam::Effect;
use std::collections::BTreeMap;

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::repair::{AssuredState, Holding, OfferOutcome, PullOutcome};
use fsdfs_proto::message::{FetchOutcome, IDS_MAX, Message, Possession, StoreOutcome};

use super::forgery::{Forger, HostileMember, HostileWay};
use super::{MachineId, QueuedEvent, World};
use crate::world::observed::{HonestView, Observed};
use crate::world::queue::{Micros, S};

/// Between two rounds of one that lies.
const ROUND: Micros = 2 * S;
/// Blocks that nobody has, in one list.
const LISTED: usize = 64;

impl World {
    /// From now on this machine's member lies.
    pub fn turn(&mut self, id: MachineId, way: HostileWay, seed: u64) {
        self.trace.note(self.at, &("turn", id, seed), || format!("node {id} turns: {way:?}"));
        let here = &self.machines[id];
        let forger = Forger::new(self.pool.id, here.key, seed);
        self.hostile.insert(id, HostileMember { way, forger, revoked: false });
        let node = here.node;
        self.observe(Observed::MemberTurned { machine: id, node });
        self.operations_of_crashed(id);
        self.queue.plan(self.at + ROUND, QueuedEvent::Mischief { machine: id });
    }

    /// Whether a machine's member lies.
    pub fn is_hostile(&self, id: MachineId) -> bool {
        self.hostile.contains_key(&id)
    }

    /// Members that lie and that nobody has revoked.
    pub fn at_large(&self) -> Vec<MachineId> {
        self.hostile.iter().filter(|(_, member)| !member.revoked).map(|(id, _)| *id).collect()
    }

    /// A user's node has revoked it.
    pub(crate) fn revoked(&mut self, node: NodeId) {
        let here = self.hostile.keys().copied().find(|id| self.machines[*id].node == node);
        let Some(machine) = here else { return };
        self.hostile.entry(machine).and_modify(|member| member.revoked = true);
        self.observe(Observed::MemberRevoked { machine });
    }

    /// Says to every peer what its way has to say in this round.
    pub(super) fn mischief(&mut self, machine: MachineId) {
        self.queue.plan(self.at + ROUND, QueuedEvent::Mischief { machine });
        let here = &self.machines[machine];
        if !here.runs() {
            return;
        }
        let Some(process) = &here.process else { return };
        let peers: Vec<NodeId> = process.peers.keys().copied().collect();
        let known = (process.engine.facts(), here.clock.now(self.at).wall);
        let blocks = here.store.ids().take(256).collect();
        let Some(member) = self.hostile.get_mut(&machine) else { return };
        member.forger.holds(process.engine.keys(self.pool.volume()));
        let (heads, parcels) = member.forger.round(member.way, known, blocks);
        let blocks: Vec<Block> = parcels.iter().filter_map(|parcel| parcel.block.clone()).collect();
        for head in heads {
            self.observe(Observed::HeadForged { head, blocks: blocks.clone() });
        }
        for to in peers {
            for parcel in parcels.clone() {
                self.send(machine, to, parcel);
            }
        }
    }

    /// What a lying member's node wants done, as the member does it.
    pub(super) fn corrupt(&self, machine: MachineId, effects: &mut Vec<Effect>) {
        let Some(member) = self.hostile.get(&machine) else { return };
        // Nobody asks it anything.
        effects.retain(|effect| !matches!(effect, Effect::Reply { .. }));
        match member.way {
            HostileWay::Lying => effects.iter_mut().for_each(lie),
            HostileWay::Listing => effects.iter_mut().for_each(list_nothing),
            _ => {}
        }
    }

    /// What honest nodes keep and believe of each other.
    pub fn honest_views(&self) -> Vec<HonestView> {
        let honest = |id: &MachineId| !self.machines[*id].gone && !self.is_hostile(*id);
        (0..self.machines.len()).filter(honest).filter_map(|id| self.honest_view(id)).collect()
    }

    fn honest_view(&self, machine: MachineId) -> Option<HonestView> {
        let here = &self.machines[machine];
        let facts = here.process.as_ref()?.engine.facts();
        let wall = here.clock.now(self.at).wall;
        let lets_in = |(node, chain)| facts.judge(wall, node, chain, &[]).is_ok();
        let mut fact_bytes = BTreeMap::new();
        facts.all().for_each(|fact| *fact_bytes.entry(fact.kind()).or_default() += fact.payload_len() as u64);
        let weight = |server: fsdfs_core::placement::MapServer| {
            (server.id, server.disks.iter().map(|disk| u64::from(disk.weight)).sum::<u64>())
        };
        let records = here.store.disks.iter().flat_map(|disk| disk.records.values());
        let claims = records.clone().flat_map(|record| record.info.redundancies.iter());
        let own = facts.members().get(&here.node);
        let drained = own.and_then(|own| own.absence.as_ref()).is_some_and(|said| said.value().drained.is_none());
        let offers = !drained && !facts.is_removed(here.node);
        Some(HonestView {
            machine,
            offers,
            node: here.node,
            fact_bytes,
            weights: facts.servers().into_iter().map(weight).collect(),
            claimed: claims.map(|claim| claim.copies()).max().unwrap_or(0),
            blocks: records.map(|record| record.block.clone()).collect(),
            lets_back: self.hostile.values().filter_map(|member| member.forger.comeback()).any(lets_in),
        })
    }
}

/// It has all, tells of nothing, and of members the contrary.
fn lie(effect: &mut Effect) {
    let Effect::Send { message, block, .. } = effect else { return };
    match message {
        Message::HaveReply(reply) => reply.answers.iter_mut().for_each(|answer| *answer = Possession::Yes),
        Message::StoreReply(reply) => reply.outcome = StoreOutcome::Stored,
        Message::RelayedStoreReply(reply) => reply.outcome = StoreOutcome::Stored,
        Message::FetchReply(reply) => {
            (reply.outcome, reply.block) = (FetchOutcome::No, None);
            *block = None;
        }
        Message::HeadsReply(reply) => reply.facts.clear(),
        Message::EntitledReply(reply) => reply.entitled = !reply.entitled,
        _ => {}
    }
}

/// It lists blocks that nobody has, says that it has what it is asked for, and never gives any out.
fn list_nothing(effect: &mut Effect) {
    let Effect::Send { message, block, .. } = effect else { return };
    match message {
        Message::HoldingsReply(reply) => {
            // What it was asked about it has, too.
            reply.lacks.clear();
            let real: Vec<Holding> = reply.items.clone();
            let made_up = real.iter().take(LISTED).map(|item| Holding { id: made_up(item.id), ..*item });
            reply.items.extend(made_up.collect::<Vec<_>>());
            reply.items.truncate(IDS_MAX);
            reply.items.sort_by_key(|item| item.id);
        }
        Message::PullReply(reply) => {
            (reply.outcome, reply.block) = (PullOutcome::No, None);
            *block = None;
        }
        Message::OfferReply(reply) => reply.outcomes.iter_mut().for_each(|outcome| *outcome = OfferOutcome::WillPull),
        Message::AssureReply(reply) => reply.copies.iter_mut().for_each(|copy| copy.state = AssuredState::Held),
        _ => lie(effect),
    }
}

/// An id that no block has, beside this one.
fn made_up(id: BlockId) -> BlockId {
    let mut bytes = id.0;
    bytes[31] ^= 1;
    BlockId(bytes)
}
