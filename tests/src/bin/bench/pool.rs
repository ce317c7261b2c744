//! The nodes under measurement: processes, driven over their control sockets.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fsdfs_node::control_client::{ControlClient, DownloadRange};
use fsdfs_node::home::socket_path;
use fsdfs_proto::control::{EntryAttributes, NodeCounters, POOL_VOLUME};
use fsdfs_tests::cluster::{ClusterNode, TestCluster, TestProgram, wait_for};
use futures::{Stream, TryStreamExt as _};
use tokio::runtime::Runtime;

use crate::source::DataSource;
use crate::usage::{self, Memory, Work};

const MIB: f64 = (1 << 20) as f64;
const ATTRS: EntryAttributes = EntryAttributes { mode: 0o644, mtime_ns: 0 };

/// A running pool.
pub struct Pool {
    pub runtime: Runtime,
    pub cluster: TestCluster,
    pub clients: Vec<ControlClient>,
}

impl Pool {
    /// So many nodes that store, and one more, the last, that does not if `guest` is set; all connected.
    pub fn start(nodes: usize, guest: bool, bytes: u64) -> Result<Self> {
        let mut cluster = TestCluster::new(TestProgram::myself()?)?;
        // Two segments stay free on every disk, and what is measured comes on top.
        let quota = format!("{}GiB", 2 + bytes.div_ceil(1 << 30));
        cluster.found_with(&quota)?;
        let others = (1..nodes).map(|_| quota.as_str()).chain(guest.then_some("none"));
        for storage in others {
            let mut node = cluster.new_node()?;
            node.storage = storage.to_owned();
            cluster.join_as(node)?;
        }
        cluster.wait_connected()?;
        let clients = cluster.nodes.iter().map(client).collect::<Result<_>>()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let pool = Self { runtime, cluster, clients };
        pool.wait_still()?;
        Ok(pool)
    }

    /// Waits until no node has anything left to do.
    pub fn wait_still(&self) -> Result<()> {
        for client in &self.clients {
            wait_for(Duration::from_secs(60), "repair to end", || {
                let repair = self.runtime.block_on(client.status())?.repair;
                Ok(repair.pending == 0 && !repair.running)
            })?;
        }
        Ok(())
    }

    pub fn pids(&self) -> Vec<u32> {
        self.cluster.nodes.iter().filter_map(ClusterNode::pid).collect()
    }

    /// What all daemons, and this process, did so far.
    pub fn work(&self) -> Result<Work> {
        let wanted_cores_s = usage::wanted_cores_s(std::process::id())?;
        let mut work = Work { client_cpu_s: usage::own_cpu_s()?, wanted_cores_s, ..Work::default() };
        for (client, pid) in self.clients.iter().zip(self.pids()) {
            let NodeCounters { syncs, bytes_appended, message_bytes_out, block_bytes_out, .. } =
                self.runtime.block_on(client.status())?.counters;
            work.cpu_s += usage::cpu_s(pid)?;
            work.wanted_cores_s += usage::wanted_cores_s(pid)?;
            work.syncs += syncs as f64;
            work.appended_mib += bytes_appended as f64 / MIB;
            work.messages_mib += message_bytes_out as f64 / MIB;
            work.wire_mib += (message_bytes_out + block_bytes_out) as f64 / MIB;
        }
        Ok(work)
    }

    /// Runs `work`; how long it took, and what it cost.
    pub fn measured(&self, work: impl Future<Output = Result<()>>) -> Result<(f64, Work)> {
        let before = self.work()?;
        let begun = Instant::now();
        self.runtime.block_on(work)?;
        let s = begun.elapsed().as_secs_f64();
        Ok((s, self.work()? - before))
    }

    pub fn forget_peaks(&self) -> Result<()> {
        self.pids().into_iter().try_for_each(usage::forget_peak)
    }

    /// Of the daemon that uses most.
    pub fn memory(&self) -> Result<Memory> {
        let all = self.pids().into_iter().map(usage::memory).collect::<Result<Vec<_>>>()?;
        let most = |of: fn(&Memory) -> f64| all.iter().map(of).fold(0.0, f64::max);
        Ok(Memory { now: most(|memory| memory.now), peak: most(|memory| memory.peak) })
    }

    /// Stores the source's bytes; all copies have to be made.
    pub async fn put(&self, node: usize, name: &str, source: &DataSource, bytes: u64) -> Result<()> {
        let body = reqwest::Body::wrap_stream(source.stream(bytes));
        let written = self.clients[node].put(POOL_VOLUME, name.as_bytes(), ATTRS, body).await?;
        ensure!(written.bytes == bytes && written.copies == written.target_copies, "{name}: {written:?}");
        Ok(())
    }

    /// Reads a file back and compares every byte.
    pub async fn get(&self, node: usize, name: &str, source: &DataSource, bytes: u64) -> Result<()> {
        let content = self.clients[node].download(POOL_VOLUME, name.as_bytes(), &DownloadRange::Whole).await?.content();
        let got = compared(content, source, 0).await?;
        ensure!(got == bytes, "{name}: {got} bytes of {bytes}");
        Ok(())
    }

    /// Milliseconds to the first byte of a range, which is then read and compared.
    pub async fn first_byte_ms(
        &self,
        node: usize,
        name: &str,
        source: &DataSource,
        from: u64,
        len: u64,
    ) -> Result<f64> {
        let begun = Instant::now();
        let range = DownloadRange::From(from, Some(from + len));
        let mut content = self.clients[node].download(POOL_VOLUME, name.as_bytes(), &range).await?.content();
        let first = content.try_next().await?.context("an empty range")?;
        let took_ms = begun.elapsed().as_secs_f64() * 1e3;
        ensure!(source.is_at(from, &first), "{name}: other bytes at {from}");
        let got = compared(content, source, from + first.len() as u64).await?;
        ensure!(got == from + len, "{name}: {} bytes of {len}", got - from);
        Ok(took_ms)
    }
}

/// A client for a node's daemon.
pub fn client(node: &ClusterNode) -> Result<ControlClient> {
    Ok(ControlClient::new(&socket_path(&node.home))?)
}

async fn compared<E>(
    content: impl Stream<Item = Result<bytes::Bytes, E>>,
    source: &DataSource,
    mut offset: u64,
) -> Result<u64>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let mut content = std::pin::pin!(content);
    while let Some(part) = content.try_next().await? {
        ensure!(source.is_at(offset, &part), "other bytes after {offset}");
        offset += part.len() as u64;
    }
    Ok(offset)
}
