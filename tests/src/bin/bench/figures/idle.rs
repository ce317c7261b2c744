//! What five nodes cost that have nothing to do.

use std::time::Duration;

use anyhow::Result;

use crate::floor::FloorTable;
use crate::pool::Pool;
use crate::report::{FigureGoal, Row};
use crate::scale::BenchScale;
use crate::source::DataSource;
use crate::usage;

const NODES: usize = 5;
const PAIRS: f64 = (NODES * (NODES - 1) / 2) as f64;
/// Until members are connected, have exchanged their cards and have repaired what there is to repair.
const WARM_UP: Duration = Duration::from_secs(20);

pub fn measure(_: &FloorTable, scale: BenchScale, row: &mut dyn FnMut(Row)) -> Result<()> {
    let (pool, source) = (Pool::start(NODES, false, 1 << 30)?, DataSource::new(fastrand::u64(..)));
    pool.runtime.block_on(pool.put(0, "/file", &source, 16 << 20))?;
    std::thread::sleep(WARM_UP);
    pool.wait_still()?;

    let cpu = || pool.pids().into_iter().map(usage::cpu_s).collect::<Result<Vec<f64>>>();
    let work = pool.work()?;
    let (cpu_before, loopback) = (cpu()?, usage::loopback_bytes()?);
    std::thread::sleep(Duration::from_secs(scale.idle_s));
    let (cpu_after, loopback) = (cpu()?, usage::loopback_bytes()? - loopback);
    let work = pool.work()? - work;

    let s = scale.idle_s as f64;
    let busiest = cpu_before.iter().zip(&cpu_after).map(|(before, after)| after - before).fold(0.0, f64::max);
    row(Row::new("idle, CPU of a node of 5", busiest / s * 100.0, "% of core").goal(FigureGoal::AtMost(0.5)));
    row(Row::new("idle, messages of a pair", work.wire_mib * 1024.0 / PAIRS / s, "KiB/s"));
    // Everything on the interface: only in a network namespace of its own are these the nodes alone.
    row(Row::new("idle, loopback bytes of a pair", loopback as f64 / 1024.0 / PAIRS / s, "KiB/s")
        .goal(FigureGoal::AtMost(1.0)));
    row(Row::new("idle, syncs of all nodes", work.syncs / s, "per s"));
    row(Row::new("idle, memory of a node", pool.memory()?.now, "MiB").goal(FigureGoal::AtMost(80.0)));
    Ok(())
}
