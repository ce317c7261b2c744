use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, DiskId, NodeId, Signature, VolumeId};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::record::RecordInfo;
use fsdfs_proto::volume::{BlockLink, LinkClass};

use super::*;
use crate::engine::space::roots::VolumeRoots;
use crate::seam::DiskCopy;

const GRACE: u64 = 120_000;
const NEEDED: BlockId = BlockId([1; 32]);
const GARBAGE: BlockId = BlockId([2; 32]);

/// One state that needs [`NEEDED`] and nothing else.
fn walked() -> Walk {
    let link = BlockLink { id: NEEDED, class: LinkClass::Leaf, redundancy: Redundancy::Replicas(3) };
    let roots = VolumeRoots { heads: BTreeMap::from([(BlockId([9; 32]), vec![link])]), ..VolumeRoots::default() };
    let mut walk = Walk::begin([3; 32], &BTreeMap::from([(VolumeId([0; 32]), roots)]));
    assert!(walk.next(1).is_empty());
    walk.seal();
    walk
}

fn copy(id: BlockId, renewed: u64, state: CopyState, kind: Option<BlockKind>) -> PlacedCopy {
    let receipt = BlockReceipt { member: NodeId([1; 32]), signature: Signature([0; 64]) };
    let info = RecordInfo { id, len: 10, redundancies: vec![Redundancy::Replicas(3)], first_seen: 0, renewed, receipt };
    PlacedCopy { disk: DiskId([0; 16]), segment: 1, sequence: 1, kind, copy: DiskCopy { info, state } }
}

fn terms(now: u64) -> JudgeTerms {
    JudgeTerms { now, began: now, grace_ms: GRACE, heard: u64::MAX }
}

#[test]
fn two_graces_lie_between_the_last_question_and_the_end() {
    let walk = walked();
    let held = |now: u64| terms(now).judge(&walk, &copy(GARBAGE, 1_000, CopyState::Held, None));
    assert_eq!((held(1_000 + GRACE), held(1_001 + GRACE)), (Verdict::Young, Verdict::Condemn));
    let since = 5 * GRACE;
    let condemned = copy(GARBAGE, 1_000, CopyState::Condemned { since }, None);
    let step = |now: u64| terms(now).judge(&walk, &condemned);
    assert_eq!((step(since + GRACE), step(since + GRACE + 1)), (Verdict::Condemned, Verdict::Delete));
    // The walk that condemned it is not a second one, however long it took.
    let early = JudgeTerms { began: since, ..terms(since + GRACE + 1) };
    assert_eq!(early.judge(&walk, &condemned), Verdict::Condemned);
}

#[test]
fn what_a_state_needs_stays_and_is_revived() {
    let (walk, late) = (walked(), terms(100 * GRACE));
    let held = copy(NEEDED, 0, CopyState::Held, None);
    assert_eq!(late.judge(&walk, &held), Verdict::Keep(Reach::Current));
    let condemned = copy(NEEDED, 0, CopyState::Condemned { since: 1 }, None);
    assert_eq!(late.judge(&walk, &condemned), Verdict::Revive);
    let damaged = copy(GARBAGE, 0, CopyState::Damaged, None);
    assert_eq!(late.judge(&walk, &damaged), Verdict::Damaged);
}

#[test]
fn nothing_goes_before_all_were_heard_a_grace_after_it_was_asked_for() {
    let walk = walked();
    let at =
        |heard: u64, state| JudgeTerms { heard, ..terms(50 * GRACE) }.judge(&walk, &copy(GARBAGE, 1_000, state, None));
    assert_eq!(at(1_000 + GRACE, CopyState::Held), Verdict::Unheard);
    assert_eq!(at(1_001 + GRACE, CopyState::Held), Verdict::Condemn);
    // After a restart it is not known any more who was heard when.
    assert_eq!(at(0, CopyState::Condemned { since: 2 * GRACE }), Verdict::Unheard);
}

#[test]
fn folders_and_states_go_sooner() {
    let walk = walked();
    let at = |now, kind| terms(now).judge(&walk, &copy(GARBAGE, 0, CopyState::Held, Some(kind)));
    let soon = GRACE / FOLDER_GRACE_PART + 1;
    for kind in [BlockKind::Directory, BlockKind::Commit] {
        assert_eq!((at(soon - 1, kind), at(soon, kind)), (Verdict::Young, Verdict::Condemn));
    }
    for kind in [BlockKind::Data, BlockKind::Manifest] {
        assert_eq!(at(soon, kind), Verdict::Young);
    }
}

#[test]
fn a_stamp_of_the_future_is_young() {
    let walk = walked();
    let future = copy(GARBAGE, 400 * 24 * 3_600_000, CopyState::Held, None);
    assert_eq!(terms(1_000).judge(&walk, &future), Verdict::Young);
}
