//! The world that a seed draws, for people.

use std::fmt;

use crate::clock::Clock;
use crate::queue::MS;
use crate::task::COPIES;
use crate::world::{UNIT_BYTES, World};

/// What a life begins with.
#[derive(Clone, Debug)]
pub struct Parameters {
    houses: Vec<House>,
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
struct House {
    bytes_per_s: u64,
    /// One way, to each house before it.
    delays_ms: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Node {
    house: usize,
    disk_bytes: Vec<u64>,
    clock: Clock,
}

impl Parameters {
    /// Of a world at its beginning.
    pub fn of(world: &World) -> Self {
        let house = |id| House {
            bytes_per_s: world.net.bytes_per_s(id),
            delays_ms: (0..id).map(|other| world.net.site_delay(id, other) / MS).collect(),
        };
        let node = |(id, machine): (usize, &crate::machine::Machine)| Node {
            house: world.net.site_of(id),
            disk_bytes: machine.store.disks.iter().map(|disk| disk.size).collect(),
            clock: machine.clock,
        };
        Self {
            houses: (0..world.net.sites()).map(house).collect(),
            nodes: world.machines.iter().enumerate().map(node).collect(),
        }
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, houses) = (self.nodes.len(), self.houses.len());
        writeln!(
            f,
            "  world: {nodes} nodes at first in {houses} houses, {COPIES} copies of everything, units of {} KiB;",
            UNIT_BYTES >> 10
        )?;
        writeln!(
            f,
            "  lines lose nothing until they break; an operation of a disk takes 0.2 to 20 ms, one of 256 a further 700 ms"
        )?;
        for (id, house) in self.houses.iter().enumerate() {
            let mbit = house.bytes_per_s * 8 / 1_000_000;
            writeln!(f, "  house {id}: {mbit} Mbit/s up; ms to the houses before it: {:?}", house.delays_ms)?;
        }
        for (id, node) in self.nodes.iter().enumerate() {
            let units: Vec<u64> = node.disk_bytes.iter().map(|bytes| bytes / UNIT_BYTES).collect();
            let Clock { drift_ppm, skew_ms, .. } = node.clock;
            writeln!(
                f,
                "  node {id}: house {}, disks of {units:?} units, clock {skew_ms:+} ms {drift_ppm:+} ppm",
                node.house
            )?;
        }
        Ok(())
    }
}
