//! Leases: which renewals a node was asked for, and how its store is when it answers.

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::{HaveReply, HaveRequest};

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
}
