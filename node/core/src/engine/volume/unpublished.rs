//! What members acknowledged and did not publish: this node tells others of its own, and remembers what others told.
//!
//! Promise: whoever reads on this node is told when a connected member has acknowledged a change that it cannot see; at the
//! latest one gossip round after that member's user was told that the change is durable.
//!
//! A head whose tree lies on too few servers stays with its writer (see [`super::LocalHeads`]). Without this a reader elsewhere
//! sees less than was acknowledged, and nothing says so.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{Head, Role};
use fsdfs_proto::ids::{FactId, NodeId, VolumeId};
use fsdfs_proto::message::{Message, UNPUBLISHED_MAX, UnpublishedOperation, UnpublishedOperations};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::Dot;

use super::LocalHeads;
use super::heads::seen_by;
use crate::engine::context::Context;
use crate::engine::timers::Timer;
use crate::facts::FactSet;
use crate::limits::UNPUBLISHED_EVERY_MS;

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Unpublished {
    /// What this node has, ascending, as of the heads and the version of the facts beside it.
    own: Vec<UnpublishedOperation>,
    own_as_of: (Vec<FactId>, u64),
    /// What the others were told last.
    told: Vec<UnpublishedOperation>,
    /// When.
    told_at: u64,
    /// What connected members said of themselves; never empty lists.
    others: BTreeMap<NodeId, Vec<UnpublishedOperation>>,
    /// When connected members said that they keep nothing any more, in monotonic milliseconds.
    ended: BTreeMap<NodeId, u64>,
}

impl Unpublished {
    /// Tells all who are connected, if there is anything new to tell. What grows from write to write is told now and then only.
    pub fn tell_changes(&mut self, cx: &mut Context, heads: &LocalHeads) {
        if self.told.is_empty() && heads.is_empty() {
            return;
        }
        let kept = heads.volumes().filter_map(|volume| heads.unpublished(volume));
        let as_of = (kept.map(|own| own.head.id()).collect(), cx.facts_version);
        if as_of != self.own_as_of {
            (self.own, self.own_as_of) = (operations_of(cx, heads), as_of);
        }
        if self.own == self.told {
            return;
        }
        let due = self.told_at + UNPUBLISHED_EVERY_MS;
        if !self.own.is_empty() && !self.told.is_empty() && cx.now.mono < due {
            return cx.timers.set(due, Timer::Unpublished);
        }
        (self.told, self.told_at) = (self.own.clone(), cx.now.mono);
        self.tell_all(cx);
    }

    fn tell_all(&self, cx: &mut Context) {
        cx.peers.up().into_iter().for_each(|to| self.tell(cx, to));
    }

    fn tell(&self, cx: &mut Context, to: NodeId) {
        let operations = self.told.clone();
        cx.send(to, Message::Unpublished(UnpublishedOperations { operations }));
    }

    /// A connection begins: neither side remembers what was said on an earlier one.
    pub fn on_up(&mut self, cx: &mut Context, node: NodeId) {
        self.on_down(node);
        if !self.told.is_empty() {
            self.tell(cx, node);
        }
    }

    /// What cannot be reached cannot be told of.
    pub fn on_down(&mut self, node: NodeId) {
        self.others.remove(&node);
        self.ended.remove(&node);
    }

    /// A member said what it has. Who may not write has acknowledged nothing to anybody, whatever it says: it would have every
    /// read of everybody look incomplete.
    pub fn on_told(&mut self, cx: &Context, from: NodeId, said: UnpublishedOperations) {
        let writes = cx.facts.members().get(&from).is_some_and(|member| member.role == Role::Full);
        if said.operations.is_empty() || !writes {
            if self.others.remove(&from).is_some() {
                self.ended.insert(from, cx.now.mono);
            }
        } else {
            self.others.insert(from, said.operations);
        }
    }

    /// Whether a connected member keeps something to itself, or did at some time since then.
    pub fn was_kept_by(&self, node: NodeId, since: u64) -> bool {
        self.others.contains_key(&node) || self.ended.get(&node).is_some_and(|ended| *ended >= since)
    }

    /// Connected members that acknowledged operations of a volume which these heads do not include.
    pub fn withheld_by(&self, volume: VolumeId, heads: &[Signed<Head>]) -> BTreeSet<NodeId> {
        if self.others.is_empty() {
            return BTreeSet::new();
        }
        let seen = seen_by(heads);
        let is_missing =
            |operation: &UnpublishedOperation| operation.volume == volume && seen.get(operation.writer) < operation.seq;
        self.others.iter().filter(|(_, said)| said.iter().any(is_missing)).map(|(node, _)| *node).collect()
    }
}

/// Of all volumes: what the heads that are kept back include, and no head that everybody knows.
fn operations_of(cx: &Context, heads: &LocalHeads) -> Vec<UnpublishedOperation> {
    let mut operations = Vec::new();
    for volume in heads.volumes() {
        let Some(own) = heads.unpublished(volume) else { continue };
        let published = seen_by(&cx.facts.heads(volume));
        let own = FactSet::version_vector_of(&own.head);
        let missing = own.dots().iter().filter(|dot| !published.covers(**dot));
        operations.extend(missing.map(|Dot { writer, seq }| UnpublishedOperation {
            volume,
            writer: *writer,
            seq: *seq,
        }));
    }
    debug_assert!(operations.is_sorted(), "volumes and writers come ascending");
    // Beyond the bound a reader is told by those that are named.
    operations.truncate(UNPUBLISHED_MAX);
    operations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::{connect, context, pass, pool, sent};

    fn volume() -> VolumeId {
        pool::pool_id().volume()
    }

    /// Node 0 of two, connected to the other.
    fn connected() -> Context {
        let mut cx = context(0, 2);
        connect(&mut cx, 1);
        cx
    }

    fn keep(heads: &mut LocalHeads, writer: u8, seq: u64) {
        heads.keep(volume(), pool::head(1, &[(writer, seq)]), BTreeSet::new());
    }

    /// Sequence numbers that were told since the last call, and to whom.
    fn told(cx: &mut Context) -> Vec<(NodeId, Vec<u64>)> {
        let seqs = |(to, message)| match message {
            Message::Unpublished(said) => Some((to, said.operations.iter().map(|operation| operation.seq).collect())),
            _ => None,
        };
        sent(cx).into_iter().filter_map(seqs).collect()
    }

    #[test]
    fn what_is_kept_back_is_told_at_once_and_what_follows_now_and_then() {
        let (mut cx, mut heads, mut unpublished) = (connected(), LocalHeads::default(), Unpublished::default());
        unpublished.tell_changes(&mut cx, &heads);
        assert!(told(&mut cx).is_empty(), "nothing is kept back");
        keep(&mut heads, 9, 1);
        unpublished.tell_changes(&mut cx, &heads);
        assert_eq!(told(&mut cx), [(pool::node(1), vec![1])]);
        (2..6).for_each(|seq| {
            keep(&mut heads, 9, seq);
            unpublished.tell_changes(&mut cx, &heads);
        });
        assert!(told(&mut cx).is_empty());
        assert_eq!(cx.timers.due(cx.now.mono + UNPUBLISHED_EVERY_MS), Some(Timer::Unpublished));
        pass(&mut cx, UNPUBLISHED_EVERY_MS);
        unpublished.tell_changes(&mut cx, &heads);
        assert_eq!(told(&mut cx), [(pool::node(1), vec![5])]);
        heads.take(volume());
        unpublished.tell_changes(&mut cx, &heads);
        assert_eq!(told(&mut cx), [(pool::node(1), vec![])], "published: told at once");
    }

    #[test]
    fn who_published_while_facts_were_exchanged_had_something_left_when_that_began() {
        let (mut cx, mut unpublished) = (connected(), Unpublished::default());
        let began = cx.now.mono;
        assert!(!unpublished.was_kept_by(pool::node(1), began));
        let operation = UnpublishedOperation { volume: volume(), writer: pool::writer(0, 9), seq: 1 };
        unpublished.on_told(&cx, pool::node(1), UnpublishedOperations { operations: vec![operation] });
        assert!(unpublished.was_kept_by(pool::node(1), began));
        pass(&mut cx, 10);
        unpublished.on_told(&cx, pool::node(1), UnpublishedOperations::default());
        assert!(unpublished.was_kept_by(pool::node(1), began) && !unpublished.was_kept_by(pool::node(1), began + 11));
    }

    #[test]
    fn whoever_connects_is_told() {
        let (mut cx, mut heads, mut unpublished) = (connected(), LocalHeads::default(), Unpublished::default());
        cx.peers.on_down(pool::node(1));
        keep(&mut heads, 9, 1);
        unpublished.tell_changes(&mut cx, &heads);
        assert!(told(&mut cx).is_empty());
        connect(&mut cx, 1);
        unpublished.on_up(&mut cx, pool::node(1));
        assert_eq!(told(&mut cx).len(), 1);
    }

    #[test]
    fn a_reader_is_told_whose_changes_it_cannot_see() {
        let (mut cx, mut unpublished) = (connected(), Unpublished::default());
        let said = |seq| {
            let writer = pool::writer(0, 9);
            UnpublishedOperations { operations: vec![UnpublishedOperation { volume: volume(), writer, seq }] }
        };
        let heads = [pool::head(1, &[(9, 3)]), pool::head(1, &[(5, 8)])];
        let other = VolumeId([7; 32]);
        for (seq, withheld) in [(3, false), (4, true)] {
            unpublished.on_told(&cx, pool::node(1), said(seq));
            let by = unpublished.withheld_by(volume(), &heads);
            assert_eq!(by.contains(&pool::node(1)), withheld, "{seq}");
            assert!(unpublished.withheld_by(other, &heads).is_empty());
        }
        unpublished.on_down(pool::node(1));
        assert!(unpublished.withheld_by(volume(), &heads).is_empty(), "it cannot be reached");
        unpublished.on_told(&cx, pool::node(1), said(4));
        unpublished.on_told(&cx, pool::node(1), UnpublishedOperations::default());
        assert!(unpublished.withheld_by(volume(), &heads).is_empty());
        for (role, counts) in [(Role::StorageOnly, false), (Role::Reader, false), (Role::Full, true)] {
            let mut pool = pool::TestPool { facts: cx.facts.clone(), said: Vec::new(), tickets: Vec::new() };
            let ticket = pool.ticket_for(0, role);
            pool.join(0, ticket, 7, 1);
            cx.facts = pool.facts;
            unpublished.on_told(&cx, pool::node(7), said(4));
            let by = unpublished.withheld_by(volume(), &heads);
            assert_eq!(by.contains(&pool::node(7)), counts, "{role:?}");
            cx = connected();
        }
    }
}
