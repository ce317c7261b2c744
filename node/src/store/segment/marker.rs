//! The marker of a segment whose header and first record are damaged, found from the records behind them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;

use fsdfs_proto::record::{
    RECORD_HEAD_BYTES_MAX, RECORD_HEADER_BYTES, RECORD_PAYLOAD_BYTES_MAX, REDUNDANCIES_BYTES_MAX, RecordHeader,
    SEGMENT_HEADER_BYTES, SegmentMarker,
};

use crate::store::fs::{FileHandle, read_range};

/// Bytes looked through at once.
pub(super) const WINDOW_BYTES: usize = 256 * 1024;
/// Bytes of a head that [`may_be_head`] looks at.
const HEAD_BEGIN_BYTES: usize = 20;
/// Distance of the places up to which [`PrefixChecksums`] knows a file's checksum; greater in a file that would need too many.
const SUM_STEP_BYTES: u64 = 4096;
/// Such places at most.
const SUMS_MAX: u64 = 65_536;
/// Markers weighed at once at most.
const MARKERS_MAX: usize = 65_536;

// Its first byte is zero: see `may_be_head`.
const _: () = assert!(RECORD_PAYLOAD_BYTES_MAX < 1 << 24);

/// The marker that begins the most bytes of whole records.
///
/// Nothing tells a record's marker from one that a stranger planted in the bytes of a block, so they are weighed. What
/// is planted in a block whose record is whole is passed over with it. Where the record is damaged it counts, but at
/// most what that block weighs, against all records around it. A planted head cannot swallow those: its payload would
/// have to end in bytes whose checksum the stranger cannot know, because their marker is in them. The trailer of a
/// sealed segment is not asked: the end of an unsealed one is some block's payload.
///
/// Costs: the file is read once for [`PrefixChecksums`] and about once more for heads and the places between whole records. Such
/// a place costs the few comparisons of [`may_be_head`], which one in 10^11 places of random bytes passes, and at most
/// every second one of chosen bytes. One that passes costs a checksum over [`RECORD_HEAD_BYTES_MAX`] at most, one that
/// is a whole head two reads of less than [`SUM_STEP_BYTES`] in addition, whatever payload it claims.
pub(super) fn heaviest_marker(file: &dyn FileHandle, len: u64) -> io::Result<Option<SegmentMarker>> {
    let sums = PrefixChecksums::new(file, len)?;
    let mut window = FileWindow { file, begin: 0, bytes: Vec::new() };
    let mut weights = MarkerWeights::default();
    let mut from = SEGMENT_HEADER_BYTES as u64;
    while let Some((at, marker, header, head_len)) = next_head(&mut window, from)? {
        let payload_at = at + head_len as u64;
        let end = payload_at + u64::from(header.payload_len);
        if end <= len && sums.between(payload_at, end)? == header.payload_crc {
            weights.add(marker, at, end - at);
            from = end;
        } else {
            from = at + 1;
        }
    }
    Ok(weights.heaviest())
}

/// The next place at or after `from` where a whole head with any marker begins, and how long it is.
fn next_head(
    window: &mut FileWindow<'_>,
    mut from: u64,
) -> io::Result<Option<(u64, SegmentMarker, RecordHeader, usize)>> {
    loop {
        let bytes = window.show(from)?;
        if bytes.len() < RECORD_HEADER_BYTES {
            return Ok(None);
        }
        let Some(skip) = bytes.windows(HEAD_BEGIN_BYTES).position(may_be_head) else {
            from += (bytes.len() - (HEAD_BEGIN_BYTES - 1)) as u64;
            continue;
        };
        from += skip as u64;
        let bytes = window.show(from)?;
        if let Some(marker) = bytes.first_chunk::<8>()
            && let Ok((header, head_len)) = RecordHeader::decode(bytes, marker)
        {
            return Ok(Some((from, *marker, header, head_len)));
        }
        from += 1;
    }
}

/// Whether a head may begin with these bytes. Cheap, and never refuses one that [`RecordHeader::decode`] accepts: the
/// version is 1, the two bytes behind the lengths are zero, and the lengths have bounds.
fn may_be_head(begin: &[u8]) -> bool {
    begin[8] == 1 && begin[18..20] == [0; 2] && begin[12] == 0 && usize::from(begin[16]) <= REDUNDANCIES_BYTES_MAX >> 8
}

/// A piece of a file that moves along it, so that neighbouring places share a read.
struct FileWindow<'a> {
    file: &'a dyn FileHandle,
    begin: u64,
    bytes: Vec<u8>,
}

impl FileWindow<'_> {
    /// What stands from here on: enough for any head, or all up to the end of the file.
    fn show(&mut self, from: u64) -> io::Result<&[u8]> {
        let end = self.begin + self.bytes.len() as u64;
        if from < self.begin || from + RECORD_HEAD_BYTES_MAX as u64 > end {
            self.bytes.resize(WINDOW_BYTES, 0);
            let read = self.file.read_at(&mut self.bytes, from)?;
            self.bytes.truncate(read);
            self.begin = from;
        }
        let skip = usize::try_from(from - self.begin).expect("a place in the window");
        Ok(&self.bytes[skip..])
    }
}

/// Checksums of a file up to places in equal distances, from which that of any part follows. Reading the payload of
/// each head instead would let a stranger cause 2 MiB of work with each of the thousands of heads in one block.
struct PrefixChecksums<'a> {
    file: &'a dyn FileHandle,
    step: u64,
    sums: Vec<u32>,
}

impl<'a> PrefixChecksums<'a> {
    fn new(file: &'a dyn FileHandle, len: u64) -> io::Result<Self> {
        let step = SUM_STEP_BYTES.max(len.div_ceil(SUMS_MAX));
        let mut sum = crc32fast::Hasher::new();
        let mut sums = vec![0];
        for number in 0..len / step {
            sum.update(&read_range(file, number * step, step)?);
            sums.push(sum.clone().finalize());
        }
        Ok(Self { file, step, sums })
    }

    /// Of the bytes before this place.
    fn up_to(&self, place: u64) -> io::Result<u32> {
        let number = place / self.step;
        let known = self.sums[usize::try_from(number).expect("at most SUMS_MAX")];
        let mut sum = crc32fast::Hasher::new_with_initial(known);
        sum.update(&read_range(self.file, number * self.step, place % self.step)?);
        Ok(sum.finalize())
    }

    /// Of the bytes between two places. The sum up to the second is that up to the first, moved on by as many bytes as
    /// lie between them, xor theirs.
    fn between(&self, from: u64, to: u64) -> io::Result<u32> {
        let mut moved = crc32fast::Hasher::new_with_initial(self.up_to(from)?);
        moved.combine(&crc32fast::Hasher::new_with_initial_len(0, to - from));
        Ok(moved.finalize() ^ self.up_to(to)?)
    }
}

/// Bytes of whole records by the marker that begins them, and where the first of them lies.
#[derive(Default)]
struct MarkerWeights(BTreeMap<SegmentMarker, (u64, Reverse<u64>)>);

impl MarkerWeights {
    /// If there are too many markers, the lighter half is forgotten: memory is bounded. As many weigh at least as much
    /// as each of those, so none of them had more than 8 KiB of the 256 MiB of a segment: no flood of planted markers
    /// washes the segment's own away.
    fn add(&mut self, marker: SegmentMarker, at: u64, bytes: u64) {
        self.0.entry(marker).or_insert((0, Reverse(at))).0 += bytes;
        if self.0.len() > MARKERS_MAX {
            let mut weights: Vec<u64> = self.0.values().map(|(weight, _)| *weight).collect();
            let (_, median, _) = weights.select_nth_unstable(MARKERS_MAX / 2);
            self.0.retain(|_, (weight, _)| *weight > *median);
        }
    }

    /// Of two that are equal the one that begins first.
    fn heaviest(&self) -> Option<SegmentMarker> {
        self.0.iter().max_by_key(|(_, weight)| **weight).map(|(marker, _)| *marker)
    }
}
