//! Presence: of whom a node is in touch with, directly or through others, it never says that it is away or gone.

use std::collections::BTreeMap;

use fsdfs_proto::ids::NodeId;

use crate::world::MachineId;
use crate::world::queue::{Micros, S};

/// A node hears of the others within this time after something changed: three heartbeats, and one hop after the other.
const HEARD_WITHIN: Micros = 180 * S;

/// Who runs since when, and since when nothing changed between them.
#[derive(Debug, Default)]
pub struct PresenceChecker {
    /// One machine of each node; none of a node of which there are two.
    machines: BTreeMap<NodeId, Option<MachineId>>,
    disturbed: Micros,
}

impl PresenceChecker {
    /// There is a machine with this node.
    pub fn machine_added(&mut self, machine: MachineId, node: NodeId) {
        self.machines.entry(node).and_modify(|known| *known = None).or_insert(Some(machine));
    }

    /// Machines started, stopped, or froze, connections began or ended.
    pub fn disturbed(&mut self, at: Micros) {
        self.disturbed = at;
    }

    /// A node said who is away and who is gone. What is wrong about it.
    pub fn answered(
        &self,
        at: Micros,
        machine: MachineId,
        (away, departed): (&[NodeId], &[NodeId]),
        in_touch: &[MachineId],
    ) -> Vec<String> {
        if at < self.disturbed + HEARD_WITHIN {
            return Vec::new();
        }
        let is_up = |node: &&NodeId| {
            let here = self.machines.get(*node).copied().flatten();
            here.is_some_and(|here| here != machine && in_touch.contains(&here))
        };
        let wrong = |node: &NodeId, what: &str| format!("node {machine} calls {} {what}, which is up", node.short());
        let away = away.iter().filter(is_up).map(|node| wrong(node, "away"));
        away.chain(departed.iter().filter(is_up).map(|node| wrong(node, "gone"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId([1; 32]);

    #[test]
    fn who_is_in_touch_must_not_be_called_away_three_minutes_after_the_last_change() {
        let mut checker = PresenceChecker::default();
        checker.machine_added(1, NODE);
        checker.disturbed(S);
        let said = |checker: &PresenceChecker, at, in_touch: &[MachineId]| {
            checker.answered(at, 0, (&[NODE], &[]), in_touch).len()
        };
        assert_eq!(said(&checker, HEARD_WITHIN, &[0, 1]), 0, "it may not have heard of it yet");
        assert_eq!(said(&checker, HEARD_WITHIN + S, &[0, 1]), 1);
        assert_eq!(said(&checker, HEARD_WITHIN + S, &[0, 2]), 0, "it is not in touch with it");
        assert_eq!(checker.answered(HEARD_WITHIN + S, 0, (&[], &[NODE]), &[0, 1]).len(), 1);
        checker.machine_added(2, NODE);
        assert_eq!(said(&checker, HEARD_WITHIN + S, &[0, 1]), 0, "there are two of it");
    }
}
