//! What a relay did for each pair of nodes, for its owner to see.

use std::collections::BTreeMap;

use fsdfs_proto::ids::NodeId;

use super::flow::PacketBatch;

/// Pairs that are remembered. In a pool of 23 that is everybody with everybody.
const PAIRS_MAX: usize = 256;

/// What was done for two nodes since the start, both ways together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayedPair {
    /// Ascending.
    pub nodes: [NodeId; 2],
    /// Forwarded, without headers of UDP and IP.
    pub bytes: u64,
    /// The same in packets.
    pub packets: u64,
    /// Packets for which the line was too slow.
    pub dropped: u64,
    /// Whether they have a session.
    pub is_open: bool,
}

#[derive(Clone, Copy, Default)]
struct PairCount {
    bytes: u64,
    packets: u64,
    dropped: u64,
    /// Which session of all was their last one.
    opened: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct RelayLedger {
    pairs: BTreeMap<[NodeId; 2], PairCount>,
    opened: u64,
}

impl RelayLedger {
    /// A session. The pair that had its last one longest ago is forgotten for it.
    pub fn open(&mut self, nodes: [NodeId; 2]) {
        let key = ascending(nodes);
        if self.pairs.len() >= PAIRS_MAX && !self.pairs.contains_key(&key) {
            let oldest = self.pairs.iter().min_by_key(|(_, count)| count.opened).map(|(key, _)| *key);
            oldest.map(|oldest| self.pairs.remove(&oldest));
        }
        self.opened += 1;
        self.pairs.entry(key).or_default().opened = self.opened;
    }

    pub fn forwarded(&mut self, nodes: [NodeId; 2], batch: &PacketBatch) {
        if let Some(count) = self.pairs.get_mut(&ascending(nodes)) {
            count.bytes += batch.bytes.len() as u64;
            count.packets += batch.packets() as u64;
        }
    }

    pub fn dropped(&mut self, nodes: [NodeId; 2], packets: usize) {
        if let Some(count) = self.pairs.get_mut(&ascending(nodes)) {
            count.dropped += packets as u64;
        }
    }

    pub fn pairs(&self, is_open: impl Fn([NodeId; 2]) -> bool) -> Vec<RelayedPair> {
        let shown = |(nodes, count): (&[NodeId; 2], &PairCount)| {
            let PairCount { bytes, packets, dropped, .. } = *count;
            RelayedPair { nodes: *nodes, bytes, packets, dropped, is_open: is_open(*nodes) }
        };
        self.pairs.iter().map(shown).collect()
    }
}

fn ascending(mut nodes: [NodeId; 2]) -> [NodeId; 2] {
    nodes.sort_unstable();
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_one_whoever_asked_and_the_oldest_is_forgotten() {
        let mut ledger = RelayLedger::default();
        let node = |number: usize| NodeId([u8::try_from(number % 250).expect("a byte"); 32]);
        let batch = PacketBatch { bytes: vec![0; 2_500].into(), stride: 1_000, ecn: None };
        ledger.open([node(2), node(1)]);
        ledger.open([node(1), node(2)]);
        ledger.forwarded([node(2), node(1)], &batch);
        ledger.dropped([node(1), node(2)], 4);
        let pair = RelayedPair { nodes: [node(1), node(2)], bytes: 2_500, packets: 3, dropped: 4, is_open: true };
        assert_eq!(ledger.pairs(|_| true), [pair]);
        for other in 0..PAIRS_MAX {
            ledger.open([node(3 + other / 200), node(10 + other % 200)]);
        }
        assert_eq!(ledger.pairs(|_| false).len(), PAIRS_MAX);
        assert!(!ledger.pairs(|_| true).contains(&pair));
    }
}
