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
mod packets;
mod sealed;
pub mod seeds;
mod volume;

#[cfg(feature = "node")]
mod config;
#[cfg(feature = "node")]
mod portmap;

#[cfg(feature = "node")]
pub use config::config;
pub use control::control;
pub use disk::{log, segment};
pub use gate::gate;
pub use identity::{facts, strings};
pub use message::message;
pub use packets::packets;
#[cfg(feature = "node")]
pub use portmap::portmap;
pub use volume::volume;

/// A decoder under test.
pub type Decoder = fn(&[u8]);

/// The targets by name, and how many bytes each may allocate for a byte of input.
pub const TARGETS: &[(&str, Decoder, u64)] = &[
    ("gate", gate, BYTES_PER_BYTE),
    ("message", message, BYTES_PER_BYTE),
    ("packets", packets, BYTES_PER_BYTE),
    ("facts", facts, BYTES_PER_BYTE),
    ("strings", strings, BYTES_PER_BYTE),
    ("segment", segment, BYTES_PER_BYTE),
    ("log", log, BYTES_PER_BYTE),
    ("volume", volume, BYTES_PER_BYTE),
    ("control", control, BYTES_PER_BYTE),
    #[cfg(feature = "node")]
    ("config", config, CONFIG_BYTES_PER_BYTE),
    #[cfg(feature = "node")]
    ("portmap", portmap, BYTES_PER_BYTE),
];

/// Bytes that decoding may allocate for each byte of input, all allocations added up.
///
/// A target decodes its input in several ways (as up to fourteen types, as it is and with its checksums repaired), and
/// the smallest item in MessagePack takes one byte where a decoded one takes some tens. What this bound is for is the
/// other order of magnitude: an announced length that reserves memory.
pub const BYTES_PER_BYTE: u64 = 64;
/// The TOML parser collects all errors, with a text each: 270 bytes for every dot too many, and up to 100 KiB for a hundred of them.
/// The file is its owner's; that it stays in proportion is what counts.
pub const CONFIG_BYTES_PER_BYTE: u64 = 1024;
/// And this much whatever the input: error texts, the first growth of empty lists.
const BYTES_MIN: u64 = 64 << 10;

/// Decodes and holds what that allocates against the bound; returns the part of the bound that was used.
pub fn measured(decode: Decoder, bytes_per_byte: u64, input: &[u8]) -> f64 {
    let allocated = allocation_counter::measure(|| decode(input)).bytes_total;
    let most = BYTES_MIN + bytes_per_byte * input.len() as u64;
    assert!(allocated <= most, "{allocated} bytes were allocated for {} bytes of input", input.len());
    allocated as f64 / most as f64
}
