//! A store on a fake disk, driven without threads, and a model of what it promised.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fsdfs_core::seam::{CollectStep, CopyChange, DiskCopy, DiskDone, Lease, ReadDone, WriteDone};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, NodeId, PoolId, Signature, Writer};
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::record::{LogEntry, OwnSequence, RecordHeader, RecordKind, SegmentHeader, log_entry};

use crate::metrics::StoreCounters;
use crate::store::compaction::DiskCompaction;
use crate::store::disk::appender::{Appender, CommitLeftover};
use crate::store::disk::job::{CollectJob, DeleteJob, DiskJob, DiskReply, RenewJob, ReplyCollector, WriteJob};
use crate::store::disk::open::DiskOpener;
use crate::store::disk::staging::RENEWAL_FRESH_MS;
use crate::store::error::{StoreError, StoreNotice};
use crate::store::fs::fake_fs::FakeFileSystem;
use crate::store::fs::{FileSystem, create_dir};
use crate::store::index::memory_index::MemoryIndex;
use crate::store::index::{IndexEngine, IndexError, IndexFactory, IndexPairs};
use crate::store::log::{self, LogFolder};
use crate::store::segment;
use crate::store::{DiskConfig, IfMissing, StoreConfig};

pub const POOL: PoolId = PoolId([1; 32]);
pub const ME: NodeId = NodeId([2; 32]);
/// The store keeps receipts and reads none.
pub const RECEIPT: BlockReceipt = BlockReceipt { member: ME, signature: Signature([3; 64]) };
pub const DAY: u64 = 24 * 60 * 60 * 1000;

pub fn config(disks: &[(&str, u64)]) -> StoreConfig {
    let disks = disks.iter().map(|(path, quota)| disk(path, *quota)).collect();
    StoreConfig { pool: POOL, owner: ME, home: "/home".into(), disks, segment_bytes: 8192, scrub: None }
}

pub fn disk(path: &str, quota_bytes: u64) -> DiskConfig {
    DiskConfig { path: path.into(), quota_bytes, if_missing: IfMissing::Refuse }
}

/// Random-looking bytes that the number determines.
pub fn block(number: u64, len: usize) -> Block {
    let mut rng = fastrand::Rng::with_seed(number);
    Block::new(std::iter::repeat_with(|| rng.u8(..)).take(len).collect())
}

pub fn own(seq: u64) -> LogEntry {
    LogEntry::Own(OwnSequence { writer: Writer([7; 16]), seq })
}

/// Indexes that outlive a restart, as files do, and fail when they are told to.
#[derive(Default)]
pub struct MemoryIndexes {
    kept: Mutex<BTreeMap<PathBuf, KeptIndexes>>,
    /// Calls of `get` and `apply` until each fails, and how many do.
    pub fail_after: Arc<Mutex<Option<(u32, u32)>>>,
    pub opened_fresh: Mutex<u32>,
    /// What each takes on its disk, as it says.
    pub bytes: Arc<Mutex<u64>>,
}

type EngineChanges = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// An index and how it came to be.
#[derive(Clone, Default)]
struct KeptIndexes {
    index: Arc<MemoryIndex>,
    applied: Arc<Mutex<Vec<EngineChanges>>>,
    /// So many of the changes outlive the process.
    flushed: Arc<Mutex<usize>>,
}

impl KeptIndexes {
    /// As it was before the last so many changes, or when it was last flushed.
    fn rewound(&self, changes: usize) -> Self {
        let (applied, flushed) = (self.applied.lock().unwrap(), *self.flushed.lock().unwrap());
        let applied = applied[..applied.len().saturating_sub(changes).max(flushed)].to_vec();
        let index = MemoryIndex::default();
        applied.iter().for_each(|changes| index.apply(changes.clone()).unwrap());
        Self { index: Arc::new(index), applied: Arc::new(Mutex::new(applied)), flushed: Arc::new(Mutex::new(flushed)) }
    }
}

impl MemoryIndexes {
    /// The same indexes as they were before the last so many changes: sled writes out later than it answers.
    pub fn rewound(&self, changes: usize) -> Self {
        let kept = self.kept.lock().unwrap().iter().map(|(dir, kept)| (dir.clone(), kept.rewound(changes))).collect();
        Self { kept: Mutex::new(kept), ..Self::default() }
    }
}

struct FailingIndex {
    kept: KeptIndexes,
    fail_after: Arc<Mutex<Option<(u32, u32)>>>,
    bytes: Arc<Mutex<u64>>,
}

impl IndexFactory for MemoryIndexes {
    fn open(&self, dir: &Path, fresh: bool) -> Result<Arc<dyn IndexEngine>, IndexError> {
        let mut kept = self.kept.lock().unwrap();
        if fresh {
            *self.opened_fresh.lock().unwrap() += 1;
            kept.remove(dir);
        }
        let kept = kept.entry(dir.into()).or_default().clone();
        Ok(Arc::new(FailingIndex { kept, fail_after: self.fail_after.clone(), bytes: self.bytes.clone() }))
    }

    fn drop_aside(&self, _: &Path) {}
}

impl FailingIndex {
    fn step(&self) -> Result<(), IndexError> {
        match self.fail_after.lock().unwrap().as_mut() {
            Some((0, 0)) | None => Ok(()),
            Some((0, left)) => {
                *left -= 1;
                Err(IndexError("it was told to fail".into()))
            }
            Some((wait, _)) => {
                *wait -= 1;
                Ok(())
            }
        }
    }
}

impl IndexEngine for FailingIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.step()?;
        self.kept.index.get(key)
    }
    fn between(&self, after: &[u8], before: &[u8], max: usize) -> Result<IndexPairs, IndexError> {
        self.kept.index.between(after, before, max)
    }
    fn apply(&self, changes: EngineChanges) -> Result<(), IndexError> {
        self.step()?;
        self.kept.index.apply(changes.clone())?;
        self.kept.applied.lock().unwrap().push(changes);
        Ok(())
    }
    fn flush(&self) -> Result<(), IndexError> {
        *self.kept.flushed.lock().unwrap() = self.kept.applied.lock().unwrap().len();
        Ok(())
    }
    fn bytes(&self) -> u64 {
        *self.bytes.lock().unwrap()
    }
    fn close(&self) -> Result<(), IndexError> {
        Ok(())
    }
}

/// What was acknowledged.
#[derive(Clone, Default)]
pub struct PromisedBlock {
    pub blocks: BTreeMap<BlockId, (Bytes, BTreeSet<Redundancy>)>,
    /// When the lease of each was last renewed.
    pub renewed: BTreeMap<BlockId, u64>,
    pub log: Vec<LogEntry>,
}

impl PromisedBlock {
    /// Records: blocks, their leases, entries of the log.
    pub fn records(&self) -> usize {
        self.blocks.len() + self.renewed.len() + self.log.len()
    }
}

/// See [`StoreRig::told`].
pub type ToldCopies = (BTreeMap<BlockId, DiskCopy>, Vec<CopyChange>);

/// The writing half of one disk and the log of the home folder.
pub struct StoreRig {
    pub file_system: FakeFileSystem,
    pub indexes: Arc<MemoryIndexes>,
    pub notices: Arc<Mutex<Vec<StoreNotice>>>,
    /// What lies on the disk by the changes that were told, and those that did not follow what was told before.
    pub told: Arc<Mutex<ToldCopies>>,
    pub promised: PromisedBlock,
    /// What was acknowledged as deleted, and did not come again.
    pub deleted: BTreeSet<BlockId>,
    /// What was to be deleted, or to come again, when the power went.
    pub doubted: BTreeSet<BlockId>,
    pub now: u64,
    pub quota: u64,
    /// Of the next record that is appended behind the store's back.
    next_sequence: u64,
    open: Option<(Appender, LogFolder, Vec<LogEntry>)>,
}

impl StoreRig {
    pub fn new() -> Self {
        Self {
            file_system: FakeFileSystem::default(),
            indexes: Arc::default(),
            notices: Arc::default(),
            told: Arc::default(),
            promised: PromisedBlock::default(),
            deleted: BTreeSet::new(),
            doubted: BTreeSet::new(),
            now: 1_000 * DAY,
            quota: 1 << 30,
            next_sequence: 10_000,
            open: None,
        }
    }

    /// The same disk, index and promises once more, with the power off.
    pub fn fork(&self) -> Self {
        Self {
            file_system: self.file_system.fork(),
            indexes: Arc::new(self.indexes.rewound(0)),
            told: Arc::new(Mutex::new(self.told.lock().unwrap().clone())),
            promised: self.promised.clone(),
            deleted: self.deleted.clone(),
            doubted: self.doubted.clone(),
            now: self.now,
            quota: self.quota,
            ..Self::new()
        }
    }

    /// Opens it as a start does.
    pub fn start(&mut self) -> Result<(), StoreError> {
        self.open = None;
        let config = config(&[("/disk", self.quota)]);
        let file_system: Arc<dyn FileSystem> = Arc::new(self.file_system.clone());
        let home_error = |error| StoreError::Home { path: "/home".into(), error };
        create_dir(&*file_system, &config.home).map_err(home_error)?;
        let (home, mut entries) = LogFolder::open(file_system.clone(), "/home/log".into()).map_err(home_error)?;
        let (notices, told) = (self.notices.clone(), self.told.clone());
        let opener = DiskOpener {
            file_system,
            indexes: self.indexes.clone(),
            config: &config,
            notices: Arc::new(move |notice| match notice {
                StoreNotice::Changed(changes) => changes.into_iter().for_each(|change| follow(&told, change)),
                other => notices.lock().unwrap().push(other),
            }),
            counters: Arc::new(StoreCounters::default()),
        };
        let (mut appender, _, copied) =
            opener.disks()?.0.pop().ok_or_else(|| home_error(std::io::Error::other("the disk is out")))?;
        entries.extend(copied);
        appender.recover(None);
        let entries = log::union(entries).iter().map(|payload| log_entry(payload)).collect();
        self.open = Some((appender, home, entries));
        Ok(())
    }

    pub fn appender(&mut self) -> &mut Appender {
        &mut self.open.as_mut().unwrap().0
    }

    pub fn home(&mut self) -> &mut LogFolder {
        &mut self.open.as_mut().unwrap().1
    }

    pub fn entries(&self) -> &[LogEntry] {
        &self.open.as_ref().unwrap().2
    }

    /// Ends the process without a word.
    pub fn kill(&mut self) {
        self.open = None;
    }

    pub fn commit(&mut self, jobs: Vec<DiskJob>) -> CommitLeftover {
        let now = self.now;
        let Some((appender, ..)) = &mut self.open else { return CommitLeftover::default() };
        let left = appender.commit(jobs, now);
        if appender.disk.index().is_none() && !left.waiting.is_empty() {
            appender.recover(Some("it failed".into()));
            return appender.commit(left.waiting, now);
        }
        left
    }

    /// Writes blocks in one commit and notes what was promised.
    pub fn write(&mut self, blocks: &[(Block, Redundancy)]) -> Vec<WriteDone> {
        let done = Arc::new(Mutex::new(Vec::new()));
        let jobs = blocks.iter().enumerate().map(|(place, (block, redundancy))| {
            let done = done.clone();
            let note = move |answer| done.lock().unwrap().push((place, answer));
            DiskJob::Write(write_job(block.clone(), *redundancy, self.now, note))
        });
        let jobs = jobs.collect();
        let again = blocks.iter().map(|(block, _)| block.id()).filter(|id| self.deleted.contains(id));
        let again: Vec<BlockId> = again.collect();
        self.deleted.retain(|id| !again.contains(id));
        self.doubted.extend(again);
        let left = self.commit(jobs);
        for (write, why) in left.rejected {
            let full = why == crate::store::disk::job::WriteRejection::Full;
            write.send(if full { WriteDone::Full } else { WriteDone::Failed });
        }
        let mut done = std::mem::take(&mut *done.lock().unwrap());
        done.sort_by_key(|(place, _)| *place);
        let mut answers = Vec::new();
        for ((block, redundancy), (_, answer)) in blocks.iter().zip(done) {
            let DiskDone::Written(answer) = answer else { panic!("{answer:?}") };
            if matches!(answer, WriteDone::New | WriteDone::Already) {
                self.promise(block, *redundancy);
            }
            answers.push(answer);
        }
        answers
    }

    fn promise(&mut self, block: &Block, redundancy: Redundancy) {
        self.doubted.remove(&block.id());
        let promised = self.promised.blocks.entry(block.id()).or_insert((block.bytes().clone(), BTreeSet::new()));
        promised.1.insert(redundancy);
        self.promised.renewed.insert(block.id(), self.now);
    }

    /// Deletes these copies as they are now.
    pub fn delete(&mut self, ids: &[BlockId]) -> bool {
        let Some((appender, ..)) = &mut self.open else { return false };
        let look_up = |id: &BlockId| appender.disk.look_up(id).ok().flatten();
        let known: Option<Vec<(BlockId, u64)>> =
            ids.iter().map(|id| look_up(id).map(|entry| (*id, entry.changed))).collect();
        known.is_some_and(|copies| self.delete_if(copies))
    }

    /// The same if they are as they were.
    pub fn delete_if(&mut self, copies: Vec<(BlockId, u64)>) -> bool {
        let before = self.promised.clone();
        let ids: Vec<BlockId> = copies.iter().map(|(id, _)| *id).collect();
        for id in &ids {
            self.promised.blocks.remove(id);
            self.promised.renewed.remove(id);
            self.doubted.insert(*id);
        }
        let done = Arc::new(Mutex::new(None));
        let note = done.clone();
        let answer = DiskReply::new(move |answer| *note.lock().unwrap() = Some(answer), DiskDone::Deleted(false));
        self.commit(vec![DiskJob::Delete(DeleteJob { copies, answer })]);
        let is_deleted = done.lock().unwrap().take() == Some(DiskDone::Deleted(true));
        if !self.file_system.is_off() || is_deleted {
            self.doubted.retain(|id| !ids.contains(id));
        }
        if is_deleted {
            self.deleted.extend(ids);
        } else if !self.file_system.is_off() {
            self.promised = before;
        }
        is_deleted
    }

    /// Takes both steps with these copies. Whether all of them are gone.
    pub fn collect(&mut self, ids: &[BlockId]) -> bool {
        for id in ids {
            self.promised.blocks.remove(id);
            self.promised.renewed.remove(id);
            self.doubted.insert(*id);
        }
        let is_gone = self.step(ids, CollectStep::Condemn) && self.step(ids, CollectStep::Delete);
        if is_gone {
            self.doubted.retain(|id| !ids.contains(id));
            self.deleted.extend(ids);
        }
        is_gone
    }

    /// One step with these copies as they are now. Whether it was taken with all of them.
    pub fn step(&mut self, ids: &[BlockId], step: CollectStep) -> bool {
        let Some((appender, ..)) = &mut self.open else { return false };
        let known = ids.iter().filter_map(|id| Some((*id, appender.disk.look_up(id).ok()??.changed, step)));
        let copies: Vec<_> = known.collect();
        let done = Arc::new(Mutex::new(None));
        let note = done.clone();
        let answer =
            DiskReply::new(move |answer| *note.lock().unwrap() = Some(answer), DiskDone::Collected(Vec::new()));
        self.commit(vec![DiskJob::Collect(CollectJob { copies, answer })]);
        let done = done.lock().unwrap().take();
        done == Some(DiskDone::Collected(vec![true; ids.len()]))
    }

    /// Compacts as long as it is worth it, so many bytes at a time.
    pub fn compact(&mut self, bytes: u64) {
        let mut compaction = DiskCompaction::default();
        while self.compact_once(&mut compaction, bytes) {}
    }

    /// One step of it. Whether there was one.
    pub fn compact_once(&mut self, compaction: &mut DiskCompaction, bytes: u64) -> bool {
        let Some((appender, ..)) = &mut self.open else { return false };
        let Ok(Some((job, answer))) = compaction.next(&appender.disk, bytes) else { return false };
        let left = self.commit(vec![job]);
        assert!(left.rejected.is_empty() && left.waiting.is_empty());
        compaction.done(answer.try_recv().ok()).is_ok()
    }

    /// Appends a record as a later version, or a later part of this one, writes it.
    pub fn append_record(&mut self, kind: RecordKind, block: &Block, flags: u16, payload: &[u8]) {
        self.kill();
        let path = self.file_system.files(Path::new("/disk/segments")).pop().unwrap();
        let (sequence, renewed) = (self.next_sequence, self.now);
        let receipt = RECEIPT;
        self.file_system.tamper(&path, |bytes| {
            let marker = SegmentHeader::decode(bytes).unwrap().marker;
            let header = RecordHeader {
                kind,
                flags,
                payload_len: u32::try_from(payload.len()).unwrap(),
                id: block.id(),
                sequence,
                first_seen: 5,
                renewed,
                receipt,
                redundancies: vec![Redundancy::Replicas(2)],
                payload_crc: crc32fast::hash(payload),
            };
            bytes.extend(header.encode(&marker));
            bytes.extend(payload);
        });
        self.next_sequence += 1;
        self.start().unwrap();
    }

    /// Numbers of the segments that are there.
    pub fn segments(&self) -> Vec<u64> {
        let names = self.file_system.files(Path::new("/disk/segments"));
        let numbers = names.iter().filter_map(|path| segment::number_of(path.file_name()?.to_str()?));
        numbers.collect()
    }

    /// Asks with renewal.
    pub fn renew(&mut self, ids: &[BlockId], redundancy: Redundancy) -> Vec<Possession> {
        let done = Arc::new(Mutex::new(None));
        let note = done.clone();
        let answer = DiskReply::new(move |answer| *note.lock().unwrap() = Some(answer), DiskDone::Have(Vec::new()));
        let gather = ReplyCollector::new(vec![Possession::NotYet; ids.len()], answer);
        let ids_at = ids.iter().copied().enumerate().collect();
        self.commit(vec![DiskJob::Renew(RenewJob { ids: ids_at, redundancy, gather })]);
        let Some(DiskDone::Have(answers)) = done.lock().unwrap().take() else { panic!("no answer") };
        for (id, answer) in ids.iter().zip(&answers) {
            if *answer == Possession::Yes {
                self.promised.blocks.get_mut(id).unwrap().1.insert(redundancy);
                self.promised.renewed.insert(*id, self.now);
            }
        }
        answers
    }

    pub fn log(&mut self, entries: &[LogEntry]) -> bool {
        let Some((_, home, _)) = &mut self.open else { return false };
        let durable = home.append(entries).is_ok();
        if durable {
            self.promised.log.extend_from_slice(entries);
            self.commit(vec![DiskJob::Log(Arc::new(entries.to_vec()))]);
        }
        durable
    }

    /// As the daemon does it while entries go on to come: all that was promised is kept.
    pub fn compact_online(&mut self) {
        let keep = self.promised.log.clone();
        let Some((_, home, _)) = &mut self.open else { return };
        home.seal();
        self.commit(vec![DiskJob::SealLog]);
        self.log(&[own(1_000)]);
        let Some((_, home, _)) = &mut self.open else { return };
        let _ = home.compact(&keep);
        self.commit(vec![DiskJob::Compact(Arc::new(keep))]);
    }

    pub fn read(&mut self, id: &BlockId) -> ReadDone {
        self.appender().disk.read(id)
    }

    /// Everything that was promised is there, and nothing is served that is wrong.
    #[track_caller]
    pub fn check(&mut self, context: &str) {
        let PromisedBlock { blocks, renewed, .. } = self.promised.clone();
        for (id, (bytes, redundancies)) in &blocks {
            match self.read(id) {
                ReadDone::Found(block) => assert_eq!(block.bytes(), bytes, "{context}"),
                other => panic!("{context}: {id:?} is {other:?}; {:?}", self.notices.lock().unwrap()),
            }
            let entry = self.appender().disk.look_up(id).unwrap().unwrap();
            let kept: BTreeSet<Redundancy> = entry.redundancies.iter().copied().collect();
            let greatest = |redundancies: &BTreeSet<Redundancy>| {
                redundancies.iter().copied().filter(|redundancy| matches!(redundancy, Redundancy::Replicas(_))).max()
            };
            assert!(greatest(&kept) >= greatest(redundancies), "{context}: redundancies of {id:?} are {kept:?}");
            let promised = renewed[id];
            assert!(entry.renewed + RENEWAL_FRESH_MS > promised, "{context}: {id:?} was renewed at {promised}");
        }
        for id in self.deleted.clone() {
            assert_eq!(self.read(&id), ReadDone::No, "{context}: {id:?} was deleted");
        }
    }
}

impl StoreRig {
    /// After a start: the same, and the log.
    #[track_caller]
    pub fn check_started(&mut self, context: &str) {
        self.check(context);
        let told = self.told.lock().unwrap().0.clone();
        for (id, told) in told.into_iter().filter(|(id, _)| !self.doubted.contains(id)).collect::<Vec<_>>() {
            let entry =
                self.appender().disk.look_up(&id).unwrap().unwrap_or_else(|| panic!("{context}: {id:?} is lost"));
            let copy = entry.copy(id);
            assert_eq!(copy.state, told.state, "{context}");
            assert!(copy.info.renewed >= told.info.renewed, "{context}: a renewal that was told is lost");
        }
        for entry in &self.promised.log {
            assert!(self.entries().contains(entry), "{context}: {entry:?} is lost");
        }
    }
}

fn follow(told: &Mutex<ToldCopies>, change: CopyChange) {
    let mut told = told.lock().unwrap();
    let id = change.id().unwrap();
    let before = match change.after.clone() {
        Some(copy) => told.0.insert(id, copy),
        None => told.0.remove(&id),
    };
    if before != change.before {
        told.1.push(change);
    }
}

pub fn write_job(
    block: Block,
    redundancy: Redundancy,
    now: u64,
    done: impl FnOnce(DiskDone) + Send + 'static,
) -> WriteJob {
    WriteJob {
        block,
        redundancy,
        first_seen: now,
        lease: Lease::Now,
        receipt: RECEIPT,
        more: false,
        answer: DiskReply::new(done, DiskDone::Written(WriteDone::Failed)),
        tried: Vec::new(),
        full: false,
        routed: false,
    }
}
