//! What goes where when one map becomes another.

use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, NodeId};

use super::cluster_map::ClusterMap;
use super::server::BlockHolder;

/// A map and the target number of copies in it.
#[derive(Clone, Copy, Debug)]
pub struct PlacementRule<'a> {
    /// The map.
    pub view: &'a ClusterMap,
    /// N.
    pub copies: u8,
}

/// What a change moves, in bytes of the blocks that were counted.
///
/// ```
/// use fsdfs_core::placement::{ClusterMap, DataMovement, MapChange, MapServer, PlacementRule};
/// use fsdfs_proto::ids::BlockId;
///
/// let server = |name: &str| MapServer::imagined(name, name, 100);
/// let before = ClusterMap::new(vec![server("a"), server("b"), server("c")]);
/// let after = before.with(MapChange::Join(server("d")))?;
/// let blocks = (0..1_000u32).map(|nr| (BlockId::of(&nr.to_be_bytes()), 1));
/// let rule = |view| PlacementRule { view, copies: 2 };
/// let moved = DataMovement::between(rule(&before), rule(&after), blocks);
/// // A newcomer with a quarter of the space takes about a quarter of the 2,000 copies, and nothing is lost.
/// assert!((400..600).contains(&moved.copied) && moved.lost == 0);
/// # Ok::<(), fsdfs_core::placement::MapChangeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataMovement {
    /// By server of either map; servers that nothing concerns are left out.
    pub servers: BTreeMap<NodeId, ServerFlow>,
    /// Copied from server to server.
    pub copied: u64,
    /// Of blocks none of whose holders is in the new map, counted once for each block: there is no source to copy them from.
    pub lost: u64,
}

/// What a change means for one server, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerFlow {
    /// Comes in.
    pub receives: u64,
    /// Goes out, if all old holders of a block that are in the new map share the work of copying it. A drained server is one of them.
    pub uploads: u64,
    /// Is assigned to it no longer: may be deleted.
    pub frees: u64,
    /// Goes from one of its disks to another.
    pub shifts: u64,
}

impl DataMovement {
    /// What moves when `before` becomes `after` and every block lies where `before` assigns it. `blocks`: ids and lengths in bytes.
    pub fn between(
        before: PlacementRule<'_>,
        after: PlacementRule<'_>,
        blocks: impl IntoIterator<Item = (BlockId, u64)>,
    ) -> Self {
        let mut moves = Self::default();
        for (id, bytes) in blocks {
            let (old, new) = (before.view.holders(id, before.copies), after.view.holders(id, after.copies));
            let sources: Vec<NodeId> = nodes(&old).filter(|node| after.view.server(*node).is_some()).collect();
            moves.count(&old, &new, &sources, bytes);
        }
        moves
    }

    fn count(&mut self, old: &[BlockHolder], new: &[BlockHolder], sources: &[NodeId], bytes: u64) {
        if sources.is_empty() && !old.is_empty() {
            self.lost += bytes;
        }
        for holder in old.iter().filter(|holder| nodes(new).all(|node| node != holder.node)) {
            self.of(holder.node).frees += bytes;
        }
        for holder in new {
            match old.iter().find(|other| other.node == holder.node) {
                Some(same) if same.disk == holder.disk => {}
                Some(_) => self.of(holder.node).shifts += bytes,
                None => self.copy(holder.node, sources, bytes),
            }
        }
    }

    fn copy(&mut self, to: NodeId, sources: &[NodeId], bytes: u64) {
        let Some(among) = u64::try_from(sources.len()).ok().filter(|count| *count > 0) else { return };
        self.copied += bytes;
        self.of(to).receives += bytes;
        for (place, source) in (0..).zip(sources) {
            self.of(*source).uploads += bytes / among + u64::from(place < bytes % among);
        }
    }

    fn of(&mut self, node: NodeId) -> &mut ServerFlow {
        self.servers.entry(node).or_default()
    }
}

fn nodes(holders: &[BlockHolder]) -> impl Iterator<Item = NodeId> {
    holders.iter().map(|holder| holder.node)
}
