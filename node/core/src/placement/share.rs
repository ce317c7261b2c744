//! How many replicas each server should get: filling up in proportion to weight, one replica at most (spec 03-placement §2).

use super::math::ONE;

/// What one item may get, in units of 1/[`ONE`] replicas.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShareBounds {
    pub weight: u64,
    pub least: u64,
    pub most: u64,
}

impl ShareBounds {
    /// Nothing up to one replica.
    pub fn up_to_one(weight: u64) -> Self {
        Self { weight, least: 0, most: ONE }
    }

    fn at(self, level: u64) -> u64 {
        proportion(level, self.weight, self.most).max(self.least).min(self.most)
    }
}

/// `fill`: hands `copies` replicas to items in proportion to their weights, within their bounds.
pub(super) fn fill(items: &[ShareBounds], copies: u64) -> Vec<u64> {
    if items.iter().map(|item| item.most).sum::<u64>() <= copies * ONE {
        return items.iter().map(|item| item.most).collect();
    }
    rise(copies, items.len(), |i, level| items[i].at(level))
}

/// `sitefill`: for fewer sites than copies. A site gets one replica at least and counts with what its servers can take.
pub(super) fn sitefill(sites: &[Vec<u64>], copies: u64) -> Vec<u64> {
    let servers: usize = sites.iter().map(Vec::len).sum();
    if servers as u64 <= copies {
        return sites.iter().map(|site| site.len() as u64 * ONE).collect();
    }
    rise(copies, sites.len(), |i, level| {
        let able: u64 = sites[i].iter().map(|weight| proportion(level, *weight, ONE)).sum();
        able.max(ONE)
    })
}

/// The targets at the highest water level whose sum is within `copies` replicas. `target(item, level)` never falls as the level rises.
fn rise(copies: u64, items: usize, target: impl Fn(usize, u64) -> u64) -> Vec<u64> {
    let (mut level, mut over) = (0u64, 1u64 << 60);
    while over - level > 1 {
        let middle = level.midpoint(over);
        let sum: u64 = (0..items).map(|i| target(i, middle)).sum();
        if sum <= copies * ONE { level = middle } else { over = middle }
    }
    (0..items).map(|i| target(i, level)).collect()
}

/// `(level * weight) >> 32`, cut to `most`.
fn proportion(level: u64, weight: u64, most: u64) -> u64 {
    let share = (u128::from(level) * u128::from(weight)) >> 32;
    u64::try_from(share).map_or(most, |share| share.min(most))
}
