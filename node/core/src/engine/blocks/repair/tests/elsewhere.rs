//! What is here and assigned to others only.

use super::*;

#[test]
fn what_is_here_by_chance_goes_to_those_who_are_assigned_it() {
    let (mut nodes, _, last) = Nodes::with_one_elsewhere();
    let traffic = nodes.run(120);
    assert_eq!(traffic.blocks, 3, "{traffic:?}");
    assert!((0..4).all(|index| nodes.ids(index).len() == 1));
    let side = &nodes.0[last];
    assert!(!side.holdings.tables().expect("counted").has_elsewhere(), "it is known to be there");
    assert!(!side.repair.is_running(&side.cx, &side.holdings));
}

#[test]
fn what_is_offered_to_one_that_cannot_say_is_offered_again() {
    let (mut nodes, _, _) = Nodes::with_one_elsewhere();
    nodes.0.iter_mut().for_each(|side| side.is_rebuilding = true);
    nodes.run(30);
    nodes.0.iter_mut().for_each(|side| side.is_rebuilding = false);
    nodes.run(120);
    assert!((0..4).all(|index| nodes.ids(index).len() == 1));
}

/// Two homes behind routers that let nobody in never meet, however long they are up.
#[test]
fn what_is_here_by_chance_goes_to_whoever_is_not_reached_by_those_that_have_it() {
    let mut nodes = Nodes::new(4);
    let block = sealed(6);
    let info = record(&nodes.0[0].cx, &block);
    let order: Vec<NodeId> = nodes.0[0].cx.map.order(block.id(), 3).iter().map(|holder| holder.node).collect();
    let apart = |one: NodeId, other: NodeId| [one, other].contains(&order[0]) && ![one, other].contains(&order[3]);
    for side in &mut nodes.0 {
        let me = side.cx.me;
        for node in order.iter().copied().filter(|node| *node != me) {
            let peer = side.cx.peers.get_mut(node).expect("connected");
            peer.hears = Some(order.iter().copied().filter(|other| *other != node && !apart(node, *other)).collect());
            peer.up = !apart(me, node);
        }
        if me == order[0] || me == order[3] {
            side.old(info.clone(), Some(block.clone()));
        }
    }
    let traffic = nodes.run(120);
    assert!((0..4).all(|index| nodes.ids(index).len() == 1), "{traffic:?}");
    assert_eq!(traffic.blocks, 2, "{traffic:?}");
    assert!(nodes.0.iter().all(|side| !side.holdings.tables().expect("counted").has_elsewhere()));
}
