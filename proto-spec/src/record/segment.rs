//! Segments: a header, then records one behind the other.

use serde::{Deserialize, Serialize};

use super::{REDUNDANCIES_MAX, SegmentMarker, be32, be64, field};
use crate::block::BLOCK_BYTES_MAX;
use crate::codec::{self, CanonicalCodec, FormatError, ascending, bound};
use crate::ids::{BlockId, DiskId, NodeId, Signature};
use crate::message::Redundancy;
use crate::receipt::BlockReceipt;

/// Length of [`SegmentHeader`].
pub const SEGMENT_HEADER_BYTES: usize = 64;
/// Length of a record's header without its redundancies.
pub const RECORD_HEADER_BYTES: usize = 180;
/// The redundancies of one record at most: [`REDUNDANCIES_MAX`] stripes of 43 bytes fit.
pub const REDUNDANCIES_BYTES_MAX: usize = 1536;
/// Header and redundancies at most: enough to read in order to know a record.
pub const RECORD_HEAD_BYTES_MAX: usize = RECORD_HEADER_BYTES + REDUNDANCIES_BYTES_MAX;
/// Payload of a record of a kind this version does not know, at most.
pub const RECORD_PAYLOAD_BYTES_MAX: usize = 2 << 20;

/// Of a record's flags: the number of the block's kind (spec 02-block §2); 0: it is not noted.
pub const RECORD_KIND_MASK: u16 = 7;

const SEGMENT_MAGIC: &[u8; 8] = b"FSDFSSEG";
pub(super) const VERSION: u8 = 1;

const _: () = assert!(REDUNDANCIES_MAX * 43 + 5 <= REDUNDANCIES_BYTES_MAX);
const _: () = assert!(BLOCK_BYTES_MAX <= RECORD_PAYLOAD_BYTES_MAX);

/// The first bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The disk it was made on.
    pub disk: DiskId,
    /// Segments of a disk are numbered in the order of their making; the file's name says the same.
    pub number: u64,
    /// Begins each of its records.
    pub marker: SegmentMarker,
}

impl SegmentHeader {
    /// `magic8 version 0*7 disk16 be64(number) marker8 0*12 crc32`.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(SEGMENT_MAGIC);
        bytes[8] = VERSION;
        bytes[16..32].copy_from_slice(&self.disk.0);
        bytes[32..40].copy_from_slice(&self.number.to_be_bytes());
        bytes[40..48].copy_from_slice(&self.marker);
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads the first bytes of a segment.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let bytes = bytes.get(..SEGMENT_HEADER_BYTES).ok_or_else(|| malformed("a segment's header ends early"))?;
        if &bytes[..8] != SEGMENT_MAGIC || crc32fast::hash(&bytes[..60]) != be32(bytes, 60) {
            return Err(malformed("not the header of a segment"));
        }
        version("a segment", bytes[8])?;
        Ok(Self { disk: DiskId(field(bytes, 16)), number: be64(bytes, 32), marker: field(bytes, 40) })
    }
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// "These are the block's bytes."
    Block,
    /// "Its lease and redundancies are now these."
    Renewal,
    /// "It is about to be deleted": possession questions are answered no; a renewal or a new copy revives it.
    Condemn,
    /// "It is deleted."
    Delete,
    /// A fact; kept in logs today.
    Fact,
    /// "The copy written before was found damaged": it counts as absent, its bytes stay for inspection.
    SetAside,
    /// What a later version wrote. Kept verbatim.
    Unknown(u8),
}

impl RecordKind {
    /// The byte in the header.
    pub fn code(self) -> u8 {
        match self {
            Self::Block => 1,
            Self::Renewal => 2,
            Self::Condemn => 3,
            Self::Delete => 4,
            Self::Fact => 5,
            Self::SetAside => 6,
            Self::Unknown(code) => code,
        }
    }
}

impl From<u8> for RecordKind {
    fn from(code: u8) -> Self {
        match code {
            1 => Self::Block,
            2 => Self::Renewal,
            3 => Self::Condemn,
            4 => Self::Delete,
            5 => Self::Fact,
            6 => Self::SetAside,
            other => Self::Unknown(other),
        }
    }
}

/// The head of a record. Each carries the whole state of its block, so that the record with the greatest write sequence
/// tells everything and no older one need be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What the record says.
    pub kind: RecordKind,
    /// 0: nothing is noted. [`RECORD_KIND_MASK`]: what kind of block it is. What a later version notes is kept verbatim.
    pub flags: u16,
    /// Bytes that follow the header.
    pub payload_len: u32,
    /// Of which block.
    pub id: BlockId,
    /// Grows by one with each record of a disk.
    pub sequence: u64,
    /// Wall milliseconds when the block's oldest holder first saw it.
    pub first_seen: u64,
    /// Wall milliseconds of its last renewal here.
    pub renewed: u64,
    /// Whose it is: kept as it came, and passed on with every copy.
    pub receipt: BlockReceipt,
    /// Redundancy asked for, ascending. At least one with a block or a renewal.
    pub redundancies: Vec<Redundancy>,
    /// CRC-32 of the payload.
    pub payload_crc: u32,
}

#[derive(Serialize, Deserialize)]
struct Redundancies(Vec<Redundancy>);

impl CanonicalCodec for Redundancies {
    fn check(&self) -> Result<(), FormatError> {
        let replicas = self.0.iter().filter(|redundancy| matches!(redundancy, Redundancy::Replicas(_))).count();
        bound(self.0.len() <= REDUNDANCIES_MAX && replicas <= 1, "the redundancies of a record")?;
        ascending(&self.0, |redundancy| *redundancy)
    }
}

impl RecordHeader {
    /// The header's bytes, redundancies included:
    /// `marker8 version kind be16(flags) be32(payload) be16(redundancies) 0*2 id32 be64(sequence) be64(first seen) be64(renewed)
    /// charged32 receipt64 crc32(payload) crc32(all before, then redundancies) redundancies`.
    pub fn encode(&self, marker: &SegmentMarker) -> Vec<u8> {
        let redundancies = codec::encode(&self.redundancies);
        let redundancies_len =
            u16::try_from(redundancies.len()).expect("at most REDUNDANCIES_MAX redundancies of 43 bytes");
        let mut bytes = Vec::with_capacity(RECORD_HEADER_BYTES + redundancies.len());
        bytes.extend_from_slice(marker);
        bytes.extend_from_slice(&[VERSION, self.kind.code()]);
        bytes.extend_from_slice(&self.flags.to_be_bytes());
        bytes.extend_from_slice(&self.payload_len.to_be_bytes());
        bytes.extend_from_slice(&redundancies_len.to_be_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.id.0);
        for number in [self.sequence, self.first_seen, self.renewed] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.receipt.member.0);
        bytes.extend_from_slice(&self.receipt.signature.0);
        bytes.extend_from_slice(&self.payload_crc.to_be_bytes());
        let crc = head_crc(&[&bytes, &redundancies]);
        bytes.extend_from_slice(&crc.to_be_bytes());
        bytes.extend_from_slice(&redundancies);
        bytes
    }

    /// Reads the header at the beginning of `bytes`; also returns its length. `bytes` may go on: [`RECORD_HEAD_BYTES_MAX`]
    /// always suffice.
    pub fn decode(bytes: &[u8], marker: &SegmentMarker) -> Result<(Self, usize), FormatError> {
        match bytes.split_first_chunk::<8>() {
            Some((begin, rest)) if begin == marker => {
                let (header, len) = Self::decode_behind_marker(rest, marker)?;
                Ok((header, 8 + len))
            }
            _ => Err(malformed("no record begins here")),
        }
    }

    pub(super) fn decode_behind_marker(bytes: &[u8], marker: &SegmentMarker) -> Result<(Self, usize), FormatError> {
        let early = || malformed("a record's header ends early");
        let fixed = bytes.get(..RECORD_HEADER_BYTES - 8).ok_or_else(early)?;
        let redundancies_len = usize::from(u16::from_be_bytes(field(fixed, 8)));
        bound(redundancies_len <= REDUNDANCIES_BYTES_MAX, "the redundancies of a record")?;
        let len = fixed.len() + redundancies_len;
        let redundancies = bytes.get(fixed.len()..len).ok_or_else(early)?;
        if head_crc(&[marker, &fixed[..168], redundancies]) != be32(fixed, 168) {
            return Err(malformed("the checksum of a record's header does not fit"));
        }
        version("a record", fixed[0])?;
        let header = Self {
            kind: fixed[1].into(),
            flags: u16::from_be_bytes(field(fixed, 2)),
            payload_len: be32(fixed, 4),
            id: BlockId(field(fixed, 12)),
            sequence: be64(fixed, 44),
            first_seen: be64(fixed, 52),
            renewed: be64(fixed, 60),
            receipt: BlockReceipt { member: NodeId(field(fixed, 68)), signature: Signature(field(fixed, 100)) },
            redundancies: codec::decode::<Redundancies>(redundancies)?.0,
            payload_crc: be32(fixed, 164),
        };
        header.check(&fixed[10..12])?;
        Ok((header, len))
    }

    fn check(&self, zero: &[u8]) -> Result<(), FormatError> {
        let payload = self.payload_len as usize;
        let fits = match self.kind {
            RecordKind::Block => (1..=BLOCK_BYTES_MAX).contains(&payload),
            RecordKind::Fact | RecordKind::Unknown(_) => payload <= RECORD_PAYLOAD_BYTES_MAX,
            _ => payload == 0,
        };
        bound(fits, "the payload of a record")?;
        let is_added = !self.redundancies.is_empty() || !matches!(self.kind, RecordKind::Block | RecordKind::Renewal);
        bound(is_added, "the redundancies of a record")?;
        bound(zero == [0; 2], "an unused field of a record")
    }

    /// Whether these are the record's bytes.
    pub fn fits(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_len as usize && crc32fast::hash(payload) == self.payload_crc
    }
}

fn head_crc(parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize()
}

pub(super) fn version(what: &'static str, version: u8) -> Result<(), FormatError> {
    if version == VERSION { Ok(()) } else { Err(FormatError::TooNew { what, version: version.into() }) }
}

pub(super) fn malformed(what: &str) -> FormatError {
    FormatError::Malformed(what.into())
}
