//! The servers nearest to a block, found in a sorted list: the production code looks at every server, which is right for a thousand of them
//! and too slow for a study of a hundred thousand. The test holds the two against each other.

use std::ops::Range;

use fsdfs_proto::ids::BlockId;
use fsdfs_proto::placement::position;

use crate::study::network::{MemberIndex, OverlayNetwork};

/// Servers in order of their positions.
pub struct Candidates {
    sorted: Vec<([u8; 32], MemberIndex)>,
}

impl Candidates {
    /// Of those members that `knows` names.
    pub fn new(network: &OverlayNetwork, knows: impl Fn(MemberIndex) -> bool) -> Self {
        let known = network.live().map(|(id, _)| id).filter(|id| knows(*id));
        let mut sorted: Vec<([u8; 32], MemberIndex)> = known.map(|id| (position(network.node(id)), id)).collect();
        sorted.sort_unstable();
        Self { sorted }
    }

    /// The `most` nearest by XOR.
    pub fn nearest(&self, block: BlockId, most: usize) -> Vec<MemberIndex> {
        let mut near = Vec::with_capacity(most);
        self.descend(0..self.sorted.len(), 0, &block, most, &mut near);
        near
    }

    /// Among positions that agree in the bits before `bit`, those that agree with the block in this one are nearer than all others.
    fn descend(&self, among: Range<usize>, bit: usize, block: &BlockId, most: usize, near: &mut Vec<MemberIndex>) {
        if near.len() + among.len() <= most {
            return near.extend(self.sorted[among].iter().map(|(_, id)| *id));
        }
        let ones = among.start + self.sorted[among.clone()].partition_point(|(position, _)| !is_set(position, bit));
        let (zeros, ones) = (among.start..ones, ones..among.end);
        let (same, other) = if is_set(&block.0, bit) { (ones, zeros) } else { (zeros, ones) };
        self.descend(same, bit + 1, block, most, near);
        if near.len() < most {
            self.descend(other, bit + 1, block, most, near);
        }
    }
}

fn is_set(bytes: &[u8; 32], bit: usize) -> bool {
    bytes[bit / 8] >> (7 - bit % 8) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::network::block;

    #[test]
    fn these_are_the_candidates_of_the_production_code() {
        let network = OverlayNetwork::random(11, 700, 700, 0.3);
        let (view, fast) = (network.view(), Candidates::new(&network, |_| true));
        for (nr, most) in (0..60).flat_map(|nr| [1, 16, 300, 699, 700, 1_024].map(|most| (nr, most))) {
            let id = block(2, nr);
            let mut expected: Vec<MemberIndex> =
                view.nearest(id, most).into_iter().map(OverlayNetwork::member).collect();
            let mut found = fast.nearest(id, most);
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "block {nr}, {most} nearest");
        }
    }
}
