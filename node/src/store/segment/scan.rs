//! Walking over a segment whose contents are not known: the footer if there is one, else record by record.

use std::io;

use fsdfs_proto::codec::FormatError;
use fsdfs_proto::ids::DiskId;
use fsdfs_proto::record::{
    RECORD_HEAD_BYTES_MAX, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentMarker, SegmentTrailer,
    TRAILER_BYTES, footer_records,
};

use crate::store::fs::{FileHandle, read_range};
use crate::store::index::PlacedRecord;
use crate::store::segment::marker::{WINDOW_BYTES, heaviest_marker};

/// Records of a footer with their offsets, and where they end.
type FooterRecords = (Vec<(u64, RecordHeader)>, u64);

/// What a walk over a segment found.
#[derive(Debug, Default)]
pub(crate) struct ScanResult {
    /// Its marker; without one nothing in it can be read.
    pub marker: Option<SegmentMarker>,
    /// Its header is whole and it has no footer: it may be appended to.
    pub open: bool,
    /// Where its last whole record ends.
    pub end: u64,
    /// Bytes behind that which are no whole record.
    pub torn: u64,
    /// Bytes before it which are no record.
    pub skipped: u64,
}

/// Which segment, and from where its records' payloads are checked; before that they are known to be durable.
pub(crate) struct SegmentScan<'a> {
    pub file: &'a dyn FileHandle,
    pub disk: DiskId,
    pub number: u64,
    pub check_from: u64,
}

impl SegmentScan<'_> {
    /// Shows each record, in order.
    pub fn run<E: From<io::Error>>(
        &self,
        mut visit: impl FnMut(&PlacedRecord, &[u8]) -> Result<(), E>,
    ) -> Result<ScanResult, E> {
        let len = self.file.len()?;
        let Some((marker, whole_header)) = self.marker(len)? else {
            return Ok(ScanResult { skipped: len, ..ScanResult::default() });
        };
        if let Some((records, end)) = self.footer(len, &marker)? {
            for (offset, header) in records {
                let head = header.encode(&marker);
                visit(&self.placed(offset, header, head.len(), true), &head)?;
            }
            return Ok(ScanResult { marker: Some(marker), end, ..ScanResult::default() });
        }
        let walked = self.records(len, &marker, &mut visit)?;
        Ok(ScanResult { marker: Some(marker), open: whole_header, ..walked })
    }

    /// The records of a sealed segment by its footer, with where they begin. None without a whole one.
    pub fn sealed(&self) -> io::Result<Option<Vec<(u64, RecordHeader)>>> {
        let len = self.file.len()?;
        let Some((marker, _)) = self.marker(len)? else { return Ok(None) };
        Ok(self.footer(len, &marker)?.map(|(records, _)| records))
    }

    /// The header's marker. If the header is damaged, what stands at the place of the first record, if it is one. One
    /// bad sector hits both: then what the other records say, for they are whole and may be thousands.
    fn marker(&self, len: u64) -> io::Result<Option<(SegmentMarker, bool)>> {
        let mut begin = vec![0; SEGMENT_HEADER_BYTES + RECORD_HEAD_BYTES_MAX];
        let read = self.file.read_at(&mut begin, 0)?;
        begin.truncate(read);
        match SegmentHeader::decode(&begin) {
            Ok(header) if header.disk == self.disk && header.number == self.number => {
                return Ok(Some((header.marker, true)));
            }
            // Whole, but another disk's, another segment's or a newer version's: not ours to read.
            Ok(_) | Err(FormatError::TooNew { .. }) => return Ok(None),
            Err(_) => {}
        }
        let first = begin.get(SEGMENT_HEADER_BYTES..).unwrap_or_default();
        let marker = match first.first_chunk::<8>() {
            Some(marker) if RecordHeader::decode(first, marker).is_ok() => Some(*marker),
            _ => heaviest_marker(self.file, len)?,
        };
        Ok(marker.map(|marker| (marker, false)))
    }

    fn footer(&self, len: u64, marker: &SegmentMarker) -> io::Result<Option<FooterRecords>> {
        let Some(at) = len.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
        let trailer = read_range(self.file, at, TRAILER_BYTES as u64)?;
        let Ok(trailer) = SegmentTrailer::decode(&trailer, len, marker) else { return Ok(None) };
        let body = read_range(self.file, trailer.records_end, at - trailer.records_end)?;
        Ok(footer_records(&body, &trailer).ok().map(|records| (records, trailer.records_end)))
    }

    /// A record that is not whole, and bytes that are no record, count as damage only when a whole record follows:
    /// otherwise a power cut left them, and nobody was promised anything.
    fn records<E: From<io::Error>>(
        &self,
        len: u64,
        marker: &SegmentMarker,
        visit: &mut impl FnMut(&PlacedRecord, &[u8]) -> Result<(), E>,
    ) -> Result<ScanResult, E> {
        let mut at = SEGMENT_HEADER_BYTES as u64;
        let mut walked = ScanResult { end: at.min(len), ..ScanResult::default() };
        let mut damaged: Vec<(PlacedRecord, Vec<u8>)> = Vec::new();
        let mut gap = 0;
        while at < len {
            let Some((placed, head)) = self.record(at, len, marker)? else {
                let next = find(self.file, at + 1, len, marker)?.unwrap_or(len);
                gap += next - at;
                at = next;
                continue;
            };
            at += head.len() as u64 + u64::from(placed.header.payload_len);
            if !placed.whole {
                damaged.push((placed, head));
                continue;
            }
            for (placed, head) in damaged.drain(..) {
                visit(&placed, &head)?;
            }
            visit(&placed, &head)?;
            walked.end = at;
            walked.skipped += std::mem::take(&mut gap);
        }
        walked.torn = len - walked.end;
        Ok(walked)
    }

    /// The record at this offset, if its header is one and the file does not end before its payload does.
    fn record(&self, at: u64, len: u64, marker: &SegmentMarker) -> io::Result<Option<(PlacedRecord, Vec<u8>)>> {
        let mut head = vec![0; RECORD_HEAD_BYTES_MAX];
        let read = self.file.read_at(&mut head, at)?;
        let Ok((header, head_len)) = RecordHeader::decode(&head[..read], marker) else { return Ok(None) };
        head.truncate(head_len);
        let payload_at = at + head_len as u64;
        if payload_at + u64::from(header.payload_len) > len {
            return Ok(None);
        }
        let whole =
            at < self.check_from || header.fits(&read_range(self.file, payload_at, u64::from(header.payload_len))?);
        Ok(Some((self.placed(at, header, head_len, whole), head)))
    }

    fn placed(&self, offset: u64, header: RecordHeader, head_len: usize, whole: bool) -> PlacedRecord {
        let head_len = u16::try_from(head_len).expect("a header is at most RECORD_HEAD_BYTES_MAX long");
        PlacedRecord { segment: self.number, offset, head_len, header, whole }
    }
}

/// The next place at or after `from` where the marker stands.
pub(crate) fn find(file: &dyn FileHandle, mut from: u64, len: u64, marker: &SegmentMarker) -> io::Result<Option<u64>> {
    let mut window = vec![0; WINDOW_BYTES];
    while from + marker.len() as u64 <= len {
        let read = file.read_at(&mut window, from)?;
        if let Some(at) = window[..read].windows(marker.len()).position(|bytes| bytes == marker) {
            return Ok(Some(from + at as u64));
        }
        // The marker may lie across the border of two windows.
        match read.checked_sub(marker.len() - 1) {
            None | Some(0) => break,
            Some(step) => from += step as u64,
        }
    }
    Ok(None)
}
