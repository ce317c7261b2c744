//! Deficit round robin (Shreedhar and Varghese, 1995): who has something to send takes turns by bytes.

use std::collections::VecDeque;

/// No packet is longer.
const PACKET_BYTES_MAX: i64 = 1_500;
/// Bytes of one turn: sixteen packets, so that they leave in one call to the system.
pub(super) const QUANTUM_BYTES: i64 = 16 * PACKET_BYTES_MAX;

/// Those that have something to send, the one whose turn it is first. Each once.
pub(super) struct RoundRobin<K>(VecDeque<(K, i64)>);

impl<K> Default for RoundRobin<K> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K: Copy + PartialEq> RoundRobin<K> {
    /// It has something to send from now on.
    pub fn join(&mut self, key: K) {
        if self.0.iter().all(|(other, _)| *other != key) {
            self.0.push_back((key, QUANTUM_BYTES));
        }
    }

    /// It has nothing any more.
    pub fn leave(&mut self, key: K) {
        self.0.retain(|(other, _)| *other != key);
    }

    /// Whose turn it is, and how many bytes are left of it: a packet at least.
    pub fn current(&self) -> Option<(K, usize)> {
        self.0.front().map(|(key, left)| (*key, usize::try_from(*left).unwrap_or(1)))
    }

    /// The one whose turn it is sent so much, and may have more to send. What is left of a turn and too little for a packet is
    /// kept for its next one.
    pub fn charge(&mut self, bytes: usize, has_more: bool) {
        let Some((key, left)) = self.0.pop_front() else { return };
        let left = left.saturating_sub_unsigned(bytes as u64);
        match (has_more, left >= PACKET_BYTES_MAX) {
            (true, true) => self.0.push_front((key, left)),
            (true, false) => self.0.push_back((key, left + QUANTUM_BYTES)),
            (false, _) => {}
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_send_get_as_many_bytes_whatever_their_packets_are() {
        let packet = |key: usize| [1_200, 300, 1_464][key];
        let (mut turns, mut sent) = (RoundRobin::default(), [0_usize; 3]);
        (0..3).for_each(|key| turns.join(key));
        for _ in 0..20_000 {
            let (key, left) = turns.current().expect("three");
            assert!(left > 0);
            sent[key] += packet(key);
            turns.charge(packet(key), true);
        }
        let (least, most) = (*sent.iter().min().expect("three"), *sent.iter().max().expect("three"));
        assert!(most - least < 2 * QUANTUM_BYTES as usize, "{sent:?}");
    }

    #[test]
    fn who_has_nothing_loses_its_turn() {
        let mut turns = RoundRobin::default();
        turns.join('a');
        turns.join('b');
        turns.join('a');
        turns.charge(10, false);
        assert_eq!(turns.current(), Some(('b', QUANTUM_BYTES as usize)));
        turns.leave('b');
        assert!(turns.is_empty() && turns.current().is_none());
    }
}
