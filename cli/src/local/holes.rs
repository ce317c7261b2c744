//! Holes of sparse files: stretches for which the file system keeps no blocks, because they are zeros.

use std::fs::File;
use std::ops::Range;

use fsdfs_proto::control::{HOLE_BYTES, HOLES_MAX};
use rustix::fs::{SeekFrom, seek};

/// Holes that need not be read, in order: whole stretches of [`HOLE_BYTES`], and the longest if there are too many of them. None
/// where the file system knows of none.
pub fn of(file: &File, size: u64) -> Vec<Range<u64>> {
    let mut holes = Vec::new();
    let mut at = 0;
    while at < size {
        let Ok(start) = seek(file, SeekFrom::Hole(at)) else { break };
        // Behind the last byte of data there is no other one.
        let end = seek(file, SeekFrom::Data(start)).unwrap_or(size).min(size);
        if start >= end {
            break;
        }
        holes.extend(whole(start..end));
        at = end;
    }
    longest(holes, HOLES_MAX)
}

fn whole(hole: Range<u64>) -> Option<Range<u64>> {
    let whole = hole.start.checked_next_multiple_of(HOLE_BYTES)?..hole.end / HOLE_BYTES * HOLE_BYTES;
    (whole.start < whole.end).then_some(whole)
}

fn longest(mut holes: Vec<Range<u64>>, max: usize) -> Vec<Range<u64>> {
    if holes.len() > max {
        holes.sort_by_key(|hole| std::cmp::Reverse(hole.end - hole.start));
        holes.truncate(max);
        holes.sort_by_key(|hole| hole.start);
    }
    holes
}

/// What lies between holes; of those that are shorter than `min` nothing is made.
pub fn data_between(holes: impl IntoIterator<Item = Range<u64>>, size: u64, min: u64) -> Vec<Range<u64>> {
    let (mut data, mut at) = (Vec::new(), 0);
    for hole in holes.into_iter().filter(|hole| hole.end - hole.start >= min) {
        if at < hole.start {
            data.push(at..hole.start);
        }
        at = hole.end;
    }
    if at < size {
        data.push(at..size);
    }
    data
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one hole")]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn holes_are_found_where_the_file_system_has_some() {
        let file = tempfile::tempfile().expect("temp");
        file.set_len(1 << 40).expect("long");
        file.write_all_at(&[7; 10], 5 * MIB + 9).expect("written");
        file.write_all_at(&[7; 10], (1 << 40) - 10).expect("written");
        let holes = of(&file, 1 << 40);
        if holes.is_empty() {
            println!("skipped: this file system has no holes");
            return;
        }
        assert_eq!(holes, [0..5 * MIB, 6 * MIB..(1 << 40) - MIB]);
        file.set_len((1 << 41) + 5).expect("longer");
        assert_eq!(of(&file, (1 << 41) + 5).last(), Some(&((1 << 40)..1 << 41)), "also behind the last data");
        let full = tempfile::tempfile().expect("temp");
        full.write_all_at(&vec![0; 3 << 20], 0).expect("written");
        assert_eq!(of(&full, 3 << 20), [], "zeros that were written are data");
        assert_eq!(of(&tempfile::tempfile().expect("temp"), 0), []);
    }

    #[test]
    fn the_longest_stay_and_stay_in_order() {
        assert_eq!(longest(vec![0..1, 5..9, 20..22], 2), [5..9, 20..22]);
        assert_eq!(whole(5..3 * MIB + 1), Some(MIB..3 * MIB));
        assert_eq!(whole(5..2 * MIB - 1), None);
    }

    #[test]
    fn short_holes_are_not_worth_a_request() {
        let data = |holes: &[Range<u64>]| data_between(holes.to_vec(), 100, 10);
        assert_eq!(data(&[]), [0..100]);
        assert_eq!(data(&[0..20, 30..35, 50..100]), [20..50]);
        assert_eq!(data(&[0..100]), []);
        assert_eq!(data(&[10..20]), [0..10, 20..100]);
    }
}
