use std::collections::BTreeMap;

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::volume::{VolumeKeys, seal_data};

use super::super::content::{FileReader, FileWriter, NextPart, NextStretch};
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

fn content_is_tree(content: &FileContent) -> bool {
    matches!(content, FileContent::Tree { .. })
}

/// Chunks of zeros as holes, the others with a block each.
fn write_sparse(keys: &VolumeKeys, params: TreeParams, data: &[u8]) -> (FileContent, u64, BTreeMap<BlockId, Block>) {
    let keys = keys.writer().unwrap();
    let mut writer = FileWriter::new(keys.clone(), params, 3);
    let mut store = BTreeMap::new();
    let mut holes = 0;
    for chunk in data.chunks(params.chunk_bytes) {
        if chunk.len() == params.chunk_bytes && chunk.iter().all(|byte| *byte == 0) {
            holes += 1;
            continue;
        }
        let (block, at) = seal_data(keys, chunk);
        let manifests = if holes > 0 { writer.push_hole(std::mem::take(&mut holes)) } else { Vec::new() };
        for block in manifests.into_iter().chain([block]).chain(writer.push(at, chunk.len())) {
            store.insert(block.id(), block);
        }
    }
    if holes > 0 {
        writer.push_hole(holes).into_iter().for_each(|block| drop(store.insert(block.id(), block)));
    }
    let (content, size, blocks) = writer.finish();
    blocks.into_iter().for_each(|block| drop(store.insert(block.id(), block)));
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
            NextPart::Bytes(bytes) => {
                assert!(bytes.is_empty() || !content_is_tree(content) || bytes.iter().all(|byte| *byte == 0));
                read.extend(bytes);
            }
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

#[test]
fn holes_have_no_blocks_and_read_as_zeros() {
    // Which chunks of 64 bytes have data; the fan-out is 3.
    for (chunks, data) in [
        (1, &[][..]),
        (3, &[]),
        (4, &[]),
        (9, &[1]),
        (27, &[26]),
        (28, &[0]),
        (81, &[40]),
        (100, &[0, 1, 50, 99]),
        (244, &[243]),
    ] {
        let mut bytes = vec![0; chunks * 64];
        data.iter().for_each(|chunk| bytes[chunk * 64 + 7] = 1);
        let (content, size, store) = write_sparse(&keys(), TINY, &bytes);
        assert_eq!(size, bytes.len() as u64);
        let end = bytes.len();
        for range in [0..end, end / 2..end, end / 3..(end / 3 + 70).min(end), 7..9, end - 1..end + 5] {
            let expected = &bytes[range.start.min(end)..range.end.min(end)];
            let (found, _) = read(&content, size, &store, range.start as u64..range.end as u64).unwrap();
            assert_eq!(found, expected, "{chunks} {data:?} {range:?}");
        }
        let depth = 64 - u64::leading_zeros(chunks as u64);
        assert!(store.len() <= 1 + data.len() * (1 + depth as usize), "{chunks} {data:?}: {} blocks", store.len());
        assert_eq!(stretches(&content, size, &store), expected_stretches(&bytes), "{chunks} {data:?}");
    }
}

/// Neighbours joined: where holes are.
fn stretches(content: &FileContent, size: u64, store: &BTreeMap<BlockId, Block>) -> Vec<std::ops::Range<u64>> {
    let mut reader = FileReader::new(keys().volume, content, size, 0..size);
    let mut holes: Vec<std::ops::Range<u64>> = Vec::new();
    loop {
        match reader.next_stretch() {
            NextStretch::End => return holes,
            NextStretch::Data(_) => {}
            NextStretch::Manifest(at) => reader.give(&store[&at.id]).unwrap(),
            NextStretch::Hole(hole) => match holes.last_mut().filter(|last| last.end == hole.start) {
                Some(last) => last.end = hole.end,
                None => holes.push(hole),
            },
        }
    }
}

fn expected_stretches(bytes: &[u8]) -> Vec<std::ops::Range<u64>> {
    let mut holes: Vec<std::ops::Range<u64>> = Vec::new();
    for (number, _) in bytes.chunks(64).enumerate().filter(|(_, chunk)| chunk.iter().all(|byte| *byte == 0)) {
        let hole = number as u64 * 64..(number as u64 + 1) * 64;
        match holes.last_mut().filter(|last| last.end == hole.start) {
            Some(last) => last.end = hole.end,
            None => holes.push(hole),
        }
    }
    holes
}

#[test]
fn a_hole_of_any_size_costs_the_depth() {
    let keys = keys();
    let params = TreeParams::DEFAULT;
    let mut writer = FileWriter::new(keys.writer().unwrap().clone(), params, 3);
    let (block, at) = seal_data(keys.writer().unwrap(), &[7; 1 << 20]);
    let mut blocks = writer.push_hole(1 << 40);
    blocks.extend(writer.push(at, 1 << 20));
    blocks.extend(writer.push_hole(1 << 41));
    let (content, size, last) = writer.finish();
    blocks.extend(last);
    assert_eq!(size, ((1 << 40) + 1 + (1 << 41)) << 20);
    assert!(blocks.len() < 12, "{}", blocks.len());
    let store = blocks.into_iter().chain([block]).map(|block| (block.id(), block)).collect();
    let found = read(&content, size, &store, (1 << 60) - 1..(1 << 60) + 2).unwrap().0;
    assert_eq!(found, [0, 7, 7]);
}
