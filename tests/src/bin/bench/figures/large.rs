//! One large file, put on three nodes with a copy on each, and read back.

use anyhow::Result;

use crate::floor::FloorTable;
use crate::pool::Pool;
use crate::report::{FigureGoal, Row};
use crate::scale::BenchScale;
use crate::source::DataSource;
use crate::usage::Work;

const NAME: &str = "/large";
/// The node that stores nothing.
const GUEST: usize = 3;

pub fn measure(floors: &FloorTable, scale: BenchScale, row: &mut dyn FnMut(Row)) -> Result<()> {
    let (pool, source) = (Pool::start(3, true, scale.bytes)?, DataSource::new(fastrand::u64(..)));
    put(&pool, &source, floors, scale.bytes, row)?;
    get_own(&pool, &source, floors, scale.bytes, row)?;
    get_remote(&pool, &source, floors, scale.bytes, row)
}

fn put(pool: &Pool, source: &DataSource, floors: &FloorTable, bytes: u64, row: &mut dyn FnMut(Row)) -> Result<()> {
    pool.forget_peaks()?;
    let (s, work) = pool.measured(pool.put(0, NAME, source, bytes))?;
    let mib = mib(bytes);
    row(Row::new("put, 3 copies on 3 nodes", mib / s, "MiB/s").floor("cp + fdatasync", floors.copy()?.mib_per_s()));
    let floor_cpu =
        2.0 * floors.quic()?.cpu_s + floors.seal()?.cpu_s + 3.0 * floors.write()?.cpu_s + floors.http_up()?.cpu_s;
    row(per_gib("put, CPU of all daemons", work.cpu_s, mib)
        .floor("2 QUIC + seal + 3 write + HTTP", floor_cpu / mib * 1024.0)
        .goal(FigureGoal::RatioAtMost(1.25)));
    cores("put, cores in use", "put, cores in use or waited for", work, s, row);
    row(per_gib("put, syncs", work.syncs, mib).unit("per GiB"));
    row(Row::new("put, bytes appended per byte", work.appended_mib / mib, "").floor("copies", 3.0));
    row(Row::new("put, bytes on the wire per byte", work.wire_mib / mib, "").floor("copies sent", 2.0));
    row(Row::new("put, peak memory of a daemon", pool.memory()?.peak, "MiB").goal(FigureGoal::AtMost(200.0)));
    Ok(())
}

fn get_own(pool: &Pool, source: &DataSource, floors: &FloorTable, bytes: u64, row: &mut dyn FnMut(Row)) -> Result<()> {
    pool.forget_peaks()?;
    let (s, work) = pool.measured(pool.get(0, NAME, source, bytes))?;
    let mib = mib(bytes);
    row(Row::new("get, own copy", mib / s, "MiB/s")
        .floor("read + SHA-256", floors.hash()?.mib_per_s())
        .goal(FigureGoal::AtLeast(800.0)));
    let floor_cpu = floors.hash()?.cpu_s_per_gib() + floors.http_down()?.cpu_s_per_gib();
    row(per_gib("get, own copy, CPU of all daemons", work.cpu_s, mib).floor("read, SHA-256 + HTTP", floor_cpu));
    row(Row::new("get, own copy, peak memory of a daemon", pool.memory()?.peak, "MiB").goal(FigureGoal::AtMost(200.0)));
    Ok(())
}

fn get_remote(
    pool: &Pool,
    source: &DataSource,
    floors: &FloorTable,
    bytes: u64,
    row: &mut dyn FnMut(Row),
) -> Result<()> {
    pool.forget_peaks()?;
    let (s, work) = pool.measured(pool.get(GUEST, NAME, source, bytes))?;
    let mib = mib(bytes);
    row(Row::new("get, no own copy", mib / s, "MiB/s")
        .floor("raw QUIC + SHA-256", floors.quic()?.mib_per_s())
        .goal(FigureGoal::RatioAtLeast(0.6)));
    let floor_cpu =
        floors.hash()?.cpu_s_per_gib() + floors.quic()?.cpu_s_per_gib() + floors.http_down()?.cpu_s_per_gib();
    row(per_gib("get, no own copy, CPU of all daemons", work.cpu_s, mib)
        .floor("read, SHA-256 + QUIC + HTTP", floor_cpu));
    row(Row::new("get, no own copy, bytes on the wire per byte", work.wire_mib / mib, "").floor("once", 1.0));
    cores("get, no own copy, cores in use", "get, no own copy, or waited for", work, s, row);
    row(Row::new("get, no own copy, peak memory of a daemon", pool.memory()?.peak, "MiB")
        .goal(FigureGoal::AtMost(200.0)));
    Ok(())
}

pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn per_gib(name: &'static str, value: f64, mib: f64) -> Row {
    Row::new(name, value / mib * 1024.0, "s/GiB")
}

/// Used by the daemons and by the client in this process; and what they wanted, on a machine that has other work too.
fn cores(used: &'static str, wanted: &'static str, work: Work, s: f64, row: &mut dyn FnMut(Row)) {
    let used = Row::new(used, (work.cpu_s + work.client_cpu_s) / s, "cores");
    row(used.floor("cores of the machine", available_cores()).goal(FigureGoal::RatioAtLeast(0.8)));
    row(Row::new(wanted, work.wanted_cores_s / s, "cores").floor("cores of the machine", available_cores()));
}

fn available_cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}
