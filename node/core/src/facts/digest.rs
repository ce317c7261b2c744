//! Two digests: over everything but heartbeats, and over what placement reads.

use fsdfs_proto::codec;
use fsdfs_proto::ids::{Digest, DiskId, NodeId};
use fsdfs_proto::label;

use super::set::FactSet;

impl FactSet {
    /// Over the ids of all facts but heartbeats. Equal digests: nothing to exchange.
    pub fn gossip_digest(&self) -> Digest {
        *self.gossip.get_or_init(|| {
            let ids: Vec<u8> = self.kept.facts.keys().flat_map(|id| id.0).collect();
            Digest::of(label::digest::GOSSIP, &ids)
        })
    }

    /// Over what placement reads: servers, disks, weights, the number of copies, the feature level. Equal digests: both
    /// nodes compute the same holders for every block.
    pub fn map_digest(&self) -> Digest {
        *self.map.get_or_init(|| {
            type DigestRow = (NodeId, String, Option<NodeId>, Vec<(DiskId, u32)>);
            let rows: Vec<DigestRow> = self
                .servers()
                .into_iter()
                .map(|server| {
                    let disks = server.disks.iter().map(|disk| (disk.id, disk.weight)).collect();
                    (server.id, server.site, server.branch, disks)
                })
                .collect();
            let map = (1u8, self.features(), self.rules().copies, rows);
            Digest::of(label::digest::MAP, &codec::encode(&map))
        })
    }
}
