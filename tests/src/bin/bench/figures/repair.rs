//! A disk is lost and replaced: how fast its copies come back, with how many bytes, and what users notice of it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fsdfs_tests::cluster::wait_for;

use crate::floor::FloorTable;
use crate::percentile::percentile;
use crate::pool::Pool;
use crate::report::{FigureGoal, Row};
use crate::scale::BenchScale;
use crate::source::DataSource;

const MIB: f64 = (1 << 20) as f64;
const NODES: usize = 5;
/// Whose disk is lost.
const LOST: usize = NODES - 1;
/// Who reads meanwhile.
const READER: usize = 1;
/// A machine that is off for a moment: less than any grace.
const ABSENCE: Duration = Duration::from_secs(20);
/// Of what was lost: a head that was replaced meanwhile is not made again.
const WHOLE: f64 = 0.999;
const PATIENCE: Duration = Duration::from_secs(1_800);
/// What users read: of a large file, and small ones.
const SMALL: u64 = 4 << 10;
const PART: u64 = 16 << 20;
/// Undisturbed reads are measured for so long.
const UNDISTURBED: Duration = Duration::from_secs(10);

pub fn measure(floors: &FloorTable, scale: BenchScale, row: &mut dyn FnMut(Row)) -> Result<()> {
    let (mut pool, source) = (Pool::start(NODES, false, scale.bytes)?, DataSource::new(fastrand::u64(..)));
    pool.runtime.block_on(pool.put(0, "/large", &source, scale.bytes))?;
    pool.runtime.block_on(pool.put(0, "/small", &source, SMALL))?;
    pool.wait_still()?;

    let before = blocks_sent(&pool)?;
    pool.cluster.nodes[LOST].stop()?;
    std::thread::sleep(ABSENCE);
    pool.cluster.nodes[LOST].up()?;
    pool.cluster.wait_connected()?;
    pool.wait_still()?;
    row(Row::new("one away for 20 s: blocks sent", blocks_sent(&pool)? - before, "MiB").goal(FigureGoal::AtMost(0.0)));

    let replaced = replace(&mut pool, |_| Ok(()))?;
    let (quic, write) = (floors.quic()?, floors.write()?);
    let floor = 1.0 / (1.0 / quic.mib_per_s() + 1.0 / write.mib_per_s());
    row(Row::new("disk replaced: copies made again", replaced.lost_mib / replaced.s, "MiB/s")
        .floor("QUIC + SHA-256, then write", floor)
        .goal(FigureGoal::RatioAtLeast(0.5)));
    row(Row::new("disk replaced: blocks sent", replaced.sent_mib, "MiB")
        .floor("lost", replaced.lost_mib)
        .goal(FigureGoal::RatioAtMost(1.05)));
    row(Row::new("disk replaced: peak memory", replaced.peak_mib, "MiB").goal(FigureGoal::AtMost(200.0)));

    let calm = Reads::until(&pool, &source, scale.bytes, || Ok(false), UNDISTURBED)?;
    let (mut busy, lost) = (None, live_mib(&pool)?);
    replace(&mut pool, |pool| {
        let is_over = || is_whole(pool, lost);
        busy = Some(Reads::until(pool, &source, scale.bytes, is_over, PATIENCE)?);
        Ok(())
    })?;
    let busy = busy.expect("read while the disk was replaced");
    row(Row::new("read while a disk is replaced", busy.mib_per_s(), "MiB/s")
        .floor("undisturbed", calm.mib_per_s())
        .goal(FigureGoal::RatioAtLeast(0.5)));
    row(Row::new("4 KiB read meanwhile, p99", busy.small_p99_ms(), "ms")
        .floor("undisturbed", calm.small_p99_ms())
        .goal(FigureGoal::RatioAtMost(3.0)));
    Ok(())
}

struct Replaced {
    lost_mib: f64,
    sent_mib: f64,
    s: f64,
    peak_mib: f64,
}

/// Empties the disk of a node that is killed, starts it again, and waits until all copies are there. Meanwhile something else is done.
fn replace(pool: &mut Pool, meanwhile: impl FnOnce(&Pool) -> Result<()>) -> Result<Replaced> {
    let lost = live_mib(pool)?;
    let sent = blocks_sent(pool)?;
    let node = &mut pool.cluster.nodes[LOST];
    node.kill()?;
    node.lose_disk()?;
    pool.forget_peaks()?;
    let node = &mut pool.cluster.nodes[LOST];
    let begun = Instant::now();
    node.up()?;
    meanwhile(pool)?;
    wait_for(PATIENCE, "all copies to be there again", || Ok(live_mib(pool)? >= lost * WHOLE))?;
    let s = begun.elapsed().as_secs_f64();
    // That nothing is missing is found out by comparing once more.
    wait_for(PATIENCE, "repair to end", || is_whole(pool, lost))?;
    Ok(Replaced { lost_mib: lost, sent_mib: blocks_sent(pool)? - sent, s, peak_mib: pool.memory()?.peak })
}

/// Whether all nodes have what they are assigned, and the one that lost its disk has so many mebibytes again.
fn is_whole(pool: &Pool, lost: f64) -> Result<bool> {
    let mut is_whole = live_mib(pool)? >= lost * WHOLE;
    for client in &pool.clients {
        let repair = pool.runtime.block_on(client.status())?.repair;
        is_whole &= repair.pending == 0 && !repair.running;
    }
    Ok(is_whole)
}

/// On the disk of the one that loses it.
fn live_mib(pool: &Pool) -> Result<f64> {
    let disks = pool.runtime.block_on(pool.clients[LOST].status())?.disks;
    ensure!(disks.len() == 1, "one disk a node");
    Ok(disks[0].live_bytes as f64 / MIB)
}

/// By those that lose nothing.
fn blocks_sent(pool: &Pool) -> Result<f64> {
    let mut bytes = 0;
    for client in pool.clients.iter().take(LOST) {
        bytes += pool.runtime.block_on(client.status())?.counters.block_bytes_out;
    }
    Ok(bytes as f64 / MIB)
}

/// What users read for a while: parts of a large file, and a small one between them.
#[derive(Default)]
struct Reads {
    mib: f64,
    s: f64,
    small_ms: Vec<f64>,
}

impl Reads {
    fn until(
        pool: &Pool,
        source: &DataSource,
        bytes: u64,
        is_over: impl Fn() -> Result<bool>,
        most: Duration,
    ) -> Result<Self> {
        let (mut reads, begun, mut from) = (Self::default(), Instant::now(), 0);
        while begun.elapsed() < most && !is_over()? {
            let part = Instant::now();
            let len = PART.min(bytes - from);
            pool.runtime.block_on(pool.first_byte_ms(READER, "/large", source, from, len))?;
            reads.s += part.elapsed().as_secs_f64();
            reads.mib += len as f64 / MIB;
            from = if from + len < bytes { from + len } else { 0 };
            for _ in 0..10 {
                let small = Instant::now();
                pool.runtime.block_on(pool.get(READER, "/small", source, SMALL))?;
                reads.small_ms.push(small.elapsed().as_secs_f64() * 1e3);
            }
        }
        Ok(reads)
    }

    fn mib_per_s(&self) -> f64 {
        self.mib / self.s
    }

    fn small_p99_ms(&self) -> f64 {
        percentile(&mut self.small_ms.clone(), 99)
    }
}
