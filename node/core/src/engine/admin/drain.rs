//! A node that hands everything over: by its owner's word, or because it was removed.

use std::collections::BTreeSet;

use fsdfs_proto::identity::Absence;
use fsdfs_proto::ids::{DiskId, DiskNonce};
use fsdfs_proto::signed::Signed;

use super::absence::announce;
use crate::engine::blocks::{Holdings, PairTables, Puts, holds_nothing};
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::facts::{Gossip, OwnCard};
use crate::engine::volume::{Commits, LocalHeads};
use crate::report::DrainReport;
use crate::seam::{OpId, Refusal, Reply};

/// The machines that know what would be lost with this node.
pub(in crate::engine) struct DrainParts<'a> {
    pub cx: &'a Context,
    pub holdings: &'a Holdings,
    pub puts: &'a Puts,
    pub commits: &'a Commits,
    pub heads: &'a LocalHeads,
    pub card: &'a OwnCard,
}

/// Whether the owner of this node wants it to be emptied. Said with its absence, so that others can tell why it offers nothing.
pub(in crate::engine) fn is_drained(cx: &Context) -> bool {
    let absence = cx.facts.members().get(&cx.me).and_then(|me| me.absence.as_ref()).map(Signed::value);
    absence.is_some_and(|absence| absence.drained.is_none())
}

/// States that all disks of this node are to be emptied, or none. The card follows from it.
pub(in crate::engine) fn change_drain(cx: &mut Context, gossip: &mut Gossip, drain: bool) -> Result<(), Refusal> {
    if is_drained(cx) == drain {
        return Ok(());
    }
    announce(cx, gossip, |absence: &mut Absence| absence.drained = (!drain).then(Vec::new))
}

/// States that one disk of this node is to be emptied, or not any more. Which disks are drained with all of the node stays as it is.
pub(in crate::engine) fn change_disk_drain(
    cx: &mut Context,
    gossip: &mut Gossip,
    disk: DiskId,
    drain: bool,
) -> Result<(), Refusal> {
    if is_drained(cx) || drained_disks(cx).contains(&disk) == drain {
        return Ok(());
    }
    let card = cx.facts.members().get(&cx.me).and_then(|me| me.card.as_ref());
    let shown = card.map(|card| card.value().disks.as_slice()).unwrap_or_default();
    let nonces = cx.disks.iter().map(|disk| disk.nonce).chain(shown.iter().map(|disk| disk.nonce));
    let me = cx.me;
    let known: BTreeSet<DiskNonce> = nonces.collect();
    announce(cx, gossip, |absence: &mut Absence| {
        // Those that this node has no more need not be named any longer.
        let before = absence.drained.take().unwrap_or_default();
        let stays = before.into_iter().filter(|nonce| known.contains(nonce) && DiskId::of(me, *nonce) != disk);
        let more = known.iter().copied().filter(|nonce| drain && DiskId::of(me, *nonce) == disk);
        absence.drained = Some(stays.chain(more).collect::<BTreeSet<DiskNonce>>().into_iter().collect());
    })
}

/// These were given up: what takes the place of one has its id, and is not to be emptied. A refusal leaves it as it is, and the owner
/// sees it.
pub(in crate::engine) fn end_drain_of(cx: &mut Context, gossip: &mut Gossip, lost: &[DiskId]) {
    for disk in lost {
        let _ = change_disk_drain(cx, gossip, *disk, false);
    }
}

/// Disks of this node that its owner wants to be emptied one by one; none of a node that is drained as a whole.
pub(in crate::engine) fn drained_disks(cx: &Context) -> Vec<DiskId> {
    let absence = cx.facts.members().get(&cx.me).and_then(|me| me.absence.as_ref()).map(Signed::value);
    let named = absence.and_then(|absence| absence.drained.as_deref()).unwrap_or_default();
    named.iter().map(|nonce| DiskId::of(cx.me, *nonce)).collect()
}

/// How far it is, as an answer behind whatever was raised before.
pub(in crate::engine) fn drain(parts: &DrainParts<'_>, op: OpId) -> Event {
    Event::Reply { op, reply: Reply::Drain(Box::new(report(parts))) }
}

/// What is not known is taken for the worst: that nothing is lost has to be true when it is said.
fn report(parts: &DrainParts<'_>) -> DrainReport {
    let DrainParts { cx, holdings, puts, commits, heads, card } = parts;
    let is_asked = is_drained(cx);
    // Who has weight in the map is to hold blocks: its card has not changed yet, or it was never asked to leave.
    let draining = (is_asked || cx.facts.is_removed(cx.me)) && holds_nothing(cx);
    let tables = holdings.tables().filter(|tables| tables.map == cx.map_digest);
    let left = tables.map(PairTables::left).unwrap_or_default();
    let others = cx.map.servers().iter().filter(|server| server.weight() > 0).map(|server| server.id);
    let others = others.filter(|node| *node != cx.me);
    let (there, away): (Vec<_>, Vec<_>) = others.partition(|node| cx.responsive(*node));
    let full = there.into_iter().filter(|node| !cx.is_holder(*node));
    let (puts, unpublished) = (puts.len() + commits.len(), !heads.is_empty());
    let is_counted = tables.is_some() && cx.ready();
    let unread_disks = card.unread_disks(cx) as u64;
    DrainReport {
        draining: is_asked || draining,
        may_be_unplugged: draining
            && is_counted
            && left.blocks == 0
            && puts == 0
            && !unpublished
            && unread_disks == 0
            && !cx.duplicate_identity,
        is_counted,
        blocks: left.blocks,
        bytes: left.bytes,
        bytes_per_s: holdings.handed_over_per_s(cx.now.mono),
        puts: puts as u64,
        unpublished,
        unread_disks,
        away: away.into_iter().map(|node| cx.name_of(node)).collect(),
        full: full.map(|node| cx.name_of(node)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::block::Block;
    use fsdfs_proto::message::Redundancy;

    use super::*;
    use crate::engine::blocks::PutItem;
    use crate::engine::blocks::kit::sealed;
    use crate::engine::test_kit::{connect, context, disk, plain_card};
    use crate::facts::tests::pool::{node, remove};
    use crate::seam::{DiskCondition, DiskState, Waiter};

    #[test]
    fn disks_are_drained_one_by_one_and_those_that_are_gone_are_forgotten() {
        let mut cx = context(0, 3);
        cx.disks = vec![disk(0), disk(1)];
        let own = |number: u8| DiskId::of(node(0), disk(number).nonce);
        let change = |cx: &mut Context, disk, drain| {
            let changed = change_disk_drain(cx, &mut Gossip::default(), disk, drain);
            (changed, drained_disks(cx))
        };
        assert_eq!(change(&mut cx, own(1), true), (Ok(()), vec![own(1)]));
        assert!(!is_drained(&cx), "the node goes on");
        assert_eq!(change(&mut cx, own(1), true).1, [own(1)], "once");
        assert_eq!(change(&mut cx, own(7), true).1, [own(1)], "it has no such disk");
        cx.disks = vec![disk(0), disk(2)];
        assert_eq!(change(&mut cx, own(2), true).1, [own(2)], "the other one was unplugged");
        assert_eq!(change(&mut cx, own(2), false), (Ok(()), vec![]));
        assert_eq!(change(&mut cx, own(2), true).1, [own(2)]);
        end_drain_of(&mut cx, &mut Gossip::default(), &[own(0), own(2)]);
        assert_eq!(drained_disks(&cx), [], "another one takes its place");
        assert_eq!(change_drain(&mut cx, &mut Gossip::default(), true), Ok(()));
        assert_eq!(change(&mut cx, own(2), true).1, [], "all of it is drained");
        assert!(is_drained(&cx));
    }

    #[test]
    fn it_may_be_unplugged_only_if_nothing_is_left_and_nothing_under_way() {
        let mut cx = context(0, 4);
        cx.synced = true;
        let (mut holdings, mut puts) = (Holdings::default(), Puts::default());
        let (commits, heads, card) = (Commits::default(), LocalHeads::default(), plain_card());
        let said = |cx: &Context, holdings: &Holdings, puts: &Puts| {
            report(&DrainParts { cx, holdings, puts, commits: &commits, heads: &heads, card: &card })
        };
        let count = |cx: &Context, holdings: &mut Holdings| {
            holdings.begin_count(cx);
            holdings.on_page(cx, &[], true);
        };
        count(&cx, &mut holdings);
        let holder = said(&cx, &holdings, &puts);
        assert!(!holder.draining && !holder.may_be_unplugged && holder.is_counted, "{holder:?}");
        cx.facts.insert(remove(0, 0).into());
        cx.facts.drain_new();
        assert!(cx.refresh_map());
        assert!(!said(&cx, &holdings, &puts).may_be_unplugged, "counted under another map");
        count(&cx, &mut holdings);
        let free = said(&cx, &holdings, &puts);
        assert!(free.draining && free.may_be_unplugged, "{free:?}");
        assert_eq!(free.away.len(), 3, "nobody is connected");
        (1..4).for_each(|number| {
            connect(&mut cx, number);
        });
        let block: Block = sealed(1);
        let item =
            PutItem::Block { block, redundancy: Redundancy::Replicas(3), probe: false, more: false, reserve: false };
        puts.start(&mut cx, item, Waiter::Client(7));
        let busy = said(&cx, &holdings, &puts);
        assert!(!busy.may_be_unplugged && busy.puts == 1, "{busy:?}");
        cx.disks = vec![DiskState { condition: DiskCondition::Failing, ..disk(1) }];
        let unread = said(&cx, &holdings, &Puts::default());
        assert!(
            !unread.may_be_unplugged && unread.unread_disks == 1,
            "what is on it is not known (household seed 140)"
        );
        cx.synced = false;
        assert!(!said(&cx, &holdings, &Puts::default()).is_counted, "there may be another map");
    }
}
