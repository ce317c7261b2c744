//! How long a put of 4 KiB and a list of a folder take, in quiet and under a flood.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fsdfs_node::control_client::ControlClient;
use fsdfs_node::home::socket_path;
use fsdfs_proto::control::{EntryAttributes, POOL_VOLUME};
use fsdfs_tests::cluster::ClusterNode;

/// So many of each: the 99th percentile is the second slowest.
const TIMES: usize = 120;
const ATTRS: EntryAttributes = EntryAttributes { mode: 0o644, mtime_ns: 0 };

/// 99th percentiles, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct UserPace {
    put: f64,
    list: f64,
}

impl UserPace {
    /// Of one node, one after the other. Not a file of [`crate::stage`]: it goes away with its folder.
    pub async fn of(node: &ClusterNode, folder: &str) -> Result<Self> {
        let client = ControlClient::new(&socket_path(&node.home))?;
        let (mut puts, mut lists) = (Vec::new(), Vec::new());
        for number in 0..TIMES {
            let path = format!("/{folder}/{}", number % 20);
            puts.push(timed(client.put(POOL_VOLUME, path.as_bytes(), ATTRS, vec![number as u8; 4 << 10])).await?);
            lists.push(timed(client.list(POOL_VOLUME, format!("/{folder}").as_bytes(), None, 100)).await?);
        }
        client.remove(POOL_VOLUME, format!("/{folder}").as_bytes(), true).await.context("what was measured goes")?;
        Ok(Self { put: p99(puts), list: p99(lists) })
    }

    /// What it became, for the table.
    pub fn became(&self, other: &Self) -> String {
        let Self { put, list } = self;
        format!("p99 of put {put:.0} -> {:.0} ms, of ls {list:.0} -> {:.0} ms", other.put, other.list)
    }

    /// Not more than three times as slow.
    pub fn bears(&self, under_flood: &Self) -> Result<()> {
        ensure!(
            under_flood.put <= 3.0 * self.put && under_flood.list <= 3.0 * self.list,
            "more than three times as slow: {}",
            self.became(under_flood)
        );
        Ok(())
    }
}

async fn timed<T, E: std::error::Error + Send + Sync + 'static>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<Duration> {
    let begun = Instant::now();
    work.await?;
    Ok(begun.elapsed())
}

fn p99(mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    let place = (took.len() * 99).div_ceil(100).saturating_sub(1);
    took.get(place).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
}
