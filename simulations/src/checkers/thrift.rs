//! Thrift: repair moves what is missing, and nothing else.
//!
//! * Whoever is assigned a block and lacks it may pull it, once. What comes a second time is at most a tenth.
//! * Whoever is not assigned it pulls it only while a holder is away for longer than its grace, or lost, and no more of them
//!   than holders are missing. An absence that is shorter costs nothing.
//! * In a pool in which all is well nothing is pulled, and a pair says little.

use fsdfs_proto::ids::NodeId;

use crate::world::MachineId;
use crate::world::observed::PulledBlock;
use crate::world::queue::{Micros, S};

const MINUTE: Micros = 60 * S;
const HOUR: Micros = 60 * MINUTE;
/// Who is away is replaced after this time, if one site is left that has a block ...
const GRACE: Micros = HOUR - LOOKS;
/// ... and after this if there are more, or if it fell together with many.
const LONG_GRACE: Micros = 24 * HOUR - LOOKS;
/// Nodes look once in a minute, and count from the look before.
const LOOKS: Micros = 2 * MINUTE;
/// Who was away until lately may be taken for away: what was offered is pulled a while later.
const LATELY: Micros = 30 * MINUTE;
/// Who is up for so long is known to be.
const SETTLED: Micros = 5 * MINUTE;
/// A disk that failed or was lost so lately may have cost its holder the belief of others.
const DISK_LATELY: Micros = 3 * HOUR;
/// Of machines that fell within this time of each other it counts as one cause.
const TOGETHER: Micros = MINUTE;
/// Of what was due, so much may come again, in percent, and so many bytes in any case.
const AGAIN_PERCENT: u64 = 10;
const AGAIN_BYTES: u64 = 64 << 10;
/// Bytes that an idle pair may say in a minute.
const PAIR_BYTES: u64 = 1_024;
/// What may be said in a minute for a pair that never meets: of three heartbeats each way each is told to three and passed on by two,
/// 30 messages of some 170 bytes.
const STRANGERS_BYTES: u64 = 5 * PAIR_BYTES;

/// What was moved so far, and who missed whom when.
#[derive(Debug, Default)]
pub struct ThriftChecker {
    machines: Vec<MachineTimes>,
    /// Machines that hear of each other; none: all that run do.
    groups: Vec<Vec<MachineId>>,
    due_bytes: u64,
    again_bytes: u64,
    /// Blocks that were pulled.
    pulls: u64,
}

#[derive(Debug)]
struct MachineTimes {
    node: NodeId,
    site: usize,
    weight: u64,
    runs: bool,
    /// When it was last switched off.
    off: Micros,
    gone: bool,
    /// No holder to anybody any more.
    removed: bool,
    disks_disturbed: Option<Micros>,
    /// How it sees each of the machines.
    seen: Vec<SeenMachine>,
}

/// How one machine sees another one.
#[derive(Clone, Copy, Debug, Default)]
struct SeenMachine {
    /// Since when it hears of it; none: it does not, or one of them is off.
    up: Option<Micros>,
    /// When it last lost it from sight.
    fell: Micros,
}

impl ThriftChecker {
    /// One more machine, switched off, with disks of this size.
    pub fn machine_added(&mut self, node: NodeId, site: usize, weight: u64) {
        let seen = vec![SeenMachine::default(); self.machines.len()];
        let (runs, off, gone, removed, disks_disturbed) = (false, 0, false, false, None);
        self.machines.push(MachineTimes { node, site, weight, runs, off, gone, removed, disks_disturbed, seen });
        self.machines.iter_mut().for_each(|machine| machine.seen.push(SeenMachine::default()));
    }

    /// It runs, or does not.
    pub fn runs(&mut self, at: Micros, machine: MachineId, runs: bool) {
        self.machines[machine].runs = runs;
        if !runs {
            self.machines[machine].off = at;
        }
        self.settle(at);
    }

    /// These hear of each other now.
    pub fn in_touch(&mut self, at: Micros, groups: &[Vec<MachineId>]) {
        self.groups = groups.to_vec();
        self.settle(at);
    }

    fn settle(&mut self, at: Micros) {
        for one in 0..self.machines.len() {
            for other in 0..self.machines.len() {
                let is_seen = self.are_in_touch(one, other);
                self.machines[one].seen[other].settle(at, is_seen);
            }
        }
    }

    fn are_in_touch(&self, one: MachineId, other: MachineId) -> bool {
        let both = |group: &Vec<MachineId>| group.contains(&one) && group.contains(&other);
        let run = self.machines[one].runs && self.machines[other].runs;
        run && (self.groups.is_empty() || self.groups.iter().any(both))
    }

    /// Nobody needs to expect it back.
    pub fn gone(&mut self, machine: MachineId) {
        self.machines[machine].gone = true;
    }

    /// Its member was removed.
    pub fn removed(&mut self, machine: MachineId) {
        self.machines[machine].removed = true;
    }

    /// Its disks lost something, or take no accesses, or take them again.
    pub fn disks_disturbed(&mut self, at: Micros, machine: MachineId) {
        self.machines[machine].disks_disturbed = Some(at);
    }

    /// A block came. What is wrong about it.
    pub fn pulled(&mut self, at: Micros, pull: &PulledBlock) -> Option<String> {
        self.pulls += 1;
        let (block, node) = (pull.block.short(), pull.machine);
        if pull.had {
            self.again_bytes += pull.bytes;
            return None;
        }
        self.due_bytes += pull.bytes;
        if pull.assigned.contains(&self.machines[pull.machine].node) {
            return None;
        }
        let missing = pull.assigned.iter().filter(|holder| self.is_missing(at, **holder, pull)).count();
        if missing == 0 {
            let source = pull.source;
            let holders = self.describe_all(at, source, &pull.assigned);
            return Some(format!(
                "node {node} pulls {block} from {source}, and no holder has been away for longer than its grace: {holders}",
            ));
        }
        let able: Vec<NodeId> =
            pull.passed_over.iter().filter(|node| self.can_keep(at, pull.source, **node)).copied().collect();
        (able.len() >= missing).then(|| {
            let (able, holders) =
                (self.describe_all(at, pull.source, &able), self.describe_all(at, pull.source, &pull.assigned));
            format!(
                "node {node} pulls {block} from {} though these before it can keep it: {able}; {missing} holders are missing of {holders}",
                pull.source
            )
        })
    }

    /// How many blocks were pulled.
    pub fn pulls(&self) -> u64 {
        self.pulls
    }

    /// What came again, of all that came.
    pub fn waste(&self) -> Option<String> {
        let (due, again) = (self.due_bytes, self.again_bytes);
        let most = due * AGAIN_PERCENT / 100 + AGAIN_BYTES;
        (again > most)
            .then(|| format!("{again} bytes were pulled by nodes that had them, {due} by those that lacked them"))
    }

    /// What all said to each other while nothing happened. For pairs that never meet others pass on what each is to hear.
    pub fn idle(&self, bytes: u64, (pairs, strangers): (u64, u64), minutes: u64, pulls_before: u64) -> Vec<String> {
        let a_minute = bytes / minutes.max(1);
        let most = pairs * PAIR_BYTES + strangers * STRANGERS_BYTES;
        let chatter = (a_minute > most).then(|| {
            format!("{pairs} idle pairs and {strangers} that never meet say {a_minute} bytes a minute, not {most}")
        });
        let pulled = self.pulls - pulls_before;
        let pulled = (pulled > 0).then(|| format!("{pulled} blocks were pulled though nothing is missing"));
        chatter.into_iter().chain(pulled).collect()
    }

    fn describe_all(&self, at: Micros, source: MachineId, nodes: &[NodeId]) -> String {
        nodes.iter().map(|node| self.describe(at, source, *node)).collect::<Vec<_>>().join(", ")
    }

    fn describe(&self, at: Micros, source: MachineId, node: NodeId) -> String {
        let Some((id, here, seen)) = self.of(source, node) else { return format!("nobody ({})", node.short()) };
        let seconds = |since: Micros| (at - since) / S;
        match seen.up {
            Some(up) => {
                format!("{id} (site {}, up for {} s, fell {} s ago)", here.site, seconds(up), seconds(seen.fell))
            }
            None => format!("{id} (site {}, away for {} s)", here.site, seconds(seen.fell)),
        }
    }

    /// A machine, and how that one sees it.
    fn of(&self, source: MachineId, node: NodeId) -> Option<(MachineId, &MachineTimes, SeenMachine)> {
        let id = self.machines.iter().position(|machine| machine.node == node)?;
        Some((id, &self.machines[id], self.machines[source].seen[id]))
    }

    /// Whether it was there all the time, and its disks, too.
    fn can_keep(&self, at: Micros, source: MachineId, node: NodeId) -> bool {
        self.of(source, node).is_some_and(|(_, there, seen)| {
            let disturbed = there.disks_disturbed.is_some_and(|disturbed| at < disturbed + DISK_LATELY);
            !there.gone && !disturbed && seen.up.is_some_and(|up| at > up + LATELY)
        })
    }

    /// Whether others may keep copies in the place of this holder, as far as whoever gives one away can know.
    fn is_missing(&self, at: Micros, holder: NodeId, pull: &PulledBlock) -> bool {
        let source = pull.source;
        let Some((_, here, seen)) = self.of(source, holder) else { return true };
        if here.gone || here.removed || here.disks_disturbed.is_some_and(|disturbed| at < disturbed + DISK_LATELY) {
            return true;
        }
        let away = match seen.up {
            None => at - seen.fell,
            Some(up) if at < up + LATELY => up - seen.fell,
            Some(_) => return false,
        };
        let known = pull.assigned.iter().filter(|node| !pull.apart.contains(node));
        let left = known.filter_map(|node| self.of(source, *node));
        let is_left =
            |there: &MachineTimes, seen: SeenMachine| !there.gone && seen.up.is_some_and(|up| at > up + SETTLED);
        let left = left.filter(|(_, there, seen)| is_left(there, *seen)).map(|(_, there, _)| there.site);
        match left.collect::<std::collections::BTreeSet<usize>>().len() {
            0 => true,
            1 if self.fell_with_many(source, seen.fell) => away >= LONG_GRACE,
            1 => away >= GRACE,
            _ => away >= LONG_GRACE,
        }
    }

    /// More than a third of the pool, at two sites or more, of which less than half is back. If it was off then itself, it is one of
    /// them, and back.
    fn fell_with_many(&self, source: MachineId, fell: Micros) -> bool {
        let own = &self.machines[source];
        let others = self.machines.iter().zip(&own.seen).enumerate().filter(|(id, _)| *id != source);
        let others = others.map(|(_, (machine, seen))| (machine, seen.fell, seen.up.is_some()));
        let all: Vec<(&MachineTimes, Micros, bool)> = others.chain([(own, own.off, true)]).collect();
        let is_together = |(machine, at, _): &&(&MachineTimes, Micros, bool)| {
            !machine.gone && !machine.removed && *at > 0 && at.abs_diff(fell) < TOGETHER
        };
        let together: Vec<&(&MachineTimes, Micros, bool)> = all.iter().filter(is_together).collect();
        let sites = together.iter().map(|(machine, ..)| machine.site).collect::<std::collections::BTreeSet<usize>>();
        let weight: u64 = together.iter().map(|(machine, ..)| machine.weight).sum();
        // Who is gone for good is a holder to others for some time.
        let total: u64 = self.machines.iter().filter(|machine| !machine.removed).map(|machine| machine.weight).sum();
        let back = together.iter().filter(|(.., is_back)| *is_back).count();
        // Cards may say a little more or less.
        sites.len() >= 2 && 10 * weight > 4 * total && 2 * back < together.len()
    }
}

impl SeenMachine {
    fn settle(&mut self, at: Micros, is_seen: bool) {
        match (is_seen, self.up) {
            (true, None) => self.up = Some(at),
            (false, Some(up)) => {
                // Who was there for a moment only was perhaps not noticed.
                self.fell = if at < up + SETTLED { self.fell } else { at };
                self.up = None;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::BlockId;

    use super::*;

    fn id(number: usize) -> NodeId {
        NodeId([number as u8; 32])
    }

    /// Five at sites of their own, all up since the beginning; the first three are assigned a block.
    fn five() -> ThriftChecker {
        let mut checker = ThriftChecker::default();
        for number in 0..5 {
            checker.machine_added(id(number), number, 10);
            checker.runs(0, number, true);
        }
        checker
    }

    fn pull(machine: MachineId) -> PulledBlock {
        let assigned = (0..3).map(id).collect();
        PulledBlock {
            source: 2,
            machine,
            block: BlockId([7; 32]),
            bytes: 1_000,
            had: false,
            assigned,
            apart: Vec::new(),
            passed_over: Vec::new(),
        }
    }

    #[test]
    fn nobody_is_replaced_before_its_grace_is_over() {
        let mut checker = five();
        assert_eq!(checker.pulled(HOUR, &pull(1)), None, "it is assigned to it");
        assert!(checker.pulled(HOUR, &pull(3)).is_some(), "all are there");
        checker.runs(HOUR, 0, false);
        assert!(checker.pulled(20 * HOUR, &pull(3)).is_some(), "two sites are left");
        assert_eq!(checker.pulled(25 * HOUR, &pull(3)), None);
        let mut one_left = five();
        one_left.runs(HOUR, 0, false);
        one_left.runs(HOUR + 10 * MINUTE, 1, false);
        assert!(one_left.pulled(2 * HOUR - LOOKS - 1, &pull(3)).is_some());
        assert_eq!(one_left.pulled(2 * HOUR, &pull(3)), None);
        let second = PulledBlock { passed_over: vec![id(3)], ..pull(4) };
        assert!(one_left.pulled(2 * HOUR, &second).is_some(), "one of the two was away for an hour");
        assert_eq!(one_left.pulled(3 * HOUR, &second), None, "both were");
    }

    #[test]
    fn who_fell_with_many_is_waited_for_until_half_of_them_are_back() {
        let mut checker = five();
        [0, 1, 4].into_iter().for_each(|node| checker.runs(HOUR, node, false));
        assert!(checker.pulled(3 * HOUR, &pull(3)).is_some());
        checker.runs(3 * HOUR, 4, true);
        assert!(checker.pulled(3 * HOUR, &pull(3)).is_some());
        checker.runs(3 * HOUR, 1, true);
        assert_eq!(checker.pulled(3 * HOUR + MINUTE, &pull(3)), None);
    }

    #[test]
    fn what_comes_again_and_what_idle_pairs_say_is_bounded() {
        let mut checker = five();
        let again = PulledBlock { had: true, bytes: AGAIN_BYTES, ..pull(1) };
        assert_eq!(checker.pulled(0, &again), None);
        assert_eq!(checker.waste(), None);
        assert_eq!(checker.pulled(0, &again), None);
        assert!(checker.waste().is_some());
        assert_eq!(checker.idle(10 * PAIR_BYTES, (1, 0), 10, 2), Vec::<String>::new());
        assert_eq!(checker.idle(11 * PAIR_BYTES, (1, 0), 10, 1).len(), 2);
    }
}
