//! The segment that is appended to.

mod marker;
pub(super) mod scan;

use std::io;
use std::path::Path;
use std::sync::Arc;

use fsdfs_proto::ids::DiskId;
use fsdfs_proto::record::{SEGMENT_HEADER_BYTES, SegmentFooter, SegmentHeader, SegmentMarker};

use crate::store::fs::{FileHandle, FileSystem};

/// Name of a segment's file: sixteen hexadecimal digits, so that names sort as numbers do.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:016x}.seg")
}

/// The number in a segment's name; `None` for what is no segment.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok().filter(|number| file_name(*number) == name)
}

/// A random marker.
pub(crate) fn marker() -> io::Result<SegmentMarker> {
    let mut marker = SegmentMarker::default();
    getrandom::fill(&mut marker).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(marker)
}

/// An open segment. Everything before `end` is durable and acknowledged; `end` moves only after a sync.
pub(crate) struct ActiveSegment {
    pub number: u64,
    pub file: Arc<dyn FileHandle>,
    pub marker: SegmentMarker,
    pub end: u64,
    pub footer: SegmentFooter,
    /// Its name in the folder is durable.
    pub named: bool,
}

impl ActiveSegment {
    /// A new segment. Its header is durable with the first records.
    pub fn create(file_system: &dyn FileSystem, dir: &Path, disk: DiskId, number: u64) -> io::Result<Self> {
        let marker = marker()?;
        let path = dir.join(file_name(number));
        let file = file_system.create(&path)?;
        if let Err(error) = file.write_at(&[&SegmentHeader { disk, number, marker }.encode()], 0) {
            // An empty segment harms nobody, but a full disk would gather them.
            let _ = file_system.remove(&path);
            return Err(error);
        }
        Ok(Self {
            number,
            file,
            marker,
            end: SEGMENT_HEADER_BYTES as u64,
            footer: SegmentFooter::default(),
            named: false,
        })
    }

    /// Where the footer stands when it is written; the segment is sealed then and never written to again.
    pub fn seal(self) -> io::Result<u64> {
        let footer = self.footer.encode(self.end, &self.marker);
        if let Err(error) = self.file.write_at(&[&footer], self.end).and_then(|()| self.file.sync_data()) {
            // Half a footer is skipped by the next scan as well; without it the scan is shorter.
            let _ = self.file.truncate(self.end);
            return Err(error);
        }
        Ok(footer.len() as u64)
    }
}
