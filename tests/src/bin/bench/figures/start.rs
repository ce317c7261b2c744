//! From the start of the process to the first request that is answered with content.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fsdfs_proto::control::POOL_VOLUME;
use fsdfs_tests::cluster::{ClusterNode, PATIENCE, TestCluster, TestProgram};

use crate::floor::FloorTable;
use crate::percentile::median;
use crate::pool::{Pool, client};
use crate::report::{FigureGoal, Row};
use crate::scale::BenchScale;
use crate::source::DataSource;

const STARTS: usize = 5;
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub fn measure(_: &FloorTable, scale: BenchScale, row: &mut dyn FnMut(Row)) -> Result<()> {
    let mut fresh = (0..STARTS).map(|_| fresh_s()).collect::<Result<Vec<_>>>()?;
    let command = command_s()?;
    row(Row::new("fresh start to usable", median(&mut fresh), "s")
        .floor("fsdfs --version", command)
        .goal(FigureGoal::AtMost(1.0)));

    let (mut pool, source) = (Pool::start(3, false, scale.bytes)?, DataSource::new(fastrand::u64(..)));
    pool.runtime.block_on(pool.put(0, "/large", &source, scale.bytes))?;
    let mut after_stop = Vec::new();
    let mut after_kill = Vec::new();
    for _ in 0..STARTS {
        pool.cluster.nodes[0].stop()?;
        after_stop.push(usable_s(&mut pool.cluster.nodes[0])?);
        pool.cluster.nodes[0].kill()?;
        after_kill.push(usable_s(&mut pool.cluster.nodes[0])?);
    }
    for (name, mut took) in [("restart to usable", after_stop), ("restart after kill -9 to usable", after_kill)] {
        row(Row::new(name, median(&mut took), "s").floor("fsdfs --version", command).goal(FigureGoal::AtMost(1.0)));
    }
    Ok(())
}

/// A pool that did not exist before.
fn fresh_s() -> Result<f64> {
    let cluster = TestCluster::new(TestProgram::myself()?)?;
    let mut node = cluster.new_node()?;
    let begun = Instant::now();
    node.init()?;
    usable_s(&mut node)?;
    Ok(begun.elapsed().as_secs_f64())
}

fn command_s() -> Result<f64> {
    let cluster = TestCluster::new(TestProgram::myself()?)?;
    let node = cluster.new_node()?;
    let begun = Instant::now();
    node.ok(["--version"])?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Starts the daemon and asks until it is ready and lists the root folder.
fn usable_s(node: &mut ClusterNode) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let begun = Instant::now();
    node.spawn(["up"])?;
    let client = client(node)?;
    let is_usable = async || {
        let status = client.status().await?;
        client.list(POOL_VOLUME, b"/", None, 1).await?;
        anyhow::Ok(status.ready && status.has_key)
    };
    while !runtime.block_on(is_usable()).unwrap_or(false) {
        ensure!(begun.elapsed() < PATIENCE, "{} is not usable\n{}", node.name, node.log());
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(begun.elapsed().as_secs_f64())
}
