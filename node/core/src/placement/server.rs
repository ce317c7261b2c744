//! Servers, disks and holders: what the map is made of.

use fsdfs_proto::ids::{DiskId, NodeId};
use fsdfs_proto::placement::position;

/// A disk as placement sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapDisk {
    /// Unique in the map.
    pub id: DiskId,
    /// Whole GiB (test pools: a smaller unit); 0 = drained.
    pub weight: u32,
}

/// A server as placement sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapServer {
    /// Its node id.
    pub id: NodeId,
    /// Its site, as on its card.
    pub site: String,
    /// The invitation branch that it shares with others, if nobody with a rank vouches for it.
    pub branch: Option<NodeId>,
    /// Its disks.
    pub disks: Vec<MapDisk>,
}

/// A holder: a server and the disk of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockHolder {
    /// Which server.
    pub node: NodeId,
    /// Which of its disks.
    pub disk: DiskId,
}

impl MapServer {
    /// The sum of its disks.
    pub fn weight(&self) -> u64 {
        self.disks.iter().map(|disk| u64::from(disk.weight)).sum()
    }

    /// A server that does not exist yet, with one disk. The same name always gets the same ids.
    pub fn imagined(name: &str, site: &str, weight: u32) -> Self {
        let mut id = NodeId([0; 32]);
        for (place, byte) in name.bytes().enumerate() {
            id.0[place % 32] ^= byte;
            id = NodeId(position(id));
        }
        let disk = position(NodeId(position(id)));
        let (disk, _) = disk.split_first_chunk().expect("32 bytes begin with 16");
        Self { id, site: site.into(), branch: None, disks: vec![MapDisk { id: DiskId(*disk), weight }] }
    }
}
