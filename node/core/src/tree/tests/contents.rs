use std::collections::BTreeMap;

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::volume::{VolumeKeys, seal_data};

use super::super::content::{FileReader, FileWriter, NextPart};
use super::{FileContent, TINY, TreeError, TreeParams, keys};

fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 + at / 97) as u8).collect()
}

fn write(keys: &VolumeKeys, params: TreeParams, data: &[u8]) -> (FileContent, u64, BTreeMap<BlockId, Block>) {
    let keys = keys.writer().unwrap();
    let mut writer = FileWriter::new(keys.clone(), params, 3);
    let mut store = BTreeMap::new();
    let mut keep = |block: Block| drop(store.insert(block.id(), block));
    for chunk in data.chunks(params.chunk_bytes) {
        let (block, at) = seal_data(keys, chunk);
        keep(block);
        writer.push(at, chunk.len()).into_iter().for_each(&mut keep);
    }
    let (content, size, blocks) = writer.finish();
    blocks.into_iter().for_each(keep);
    (content, size, store)
}

/// Reads a range; returns it and how many blocks that took.
fn read(
    content: &FileContent,
    size: u64,
    store: &BTreeMap<BlockId, Block>,
    range: std::ops::Range<u64>,
) -> Result<(Vec<u8>, usize), TreeError> {
    let mut reader = FileReader::new(keys().volume, content, size, range);
    let (mut read, mut blocks) = (Vec::new(), 0);
    loop {
        let ahead = reader.ahead(1);
        match reader.next_piece() {
            NextPart::Bytes(bytes) => read.extend(bytes),
            NextPart::Manifest(at) => {
                assert_eq!(ahead, [at]);
                blocks += 1;
                reader.give(&store[&at.id])?;
            }
            NextPart::Part(part) => {
                assert_eq!(ahead, [part.chunk]);
                blocks += 1;
                read.extend(part.open(store[&part.chunk.id].clone())?);
            }
            NextPart::End => return Ok((read, blocks)),
        }
    }
}

#[test]
fn files_of_all_sizes_read_back() {
    for size in [0, 1, 63, 64, 65, 191, 192, 193, 575, 576, 577, 64 * 27, 64 * 27 + 1, 64 * 81 + 5] {
        let data = bytes(size);
        let (content, len, store) = write(&keys(), TINY, &data);
        assert_eq!(len, size as u64);
        for range in [0..size, 0..size + 9, size / 2..size, size / 3..size / 3 + 70, size..size, size + 1..size + 2] {
            let expected = data.get(range.start.min(size)..range.end.min(size)).unwrap();
            let (found, _) = read(&content, len, &store, range.start as u64..range.end as u64).unwrap();
            assert_eq!(found, expected, "{size} {range:?}");
        }
    }
}

#[test]
fn the_depth_grows_with_the_size() {
    let depth = |size| match write(&keys(), TINY, &bytes(size)).0 {
        FileContent::Tree { depth, .. } => Some(depth),
        _ => None,
    };
    assert_eq!(
        [0, 1, 64, 65, 192, 193, 576, 577].map(depth),
        [None, Some(0), Some(0), Some(1), Some(1), Some(2), Some(2), Some(3)]
    );
}

#[test]
fn random_access_costs_the_depth() {
    let (content, size, store) = write(&keys(), TINY, &bytes(64 * 81));
    let FileContent::Tree { depth: 4, .. } = content else { panic!("{content:?}") };
    for at in (0..size).step_by(97) {
        assert_eq!(read(&content, size, &store, at..at + 1).unwrap().1, 5);
    }
}

#[test]
fn a_size_that_lies_is_refused() {
    let (content, size, store) = write(&keys(), TINY, &bytes(500));
    for wrong in [size - 1, size + 1, 64] {
        assert!(matches!(read(&content, wrong, &store, 0..wrong), Err(TreeError::Damaged(_))), "{wrong}");
    }
}
