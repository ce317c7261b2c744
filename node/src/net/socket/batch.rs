//! Several packets in one buffer, as the system takes and hands them: each `stride` bytes long but the last, which may be shorter.

use std::slice::Chunks;

use fsdfs_proto::packet::{PacketKind, RELAYED_HEAD_BYTES};

/// Behind the first byte of a packet with a long header (RFC 9000, 17.2).
const QUIC_VERSION: [u8; 4] = 1_u32.to_be_bytes();

/// The packets in a buffer.
pub(super) fn packets(batch: &[u8], stride: usize) -> Chunks<'_, u8> {
    batch.chunks(stride.max(1))
}

/// The same batch with a head before each packet; its stride is longer by the head.
pub(super) fn with_heads(batch: &[u8], stride: usize, head: &[u8; RELAYED_HEAD_BYTES]) -> Vec<u8> {
    let heads = batch.len().div_ceil(stride.max(1)) * RELAYED_HEAD_BYTES;
    let mut headed = Vec::with_capacity(batch.len() + heads);
    for packet in packets(batch, stride) {
        headed.extend_from_slice(head);
        headed.extend_from_slice(packet);
    }
    headed
}

/// Takes the head from each packet, in place. The new length; the new stride is shorter by the head. What is not longer than a
/// head says nothing.
pub(super) fn strip_heads(batch: &mut [u8], stride: usize) -> usize {
    let (mut read, mut written) = (0, 0);
    while read < batch.len() {
        let end = batch.len().min(read + stride.max(1));
        let packet = (read + RELAYED_HEAD_BYTES).min(end)..end;
        read = end;
        let bytes = packet.len();
        batch.copy_within(packet, written);
        written += bytes;
    }
    written
}

/// QUIC would answer a packet of another version by naming its own, which tells a stranger who is here.
fn kind(packet: &[u8]) -> PacketKind {
    let has_long_header = packet.first().is_some_and(|first| first & 0x80 != 0);
    match PacketKind::of(packet) {
        PacketKind::Quic if has_long_header && !packet[1..].starts_with(&QUIC_VERSION) => PacketKind::Unknown,
        kind => kind,
    }
}

/// What all packets of a batch are, if they are the same.
pub(super) fn kind_of_all(batch: &[u8], stride: usize) -> Option<PacketKind> {
    let mut kinds = packets(batch, stride).map(kind);
    let first = kinds.next().unwrap_or(PacketKind::Quic);
    kinds.all(|kind| kind == first).then_some(first)
}

/// The packets of each kind together. Only the last of a batch may be shorter than the others, and it is the last of its kind.
pub(super) fn by_kind(batch: &[u8], stride: usize) -> Vec<(PacketKind, Vec<u8>)> {
    let mut kinds: Vec<(PacketKind, Vec<u8>)> = Vec::new();
    for packet in packets(batch, stride) {
        let kind = kind(packet);
        match kinds.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, packets)) => packets.extend_from_slice(packet),
            None => kinds.push((kind, packet.to_vec())),
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::SessionToken;
    use fsdfs_proto::packet::relayed_head;

    use super::*;

    const HEAD: [u8; RELAYED_HEAD_BYTES] = [1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    fn numbered(len: usize) -> Vec<u8> {
        (0..len).map(|at| 0x40 | u8::try_from(at % 61).expect("below 61")).collect()
    }

    #[test]
    fn heads_come_and_go_for_every_length_and_stride() {
        assert_eq!(HEAD, relayed_head(SessionToken([1, 2, 3, 4, 5, 6, 7, 8])));
        for stride in 1..40 {
            for len in 0..4 * stride + 1 {
                let batch = numbered(len);
                let mut headed = with_heads(&batch, stride, &HEAD);
                let longer = stride + RELAYED_HEAD_BYTES;
                assert_eq!(headed.len(), len + len.div_ceil(stride) * RELAYED_HEAD_BYTES);
                assert!(packets(&headed, longer).all(|packet| packet.starts_with(&HEAD)), "{len} of {stride}");
                let kept = strip_heads(&mut headed, longer);
                assert_eq!(headed[..kept], batch, "{len} of {stride}");
            }
        }
    }

    #[test]
    fn what_ends_in_its_head_is_nothing() {
        for last in 0..=RELAYED_HEAD_BYTES {
            let mut batch = [&HEAD[..], b"quic", &HEAD[..last]].concat();
            let kept = strip_heads(&mut batch, RELAYED_HEAD_BYTES + 4);
            assert_eq!(&batch[..kept], b"quic", "{last}");
        }
    }

    #[test]
    fn packets_of_several_kinds_are_taken_apart() {
        let other = relayed_head(SessionToken([9; 8]));
        let relayed = |head: &[u8], fill: u8, len: usize| [head, &vec![fill; len]].concat();
        let quic = |len: usize| numbered(len);
        for last in 1..=20 {
            let batch =
                [relayed(&HEAD, 1, 8), quic(20), relayed(&other, 2, 8), quic(20), relayed(&HEAD, 3, 8), quic(last)];
            let joined = batch.concat();
            assert_eq!(kind_of_all(&joined, 20), None);
            let kinds = by_kind(&joined, 20);
            let expected = vec![
                (PacketKind::Relayed(SessionToken([1, 2, 3, 4, 5, 6, 7, 8])), [&batch[0][..], &batch[4]].concat()),
                (PacketKind::Quic, [&batch[1][..], &batch[3], &batch[5]].concat()),
                (PacketKind::Relayed(SessionToken([9; 8])), batch[2].clone()),
            ];
            assert_eq!(kinds, expected);
        }
        assert_eq!(kind_of_all(&numbered(60), 20), Some(PacketKind::Quic));
        assert_eq!(kind_of_all(&[], 0), Some(PacketKind::Quic), "nothing is dropped by nobody");
    }

    #[test]
    fn packets_of_other_versions_are_dropped_and_those_of_ours_are_not() {
        let long = |version: u32| [&[0xc3][..], &version.to_be_bytes(), &[7; 1_195]].concat();
        for version in [0, 2, 0x0a1a_2a3a, u32::MAX] {
            assert_eq!(kind(&long(version)), PacketKind::Unknown, "{version}");
        }
        assert_eq!((kind(&long(1)), kind(&[0x40; 30])), (PacketKind::Quic, PacketKind::Quic));
        assert_eq!(kind(&[0xc3, 0, 0, 0]), PacketKind::Unknown, "no room for a version");
        let both = [long(2), long(1)].concat();
        assert_eq!(by_kind(&both, both.len() / 2)[1], (PacketKind::Quic, long(1)));
    }
}
