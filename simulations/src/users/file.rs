//! Cutting and sealing files as the client does, in miniature.

use fsdfs_core::tree::{BlockRef, FileAttributes, FileContent, FileNode, TreeParams};
use fsdfs_proto::block::Block;
use fsdfs_proto::volume::{Manifest, WriteKeys, seal_data};

/// Names what one write wrote; no two writes share a number.
pub type WriteNumber = u64;

/// Bytes that tell which write they come from.
pub fn bytes_of(number: WriteNumber, len: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(number);
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize_with(len.max(bytes.len()), || rng.u8(..));
    bytes
}

/// The file as it goes into a directory, and the blocks to be made durable before.
pub fn seal(keys: &WriteKeys, params: TreeParams, copies: u8, bytes: &[u8]) -> (FileNode, Vec<Block>) {
    let file =
        |content| FileNode { attrs: FileAttributes { mode: 0o644, mtime_ns: 0 }, size: bytes.len() as u64, content };
    if bytes.len() <= params.inline_bytes {
        return (file(FileContent::Inline(bytes.to_vec().into())), Vec::new());
    }
    let mut blocks = Vec::new();
    let mut level: Vec<(BlockRef, usize)> = Vec::new();
    for chunk in bytes.chunks(params.chunk_bytes) {
        let (block, at) = seal_data(keys, chunk);
        blocks.push(block);
        level.push((at, chunk.len()));
    }
    let mut depth = 0;
    while level.len() > 1 {
        depth += 1;
        level = level
            .chunks(params.fan_out)
            .map(|pieces| manifest(keys, params, copies, depth, pieces, &mut blocks))
            .collect();
    }
    let root = level[0].0;
    (file(FileContent::Tree { root, depth }), blocks)
}

fn manifest(
    keys: &WriteKeys,
    params: TreeParams,
    copies: u8,
    level: u8,
    pieces: &[(BlockRef, usize)],
    blocks: &mut Vec<Block>,
) -> (BlockRef, usize) {
    let size: usize = pieces.iter().map(|(_, len)| len).sum();
    let small = |number: usize| u32::try_from(number).expect("simulated sizes are small");
    let manifest = Manifest {
        level,
        chunk_bytes: small(params.chunk_bytes),
        fan_out: small(params.fan_out),
        size: size as u64,
        children: pieces.iter().map(|(at, _)| Some(*at)).collect(),
    };
    let (block, at) = manifest.seal(keys, copies);
    blocks.push(block);
    (at, size)
}
