//! Placement held to the examples of the chapter, to the published vectors, and to what it promises.

mod branches;
mod clear;
mod examples;
mod movement;
mod plans;
mod properties;
mod shares;
mod shortlist;
mod vectors;
mod volume;

use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, DiskId, NodeId};
use fsdfs_proto::placement::position;

use super::{BlockHolder, CERTAIN, ClusterMap, MapDisk, MapServer};

/// The id of the numbered server, disk or block of a test.
fn numbered(kind: u8, number: u64) -> [u8; 32] {
    let mut id = [kind; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    position(NodeId(id))
}

fn block(number: u64) -> BlockId {
    BlockId(numbered(1, number))
}

fn node(number: u64) -> NodeId {
    NodeId(numbered(2, number))
}

fn disk(server: u64, number: u64, weight: u32) -> MapDisk {
    let id = numbered(3, server << 8 | number);
    MapDisk { id: DiskId(*id.first_chunk().expect("32 bytes begin with 16")), weight }
}

/// A server with one disk at a site of its own.
fn server(number: u64, weight: u32) -> MapServer {
    let disks = vec![disk(number, 0, weight)];
    MapServer { id: node(number), site: format!("house {number}"), branch: None, disks }
}

/// Servers of very different sizes, the same ones for the same `salt`: weights spread over a factor of about thirty.
fn uneven(count: u64, sites: u64, salt: u64) -> Vec<MapServer> {
    let mut dice = fastrand::Rng::with_seed(salt);
    (0..count)
        .map(|number| {
            let weight = 100 << dice.u32(0..5);
            let mut server = server(salt << 16 | number, weight + dice.u32(0..weight));
            server.site = format!("house {}", number % sites);
            server
        })
        .collect()
}

/// One-disk servers at sites of their own whose weights are log-normal: `median * exp(sigma * z)` with a normal z (Box and Muller's).
fn log_normal(count: u64, median: f64, sigma: f64, salt: u64) -> Vec<MapServer> {
    let mut dice = fastrand::Rng::with_seed(salt);
    (0..count)
        .map(|number| {
            let (radius, angle) = ((-2.0 * (1.0 - dice.f64()).ln()).sqrt(), dice.f64() * std::f64::consts::TAU);
            server(salt << 16 | number, (median * (sigma * radius * angle.cos()).exp()) as u32 + 1)
        })
        .collect()
}

/// Block ids without end, the same ones for the same `salt`; cheaper than [`block`].
fn blocks(salt: u64) -> impl Iterator<Item = BlockId> {
    let mut dice = fastrand::Rng::with_seed(salt);
    std::iter::repeat_with(move || {
        let mut id = [0; 32];
        dice.fill(&mut id);
        BlockId(id)
    })
}

/// Ids of the holders, in their order.
fn nodes(holders: &[BlockHolder]) -> Vec<NodeId> {
    holders.iter().map(|holder| holder.node).collect()
}

/// Replicas of a block that each server expects, in id order.
fn expected(view: &ClusterMap, copies: u8) -> BTreeMap<NodeId, f64> {
    view.loads(copies).into_iter().map(|load| (load.node, load.expected as f64 / CERTAIN as f64)).collect()
}
