//! Members that go for good, and newcomers in their places.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use super::log::ChaosLog;
use crate::cluster::{ClusterNode, TestCluster, wait_for};

/// How a member goes.
#[derive(Clone, Copy, Debug)]
pub enum Departure {
    /// Its machine and its disk burn. The others are told to go on without it.
    Died,
    /// It is drained until it says that it may be unplugged; that has to be true.
    Drained,
    /// It leaves by itself.
    Left,
}

impl Departure {
    pub const ALL: [Self; 3] = [Self::Died, Self::Drained, Self::Left];
}

/// A member goes, everything that it had is destroyed, and another one joins in its place. The founder stays, for it is the one that
/// removes the others.
pub fn exchange(
    cluster: &mut TestCluster,
    (at, departure): (usize, Departure),
    (log, most): (&ChaosLog, Duration),
) -> Result<()> {
    let name = cluster.nodes[at].name.clone();
    log.say(format!("{name} goes for good: {departure:?}"));
    let node = &cluster.nodes[at];
    match departure {
        Departure::Died => {}
        Departure::Drained => wait_for(most, &format!("{name} to be drained"), || {
            says(node, &["drain"], |said| said["may_be_unplugged"] == true)
        })?,
        Departure::Left => wait_for(most, &format!("{name} to leave"), || {
            says(node, &["leave", "--yes"], |said| said["informed"].is_array())
        })?,
    }
    cluster.nodes[at].kill()?;
    fs::remove_dir_all(&cluster.nodes[at].home)?;
    if !matches!(departure, Departure::Left) {
        cluster.nodes[0].json(["members", "remove", &name, "--yes"])?;
    }
    // What it was the holder of is made again by those who are left, before anything else may be lost.
    for node in cluster.nodes.iter().filter(|node| node.is_running()) {
        node.wait_complete().with_context(|| format!("without {name}"))?;
    }
    let ticket = cluster.nodes[0].ticket()?;
    let newcomer = &mut cluster.nodes[at];
    newcomer.name = format!("{}+", newcomer.name);
    fs::create_dir_all(&newcomer.home)?;
    newcomer.join(&ticket)?;
    log.say(format!("{} is there in its place", newcomer.name));
    Ok(())
}

fn says(node: &ClusterNode, verb: &[&str], is_so: impl Fn(&serde_json::Value) -> bool) -> Result<bool> {
    let out = node.run(["--json"].iter().chain(verb))?;
    Ok(serde_json::from_slice(&out.stdout).is_ok_and(|said| is_so(&said)))
}
