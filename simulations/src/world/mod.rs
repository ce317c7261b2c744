//! The world: machines, disks, clocks and links, moved by one queue of events and one seeded generator.
//!
//! Every effect of an engine ends up in here, everything an engine is told comes from here. Nothing reads a real clock,
//! file or socket, so a run is a function of its seed.

mod build;
pub mod clock;
mod connections;
pub mod description;
mod effects;
mod forgery;
mod gate;
pub mod heads;
mod hostile;
mod incidents;
mod leases;
pub mod machine;
pub mod net;
pub mod observed;
pub mod pool;
pub mod queue;
mod repair;
mod seeded_bug;
mod size;
mod snapshot;
pub mod store;
mod tamper;
pub mod wording;

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_core::engine::Start;
use fsdfs_core::seam::Input;
use fsdfs_core::tree::TreeParams;
use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::volume::VersionVector;

pub use self::build::{HOUR_MS, SMALL, UNIT_BYTES};
use self::forgery::HostileMember;
pub use self::forgery::HostileWay;
pub use self::seeded_bug::SeededBug;
use self::seeded_bug::Tampering;
pub use crate::world::net::MachineId;

use crate::trace::EventTrace;
use crate::users::OperationTable;
use crate::world::machine::Machine;
use crate::world::net::{ConnId, Parcel, SimulatedNetwork};
use crate::world::observed::{Observed, PulledBlock};
use crate::world::pool::PoolKeys;
use crate::world::queue::{EventQueue, MS, Micros};
use crate::world::size::kind;

/// Calls of one engine without its clock moving after which it counts as spinning.
const SPINS_MAX: u32 = 1_000;

/// A simulated pool.
pub struct World {
    /// Now.
    pub at: Micros,
    /// The only source of chance.
    pub rng: fastrand::Rng,
    /// All machines, also those that are gone.
    pub machines: Vec<Machine>,
    /// Links between them.
    pub net: SimulatedNetwork,
    /// Keys of the pool and its volume.
    pub pool: PoolKeys,
    /// What users do.
    pub operations: OperationTable,
    /// What happened.
    pub trace: EventTrace,
    /// What the look that is being answered was based on.
    pub(crate) looked: Option<VersionVector>,
    /// The machine that is a copy of another one, if there is one at the moment.
    pub(crate) duplicate: Option<MachineId>,
    tampering: Tampering,
    /// Members that lie.
    hostile: BTreeMap<MachineId, HostileMember>,
    /// What a machine asked another one for, as its map was then.
    pulls_asked: BTreeMap<(MachineId, MachineId, BlockId), PulledBlock>,
    /// What was pulled and is on its way to a disk.
    pulled: BTreeSet<(MachineId, BlockId)>,
    /// Whether what holders say of themselves is observed in full.
    pub(crate) watches_status: bool,
    /// What was observed and not yet taken; none: nothing is recorded.
    observed: Option<Vec<(Micros, Observed)>>,
    queue: EventQueue<QueuedEvent>,
    common: Start,
}

/// Something that happens.
enum QueuedEvent {
    /// An engine's deadline.
    Wake { machine: MachineId, boot: u64 },
    /// A job ended, or the machine tells its engine something.
    Input { machine: MachineId, boot: u64, input: Input, looked: Option<VersionVector> },
    /// A store's request completes.
    Disk { machine: MachineId, boot: u64, request: u64 },
    /// A parcel, sent by that side, arrives.
    Arrive { conn: ConnId, side: usize, parcel: Parcel },
    /// That side sees bytes of a block move.
    Progress { conn: ConnId, side: usize },
    /// The block that was on a site's uplink has left.
    LineFree { site: usize },
    /// A block that side passed on is on the line whole.
    Relayed { conn: ConnId, side: usize, member: NodeId, bytes: usize },
    /// An attempt to connect ends.
    Dialled { machine: MachineId, boot: u64, node: NodeId },
    /// The gate is passed at that side.
    Up { conn: ConnId, side: usize, facts: Vec<Fact> },
    /// That side gives the connection up, if packets still do not get through.
    Idle { conn: ConnId, side: usize },
    /// That side learns that the other is no more.
    Lost { conn: ConnId, side: usize },
    /// A member that lies has something to say.
    Mischief { machine: MachineId },
}

impl World {
    /// From now on observations are kept until they are taken.
    pub fn record(&mut self) {
        self.observed.get_or_insert_default();
    }

    /// What was observed since this was asked last.
    pub fn take_observed(&mut self) -> Vec<(Micros, Observed)> {
        self.observed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn observe(&mut self, observed: Observed) {
        if let Some(kept) = &mut self.observed {
            kept.push((self.at, observed));
        }
    }

    /// Sizes of trees in this world.
    pub fn params(&self) -> TreeParams {
        self.common.params
    }

    /// Runs until then.
    pub fn run_until(&mut self, until: Micros) {
        while let Some((at, event)) = self.queue.next(until) {
            self.at = at;
            self.happen(event);
        }
        // What was waited for may have taken longer.
        self.at = self.at.max(until);
    }

    /// Runs for some milliseconds.
    pub fn run_ms(&mut self, ms: u64) {
        self.run_until(self.at + ms * MS);
    }

    /// Runs for some seconds.
    pub fn run(&mut self, seconds: u64) {
        self.run_until(self.at + seconds * queue::S);
    }

    /// Runs until `done`, at most `seconds`. Returns whether it came to that.
    pub fn run_while(&mut self, seconds: u64, mut going: impl FnMut(&Self) -> bool) -> bool {
        let until = self.at + seconds * queue::S;
        while going(self) {
            let Some((at, event)) = self.queue.next(until) else { return false };
            self.at = at;
            self.happen(event);
        }
        true
    }

    fn happen(&mut self, event: QueuedEvent) {
        match event {
            QueuedEvent::Wake { machine, boot } => self.wake(machine, boot),
            QueuedEvent::Input { machine, boot, input, looked } => self.input_of(machine, boot, input, looked),
            QueuedEvent::Disk { machine, boot, request } => self.disk_done(machine, boot, request),
            QueuedEvent::Arrive { conn, side, parcel } => self.arrive(conn, side, parcel),
            QueuedEvent::Progress { conn, side } => self.progress(conn, side),
            QueuedEvent::LineFree { site } => self.feed(site),
            QueuedEvent::Relayed { conn, side, member, bytes } => self.relayed(conn, side, (member, bytes)),
            QueuedEvent::Dialled { machine, boot, node } => self.dialled(machine, boot, node),
            QueuedEvent::Up { conn, side, facts } => self.up(conn, side, facts),
            QueuedEvent::Idle { conn, side } => self.idle(conn, side),
            QueuedEvent::Lost { conn, side } => self.lost(conn, side),
            QueuedEvent::Mischief { machine } => self.mischief(machine),
        }
    }

    fn wake(&mut self, machine: MachineId, boot: u64) {
        let at = self.at;
        let here = &mut self.machines[machine];
        let now = here.clock.now(at);
        let Some(process) = here.process.as_mut().filter(|process| here.boot == boot && process.wake == Some(at))
        else {
            return;
        };
        process.wake = None;
        if here.frozen {
            return;
        }
        if process.engine.deadline().is_some_and(|due| due <= now.mono) {
            self.input(machine, Input::Timeout);
        } else {
            self.plan_wake(machine);
        }
    }

    fn input_of(&mut self, machine: MachineId, boot: u64, input: Input, looked: Option<VersionVector>) {
        if self.machines[machine].boot == boot {
            self.input_looked(machine, input, looked);
        }
    }

    /// Tells a running engine something, carries out what it wants done.
    pub(crate) fn input(&mut self, machine: MachineId, input: Input) {
        self.input_looked(machine, input, None);
    }

    pub(crate) fn input_looked(&mut self, machine: MachineId, input: Input, looked: Option<VersionVector>) {
        let at = self.at;
        let here = &mut self.machines[machine];
        let Some(process) = &mut here.process else { return };
        if here.frozen {
            return here.inbox.push_back((input, looked));
        }
        self.trace.note(at, &(machine, number(&input)), || format!("node {machine} <- {}", wording::input(&input)));
        let mut out = Vec::new();
        process.engine.handle(here.clock.now(at), input, &mut out);
        self.looked = looked;
        self.run_effects(machine, out);
        self.looked = None;
        self.plan_wake(machine);
    }

    pub(super) fn plan_wake(&mut self, machine: MachineId) {
        let at = self.at;
        let here = &mut self.machines[machine];
        let Some(process) = &mut here.process else { return };
        let Some(due) = process.engine.deadline() else { return };
        let wanted = here.clock.when(due);
        process.spins = if wanted <= at { process.spins + 1 } else { 0 };
        if process.spins > SPINS_MAX {
            process.spins = 0;
            return self.observe(Observed::NodeSpins { machine });
        }
        let wake = wanted.max(at + 1);
        if process.wake.is_none_or(|planned| planned > wake || planned <= at) {
            process.wake = Some(wake);
            let boot = here.boot;
            self.queue.plan(wake, QueuedEvent::Wake { machine, boot });
        }
    }
}

fn number(input: &Input) -> (u8, u8, u64) {
    match input {
        Input::Command { op, .. } => (1, 0, *op),
        Input::Message { message, .. } => (2, kind(message).1, 0),
        Input::Peer { node, .. } => (3, node.0[0], 0),
        Input::Disk { .. } => (4, 0, 0),
        Input::Work { .. } => (5, 0, 0),
        Input::Timeout => (6, 0, 0),
        Input::Addresses(_) => (7, 0, 0),
        Input::RepairBudget(bytes_per_s) => (8, 0, *bytes_per_s),
        Input::Moved => (9, 0, 0),
        Input::Relays(relays) => (10, u8::from(*relays), 0),
    }
}
