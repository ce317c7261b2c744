//! What marks found of copies.

use super::*;
use crate::engine::unneeded::CopyNeed;

impl Side {
    fn judge(&mut self, info: &RecordInfo, need: CopyNeed) {
        self.call(|repair, parts| repair.on_judged(parts, info, need));
    }

    fn is_equal_to(&self, other: NodeId) -> bool {
        self.holdings.tables().is_some_and(|tables| self.repair.comparing.is_equal(tables, other))
    }
}

/// Two that hold the same blocks, and the first of them.
fn alike() -> (Nodes, RecordInfo, Block) {
    let mut nodes = Nodes::new(2);
    let blocks: Vec<Block> = (0..20).map(sealed).collect();
    for block in &blocks {
        let info = record(&nodes.0[0].cx, block);
        nodes.0.iter_mut().for_each(|side| side.old(info.clone(), Some(block.clone())));
    }
    nodes.run(30);
    let info = record(&nodes.0[0].cx, &blocks[0]);
    (nodes, info, blocks[0].clone())
}

#[test]
fn what_one_deleted_because_nothing_needs_it_does_not_come_back_and_lacks_nowhere() {
    let (mut nodes, info, _) = alike();
    nodes.0[0].judge(&info, CopyNeed::Unneeded);
    nodes.0[0].goes(info.id);
    // The other one looks later.
    let before = nodes.run(COMPARE_PERIOD_MS / 1_000);
    assert_eq!((before.blocks, nodes.ids(0).len(), nodes.ids(1).len()), (0, 19, 20));
    assert!(nodes.0.iter().all(|side| side.repair.pending(&side.log) == 0));
    nodes.0[1].judge(&info, CopyNeed::Unneeded);
    assert_eq!(nodes.run(2 * COMPARE_PERIOD_MS / 1_000).blocks, 0);
    let [one, other] = &nodes.0[..] else { panic!("two") };
    assert!(one.is_equal_to(other.cx.me) && other.is_equal_to(one.cx.me));
    let is_believed = |side: &Side, node| !side.cx.peers.get(node).expect("connected").distrusted;
    assert!(is_believed(one, other.cx.me) && is_believed(other, one.cx.me), "nobody broke a word");
}

#[test]
fn what_one_keeps_for_itself_is_nothing_to_the_other() {
    let (mut nodes, _, _) = alike();
    let block = sealed(77);
    let info = record(&nodes.0[0].cx, &block);
    nodes.0[0].comes(info.clone(), Some(block));
    nodes.0[0].judge(&info, CopyNeed::Kept);
    let traffic = nodes.run(2 * COMPARE_PERIOD_MS / 1_000);
    assert_eq!((traffic.blocks, nodes.ids(1).len()), (0, 20));
    let [one, other] = &nodes.0[..] else { panic!("two") };
    assert!(one.is_equal_to(other.cx.me) && one.repair.pending(&one.log) == 0);
}

#[test]
fn what_is_needed_after_all_comes_to_those_who_deleted_it() {
    let (mut nodes, info, _) = alike();
    nodes.0.iter_mut().for_each(|side| side.judge(&info, CopyNeed::Unneeded));
    nodes.0[0].goes(info.id);
    nodes.run(COMPARE_PERIOD_MS / 1_000);
    // A head came that names it.
    nodes.0[0].cx.unneeded.forget_gone(|id| id == info.id);
    nodes.0[1].judge(&info, CopyNeed::Needed);
    let traffic = nodes.run(60);
    assert_eq!((traffic.blocks, nodes.ids(0).len()), (1, 20), "{traffic:?}");
}

#[test]
fn what_was_declined_because_nothing_needed_it_is_offered_again_when_something_does() {
    let (mut nodes, info, last) = Nodes::with_one_elsewhere();
    nodes.0[last].judge(&info, CopyNeed::Unneeded);
    let declined = nodes.run(60);
    assert_eq!(declined.blocks, 0, "{declined:?}");
    assert!(!nodes.0[last].holdings.tables().expect("counted").has_elsewhere(), "they want none of it");
    nodes.0[last].judge(&info, CopyNeed::Needed);
    nodes.run(120);
    assert!((0..4).all(|index| nodes.ids(index).len() == 1));
}
