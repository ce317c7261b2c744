//! Fuzzers for every decoder of fsdfs: what a stranger, a lying member, a damaged disk or a clumsy user may hand it.
//!
//! Each target is a plain function over bytes. libFuzzer calls it through `fuzz_targets/`, the binary `replay` calls it on
//! the stable toolchain without a sanitizer. See `README.md`.
//!
//! Checksums, seals and pasted text's armour keep random bytes away from the decoder behind them, but not whoever can
//! compute them. So each target also hands on its input with those made to fit.

mod control;
mod disk;
mod gate;
mod identity;
mod message;
mod sealed;
pub mod seeds;
mod volume;

#[cfg(feature = "node")]
mod config;

#[cfg(feature = "node")]
pub use config::config;
pub use control::control;
pub use disk::{log, segment};
pub use gate::gate;
pub use identity::{facts, strings};
pub use message::message;
pub use volume::volume;

/// A decoder under test.
pub type Decoder = fn(&[u8]);

/// The targets by name.
pub const TARGETS: &[(&str, Decoder)] = &[
    ("gate", gate),
    ("message", message),
    ("facts", facts),
    ("strings", strings),
    ("segment", segment),
    ("log", log),
    ("volume", volume),
    ("control", control),
    #[cfg(feature = "node")]
    ("config", config),
];

/// Bytes that decoding may allocate for each byte of input, all allocations added up.
///
/// A target decodes its input in several ways (as up to fourteen types, as it is and with its checksums repaired), and
/// the smallest item in MessagePack takes one byte where a decoded one takes some tens. What this bound is for is the
/// other order of magnitude: an announced length that reserves memory.
pub const BYTES_PER_BYTE_MAX: u64 = 64;
/// And this much whatever the input: error texts, the first growth of empty lists.
pub const BYTES_MIN: u64 = 64 << 10;

/// Decodes and holds what that allocates against the bound; returns it.
pub fn measured(decode: Decoder, input: &[u8]) -> u64 {
    let allocated = allocation_counter::measure(|| decode(input)).bytes_total;
    let most = BYTES_MIN + BYTES_PER_BYTE_MAX * input.len() as u64;
    assert!(allocated <= most, "{allocated} bytes were allocated for {} bytes of input", input.len());
    allocated
}
