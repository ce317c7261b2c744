//! Renewing leases: of what a user put and has not committed yet, and of what is to be referred to again.
//!
//! Promise: a block that is not named in the answer had its lease renewed durably, just now, by at least one holder that is
//! believed: by as many as hold it among those that answered, up to its N. Whoever deletes lets go of nothing that was renewed
//! within its grace. What is named is held by none that answered; the asker puts it again.
//!
//! Holders are asked in the order in which a put would ask them, the next ones for each that lacks the block or is silent.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{HaveRequest, IDS_MAX, Message, Possession, Redundancy};

use crate::engine::context::Context;
use crate::seam::{DiskRequest, OpId, RenewalToken, Reply, Waiter};

/// Questions under way.
#[derive(Default)]
pub(in crate::engine) struct Renewals(BTreeMap<OpId, OpenRenewal>);

struct OpenRenewal {
    blocks: BTreeMap<BlockId, RenewedBlock>,
    /// Questions without an answer, by whom they went to and for which N.
    questions: BTreeMap<(NodeId, u8), Vec<BlockId>>,
}

struct RenewedBlock {
    copies: u8,
    asked: BTreeSet<NodeId>,
    /// Those of them that renewed it.
    renewed: usize,
}

impl Renewals {
    /// Of each block, the copies that are wanted of it. Answered by the ids that nobody renewed.
    pub fn start(&mut self, cx: &mut Context, op: OpId, blocks: Vec<(BlockId, u8)>) {
        debug_assert!(blocks.len() <= IDS_MAX, "one question has no more");
        let block = |(id, copies)| (id, RenewedBlock { copies, asked: BTreeSet::new(), renewed: 0 });
        let blocks = blocks.into_iter().take(IDS_MAX).map(block).collect();
        self.0.insert(op, OpenRenewal { blocks, questions: BTreeMap::new() });
        self.ask_next(cx, op);
    }

    /// Nobody waits any more; answers that are still on their way find no entry.
    pub fn cancel(&mut self, op: OpId) {
        self.0.remove(&op);
    }

    /// Somebody answered for these, in their order; with nothing, if it is silent or gone.
    pub fn on_have(&mut self, cx: &mut Context, (op, copies): (OpId, u8), from: NodeId, answers: &[Possession]) {
        let Some(open) = self.0.get_mut(&op) else { return };
        // Of one that was taken for silent the late answer changes nothing: others were asked in its place.
        let Some(ids) = open.questions.remove(&(from, copies)) else { return };
        let is_believed = from == cx.me || cx.peers.is_believed(from);
        let renewed = ids.iter().zip(answers).filter(|(_, answer)| is_believed && **answer == Possession::Yes);
        for (id, _) in renewed {
            let block = open.blocks.get_mut(id).expect("only what is to be renewed is asked for");
            block.renewed += 1;
            debug_assert!(block.renewed <= block.asked.len(), "each is asked once");
        }
        if open.questions.is_empty() {
            self.ask_next(cx, op);
        }
    }

    /// A round of questions; ends when there is nobody left to ask, or nothing left to ask for.
    fn ask_next(&mut self, cx: &mut Context, op: OpId) {
        let Some(open) = self.0.get_mut(&op) else { return };
        debug_assert!(open.questions.is_empty(), "one round at a time");
        for (id, block) in &mut open.blocks {
            let lacking = usize::from(block.copies).saturating_sub(block.renewed);
            let order = cx.map.order(*id, block.copies).into_iter().map(|holder| holder.node);
            let next = order.filter(|node| !block.asked.contains(node) && cx.responsive(*node)).take(lacking);
            for node in next.collect::<Vec<_>>() {
                block.asked.insert(node);
                open.questions.entry((node, block.copies)).or_default().push(*id);
            }
        }
        if open.questions.is_empty() {
            let open = self.0.remove(&op).expect("it was there");
            let gone = open.blocks.into_iter().filter(|(_, block)| block.renewed == 0).map(|(id, _)| id);
            return cx.reply(op, Reply::RenewLeases(gone.collect()));
        }
        for ((node, copies), ids) in open.questions.clone() {
            ask(cx, (op, copies), node, ids);
        }
    }
}

fn ask(cx: &mut Context, (op, copies): (OpId, u8), node: NodeId, ids: Vec<BlockId>) {
    let redundancy = Redundancy::Replicas(copies);
    if node == cx.me {
        let renew = DiskRequest::Have { ids, renew: Some(redundancy) };
        return cx.disk(renew, Waiter::Renewal(RenewalToken::Own { op, copies }));
    }
    let map = cx.map_digest;
    let have = |request| Message::Have(HaveRequest { request, renew: true, map, redundancy, ids });
    cx.ask(node, Waiter::Renewal(RenewalToken::Peer { op, copies }), have);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::pool::node;
    use crate::engine::test_kit::{connect, context, effects};
    use crate::seam::Effect;

    const OP: OpId = 7;

    fn id(number: u8) -> BlockId {
        BlockId([number; 32])
    }

    /// Node 0 of four, connected to the others, with these questions open: whom it asked for what.
    struct Bench {
        cx: Context,
        renewals: Renewals,
    }

    type Question = ((NodeId, u8), Vec<BlockId>);

    impl Bench {
        fn of(connected: &[u8]) -> Self {
            let mut cx = context(0, 4);
            for number in connected {
                connect(&mut cx, *number);
            }
            Self { cx, renewals: Renewals::default() }
        }

        /// Questions since the last call, and the answer, if there is one.
        fn said(&mut self) -> (Vec<Question>, Option<Vec<BlockId>>) {
            let (mut questions, mut answer) = (Vec::new(), None);
            for effect in effects(&mut self.cx) {
                match effect {
                    Effect::Send { to, message: Message::Have(have), .. } => {
                        assert!(have.renew);
                        questions.push(((to, have.redundancy.copies()), have.ids));
                    }
                    Effect::Disk { request: DiskRequest::Have { ids, renew: Some(redundancy) }, .. } => {
                        questions.push(((self.cx.me, redundancy.copies()), ids));
                    }
                    Effect::Reply { op: OP, reply: Reply::RenewLeases(gone) } => answer = Some(gone),
                    other => panic!("{other:?}"),
                }
            }
            (questions, answer)
        }

        /// All answer by this; what they are asked next.
        fn answer(&mut self, questions: Vec<Question>, says: impl Fn(NodeId, BlockId) -> Possession) {
            for ((node, copies), ids) in questions {
                let answers: Vec<Possession> = ids.iter().map(|id| says(node, *id)).collect();
                self.renewals.on_have(&mut self.cx, (OP, copies), node, &answers);
            }
        }
    }

    #[test]
    fn as_many_as_hold_a_block_renew_it_and_the_next_in_order_are_asked_for_those_that_lack_it() {
        let mut bench = Bench::of(&[1, 2, 3]);
        bench.renewals.start(&mut bench.cx, OP, vec![(id(1), 2), (id(2), 2), (id(3), 3)]);
        let (first, answer) = bench.said();
        assert_eq!((first.iter().map(|(_, ids)| ids.len()).sum::<usize>(), answer), (7, None));
        let asked: Vec<NodeId> =
            first.iter().filter(|(_, ids)| ids.contains(&id(1))).map(|((node, _), _)| *node).collect();
        let order: Vec<NodeId> = bench.cx.map.holders(id(1), 2).iter().map(|holder| holder.node).collect();
        assert!(order.iter().all(|node| asked.contains(node)), "as a put would ask them");
        // The first block lies with one that is not asked at first, the second with nobody.
        let elsewhere = (0..4).map(node).find(|node| !asked.contains(node)).expect("two of four were asked");
        let says = |node: NodeId, block: BlockId| match block {
            block if block == id(1) && node == elsewhere => Possession::Yes,
            block if block == id(3) => Possession::Yes,
            _ => Possession::No,
        };
        bench.answer(first, says);
        let (second, answer) = bench.said();
        assert!(answer.is_none() && second.iter().all(|(_, ids)| !ids.contains(&id(3))), "that one is through");
        bench.answer(second, says);
        assert_eq!(bench.said(), (vec![], Some(vec![id(2)])), "held by none");
    }

    #[test]
    fn who_is_silent_or_not_believed_has_renewed_nothing() {
        let mut bench = Bench::of(&[1]);
        bench.renewals.start(&mut bench.cx, OP, vec![(id(1), 3)]);
        let (questions, _) = bench.said();
        assert_eq!(questions.len(), 2, "this node and the one that is there");
        bench.cx.peers.get_mut(node(1)).expect("connected").distrusted = true;
        bench.renewals.on_have(&mut bench.cx, (OP, 3), node(0), &[]);
        bench.renewals.on_have(&mut bench.cx, (OP, 3), node(1), &[Possession::Yes]);
        assert_eq!(bench.said().1, Some(vec![id(1)]));
        bench.renewals.on_have(&mut bench.cx, (OP, 3), node(1), &[Possession::Yes]);
        assert_eq!(bench.said(), (vec![], None), "late");
    }

    #[test]
    fn nothing_to_renew_and_nobody_who_waits_are_answered_at_once_and_never() {
        let mut bench = Bench::of(&[1]);
        bench.renewals.start(&mut bench.cx, OP, Vec::new());
        assert_eq!(bench.said(), (vec![], Some(vec![])));
        bench.renewals.start(&mut bench.cx, OP, vec![(id(1), 1)]);
        let (questions, _) = bench.said();
        bench.renewals.cancel(OP);
        bench.answer(questions, |_, _| Possession::Yes);
        assert_eq!(bench.said(), (vec![], None));
    }
}
