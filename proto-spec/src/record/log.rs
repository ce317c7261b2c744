//! The log of facts: a header, then frames one behind the other.

use super::{LogEntry, SegmentMarker, be32, field};
use crate::codec::{self, FormatError, bound};

/// Length of [`LogHeader`].
pub const LOG_HEADER_BYTES: usize = 24;
/// Bytes of a frame before its payload: `marker8 be32(length) crc32`.
pub const FRAME_HEAD_BYTES: usize = 16;
/// Payload of a frame at most: a head carries its commit block whole.
pub const FRAME_PAYLOAD_BYTES_MAX: usize = 2 << 20;

const MAGIC: &[u8; 8] = b"FSDFSLOG";
const VERSION: u8 = 1;

/// The first bytes of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// Begins each of its frames.
    pub marker: SegmentMarker,
}

impl LogHeader {
    /// `magic8 version 0*3 marker8 crc32`.
    pub fn encode(&self) -> [u8; LOG_HEADER_BYTES] {
        let mut bytes = [0; LOG_HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8] = VERSION;
        bytes[12..20].copy_from_slice(&self.marker);
        let crc = crc32fast::hash(&bytes[..20]);
        bytes[20..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads the first bytes of a log.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let malformed = || FormatError::Malformed("not the header of a log".into());
        let bytes = bytes.get(..LOG_HEADER_BYTES).ok_or_else(malformed)?;
        if &bytes[..8] != MAGIC || crc32fast::hash(&bytes[..20]) != be32(bytes, 20) {
            return Err(malformed());
        }
        if bytes[8] != VERSION {
            return Err(FormatError::TooNew { what: "a log", version: bytes[8].into() });
        }
        Ok(Self { marker: field(bytes, 12) })
    }
}

/// `marker8 be32(length) crc32(marker, length, payload) payload`. An entry of a later version is written back verbatim.
pub fn frame(entry: &LogEntry, marker: &SegmentMarker) -> Result<Vec<u8>, FormatError> {
    let encoded;
    let payload: &[u8] = match entry {
        LogEntry::Unknown(verbatim) => verbatim,
        known => {
            encoded = codec::encode(known);
            &encoded
        }
    };
    bound((1..=FRAME_PAYLOAD_BYTES_MAX).contains(&payload.len()), "an entry of the log")?;
    let len = u32::try_from(payload.len()).expect("just bounded").to_be_bytes();
    Ok([&marker[..], &len, &frame_crc(marker, len, payload).to_be_bytes(), payload].concat())
}

/// The payload of the frame at the beginning of `bytes`; the frame ends [`FRAME_HEAD_BYTES`] and the payload later.
pub fn frame_payload<'a>(bytes: &'a [u8], marker: &SegmentMarker) -> Option<&'a [u8]> {
    let head = bytes.get(..FRAME_HEAD_BYTES)?;
    let len = be32(head, 8);
    if head[..8] != marker[..] || len == 0 || len as usize > FRAME_PAYLOAD_BYTES_MAX {
        return None;
    }
    let payload = bytes.get(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + len as usize)?;
    (frame_crc(marker, len.to_be_bytes(), payload) == be32(head, 12)).then_some(payload)
}

/// What a frame's payload says. What this version cannot read is kept as it is.
pub fn log_entry(payload: &[u8]) -> LogEntry {
    match codec::decode(payload) {
        Ok(LogEntry::Unknown(_)) | Err(_) => LogEntry::Unknown(payload.to_vec().into()),
        Ok(known) => known,
    }
}

fn frame_crc(marker: &SegmentMarker, len: [u8; 4], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    for part in [&marker[..], &len, payload] {
        crc.update(part);
    }
    crc.finalize()
}
