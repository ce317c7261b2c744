//! How safe blocks are: every member that answers says what it holds, and nobody else counts.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::repair::{AssureRequest, AssuredCopy, AssuredState};
use fsdfs_proto::message::{IDS_MAX, Message};

use crate::engine::context::Context;
use crate::report::BlockAssurance;
use crate::seam::{AssureToken, DiskRequest, OpId, Reply, Waiter};

/// Questions under way.
#[derive(Default)]
pub(in crate::engine) struct Assurances(BTreeMap<OpId, OpenAssurance>);

/// A question to all members that can be asked.
struct OpenAssurance {
    /// Ascending by id, with the copies wanted.
    blocks: BTreeMap<BlockId, u8>,
    /// Those that have not answered; this node's own store, too.
    waiting: BTreeSet<NodeId>,
    /// What was said until now; of whoever said nothing, or is not believed, there is no entry.
    said: BTreeMap<(BlockId, NodeId), AssuredCopy>,
}

impl Assurances {
    /// Asks every responsive peer and the own store. Whoever is silent already is not waited for.
    pub fn start(&mut self, cx: &mut Context, op: OpId, blocks: Vec<(BlockId, u8)>) {
        let blocks: BTreeMap<BlockId, u8> = blocks.into_iter().take(IDS_MAX).collect();
        let ids: Vec<BlockId> = blocks.keys().copied().collect();
        let peers: Vec<NodeId> = cx.peers.up().into_iter().filter(|node| cx.responsive(*node)).collect();
        let waiting = peers.iter().copied().chain([cx.me]).collect();
        self.0.insert(op, OpenAssurance { blocks, waiting, said: BTreeMap::new() });
        cx.disk(DiskRequest::Assure { ids: ids.clone() }, Waiter::Assure(AssureToken::Own(op)));
        let map = cx.map_digest;
        for node in peers {
            let ids = ids.clone();
            let waiter = Waiter::Assure(AssureToken::Peer { op, ids: ids.clone() });
            cx.ask(node, waiter, |request| Message::Assure(AssureRequest { request, map, ids }));
        }
    }

    /// Nobody waits any more; answers that are still on their way find no entry.
    pub fn cancel(&mut self, op: OpId) {
        self.0.remove(&op);
    }

    /// The own store answers for all ids, in their order.
    pub fn on_own(&mut self, cx: &mut Context, op: OpId, copies: &[AssuredCopy]) {
        let Some(open) = self.0.get(&op) else { return };
        let ids: Vec<BlockId> = open.blocks.keys().copied().collect();
        // Nobody knows which of two nodes of one identity answers others.
        let copies = if cx.duplicate_identity { &[] } else { copies };
        self.on_reply(cx, op, cx.me, &ids, copies);
    }

    /// A member said what it has of these; or nothing, if it is silent.
    pub fn on_reply(&mut self, cx: &mut Context, op: OpId, from: NodeId, ids: &[BlockId], copies: &[AssuredCopy]) {
        let Some(open) = self.0.get_mut(&op) else { return };
        // A peer that answers for fewer ids has said nothing of the rest; answers for more are answers to nothing.
        let said = ids.iter().zip(copies).filter(|(_, copy)| copy.state != AssuredState::NotYet);
        open.said.extend(said.map(|(id, copy)| ((*id, from), *copy)));
        open.waiting.remove(&from);
        if open.waiting.is_empty()
            && let Some(open) = self.0.remove(&op)
        {
            let found = open.blocks.iter().map(|(id, wanted)| assurance(cx, (*id, *wanted), &open.said)).collect();
            cx.reply(op, Reply::Assure(found));
        }
    }
}

/// What counts of what was said. Audits that failed while the others answered count, too.
fn assurance(
    cx: &Context,
    (id, wanted): (BlockId, u8),
    said: &BTreeMap<(BlockId, NodeId), AssuredCopy>,
) -> BlockAssurance {
    let assigned = cx.map.holders(id, wanted).iter().map(|holder| holder.node).collect();
    let all = (id, NodeId([0; 32]))..=(id, NodeId([0xff; 32]));
    let believed = said.range(all).filter(|((_, node), _)| *node == cx.me || cx.peers.is_believed(*node));
    let said = believed.map(|((_, node), copy)| (*node, *copy)).collect();
    BlockAssurance { id, wanted, assigned, said, unproven: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::Event;
    use crate::engine::net::Connections;
    use crate::engine::test_kit::pool::node;
    use crate::engine::test_kit::{connect, context, effects, events, pass};
    use crate::limits::SILENT_MS;
    use crate::seam::Effect;

    const OP: OpId = 4;
    const IDS: [BlockId; 2] = [BlockId([1; 32]), BlockId([2; 32])];
    const HELD: AssuredCopy = AssuredCopy { state: AssuredState::Held, len: 10, verified_h: Some(3) };

    /// Node 0 of four, connected to 1 and 2, asked about two blocks.
    fn started() -> (Context, Assurances) {
        let (mut cx, mut assurances) = (context(0, 4), Assurances::default());
        connect(&mut cx, 1);
        connect(&mut cx, 2);
        assurances.start(&mut cx, OP, IDS.iter().rev().map(|id| (*id, 3)).collect());
        (cx, assurances)
    }

    fn found(cx: &mut Context) -> Option<Vec<BlockAssurance>> {
        effects(cx).into_iter().find_map(|effect| match effect {
            Effect::Reply { op: OP, reply: Reply::Assure(found) } => Some(found),
            _ => None,
        })
    }

    fn said(found: &BlockAssurance) -> Vec<NodeId> {
        found.said.iter().map(|(node, _)| *node).collect()
    }

    #[test]
    fn the_own_store_and_all_that_are_connected_are_asked_and_nothing_is_renewed() {
        let (mut cx, _assurances) = started();
        let out = effects(&mut cx);
        let [Effect::Disk { request, .. }, rest @ ..] = &out[..] else { panic!("{out:?}") };
        assert_eq!(*request, DiskRequest::Assure { ids: IDS.to_vec() });
        let asked = |effect: &Effect| match effect {
            Effect::Send { to, message: Message::Assure(assure), .. } => Some((*to, assure.ids.clone())),
            _ => None,
        };
        let asked: Vec<_> = rest.iter().filter_map(asked).collect();
        assert_eq!(asked.len(), 2);
        assert!(asked.iter().all(|(_, ids)| *ids == IDS));
    }

    #[test]
    fn the_answer_has_what_each_said_and_whoever_cannot_say_said_nothing() {
        let (mut cx, mut assurances) = started();
        assurances.on_own(&mut cx, OP, &[HELD, AssuredCopy::NONE]);
        assurances.on_reply(&mut cx, OP, node(1), &IDS, &[HELD, AssuredCopy::UNKNOWN]);
        assert_eq!(found(&mut cx), None);
        // It answers for one of two.
        assurances.on_reply(&mut cx, OP, node(2), &IDS, &[AssuredCopy::NONE]);
        let found = found(&mut cx).expect("all have answered");
        assert_eq!(found.iter().map(|one| one.id).collect::<Vec<_>>(), IDS);
        assert!(found.iter().all(|one| one.assigned.len() == 3 && one.wanted == 3));
        let mut expected = vec![node(0), node(1), node(2)];
        expected.sort_unstable();
        assert_eq!(said(&found[0]), expected);
        assert_eq!(said(&found[1]), [node(0)]);
    }

    #[test]
    fn the_word_of_one_that_fails_its_audits_counts_for_nothing() {
        let (mut cx, mut assurances) = started();
        assurances.on_own(&mut cx, OP, &[AssuredCopy::NONE; 2]);
        assurances.on_reply(&mut cx, OP, node(1), &IDS, &[HELD; 2]);
        // It is found out while the other one still thinks.
        cx.peers.get_mut(node(1)).expect("connected").distrusted = true;
        assurances.on_reply(&mut cx, OP, node(2), &IDS, &[AssuredCopy::NONE; 2]);
        let found = found(&mut cx).expect("all have answered");
        assert!(found.iter().all(|one| !said(one).contains(&node(1))));
    }

    #[test]
    fn a_node_that_runs_twice_counts_nothing_of_its_own() {
        let (mut cx, mut assurances) = started();
        cx.duplicate_identity = true;
        assurances.on_own(&mut cx, OP, &[HELD; 2]);
        assurances.on_reply(&mut cx, OP, node(1), &IDS, &[HELD; 2]);
        assurances.on_reply(&mut cx, OP, node(2), &IDS, &[HELD; 2]);
        let found = found(&mut cx).expect("all have answered");
        assert!(found.iter().all(|one| !said(one).contains(&node(0))));
    }

    #[test]
    fn a_peer_that_falls_silent_is_not_waited_for_and_said_nothing() {
        let (mut cx, mut assurances) = started();
        assurances.on_own(&mut cx, OP, &[HELD; 2]);
        assurances.on_reply(&mut cx, OP, node(2), &IDS, &[HELD; 2]);
        pass(&mut cx, SILENT_MS + 1);
        Connections::default().on_peer_due(&mut cx, node(1), |_| false);
        let silent = events(&mut cx).into_iter().any(
            |event| matches!(event, Event::PeerSilent { node: silent, waiter: Waiter::Assure(_) } if silent == node(1)),
        );
        assert!(silent, "the engine hears of it");
        assurances.on_reply(&mut cx, OP, node(1), &[], &[]);
        let found = found(&mut cx).expect("nobody else is due");
        assert!(found.iter().all(|one| !said(one).contains(&node(1)) && said(one).len() == 2));
    }

    #[test]
    fn a_cancelled_one_answers_nobody() {
        let (mut cx, mut assurances) = started();
        assurances.cancel(OP);
        assurances.on_own(&mut cx, OP, &[HELD; 2]);
        assert_eq!(found(&mut cx), None);
    }
}
