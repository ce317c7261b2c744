//! Damaged bytes: in records, headers, footers, logs, and records hidden in blocks.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use fsdfs_core::seam::{ReadDone, WriteDone};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::record::{LogEntry, RecordHeader, RecordKind, SegmentHeader, SegmentMarker};

use super::rig::{DAY, RECEIPT, StoreRig, block, own};
use crate::store::disk::job::DiskJob;
use crate::store::error::StoreNotice;
use crate::store::fs::fake_fs::PowerCut;
use crate::store::index::IndexEntry;

const R2: Redundancy = Redundancy::Replicas(2);

/// Three sealed segments and an open one.
fn filled() -> StoreRig {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    for number in 0..12 {
        rig.write(&[(block(number, 2000), R2)]);
    }
    rig
}

fn segments(rig: &StoreRig) -> Vec<PathBuf> {
    rig.file_system.files("/disk/segments".as_ref())
}

fn len(rig: &StoreRig, path: &Path) -> usize {
    let mut len = 0;
    rig.file_system.tamper(path, |bytes| len = bytes.len());
    len
}

/// What the index knows of a block that is there.
fn entry(rig: &mut StoreRig, id: &BlockId) -> IndexEntry {
    rig.appender().disk.look_up(id).unwrap().unwrap()
}

/// Starts anew without the index, and nothing else lost.
fn rebuild(rig: &mut StoreRig) {
    rig.kill();
    rig.indexes = std::sync::Arc::default();
    rig.start().unwrap();
}

/// Nothing wrong is served; returns how many blocks are whole.
fn served(rig: &mut StoreRig, context: &str) -> usize {
    let mut whole = 0;
    for (id, (bytes, _)) in rig.promised.blocks.clone() {
        let mut done = rig.read(&id);
        if done == ReadDone::NotYet && rig.appender().disk.index().is_none() {
            // Another block's record stands where the index leads: it is given up, and made again.
            rig.appender().recover(Some("it failed".into()));
            done = rig.read(&id);
        }
        match done {
            ReadDone::Found(found) => {
                assert_eq!(*found.bytes(), bytes, "{context}");
                whole += 1;
            }
            ReadDone::Damaged | ReadDone::No => {}
            other => panic!("{context}: {other:?}"),
        }
    }
    whole
}

#[test]
fn a_flipped_byte_is_never_served_and_costs_one_block_at_most() {
    let rig = filled();
    let places: Vec<(PathBuf, usize)> = segments(&rig)
        .into_iter()
        .flat_map(|path| (0..len(&rig, &path)).step_by(37).map(move |at| (path.clone(), at)))
        .collect();
    assert!(segments(&rig).len() >= 3 && places.len() > 600);
    for (path, at) in places {
        let context = format!("byte {at} of {}", path.display());
        let mut rig = filled();
        rig.file_system.tamper(&path, |bytes| bytes[at] ^= 0x10);
        assert!(served(&mut rig, &context) >= 11, "{context}");
        // The same after the index was made anew from footers and records.
        rig.kill();
        rig.file_system.restart(PowerCut::Lose);
        rig.start().unwrap();
        assert!(served(&mut rig, &context) >= 11, "{context}, after a rebuild");
    }
}

/// What a broken controller, an old image or a careless hand may do to a file.
fn maul(rng: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    let (one, other) = (rng.usize(..=bytes.len()), rng.usize(..=bytes.len()));
    let (from, to) = (one.min(other), one.max(other));
    match rng.u8(..6) {
        0 => bytes[from..to].fill(0),
        1 => bytes[from..to].iter_mut().for_each(|byte| *byte = rng.u8(..)),
        2 => bytes.truncate(to),
        3 => drop(bytes.drain(from..to)),
        4 => bytes.extend_from_within(from..to),
        _ => {
            let copy = bytes[from..to].to_vec();
            let at = rng.usize(..=bytes.len());
            bytes.splice(at..at, copy);
        }
    }
}

#[test]
fn whatever_happens_to_segments_nothing_wrong_is_served_and_writing_goes_on() {
    for seed in 0..400 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut rig = filled();
        for _ in 0..rng.usize(1..=4) {
            let path = rng.choice(segments(&rig)).unwrap();
            rig.file_system.tamper(&path, |bytes| maul(&mut rng, bytes));
        }
        let context = format!("seed {seed}");
        served(&mut rig, &context);
        rig.kill();
        rig.file_system.restart(PowerCut::Lose);
        rig.start().unwrap();
        served(&mut rig, &context);
        assert_eq!(rig.write(&[(block(100, 2000), R2)]), [WriteDone::New], "{context}");
        rig.kill();
        rig.file_system.restart(PowerCut::Lose);
        rig.start().unwrap();
        assert!(matches!(rig.read(&block(100, 2000).id()), ReadDone::Found(_)), "{context}");
    }
}

#[test]
fn a_damaged_copy_is_set_aside_and_can_be_repaired() {
    let mut rig = filled();
    let id = block(3, 2000).id();
    let entry = rig.appender().disk.look_up(&id).unwrap().unwrap();
    let path = segments(&rig)[usize::try_from(entry.segment).unwrap() - 1].clone();
    let payload = usize::try_from(entry.offset).unwrap() + usize::from(entry.head_len);
    rig.file_system.tamper(&path, |bytes| bytes[payload + 100] ^= 1);

    assert_eq!(rig.read(&id), ReadDone::Damaged);
    let (segment, offset) = (entry.segment, entry.offset);
    assert!(rig.notices.lock().unwrap().iter().any(|notice| matches!(notice, StoreNotice::Damaged { .. })));
    rig.commit(vec![DiskJob::Quarantine { id, segment, offset }]);
    assert_eq!(rig.renew(&[id], R2), [Possession::No], "a damaged copy is no copy");

    // It stays quarantined when the index is made anew without reading payloads.
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    assert_eq!(rig.read(&id), ReadDone::Damaged);

    assert_eq!(rig.write(&[(block(3, 2000), R2)]), [WriteDone::New]);
    rig.check("repaired");
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    rig.check("repaired, index made anew");
}

#[test]
fn records_behind_damage_are_found() {
    let mut rig = filled();
    let open = segments(&rig).pop().unwrap();
    let (last, first) = (block(11, 2000).id(), block(9, 2000).id());
    assert_eq!(rig.appender().disk.look_up(&first).unwrap().unwrap().offset, 64, "the workload changed");
    rig.file_system.tamper(&open, |bytes| bytes[64..64 + 150].fill(0));
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    assert!(matches!(rig.read(&last), ReadDone::Found(_)));
    assert_eq!(rig.read(&first), ReadDone::No);
    assert!(rig.notices.lock().unwrap().iter().any(|notice| matches!(notice, StoreNotice::Skipped { .. })));
}

#[test]
fn a_record_hidden_in_a_block_is_not_believed() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let victim = block(1, 900);
    rig.write(&[(victim.clone(), R2)]);
    // Whoever gets a block stored knows the format, but not the segment's marker.
    let delete = RecordHeader {
        kind: RecordKind::Delete,
        flags: 0,
        payload_len: 0,
        id: victim.id(),
        sequence: u64::MAX,
        first_seen: 0,
        renewed: 0,
        receipt: RECEIPT,
        redundancies: Vec::new(),
        payload_crc: 0,
    };
    let planted = delete.encode(b"guessed!").repeat(8);
    let planted = Block::new(Bytes::from(planted));
    rig.write(&[(planted.clone(), R2), (block(2, 900), R2)]);
    let entry = rig.appender().disk.look_up(&planted.id()).unwrap().unwrap();
    let offset = usize::try_from(entry.offset).unwrap();
    rig.file_system.tamper(&segments(&rig)[0], |bytes| bytes[offset + 30] ^= 1);
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    assert!(matches!(rig.read(&victim.id()), ReadDone::Found(_)));
}

/// Two sealed segments and an open one that is nearly full.
fn filled_with_many() -> StoreRig {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    for number in 0..100 {
        // Of the last record that begins in the first 4096 bytes, some of the payload lies there.
        let block = block(number, 290);
        rig.write(&[(block.clone(), R2)]);
        let entry = entry(&mut rig, &block.id());
        if entry.segment == 3 && entry.offset > 5000 {
            return rig;
        }
    }
    panic!("the workload changed");
}

#[test]
fn a_bad_sector_at_the_beginning_of_a_segment_costs_what_it_hits() {
    let sector = block(999, 4096);
    let new = block(500, 300);
    for (segment, spoil_footer) in [(3_u64, false), (1, false), (1, true)] {
        let context = format!("segment {segment}, its footer damaged: {spoil_footer}");
        let mut rig = filled_with_many();
        let ids: Vec<BlockId> = rig.promised.blocks.keys().copied().collect();
        let entries: Vec<(BlockId, IndexEntry)> = ids.into_iter().map(|id| (id, entry(&mut rig, &id))).collect();
        let here = entries.iter().filter(|(_, entry)| entry.segment == segment).map(|(_, entry)| entry.offset);
        let behind = here.filter(|offset| *offset >= 4096).min().unwrap();
        let path = segments(&rig)[usize::try_from(segment).unwrap() - 1].clone();
        let whole = len(&rig, &path);
        rig.file_system.tamper(&path, |bytes| {
            bytes[..4096].copy_from_slice(sector.bytes());
            *bytes.last_mut().unwrap() ^= u8::from(spoil_footer);
        });
        rebuild(&mut rig);

        // A footer still says which blocks were hit; without one only how many bytes are lost is known.
        let listed = segment == 1 && !spoil_footer;
        for (id, IndexEntry { segment: at, offset, .. }) in &entries {
            let done = rig.read(id);
            let fits = match (*at == segment && *offset < behind, listed) {
                (false, _) => matches!(done, ReadDone::Found(_)),
                (true, true) => done == ReadDone::Damaged,
                (true, false) => done == ReadDone::No,
            };
            assert!(fits, "{context}: {done:?} at {offset} of segment {at}");
        }
        let told = rig.notices.lock().unwrap().iter().any(|notice| match notice {
            StoreNotice::Damaged { segment: at, .. } => listed && *at == segment,
            StoreNotice::Skipped { segment: at, bytes, .. } => !listed && *at == segment && *bytes == behind - 64,
            _ => false,
        });
        assert!(told, "{context}");

        assert_eq!(rig.write(&[(new.clone(), R2)]), [WriteDone::New], "{context}");
        assert_ne!(entry(&mut rig, &new.id()).segment, segment, "{context}");
        assert_eq!(len(&rig, &path), whole, "{context}");
        rebuild(&mut rig);
        assert!(matches!(rig.read(&new.id()), ReadDone::Found(_)), "{context}");
    }
}

#[test]
fn a_planted_marker_is_outweighed() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let victim = block(1, 900);
    rig.write(&[(victim.clone(), R2), (block(2, 6000), R2)]);
    let delete = record(b"guessed!", RecordKind::Delete, victim.id(), 1000, b"");
    let planted = |times| Block::new(Bytes::from(delete.repeat(times)));
    // Together they outweigh the rest, but the record around the second stays whole.
    let (bare, covered, last) = (planted(8), planted(25), block(3, 300));
    rig.write(&[(bare.clone(), R2), (covered.clone(), R2), (last.clone(), R2)]);
    let first = entry(&mut rig, &bare.id());
    assert_eq!((first.segment, first.offset), (2, 64), "the workload changed");
    rig.file_system.tamper(&segments(&rig)[1], |bytes| bytes[..64 + 30].fill(0));
    rebuild(&mut rig);
    for id in [victim.id(), covered.id(), last.id()] {
        assert!(matches!(rig.read(&id), ReadDone::Found(_)));
    }
    assert_eq!(rig.read(&bare.id()), ReadDone::No);
}

#[test]
fn a_flood_of_planted_markers_hides_nothing() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let kept = [block(1, 300), block(2, 300)];
    rig.write(&[(block(3, 300), R2)]);
    let before = record(b"any one!", RecordKind::Block, kept[0].id(), 1, kept[0].bytes());
    let behind = record(b"any one!", RecordKind::Block, kept[1].id(), 2, kept[1].bytes());
    let plant = |marker: u64| record(&marker.to_be_bytes(), RecordKind::Delete, kept[0].id(), 9, b"");
    let flood: Vec<u8> = (0..70_000).flat_map(plant).collect();
    rig.file_system.tamper(&segments(&rig)[0], |bytes| *bytes = [&[0_u8; 94][..], &before, &flood, &behind].concat());
    rebuild(&mut rig);
    for block in kept {
        assert!(matches!(rig.read(&block.id()), ReadDone::Found(_)));
    }
}

#[test]
fn a_marker_is_found_behind_any_stretch_of_garbage() {
    /// Where the first piece that is looked through ends.
    const BORDER: usize = 64 + 256 * 1024;
    let mut rng = fastrand::Rng::with_seed(1);
    let garbage: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(BORDER + 200).collect();
    let kept = block(1, 300);
    let behind = record(b"any one!", RecordKind::Block, kept.id(), 1, kept.bytes());
    for gap in (64..200).step_by(17).chain((BORDER - 500..BORDER + 200).step_by(23)) {
        let mut rig = StoreRig::new();
        rig.start().unwrap();
        rig.write(&[(kept.clone(), R2)]);
        rig.file_system.tamper(&segments(&rig)[0], |bytes| *bytes = [&garbage[..gap], &behind].concat());
        rebuild(&mut rig);
        assert!(matches!(rig.read(&kept.id()), ReadDone::Found(_)), "behind {gap} bytes");
    }
}

#[test]
fn no_two_segments_share_a_marker() {
    let rig = filled();
    let mut markers = Vec::new();
    for path in segments(&rig) {
        rig.file_system.tamper(&path, |bytes| markers.push(SegmentHeader::decode(bytes).unwrap().marker));
    }
    let segments = markers.len();
    markers.sort_unstable();
    markers.dedup();
    assert_eq!(markers.len(), segments);
    assert!(!markers.contains(&[0; 8]));
}

/// A record as it would lie in the segment with this header.
fn record(marker: &SegmentMarker, kind: RecordKind, id: BlockId, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let header = RecordHeader {
        kind,
        flags: 0,
        payload_len: u32::try_from(payload.len()).unwrap(),
        id,
        sequence,
        first_seen: 5,
        renewed: 1_000 * DAY + 7,
        receipt: RECEIPT,
        redundancies: vec![R2],
        payload_crc: crc32fast::hash(payload),
    };
    [&header.encode(marker)[..], payload].concat()
}

#[test]
fn a_damaged_copy_does_not_displace_a_good_one() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let good = block(1, 500);
    rig.write(&[(good.clone(), R2), (block(2, 500), R2)]);
    rig.kill();
    rig.file_system.tamper(&segments(&rig)[0], |bytes| {
        let marker = SegmentHeader::decode(bytes).unwrap().marker;
        let mut torn = record(&marker, RecordKind::Block, good.id(), 100, good.bytes());
        *torn.last_mut().unwrap() ^= 1;
        bytes.extend(torn);
        bytes.extend(record(&marker, RecordKind::Renewal, block(2, 500).id(), 101, b""));
    });
    rig.start().unwrap();
    rig.check_started("a second, damaged copy");
    assert!(rig.notices.lock().unwrap().iter().any(|notice| matches!(notice, StoreNotice::Damaged { .. })));
}

#[test]
fn condemned_revived_deleted_and_unknown_records_are_understood() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let [kept, condemned, revived, deleted] = [1, 2, 3, 4].map(|number| block(number, 500));
    for block in [&kept, &condemned, &revived, &deleted] {
        rig.write(&[(block.clone(), R2)]);
    }
    rig.kill();
    let path = segments(&rig)[0].clone();
    rig.file_system.tamper(&path, |bytes| {
        let marker = SegmentHeader::decode(bytes).unwrap().marker;
        let record = |kind, id, sequence, payload| record(&marker, kind, id, sequence, payload);
        bytes.extend(record(RecordKind::Condemn, condemned.id(), 100, b""));
        bytes.extend(record(RecordKind::Condemn, revived.id(), 101, b""));
        bytes.extend(record(RecordKind::Unknown(200), kept.id(), 102, b"of a later version"));
        bytes.extend(record(RecordKind::Renewal, revived.id(), 103, b""));
        bytes.extend(record(RecordKind::Delete, deleted.id(), 104, b""));
        bytes.extend(record(RecordKind::Renewal, deleted.id(), 105, b""));
    });
    rig.start().unwrap();
    for block in [&kept, &condemned, &revived] {
        assert!(matches!(rig.read(&block.id()), ReadDone::Found(_)));
    }
    assert_eq!(rig.read(&deleted.id()), ReadDone::No);
    let held = |rig: &mut StoreRig, block: &Block| rig.appender().disk.look_up(&block.id()).unwrap().unwrap().is_held();
    assert!(held(&mut rig, &kept) && held(&mut rig, &revived) && !held(&mut rig, &condemned));
    let condemned_at = rig.appender().disk.look_up(&condemned.id()).unwrap().unwrap().renewed;
    let written_at = rig.appender().disk.look_up(&kept.id()).unwrap().unwrap().renewed;
    assert_eq!(condemned_at, 1_000 * DAY + 7, "as the record says");
    assert_ne!(condemned_at, written_at, "its time is that of the condemn record, over a start");
    assert_eq!(rig.renew(&[condemned.id()], R2), [Possession::Yes]);
    assert!(held(&mut rig, &condemned), "a renewal revives");
    assert!(rig.appender().next_sequence > 105);
}

#[test]
fn a_damaged_log_loses_one_entry_and_its_copy_has_it() {
    let entries: Vec<LogEntry> = (0..20).map(own).collect();
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    entries.iter().for_each(|entry| assert!(rig.log(std::slice::from_ref(entry))));
    rig.kill();
    let home = rig.file_system.files("/home/log".as_ref()).pop().unwrap();
    for at in 0..len(&rig, &home) {
        rig.file_system.tamper(&home, |bytes| bytes[at] ^= 4);
        rig.start().unwrap();
        rig.check_started(&format!("byte {at}, with the copy"));
        rig.kill();
        rig.file_system.tamper(&home, |bytes| bytes[at] ^= 4);
    }
    rig.file_system.unmount("/disk".as_ref());
    for at in (0..len(&rig, &home)).step_by(5) {
        rig.file_system.tamper(&home, |bytes| bytes[at] ^= 4);
        let (_, kept) =
            crate::store::log::LogFolder::open(std::sync::Arc::new(rig.file_system.clone()), "/home/log".into())
                .unwrap();
        assert!(kept.len() >= 19, "byte {at}: {} of 20", kept.len());
        rig.file_system.tamper(&home, |bytes| bytes[at] ^= 4);
    }
}

#[test]
fn logs_of_a_newer_version_are_not_touched() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.log(&[own(1)]);
    rig.kill();
    let home = rig.file_system.files("/home/log".as_ref()).pop().unwrap();
    rig.file_system.tamper(&home, |bytes| {
        bytes[8] = 9;
        let crc = crc32fast::hash(&bytes[..20]);
        bytes[20..24].copy_from_slice(&crc.to_be_bytes());
    });
    assert!(rig.start().unwrap_err().to_string().contains("update fsdfs"));
}

#[test]
fn unfinished_bytes_at_the_end_are_cut_off() {
    let mut rig = filled();
    rig.kill();
    let open = segments(&rig).pop().unwrap();
    let whole = len(&rig, &open);
    for torn in [vec![0; 5000], vec![0xff; 1], vec![7; 700]] {
        rig.file_system.tamper(&open, |bytes| bytes.extend(&torn));
        rig.start().unwrap();
        rig.check_started("torn tail");
        assert_eq!(len(&rig, &open), whole);
        rig.kill();
    }
    assert!(
        rig.notices.lock().unwrap().iter().any(|notice| matches!(notice, StoreNotice::TornTail { bytes: 5000, .. }))
    );
}

#[test]
fn what_was_reported_at_a_start_is_durable() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.log(&[own(1)]);
    // Killed between the write and the sync of the home log.
    rig.file_system.cut_after(2);
    assert!(!rig.log(&[own(2)]));
    rig.kill();
    rig.file_system.power_without_loss();
    rig.start().unwrap();
    assert!(rig.entries().contains(&own(2)));
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    assert!(rig.entries().contains(&own(2)), "once shown, it stays");
}
