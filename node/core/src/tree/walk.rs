//! All blocks that the visible links of some heads lead to.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::codec::FormatError;
use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::{BlockLink, CommitView, LinkClass, header};

use super::BlockMap;

type ReachedBlocks = Vec<(BlockId, Redundancy)>;

/// Every block with the greatest redundancy that reached it, or what has to be fetched first. A commit itself deserves what its
/// tree does. Data blocks have no links, so they are counted without being read.
pub(super) fn walk(
    heads: &[Signed<Head>],
    blocks: &BlockMap,
) -> Result<Result<ReachedBlocks, Vec<BlockId>>, FormatError> {
    let mut reached = BTreeMap::new();
    let mut next = Vec::new();
    for head in heads {
        let CommitView { id, links, .. } = CommitView::of_head(head.value())?;
        let redundancy = links.iter().map(|link| link.redundancy).max().unwrap_or(Redundancy::Replicas(1));
        reach(&mut reached, id, redundancy);
        next.extend(links);
    }
    let (mut opened, mut missing) = (BTreeSet::new(), BTreeSet::new());
    while let Some(BlockLink { id, class, redundancy }) = next.pop() {
        reach(&mut reached, id, redundancy);
        if matches!(class, LinkClass::Leaf | LinkClass::Stripe) || !opened.insert(id) {
            continue;
        }
        match blocks.get(&id) {
            Some(block) => next.extend(header(block.bytes())?.links),
            None => {
                missing.insert(id);
            }
        }
    }
    Ok(if missing.is_empty() { Ok(reached.into_iter().collect()) } else { Err(missing.into_iter().collect()) })
}

fn reach(reached: &mut BTreeMap<BlockId, Redundancy>, id: BlockId, redundancy: Redundancy) {
    let known = reached.entry(id).or_insert(redundancy);
    *known = redundancy.max(*known);
}
