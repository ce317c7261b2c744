//! What placement hashes (spec 03-placement, "seed" and section 5). The function itself is a decision and lives in the core.

use sha2::{Digest as _, Sha256};

use crate::ids::{DiskId, NodeId};
use crate::label::place;

/// Where a disk's pseudo-random numbers start.
pub fn disk_seed(disk: DiskId) -> u64 {
    seed(place::DISK, disk.as_bytes())
}

/// Where a site's pseudo-random numbers start. The sites of a branch are its own, whatever they are called.
pub fn site_seed(branch: Option<NodeId>, site: &str) -> u64 {
    let branch = branch.map(|branch| branch.0);
    seed(place::SITE, &[branch.as_ref().map_or(&[][..], |id| &id[..]), site.as_bytes()].concat())
}

/// Where a branch's pseudo-random numbers start.
pub fn branch_seed(branch: NodeId) -> u64 {
    seed(place::BRANCH, branch.as_bytes())
}

/// The position of a server among the block ids: blocks look for candidates by XOR distance to it.
pub fn position(server: NodeId) -> [u8; 32] {
    Sha256::digest(server.as_bytes()).into()
}

fn seed(tag: &str, id: &[u8]) -> u64 {
    let hash: [u8; 32] = Sha256::new().chain_update(tag).chain_update(id).finalize().into();
    u64::from_be_bytes(*hash.first_chunk().expect("32 bytes begin with 8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_counted_bytes() {
        let counted: [u8; 16] = std::array::from_fn(|i| i as u8);
        assert_eq!(disk_seed(DiskId(counted)), 0xbc21_a5d5_dc19_318c);
        assert_eq!(seed(place::SITE, &counted), 0x2ee6_a091_dff9_e0b7);
    }
}
