//! The footer of a sealed segment: its records' headers once more, so that a rebuild reads footers and no data.

use bytes::Bytes;

use super::segment::{VERSION, malformed, version};
use super::{RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentMarker, be32, be64};
use crate::codec::{FormatError, bound};

/// Length of [`SegmentTrailer`].
pub const TRAILER_BYTES: usize = 48;
/// A footer without its trailer at most; a reader reserves no more.
pub const FOOTER_BODY_BYTES_MAX: u64 = 64 << 20;

const TRAILER_MAGIC: &[u8; 8] = b"FSDFSEND";

/// Gathers a footer while records are appended: their headers, with the offset in the place of the marker. (With the
/// marker, a reader that searches behind a damaged trailer would take them for records.)
#[derive(Clone, Debug, Default)]
pub struct SegmentFooter {
    body: Vec<u8>,
    count: u32,
}

impl SegmentFooter {
    /// A record was appended: its offset in the segment, its header as [`RecordHeader::encode`] made it.
    pub fn push(&mut self, offset: u64, head: &[u8]) {
        self.body.extend_from_slice(&offset.to_be_bytes());
        self.body.extend_from_slice(&head[8..]);
        self.count += 1;
    }

    /// Bytes it will take at the end of the segment.
    pub fn bytes(&self) -> u64 {
        (self.body.len() + TRAILER_BYTES) as u64
    }

    /// Records in it.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The last bytes of a segment whose records end at `records_end`.
    pub fn encode(&self, records_end: u64, marker: &SegmentMarker) -> Bytes {
        let trailer =
            SegmentTrailer { records_end, count: self.count, body_crc: crc32fast::hash(&self.body), marker: *marker };
        [&self.body[..], &trailer.encode()].concat().into()
    }
}

/// The last bytes of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentTrailer {
    /// Where the records end and the footer's body begins.
    pub records_end: u64,
    /// Records listed.
    pub count: u32,
    /// CRC-32 of the body.
    pub body_crc: u32,
    /// The segment's: a block that happens to lie at the end of an unsealed segment cannot pass for a footer.
    pub marker: SegmentMarker,
}

impl SegmentTrailer {
    /// `magic8 version 0*3 be32(count) be64(records end) marker8 0*8 crc32(body) crc32`.
    pub fn encode(&self) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        bytes[..8].copy_from_slice(TRAILER_MAGIC);
        bytes[8] = VERSION;
        bytes[12..16].copy_from_slice(&self.count.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.records_end.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.marker);
        bytes[40..44].copy_from_slice(&self.body_crc.to_be_bytes());
        let crc = crc32fast::hash(&bytes[..44]);
        bytes[44..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads the last [`TRAILER_BYTES`] of a segment that is `segment_len` long. An error says that the segment is not
    /// sealed, or that its footer is damaged.
    pub fn decode(bytes: &[u8], segment_len: u64, marker: &SegmentMarker) -> Result<Self, FormatError> {
        if bytes.len() != TRAILER_BYTES || &bytes[..8] != TRAILER_MAGIC || bytes[24..32] != marker[..] {
            return Err(malformed("no footer"));
        }
        if crc32fast::hash(&bytes[..44]) != be32(bytes, 44) {
            return Err(malformed("the checksum of a footer does not fit"));
        }
        version("a footer", bytes[8])?;
        let trailer =
            Self { records_end: be64(bytes, 16), count: be32(bytes, 12), body_crc: be32(bytes, 40), marker: *marker };
        let body = trailer.body_bytes(segment_len);
        let heads_min = u64::from(trailer.count) * RECORD_HEADER_BYTES as u64;
        bound(body.is_some_and(|body| body <= FOOTER_BODY_BYTES_MAX && body >= heads_min), "the length of a footer")?;
        Ok(trailer)
    }

    /// Bytes between the records and the trailer.
    pub fn body_bytes(&self, segment_len: u64) -> Option<u64> {
        segment_len.checked_sub(TRAILER_BYTES as u64)?.checked_sub(self.records_end)
    }
}

/// The records that a footer lists, with their offsets, ascending.
pub fn footer_records(body: &[u8], trailer: &SegmentTrailer) -> Result<Vec<(u64, RecordHeader)>, FormatError> {
    if crc32fast::hash(body) != trailer.body_crc {
        return Err(malformed("the checksum of a footer does not fit"));
    }
    // The trailer's count was held against the body's length when it was read.
    let mut records = Vec::with_capacity((trailer.count as usize).min(body.len() / RECORD_HEADER_BYTES));
    let mut rest = body;
    let mut free_from = SEGMENT_HEADER_BYTES as u64;
    for _ in 0..trailer.count {
        let (offset, head) = rest.split_first_chunk::<8>().ok_or_else(|| malformed("a footer ends early"))?;
        let offset = u64::from_be_bytes(*offset);
        let (header, head_len) = RecordHeader::decode_behind_marker(head, &trailer.marker)?;
        let end = offset.checked_add(8 + head_len as u64 + u64::from(header.payload_len));
        let inside = offset >= free_from && end.is_some_and(|end| end <= trailer.records_end);
        bound(inside, "the offset of a record in a footer")?;
        free_from = end.unwrap_or(u64::MAX);
        records.push((offset, header));
        rest = &head[head_len..];
    }
    if rest.is_empty() { Ok(records) } else { Err(FormatError::Trailing(rest.len())) }
}
