//! A machine's durable state: the home log and its disks. What is in here survives a crash; requests under way are not in here.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_core::seam::{
    CollectStep, CopyChange, CopyState, DiskCondition, DiskCopy, DiskDone, DiskRequest, DiskState, Lease, LinksDone,
    PlacedCopy, ReadDone, WriteDone,
};
use fsdfs_proto::block::Block;
use fsdfs_proto::codec::encode;
use fsdfs_proto::ids::{BlockId, DiskId, DiskNonce, NodeId};
use fsdfs_proto::message::repair::{AssuredCopy, AssuredState};
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::record::{LogEntry, RecordInfo, add_redundancy};
use fsdfs_proto::volume::{BlockHeader, BlockKind, header, kind_of};

/// Bytes a record needs besides its block.
const RECORD_OVERHEAD: u64 = 128;

/// Durable state. A clone of it is a backup image.
#[derive(Clone, Debug, Default)]
pub struct MachineStore {
    /// The log in the home folder.
    pub home: Vec<LogEntry>,
    /// Storage folders.
    pub disks: Vec<SimulatedDisk>,
    /// The home folder's file system takes no writes.
    pub home_fails: bool,
    /// Questions so far whose yes is a renewal.
    pub(crate) renewed: u64,
    /// Leases that were renewed: records of them, as a store writes that takes none for fresh.
    pub leases_renewed: u64,
    /// What changed since it was last taken.
    pub(crate) changes: Vec<CopyChange>,
    /// Copies that were deleted because others have them, with the copies wanted, since it was last taken.
    pub(crate) deleted: Vec<(BlockId, u8)>,
    /// Copies that were deleted because no state needs them, since it was last taken.
    pub(crate) collected: Vec<BlockId>,
    /// What blocks need, as it is remembered.
    pub(crate) links: BTreeMap<BlockId, LinksDone>,
    /// Of the last record.
    pub(crate) sequence: u64,
}

/// One storage folder.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    /// Which disk.
    pub id: DiskId,
    /// From its superblock.
    pub nonce: DiskNonce,
    /// Bytes it has.
    pub size: u64,
    /// Bytes it may use.
    pub quota: u64,
    /// What lies on it.
    pub records: BTreeMap<BlockId, DiskRecord>,
    /// Its copy of the log.
    pub log: Vec<LogEntry>,
    /// Every access fails.
    pub fails: bool,
    /// Records that were read, found damaged and quarantined: what is known of the blocks stays.
    pub set_aside: BTreeMap<BlockId, RecordInfo>,
    /// How many.
    pub quarantined: u64,
}

/// A block on a disk.
#[derive(Clone, Debug)]
pub struct DiskRecord {
    /// Its bytes.
    pub block: Block,
    /// What the holder knows of it.
    pub info: RecordInfo,
    /// When it was written, counted in [`MachineStore::renewed`].
    pub written: u64,
    /// When its lease was renewed last, counted in [`MachineStore::renewed`].
    pub renewal: u64,
    /// A bit has rotted; the next read will notice.
    pub damaged: bool,
    /// About to be deleted since then, on this machine's wall clock.
    pub condemned: Option<u64>,
    /// Of the last change of what is known of it.
    sequence: u64,
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new(owner: NodeId, nonce: DiskNonce, size: u64) -> Self {
        Self {
            id: DiskId::of(owner, nonce),
            nonce,
            size,
            quota: size,
            records: BTreeMap::new(),
            log: Vec::new(),
            fails: false,
            set_aside: BTreeMap::new(),
            quarantined: 0,
        }
    }

    /// As the store reports it.
    pub fn state(&self) -> DiskState {
        DiskState {
            id: self.id,
            nonce: self.nonce,
            quota_bytes: self.quota,
            used_bytes: self.used(),
            room_bytes: self.room_bytes().unwrap_or(0),
            condition: if self.fails { DiskCondition::Failing } else { DiskCondition::Good },
        }
    }

    fn used(&self) -> u64 {
        self.records.values().map(|record| u64::from(record.info.len) + RECORD_OVERHEAD).sum()
    }

    fn has_room(&self, len: u64) -> bool {
        self.room_bytes().is_some_and(|room| len <= room)
    }

    /// The longest block that it takes.
    fn room_bytes(&self) -> Option<u64> {
        self.quota.checked_sub(self.used() + RECORD_OVERHEAD).filter(|_| !self.fails)
    }
}

impl MachineStore {
    /// Whether there is a record, intact or rotten: nobody knows before it is read.
    pub fn believes(&self, id: BlockId) -> bool {
        self.disks.iter().any(|disk| disk.records.contains_key(&id))
    }

    /// Whether an intact copy lies on one of the disks.
    pub fn holds(&self, id: BlockId) -> bool {
        self.disks.iter().any(|disk| disk.records.get(&id).is_some_and(|record| !record.damaged))
    }

    /// Whether there are records of a block, and none of them had its lease renewed since.
    pub fn lapses(&self, id: BlockId, since: u64) -> bool {
        let mut records = self.disks.iter().filter_map(|disk| disk.records.get(&id)).peekable();
        records.peek().is_some() && records.all(|record| record.renewal <= since)
    }

    /// Whether a disk that works has a record of it that is older, and is not about to delete it.
    pub fn could_read_since(&self, id: BlockId, since: u64) -> bool {
        let old = |record: &DiskRecord| record.written <= since && record.condemned.is_none();
        self.disks.iter().any(|disk| !disk.fails && disk.records.get(&id).is_some_and(old))
    }

    /// The longest block that would find a place.
    pub fn room_bytes(&self) -> Option<u64> {
        self.disks.iter().filter_map(SimulatedDisk::room_bytes).max()
    }

    /// All ids with a record, damaged or not.
    pub fn ids(&self) -> impl Iterator<Item = BlockId> + '_ {
        self.disks.iter().flat_map(|disk| disk.records.keys().copied())
    }

    /// Carries a request out. To be called when it completes: from then on it is durable. `wall` is the machine's wall clock.
    pub fn perform(&mut self, request: DiskRequest, wall: u64) -> DiskDone {
        match request {
            DiskRequest::Write { block, redundancy, first_seen, lease, receipt, disk, more: _ } => {
                let renewed = lease.renewed(wall);
                let len = len_of(&block);
                let redundancies = vec![redundancy];
                let info = RecordInfo { id: block.id(), len, redundancies, first_seen, renewed, receipt };
                DiskDone::Written(self.write(&block, info, lease, disk))
            }
            DiskRequest::Mend { block } => DiskDone::Written(self.mend(&block)),
            DiskRequest::Read { id } => DiskDone::Read(self.read(id)),
            DiskRequest::Have { ids, renew } => {
                DiskDone::Have(ids.into_iter().map(|id| self.have(id, renew, wall)).collect())
            }
            DiskRequest::Assure { ids } => DiskDone::Assured(ids.into_iter().map(|id| self.assure(id)).collect()),
            DiskRequest::List { after, max } => DiskDone::List(self.list(after, max)),
            DiskRequest::Copies { after, max } => DiskDone::Copies(Some(self.placed_copies(after, max))),
            DiskRequest::Segment { disk, segment } => DiskDone::Segment(self.segment(disk, segment)),
            DiskRequest::Delete { disk, copies } => DiskDone::Deleted(self.delete(disk, &copies)),
            DiskRequest::Collect { disk, copies } => {
                DiskDone::Collected(copies.iter().map(|copy| self.collect(disk, copy, wall)).collect())
            }
            DiskRequest::Links { ids } => DiskDone::Links(ids.into_iter().map(|id| self.links_of(id)).collect()),
            DiskRequest::KeepLinks { block } => {
                self.keep_links(&block);
                DiskDone::LinksKept
            }
            DiskRequest::Log { entries } => DiskDone::Logged(self.append_log(&entries)),
        }
    }

    /// What changed since this was last asked, in order.
    pub fn take_changes(&mut self) -> Vec<CopyChange> {
        std::mem::take(&mut self.changes)
    }

    fn note(&mut self, disk: DiskId, before: Option<DiskCopy>, after: Option<DiskCopy>) {
        if before != after {
            self.changes.push(CopyChange { disk, before, after });
        }
    }

    /// What each log got last was not durable after all: as much as stands in the page cache between two syncs.
    pub fn forget_last(&mut self) {
        for log in self.disks.iter_mut().map(|disk| &mut disk.log).chain([&mut self.home]) {
            log.truncate(log.len().saturating_sub(32));
        }
    }

    /// The union of all logs, the home folder's first: what a start reads.
    pub fn logs(&self) -> Vec<LogEntry> {
        let mut seen = BTreeSet::new();
        let readable = self.disks.iter().filter(|disk| !disk.fails).flat_map(|disk| &disk.log);
        self.home.iter().chain(readable).filter(|entry| seen.insert(encode(entry))).cloned().collect()
    }

    fn write(&mut self, block: &Block, info: RecordInfo, lease: Lease, disk: Option<DiskId>) -> WriteDone {
        let is_here = match lease {
            Lease::Now => self.have(info.id, Some(info.redundancies[0]), info.renewed) == Possession::Yes,
            Lease::Old(_) => self.add(&info),
        };
        if is_here {
            return WriteDone::Already;
        }
        self.append(block, info, disk)
    }

    /// A copy of a block that is here brings its redundancy and its age, and renews nothing.
    fn add(&mut self, copy: &RecordInfo) -> bool {
        self.amend(copy.id, |record| {
            add_redundancy(&mut record.info.redundancies, copy.redundancies[0]);
            record.info.first_seen = record.info.first_seen.min(copy.first_seen);
            // Revived with the copy's lease.
            record.info.renewed = record.condemned.take().map_or(record.info.renewed, |_| copy.renewed);
        })
    }

    /// What was set aside is replaced with all that is known of it.
    fn mend(&mut self, block: &Block) -> WriteDone {
        let id = block.id();
        let is_damaged = |disk: &&SimulatedDisk| !disk.fails && disk.set_aside.contains_key(&id);
        let damaged = self.disks.iter().find(is_damaged).map(|disk| (disk.id, disk.set_aside[&id].clone()));
        match damaged {
            Some((disk, info)) if !self.amend(id, |_| {}) => self.append(block, info, Some(disk)),
            _ => WriteDone::Already,
        }
    }

    fn append(&mut self, block: &Block, mut info: RecordInfo, disk: Option<DiskId>) -> WriteDone {
        if self.disks.iter().all(|disk| disk.fails) {
            return WriteDone::Failed;
        }
        let chosen = self.disks.iter_mut().filter(|other| other.has_room(info.len.into()));
        let Some(target) = chosen.max_by_key(|other| Some(other.id) == disk) else { return WriteDone::Full };
        let quarantined = target.set_aside.remove(&info.id);
        let before = quarantined.as_ref().map(damaged);
        if let Some(before) = quarantined {
            // Who put it first is not changed by whoever brings another copy.
            info.receipt = before.receipt;
            info.first_seen = info.first_seen.min(before.first_seen);
            for wanted in before.redundancies {
                add_redundancy(&mut info.redundancies, wanted);
            }
        }
        // Later than whatever was asked before.
        self.renewed += 1;
        let (written, renewal) = (self.renewed, self.renewed);
        self.sequence += 1;
        let (disk, after, sequence) = (target.id, held(&info), self.sequence);
        let record =
            DiskRecord { block: block.clone(), info, written, renewal, damaged: false, condemned: None, sequence };
        target.records.insert(record.info.id, record);
        self.note(disk, before, Some(after));
        WriteDone::New
    }

    fn read(&mut self, id: BlockId) -> ReadDone {
        let mut worst = ReadDone::No;
        let mut changed = Vec::new();
        for disk in &mut self.disks {
            match disk.records.get(&id) {
                Some(_) if disk.fails => worst = ReadDone::Failed,
                Some(record) if record.damaged => {
                    let record = disk.records.remove(&id).expect("looked up above");
                    changed.push((disk.id, copy_of(&record), damaged(&record.info)));
                    disk.set_aside.insert(id, record.info);
                    disk.quarantined += 1;
                    worst = ReadDone::Damaged;
                }
                Some(record) => {
                    worst = ReadDone::Found(record.block.clone());
                    break;
                }
                None => {}
            }
        }
        for (disk, before, after) in changed {
            self.note(disk, Some(before), Some(after));
        }
        worst
    }

    fn have(&mut self, id: BlockId, renew: Option<Redundancy>, wall: u64) -> Possession {
        if renew.is_none() && !self.is_held(id) {
            return Possession::No;
        }
        self.renewed += u64::from(renew.is_some());
        let renewal = self.renewed;
        let is_here = self.amend(id, |record| {
            if let Some(redundancy) = renew {
                record.info.renewed = wall;
                record.condemned = None;
                record.renewal = renewal;
                add_redundancy(&mut record.info.redundancies, redundancy);
            }
        });
        self.leases_renewed += u64::from(is_here && renew.is_some());
        if is_here { Possession::Yes } else { Possession::No }
    }

    /// Rot that nobody has read yet passes for a copy. Of times of verification this store knows nothing.
    fn assure(&self, id: BlockId) -> AssuredCopy {
        let disks = || self.disks.iter().filter(|disk| !disk.fails);
        if let Some(record) = disks().find_map(|disk| disk.records.get(&id)) {
            let state = if record.condemned.is_some() { AssuredState::Condemned } else { AssuredState::Held };
            return AssuredCopy { state, len: record.info.len, verified_h: None };
        }
        match disks().find_map(|disk| disk.set_aside.get(&id)) {
            Some(info) => AssuredCopy { state: AssuredState::Damaged, len: info.len, verified_h: None },
            None => AssuredCopy::NONE,
        }
    }

    /// Changes what is known of a block on the first disk that has it, and says whether there is one.
    fn amend(&mut self, id: BlockId, change: impl FnOnce(&mut DiskRecord)) -> bool {
        let mut disks = self.disks.iter_mut().filter(|disk| !disk.fails);
        let Some((disk, record)) = disks.find_map(|disk| Some((disk.id, disk.records.get_mut(&id)?))) else {
            return false;
        };
        let before = copy_of(record);
        change(record);
        self.sequence += 1;
        record.sequence = self.sequence;
        let after = copy_of(record);
        self.note(disk, Some(before), Some(after));
        true
    }

    /// Each copy is a segment of its own here: what is deleted makes room at once.
    fn placed_copies(&self, after: Option<(DiskId, BlockId)>, max: usize) -> Vec<PlacedCopy> {
        let mut disks: Vec<&SimulatedDisk> = self.disks.iter().filter(|disk| !disk.fails).collect();
        disks.sort_by_key(|disk| disk.id);
        let placed = disks.into_iter().flat_map(|disk| disk.records.values().map(|record| placed(disk.id, record)));
        placed.filter(|copy| after.is_none_or(|after| (copy.disk, copy.copy.info.id) > after)).take(max).collect()
    }

    fn segment(&self, disk: DiskId, segment: u64) -> Vec<(PlacedCopy, bool)> {
        let works = self.disks.iter().filter(|other| other.id == disk && !other.fails);
        let found = works.flat_map(|disk| disk.records.values().map(|record| (placed(disk.id, record), record)));
        let found = found.filter(|(copy, _)| copy.segment == segment);
        let is_interior =
            |record: &DiskRecord| kind_of(record.block.bytes()).is_some_and(|kind| kind != BlockKind::Data);
        found.map(|(copy, record)| (copy, is_interior(record))).collect()
    }

    fn delete(&mut self, disk: DiskId, copies: &[(BlockId, u64)]) -> bool {
        let Some(disk) = self.disks.iter_mut().find(|other| other.id == disk && !other.fails) else { return false };
        let is_same = |(id, sequence): &(BlockId, u64)| {
            disk.records.get(id).is_some_and(|record| record.sequence == *sequence && record.condemned.is_none())
        };
        if !copies.iter().all(is_same) {
            return false;
        }
        let gone: Vec<RecordInfo> =
            copies.iter().filter_map(|(id, _)| disk.records.remove(id)).map(|record| record.info).collect();
        let disk = disk.id;
        for info in gone {
            let wanted = info.redundancies.iter().map(|wanted| wanted.copies()).max().unwrap_or_default();
            self.deleted.push((info.id, wanted));
            self.note(disk, Some(held(&info)), None);
        }
        true
    }

    /// A step with a copy, unless it is not as it was seen.
    fn collect(&mut self, disk: DiskId, (id, sequence, step): &(BlockId, u64, CollectStep), wall: u64) -> bool {
        let Some(disk) = self.disks.iter_mut().find(|other| other.id == disk && !other.fails) else { return false };
        let Some(record) = disk.records.get_mut(id).filter(|record| record.sequence == *sequence) else { return false };
        let before = copy_of(record);
        let after = match (step, record.condemned) {
            (CollectStep::Condemn, None) => {
                self.sequence += 1;
                (record.condemned, record.sequence) = (Some(wall), self.sequence);
                Some(copy_of(record))
            }
            (CollectStep::Delete, Some(_)) => {
                disk.records.remove(id);
                self.collected.push(*id);
                None
            }
            _ => return false,
        };
        let disk = disk.id;
        self.note(disk, Some(before), after);
        true
    }

    fn links_of(&mut self, id: BlockId) -> LinksDone {
        if let Some(known) = self.links.get(&id) {
            return known.clone();
        }
        match self.read(id) {
            ReadDone::Found(block) => self.keep_links(&block),
            _ => LinksDone::No,
        }
    }

    fn keep_links(&mut self, block: &Block) -> LinksDone {
        let Ok(BlockHeader { kind, volume, links, .. }) = header(block.bytes()) else { return LinksDone::No };
        let known = LinksDone::Known { kind, volume, links };
        self.links.insert(block.id(), known.clone());
        known
    }

    /// Whether a possession question is answered yes.
    fn is_held(&self, id: BlockId) -> bool {
        let works = self.disks.iter().filter(|disk| !disk.fails);
        works.filter_map(|disk| disk.records.get(&id)).next().is_some_and(|record| record.condemned.is_none())
    }

    fn list(&self, after: Option<BlockId>, max: usize) -> Vec<RecordInfo> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let mut infos: BTreeMap<BlockId, RecordInfo> = BTreeMap::new();
        for disk in self.disks.iter().filter(|disk| !disk.fails) {
            for (id, record) in disk.records.range((from, Unbounded)).take(max) {
                let renewed = if record.condemned.is_some() { 0 } else { record.info.renewed };
                infos.insert(*id, RecordInfo { renewed, ..record.info.clone() });
            }
        }
        infos.into_values().take(max).collect()
    }

    fn append_log(&mut self, entries: &[LogEntry]) -> bool {
        for disk in self.disks.iter_mut().filter(|disk| !disk.fails) {
            // Secrets stay in the home folder (spec 06-store).
            disk.log.extend(entries.iter().filter(|entry| !matches!(entry, LogEntry::Capability(_))).cloned());
        }
        if !self.home_fails {
            self.home.extend(entries.iter().cloned());
        }
        !self.home_fails
    }
}

fn placed(disk: DiskId, record: &DiskRecord) -> PlacedCopy {
    let begin = record.info.id.0.first_chunk().expect("an id has 32 bytes");
    let (segment, sequence) = (u64::from_be_bytes(*begin), record.sequence);
    PlacedCopy { disk, segment, sequence, kind: kind_of(record.block.bytes()), copy: copy_of(record) }
}

fn copy_of(record: &DiskRecord) -> DiskCopy {
    match record.condemned {
        Some(since) => {
            let info = RecordInfo { renewed: since, ..record.info.clone() };
            DiskCopy { info, state: CopyState::Condemned { since } }
        }
        None => held(&record.info),
    }
}

fn held(info: &RecordInfo) -> DiskCopy {
    DiskCopy { info: info.clone(), state: CopyState::Held }
}

fn damaged(info: &RecordInfo) -> DiskCopy {
    DiskCopy { info: info.clone(), state: CopyState::Damaged }
}

fn len_of(block: &Block) -> u32 {
    u32::try_from(block.bytes().len()).expect("a block is at most BLOCK_BYTES_MAX long")
}
