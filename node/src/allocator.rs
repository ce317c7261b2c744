//! What the C library does with memory that was freed.
//!
//! Buffers of a megabyte are taken and freed hundreds of times a second, by several threads. glibc gives each back to the kernel
//! at once and then takes another, page by page, zeroed: with that, a third of the processor time of a get from an own copy
//! went into page faults. So it is told to keep some, and to give them all back when nothing moves. (A pool of buffers of our own
//! would have to be handed through every layer that seals, opens, reads or receives; mimalloc and jemalloc kept twice as much memory,
//! or faulted as often.) Other C libraries are left as they are.

use std::time::Duration;

/// Freed memory is given back when nothing moved for this time.
const REST: Duration = Duration::from_secs(3);

/// For a process that will move blocks, before it starts threads.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::keep_freed();
}

/// Gives freed memory back whenever nothing moves; `moved` counts what does. Never ends.
pub(crate) async fn give_back_at_rest(moved: impl Fn() -> u64) {
    let (mut before, mut kept) = (moved(), true);
    loop {
        tokio::time::sleep(REST).await;
        let now = moved();
        if now != before {
            (before, kept) = (now, true);
        } else if std::mem::take(&mut kept) {
            #[cfg(all(target_os = "linux", target_env = "gnu"))]
            drop(tokio::task::spawn_blocking(glibc::give_back).await);
        }
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
