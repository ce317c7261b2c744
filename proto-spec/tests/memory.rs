//! How often a piece of a file is copied: counted in bytes that are allocated, for a copy needs a place.

use allocation_counter::measure;
use fsdfs_proto::block::PAYLOAD_BYTES_MAX;
use fsdfs_proto::ids::{Key, VolumeId};
use fsdfs_proto::volume::{ChunkBuffer, VolumeKeys, open_data, open_data_in_place, seal_data};

const VOLUME: VolumeId = VolumeId([1; 32]);
/// Headers, reference counts, hash states: far less than a piece of a file.
const SMALL_BYTES: u64 = 4096;
const PIECE_BYTES: u64 = PAYLOAD_BYTES_MAX as u64;

fn keys() -> VolumeKeys {
    VolumeKeys::from_write_secret(VOLUME, u32::MAX, Key([2; 32]))
}

/// Bytes allocated in all, and kept at the end.
fn allocated<T>(job: impl FnOnce() -> T) -> (T, u64, i64) {
    let mut done = None;
    let counted = measure(|| done = Some(job()));
    (done.unwrap(), counted.bytes_total, counted.bytes_current)
}

#[test]
fn a_piece_is_sealed_where_it_lies() {
    let keys = keys();
    let (chunk, bytes, _) = allocated(|| {
        let mut chunk = ChunkBuffer::with_capacity(PAYLOAD_BYTES_MAX);
        (0..16).for_each(|part| chunk.extend_from_slice(&[part; PAYLOAD_BYTES_MAX / 16]));
        chunk
    });
    assert!((PIECE_BYTES..PIECE_BYTES + SMALL_BYTES).contains(&bytes), "gathered in one buffer: {bytes} bytes");
    let plaintext = chunk.plaintext().to_vec();
    let ((block, at), bytes, _) = allocated(|| chunk.seal(keys.writer().unwrap()));
    assert!(bytes < SMALL_BYTES, "sealed without another: {bytes} bytes");
    assert_eq!((block, at), seal_data(keys.writer().unwrap(), &plaintext));
}

#[test]
fn a_short_last_piece_keeps_no_more_memory_than_it_needs() {
    let keys = keys();
    let ((block, _), _, kept) = allocated(|| {
        let mut chunk = ChunkBuffer::with_capacity(0);
        chunk.reserve_to(PAYLOAD_BYTES_MAX);
        chunk.extend_from_slice(b"the rest");
        chunk.seal(keys.writer().unwrap())
    });
    assert!(kept < 1024, "{kept} bytes for a block of {}", block.bytes().len());
}

#[test]
fn a_piece_that_nobody_else_holds_is_opened_where_it_lies() {
    let keys = keys();
    let plaintext = vec![3; PAYLOAD_BYTES_MAX];
    let (block, at) = seal_data(keys.writer().unwrap(), &plaintext);
    let (opened, bytes, _) = allocated(|| open_data(VOLUME, at, &block).unwrap());
    assert!((PIECE_BYTES..PIECE_BYTES + SMALL_BYTES).contains(&bytes), "one buffer: {bytes} bytes");
    assert_eq!(opened, plaintext);
    let other = block.clone();
    let (opened, bytes, _) = allocated(|| open_data_in_place(VOLUME, at, block).unwrap());
    assert!((PIECE_BYTES..PIECE_BYTES + SMALL_BYTES).contains(&bytes), "somebody else holds it: {bytes} bytes");
    assert_eq!(opened, plaintext);
    let (opened, bytes, _) = allocated(|| open_data_in_place(VOLUME, at, other).unwrap());
    assert!(bytes < SMALL_BYTES, "no buffer: {bytes} bytes");
    assert_eq!(opened, plaintext);
}

#[test]
fn a_memory_permit_goes_with_the_last_block_or_with_its_opening() {
    let keys = keys();
    let (block, at) = seal_data(keys.writer().unwrap(), b"content");
    let permit = std::sync::Arc::new(());
    let held = || std::sync::Arc::strong_count(&permit) - 1;
    let block = block.guarded(permit.clone());
    let other = block.clone();
    drop(block.unguarded());
    assert_eq!(held(), 1, "the other one still holds it");
    let opened = open_data_in_place(VOLUME, at, other).unwrap();
    assert_eq!((held(), &opened[..]), (0, &b"content"[..]), "plaintext is accounted for by whoever asked for it");
}
