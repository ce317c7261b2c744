//! What this node says to those who compare.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::IDS_MAX;
use fsdfs_proto::message::repair::{CompareState, Holding, HoldingsReply, HoldingsRequest, PrintsReply, PrintsRequest};
use fsdfs_proto::record::RecordInfo;

use crate::engine::blocks::accept::receipt_of;
use crate::engine::blocks::holdings::{HeldRecord, Holdings};
use crate::engine::context::Context;
use crate::seam::DiskRequest;

/// Blocks that both are assigned.
pub(super) const CLASS_ASSIGNED: u8 = 0;

/// Whether this node and that one are both assigned it.
pub(super) fn is_shared(cx: &Context, node: NodeId, info: &RecordInfo) -> bool {
    let Some(redundancy) = HeldRecord::of(info).redundancy else { return false };
    let holders = cx.map.holders(info.id, redundancy.copies());
    [cx.me, node].iter().all(|both| holders.iter().any(|holder| holder.node == *both))
}

/// And heads need it: the sums are of such.
pub(super) fn is_compared(cx: &Context, node: NodeId, info: &RecordInfo) -> bool {
    !cx.unneeded.is_apart(info.id) && is_shared(cx, node, info)
}

/// What is said about this node's sums.
pub(super) fn prints_reply(cx: &Context, holdings: &Holdings, from: NodeId, asked: &PrintsRequest) -> PrintsReply {
    let (request, map) = (asked.request, cx.map_digest);
    let say = |state, sums| PrintsReply { request, map, state, sums };
    if asked.map != map {
        return say(CompareState::OtherMap, Vec::new());
    }
    let table = holdings
        .tables()
        .filter(|_| asked.class == CLASS_ASSIGNED && !cx.duplicate_identity)
        .and_then(|tables| tables.of(from));
    let Some(table) = table else { return say(CompareState::NotYet, Vec::new()) };
    if asked.prefixes.is_empty() {
        return say(CompareState::Here, vec![table.all()]);
    }
    let sums: Option<Vec<_>> = asked.prefixes.iter().map(|prefix| table.children(prefix)).collect();
    match sums {
        Some(sums) => say(CompareState::Here, sums.concat()),
        None => say(CompareState::NotSoFine, Vec::new()),
    }
}

/// What is listed for a question about a part; none: the answer is given at once.
pub(super) fn begin_holdings(
    cx: &Context,
    holdings: &Holdings,
    asked: &HoldingsRequest,
) -> Result<DiskRequest, HoldingsReply> {
    let say = |state| HoldingsReply { request: asked.request, state, items: Vec::new(), lacks: Vec::new(), next: None };
    if asked.map != cx.map_digest {
        return Err(say(CompareState::OtherMap));
    }
    if asked.class != CLASS_ASSIGNED || holdings.tables().is_none() || cx.duplicate_identity {
        return Err(say(CompareState::NotYet));
    }
    Ok(DiskRequest::List { after: asked.after, max: IDS_MAX })
}

/// What this node holds in a part and the asker does not, and the other way round.
pub(super) fn holdings_reply(
    cx: &Context,
    holdings: &Holdings,
    (from, asked): (NodeId, &HoldingsRequest),
    infos: &[RecordInfo],
) -> HoldingsReply {
    let mut reply = HoldingsReply {
        request: asked.request,
        state: CompareState::OtherMap,
        items: Vec::new(),
        lacks: Vec::new(),
        next: None,
    };
    let table = holdings.tables().filter(|_| asked.map == cx.map_digest).and_then(|tables| tables.of(from));
    let Some(table) = table else { return reply };
    reply.state = CompareState::Here;
    reply.next = infos.last().map(|info| info.id).filter(|last| infos.len() >= IDS_MAX && *last < asked.to);
    let named: BTreeMap<u64, usize> = asked.have.iter().enumerate().map(|(place, print)| (*print, place)).collect();
    let mut found = BTreeSet::new();
    for info in infos.iter().filter(|info| info.id <= asked.to && is_shared(cx, from, info)) {
        let redundancy = HeldRecord::of(info).redundancy.expect("what is shared was asked for");
        match named.get(&table.pair_key().print(info.id, redundancy).short()) {
            // What this node is about to delete it has still.
            Some(place) => {
                found.insert(*place);
            }
            None if cx.unneeded.is_apart(info.id) => {}
            None => reply.items.push(holding(cx, info)),
        }
    }
    debug_assert!(reply.items.len() <= IDS_MAX, "no more than were listed");
    let lacks = (0..asked.have.len()).filter(|place| !found.contains(place));
    reply.lacks = lacks.map(|place| u16::try_from(place).expect("no more than ids in a message")).collect();
    reply
}

/// What is said of a record.
pub(super) fn holding(cx: &Context, info: &RecordInfo) -> Holding {
    debug_assert!(info.len > 0, "no block is empty");
    let age_ms = |at: u64| cx.now.wall.saturating_sub(at);
    Holding {
        id: info.id,
        len: info.len,
        redundancy: HeldRecord::of(info).redundancy.expect("what is shared was asked for"),
        age_ms: age_ms(info.first_seen),
        lease_ms: age_ms(info.renewed),
        receipt: receipt_of(cx, info),
        flags: if cx.is_unneeded(info) { Holding::UNNEEDED } else { 0 },
    }
}
