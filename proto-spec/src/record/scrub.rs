//! How far a disk was read to find damage.

use serde::{Deserialize, Serialize};

use crate::codec::{self, CanonicalCodec, FormatError, ascending, bound};

/// Begins the file.
const MAGIC: &[u8; 8] = b"fsdfsscr";
/// Bytes of the file at most.
pub const SCRUB_BYTES_MAX: u64 = 32 << 20;

/// Where the reading goes on, and when what each segment holds was last known to be right. Disposable: without it all is read again,
/// and nothing is known to have been right. All times are wall milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubBook {
    /// When the round began; 0 = none did.
    pub begun: u64,
    /// When the last whole round ended; 0 = none did.
    pub ended: u64,
    /// Segments below this number are done in this round.
    pub next: u64,
    /// Copies found damaged in this round.
    pub bad: u64,
    /// And in the last whole one.
    pub bad_before: u64,
    /// Segments, ascending: each of their current records was written, or read with its hash checked, at that time or later.
    pub verified: Vec<(u64, u64)>,
}

impl ScrubBook {
    /// The file: `magic8 crc32(payload) payload`.
    pub fn encode(&self) -> Vec<u8> {
        let payload = codec::encode(self);
        [&MAGIC[..], &crc32fast::hash(&payload).to_be_bytes(), &payload].concat()
    }

    /// Reads it.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let Some((head, payload)) = bytes.split_at_checked(12) else {
            return bound(false, "the book of a scrub").map(|()| Self::default());
        };
        let is_whole = head[..8] == MAGIC[..] && head[8..] == crc32fast::hash(payload).to_be_bytes();
        bound(is_whole, "the book of a scrub")?;
        codec::decode(payload)
    }
}

impl CanonicalCodec for ScrubBook {
    fn check(&self) -> Result<(), FormatError> {
        ascending(&self.verified, |(segment, _)| *segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_flipped_bit_is_noticed() {
        let book = ScrubBook { begun: 5, ended: 4, next: 3, bad: 2, bad_before: 1, verified: vec![(1, 5), (7, 6)] };
        let bytes = book.encode();
        assert_eq!(ScrubBook::decode(&bytes), Ok(book));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(ScrubBook::decode(&bad).is_err(), "at {at}");
            assert!(ScrubBook::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
