//! What a router answers, and whoever else can send packets from its address.

use fsdfs_node::net::read_port_map_answer;

/// A packet as it comes.
pub fn portmap(data: &[u8]) {
    let _ = read_port_map_answer(data);
}
