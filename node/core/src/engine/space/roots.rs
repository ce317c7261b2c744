//! What is walked from: the states of a volume of which this node keeps everything.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::volume::{BlockLink, CommitView};

use crate::engine::context::Context;
use crate::engine::volume::{LocalHeads, StateFloor};

/// The states of one volume. Each stands for those that it names, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct VolumeRoots {
    /// Commits that stand, whether or not they can be used: those that are published, and this node's own that are not. A head brings its
    /// commit along, so its links are known.
    pub heads: BTreeMap<BlockId, Vec<BlockLink>>,
    /// The same of what stood before a head came that cannot be used.
    pub replaced: BTreeMap<BlockId, Vec<BlockLink>>,
    /// Commits that stood here at the end of an hour, whatever the heads name.
    pub floor: BTreeSet<BlockId>,
}

/// Of all volumes that this node knows of.
pub(super) fn roots(cx: &Context, heads: &LocalHeads, floor: &StateFloor) -> BTreeMap<VolumeId, VolumeRoots> {
    let mut volumes: BTreeSet<VolumeId> = cx.facts.volumes().into_iter().collect();
    volumes.extend(heads.volumes());
    let of = |volume: VolumeId| {
        let standing = heads.standing(cx, volume);
        let left_out = cx.facts.heads_left_out(volume);
        let all = standing.iter().chain(&left_out).filter_map(|head| commit_of(head.value())).collect();
        let replaced = heads.quarantine.remembered(volume).filter_map(|head| commit_of(head.value())).collect();
        (volume, VolumeRoots { heads: all, replaced, floor: floor.states(volume) })
    };
    volumes.into_iter().map(of).collect()
}

fn commit_of(head: &Head) -> Option<(BlockId, Vec<BlockLink>)> {
    CommitView::of_head(head).ok().map(|view| (view.id, view.links))
}
