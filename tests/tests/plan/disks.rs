//! What lies on the disks of nodes that have stopped: read by the store itself, without the network.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fsdfs_core::facts::FactSet;
use fsdfs_core::placement::ClusterMap;
use fsdfs_core::seam::{DiskDone, DiskRequest};
use fsdfs_node::store::{DiskConfig, IfMissing, SEGMENT_BYTES, Store, StoreConfig};
use fsdfs_proto::ids::{BlockId, NodeId, PoolId};
use fsdfs_proto::record::LogEntry;
use fsdfs_tests::cluster::{ClusterNode, TestCluster};

/// Indexes are small here.
const PATIENCE: Duration = Duration::from_secs(60);

/// The blocks and the facts of a pool.
pub struct Disks {
    blocks: BTreeMap<BlockId, u64>,
    facts: FactSet,
}

impl Disks {
    /// Stops all nodes and opens their stores.
    pub fn of(cluster: &mut TestCluster) -> Result<Self> {
        let pool = PoolId(bytes(&cluster.nodes[0], "pool")?);
        let mut disks = Self { blocks: BTreeMap::new(), facts: FactSet::new(pool) };
        for node in &mut cluster.nodes {
            let owner = id_of(node)?;
            node.stop()?;
            disks.read(&node.home, pool, owner).with_context(|| format!("the store of {}", node.name))?;
        }
        Ok(disks)
    }

    /// What placement reads.
    pub fn view(&self) -> ClusterMap {
        ClusterMap::new(self.facts.servers())
    }

    /// All blocks, each once.
    pub fn sizes(&self) -> impl Iterator<Item = (BlockId, u64)> {
        self.blocks.iter().map(|(id, len)| (*id, *len))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    fn read(&mut self, home: &Path, pool: PoolId, owner: NodeId) -> Result<()> {
        let disk = DiskConfig { path: home.join("blocks"), quota_bytes: 1 << 30, if_missing: IfMissing::Refuse };
        let facts = home.join("pool/facts");
        let config =
            StoreConfig { pool, owner, home: facts, disks: vec![disk], segment_bytes: SEGMENT_BYTES, scrub: None };
        let (store, opened) = Store::open(&config, |_| {})?;
        ensure!(store.wait_ready(PATIENCE), "its index is not read");
        for entry in opened.entries {
            if let LogEntry::Fact(raw) = entry {
                self.facts.insert(raw.open(pool)?);
            }
        }
        let (done, list) = mpsc::channel();
        store.submit(DiskRequest::List { after: None, max: usize::MAX }, move |answer| drop(done.send(answer)));
        let DiskDone::List(records) = list.recv()? else { bail!("a list was asked for") };
        self.blocks.extend(records.iter().map(|info| (info.id, u64::from(info.len))));
        store.close();
        Ok(())
    }
}

/// A running node's id.
pub fn id_of(node: &ClusterNode) -> Result<NodeId> {
    Ok(NodeId(bytes(node, "node")?))
}

fn bytes(node: &ClusterNode, key: &str) -> Result<[u8; 32]> {
    let status = node.status()?;
    let hex = status[key].as_str().context("an id")?;
    let mut bytes = [0; 32];
    ensure!(hex.len() == 64, "an id of 32 bytes: {hex}");
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * place..2 * place + 2], 16)?;
    }
    Ok(bytes)
}
