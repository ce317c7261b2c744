//! What a pool can hold (spec 03-placement §6), from the same targets that place its blocks.

use fsdfs_proto::ids::NodeId;

use super::math::{ONE, scale};
use super::sites::{LiveServer, LiveSites};
use super::targets::CopyTargets;

/// One replica of every block, in the unit of [`ServerLoad::expected`].
pub const CERTAIN: u128 = 1 << 84;

/// What a pool of these servers holds at N copies; in units of weight or in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapCapacity {
    /// So much unique data fits.
    pub usable: u64,
    /// N - N'.
    pub copies_short: u8,
    /// Sites fewer than copies.
    pub sites_short: u8,
    /// What of each server can never be used, in id order, only those above zero.
    pub stranded: Vec<(NodeId, u64)>,
    /// Servers larger than the others can match.
    pub too_large: Vec<NodeId>,
}

/// What a server is to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLoad {
    /// Which server.
    pub node: NodeId,
    /// The sum of its disks.
    pub weight: u64,
    /// Replicas of a block that it gets on average, in units of 1/[`CERTAIN`]: from 0 to 1.
    pub expected: u128,
}

impl MapCapacity {
    /// In parts of a unit of weight, `unit` to each.
    pub(super) fn new(sites: &LiveSites, targets: &CopyTargets, copies: u8, unit: u64) -> Self {
        let loads = loads(sites, targets);
        let usable = loads.iter().filter_map(|load| load.usable(unit)).min().unwrap_or(0);
        let short = |target: usize, there: usize| u8::try_from(target.saturating_sub(there)).unwrap_or(u8::MAX);
        Self {
            usable,
            copies_short: short(copies.into(), targets.copies),
            sites_short: short(targets.copies, sites.sites.len()),
            stranded: loads
                .iter()
                .map(|load| (load.node, load.weight.saturating_mul(unit).saturating_sub(load.used(usable))))
                .filter(|(_, stranded)| *stranded > 0)
                .collect(),
            too_large: loads
                .iter()
                .filter(|load| load.expected == CERTAIN && load.weight.saturating_mul(unit) > usable)
                .map(|load| load.node)
                .collect(),
        }
    }
}

impl ServerLoad {
    /// `weight * unit * CERTAIN / expected`, rounded down: so much different data fits until this server is full.
    fn usable(&self, unit: u64) -> Option<u64> {
        let weight = u128::from(self.weight) * CERTAIN;
        let (units, rest) = (weight.checked_div(self.expected)?, weight % self.expected);
        let part = rest.checked_mul(unit.into()).map_or(0, |rest| rest / self.expected);
        let usable = units.checked_mul(unit.into()).and_then(|usable| usable.checked_add(part));
        Some(usable.and_then(|usable| u64::try_from(usable).ok()).unwrap_or(u64::MAX))
    }

    /// `usable * expected / CERTAIN`, rounded up: so much of this server is in use when the pool holds `usable` of different data.
    fn used(&self, usable: u64) -> u64 {
        // Half the bits of `expected` at a time: the product has up to 148.
        const HALF: u128 = 1 << 42;
        let usable = u128::from(usable);
        let low = (usable * (self.expected % HALF)).div_ceil(HALF);
        let used = (usable * (self.expected / HALF) + low).div_ceil(HALF);
        u64::try_from(used).unwrap_or(u64::MAX)
    }
}

/// How much different data servers with so much room each can still take, in `copies` copies on different servers. A full
/// server's place is taken by the next in the order, so the shares of placement do not matter, only that no server holds
/// two copies of one block.
pub fn room_left(rooms: impl IntoIterator<Item = u64>, copies: u8) -> u64 {
    let mut rooms: Vec<u64> = rooms.into_iter().collect();
    rooms.sort_unstable();
    let mut sum: u128 = rooms.iter().map(|room| u128::from(*room)).sum();
    // A server with more room than there is data gets one copy of everything; the others share the rest.
    for copies in (1..=u128::from(copies)).rev() {
        let Some(greatest) = rooms.pop() else { return 0 };
        let each = sum / copies;
        if u128::from(greatest) <= each {
            return u64::try_from(each).unwrap_or(u64::MAX);
        }
        sum -= u128::from(greatest);
    }
    0
}

/// In id order.
pub(super) fn loads(sites: &LiveSites, targets: &CopyTargets) -> Vec<ServerLoad> {
    let mut loads = Vec::with_capacity(sites.servers.len());
    for (site, target) in sites.sites.iter().zip(&targets.sites) {
        let shares = |server: usize, count: usize| match count {
            0 => 0,
            1 => scale(sites.servers[server].weight, 1 << 56, site.weight),
            _ => target.within(count).shares[server - site.servers.start] << 28,
        };
        for server in site.servers.clone() {
            let LiveServer { id, weight, .. } = sites.servers[server];
            let upper = if target.frac > 0 { shares(server, target.base + 1) } else { 0 };
            let expected = u128::from(ONE - target.frac) * u128::from(shares(server, target.base))
                + u128::from(target.frac) * u128::from(upper);
            loads.push(ServerLoad { node: id, weight, expected });
        }
    }
    loads.sort_by_key(|load| load.node);
    loads
}

#[cfg(test)]
mod tests {
    use super::room_left;

    #[test]
    fn what_is_left_is_bounded_by_what_the_others_can_match() {
        for (rooms, copies, left) in [
            (&[10, 10, 10][..], 3, 10),
            (&[10, 10, 10], 1, 30),
            (&[10, 10, 0], 3, 0),
            (&[10, 10], 3, 0),
            (&[], 1, 0),
            (&[100, 4, 3], 2, 7),
            (&[100, 50, 4, 3], 3, 7),
            (&[5, 5, 5, 5], 3, 6),
            (&[u64::MAX, u64::MAX], 1, u64::MAX),
        ] {
            assert_eq!(room_left(rooms.iter().copied(), copies), left, "{rooms:?} in {copies} copies");
        }
    }
}
