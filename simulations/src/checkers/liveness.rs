//! Liveness: every command is answered in time, or its node has crashed.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_core::seam::OpId;

use crate::checkers::harm::HEALED_WITHIN;
use crate::world::MachineId;
use crate::world::queue::{Micros, S};

/// An answer comes within this time, or its node has crashed. Time during which the node was frozen does not count.
const ANSWER_WITHIN: Micros = 20 * S;

/// What a member floods may fill lines for as long as it is one, and takes as long as everything else to be over.
const STRAINED_WITHIN: Micros = ANSWER_WITHIN + HEALED_WITHIN;

/// Commands that were not answered yet, and which nodes could have answered.
#[derive(Debug, Default)]
pub struct LivenessChecker {
    /// Members that lie and that nobody has revoked.
    at_large: usize,
    /// When the last of them was.
    revoked: Option<Micros>,
    waiting: BTreeMap<OpId, WaitingCommand>,
    frozen: BTreeSet<MachineId>,
    thawed: BTreeMap<MachineId, Micros>,
}

#[derive(Debug)]
struct WaitingCommand {
    machine: MachineId,
    since: Micros,
    operation: String,
}

impl LivenessChecker {
    /// A user gave a command.
    pub fn command_sent(&mut self, at: Micros, machine: MachineId, op: OpId, operation: String) {
        self.waiting.insert(op, WaitingCommand { machine, since: at, operation });
    }

    /// It was answered, or its node crashed.
    pub fn command_ended(&mut self, op: OpId) {
        self.waiting.remove(&op);
    }

    /// The node answers nothing for a while, and need not.
    pub fn frozen(&mut self, machine: MachineId) {
        self.frozen.insert(machine);
    }

    /// It goes on. Its time to answer begins again.
    pub fn thawed(&mut self, at: Micros, machine: MachineId) {
        self.frozen.remove(&machine);
        self.thawed.insert(machine, at);
    }

    /// A member begins to lie: lines may be as full as it can make them.
    pub fn member_turned(&mut self) {
        self.at_large += 1;
    }

    /// It was revoked.
    pub fn member_revoked(&mut self, at: Micros) {
        self.at_large = self.at_large.saturating_sub(1);
        self.revoked = Some(at);
    }

    /// A process begins or ends: it is not frozen.
    pub fn restarted(&mut self, machine: MachineId) {
        self.frozen.remove(&machine);
    }

    /// Commands that have waited for too long, each with the complaint. They count as ended.
    pub fn take_late(&mut self, at: Micros) -> Vec<(OpId, String)> {
        let (frozen, thawed) = (&self.frozen, &self.thawed);
        let strained = self.at_large > 0 || self.revoked.is_some_and(|revoked| at < revoked + STRAINED_WITHIN);
        let within = if strained { STRAINED_WITHIN } else { ANSWER_WITHIN };
        let is_late = |command: &WaitingCommand| {
            let from = command.since.max(thawed.get(&command.machine).copied().unwrap_or(0));
            !frozen.contains(&command.machine) && at > from + within
        };
        let complaint = |op: OpId, command: &WaitingCommand| {
            let WaitingCommand { machine, since, operation } = command;
            (op, format!("node {machine} has not answered {op} ({operation}) since {} s", since / S))
        };
        let late = self.waiting.iter().filter(|(_, command)| is_late(command));
        let late: Vec<(OpId, String)> = late.map(|(op, command)| complaint(*op, command)).collect();
        late.iter().for_each(|(op, _)| drop(self.waiting.remove(op)));
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_at(at: Micros) -> LivenessChecker {
        let mut checker = LivenessChecker::default();
        checker.command_sent(at, 3, 7, "Status".into());
        checker
    }

    #[test]
    fn a_command_without_an_answer_is_late_once() {
        let mut checker = asked_at(S);
        assert!(checker.take_late(S + ANSWER_WITHIN).is_empty());
        let late = checker.take_late(2 * S + ANSWER_WITHIN);
        assert_eq!(late, [(7, "node 3 has not answered 7 (Status) since 1 s".into())]);
        assert!(checker.take_late(100 * S).is_empty());
    }

    #[test]
    fn who_is_flooded_has_a_minute_more_until_a_minute_after_the_revocation() {
        let mut checker = asked_at(0);
        checker.member_turned();
        assert!(checker.take_late(STRAINED_WITHIN).is_empty());
        assert_eq!(checker.take_late(STRAINED_WITHIN + 1).len(), 1, "nobody waits for ever");
        let mut checker = asked_at(S);
        checker.member_turned();
        checker.member_revoked(S);
        assert!(checker.take_late(STRAINED_WITHIN).is_empty());
        assert_eq!(checker.take_late(STRAINED_WITHIN + S).len(), 1);
    }

    #[test]
    fn an_answer_or_a_crash_ends_the_wait() {
        let mut checker = asked_at(0);
        checker.command_ended(7);
        assert!(checker.take_late(100 * S).is_empty());
    }

    #[test]
    fn time_while_frozen_does_not_count() {
        let mut checker = asked_at(0);
        checker.frozen(3);
        assert!(checker.take_late(100 * S).is_empty());
        checker.thawed(100 * S, 3);
        assert!(checker.take_late(100 * S + ANSWER_WITHIN).is_empty());
        assert_eq!(checker.take_late(101 * S + ANSWER_WITHIN).len(), 1);
    }
}
