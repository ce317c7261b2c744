//! What lands on a disk: segment records, footers, superblocks, the fact log (spec 06-store).
//!
//! Records, segments and logs are fixed big-endian layouts with checksums, because they are read from damaged disks:
//! each piece must tell by itself whether it is whole. What lies inside them is MessagePack as everywhere else.

mod footer;
mod log;
mod observed;
mod scrub;
mod segment;
mod small;
#[cfg(test)]
mod tests;

pub use footer::{FOOTER_BODY_BYTES_MAX, SegmentFooter, SegmentTrailer, TRAILER_BYTES, footer_records};
pub use log::{
    FRAME_HEAD_BYTES, FRAME_PAYLOAD_BYTES_MAX, LOG_HEADER_BYTES, LogHeader, frame, frame_payload, log_entry,
};
pub use observed::{OBSERVED_MEMBERS_MAX, Observation, ObservedMember, ObservedMembers, WEEK_HOURS};
pub use scrub::{SCRUB_BYTES_MAX, ScrubBook};
pub use segment::{
    RECORD_HEAD_BYTES_MAX, RECORD_HEADER_BYTES, RECORD_KIND_MASK, RECORD_PAYLOAD_BYTES_MAX, REDUNDANCIES_BYTES_MAX,
    RecordHeader, RecordKind, SEGMENT_HEADER_BYTES, SegmentHeader,
};
pub use small::{DiskList, KnownDisk, Superblock};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{CanonicalCodec, FormatError};
use crate::identity::RawFact;
use crate::ids::{BlockId, VolumeId, Writer};
use crate::message::Redundancy;
use crate::receipt::BlockReceipt;
use crate::tagged_enum;

/// What a holder knows of a block besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordInfo {
    /// Which block.
    pub id: BlockId,
    /// Bytes of the block.
    pub len: u32,
    /// Redundancy asked for, ascending, at least one.
    pub redundancies: Vec<Redundancy>,
    /// Wall milliseconds when its oldest holder first saw it.
    pub first_seen: u64,
    /// Wall milliseconds of the last renewal here.
    pub renewed: u64,
    /// Whose it is.
    pub receipt: BlockReceipt,
}

tagged_enum! {
    /// An entry of the log in the home folder and on every disk. Start takes the union of all logs.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum LogEntry {
        /// A fact, verbatim.
        1 => Fact(RawFact),
        /// The sequence number this node's incarnation has reached.
        2 => Own(OwnSequence),
        /// A capability string this node was given. Home log only.
        3 => Capability(CapabilityEntry),
        /// A head that is not published yet.
        4 => Unpublished(UnpublishedEntry),
        /// A state that stood here.
        5 => Stood(StoodState),
        /// What a node saw of the others; the last one counts.
        6 => Observed(Observation),
        /// What a later version wrote.
        255 => Unknown(Bytes),
    }
}

impl CanonicalCodec for LogEntry {
    fn check(&self) -> Result<(), FormatError> {
        match self {
            Self::Observed(Observation::Members(members)) => members.check(),
            _ => Ok(()),
        }
    }
}

/// A writer's last sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnSequence {
    /// The incarnation.
    pub writer: Writer,
    /// Used up to here, durably, before anything with it is sent.
    pub seq: u64,
}

/// A head that its writer does not publish before its tree is safe (spec 05-volume, section 6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpublishedEntry {
    /// The head, as it will be published.
    pub head: RawFact,
    /// Under-replicated blocks that its commit made, at most [`UNDER_REPLICATED_ENTRY_MAX`]; more are in further entries.
    pub under_replicated: Vec<BlockId>,
}

/// A state of a volume that stood at this node, by its own clock (spec 06-store, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoodState {
    /// Of which volume.
    pub volume: VolumeId,
    /// Its commit.
    pub commit: BlockId,
    /// Wall milliseconds at which it was first found to stand.
    pub from: u64,
    /// And last.
    pub to: u64,
    /// Why it is remembered: 0, an hour ended. Others may come.
    pub reason: u8,
}

/// Ids in one [`UnpublishedEntry`] at most: half a frame of a log.
pub const UNDER_REPLICATED_ENTRY_MAX: usize = 32_768;

/// A capability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityEntry {
    /// Of which volume.
    pub volume: VolumeId,
    /// `fsdfs-cap-1:...`
    pub text: String,
}

/// Begins every record of a segment and every frame of a log: random, drawn when the file is made.
///
/// A fixed magic could be planted: a peer that gets a block stored could hide a whole record in its bytes, and a reader that
/// searches for the next record behind damage would believe it. No other node knows the marker.
pub type SegmentMarker = [u8; 8];

/// Redundancies in one record at most. One block in two stripes has two; more than a handful is somebody's mistake.
pub const REDUNDANCIES_MAX: usize = 32;

/// Adds what another link asks for the block. Returns whether that changes anything.
///
/// Of several replica counts only the greatest says anything. A stripe that no longer fits into the list is granted as
/// many replicas as survive the same losses.
pub fn add_redundancy(redundancies: &mut Vec<Redundancy>, redundancy: Redundancy) -> bool {
    match (redundancy, redundancies.first().copied()) {
        (Redundancy::Replicas(target), Some(Redundancy::Replicas(has))) if target <= has => false,
        (Redundancy::Replicas(_), Some(Redundancy::Replicas(_))) => {
            redundancies[0] = redundancy;
            true
        }
        (Redundancy::Replicas(_), _) => {
            redundancies.truncate(REDUNDANCIES_MAX - 1);
            redundancies.insert(0, redundancy);
            true
        }
        (Redundancy::Stripe(stripe), _) => match redundancies.binary_search(&redundancy) {
            Ok(_) => false,
            // One place stays free for a replica count.
            Err(_) if redundancies.len() >= REDUNDANCIES_MAX - 1 => {
                add_redundancy(redundancies, Redundancy::Replicas(stripe.m.saturating_add(1)))
            }
            Err(at) => {
                redundancies.insert(at, redundancy);
                true
            }
        },
    }
}

/// The bytes at a fixed place. The caller has checked the length.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes is an array of N bytes")
}

fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(field(bytes, at))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(field(bytes, at))
}
