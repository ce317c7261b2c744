//! A node that hands everything over: by its owner's word, or because it was removed.

use fsdfs_proto::identity::Absence;
use fsdfs_proto::signed::Signed;

use super::absence::announce;
use crate::engine::blocks::{Holdings, PairTables, Puts, holds_nothing};
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::facts::Gossip;
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

/// How far it is, as an answer behind whatever was raised before.
pub(in crate::engine) fn drain(parts: &DrainParts<'_>, op: OpId) -> Event {
    Event::Reply { op, reply: Reply::Drain(Box::new(report(parts))) }
}

/// What is not known is taken for the worst: that nothing is lost has to be true when it is said.
fn report(parts: &DrainParts<'_>) -> DrainReport {
    let DrainParts { cx, holdings, puts, commits, heads } = parts;
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
    DrainReport {
        draining: is_asked || draining,
        may_be_unplugged: draining
            && is_counted
            && left.blocks == 0
            && puts == 0
            && !unpublished
            && !cx.duplicate_identity,
        is_counted,
        blocks: left.blocks,
        bytes: left.bytes,
        bytes_per_s: holdings.handed_over_per_s(cx.now.mono),
        puts: puts as u64,
        unpublished,
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
    use crate::engine::test_kit::{connect, context};
    use crate::facts::tests::pool::remove;
    use crate::seam::Waiter;

    #[test]
    fn it_may_be_unplugged_only_if_nothing_is_left_and_nothing_under_way() {
        let mut cx = context(0, 4);
        cx.synced = true;
        let (mut holdings, mut puts) = (Holdings::default(), Puts::default());
        let (commits, heads) = (Commits::default(), LocalHeads::default());
        let said = |cx: &Context, holdings: &Holdings, puts: &Puts| {
            report(&DrainParts { cx, holdings, puts, commits: &commits, heads: &heads })
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
        cx.synced = false;
        assert!(!said(&cx, &holdings, &Puts::default()).is_counted, "there may be another map");
    }
}
