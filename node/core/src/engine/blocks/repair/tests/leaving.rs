//! What a node does that is to hold nothing any more.

use super::*;
use crate::facts::tests::pool::remove;

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
