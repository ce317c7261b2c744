//! What can go wrong when the store is opened, and what it reports while it runs.

use std::io;
use std::path::PathBuf;

use fsdfs_core::seam::{CopyChange, DiskCondition, DiskState};
use fsdfs_proto::codec::FormatError;
use fsdfs_proto::ids::{BlockId, DiskId, NodeId, PoolId};
use fsdfs_proto::record::LogEntry;

/// Why the store does not open. Nothing that was stored before is changed by any of these.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named in the messages")]
pub enum StoreError {
    /// The home folder cannot be used: the machine's fault.
    #[error("the folder {path} cannot be used: {error}; check that it exists, belongs to you and has free space")]
    Home { path: PathBuf, error: io::Error },
    /// Two processes would overwrite each other.
    #[error("another running fsdfs uses {path}; stop it first, or give this one another folder")]
    InUse { path: PathBuf },
    /// The owner's mistake: a disk of another pool was named.
    #[error("{path} belongs to another pool ({found}); name an empty folder, or start this node in that pool")]
    ForeignPool { path: PathBuf, found: PoolId },
    /// The owner's mistake: another node's disk was named.
    #[error(
        "{path} is the disk of another node ({found}), and was left as it is. To serve what lies there, run that node: use \
         its home folder. To use the space for this node, name an empty folder beside it; what this pool stored there is \
         found on its other servers"
    )]
    ForeignOwner { path: PathBuf, found: NodeId },
    /// Most likely the disk is not mounted.
    #[error(
        "{path} held this node's blocks and is empty now: its disk is probably not mounted. Mount it; or, if it is lost, begin a \
         new one there: 'fsdfs disk new {path}'"
    )]
    Missing { path: PathBuf, disk: DiskId },
    /// Most likely the owner's slip: a path was changed, and nothing is there.
    #[error(
        "{path} is empty, while {known}, which holds {} of this node's blocks, is no longer in the configuration. If that is a \
         slip, correct the path; if that disk is mounted elsewhere now, name that place; to use both, name both. To give up \
         what is in {known} and begin an empty disk in {path}: 'fsdfs disk new {path}'",
        if *bytes == 0 { "some".to_owned() } else { bytesize::ByteSize(*bytes).display().iec().to_string() }
    )]
    Elsewhere { path: PathBuf, known: PathBuf, bytes: u64 },
    /// The one file that says whose the disk is was lost, the blocks were not.
    #[error(
        "{path} holds {segments} segments with blocks, but its file \"superblock\" is gone. Nothing there was touched. \
         Restore that file from a backup, or take the folder out of the configuration"
    )]
    NoSuperblock { path: PathBuf, segments: usize },
    /// Nothing is lost there.
    #[error(
        "{path} has a disk of this node ({disk}) that can be read, and was left as it is. To give it up all the same, stop the \
         node and empty the folder first"
    )]
    StillThere { path: PathBuf, disk: DiskId },
    /// The owner's mistake.
    #[error(
        "{path} is no storage folder of this node, which has {}. Name one of these; or write a further one into config.toml, and \
         start the node again",
        named(folders)
    )]
    NotConfigured { path: PathBuf, folders: Vec<PathBuf> },
    /// The machine's fault, or the owner's mistake.
    #[error("{path} cannot be used: {error}; check that it can be written to by you, and has free space")]
    Unusable { path: PathBuf, error: io::Error },
    /// The owner's mistake: a disk was copied, or was found again after another one took its place, and both are named.
    #[error(
        "{path} and {other} are the same disk ({disk}): one is a copy of the other, or took its place when it was lost. Take \
         one of them out of the configuration; to have two disks, name an empty folder instead of the one that is not needed"
    )]
    Cloned { path: PathBuf, other: PathBuf, disk: DiskId },
    /// A file of the store is damaged, or of a newer version.
    #[error("{path}: {error}; if a newer fsdfs wrote it, update this one; otherwise restore the file from a backup")]
    Format { path: PathBuf, error: FormatError },
    /// The owner's mistake.
    #[error("the storage folder {path} is named twice; remove one of the two entries")]
    Twice { path: PathBuf },
    /// The machine's fault: no thread, no randomness.
    #[error("the operating system refuses what the store needs: {0}")]
    System(io::Error),
}

/// What the store reports by itself. [`std::fmt::Display`] is a sentence for the log.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named in the messages")]
pub enum StoreNotice {
    /// Disks came, went, filled up: for the engine.
    #[error("{} of this node's disks serve", .0.len())]
    Disks(Vec<DiskState>),
    /// Copies came, went or were amended, durably: for the engine.
    #[error("{} copies changed", .0.len())]
    Changed(Vec<CopyChange>),
    /// What the copy of the log holds on a disk that was not there at the start: for the engine.
    #[error("the copy of the log on {} has {} entries", path.display(), entries.len())]
    LogCopy { path: PathBuf, entries: Vec<LogEntry> },
    /// The index of a disk is made anew from its segments. Until it is done, answers about its blocks are "not yet".
    #[error("rebuilding the index of {path} because {why}; blocks are served again when it is done")]
    RebuildStarted { path: PathBuf, why: String },
    /// It goes on.
    #[error("rebuilding the index of {path}: {done} of {total} segments read")]
    RebuildProgress { path: PathBuf, done: u64, total: u64 },
    /// A disk is ready: its index knows all its records.
    #[error("{path} is ready: {blocks} blocks{}", if *rebuilt { ", index rebuilt" } else { "" })]
    Ready { path: PathBuf, blocks: u64, rebuilt: bool },
    /// A copy whose bytes do not fit its id. It counts as absent and is repaired from other members.
    #[error(
        "the copy of block {id} on {path} is damaged (segment {segment:016x}, offset {offset}); it was quarantined"
    )]
    Damaged { path: PathBuf, id: BlockId, segment: u64, offset: u64 },
    /// Nothing current was left in a segment, and it was deleted.
    #[error("{bytes} bytes are free again on {path}: segment {segment:016x} held nothing that is kept")]
    SegmentFreed { path: PathBuf, segment: u64, bytes: u64 },
    /// Everything on a disk was read and compared with its id.
    #[error("all blocks on {path} were read once: {bad} of them damaged")]
    Scrubbed { path: PathBuf, bad: u64 },
    /// Bytes in a segment that are no record, with records behind them.
    #[error("{bytes} bytes in segment {segment:016x} of {path} are damaged and were skipped")]
    Skipped { path: PathBuf, segment: u64, bytes: u64 },
    /// What a power cut left of records that were never acknowledged.
    #[error("{bytes} unfinished bytes at the end of segment {segment:016x} of {path} were cut off")]
    TornTail { path: PathBuf, segment: u64, bytes: u64 },
    /// What of a segment the disk does not give back. The records around it are used.
    #[error(
        "{bytes} bytes in segment {segment:016x} of {path} cannot be read; the blocks there are repaired from other members"
    )]
    Unreadable { path: PathBuf, segment: u64, bytes: u64 },
    /// A disk or its file system did not keep what it said was durable.
    #[error(
        "segment {segment:016x} of {path} ends {bytes} bytes before what was acknowledged: its disk or file system lost \
         them; the copies of other members are used"
    )]
    Shortened { path: PathBuf, segment: u64, bytes: u64 },
    /// Takes no more writes until it was found to work again; reads are still tried.
    #[error(
        "the disk at {path} is failing ({error}); it takes no new blocks until it works again, which is tried every \
         20 seconds. If this comes back, replace it"
    )]
    Failing { path: PathBuf, error: String },
    /// The same, because nothing may be written.
    #[error("nothing can be written to {path} ({error}); it is only read until that is possible again")]
    ReadOnly { path: PathBuf, error: String },
    /// Taken out.
    #[error(
        "the disk at {path} cannot be used ({error}); this node goes on without it, and tries again every 20 seconds"
    )]
    Offline { path: PathBuf, error: String },
    /// Not taken in at the start, or not usable for another reason than before.
    #[error("{path} is not in use: {why}. This node goes on without it, and looks for its disk every 20 seconds")]
    NotAttached { path: PathBuf, why: String },
    /// The owner says that these are lost: for the engine.
    #[error("{} of this node's disks were given up", .0.len())]
    GivenUp(Vec<DiskId>),
    /// A new disk takes the place of one that was lost.
    #[error("a new disk was begun in {path}: {disk}")]
    Begun { path: PathBuf, disk: DiskId },
    /// Failing, read-only or offline no more.
    #[error("the disk at {path} works again; it takes blocks as before")]
    Back { path: PathBuf },
    /// No room for blocks.
    #[error(
        "{path} is full ({}); it takes no new blocks until it has room",
        if *condition == DiskCondition::QuotaFull { "the size given to it is used up" } else { "its file system has no free space" }
    )]
    Full { path: PathBuf, condition: DiskCondition },
    /// Full no more.
    #[error("{path} has room again; it takes blocks as before")]
    HasRoom { path: PathBuf },
    /// The process, or the machine, ran out of descriptors or memory.
    #[error("{path} could not be used for lack of file descriptors or memory ({error}); it is tried again")]
    Short { path: PathBuf, error: String },
    /// It has some again.
    #[error("{path} can be used again: there are file descriptors and memory")]
    ShortNoMore { path: PathBuf },
    /// The log in the home folder or its copy on a disk.
    #[error("the log in {path} could not be read or written: {error}")]
    LogFailed { path: PathBuf, error: String },
    /// It is twice as long as it has to be: for whoever knows what it has to hold, see [`super::Store::compact_log`].
    #[error("the log in {path} is compacted: what is outdated is left out")]
    LogLong { path: PathBuf },
    /// It is written again.
    #[error("the log in {path} is written again")]
    LogBack { path: PathBuf },
    /// Parts of the log in the home folder are lost. The copies on the disks have what others need to be told.
    #[error(
        "the log in {path} is damaged; what can be read of it and of its copies is used, and this node writes under a new \
         name of its own from now on"
    )]
    LogDamaged { path: PathBuf },
}

fn named(folders: &[PathBuf]) -> String {
    let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    if folders.is_empty() { "none".into() } else { folders.join(", ") }
}

/// No space, no quota of the file system, or a file as long as it allows.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
