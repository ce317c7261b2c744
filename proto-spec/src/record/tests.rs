#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "one test writes the vectors it publishes, when asked to")]

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use serde_json::{Value, json};

use super::*;
use crate::codec::FormatError;
use crate::ids::{DiskId, DiskNonce, NodeId, PoolId, Signature, hex};
use crate::message::StripeShard;

const MARKER: SegmentMarker = *b"\x01\x02\x03\x04\x05\x06\x07\x08";

fn stripe(byte: u8) -> Redundancy {
    Redundancy::Stripe(StripeShard { stripe: BlockId([byte; 32]), index: 1, k: 4, m: 2 })
}

fn receipt(member: [u8; 32], signed: [u8; 32]) -> BlockReceipt {
    let signature = [signed, signed].concat().try_into().unwrap();
    BlockReceipt { member: NodeId(member), signature: Signature(signature) }
}

fn header(kind: RecordKind, payload: &[u8]) -> RecordHeader {
    RecordHeader {
        kind,
        flags: 0,
        payload_len: u32::try_from(payload.len()).unwrap(),
        id: BlockId::of(payload),
        sequence: 7,
        first_seen: 1_700_000_000_000,
        renewed: 1_700_000_000_001,
        receipt: receipt([9; 32], [8; 32]),
        redundancies: vec![Redundancy::Replicas(3), stripe(5)],
        payload_crc: crc32fast::hash(payload),
    }
}

fn segment() -> (SegmentHeader, RecordHeader, RecordHeader, Bytes, u64) {
    let first = header(RecordKind::Block, b"bytes of a block");
    let second =
        RecordHeader { sequence: 8, redundancies: vec![Redundancy::Replicas(2)], ..header(RecordKind::Renewal, b"") };
    let mut footer = SegmentFooter::default();
    let heads = [first.encode(&MARKER), second.encode(&MARKER)];
    footer.push(64, &heads[0]);
    let second_at = 64 + heads[0].len() as u64 + 16;
    footer.push(second_at, &heads[1]);
    let end = second_at + heads[1].len() as u64;
    let segment = SegmentHeader { disk: DiskId([3; 16]), number: 11, marker: MARKER };
    (segment, first, second, footer.encode(end, &MARKER), end)
}

fn unpublished() -> LogEntry {
    let head = [&b"\x94\x0c\xc4\x06a head\xc4\x40"[..], &[7; 64], b"\xc4\x20", &[8; 32]].concat();
    let head = crate::codec::decode(&head).unwrap();
    LogEntry::Unpublished(UnpublishedEntry { head, under_replicated: vec![BlockId([1; 32]), BlockId([2; 32])] })
}

fn observed() -> LogEntry {
    let member = |number: u8, quiet_ms, fell_ms, hours: [u8; WEEK_HOURS]| ObservedMember {
        node: NodeId([number; 32]),
        quiet_ms,
        fell_ms,
        hours: Bytes::copy_from_slice(&hours),
    };
    let members =
        vec![member(1, 0, None, [255; WEEK_HOURS]), member(2, 90_000_000, Some(89_940_000), [60; WEEK_HOURS])];
    LogEntry::Observed(Observation::Members(ObservedMembers { running_ms: 100_000_000, members }))
}

fn stood() -> LogEntry {
    let (volume, commit) = (VolumeId([1; 32]), BlockId([2; 32]));
    LogEntry::Stood(StoodState { volume, commit, from: 1_700_000_000_000, to: 1_700_003_600_000, reason: 0 })
}

fn superblock() -> Superblock {
    Superblock { pool: PoolId([1; 32]), nonce: DiskNonce([3; 16]), owner: NodeId([9; 32]), begun: 1_700_000_000_000 }
}

fn vectors() -> Value {
    let (segment, block, renewal, footer, records_end) = segment();
    let superblock = superblock();
    let disks = DiskList(vec![KnownDisk {
        disk: superblock.disk(),
        nonce: superblock.nonce,
        path: Bytes::from_static(b"/srv/\xff"),
    }]);
    let own = LogEntry::Own(OwnSequence { writer: Writer([6; 16]), seq: 300 });
    json!({
        "note": "hexadecimal; spec 06-store. Made once, obeyed since.",
        "marker": hex(&MARKER),
        "segment_header": hex(&segment.encode()),
        "block_payload": hex(b"bytes of a block"),
        "block_head": hex(&block.encode(&MARKER)),
        "renewal_head": hex(&renewal.encode(&MARKER)),
        "footer_records_end": records_end,
        "footer": hex(&footer),
        "superblock": hex(&superblock.encode()),
        "disk_list": hex(&disks.encode()),
        "log_header": hex(&LogHeader { marker: MARKER }.encode()),
        "log_frame_own": hex(&frame(&own, &MARKER).unwrap()),
        "log_frame_unpublished": hex(&frame(&unpublished(), &MARKER).unwrap()),
        "log_frame_observed": hex(&frame(&observed(), &MARKER).unwrap()),
        "log_frame_stood": hex(&frame(&stood(), &MARKER).unwrap()),
        "log_frame_of_a_later_version": hex(&frame(&LogEntry::Unknown(Bytes::from_static(b"\x92\x4d\x00")), &MARKER).unwrap()),
        "refused_record_heads": {
            "redundancies descending": hex(&RecordHeader { redundancies: vec![stripe(5), Redundancy::Replicas(3)], ..block.clone() }.encode(&MARKER)),
            "a redundancy twice": hex(&RecordHeader { redundancies: vec![stripe(5), stripe(5)], ..block.clone() }.encode(&MARKER)),
            "two numbers of replicas": hex(&RecordHeader { redundancies: vec![Redundancy::Replicas(2), Redundancy::Replicas(3)], ..block.clone() }.encode(&MARKER)),
            "a block without redundancies": hex(&RecordHeader { redundancies: vec![], ..block.clone() }.encode(&MARKER)),
            "an empty block": hex(&header(RecordKind::Block, b"").encode(&MARKER)),
            "a renewal with payload": hex(&header(RecordKind::Renewal, b"x").encode(&MARKER)),
            "a block longer than a block can be": hex(&RecordHeader { payload_len: 2_000_000, ..block.clone() }.encode(&MARKER)),
            "another marker": hex(&block.encode(b"\x00\x02\x03\x04\x05\x06\x07\x08")),
        },
    })
}

#[test]
fn the_formats_match_the_published_vectors() {
    let published: Value = serde_json::from_str(include_str!("../../vectors/store.json")).unwrap();
    assert_eq!(vectors(), published);
}

#[test]
#[ignore = "writes the vectors; run once when a format is added, never to make a test pass"]
fn write_vectors() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/store.json");
    std::fs::write(path, serde_json::to_string_pretty(&vectors()).unwrap() + "\n").unwrap();
}

#[test]
fn what_was_encoded_is_decoded() {
    let (segment, block, renewal, footer, end) = segment();
    assert_eq!(SegmentHeader::decode(&segment.encode()), Ok(segment));
    for record in [&block, &renewal] {
        let bytes = record.encode(&MARKER);
        assert_eq!(RecordHeader::decode(&bytes, &MARKER), Ok((record.clone(), bytes.len())));
    }
    let segment_len = end + footer.len() as u64;
    let (body, trailer) = footer.split_at(footer.len() - TRAILER_BYTES);
    let trailer = SegmentTrailer::decode(trailer, segment_len, &MARKER).unwrap();
    assert_eq!(trailer.body_bytes(segment_len), Some(body.len() as u64));
    let listed = footer_records(body, &trailer).unwrap();
    assert_eq!(listed.iter().map(|(_, header)| header).collect::<Vec<_>>(), [&block, &renewal]);
    assert!(block.fits(b"bytes of a block") && !block.fits(b"bytes of a blocK"));
}

#[test]
fn refused_heads_are_refused() {
    let published: Value = serde_json::from_str(include_str!("../../vectors/store.json")).unwrap();
    let refused = published["refused_record_heads"].as_object().unwrap();
    assert!(!refused.is_empty());
    for (why, head) in refused {
        let head = unhex(head.as_str().unwrap());
        assert!(RecordHeader::decode(&head, &MARKER).is_err(), "{why}");
    }
}

#[test]
fn a_flipped_bit_is_noticed_everywhere() {
    let (segment, block, _, footer, end) = segment();
    let segment_len = end + footer.len() as u64;
    each_flip(&segment.encode(), |bytes| SegmentHeader::decode(bytes).is_err());
    each_flip(&block.encode(&MARKER), |bytes| RecordHeader::decode(bytes, &MARKER).is_err());
    each_flip(&footer, |bytes| {
        let (body, trailer) = bytes.split_at(bytes.len() - TRAILER_BYTES);
        SegmentTrailer::decode(trailer, segment_len, &MARKER).is_err_and(|_| true)
            || footer_records(body, &SegmentTrailer::decode(trailer, segment_len, &MARKER).unwrap()).is_err()
    });
    let own = frame(&LogEntry::Own(OwnSequence { writer: Writer([6; 16]), seq: 300 }), &MARKER).unwrap();
    each_flip(&own, |bytes| frame_payload(bytes, &MARKER).is_none());
    let kept = frame(&unpublished(), &MARKER).unwrap();
    assert_eq!(log_entry(frame_payload(&kept, &MARKER).unwrap()), unpublished());
}

fn each_flip(bytes: &[u8], noticed: impl Fn(&[u8]) -> bool) {
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(noticed(&bytes), "bit {bit}");
    }
}

#[test]
fn a_later_version_is_named() {
    let mut bytes = superblock().encode();
    bytes[8] = 2;
    let sealed = bytes.len() - 4;
    let crc = crc32fast::hash(&bytes[..sealed]);
    bytes[sealed..].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(Superblock::decode(&bytes), Err(FormatError::TooNew { what: "a superblock", version: 2 }));
}

#[test]
fn entries_of_a_later_version_stay_as_they_are() {
    let later = Bytes::from_static(b"\x92\x4d\x00");
    let framed = frame(&log_entry(&later), &MARKER).unwrap();
    assert_eq!(frame_payload(&framed, &MARKER), Some(&later[..]));
    assert_eq!(log_entry(&later), LogEntry::Unknown(later));
}

#[test]
fn a_state_that_stood_is_read_as_it_was_written() {
    let framed = frame(&stood(), &MARKER).unwrap();
    assert_eq!(log_entry(frame_payload(&framed, &MARKER).unwrap()), stood());
}

#[test]
fn what_was_observed_is_kept_and_what_is_out_of_bounds_is_not_understood() {
    let framed = frame(&observed(), &MARKER).unwrap();
    assert_eq!(log_entry(frame_payload(&framed, &MARKER).unwrap()), observed());
    let LogEntry::Observed(Observation::Members(mut members)) = observed() else { unreachable!("made so") };
    members.members.reverse();
    let spoilt = crate::codec::encode(&LogEntry::Observed(Observation::Members(members)));
    assert!(matches!(log_entry(&spoilt), LogEntry::Unknown(_)));
}

/// States that stood, drains, names of volumes, and what else a node may observe: they have their places, and nobody writes
/// them yet.
#[test]
fn entries_that_are_reserved_stay_as_they_are() {
    for tag in 5..=8 {
        let reserved = Bytes::from(vec![0x92, tag, 0x91, 0xc0]);
        let framed = frame(&log_entry(&reserved), &MARKER).unwrap();
        assert_eq!(frame_payload(&framed, &MARKER), Some(&reserved[..]));
        assert_eq!(log_entry(&reserved), LogEntry::Unknown(reserved));
    }
}

#[test]
fn redundancies_add_up() {
    let mut redundancies = vec![Redundancy::Replicas(2)];
    assert!(!add_redundancy(&mut redundancies, Redundancy::Replicas(1)));
    assert!(add_redundancy(&mut redundancies, Redundancy::Replicas(3)));
    assert!(add_redundancy(&mut redundancies, stripe(7)));
    assert!(!add_redundancy(&mut redundancies, stripe(7)));
    assert_eq!(redundancies, [Redundancy::Replicas(3), stripe(7)]);
}

#[test]
fn redundancies_without_room_become_replicas() {
    let mut redundancies = Vec::new();
    for byte in 0..=255 {
        add_redundancy(&mut redundancies, stripe(byte));
    }
    assert_eq!(redundancies.len(), REDUNDANCIES_MAX);
    assert_eq!(redundancies[0], Redundancy::Replicas(3));
    let full = RecordHeader { redundancies, ..header(RecordKind::Block, b"x") };
    assert!(RecordHeader::decode(&full.encode(&MARKER), &MARKER).is_ok());
}

fn redundancy() -> impl Strategy<Value = Redundancy> {
    prop_oneof![any::<u8>().prop_map(Redundancy::Replicas), any::<u8>().prop_map(stripe), Just(stripe(0))]
}

proptest! {
    #[test]
    fn any_header_survives(
        kind in 7u8.., flags: u16, len in 0u32..=2 << 20, id: [u8; 32], numbers: [u64; 3], charged: [u8; 32], signed: [u8; 32], crc: u32,
        added in proptest::collection::vec(redundancy(), 0..40),
    ) {
        let mut redundancies = Vec::new();
        for redundancy in added {
            add_redundancy(&mut redundancies, redundancy);
        }
        let header = RecordHeader {
            kind: kind.into(), flags, payload_len: len, id: BlockId(id), sequence: numbers[0], first_seen: numbers[1],
            renewed: numbers[2], receipt: receipt(charged, signed), redundancies, payload_crc: crc,
        };
        let bytes = header.encode(&MARKER);
        assert_eq!(RecordHeader::decode(&bytes, &MARKER), Ok((header, bytes.len())));
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400), len: u64) {
        let _ = SegmentHeader::decode(&bytes);
        let _ = RecordHeader::decode(&bytes, &MARKER);
        let _ = Superblock::decode(&bytes);
        let _ = DiskList::decode(&bytes);
        let _ = LogHeader::decode(&bytes);
        let _ = frame_payload(&bytes, &MARKER);
        let _ = log_entry(&bytes);
        let _ = SegmentTrailer::decode(&bytes, len, &MARKER);
        let trailer = SegmentTrailer { records_end: len, count: u32::MAX, body_crc: crc32fast::hash(&bytes), marker: MARKER };
        let _ = footer_records(&bytes, &trailer);
    }

    #[test]
    fn any_body_behind_a_fitting_checksum_is_a_value_or_an_error(
        head in proptest::collection::vec(any::<u8>(), RECORD_HEADER_BYTES..400),
    ) {
        let mut head = head;
        head[..8].copy_from_slice(&MARKER);
        head[8] = 1;
        head[12] = 0;
        let redundancies = (head.len() - RECORD_HEADER_BYTES) as u16;
        head[16..18].copy_from_slice(&redundancies.to_be_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head[..176]);
        crc.update(&head[RECORD_HEADER_BYTES..]);
        let crc = crc.finalize();
        head[176..180].copy_from_slice(&crc.to_be_bytes());
        let _ = RecordHeader::decode(&head, &MARKER);
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}
