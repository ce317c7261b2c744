//! Packets that somebody here waits for, by what they are known by: a stranger's packet costs a look and no more.

use std::collections::BTreeMap;

use fsdfs_proto::ids::NodeId;

/// Waited for at once at most: as many as a node may have others to meet.
pub(super) const EXPECTED_MAX: usize = 64;
/// A round of knocks takes two seconds, a probe is sent within half a second, and both go half around the world.
pub(super) const EXPECTED_MS: u64 = 10_000;

/// Who may send a packet that is known by `K`. Times are milliseconds on the monotonic clock.
pub(super) struct ExpectedPackets<K>(BTreeMap<K, ExpectedSender>);

struct ExpectedSender {
    node: NodeId,
    until: u64,
}

impl<K> Default for ExpectedPackets<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> ExpectedPackets<K> {
    /// From now on. False if too many are waited for already.
    pub fn expect(&mut self, now: u64, key: K, node: NodeId) -> bool {
        if self.0.len() >= EXPECTED_MAX {
            self.0.retain(|_, sender| now < sender.until);
        }
        let has_place = self.0.len() < EXPECTED_MAX || self.0.contains_key(&key);
        if has_place {
            self.0.insert(key, ExpectedSender { node, until: now + EXPECTED_MS });
        }
        has_place
    }

    /// No longer.
    pub fn forget(&mut self, key: &K) {
        self.0.remove(key);
    }

    /// Who should have sent it.
    pub fn sender(&self, now: u64, key: &K) -> Option<NodeId> {
        self.0.get(key).filter(|sender| now < sender.until).map(|sender| sender.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId([1; 32]);

    #[test]
    fn what_is_expected_is_so_for_ten_seconds() {
        let mut expected = ExpectedPackets::default();
        assert!(expected.expect(5, 1, PEER));
        assert_eq!((expected.sender(10_004, &1), expected.sender(10_005, &1)), (Some(PEER), None));
        assert_eq!(expected.sender(6, &2), None);
        assert!(expected.expect(10_000, 1, PEER));
        assert_eq!(expected.sender(10_005, &1), Some(PEER), "once more");
        expected.forget(&1);
        assert_eq!(expected.sender(10_005, &1), None);
    }

    #[test]
    fn there_are_so_many_places_and_they_come_free() {
        let mut expected = ExpectedPackets::default();
        for key in 0..EXPECTED_MAX {
            assert!(expected.expect(key as u64, key, PEER));
        }
        assert!(!expected.expect(100, EXPECTED_MAX, PEER));
        assert!(expected.expect(100, 7, PEER), "it has a place");
        assert!(expected.expect(EXPECTED_MS, EXPECTED_MAX, PEER), "the first one's");
        assert_eq!(expected.sender(EXPECTED_MS, &0), None);
    }
}
