//! How fast a disk is compacted: beside what its users do, and as fast as it goes while they do nothing.

use std::time::Duration;

/// Bytes copied in one go while no user waits for anything.
const SLICE_BYTES: u64 = 8 << 20;
/// The same while users move bytes: a block that comes meanwhile waits for no more than this to be written.
const SLICE_BYTES_BUSY: u64 = 1 << 20;
/// Users are busy if they moved a block a shorter time ago.
const BUSY: Duration = Duration::from_secs(1);

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// At most, or one record.
    pub bytes: u64,
    /// So many times as long as it took nothing is done after it.
    pub rest: u32,
}

/// The next slice. Users moved something last so long ago; `is_low`: there is little room, and what they wait for is most likely that.
pub(super) fn next(idle_for: Duration, is_low: bool) -> Slice {
    match (idle_for < BUSY, is_low) {
        // A fifth of the writer's time at most.
        (true, false) => Slice { bytes: SLICE_BYTES_BUSY, rest: 4 },
        (true, true) => Slice { bytes: SLICE_BYTES, rest: 1 },
        (false, _) => Slice { bytes: SLICE_BYTES, rest: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_go_first_unless_they_wait_for_room() {
        let (busy, idle) = (Duration::ZERO, Duration::from_secs(5));
        let slice = |bytes, rest| Slice { bytes, rest };
        assert_eq!(next(busy, false), slice(1 << 20, 4));
        assert_eq!(next(busy, true), slice(8 << 20, 1));
        assert_eq!([next(idle, false), next(idle, true)], [slice(8 << 20, 0); 2]);
    }
}
