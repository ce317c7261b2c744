//! What befalls a pool, written down: whatever was drawn from a seed can be done again, alone or without others.

use std::fmt;

use fsdfs_proto::identity::Role;
use fsdfs_proto::ids::BlockId;

use crate::simulation::Simulation;
use crate::users::{OperationEnd, UserOperation};
use crate::world::clock::MachineClock;
use crate::world::queue::{MS, Micros, S};
use crate::world::{HostileWay, MachineId, World};

/// An act at its time.
#[derive(Clone, Debug)]
pub struct ScenarioStep {
    /// When.
    pub at: Micros,
    /// Names the fault or the operations that it is part of: a crash and the restart after it share a number. 0: part of nothing.
    pub nr: u32,
    /// What.
    pub act: ScenarioEvent,
}

/// Something done to the world: by users, by bad luck, by those who repair it. What would destroy the last copy of
/// something is not done, see [`crate::checkers::safety`].
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "named like the functions of the world that carry them out")]
pub enum ScenarioEvent {
    Operation {
        node: MachineId,
        operation: UserOperation,
    },
    /// It is looked for commands that have waited for too long.
    Sweep,
    Crash {
        node: MachineId,
    },
    Restart {
        node: MachineId,
    },
    Partition {
        part: Vec<u8>,
    },
    Stall {
        from: MachineId,
        to: MachineId,
    },
    Heal,
    Freeze {
        node: MachineId,
    },
    Thaw {
        node: MachineId,
    },
    Disk {
        node: MachineId,
        slot: usize,
        fails: bool,
    },
    Home {
        node: MachineId,
        fails: bool,
    },
    Quota {
        node: MachineId,
        bytes: u64,
    },
    Rot {
        node: MachineId,
        block: BlockId,
    },
    Wipe {
        node: MachineId,
    },
    BackUp {
        node: MachineId,
    },
    Restore {
        node: MachineId,
        told: bool,
    },
    Lose {
        node: MachineId,
    },
    /// One that has changes which never were elsewhere, if there is one.
    LoseWriter {
        node: Option<MachineId>,
    },
    /// A second machine with the same identity and data.
    Duplicate {
        node: MachineId,
    },
    /// Its owner does what the node says: switches the copy off, when it has nothing that the pool needs, and starts the
    /// original again.
    EndDuplicate,
    Clock {
        node: MachineId,
        ms: i64,
    },
    DeleteIndex {
        node: MachineId,
        rebuild: Micros,
    },
    Join {
        newcomer: MachineSpec,
    },
    /// Who never meets, and who meets only through the machine named third.
    Lines {
        strangers: Vec<(MachineId, MachineId)>,
        relayed: Vec<(MachineId, MachineId, MachineId)>,
    },
    /// All machines of a site are gone for good.
    Burn {
        site: usize,
    },
    /// One of a machine's disks is gone for good.
    LoseDisk {
        node: MachineId,
        slot: usize,
    },
    /// Its owner asks whether a machine that leaves may be unplugged, and if so, takes it away.
    Unplug {
        node: MachineId,
    },
    /// A member begins to lie.
    Turn {
        node: MachineId,
        way: HostileWay,
        seed: u64,
    },
    /// The founder revokes it.
    Revoke {
        node: MachineId,
    },
}

/// A machine as drawn.
#[derive(Clone, Debug)]
pub struct MachineSpec {
    /// What its member may do.
    pub role: Role,
    /// Site.
    pub site: usize,
    /// Sizes of its disks in units.
    pub disks: Vec<u64>,
    /// Its clock.
    pub clock: MachineClock,
}

impl fmt::Display for ScenarioStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5}.{:03} {:>4} {:?}", self.at / S, self.at % S / MS, self.nr, self.act)
    }
}

impl ScenarioEvent {
    /// Its name: a operation's own, else what happens.
    pub fn kind(&self) -> String {
        let text = match self {
            Self::Operation { operation, .. } => format!("{operation:?}"),
            other => format!("{other:?}"),
        };
        text.split(' ').next().unwrap_or_default().to_lowercase()
    }
}

impl Simulation {
    /// Does it, if it may be done now. Returns whether it was.
    pub fn act(&mut self, act: &ScenarioEvent) -> bool {
        let may = self.may(act);
        if may {
            self.carry(act);
        } else {
            self.leave_out(act);
        }
        may
    }

    /// Whether it can be done, and breaks no promise by itself.
    pub fn may(&mut self, act: &ScenarioEvent) -> bool {
        match act {
            ScenarioEvent::Operation { node, operation } if operation.writes() => self.takes_writes(*node),
            ScenarioEvent::Operation { node, .. } => self.shows(*node),
            ScenarioEvent::Turn { node, .. } => self.may_turn(*node),
            ScenarioEvent::Revoke { node } => self.at_large().contains(node) && self.machines[0].runs(),
            ScenarioEvent::Rot { node, block } => {
                // What was on two machines until now counts as such: with one copy left, its writer may not be lost.
                self.safety().storage.has_another_copy(*node, *block)
            }
            ScenarioEvent::Wipe { node } | ScenarioEvent::LoseDisk { node, .. } => self.can_spare(*node),
            ScenarioEvent::Burn { site } => self.can_burn(*site),
            ScenarioEvent::Unplug { node } => self.is_honest(*node),
            ScenarioEvent::Restore { node, .. } => !self.machines[*node].backups.is_empty() && self.can_spare(*node),
            ScenarioEvent::Lose { node } => self.can_be_lost(*node),
            ScenarioEvent::LoseWriter { node } => {
                self.safety();
                node.is_some_and(|node| self.can_be_lost(node))
            }
            ScenarioEvent::Duplicate { node } => {
                self.duplicate.is_none() && !self.machines[*node].gone && !self.is_hostile(*node)
            }
            ScenarioEvent::EndDuplicate => self.duplicate.is_some_and(|duplicate| self.can_spare(duplicate)),
            _ => true,
        }
    }

    fn carry(&mut self, act: &ScenarioEvent) {
        match act {
            ScenarioEvent::Operation { node, operation } => drop(self.begin(*node, operation.clone())),
            ScenarioEvent::Sweep => self.sweep(),
            ScenarioEvent::Crash { node } => self.crash(*node),
            ScenarioEvent::Restart { node } => self.restart(*node),
            ScenarioEvent::Partition { part } => self.partition(part),
            ScenarioEvent::Stall { from, to } => self.stall(*from, *to),
            ScenarioEvent::Heal => self.heal(),
            ScenarioEvent::Freeze { node } => self.freeze(*node),
            ScenarioEvent::Thaw { node } => self.thaw(*node),
            ScenarioEvent::Disk { node, slot, fails } => self.set_disk_fails(*node, *slot, *fails),
            ScenarioEvent::Home { node, fails } => self.set_home_fails(*node, *fails),
            ScenarioEvent::Quota { node, bytes } => self.set_quota(*node, *bytes),
            ScenarioEvent::Rot { node, block } => self.damage(*node, *block),
            ScenarioEvent::BackUp { node } => self.back_up(*node),
            ScenarioEvent::Lose { node } | ScenarioEvent::LoseWriter { node: Some(node) } => self.lose(*node),
            ScenarioEvent::LoseWriter { node: None } => {}
            ScenarioEvent::Clock { node, ms } => self.jump_clock(*node, *ms),
            ScenarioEvent::EndDuplicate => self.end_duplicate(),
            ScenarioEvent::Turn { node, way, seed } => {
                let views = self.honest_views();
                self.checkers().harm.kept_before(&views);
                self.turn(*node, *way, *seed);
            }
            ScenarioEvent::Revoke { node } => {
                self.weigh_burden();
                let subject = self.machines[*node].node;
                self.begin(0, UserOperation::Revoke { subject });
            }
            other => self.carry_steps(other),
        }
    }

    /// What takes several steps.
    fn carry_steps(&mut self, act: &ScenarioEvent) {
        match act {
            ScenarioEvent::Wipe { node } => {
                self.crash(*node);
                self.wipe_disks(*node);
            }
            ScenarioEvent::Restore { node, told } => {
                self.crash(*node);
                self.restore(*node, *told);
            }
            ScenarioEvent::DeleteIndex { node, rebuild } => {
                self.crash(*node);
                self.delete_index(*node, *rebuild);
            }
            ScenarioEvent::Lines { strangers, relayed } => self.lay_lines(strangers, relayed),
            ScenarioEvent::Burn { site } => {
                for node in self.machines_at(*site) {
                    self.lose(node);
                }
            }
            ScenarioEvent::LoseDisk { node, slot } => {
                self.crash(*node);
                self.lose_disk(*node, *slot);
            }
            ScenarioEvent::Unplug { node } => self.unplug(*node),
            ScenarioEvent::Duplicate { node } => {
                // A copy that its program cannot tell from the original, in another part of a cut network, cannot be kept
                // from using the same sequence numbers. What can be noticed is noticed: see the scenario about two live boots.
                let duplicate = self.clone_machine(*node, true);
                self.restart(duplicate);
                self.duplicate = Some(duplicate);
            }
            ScenarioEvent::Join { newcomer } => {
                let id = self.add_newcomer(newcomer);
                self.restart(id);
            }
            _ => unreachable!("all others are single steps"),
        }
    }

    /// What is not done leaves a gap where it would have added a machine: the others keep their numbers.
    pub fn leave_out(&mut self, act: &ScenarioEvent) {
        let gap = match act {
            ScenarioEvent::Join { newcomer } => self.add_newcomer(newcomer),
            ScenarioEvent::Duplicate { node } => {
                let disks = vec![0; self.machines[*node].store.disks.len()];
                let (site, clock) = (self.net.site_of(*node), self.machines[*node].clock);
                self.add_machine(site, &disks, clock)
            }
            _ => return,
        };
        self.leave_gap(gap);
    }

    /// Whether all this machine has of value is also elsewhere.
    fn can_spare(&mut self, id: MachineId) -> bool {
        !self.machines[id].gone && self.safety().can_spare(id)
    }

    /// Whether all this machine has of value is also elsewhere, but for what it wrote that never was.
    fn can_be_lost(&mut self, id: MachineId) -> bool {
        !self.machines[id].gone && self.safety().can_be_lost(id)
    }

    /// Whether all that the machines of a site have of value is also elsewhere, but for what they wrote that never was.
    fn can_burn(&mut self, site: usize) -> bool {
        let machines = self.machines_at(site);
        !machines.is_empty() && self.safety().can_all_be_lost(&machines)
    }

    /// What the node says is true at this moment, and its owner believes it.
    fn unplug(&mut self, node: MachineId) {
        let id = self.begin(node, UserOperation::Drain { drain: true });
        if let Some(OperationEnd::Drained(report)) = self.operations.ended.get(&id)
            && report.may_be_unplugged
        {
            self.lose(node);
        }
    }

    /// The founder's node stays honest: it revokes the others. What only the one that turns has would be lost by its fault; and it
    /// would tell the others of a tree that nobody else has.
    fn may_turn(&mut self, id: MachineId) -> bool {
        let here = &self.machines[id];
        let duplicated = self.duplicate.is_some_and(|duplicate| self.machines[duplicate].node == here.node);
        let is_free = id != 0 && here.runs() && !duplicated && !self.is_hostile(id);
        is_free && self.can_be_lost(id) && !self.safety().unreplicated_somewhere().contains(&id)
    }

    fn end_duplicate(&mut self) {
        let original = self.original();
        if let Some(duplicate) = self.duplicate.take() {
            self.lose(duplicate);
        }
        if let Some(id) = original {
            self.crash(id);
        }
    }

    /// Waits some seconds for the moment at which the copy of a machine can be spared; then it has to go. Whether it could be
    /// spared: if not, its owner has destroyed what only it had.
    pub fn part_with_duplicate(&mut self, patience_s: u64) -> bool {
        let until = self.at + patience_s * S;
        while self.duplicate.is_some() && !self.act(&ScenarioEvent::EndDuplicate) {
            if self.at >= until {
                self.end_duplicate();
                return false;
            }
            self.run(1);
        }
        true
    }
}

impl World {
    /// A machine as drawn. It does not run yet.
    pub fn add_newcomer(&mut self, newcomer: &MachineSpec) -> MachineId {
        self.add_machine_as(newcomer.role, newcomer.site, &newcomer.disks, newcomer.clock)
    }

    /// Machines at a site that are not gone.
    pub fn machines_at(&self, site: usize) -> Vec<MachineId> {
        let stands = |id: &MachineId| self.net.site_of(*id) == site && !self.machines[*id].gone;
        (0..self.machines.len()).filter(stands).collect()
    }

    /// The machine of which one is a copy.
    pub fn original(&self) -> Option<MachineId> {
        let node = self.machines[self.duplicate?].node;
        (0..self.machines.len()).find(|id| Some(*id) != self.duplicate && self.machines[*id].node == node)
    }
}
