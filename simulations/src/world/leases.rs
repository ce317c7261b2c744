//! What a node was asked about the blocks that it has, renewals of leases among it, and how its store is when it answers.

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::repair::{OfferOutcome, OfferReply, OfferRequest};
use fsdfs_proto::message::{HaveReply, HaveRequest, Possession};

use super::observed::{LeaseAnswer, Observed};
use super::{MachineId, World};
use crate::world::machine::LeaseRequest;

impl World {
    /// A peer asks a node to keep blocks for longer.
    pub(super) fn lease_asked(&mut self, machine: MachineId, from: NodeId, have: &HaveRequest) {
        let here = &mut self.machines[machine];
        let Some(process) = here.process.as_mut().filter(|_| have.renew) else { return };
        let leases = LeaseRequest { ids: have.ids.clone(), before: here.store.renewed };
        process.leases.insert((from, have.request), leases);
    }

    /// It says which ones it has.
    pub(super) fn lease_answered(&mut self, machine: MachineId, to: NodeId, reply: &HaveReply) {
        let here = &mut self.machines[machine];
        let asked = here.process.as_mut().and_then(|process| process.leases.remove(&(to, reply.request)));
        let Some(LeaseRequest { ids, before }) = asked else { return };
        let store = &here.store;
        let answer = |(block, said)| LeaseAnswer {
            block,
            said,
            lapses: store.lapses(block, before),
            readable: store.could_read_since(block, before),
        };
        let answers = ids.into_iter().zip(reply.answers.iter().copied()).map(answer).collect();
        self.observe(Observed::LeasesAnswered { machine, answers });
    }

    /// A peer offers blocks to a node.
    pub(super) fn offer_asked(&mut self, machine: MachineId, from: NodeId, offer: &OfferRequest) {
        let here = &mut self.machines[machine];
        let Some(process) = here.process.as_mut() else { return };
        let ids = offer.items.iter().map(|item| item.id).collect();
        process.leases.insert((from, offer.request), LeaseRequest { ids, before: here.store.renewed });
    }

    /// It says which of them it lacks.
    pub(super) fn offer_answered(&mut self, machine: MachineId, to: NodeId, reply: &OfferReply) {
        let here = &mut self.machines[machine];
        let asked = here.process.as_mut().and_then(|process| process.leases.remove(&(to, reply.request)));
        let Some(LeaseRequest { ids, before }) = asked else { return };
        let lacks = ids.into_iter().zip(&reply.outcomes).filter(|(_, outcome)| **outcome == OfferOutcome::WillPull);
        let store = &here.store;
        let answer = |block| LeaseAnswer {
            block,
            said: Possession::No,
            lapses: false,
            readable: store.could_read_since(block, before),
        };
        let answers = lacks.map(|(block, _)| answer(block)).collect();
        self.observe(Observed::LeasesAnswered { machine, answers });
    }
}
