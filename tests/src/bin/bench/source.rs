//! Content that costs next to nothing to make and to compare: one piece of random bytes, each time with another beginning.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures::Stream;

/// A piece; a chunk of a file is as long, so no two blocks are equal.
pub const PIECE: usize = 1 << 20;

/// Some content, a function of its seed.
#[derive(Clone, Debug)]
pub struct DataSource {
    seed: u64,
    base: Bytes,
}

impl DataSource {
    pub fn new(seed: u64) -> Self {
        let mut base = vec![0; PIECE];
        fastrand::Rng::with_seed(seed).fill(&mut base);
        Self { seed, base: base.into() }
    }

    /// Another content, at no cost.
    pub fn variant(&self, number: u64) -> Self {
        Self { seed: self.seed ^ number, base: self.base.clone() }
    }

    /// A piece by its number.
    pub fn piece(&self, number: u64) -> Vec<u8> {
        self.part(number, 0..PIECE)
    }

    fn part(&self, number: u64, range: Range<usize>) -> Vec<u8> {
        let mut part = self.base[range.clone()].to_vec();
        for (place, byte) in self.head(number).into_iter().enumerate().filter(|(place, _)| range.contains(place)) {
            part[place - range.start] = byte;
        }
        part
    }

    /// How a piece begins: unlike every other one.
    fn head(&self, number: u64) -> Vec<u8> {
        [self.seed.to_be_bytes(), number.to_be_bytes()].concat()
    }

    /// The first `bytes` of it.
    pub fn stream(&self, bytes: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let source = self.clone();
        futures::stream::iter(pieces(0..bytes).map(move |(number, range)| Ok(source.part(number, range).into())))
    }

    /// Whether these are its bytes from `offset` on.
    pub fn is_at(&self, offset: u64, mut bytes: &[u8]) -> bool {
        pieces(offset..offset + bytes.len() as u64).all(|(number, range)| {
            let (part, rest) = bytes.split_at(range.len());
            bytes = rest;
            let head = self.head(number);
            let (begin, end) = (range.start.min(head.len()), range.end.min(head.len()));
            part[..end - begin] == head[begin..end]
                && part[end - begin..] == self.base[range.start + end - begin..range.end]
        })
    }
}

/// Numbers of the pieces of a range, and the part of each.
fn pieces(range: Range<u64>) -> impl Iterator<Item = (u64, Range<usize>)> {
    let piece = PIECE as u64;
    (range.start / piece..range.end.div_ceil(piece)).map(move |number| {
        let at = |offset: u64| usize::try_from(offset.clamp(number * piece, (number + 1) * piece) - number * piece);
        (number, at(range.start).unwrap_or(PIECE)..at(range.end).unwrap_or(PIECE))
    })
}
