//! Eight homes as they are, and what becomes of them in a year.

use crate::simulation::Simulation;
use crate::users::UserOperation;
use crate::world::MachineId;
use crate::world::clock::MachineClock;
use crate::world::queue::{EventQueue, Micros, S};

pub const MINUTE: Micros = 60 * S;
pub const HOUR: Micros = 60 * MINUTE;
pub const DAY: Micros = 24 * HOUR;
/// The world begins on a Thursday.
const WEEKDAY: u64 = 3;

/// How a home lives.
#[derive(Clone, Copy, Debug)]
pub struct HomeKind {
    /// For people.
    pub name: &'static str,
    /// Uplink, Mbit/s.
    uplink: u64,
    /// Units of its disk.
    units: u64,
    /// Hours of the day from which to which it is off, on weekdays and on weekends; the same hour twice: never.
    off: [(u64, u64); 2],
    /// Days between two failures of power or line, on average, and how many minutes these take at most.
    fails: (u64, u64),
    /// Holidays a year, off for so many days each, and whether they are announced.
    holidays: (u64, u64, bool),
}

/// What homes with servers report: most are always on, some sleep, one is at a student's.
pub const HOMES: [HomeKind; 8] = [
    HomeKind {
        name: "always on, fibre",
        uplink: 100,
        units: 256,
        off: [(0, 0); 2],
        fails: (60, 120),
        holidays: (0, 0, false),
    },
    HomeKind {
        name: "always on, cable",
        uplink: 20,
        units: 256,
        off: [(0, 0); 2],
        fails: (14, 30),
        holidays: (0, 0, false),
    },
    HomeKind {
        name: "always on, DSL that drops",
        uplink: 10,
        units: 128,
        off: [(0, 0); 2],
        fails: (3, 20),
        holidays: (0, 0, false),
    },
    HomeKind {
        name: "off at night",
        uplink: 40,
        units: 128,
        off: [(23, 7), (1, 9)],
        fails: (30, 60),
        holidays: (0, 0, false),
    },
    HomeKind {
        name: "off at night, holidays announced",
        uplink: 20,
        units: 256,
        off: [(0, 6), (1, 8)],
        fails: (30, 60),
        holidays: (3, 10, true),
    },
    HomeKind {
        name: "evenings and weekends",
        uplink: 10,
        units: 64,
        off: [(23, 17), (1, 10)],
        fails: (30, 60),
        holidays: (2, 7, false),
    },
    HomeKind {
        name: "second home, off from Monday to Friday",
        uplink: 20,
        units: 128,
        off: [(0, 24), (0, 0)],
        fails: (30, 60),
        holidays: (0, 0, false),
    },
    HomeKind {
        name: "switched off when the owner travels",
        uplink: 40,
        units: 128,
        off: [(0, 0); 2],
        fails: (20, 60),
        holidays: (10, 3, false),
    },
];

/// What happens at some time.
#[derive(Clone, Debug)]
pub enum YearStep {
    /// Off until then.
    Off {
        node: MachineId,
        until: Micros,
    },
    On {
        node: MachineId,
    },
    /// Its owner says that it will be away until then, and goes.
    Holiday {
        node: MachineId,
        until: Micros,
        announced: bool,
    },
    /// It is replaced by an empty one.
    DiskDies {
        node: MachineId,
    },
    /// The home burns, and its owner is not seen again.
    Burns {
        node: MachineId,
    },
    /// Power of a quarter: four homes at once.
    Outage {
        nodes: Vec<MachineId>,
        until: Micros,
    },
    Write,
    Sample,
}

/// The machines of the homes. They run.
pub fn build(world: &mut Simulation) {
    for (site, home) in HOMES.iter().enumerate() {
        let number = world.add_site(home.uplink * 125_000, |_| 15);
        assert_eq!(number, site, "one site a home");
        world.add_machine(site, &[home.units], MachineClock::new(20, 0));
    }
    (0..HOMES.len()).for_each(|id| world.restart(id));
}

/// What happens in so many days.
pub fn year(rng: &mut fastrand::Rng, days: u64) -> EventQueue<YearStep> {
    let mut queue = EventQueue::default();
    for (node, home) in HOMES.iter().enumerate() {
        for day in 0..days {
            let weekend = (day + WEEKDAY) % 7 >= 5;
            let (from, to) = home.off[usize::from(weekend)];
            if from != to {
                let at = day * DAY + from * HOUR + rng.u64(0..40 * MINUTE);
                let hours = if to > from { to - from } else { to + 24 - from };
                queue.plan(at, YearStep::Off { node, until: at + hours * HOUR - rng.u64(0..30 * MINUTE) });
            }
            if rng.u64(0..home.fails.0) == 0 {
                let at = day * DAY + rng.u64(0..DAY);
                queue.plan(at, YearStep::Off { node, until: at + rng.u64(MINUTE..=home.fails.1 * MINUTE) });
            }
        }
        let (count, length, announced) = home.holidays;
        // Of a shorter life its share.
        for _ in 0..(count * days).div_ceil(365) {
            let at = DAY + rng.u64(0..days.saturating_sub(2).max(1) * DAY);
            queue.plan(at, YearStep::Holiday { node, until: at + length * DAY, announced });
        }
    }
    for outage in 0..(4 * days).div_ceil(365) {
        let at = DAY + rng.u64(0..days.saturating_sub(2).max(1) * DAY);
        let mut nodes: Vec<MachineId> = (0..HOMES.len()).collect();
        rng.shuffle(&mut nodes);
        nodes.truncate(4);
        let hours = if outage == 0 { 7 } else { 2 };
        queue.plan(at, YearStep::Outage { nodes, until: at + hours * HOUR });
    }
    // Two disks in eight a year is twice what they are said to do.
    queue.plan(days * DAY * 3 / 10, YearStep::DiskDies { node: 1 });
    queue.plan(days * DAY * 8 / 10, YearStep::DiskDies { node: 4 });
    queue.plan(days * DAY * 6 / 10, YearStep::Burns { node: 3 });
    for hour in 0..days * 24 {
        queue.plan(hour * HOUR, YearStep::Sample);
        if hour % 24 == 20 {
            queue.plan(hour * HOUR + rng.u64(0..HOUR), YearStep::Write);
        }
    }
    queue
}

/// What is to come, and until when each home is off.
pub struct HomeYear {
    pub queue: EventQueue<YearStep>,
    off_until: [Micros; HOMES.len()],
}

impl HomeYear {
    pub fn new(queue: EventQueue<YearStep>) -> Self {
        Self { queue, off_until: [0; HOMES.len()] }
    }

    /// Does it, with what follows from it.
    pub fn happens(&mut self, world: &mut Simulation, step: YearStep) {
        match step {
            YearStep::Off { node, until } => self.off(world, node, until),
            // Whoever is on holiday is not there to wake up in the morning.
            YearStep::On { node } if world.at < self.off_until[node] => {}
            YearStep::On { node } => world.restart(node),
            YearStep::Holiday { node, until, announced } => {
                if announced && world.machines[node].runs() {
                    let until_ms = world.machines[node].clock.now(until).wall;
                    world.wait(node, UserOperation::Announce { until_ms, daily: Vec::new() });
                    world.run(60);
                }
                self.off(world, node, until);
            }
            YearStep::DiskDies { node } => {
                world.crash(node);
                world.wipe_disks(node);
                self.off(world, node, world.at + 2 * DAY);
            }
            YearStep::Burns { node } => world.lose(node),
            YearStep::Outage { nodes, until } => nodes.into_iter().for_each(|node| self.off(world, node, until)),
            YearStep::Write | YearStep::Sample => unreachable!("done by whoever measures"),
        }
    }

    fn off(&mut self, world: &mut Simulation, node: MachineId, until: Micros) {
        world.crash(node);
        self.off_until[node] = self.off_until[node].max(until);
        self.queue.plan(self.off_until[node], YearStep::On { node });
    }
}
