//! The candidates of a block are the servers that Kademlia calls the nearest.

use fsdfs_core::placement::{ClusterMap, MapDisk, MapServer};
use fsdfs_proto::ids::{BlockId, DiskId, NodeId};
use libp2p::kad::KBucketKey;

fn server(number: u8) -> MapServer {
    let disks = vec![MapDisk { id: DiskId([number; 16]), weight: 1 }];
    MapServer { id: NodeId([number; 32]), site: String::new(), branch: None, disks }
}

#[test]
fn candidates_are_the_nearest_by_kademlias_distance() {
    let servers: Vec<MapServer> = (0..200).map(server).collect();
    let view = ClusterMap::new(servers.clone());
    for text in ["one", "two", "three", "four", "five"] {
        // A block's id is a hash and so are Kademlia's keys: they lie in one space.
        let key = KBucketKey::new(text.as_bytes().to_vec());
        let block = BlockId::try_from(key.hashed_bytes()).unwrap();
        let mut nearest: Vec<NodeId> = servers.iter().map(|server| server.id).collect();
        nearest.sort_by_key(|id| KBucketKey::new(id.as_bytes().to_vec()).distance(&key));
        nearest.truncate(20);
        nearest.sort();
        let mut candidates = view.nearest(block, 20);
        candidates.sort();
        assert_eq!(candidates, nearest, "nearest to {text}");
    }
}
