//! What all threads of a store share: which disk does what, and the questions that touch several disks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use fsdfs_core::seam::{DiskCondition, DiskDone, DiskState, Lease, ReadDone, WriteDone};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, DiskId};
use fsdfs_proto::message::repair::{AssuredCopy, AssuredState};
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::record::{LogEntry, RecordInfo, add_redundancy};

use crate::clock::wall_ms;
use crate::metrics::{DiskUsage, MissingDisk, StoreCounters};
use crate::store::disk::handle::{DiskHandle, DiskHealth, NoticeSink};
use crate::store::disk::job::{
    CollectJob, DeleteJob, DiskJob, DiskReply, RenewJob, ReplyCollector, WriteJob, WriteRejection,
};
use crate::store::disk::room::RoomFor;
use crate::store::error::StoreNotice;
use crate::store::index::IndexEntry;
use crate::store::links::LinkCache;

/// For a reader thread.
pub(crate) enum ReaderJob {
    Read(BlockId, DiskReply),
    Mend(Block, DiskReply),
    Have(Vec<BlockId>, Option<Redundancy>, DiskReply),
    Assure(Vec<BlockId>, DiskReply),
    List(Option<BlockId>, usize, DiskReply),
    Copies(Option<(DiskId, BlockId)>, usize, DiskReply),
    Segment(DiskId, u64, DiskReply),
    Links(Vec<BlockId>, DiskReply),
    KeepLinks(Block, DiskReply),
    Stop,
}

/// One store.
pub(crate) struct DiskSet {
    /// Grows, and a new disk takes the place of a lost one in the same folder.
    disks: RwLock<Vec<Arc<DiskHandle>>>,
    /// Folders that have none.
    missing: Mutex<Vec<MissingDisk>>,
    pub notices: NoticeSink,
    pub counters: Arc<StoreCounters>,
    /// What blocks need, also of some that are not here.
    pub links: LinkCache,
    wait: Mutex<WaitingLists>,
    changed: Condvar,
    /// When a block was last written or read for somebody.
    used: Mutex<Instant>,
}

#[derive(Default)]
struct WaitingLists {
    /// Lists asked for while an index was being made: an incomplete one would pass for the whole.
    lists: Vec<(Option<BlockId>, usize, DiskReply)>,
    told: Vec<DiskState>,
}

impl DiskSet {
    pub fn new(
        (disks, missing): (Vec<Arc<DiskHandle>>, Vec<MissingDisk>),
        notices: NoticeSink,
        counters: Arc<StoreCounters>,
        links: LinkCache,
    ) -> Self {
        let told = disks.iter().filter_map(|disk| disk.state()).collect();
        let wait = Mutex::new(WaitingLists { lists: Vec::new(), told });
        Self {
            disks: RwLock::new(disks),
            missing: Mutex::new(missing),
            notices,
            counters,
            links,
            wait,
            changed: Condvar::new(),
            used: Mutex::new(Instant::now()),
        }
    }

    /// All of them, also those that are out.
    pub fn disks(&self) -> Vec<Arc<DiskHandle>> {
        self.disks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One that could not be attached at the start, or a new one. The one that was in this folder until now.
    pub fn add(&self, disk: Arc<DiskHandle>) -> Option<Arc<DiskHandle>> {
        self.missing().retain(|missing| missing.path != disk.path);
        let mut disks = self.disks.write().unwrap_or_else(PoisonError::into_inner);
        match disks.iter_mut().find(|other| other.path == disk.path) {
            Some(place) => Some(std::mem::replace(place, disk)),
            None => {
                disks.push(disk);
                None
            }
        }
    }

    /// Storage folders without a disk that is in use.
    pub fn missing(&self) -> MutexGuard<'_, Vec<MissingDisk>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a folder has no disk, as of now. Whether that is news.
    pub fn note_missing(&self, now: MissingDisk) -> bool {
        let mut missing = self.missing();
        let Some(known) = missing.iter_mut().find(|known| known.path == now.path) else { return false };
        let is_news = *known != now;
        *known = now;
        is_news
    }

    /// A block is written or read for somebody.
    pub fn note_used(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long no block was.
    pub fn idle_for(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Disks that serve.
    pub fn states(&self) -> Vec<DiskState> {
        self.disks().iter().filter_map(|disk| disk.state()).collect()
    }

    /// Where the bytes are, by disk.
    pub fn usages(&self) -> Vec<(PathBuf, DiskId, DiskUsage)> {
        self.disks().iter().map(|disk| (disk.path.clone(), disk.id, disk.usage())).collect()
    }

    fn wait(&self) -> MutexGuard<'_, WaitingLists> {
        self.wait.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every disk has an index or is out.
    fn is_ready(&self) -> bool {
        self.disks().iter().all(|disk| disk.index().is_some() || disk.health() == DiskHealth::Offline)
    }

    /// Waits until every disk has an index or is out; false if that takes longer.
    pub fn wait_ready(&self, at_most: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.wait(), at_most, |_| !self.is_ready());
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }

    /// Something may have changed: tells of disks that came, went or filled up, and answers what waited for an index.
    pub fn report_changes(&self) {
        let states = self.states();
        let mut wait = self.wait();
        let changed = !states.iter().map(essence).eq(wait.told.iter().map(essence));
        if changed {
            wait.told.clone_from(&states);
        }
        let lists = if self.is_ready() { std::mem::take(&mut wait.lists) } else { Vec::new() };
        drop(wait);
        self.changed.notify_all();
        if changed {
            (self.notices)(StoreNotice::Disks(states));
        }
        for (after, max, answer) in lists {
            self.answer_list(after, max, answer);
        }
    }

    /// Carries out a question on the calling thread.
    pub fn ask(&self, question: ReaderJob) {
        match question {
            ReaderJob::Read(id, answer) => answer.send(DiskDone::Read(self.read(&id))),
            ReaderJob::Mend(block, answer) => self.mend(block, answer),
            ReaderJob::Have(ids, renew, answer) => self.have(&ids, renew, answer),
            ReaderJob::Assure(ids, answer) => {
                let now = wall_ms();
                answer.send(DiskDone::Assured(ids.iter().map(|id| self.assure(id, now)).collect()));
            }
            ReaderJob::List(after, max, answer) => self.answer_list(after, max, answer),
            ReaderJob::Copies(after, max, answer) => answer.send(DiskDone::Copies(self.copies(after, max))),
            ReaderJob::Segment(disk, segment, answer) => answer.send(DiskDone::Segment(self.segment(disk, segment))),
            ReaderJob::Links(ids, answer) => answer.send(DiskDone::Links(self.links.of(&ids, |id| self.read(id)))),
            ReaderJob::KeepLinks(block, answer) => {
                self.links.keep(&block);
                answer.send(DiskDone::LinksKept);
            }
            ReaderJob::Stop => {}
        }
    }

    /// From the first disk that has it whole.
    pub fn read(&self, id: &BlockId) -> ReadDone {
        let mut worst = ReadDone::No;
        for disk in &self.disks() {
            let before = disk.health();
            let done = disk.read(id);
            if disk.health() != before {
                self.report_changes();
            }
            match done {
                ReadDone::Found(ref block) => {
                    assert_eq!(block.id(), *id, "a disk gives out a block under its own id only");
                    return done;
                }
                // A disk that is out is out: what it held is not on this node.
                ReadDone::Failed if before == DiskHealth::Offline => {}
                other => worst = worse(worst, other),
            }
        }
        worst
    }

    /// By the writer of the disk that knows the block: what was found damaged just now it has yet to quarantine, and what is whole
    /// it leaves alone. What is about to be deleted needs no mending.
    fn mend(&self, block: Block, answer: DiskReply) {
        let id = block.id();
        let mut known: Option<(DiskId, IndexEntry)> = None;
        for disk in &self.disks() {
            match disk.look_up(&id) {
                Ok(Some(entry))
                    if entry.flags & IndexEntry::CONDEMNED == 0
                        && known.as_ref().is_none_or(|(_, known)| !known.is_whole()) =>
                {
                    known = Some((disk.id, entry));
                }
                // It may know of a whole one when its index has been made.
                Err(ReadDone::NotYet) => return answer.send(DiskDone::Written(WriteDone::Failed)),
                _ => {}
            }
        }
        let greatest = |entry: &IndexEntry| entry.redundancies.iter().copied().max_by_key(|wanted| wanted.copies());
        let wanted = known.and_then(|(disk, entry)| greatest(&entry).map(|redundancy| (disk, entry, redundancy)));
        let Some((disk, entry, redundancy)) = wanted else {
            return answer.send(DiskDone::Written(WriteDone::Already));
        };
        let IndexEntry { first_seen, renewed, receipt, .. } = entry;
        let (lease, more, tried, full, routed) = (Lease::Old(renewed), false, Vec::new(), false, true);
        let write = WriteJob { block, redundancy, first_seen, lease, receipt, more, answer, tried, full, routed };
        self.route(Some(disk), write);
    }

    fn have(&self, ids: &[BlockId], renew: Option<Redundancy>, answer: DiskReply) {
        let mut answers = vec![Possession::No; ids.len()];
        let mut renewals: BTreeMap<usize, Vec<(usize, BlockId)>> = BTreeMap::new();
        for (place, id) in ids.iter().enumerate() {
            match self.possession(id, renew.is_some()) {
                Ok(disk) if renew.is_some() => {
                    renewals.entry(disk).or_default().push((place, *id));
                    answers[place] = Possession::NotYet;
                }
                Ok(_) => answers[place] = Possession::Yes,
                Err(other) => answers[place] = other,
            }
        }
        let gather = ReplyCollector::new(answers, answer);
        let Some(redundancy) = renew else { return };
        let disks = self.disks();
        for (disk, ids) in renewals {
            // If its thread has ended the job is dropped, and with it goes the answer "not yet".
            let _ = disks[disk].queue.send(DiskJob::Renew(RenewJob { ids, redundancy, gather: gather.clone() }));
        }
    }

    /// The best copy of a block by what the indexes know. One that is only on a disk that is out is not here.
    fn assure(&self, id: &BlockId, now: u64) -> AssuredCopy {
        let rank = |copy: &AssuredCopy| match copy.state {
            AssuredState::Held => 4,
            AssuredState::NotYet => 3,
            AssuredState::Condemned => 2,
            AssuredState::Damaged => 1,
            AssuredState::No => 0,
        };
        let mut best = AssuredCopy::NONE;
        for disk in &self.disks() {
            let copy = match disk.look_up(id) {
                Ok(Some(entry)) => {
                    let state = match entry {
                        _ if !entry.is_whole() => AssuredState::Damaged,
                        _ if entry.is_held() => AssuredState::Held,
                        _ => AssuredState::Condemned,
                    };
                    let verified_h = Some(state).filter(|state| *state == AssuredState::Held);
                    let verified_h = verified_h.and_then(|_| disk.verified_at(entry.segment));
                    let verified_h = verified_h.and_then(|at| hours_since(at, now));
                    AssuredCopy { state, len: entry.len, verified_h }
                }
                Err(ReadDone::NotYet) => AssuredCopy::UNKNOWN,
                _ => AssuredCopy::NONE,
            };
            let is_fresher = copy.state == AssuredState::Held
                && copy.verified_h.is_some_and(|hours| best.verified_h.is_none_or(|known| hours < known));
            if rank(&copy) > rank(&best) || rank(&copy) == rank(&best) && is_fresher {
                best = copy;
            }
        }
        best
    }

    /// The disk that holds it. A renewal also revives what is condemned, and a failing disk takes none.
    fn possession(&self, id: &BlockId, renewing: bool) -> Result<usize, Possession> {
        let mut otherwise = Possession::No;
        let (mut drained, mut failing) = (None, None);
        for (place, disk) in self.disks().iter().enumerate() {
            match disk.look_up(id) {
                Ok(Some(entry)) if entry.is_held() || renewing && entry.is_whole() => {
                    let is_good = disk.health() == DiskHealth::Good;
                    if !renewing || is_good && !disk.is_drained() {
                        return Ok(place);
                    }
                    let last_choice = if is_good { &mut drained } else { &mut failing };
                    *last_choice = last_choice.or(Some(place));
                }
                Err(ReadDone::NotYet) => otherwise = Possession::NotYet,
                _ => {}
            }
        }
        drained.or(failing).ok_or(otherwise)
    }

    fn answer_list(&self, after: Option<BlockId>, max: usize, answer: DiskReply) {
        match self.list(after.as_ref(), max) {
            Some(records) => answer.send(DiskDone::List(records)),
            None => self.wait().lists.push((after, max, answer)),
        }
        // The last index may have come between the question and the queue.
        if self.is_ready() && !self.wait().lists.is_empty() {
            self.report_changes();
        }
    }

    /// Records of all disks in id order; `None` while an index is being made.
    fn list(&self, after: Option<&BlockId>, max: usize) -> Option<Vec<RecordInfo>> {
        let mut merged: BTreeMap<BlockId, RecordInfo> = BTreeMap::new();
        let mut complete_to: Option<BlockId> = None;
        for disk in &self.disks() {
            if disk.health() == DiskHealth::Offline {
                continue;
            }
            let (records, reached) = list_disk(disk, after, max)?;
            if let Some(reached) = reached {
                complete_to = Some(complete_to.map_or(reached, |id| id.min(reached)));
            }
            for record in records {
                merged.entry(record.id).and_modify(|known| unite(known, &record)).or_insert(record);
            }
        }
        let known = merged.into_values().filter(|record| complete_to.is_none_or(|to| record.id <= to));
        Some(known.take(max).collect())
    }

    /// A block that another disk of this node holds already is renewed there instead of being stored twice.
    pub fn route_known(&self, here: &DiskHandle, job: DiskJob) -> Option<DiskJob> {
        let DiskJob::Write(mut write) = job else { return Some(job) };
        if write.routed || self.disks().len() < 2 {
            return Some(DiskJob::Write(write));
        }
        let id = write.block.id();
        let holds = |disk: &DiskHandle| {
            let takes = disk.health() == DiskHealth::Good && !disk.is_drained();
            takes && matches!(disk.look_up(&id), Ok(Some(entry)) if entry.is_whole())
        };
        let disks = self.disks();
        let holder = (!holds(here)).then(|| disks.iter().find(|disk| holds(disk))).flatten();
        match holder {
            Some(holder) => {
                write.routed = true;
                let _ = holder.queue.send(DiskJob::Write(write));
                None
            }
            None => Some(DiskJob::Write(write)),
        }
    }

    /// This disk could not take it: the roomiest that was not tried yet, or the answer.
    pub fn route_rejected(&self, here: &DiskHandle, mut write: WriteJob, why: WriteRejection) {
        write.tried.push(here.id);
        write.full |= why == WriteRejection::Full;
        write.routed = true;
        self.route(None, write);
    }

    /// Hands a write to the disk that was chosen for it, or to another one.
    pub fn route(&self, chosen: Option<DiskId>, write: WriteJob) {
        let tried: BTreeSet<DiskId> = write.tried.iter().copied().collect();
        let open = |disk: &&Arc<DiskHandle>| {
            disk.health() == DiskHealth::Good && !tried.contains(&disk.id) && !disk.is_drained()
        };
        let disks = self.disks();
        let candidates = || disks.iter().filter(open);
        let chosen = candidates().find(|disk| Some(disk.id) == chosen);
        // A disk whose index is being made would take it, but minutes later.
        let roomiest = || candidates().max_by_key(|disk| (disk.index().is_some(), disk.room(RoomFor::Blocks)));
        match chosen.filter(|disk| disk.index().is_some()).or_else(roomiest) {
            Some(disk) => {
                let _ = disk.queue.send(DiskJob::Write(write));
            }
            None if write.full || disks.is_empty() => write.send(WriteDone::Full),
            None => write.send(WriteDone::Failed),
        }
    }

    /// By the writer of that disk, behind what was queued before; if there is no such disk, nothing is deleted.
    pub fn delete(&self, disk: DiskId, job: DeleteJob) {
        if let Some(disk) = self.disks().iter().find(|other| other.id == disk) {
            let _ = disk.queue.send(DiskJob::Delete(job));
        }
    }

    /// Takes steps with copies on a disk that is known here.
    pub fn collect(&self, disk: DiskId, job: CollectJob) {
        if let Some(disk) = self.disks().iter().find(|other| other.id == disk) {
            let _ = disk.queue.send(DiskJob::Collect(job));
        }
    }

    /// The same for every disk.
    pub fn to_disks(&self, entries: Vec<LogEntry>, job: impl Fn(Arc<Vec<LogEntry>>) -> DiskJob) {
        let entries = Arc::new(entries);
        for disk in &self.disks() {
            let _ = disk.queue.send(job(entries.clone()));
        }
    }
}

/// A disk's good copies after an id, and the id up to which that is all of them if there are more.
fn list_disk(disk: &DiskHandle, after: Option<&BlockId>, max: usize) -> Option<(Vec<RecordInfo>, Option<BlockId>)> {
    let index = disk.index()?;
    let mut found = Vec::new();
    let mut after = after.copied();
    while found.len() < max {
        let wanted = max - found.len();
        let page = index.list(after.as_ref(), wanted).map_err(|error| disk.invalidate_index(&error)).ok()?;
        let end = page.len() < wanted;
        after = page.last().map(|(id, _)| *id).or(after);
        found.extend(page.iter().filter(|(_, entry)| entry.is_whole()).map(|(id, entry)| listed(entry, *id)));
        if end {
            return Some((found, None));
        }
    }
    Some((found, after))
}

/// As the engine is told when it lists: what is condemned is a copy like others, but nobody has asked for it.
fn listed(entry: &IndexEntry, id: BlockId) -> RecordInfo {
    let info = entry.info(id);
    RecordInfo { renewed: if entry.is_condemned() { 0 } else { info.renewed }, ..info }
}

/// Hours between two wall times, rounded up. A time of the future says nothing: the clock was put back since.
fn hours_since(at: u64, now: u64) -> Option<u32> {
    const HOUR_MS: u64 = 3_600_000;
    u32::try_from(now.checked_sub(at)?.div_ceil(HOUR_MS)).ok()
}

/// One block on two disks of this node.
fn unite(known: &mut RecordInfo, other: &RecordInfo) {
    for redundancy in &other.redundancies {
        add_redundancy(&mut known.redundancies, *redundancy);
    }
    known.first_seen = known.first_seen.min(other.first_seen);
    known.renewed = known.renewed.max(other.renewed);
}

/// What is worth telling the engine unasked.
fn essence(state: &DiskState) -> (DiskId, u64, DiskCondition, u8) {
    (state.id, state.quota_bytes, state.condition, state.full_percent())
}

/// Of two answers without a block, the one that promises less.
fn worse(one: ReadDone, other: ReadDone) -> ReadDone {
    let rank = |done: &ReadDone| match done {
        ReadDone::No | ReadDone::Found(_) => 0,
        ReadDone::Damaged => 1,
        ReadDone::Failed => 2,
        ReadDone::NotYet => 3,
    };
    if rank(&other) > rank(&one) { other } else { one }
}
