//! Counters of what store and network did since the start. They count; gateways read and show.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use fsdfs_core::limits::REPAIR_BYTES_PER_S_MAX;
use fsdfs_core::seam::{DiskState, TrafficClass};
use fsdfs_proto::ids::DiskId;

/// A number that only grows. Readers may see one counter of a group before another.
#[derive(Debug, Default)]
pub(crate) struct EventCounter(AtomicU64);

impl EventCounter {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What the threads of the store count.
#[derive(Debug, Default)]
pub(crate) struct StoreCounters {
    pub syncs: EventCounter,
    pub records: EventCounter,
    pub bytes: EventCounter,
    pub reads: EventCounter,
    pub compacted: EventCounter,
    pub freed: EventCounter,
}

impl StoreCounters {
    pub fn read(&self) -> StoreMetrics {
        let Self { syncs, records, bytes, reads, compacted, freed } = self;
        StoreMetrics {
            syncs: syncs.get(),
            records: records.get(),
            bytes: bytes.get(),
            reads: reads.get(),
            compacted: compacted.get(),
            freed: freed.get(),
        }
    }
}

/// Counts since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreMetrics {
    /// Times something was made durable.
    pub syncs: u64,
    /// Records appended.
    pub records: u64,
    /// Bytes appended to segments.
    pub bytes: u64,
    /// Blocks read.
    pub reads: u64,
    /// Bytes that compaction copied.
    pub compacted: u64,
    /// Bytes of segments that were deleted.
    pub freed: u64,
}

/// Where the bytes of a disk are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// What the owner gives.
    pub quota: u64,
    /// Segment files.
    pub segments: u64,
    /// Of them, copies that are about to be deleted.
    pub condemned: u64,
    /// Of them, what counts no more: compaction frees it.
    pub dead: u64,
    /// The index, and what was put aside of it.
    pub index: u64,
    /// The copy of the log.
    pub log: u64,
    /// Superblock, lock, markers, and what is none of the store's.
    pub other: u64,
    /// Blocks never take this much: kept for renewals and compaction.
    pub reserve: u64,
    /// Blocks.
    pub blocks: u64,
}

impl DiskUsage {
    /// Everything on the disk.
    pub fn used(&self) -> u64 {
        self.segments + self.index + self.log + self.other
    }

    /// Bytes of segments that are kept: copies, and what else is known of blocks, with what finds it.
    pub fn live(&self) -> u64 {
        self.segments.saturating_sub(self.condemned).saturating_sub(self.dead)
    }
}

/// How far the disks were read to find damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubState {
    /// Of the round; 100 between two rounds.
    pub percent: u8,
    /// Damaged copies that this round found.
    pub bad_found: u64,
    /// And the one before.
    pub bad_found_before: u64,
    /// Wall milliseconds at which all disks had been read once; none if that was never so.
    pub last_ended_ms: Option<u64>,
}

/// A storage folder of the configuration without a disk that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingDisk {
    /// The folder.
    pub path: PathBuf,
    /// The disk that was there last.
    pub disk: Option<DiskId>,
    /// Nothing is there: it is not mounted, or lost. Otherwise what is there cannot be used.
    pub is_empty: bool,
    /// A sentence.
    pub why: String,
}

/// A disk that its owner wants to be emptied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainState {
    /// Which.
    pub disk: DiskId,
    /// Its folder.
    pub path: PathBuf,
    /// Every good copy on it is on another disk of this node, too.
    pub may_be_unplugged: bool,
    /// What is left is known.
    pub is_counted: bool,
    /// Blocks that are on no other disk of this node.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Copied in a second, if that is known.
    pub bytes_per_s: Option<u64>,
    /// Copies that the disk does not give back any more: those of other members are used.
    pub unreadable: u64,
    /// No other disk takes more now.
    pub is_stuck: bool,
}

/// What can be read off a store while it runs.
pub trait StoreGauges: Send + Sync {
    /// Counts since the store was opened.
    fn counters(&self) -> StoreMetrics;
    /// How far the disks were read to find damage.
    fn scrub(&self) -> ScrubState;
    /// Disks that serve.
    fn disks(&self) -> Vec<DiskState>;
    /// Disks that are being emptied.
    fn drained(&self) -> Vec<DrainState>;
    /// Storage folders that are not in use.
    fn missing(&self) -> Vec<MissingDisk>;
    /// Where the bytes of each disk are, as far as that is known without looking.
    fn usage(&self) -> Vec<(PathBuf, DiskId, DiskUsage)>;
    /// The same, to the byte; looks at every file, so not from a task that others wait for.
    fn measured_usage(&self) -> Vec<(PathBuf, DiskId, DiskUsage)>;
}

/// What the streams of all connections count, in bytes.
#[derive(Default)]
pub(crate) struct NetCounters {
    pub message_in: EventCounter,
    pub message_out: EventCounter,
    pub block_in: EventCounter,
    pub block_out: EventCounter,
    /// Of the blocks, those that users wait for, and those that complete copies.
    pub user_in: EventCounter,
    pub user_out: EventCounter,
    pub repair_in: EventCounter,
    pub repair_out: EventCounter,
    line: Mutex<LineGauge>,
}

impl NetCounters {
    /// Bytes of a block that moved, for whom, and whether in or out.
    pub fn add_block(&self, class: TrafficClass, is_in: bool, bytes: usize) {
        let (block, user, repair) = match is_in {
            true => (&self.block_in, &self.user_in, &self.repair_in),
            false => (&self.block_out, &self.user_out, &self.repair_out),
        };
        block.add(bytes as u64);
        match class {
            TrafficClass::User => user.add(bytes as u64),
            TrafficClass::Repair => repair.add(bytes as u64),
            TrafficClass::Lent => {}
        }
    }

    /// As it was found just now.
    pub fn set_line(&self, gauge: LineGauge) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = gauge;
    }
}

/// What was found of the line last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineGauge {
    /// What repair may send in a second.
    pub repair_bytes_per_s: u64,
    /// How long packets stand in queues, in milliseconds; none if it was not measured.
    pub queueing_ms: Option<u32>,
}

impl Default for LineGauge {
    fn default() -> Self {
        Self { repair_bytes_per_s: REPAIR_BYTES_PER_S_MAX, queueing_ms: None }
    }
}

/// Counted since the start. QUIC's own overhead (headers, retransmissions) is not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetTraffic {
    /// Messages without their blocks.
    pub message_bytes_in: u64,
    /// Messages without their blocks.
    pub message_bytes_out: u64,
    /// Blocks.
    pub block_bytes_in: u64,
    /// Blocks.
    pub block_bytes_out: u64,
    /// Of the blocks, those that users wait for, either way.
    pub user_bytes: u64,
    /// Of the blocks, those that complete copies here.
    pub repair_bytes_in: u64,
    /// Of the blocks, those that complete copies elsewhere.
    pub repair_bytes_out: u64,
}

impl NetTraffic {
    /// Either way.
    pub fn block_bytes(&self) -> u64 {
        self.block_bytes_in + self.block_bytes_out
    }
}

/// Reads the counters of a network.
#[derive(Clone)]
pub struct TrafficMeter(Arc<NetCounters>);

impl TrafficMeter {
    pub(crate) fn new(counters: Arc<NetCounters>) -> Self {
        Self(counters)
    }

    /// Bytes since the start.
    pub fn read(&self) -> NetTraffic {
        let NetCounters { message_in, message_out, block_in, block_out, .. } = &*self.0;
        NetTraffic {
            message_bytes_in: message_in.get(),
            message_bytes_out: message_out.get(),
            block_bytes_in: block_in.get(),
            block_bytes_out: block_out.get(),
            user_bytes: self.0.user_in.get() + self.0.user_out.get(),
            repair_bytes_in: self.0.repair_in.get(),
            repair_bytes_out: self.0.repair_out.get(),
        }
    }

    /// What was found of the line last.
    pub fn line(&self) -> LineGauge {
        *self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
