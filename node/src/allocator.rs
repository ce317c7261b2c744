//! What the C library does with memory that was freed.
//!
//! Buffers of a megabyte are taken and freed hundreds of times a second, by several threads. glibc gives each back to the kernel
//! at once and then takes another, page by page, zeroed: with that, a third of the processor time of a get from an own copy
//! went into page faults. So it is told to keep some, and to give them all back when nothing moves. (A pool of buffers of our own
//! would have to be handed through every layer that seals, opens, reads or receives; mimalloc and jemalloc kept twice as much memory,
//! or faulted as often.) Other C libraries are left as they are.
//!
//! Not only blocks take memory: strangers at the gate, facts and questions do as well, and what they leave would stay for ever
//! on a node that moves no block. So it is given back by the clock, too.

use std::time::Duration;

/// How often it is looked; freed memory is given back when nothing moved for this time.
const REST: Duration = Duration::from_secs(3);
/// And after so many looks in any case: twice a minute. It takes a millisecond or two, and some more to take the kept part again.
const LOOKS_MAX: u32 = 10;

/// For a process that will move blocks, before it starts threads.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::keep_freed();
}

/// Gives freed memory back whenever nothing moves, and twice a minute; `moved` counts what does. Never ends.
pub(crate) async fn give_back(moved: impl Fn() -> u64) {
    let mut watch = RestWatch::new(moved());
    loop {
        tokio::time::sleep(REST).await;
        if watch.is_due(moved()) {
            #[cfg(all(target_os = "linux", target_env = "gnu"))]
            drop(tokio::task::spawn_blocking(glibc::give_back).await);
        }
    }
}

/// When memory is given back.
struct RestWatch {
    /// What had moved at the last look.
    moved: u64,
    /// Something moved since it was given back.
    kept: bool,
    /// Looks since it was.
    looks: u32,
}

impl RestWatch {
    fn new(moved: u64) -> Self {
        Self { moved, kept: true, looks: 0 }
    }

    /// One look: whether memory is to be given back now.
    fn is_due(&mut self, moved: u64) -> bool {
        let at_rest = std::mem::replace(&mut self.moved, moved) == moved;
        self.kept |= !at_rest;
        self.looks += 1;
        let due = (at_rest && self.kept) || self.looks >= LOOKS_MAX;
        if due {
            (self.kept, self.looks) = (false, 0);
        }
        due
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "mallopt and malloc_trim have no safe wrapper in a library that is kept well")]
mod glibc {
    use std::ffi::c_int;

    /// Larger than any block. What is larger comes from the kernel and goes back to it, as by default.
    const OWN_MAPPING_BYTES: c_int = 4 << 20;
    /// Freed memory that all arenas keep together at their ends.
    const KEPT_BYTES: c_int = 32 << 20;
    /// Threads share arenas, so that they use each other's freed memory. By default there are eight for each processor.
    const ARENAS_MAX: c_int = 4;

    pub fn keep_freed() {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let arenas = c_int::try_from(processors).unwrap_or(ARENAS_MAX).min(ARENAS_MAX);
        let choices = [
            (libc::M_MMAP_THRESHOLD, OWN_MAPPING_BYTES),
            (libc::M_TRIM_THRESHOLD, KEPT_BYTES / arenas),
            (libc::M_ARENA_MAX, arenas),
        ];
        for (option, value) in choices {
            // SAFETY: takes two integers, keeps no pointer, may be called at any time; refusing one changes nothing.
            unsafe { libc::mallopt(option, value) };
        }
    }

    pub fn give_back() {
        // SAFETY: takes an integer; touches only memory that is free, under the allocator's own locks.
        unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which looks memory is given back.
    fn given_back(moved: impl Fn(u32) -> u64, looks: u32) -> Vec<u32> {
        let mut watch = RestWatch::new(0);
        (1..=looks).filter(|look| watch.is_due(moved(*look))).collect()
    }

    #[test]
    fn a_node_that_moves_no_block_gives_back_every_minute_what_strangers_left() {
        assert_eq!(given_back(|_| 0, 31), [1, 1 + LOOKS_MAX, 1 + 2 * LOOKS_MAX, 1 + 3 * LOOKS_MAX]);
    }

    #[test]
    fn a_node_that_never_rests_does_so_once_a_minute() {
        assert_eq!(given_back(u64::from, 30), [LOOKS_MAX, 2 * LOOKS_MAX, 3 * LOOKS_MAX]);
    }

    #[test]
    fn what_was_moved_is_given_back_at_the_first_rest() {
        assert_eq!(given_back(|look| u64::from(look.min(5)), 15), [6]);
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn giving_back_touches_nothing_that_is_in_use() {
        let kept: Vec<Vec<u8>> = (0..1_000_u32).map(|number| number.to_be_bytes().repeat(256)).collect();
        drop((0..1_000).map(|_| vec![1_u8; 1024]).collect::<Vec<_>>());
        glibc::give_back();
        assert!(kept.iter().zip(0_u32..).all(|(bytes, number)| *bytes == number.to_be_bytes().repeat(256)));
    }
}
