//! straw2 (Ceph): each server draws a straw, -ln(u) / weight; the N shortest win.

use fsdfs_proto::ids::BlockId;

use super::draw::WeightedDraw;
use super::placement::Placement;
use crate::study::network::{MemberIndex, OverlayNetwork};

pub(super) struct Straw2 {
    salt: u64,
    servers: Vec<(MemberIndex, f64)>,
}

impl Straw2 {
    pub fn new(network: &OverlayNetwork) -> Self {
        let servers = network.live().map(|(id, member)| (id, member.weight() as f64)).collect();
        Self { salt: network.salt, servers }
    }

    /// All servers with the lengths of their straws.
    fn straws(&self, block: BlockId) -> Vec<(f64, MemberIndex)> {
        let draw = WeightedDraw::new(self.salt, block);
        let straw = |(id, weight): &(MemberIndex, f64)| (length(draw.of(*id as u64)) / weight, *id);
        self.servers.iter().map(straw).collect()
    }
}

impl Placement for Straw2 {
    fn holders(&self, block: BlockId, copies: u8) -> Vec<MemberIndex> {
        let mut straws = self.straws(block);
        let copies = straws.len().min(copies.into());
        if 0 < copies && copies < straws.len() {
            straws.select_nth_unstable_by(copies - 1, compare);
        }
        straws.truncate(copies);
        straws.sort_by(compare);
        straws.into_iter().map(|(_, id)| id).collect()
    }

    fn order(&self, block: BlockId, _copies: u8) -> Vec<MemberIndex> {
        let mut straws = self.straws(block);
        straws.sort_by(compare);
        straws.into_iter().map(|(_, id)| id).collect()
    }
}

/// An exponential deviate. libm's logarithm gives the same bits on every machine.
fn length(draw: WeightedDraw) -> f64 {
    -libm::log((draw.number() as f64 + 0.5) / 2f64.powi(64))
}

fn compare(x: &(f64, MemberIndex), y: &(f64, MemberIndex)) -> std::cmp::Ordering {
    x.0.total_cmp(&y.0).then(x.1.cmp(&y.1))
}
