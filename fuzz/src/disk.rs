//! What lies on a disk: segments with their footers, logs, and the small files beside them.

use fsdfs_proto::record::{
    DiskList, FRAME_HEAD_BYTES, LOG_HEADER_BYTES, LogHeader, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES,
    SegmentHeader, SegmentMarker, SegmentTrailer, Superblock, TRAILER_BYTES, footer_records, frame, frame_payload,
    log_entry,
};

/// Begins each record of a repaired file.
pub const MARKER: SegmentMarker = [1, 2, 3, 4, 5, 6, 7, 8];

/// A segment as it is, and with all checksums made to fit.
pub fn segment(data: &[u8]) {
    if let Ok(header) = SegmentHeader::decode(data) {
        read_segment(data, &header.marker);
    }
    read_segment(&repaired_segment(data), &MARKER);
}

fn read_segment(data: &[u8], marker: &SegmentMarker) {
    let mut at = SEGMENT_HEADER_BYTES;
    while let Some(bytes) = data.get(at..)
        && let Ok((header, head_len)) = RecordHeader::decode(bytes, marker)
    {
        assert_eq!(header.encode(marker), bytes[..head_len], "one header, one encoding");
        let payload_end = head_len + header.payload_len as usize;
        let _ = bytes.get(head_len..payload_end).map(|payload| header.fits(payload));
        at += payload_end;
    }
    let Some(body_end) = data.len().checked_sub(TRAILER_BYTES) else { return };
    if let Ok(trailer) = SegmentTrailer::decode(&data[body_end..], data.len() as u64, marker) {
        let begin = usize::try_from(trailer.records_end).expect("checked against the segment's length");
        let _ = footer_records(&data[begin..body_end], &trailer);
    }
}

fn repaired_segment(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    let mut at = SEGMENT_HEADER_BYTES;
    while let Some(rest) = bytes.get_mut(at..).filter(|rest| rest.len() >= RECORD_HEADER_BYTES) {
        at += repair_head(rest);
    }
    if let Some(body_end) = bytes.len().checked_sub(TRAILER_BYTES) {
        let begin = u64::from_be_bytes(bytes[body_end + 16..body_end + 24].try_into().expect("eight bytes"));
        repair_footer(&mut bytes, usize::try_from(begin).unwrap_or(usize::MAX).min(body_end), body_end);
    }
    bytes
}

/// Makes the record at the beginning of `bytes` fit, and returns its length.
fn repair_head(bytes: &mut [u8]) -> usize {
    bytes[..8].copy_from_slice(&MARKER);
    let payload_len = u32::from_be_bytes(bytes[12..16].try_into().expect("four bytes")) as usize;
    let head_len = repair_head_crc(bytes);
    head_len + payload_len
}

/// `bytes` begins with a marker; returns the length of the header.
fn repair_head_crc(bytes: &mut [u8]) -> usize {
    let redundancies_len = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    let head_len = (RECORD_HEADER_BYTES + redundancies_len).min(bytes.len());
    let crc = crc(&[&bytes[..176], &bytes[RECORD_HEADER_BYTES..head_len]]);
    bytes[176..180].copy_from_slice(&crc);
    head_len
}

fn repair_footer(bytes: &mut [u8], begin: usize, body_end: usize) {
    let mut at = begin;
    while at + RECORD_HEADER_BYTES <= body_end {
        // In the place of the marker stands an offset, but the checksum is over the marker.
        let mut head = bytes[at..body_end].to_vec();
        head[..8].copy_from_slice(&MARKER);
        let head_len = repair_head_crc(&mut head);
        bytes[at + 8..at + head_len].copy_from_slice(&head[8..head_len]);
        at += head_len;
    }
    let body_crc = crc(&[&bytes[begin..body_end]]);
    let trailer = &mut bytes[body_end..];
    trailer[24..32].copy_from_slice(&MARKER);
    trailer[40..44].copy_from_slice(&body_crc);
    let crc = crc(&[&trailer[..44]]);
    trailer[44..].copy_from_slice(&crc);
}

/// A log as it is, and with all checksums made to fit; the same for the small files.
pub fn log(data: &[u8]) {
    if let Ok(header) = LogHeader::decode(data) {
        read_log(data, &header.marker);
    }
    read_log(&repaired_log(data), &MARKER);
    let _ = log_entry(data);
    for bytes in [data, &with_crc(data)] {
        let _ = Superblock::decode(bytes);
        let _ = DiskList::decode(bytes);
    }
}

fn read_log(data: &[u8], marker: &SegmentMarker) {
    let mut at = LOG_HEADER_BYTES;
    while let Some(payload) = data.get(at..).and_then(|bytes| frame_payload(bytes, marker)) {
        let entry = log_entry(payload);
        assert_eq!(frame(&entry, marker).as_deref(), Ok(&data[at..at + FRAME_HEAD_BYTES + payload.len()]));
        at += FRAME_HEAD_BYTES + payload.len();
    }
}

fn repaired_log(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    let mut at = LOG_HEADER_BYTES;
    while let Some(rest) = bytes.get_mut(at..).filter(|rest| rest.len() >= FRAME_HEAD_BYTES) {
        let len = u32::from_be_bytes(rest[8..12].try_into().expect("four bytes")) as usize;
        let end = FRAME_HEAD_BYTES.saturating_add(len).min(rest.len());
        rest[..8].copy_from_slice(&MARKER);
        let crc = crc(&[&rest[..12], &rest[FRAME_HEAD_BYTES..end]]);
        rest[12..16].copy_from_slice(&crc);
        at += end;
    }
    bytes
}

/// With the checksum of all before it as the last four bytes.
fn with_crc(data: &[u8]) -> Vec<u8> {
    let body = &data[..data.len().saturating_sub(4)];
    [body, &crc(&[body])].concat()
}

fn crc(parts: &[&[u8]]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize().to_be_bytes()
}
