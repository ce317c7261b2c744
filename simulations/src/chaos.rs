//! A random life of a pool, drawn from the seed: who writes what, and what goes wrong when.

use fsdfs_core::tree::{Name, Path};

use crate::clock::Clock;
use crate::queue::{MS, Queue, S, Us};
use crate::task::Wish;
use crate::world::{MachineId, SMALL, UNIT_BYTES, World};

/// What a run is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Decides everything else.
    pub seed: u64,
    /// Machines, including those that join late.
    pub nodes: usize,
    /// Simulated minutes with faults.
    pub minutes: u64,
    /// Print the log.
    pub print: bool,
}

/// Pool and first members settle before anything happens.
const SETTLE: Us = 20 * S;
/// Pause between two wishes of users, on average.
const WISH_EVERY: Us = 4 * S;
/// Pause between two faults, on average.
const FAULT_EVERY: Us = 12 * S;
/// How often it is looked whether somebody waits for too long.
const SWEEP_EVERY: Us = 10 * S;

/// How long after the end a copied machine may stay on until all it has is elsewhere too.
const PATIENCE: Us = 60 * S;

#[derive(Clone, Copy)]
enum Act {
    Wish,
    Fault,
    Sweep,
    Heal,
    LoseWriter,
    Restart(MachineId),
    Thaw(MachineId),
    Jump(MachineId, i64),
    DiskWorks(MachineId, usize),
    HomeWorks(MachineId),
    Room(MachineId),
    EndTwin,
}

/// The random life.
pub struct Chaos {
    rng: fastrand::Rng,
    agenda: Queue<Act>,
    end: Us,
    late: usize,
    gone: usize,
    cut: bool,
    twin: Option<MachineId>,
}

impl Chaos {
    /// A world as the seed draws it, and the life that awaits it.
    pub fn begin(shape: Shape) -> (World, Self) {
        let mut world = World::empty(shape.seed, SMALL, shape.print);
        let mut rng = world.rng.fork();
        let late = 1 + usize::from(rng.bool());
        let early = shape.nodes.saturating_sub(late).max(1);
        add_houses(&mut world, &mut rng, shape.nodes);
        (0..early).for_each(|_| {
            let id = add_random_machine(&mut world, &mut rng);
            world.restart(id);
        });
        let end = SETTLE + shape.minutes * 60 * S;
        let late = shape.nodes.saturating_sub(early);
        let mut chaos = Self { rng, agenda: Queue::default(), end, late, gone: 0, cut: false, twin: None };
        chaos.agenda.plan(SETTLE, Act::Wish);
        chaos.agenda.plan(SETTLE + 5 * S, Act::Fault);
        chaos.agenda.plan(SETTLE, Act::Sweep);
        (world, chaos)
    }

    /// Lives it.
    pub fn live(&mut self, world: &mut World) {
        while let Some((at, act)) = self.agenda.next(self.end) {
            world.run_until(at);
            self.act(world, act);
        }
        world.run_until(self.end);
        self.end_twin(world);
    }

    fn act(&mut self, world: &mut World, act: Act) {
        match act {
            Act::Wish => {
                self.wish(world);
                self.later(world, Act::Wish, 0, 2 * WISH_EVERY);
            }
            Act::Fault => {
                self.fault(world);
                self.later(world, Act::Fault, 0, 2 * FAULT_EVERY);
            }
            Act::Sweep => {
                world.sweep();
                self.later(world, Act::Sweep, SWEEP_EVERY, SWEEP_EVERY);
            }
            Act::Heal => {
                self.cut = false;
                world.heal();
                // Now who was cut off tells what it wrote, or does not live to do so.
                if self.rng.bool() {
                    self.later(world, Act::LoseWriter, 0, S);
                }
            }
            Act::LoseWriter => self.lose_writer(world),
            Act::Restart(id) => world.restart(id),
            Act::Thaw(id) => world.thaw(id),
            Act::Jump(id, ms) => world.jump_clock(id, ms),
            Act::DiskWorks(id, slot) => world.set_disk_fails(id, slot, false),
            Act::HomeWorks(id) => world.set_home_fails(id, false),
            Act::Room(id) => world.set_quota(id, u64::MAX),
            Act::EndTwin => self.end_twin(world),
        }
    }

    fn later(&mut self, world: &World, act: Act, least: Us, most: Us) {
        let pause = self.rng.u64(least..=most);
        self.agenda.plan(world.at + pause, act);
    }

    fn wish(&mut self, world: &mut World) {
        let running: Vec<MachineId> = (0..world.machines.len()).filter(|id| world.machines[*id].runs()).collect();
        let Some(machine) = self.rng.choice(running) else { return };
        // Users come in bursts: one commit then carries several edits.
        let burst = if self.rng.u8(..) < 40 { self.rng.usize(2..6) } else { 1 };
        for _ in 0..burst {
            let wish = self.draw_wish();
            world.begin(machine, wish);
        }
    }

    fn draw_wish(&mut self) -> Wish {
        match self.rng.u8(0..100) {
            0..40 => Wish::Put { path: self.file(), bytes: self.size() },
            40..46 => Wish::MakeDir { path: self.folder(1) },
            46..53 => Wish::Remove { path: self.file() },
            53..56 => Wish::Remove { path: self.folder(1) },
            56..63 => Wish::Move { from: self.file(), to: self.file() },
            63..68 => Wish::Move { from: self.folder(1), to: self.folder(1) },
            68..88 => Wish::Read { path: self.file() },
            _ => Wish::List { path: self.folder(0) },
        }
    }

    /// Few names, so that writers meet. Folders and files never share a name.
    fn folder(&mut self, least: usize) -> Path {
        let depth = self.rng.usize(least..=3);
        (0..depth).map(|_| name("d", self.rng.u8(0..3))).collect()
    }

    fn file(&mut self) -> Path {
        let mut path = self.folder(0);
        path.push(name("f", self.rng.u8(0..6)));
        path
    }

    fn size(&mut self) -> usize {
        match self.rng.u8(0..10) {
            0..5 => self.rng.usize(8..100),
            5..9 => self.rng.usize(100..2_000),
            _ => self.rng.usize(2_000..20_000),
        }
    }

    fn fault(&mut self, world: &mut World) {
        let alive: Vec<MachineId> = (0..world.machines.len()).filter(|id| !world.machines[*id].gone).collect();
        let Some(id) = self.rng.choice(alive) else { return };
        match self.rng.u8(0..100) {
            0..18 => self.crash(world, id),
            18..30 => self.cut(world),
            30..38 => self.stall(world, id),
            38..52 => self.freeze(world, id),
            52..57 => self.break_disk(world, id),
            57..60 => self.break_home(world, id),
            60..67 => self.rot(world, id),
            67..72 => self.wipe(world, id),
            72..77 => world.back_up(id),
            77..82 => self.restore(world, id),
            82..84 => self.lose(world, id),
            84..87 => self.double(world, id),
            87..91 => self.jump(world, id),
            91..94 => self.fill(world, id),
            94..97 => self.delete_index(world, id),
            _ => self.join(world),
        }
    }

    fn crash(&mut self, world: &mut World, id: MachineId) {
        world.crash(id);
        let most = if self.rng.bool() { 3 * S } else { 90 * S };
        self.later(world, Act::Restart(id), 200 * MS, most);
    }

    fn cut(&mut self, world: &mut World) {
        if std::mem::replace(&mut self.cut, true) {
            return;
        }
        let alone = self.rng.u8(..) < 85;
        let (parts, one) = (self.rng.u8(2..=3), self.rng.usize(0..world.machines.len()));
        let mut part_of = |id| if alone { u8::from(id == one) } else { self.rng.u8(0..parts) };
        let part: Vec<u8> = (0..world.machines.len()).map(&mut part_of).collect();
        world.partition(&part);
        let most = if self.rng.bool() { 8 * S } else { 80 * S };
        self.later(world, Act::Heal, S, most);
    }

    fn stall(&mut self, world: &mut World, from: MachineId) {
        let to = self.rng.usize(0..world.machines.len());
        if from != to && !std::mem::replace(&mut self.cut, true) {
            world.stall(from, to);
            self.later(world, Act::Heal, S, 20 * S);
        }
    }

    fn freeze(&mut self, world: &mut World, id: MachineId) {
        world.freeze(id);
        let most = if self.rng.bool() { 3 * S } else { 25 * S };
        self.later(world, Act::Thaw(id), 500 * MS, most);
    }

    fn break_disk(&mut self, world: &mut World, id: MachineId) {
        let slot = self.rng.usize(0..world.machines[id].store.disks.len());
        world.set_disk_fails(id, slot, true);
        self.later(world, Act::DiskWorks(id, slot), 5 * S, 40 * S);
    }

    fn break_home(&mut self, world: &mut World, id: MachineId) {
        world.set_home_fails(id, true);
        self.later(world, Act::HomeWorks(id), 5 * S, 30 * S);
    }

    fn rot(&mut self, world: &mut World, id: MachineId) {
        let blocks: Vec<_> = world.machines[id].store.ids().collect();
        for _ in 0..3 {
            let Some(block) = self.rng.choice(blocks.iter().copied()) else { return };
            if world.has_another_copy(id, block) {
                world.damage(id, block);
            }
        }
    }

    fn wipe(&mut self, world: &mut World, id: MachineId) {
        if world.can_spare(id) {
            world.crash(id);
            world.wipe_disks(id);
            self.later(world, Act::Restart(id), S, 20 * S);
        }
    }

    fn restore(&mut self, world: &mut World, id: MachineId) {
        if !world.machines[id].backups.is_empty() && world.can_spare(id) {
            world.crash(id);
            let told = self.rng.bool();
            world.restore(id, told);
            self.later(world, Act::Restart(id), S, 20 * S);
        }
    }

    fn lose(&mut self, world: &mut World, id: MachineId) {
        // The founder's node is needed to introduce late joiners.
        if id != 0 && self.gone < 2 && world.can_be_lost(id) {
            self.gone += 1;
            world.lose(id);
        }
    }

    fn lose_writer(&mut self, world: &mut World) {
        if let Some(id) = self.rng.choice(world.thin_somewhere()) {
            self.lose(world, id);
        }
    }

    fn double(&mut self, world: &mut World, id: MachineId) {
        if self.twin.is_none() && !world.machines[id].gone {
            // A copy that its program cannot tell from the original, in another part of a cut network, cannot be kept from
            // using the same sequence numbers. What can be noticed is noticed: see the scenario about two live boots.
            let twin = world.clone_machine(id, true);
            world.restart(twin);
            self.twin = Some(twin);
            self.later(world, Act::EndTwin, 20 * S, 90 * S);
        }
    }

    /// Its owner does what the node says: switches the copy off, when it has nothing that the pool needs, and starts the
    /// original again.
    fn end_twin(&mut self, world: &mut World) {
        let Some(twin) = self.twin else { return };
        if world.can_spare(twin) || world.at >= self.end + PATIENCE {
            self.twin = None;
            world.lose(twin);
            let node = world.machines[twin].node;
            let original = (0..world.machines.len()).find(|id| *id != twin && world.machines[*id].node == node);
            if let Some(id) = original {
                self.crash(world, id);
            }
        } else if world.at >= self.end {
            world.run(1);
            self.end_twin(world);
        } else {
            self.later(world, Act::EndTwin, S, 5 * S);
        }
    }

    fn jump(&mut self, world: &mut World, id: MachineId) {
        let most: i64 = if self.rng.bool() { 120_000 } else { 3_600_000 };
        let jump = Act::Jump(id, self.rng.i64(-most..=most));
        // It matters while something is under way.
        for _ in 0..if world.machines[id].runs() { 4 } else { 0 } {
            let path = self.file();
            world.begin(id, Wish::Read { path });
        }
        self.later(world, jump, 5 * MS, 300 * MS);
    }

    fn fill(&mut self, world: &mut World, id: MachineId) {
        world.set_quota(id, UNIT_BYTES / 2);
        self.later(world, Act::Room(id), 10 * S, 60 * S);
    }

    fn delete_index(&mut self, world: &mut World, id: MachineId) {
        world.crash(id);
        let rebuild = self.rng.u64(S..=20 * S);
        world.delete_index(id, rebuild);
        self.later(world, Act::Restart(id), 100 * MS, 2 * S);
    }

    fn join(&mut self, world: &mut World) {
        if self.late > 0 {
            self.late -= 1;
            let id = add_random_machine(world, &mut self.rng);
            world.restart(id);
        }
    }
}

fn name(prefix: &str, number: u8) -> Name {
    format!("{prefix}{number}").into_bytes().into()
}

/// Houses with uplinks from 1 Mbit/s to 1 Gbit/s, 1 to 150 ms apart.
fn add_houses(world: &mut World, rng: &mut fastrand::Rng, nodes: usize) {
    let houses = rng.usize(nodes.div_ceil(2)..=nodes);
    for _ in 0..houses {
        let bytes_per_s = 125_000 * 10u64.pow(rng.u32(0..3)) * rng.u64(1..=10);
        let mut delays = rng.fork();
        world.add_site(bytes_per_s, |_| delays.u64(1..=150));
    }
}

fn add_random_machine(world: &mut World, rng: &mut fastrand::Rng) -> MachineId {
    let site = rng.usize(0..world.net.sites());
    let disks: Vec<u64> = (0..rng.usize(1..=3)).map(|_| rng.u64(16..128)).collect();
    let clock = Clock::new(rng.i64(-300..=300), rng.i64(-5_000..=5_000));
    world.add_machine(site, &disks, clock)
}
