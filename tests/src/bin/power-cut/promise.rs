//! What was acknowledged, and whether it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use fsdfs_core::seam::{DiskDone, DiskRequest, ReadDone};
use fsdfs_node::metrics::StoreGauges as _;
use fsdfs_node::store::{DiskConfig, IfMissing, OpenedStore, Store, StoreConfig};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, NodeId, PoolId, Writer};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::record::{LogEntry, OwnSequence, RecordInfo};

/// Opening reads what was cut; far longer than it takes.
const SOON: Duration = Duration::from_secs(120);
/// Records listed at once.
const PAGE: usize = 4096;

/// One line of the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// The block of this number is durable.
    Block(u64),
    /// So is its renewal for so many copies.
    Renewed(u64, u8),
    /// So is this entry of the log.
    Log(u64),
}

impl std::fmt::Display for Ack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Block(number) => write!(f, "block {number}"),
            Self::Renewed(number, copies) => write!(f, "renewed {number} {copies}"),
            Self::Log(number) => write!(f, "log {number}"),
        }
    }
}

impl FromStr for Ack {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        match *line.split(' ').collect::<Vec<_>>() {
            ["block", number] => Ok(Self::Block(number.parse()?)),
            ["renewed", number, copies] => Ok(Self::Renewed(number.parse()?, copies.parse()?)),
            ["log", number] => Ok(Self::Log(number.parse()?)),
            _ => bail!("{line:?} acknowledges nothing"),
        }
    }
}

/// Everything acknowledged since the disk was made.
#[derive(Default)]
pub struct PromisedWrites {
    blocks: BTreeSet<u64>,
    renewed: BTreeMap<u64, u8>,
    log: BTreeSet<u64>,
}

impl PromisedWrites {
    /// One more.
    pub fn add(&mut self, ack: &Ack) {
        match *ack {
            Ack::Block(number) => {
                self.blocks.insert(number);
            }
            Ack::Renewed(number, copies) => {
                let most = self.renewed.entry(number).or_default();
                *most = copies.max(*most);
            }
            Ack::Log(number) => {
                self.log.insert(number);
            }
        }
    }

    /// Distinct records.
    pub fn len(&self) -> usize {
        self.blocks.len() + self.renewed.len() + self.log.len()
    }

    /// What of it is not there. The log is compacted on the way, as a daemon does at each start.
    pub fn missing(&self, place: &Path) -> Result<Vec<Ack>> {
        let (store, opened) = open(place)?;
        store.compact_log(opened.entries.clone());
        let records = list(&store)?;
        let found = |number: &u64| {
            let block = block(*number);
            store.read_now(&block.id()) == ReadDone::Found(block)
        };
        // More than was acknowledged is fine: a later renewal may have become durable without an answer.
        let renewed = |number: u64, copies: u8| {
            let enough =
                |redundancy: &Redundancy| matches!(redundancy, Redundancy::Replicas(wanted) if *wanted >= copies);
            records.get(&block(number).id()).is_some_and(|record| record.redundancies.iter().any(enough))
        };
        let blocks = self.blocks.iter().filter(|number| !found(number)).map(|number| Ack::Block(*number));
        let leases = self.renewed.iter().map(|(number, copies)| (*number, *copies));
        let leases = leases.filter(|(number, copies)| !renewed(*number, *copies));
        let logged: BTreeSet<u64> = opened.entries.iter().filter_map(entry_number).collect();
        let log = self.log.difference(&logged).map(|number| Ack::Log(*number));
        let missing = blocks.chain(leases.map(|(number, copies)| Ack::Renewed(number, copies))).chain(log).collect();
        store.close();
        Ok(missing)
    }
}

/// The store on this disk, home folder included.
pub fn open(place: &Path) -> Result<(Store, OpenedStore)> {
    let disk = DiskConfig { path: place.join("disk"), quota_bytes: 3 << 30, if_missing: IfMissing::Refuse };
    let config = StoreConfig {
        pool: PoolId([1; 32]),
        owner: NodeId([2; 32]),
        home: place.join("home"),
        disks: vec![disk],
        // So that many are sealed.
        segment_bytes: 1 << 20,
        scrub: None,
    };
    let (store, opened) = Store::open(&config, |_| {})?;
    ensure!(store.wait_ready(SOON), "its index is not ready after {SOON:?}");
    ensure!(!store.disks().is_empty(), "its disk is out");
    Ok((store, opened))
}

/// Bytes that the number determines: mostly a few KiB, sometimes a quarter of a MiB.
pub fn block(number: u64) -> Block {
    let mut rng = fastrand::Rng::with_seed(number);
    let len = if rng.u8(..16) == 0 { rng.usize(1..=256 << 10) } else { rng.usize(1..=16 << 10) };
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    Block::new(Bytes::from(bytes))
}

/// An entry of the log that the number determines.
pub fn entry(number: u64) -> LogEntry {
    LogEntry::Own(OwnSequence { writer: Writer(u128::from(number).to_be_bytes()), seq: 1 })
}

fn entry_number(entry: &LogEntry) -> Option<u64> {
    match entry {
        LogEntry::Own(own) => u64::try_from(u128::from_be_bytes(own.writer.0)).ok(),
        _ => None,
    }
}

fn list(store: &Store) -> Result<BTreeMap<BlockId, RecordInfo>> {
    let mut records = BTreeMap::new();
    loop {
        let (done, answer) = mpsc::channel();
        let after = records.last_key_value().map(|(id, _)| *id);
        store.submit(DiskRequest::List { after, max: PAGE }, move |answer| {
            let _ = done.send(answer);
        });
        let DiskDone::List(page) = answer.recv_timeout(SOON).context("no list")? else { bail!("not a list") };
        let last = page.len() < PAGE;
        records.extend(page.into_iter().map(|record| (record.id, record)));
        if last {
            return Ok(records);
        }
    }
}
