//! How days of homes end: everybody who still exists is at home, the dead are removed or found out to be gone, and then all has
//! to be as if nothing had happened.

use fsdfs_proto::ids::BlockId;

use crate::checkers::copies::short_block;
use crate::users::{OperationEnd, UserOperation};
use crate::world::MachineId;
use crate::world::queue::{Micros, S};

use super::Simulation;

const MINUTE: Micros = 60 * S;
/// After this time, and what the bytes take on the slowest line, all copies are there again.
const HEALED_WITHIN: Micros = 30 * MINUTE;
/// Who is not heard of is gone within this time: a day by the rules, two if it fell together with many, the clock of whoever counts
/// stood still while it was off itself, and most have to say so.
const GONE_WITHIN: Micros = 80 * 60 * MINUTE;
/// Minutes for which it is listened what idle nodes say.
const QUIET_MINUTES: u64 = 30;
/// Bytes of what idle nodes say most, with their frames. (A message with facts has a heartbeat then.)
const ENCODED: [(&str, u64); 4] = [("facts", 140), ("digests", 90), ("ping", 16), ("pong", 16)];
/// In one run of so many nobody removes the dead.
const WAITS_ONE_IN: u64 = 4;
/// How often it is looked.
const LOOK: Micros = MINUTE;

impl Simulation {
    /// Faults end, and the pool heals.
    pub fn heals(&mut self, seed: u64) {
        self.freeze_faults();
        let lied = self.revokes_liars();
        if self.violations().is_empty() {
            self.part_with_the_dead(seed);
        }
        let end = self.world.at + HEALED_WITHIN + self.longest_transfer();
        let mut open = self.is_short();
        while open.is_some() && self.world.at < end {
            self.advance(self.world.at + LOOK);
            self.sweep();
            open = self.is_short();
        }
        match open {
            Some(what) => self.fail("heals", format!("{} min after the last fault: {what}", HEALED_WITHIN / MINUTE)),
            None => self.nothing_is_lost(),
        }
        // Not before: what only a machine has that one never meets is read there when it was mended.
        if lied && self.violations().is_empty() {
            self.serves_users();
        }
        let waste = self.checkers().thrift.waste();
        waste.into_iter().for_each(|what| self.fail("thrift", what));
        if self.violations().is_empty() {
            self.is_quiet();
        }
        if self.violations().is_empty() {
            self.nobody_is_missed();
        }
    }

    /// Those who are lost are removed by the founder, or the pool finds out by itself.
    fn part_with_the_dead(&mut self, seed: u64) {
        let until = self.world.at + GONE_WITHIN;
        loop {
            let dead = self.dead_members();
            let Some(first) = dead.first().copied() else { return };
            if !seed.is_multiple_of(WAITS_ONE_IN) {
                let subject = self.world.machines[first].node;
                let end = self.world.wait(0, UserOperation::RemoveMember { subject });
                if end == OperationEnd::Removed {
                    continue;
                }
            }
            if self.world.at >= until {
                return self.fail("heals", format!("node {first} is not gone though nobody has heard of it for a day"));
            }
            self.advance(self.world.at + 10 * MINUTE);
            self.sweep();
        }
    }

    /// Machines that are lost and whose nodes are holders to the founder.
    fn dead_members(&self) -> Vec<MachineId> {
        let Some(process) = &self.world.machines[0].process else { return Vec::new() };
        let servers = process.engine.facts().servers();
        let machines = self.world.machines.iter().enumerate().filter(|(_, machine)| machine.gone);
        machines
            .filter(|(_, machine)| servers.iter().any(|server| server.id == machine.node))
            .map(|(id, _)| id)
            .collect()
    }

    /// All blocks there are, over the slowest line.
    fn longest_transfer(&self) -> Micros {
        let net = &self.world.net;
        let slowest = (0..net.sites()).map(|site| net.bytes_per_s(site)).min().unwrap_or(1);
        let records =
            self.world.machines.iter().flat_map(|machine| &machine.store.disks).flat_map(|disk| disk.records.values());
        let bytes: u64 = records.map(|record| u64::from(record.info.len)).sum();
        bytes * S / slowest.max(1)
    }

    fn is_short(&mut self) -> Option<String> {
        let snapshot = self.world.snapshot();
        if let Some(open) = self.differs() {
            return Some(open.to_string());
        }
        let checkers = self.checkers();
        short_block(&snapshot, &checkers.storage, &checkers.history).or_else(|| self.says_pending())
    }

    /// When all is well nothing is moved, and little is said.
    fn is_quiet(&mut self) {
        self.advance(self.world.at + 10 * MINUTE);
        let (pulls, before) = (self.checkers().thrift.pulls(), self.said_bytes());
        self.advance(self.world.at + QUIET_MINUTES * MINUTE);
        let bytes = self.said_bytes() - before;
        let on: Vec<MachineId> = (0..self.world.machines.len()).filter(|id| self.world.machines[*id].runs()).collect();
        let all = on.len() * on.len().saturating_sub(1) / 2;
        let apart = |one: &MachineId| on.iter().filter(|other| self.world.net.are_strangers(*one, **other)).count();
        let strangers = on.iter().map(apart).sum::<usize>() / 2;
        let pairs = ((all - strangers) as u64, strangers as u64);
        let loud = self.checkers().thrift.idle(bytes, pairs, QUIET_MINUTES, pulls);
        loud.into_iter().for_each(|what| self.fail("thrift", what));
    }

    /// Bytes that were said, as they are encoded, with their frames.
    fn said_bytes(&self) -> u64 {
        let bytes = |(kind, (count, sized)): (&&str, &(u64, u64))| match ENCODED.iter().find(|(known, _)| known == kind)
        {
            Some((_, bytes)) => count * bytes,
            None => *sized,
        };
        self.world.net.traffic().iter().map(bytes).sum()
    }

    /// Copies on a machine that were found damaged, of blocks of which no intact one is anywhere: nothing mends them. No tree that
    /// stands has them, or they are missed there.
    fn hopeless(&mut self, machine: MachineId) -> usize {
        let disks = self.world.machines[machine].store.disks.iter();
        let aside: Vec<BlockId> = disks.flat_map(|disk| disk.set_aside.keys()).copied().collect();
        let storage = &self.checkers().storage;
        aside.iter().filter(|block| storage.holders(**block).is_empty()).count()
    }

    /// What owners are told.
    fn says_pending(&mut self) -> Option<String> {
        for id in (0..self.world.machines.len()).filter(|id| self.world.is_honest(*id)).collect::<Vec<MachineId>>() {
            match self.world.wait(id, UserOperation::Status) {
                OperationEnd::Status(status) if status.repair_pending as usize <= self.hopeless(id) => {}
                // It cannot tell what is needed of what it has, and the others do not take all of it.
                OperationEnd::Status(status)
                    if status.space.as_ref().is_some_and(|space| !space.incomplete.is_empty()) => {}
                OperationEnd::Status(status) => {
                    return Some(format!("node {id} says that {} blocks are pending", status.repair_pending));
                }
                other => return Some(format!("node {id} says nothing: {other:?}")),
            }
        }
        None
    }
}
