//! straw2 (Ceph): each server draws a straw, -ln(u) / weight; the N shortest win.

use fsdfs_proto::ids::BlockId;

use super::draw::Draw;
use super::{Id, Network, Placement};

pub(super) struct Straw2 {
    salt: u64,
    servers: Vec<(Id, f64)>,
}

impl Straw2 {
    pub fn new(network: &Network) -> Self {
        let servers = network.live().map(|(id, member)| (id, member.weight() as f64)).collect();
        Self { salt: network.salt, servers }
    }

    /// All servers with the lengths of their straws.
    fn straws(&self, block: BlockId) -> Vec<(f64, Id)> {
        let draw = Draw::new(self.salt, block);
        let straw = |(id, weight): &(Id, f64)| (length(draw.of(*id as u64)) / weight, *id);
        self.servers.iter().map(straw).collect()
    }
}

impl Placement for Straw2 {
    fn holders(&self, block: BlockId, copies: u8) -> Vec<Id> {
        let mut straws = self.straws(block);
        let copies = straws.len().min(copies.into());
        if 0 < copies && copies < straws.len() {
            straws.select_nth_unstable_by(copies - 1, compare);
        }
        straws.truncate(copies);
        straws.sort_by(compare);
        straws.into_iter().map(|(_, id)| id).collect()
    }

    fn order(&self, block: BlockId, _copies: u8) -> Vec<Id> {
        let mut straws = self.straws(block);
        straws.sort_by(compare);
        straws.into_iter().map(|(_, id)| id).collect()
    }
}

/// An exponential deviate. libm's logarithm gives the same bits on every machine.
fn length(draw: Draw) -> f64 {
    -libm::log((draw.number() as f64 + 0.5) / 2f64.powi(64))
}

fn compare(x: &(f64, Id), y: &(f64, Id)) -> std::cmp::Ordering {
    x.0.total_cmp(&y.0).then(x.1.cmp(&y.1))
}
