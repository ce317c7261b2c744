//! What each member of the family promises in the pools that it was made for, and what it breaks in ours.

use std::collections::BTreeSet;

use super::*;
use crate::study::network::{MemberIndex, NetworkMember, block};

const BLOCKS: u64 = 10_000;

/// Eight batches of five servers, each batch a quarter larger: what the RUSH papers have in mind.
fn data_centre() -> OverlayNetwork {
    let sizes: Vec<u32> = (0..40).map(|id| (1_000.0 * 1.25f64.powi(id / 5)) as u32).collect();
    OverlayNetwork::separate(3, &sizes)
}

fn home_servers() -> OverlayNetwork {
    OverlayNetwork::random(4, 12, 12, 0.7)
}

fn placed(kind: PlacementKind, network: &OverlayNetwork, copies: u8) -> Vec<Vec<MemberIndex>> {
    let function = kind.prepare(network);
    (0..BLOCKS).map(|number| function.holders(block(9, number), copies)).collect()
}

/// Blocks with a holder too few, blocks with a holder twice.
fn broken(placed: &[Vec<MemberIndex>], copies: usize) -> (usize, usize) {
    let short = placed.iter().filter(|holders| holders.len() < copies).count();
    let twice = placed.iter().filter(|holders| holders.iter().collect::<BTreeSet<_>>().len() < holders.len()).count();
    (short, twice)
}

/// Largest deviation of a server's load from `share(id)`, relative to it.
fn deviation(placed: &[Vec<MemberIndex>], network: &OverlayNetwork, copies: u8) -> f64 {
    let mut loads = vec![0.0; network.members.len()];
    placed.iter().flatten().for_each(|id| loads[*id] += 1.0);
    let all = f64::from(copies) * BLOCKS as f64 / network.total() as f64;
    let off = |(id, member): (MemberIndex, &NetworkMember)| (loads[id] / (all * member.weight() as f64) - 1.0).abs();
    network.live().map(off).fold(0.0, f64::max)
}

#[test]
fn in_its_own_world_each_gives_distinct_holders_and_weighted_shares() {
    let network = data_centre();
    for kind in PlacementKind::ALL {
        let placed = placed(kind, &network, 3);
        assert_eq!(broken(&placed, 3), (0, 0), "{kind:?}");
        let off = deviation(&placed, &network, 3);
        assert!(off < 0.25, "{kind:?}: a server is {off:.2} off its share");
    }
}

#[test]
fn an_addition_moves_replicas_only_to_the_new_servers() {
    let before = data_centre();
    let mut after = before.clone();
    let batch = before.members.len() / 5;
    (0..5).for_each(|nr| after.members.push(NetworkMember { site: 40 + nr, disks: vec![6_000], batch }));
    for kind in [PlacementKind::RushP, PlacementKind::RushR, PlacementKind::RushT, PlacementKind::Straw2] {
        let (old, new) = (placed(kind, &before, 3), placed(kind, &after, 3));
        let stray = |(old, new): (&Vec<MemberIndex>, &Vec<MemberIndex>)| {
            new.iter().filter(|id| **id < 40 && !old.contains(id)).count()
        };
        assert_eq!(old.iter().zip(&new).map(stray).sum::<usize>(), 0, "{kind:?}");
        assert!(new.iter().flatten().any(|id| *id >= 40), "{kind:?}");
    }
}

#[test]
fn rush_p_needs_an_oldest_batch_that_can_take_all_copies() {
    let (short, twice) = broken(&placed(PlacementKind::RushP, &home_servers(), 3), 3);
    assert!(short > 0, "servers of their own sizes are batches of one");
    assert_eq!(twice, 0, "steps by a prime never meet");
}

#[test]
fn rush_r_needs_only_as_many_servers_as_copies() {
    assert_eq!(broken(&placed(PlacementKind::RushR, &home_servers(), 3), 3), (0, 0));
    assert_eq!(broken(&placed(PlacementKind::RushR, &home_servers(), 12), 12), (0, 0));
    let (short, _) = broken(&placed(PlacementKind::RushR, &OverlayNetwork::separate(1, &[5, 6]), 3), 3);
    assert_eq!(short, BLOCKS as usize);
}

#[test]
fn rush_t_needs_as_many_servers_as_copies_in_each_batch() {
    let (short, twice) = broken(&placed(PlacementKind::RushT, &home_servers(), 3), 3);
    assert!(short == 0 && twice > 0, "batches of one make copies meet: {twice}");
    assert_eq!(broken(&placed(PlacementKind::RushT, &OverlayNetwork::separate(1, &[7; 5]), 5), 5), (0, 0));
}

#[test]
fn rush_t_bears_leaves_that_all_have_left() {
    let mut network = data_centre();
    (10..15).for_each(|id| network.leave(id));
    let placed = placed(PlacementKind::RushT, &network, 3);
    assert_eq!(broken(&placed, 3), (0, 0));
    assert!(placed.iter().flatten().all(|id| !(10..15).contains(id)));
}

#[test]
fn straw2_and_ours_move_nothing_between_those_that_stay() {
    let before = home_servers();
    let mut after = before.clone();
    after.leave(5);
    let (old, new) = (placed(PlacementKind::Straw2, &before, 3), placed(PlacementKind::Straw2, &after, 3));
    let kept = |(old, new): (&Vec<MemberIndex>, &Vec<MemberIndex>)| old.iter().all(|id| *id == 5 || new.contains(id));
    assert!(old.iter().zip(&new).all(kept));
    let same = placed(PlacementKind::Ours, &before, 3)
        .iter()
        .zip(placed(PlacementKind::Ours, &after, 3))
        .filter(|(x, y)| *x == y)
        .count();
    assert!(same as u64 > BLOCKS / 2, "{same} of {BLOCKS} blocks stay where they are");
}

#[test]
fn ours_keeps_the_familys_promises_in_every_pool() {
    for network in [home_servers(), data_centre(), OverlayNetwork::separate(2, &[16, 8, 4, 2, 2, 1, 1])] {
        assert_eq!(broken(&placed(PlacementKind::Ours, &network, 3), 3), (0, 0));
        assert_eq!(placed(PlacementKind::Ours, &network, 3), placed(PlacementKind::Ours, &network.clone(), 3));
    }
}
