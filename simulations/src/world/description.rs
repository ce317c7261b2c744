//! The world that a seed draws, for people.

use std::fmt;

use crate::world::clock::MachineClock;
use crate::world::pool::COPIES;
use crate::world::queue::MS;
use crate::world::{UNIT_BYTES, World};

/// What a run begins with.
#[derive(Clone, Debug)]
pub struct WorldDescription {
    sites: Vec<SiteDescription>,
    nodes: Vec<NodeDescription>,
}

#[derive(Clone, Debug)]
struct SiteDescription {
    bytes_per_s: u64,
    /// One way, to each site before it.
    delays_ms: Vec<u64>,
}

#[derive(Clone, Debug)]
struct NodeDescription {
    site: usize,
    disk_bytes: Vec<u64>,
    clock: MachineClock,
}

impl WorldDescription {
    /// Of a world at its beginning.
    pub fn of(world: &World) -> Self {
        let site = |id| SiteDescription {
            bytes_per_s: world.net.bytes_per_s(id),
            delays_ms: (0..id).map(|other| world.net.site_delay(id, other) / MS).collect(),
        };
        let node = |(id, machine): (usize, &crate::world::machine::Machine)| NodeDescription {
            site: world.net.site_of(id),
            disk_bytes: machine.store.disks.iter().map(|disk| disk.size).collect(),
            clock: machine.clock,
        };
        Self {
            sites: (0..world.net.sites()).map(site).collect(),
            nodes: world.machines.iter().enumerate().map(node).collect(),
        }
    }
}

impl fmt::Display for WorldDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, sites) = (self.nodes.len(), self.sites.len());
        writeln!(
            f,
            "  world: {nodes} nodes at first in {sites} sites, {COPIES} copies of everything, units of {} KiB;",
            UNIT_BYTES >> 10
        )?;
        writeln!(
            f,
            "  lines lose nothing until they break; an operation of a disk takes 0.2 to 20 ms, one of 256 a further 700 ms"
        )?;
        for (id, site) in self.sites.iter().enumerate() {
            let mbit = site.bytes_per_s * 8 / 1_000_000;
            writeln!(f, "  site {id}: {mbit} Mbit/s up; ms to the sites before it: {:?}", site.delays_ms)?;
        }
        for (id, node) in self.nodes.iter().enumerate() {
            let units: Vec<u64> = node.disk_bytes.iter().map(|bytes| bytes / UNIT_BYTES).collect();
            let MachineClock { drift_ppm, skew_ms, .. } = node.clock;
            writeln!(
                f,
                "  node {id}: site {}, disks of {units:?} units, clock {skew_ms:+} ms {drift_ppm:+} ppm",
                node.site
            )?;
        }
        Ok(())
    }
}
