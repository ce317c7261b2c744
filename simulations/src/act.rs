//! What befalls a pool, written down: whatever was drawn from a seed can be done again, alone or without others.

use std::fmt;

use fsdfs_proto::ids::BlockId;

use crate::clock::Clock;
use crate::queue::{MS, S, Us};
use crate::task::Wish;
use crate::world::{MachineId, World};

/// An act at its time.
#[derive(Clone, Debug)]
pub struct Step {
    /// When.
    pub at: Us,
    /// Names the fault or the wishes that it is part of: a crash and the restart after it share a number. 0: part of nothing.
    pub nr: u32,
    /// What.
    pub act: Act,
}

/// Something done to the world: by users, by bad luck, by whoever makes it good again. What would destroy the last copy of
/// something is not done, see [`crate::safety`].
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "named like the functions of the world that carry them out")]
pub enum Act {
    Wish {
        node: MachineId,
        wish: Wish,
    },
    /// It is looked whether somebody waits for too long.
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
    Double {
        node: MachineId,
    },
    /// Its owner does what the node says: switches the copy off, when it has nothing that the pool needs, and starts the
    /// original again.
    EndDouble,
    Clock {
        node: MachineId,
        ms: i64,
    },
    DeleteIndex {
        node: MachineId,
        rebuild: Us,
    },
    Join {
        newcomer: Newcomer,
    },
}

/// A machine as drawn.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// House.
    pub site: usize,
    /// Sizes of its disks in units.
    pub disks: Vec<u64>,
    /// Its clock.
    pub clock: Clock,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5}.{:03} {:>4} {:?}", self.at / S, self.at % S / MS, self.nr, self.act)
    }
}

impl Act {
    /// Its name: a wish's own, else what happens.
    pub fn kind(&self) -> String {
        let text = match self {
            Self::Wish { wish, .. } => format!("{wish:?}"),
            other => format!("{other:?}"),
        };
        text.split(' ').next().unwrap_or_default().to_lowercase()
    }
}

impl World {
    /// Does it, if it may be done now. Returns whether it was.
    pub fn act(&mut self, act: &Act) -> bool {
        let may = self.may(act);
        if may {
            self.carry(act);
        } else {
            self.leave_out(act);
        }
        may
    }

    /// Whether it can be done, and breaks no promise by itself.
    pub fn may(&mut self, act: &Act) -> bool {
        match act {
            Act::Wish { node, .. } => self.machines[*node].runs(),
            Act::Rot { node, block } => {
                // What was on two machines until now counts as such: with one copy left, its writer may not be lost.
                self.note_thick();
                self.has_another_copy(*node, *block)
            }
            Act::Wipe { node } => self.can_spare(*node),
            Act::Restore { node, .. } => !self.machines[*node].backups.is_empty() && self.can_spare(*node),
            Act::Lose { node } => self.can_be_lost(*node),
            Act::LoseWriter { node } => {
                self.note_thick();
                node.is_some_and(|node| self.can_be_lost(node))
            }
            Act::Double { node } => self.twin.is_none() && !self.machines[*node].gone,
            Act::EndDouble => self.twin.is_some_and(|twin| self.can_spare(twin)),
            _ => true,
        }
    }

    fn carry(&mut self, act: &Act) {
        match act {
            Act::Wish { node, wish } => drop(self.begin(*node, wish.clone())),
            Act::Sweep => self.sweep(),
            Act::Crash { node } => self.crash(*node),
            Act::Restart { node } => self.restart(*node),
            Act::Partition { part } => self.partition(part),
            Act::Stall { from, to } => self.stall(*from, *to),
            Act::Heal => self.heal(),
            Act::Freeze { node } => self.freeze(*node),
            Act::Thaw { node } => self.thaw(*node),
            Act::Disk { node, slot, fails } => self.set_disk_fails(*node, *slot, *fails),
            Act::Home { node, fails } => self.set_home_fails(*node, *fails),
            Act::Quota { node, bytes } => self.set_quota(*node, *bytes),
            Act::Rot { node, block } => self.damage(*node, *block),
            Act::BackUp { node } => self.back_up(*node),
            Act::Lose { node } | Act::LoseWriter { node: Some(node) } => self.lose(*node),
            Act::LoseWriter { node: None } => {}
            Act::Clock { node, ms } => self.jump_clock(*node, *ms),
            Act::EndDouble => self.end_twin(),
            other => self.carry_steps(other),
        }
    }

    /// What takes several steps.
    fn carry_steps(&mut self, act: &Act) {
        match act {
            Act::Wipe { node } => {
                self.crash(*node);
                self.wipe_disks(*node);
            }
            Act::Restore { node, told } => {
                self.crash(*node);
                self.restore(*node, *told);
            }
            Act::DeleteIndex { node, rebuild } => {
                self.crash(*node);
                self.delete_index(*node, *rebuild);
            }
            Act::Double { node } => {
                // A copy that its program cannot tell from the original, in another part of a cut network, cannot be kept
                // from using the same sequence numbers. What can be noticed is noticed: see the scenario about two live boots.
                let twin = self.clone_machine(*node, true);
                self.restart(twin);
                self.twin = Some(twin);
            }
            Act::Join { newcomer } => {
                let id = self.add_newcomer(newcomer);
                self.restart(id);
            }
            _ => unreachable!("all others are single steps"),
        }
    }

    /// What is not done leaves a gap where it would have added a machine: the others keep their numbers.
    pub fn leave_out(&mut self, act: &Act) {
        let gap = match act {
            Act::Join { newcomer } => self.add_newcomer(newcomer),
            Act::Double { node } => {
                let disks = vec![0; self.machines[*node].store.disks.len()];
                self.add_machine(self.net.site_of(*node), &disks, self.machines[*node].clock)
            }
            _ => return,
        };
        self.machines[gap].gone = true;
    }

    /// A machine as drawn. It does not run yet.
    pub fn add_newcomer(&mut self, newcomer: &Newcomer) -> MachineId {
        self.add_machine(newcomer.site, &newcomer.disks, newcomer.clock)
    }

    /// The machine of which one is a copy.
    pub fn original(&self) -> Option<MachineId> {
        let node = self.machines[self.twin?].node;
        (0..self.machines.len()).find(|id| Some(*id) != self.twin && self.machines[*id].node == node)
    }

    fn end_twin(&mut self) {
        let original = self.original();
        if let Some(twin) = self.twin.take() {
            self.lose(twin);
        }
        if let Some(id) = original {
            self.crash(id);
        }
    }

    /// Waits some seconds for the moment at which the copy of a machine can be spared; then it has to go. Whether it could be
    /// spared: if not, its owner has destroyed what only it had.
    pub fn part_with_twin(&mut self, patience_s: u64) -> bool {
        let until = self.at + patience_s * S;
        while self.twin.is_some() && !self.act(&Act::EndDouble) {
            if self.at >= until {
                self.end_twin();
                return false;
            }
            self.run(1);
        }
        true
    }
}
