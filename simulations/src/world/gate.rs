//! The gate, without its cryptography: each side judges the other by its facts; the first member that lets a newcomer in
//! signs its admission.

use ed25519_dalek::SigningKey;
use fsdfs_proto::identity::{Fact, GateRefusal};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;

use super::{MachineId, World};

impl World {
    /// What each side learns at the gate, or why it stays closed.
    pub(super) fn gate(&self, one: MachineId, other: MachineId) -> Result<[Vec<Fact>; 2], GateRefusal> {
        let (mut at_one, from_one) = self.judge(one, other)?;
        let (mut at_other, from_other) = self.judge(other, one)?;
        at_one.extend(from_other);
        at_other.extend(from_one);
        Ok([at_one, at_other])
    }

    /// What a machine learns from its peer's papers, and the admission that it signs and both keep.
    fn judge(&self, machine: MachineId, peer: MachineId) -> Result<(Vec<Fact>, Vec<Fact>), GateRefusal> {
        let (here, there) = (&self.machines[machine], &self.machines[peer]);
        let (Some(me), Some(newcomer)) = (&here.process, &there.process) else { return Ok(Default::default()) };
        let facts = me.engine.facts();
        let admissions = newcomer.engine.facts().admissions_of(there.node);
        let wall = here.clock.now(self.at).wall;
        let judged = facts.judge(wall, there.node, &there.chain, &admissions)?;
        let Some(redeem) = judged.redeem else { return Ok((judged.facts, Vec::new())) };
        let admission = facts.admission(here.node, Hlc { ms: wall, count: 0 }, redeem);
        let admission = Fact::from(Signed::sign(self.pool.id, &SigningKey::from_bytes(&here.key), admission));
        let learned = [judged.facts, vec![admission.clone()]].concat();
        Ok((learned, vec![admission]))
    }
}
