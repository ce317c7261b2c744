//! What a node does that is to hold nothing any more.

use fsdfs_proto::identity::Heartbeat;

use super::*;
use crate::facts::tests::pool::remove;
use crate::limits::AWAY_MS;

/// A member is to hold nothing any more, and all know it.
fn remove_member(nodes: &mut Nodes, member: u8) {
    for side in &mut nodes.0 {
        side.cx.facts.insert(remove(member, member).into());
        side.cx.facts.drain_new();
        assert!(side.cx.refresh_map(), "it has no place in the map any more");
        side.call(Repair::on_map_changed);
    }
}

/// Blocks that a node does not know to be with all that are assigned them.
fn left(side: &Side) -> Option<u64> {
    side.holdings.tables().map(|tables| tables.left().blocks)
}

#[test]
fn whoever_leaves_hears_of_all_holders_that_they_have_what_it_has() {
    let mut nodes = Nodes::new(5);
    let block = sealed(9);
    let info = record(&nodes.0[0].cx, &block);
    nodes.0[4].old(info, Some(block.clone()));
    remove_member(&mut nodes, 4);
    assert_eq!(left(&nodes.0[4]), None, "it is to be counted");
    let order: Vec<NodeId> = nodes.0[4].cx.map.order(block.id(), 3).iter().map(|holder| holder.node).collect();
    // One of them is not believed.
    nodes.0[4].cx.peers.get_mut(order[2]).expect("connected").distrusted = true;
    nodes.run(120);
    assert_eq!(left(&nodes.0[4]), Some(1), "two of three have said so");
    nodes.0[4].cx.peers.get_mut(order[2]).expect("connected").distrusted = false;
    nodes.0[4].call(|repair, parts| repair.check_holder(parts, order[2]));
    nodes.run(60);
    assert_eq!(left(&nodes.0[4]), Some(0));
    let index = |node| nodes.0.iter().position(|side| side.cx.me == node).expect("of the pool");
    assert!((0..3).all(|at| nodes.ids(index(order[at])).len() == 1));
    // Something comes still, and then one of those who said so is not believed any more.
    let late = sealed(10);
    let info = record(&nodes.0[4].cx, &late);
    nodes.0[4].comes(info, Some(late));
    assert_eq!(left(&nodes.0[4]), Some(1));
    nodes.0[4].call(|repair, parts| repair.check_holder(parts, order[0]));
    nodes.run(120);
    assert_eq!(left(&nodes.0[4]), Some(0));
    // One of them was started again, perhaps with the disks of last week.
    nodes.0[4].call(|repair, parts| repair.on_restarted(parts, order[0]));
    assert!(left(&nodes.0[4]) > Some(0));
    nodes.run(120);
    assert_eq!(left(&nodes.0[4]), Some(0));
}

/// Makes two nodes that never meet: each knows of the other by heartbeats that others pass on.
fn part(nodes: &mut Nodes, one: usize, other: usize, seen: bool) {
    let ids = [nodes.0[one].cx.me, nodes.0[other].cx.me];
    for (at, node) in [(one, ids[1]), (other, ids[0])] {
        let side = &mut nodes.0[at];
        side.cx.peers.on_down(node);
        if seen {
            side.liveness.note(&side.cx, &Heartbeat { version: 1, node, boot: 1, counter: 1 + side.cx.now.mono });
        }
    }
}

/// Everybody says whom it exchanges facts with.
fn say_who_is_heard(nodes: &mut Nodes) {
    let up: Vec<(NodeId, BTreeSet<NodeId>)> =
        nodes.0.iter().map(|side| (side.cx.me, side.cx.peers.up().into_iter().collect())).collect();
    for side in &mut nodes.0 {
        for (node, hears) in &up {
            if let Some(peer) = side.cx.peers.get_mut(*node) {
                peer.hears = Some(hears.clone());
            }
        }
    }
}

#[test]
fn of_a_holder_that_it_never_meets_whoever_leaves_believes_one_that_does() {
    let mut nodes = Nodes::new(5);
    let block = sealed(9);
    let info = record(&nodes.0[4].cx, &block);
    nodes.0[4].old(info, Some(block.clone()));
    remove_member(&mut nodes, 4);
    let order: Vec<NodeId> = nodes.0[4].cx.map.order(block.id(), 3).iter().map(|holder| holder.node).collect();
    let stranger = nodes.0.iter().position(|side| side.cx.me == order[0]).expect("of the pool");
    part(&mut nodes, 4, stranger, true);
    nodes.run(50);
    nodes.0[4].call(Repair::on_presence);
    assert_eq!(left(&nodes.0[4]), Some(1), "nobody says that it reaches the third");
    say_who_is_heard(&mut nodes);
    part(&mut nodes, 4, stranger, true);
    nodes.0[4].call(Repair::on_presence);
    assert_eq!(left(&nodes.0[4]), Some(0), "the two that have it see to the third");
    assert_eq!(nodes.ids(stranger).len(), 1, "as they did");
    nodes.run(AWAY_MS / 1_000);
    nodes.0[4].call(Repair::on_presence);
    assert_eq!(left(&nodes.0[4]), Some(1), "the third is away now, and nobody knows whether it comes back");
}

#[test]
fn what_others_see_to_is_not_pending_here() {
    let mut nodes = Nodes::new(3);
    let block = sealed(9);
    let info = record(&nodes.0[0].cx, &block);
    part(&mut nodes, 0, 2, true);
    nodes.0[0].comes(info, Some(block.clone()));
    nodes.0[0].log.note(block.id(), Some(2));
    nodes.run(40);
    assert!((0..3).all(|at| nodes.ids(at).len() == 1), "node 1 got it from 0, and 2 from 1");
    assert_eq!(nodes.0[0].log.pending(), 1, "it did not hear of that");
    say_who_is_heard(&mut nodes);
    part(&mut nodes, 0, 2, true);
    nodes.0[0].call(Repair::on_presence);
    assert_eq!(nodes.0[0].log.pending(), 0);
    nodes.0[0].log.note(block.id(), Some(1));
    nodes.run(AWAY_MS / 1_000);
    nodes.0[0].call(Repair::on_presence);
    assert_eq!(nodes.0[0].log.pending(), 1, "of one that is away it is not known");
}
