//! What stands in place of a head that cannot be used, and for how long.

use super::*;
use crate::engine::test_kit::{context, pass, pool, revoke};

fn volume() -> VolumeId {
    pool::pool_id().volume()
}

const DAMAGED: HeadFault = HeadFault::Damaged(FormatError::DoesNotOpen { what: "a commit" });

/// A node that used `good`, and then heard of `bad`, which covers it.
fn poisoned(fault: HeadFault) -> (Context, Quarantine, Signed<Head>, Signed<Head>) {
    let (mut cx, mut quarantine) = (context(0, 3), Quarantine::default());
    let (good, bad) = (pool::head(1, &[(4, 2)]), pool::head(1, &[(9, 1), (4, 2)]));
    cx.facts.insert(good.clone().into());
    quarantine.note_good(&cx, volume(), std::slice::from_ref(&good));
    quarantine.remember(&bad);
    cx.facts.insert(bad.clone().into());
    assert_eq!(cx.facts.heads(volume()), std::slice::from_ref(&bad), "the facts know it only");
    let stands = cx.facts.heads(volume());
    assert_eq!(quarantine.note_bad(&mut cx, volume(), &stands, vec![(commit_of(&bad), fault)], HeadUse::Write), None);
    (cx, quarantine, good, bad)
}

fn usable(cx: &Context, quarantine: &Quarantine) -> Vec<Signed<Head>> {
    quarantine.usable(cx, volume(), cx.facts.heads(volume()), HeadUse::Write)
}

#[test]
fn what_a_bad_head_covered_is_shown_and_written_on_and_the_head_is_covered() {
    let (mut cx, mut quarantine, good, bad) = poisoned(DAMAGED);
    assert_eq!(usable(&cx, &quarantine), std::slice::from_ref(&good));
    assert_eq!(quarantine.terms(&cx, volume(), std::slice::from_ref(&good)).covered, [bad]);
    assert!(quarantine.has_to_cover(&cx, volume(), &[good]) && !quarantine.withholds(&cx, volume()));
    assert_eq!(quarantine.standing(&cx).count(), 1);
    // The next operation includes both.
    let next = pool::head(1, &[(5, 1), (9, 1), (4, 2)]);
    cx.facts.insert(next.clone().into());
    quarantine.note_good(&cx, volume(), std::slice::from_ref(&next));
    assert_eq!(usable(&cx, &quarantine), std::slice::from_ref(&next));
    assert!(quarantine.standing(&cx).next().is_none() && !quarantine.has_to_cover(&cx, volume(), &[next]));
}

#[test]
fn what_is_away_is_tried_again_and_never_covered() {
    let away = HeadFault::Absent(BlockId([1; 32]), BlockAbsence::Away);
    let (mut cx, mut quarantine, good, bad) = poisoned(away.clone());
    assert_eq!(usable(&cx, &quarantine), std::slice::from_ref(&good));
    assert!(quarantine.withholds(&cx, volume()), "whoever reads is told that there is more");
    assert!(!quarantine.has_to_cover(&cx, volume(), std::slice::from_ref(&good)));
    pass(&mut cx, QUARANTINE_AWAY_MS);
    assert_eq!(usable(&cx, &quarantine), std::slice::from_ref(&bad), "its members may be back");
    quarantine.note_bad(&mut cx, volume(), std::slice::from_ref(&bad), vec![(commit_of(&bad), away)], HeadUse::Write);
    assert_eq!(usable(&cx, &quarantine), [good]);
    quarantine.try_again();
    assert_eq!(usable(&cx, &quarantine), [bad]);
}

/// The facts drop what a later head covers, also what this node never came to use.
#[test]
fn a_head_that_came_just_before_a_bad_one_is_not_lost() {
    let (mut cx, mut quarantine) = (context(0, 3), Quarantine::default());
    let (honest, bad) = (pool::head(1, &[(4, 2)]), pool::head(1, &[(9, 1), (4, 2)]));
    for head in [&honest, &bad] {
        quarantine.remember(head);
        cx.facts.insert(head.clone().into());
    }
    let stands = cx.facts.heads(volume());
    quarantine.note_bad(&mut cx, volume(), &stands, vec![(commit_of(&bad), DAMAGED)], HeadUse::Write);
    assert_eq!(usable(&cx, &quarantine), std::slice::from_ref(&honest));
    // Also after a restart: the log has it.
    assert_eq!(quarantine.heads_before(&cx).collect::<Vec<_>>(), [&honest]);
}

#[test]
fn without_any_other_head_the_reason_is_known() {
    let (mut cx, mut quarantine) = (context(0, 3), Quarantine::default());
    let bad = pool::head(1, &[(9, 1)]);
    cx.facts.insert(bad.clone().into());
    quarantine.note_bad(
        &mut cx,
        volume(),
        std::slice::from_ref(&bad),
        vec![(commit_of(&bad), DAMAGED)],
        HeadUse::Write,
    );
    assert!(usable(&cx, &quarantine).is_empty());
    assert_eq!(quarantine.first_fault(volume()), Some(DAMAGED.as_tree_error()));
}

#[test]
fn what_is_remembered_is_bounded() {
    let (cx, mut quarantine) = (context(0, 3), Quarantine::default());
    (0..200).for_each(|number| quarantine.remember(&pool::head(1, &[(number, 1)])));
    assert_eq!(quarantine.heads_before(&cx).count(), KEPT_HEADS_MAX);
}

/// It may be that everybody else reads it.
#[test]
fn what_does_not_open_for_want_of_a_key_is_not_covered() {
    let (mut cx, mut quarantine) = (context(0, 3), Quarantine::default());
    let (good, other) = (pool::head(1, &[(4, 2)]), pool::head(1, &[(9, 1)]));
    for head in [&good, &other] {
        cx.facts.insert(head.clone().into());
    }
    quarantine.note_good(&cx, volume(), std::slice::from_ref(&good));
    cx.keys.insert(volume(), pool::keys(2));
    quarantine.note_bad(
        &mut cx,
        volume(),
        &[good.clone(), other.clone()],
        vec![(commit_of(&other), DAMAGED)],
        HeadUse::Write,
    );
    assert_eq!(usable(&cx, &quarantine), std::slice::from_ref(&good));
    assert!(!quarantine.has_to_cover(&cx, volume(), &[good]) && quarantine.withholds(&cx, volume()));
}

#[test]
fn what_the_head_covered_that_an_epoch_began_from_is_shown_although_its_epoch_ended() {
    let nowhere = HeadFault::Absent(BlockId([1; 32]), BlockAbsence::Nowhere);
    let (mut cx, quarantine, good, bad) = poisoned(nowhere);
    cx.facts.insert(pool::epoch(&pool::root(), 2, vec![commit_of(&bad)]).into());
    assert_eq!(cx.facts.heads(volume()), std::slice::from_ref(&bad));
    assert_eq!(usable(&cx, &quarantine), std::slice::from_ref(&good));
    assert_eq!(quarantine.terms(&cx, volume(), &[good]).covered, [bad]);
}

#[test]
fn a_head_whose_author_is_out_troubles_nobody() {
    let (mut cx, mut quarantine) = (context(0, 3), Quarantine::default());
    let (good, bad) = (pool::head(1, &[(4, 2)]), pool::head_by(2, 1, &[(9, 1)]));
    for head in [&good, &bad] {
        cx.facts.insert(head.clone().into());
    }
    let stands = cx.facts.heads(volume());
    quarantine.note_bad(&mut cx, volume(), &stands, vec![(commit_of(&bad), HeadFault::TooManyWriters)], HeadUse::Write);
    assert!(quarantine.reported(&cx).count() == 1 && quarantine.withholds(&cx, volume()));
    revoke(&mut cx, 2);
    assert_eq!(usable(&cx, &quarantine), [good], "it stands as before, and stops nobody");
    assert!(quarantine.reported(&cx).count() == 0 && !quarantine.withholds(&cx, volume()));
}

#[test]
fn what_this_node_has_shown_is_waited_for_while_it_is_away_but_not_for_ever() {
    let away = HeadFault::Absent(BlockId([1; 32]), BlockAbsence::Away);
    let (mut cx, mut quarantine) = (context(0, 3), Quarantine::default());
    let (one, two) = (pool::head(1, &[(4, 2)]), pool::head(1, &[(9, 1)]));
    for head in [&one, &two] {
        cx.facts.insert(head.clone().into());
    }
    let stands = cx.facts.heads(volume());
    let note = |quarantine: &mut Quarantine, cx: &mut Context| {
        quarantine.note_bad(cx, volume(), &stands, vec![(commit_of(&one), away.clone())], HeadUse::Write)
    };
    // After a start, and when it was used: without it less would be shown than before.
    for is_used in [false, true] {
        if is_used {
            quarantine.note_good(&cx, volume(), &stands);
        }
        assert_eq!(note(&mut quarantine, &mut cx), Some(away.as_tree_error()), "{is_used}");
        assert_eq!(usable(&cx, &quarantine), stands, "{is_used}");
    }
    pass(&mut cx, LONG_AWAY_MS);
    assert_eq!(note(&mut quarantine, &mut cx), None);
    assert_eq!(usable(&cx, &quarantine), std::slice::from_ref(&two));
}

/// What it holds was acknowledged by somebody: whoever reads waits for it, whoever writes goes on beside it.
#[test]
fn a_head_that_is_away_is_left_out_of_writes_and_not_of_reads() {
    let away = HeadFault::Absent(BlockId([1; 32]), BlockAbsence::Away);
    let (mut cx, mut quarantine, good, bad) = poisoned(away.clone());
    let stands = cx.facts.heads(volume());
    let read = |quarantine: &Quarantine, cx: &Context| quarantine.usable(cx, volume(), stands.clone(), HeadUse::Read);
    let note = |quarantine: &mut Quarantine, cx: &mut Context| {
        quarantine.note_bad(cx, volume(), &stands, vec![(commit_of(&bad), away.clone())], HeadUse::Read)
    };
    assert_eq!((usable(&cx, &quarantine), read(&quarantine, &cx)), (vec![good.clone()], vec![bad.clone()]));
    assert_eq!(note(&mut quarantine, &mut cx), Some(away.as_tree_error()));
    // Unless it stays away for very long, or its author is out.
    pass(&mut cx, LONG_AWAY_MS);
    assert_eq!(note(&mut quarantine, &mut cx), None);
    assert_eq!(read(&quarantine, &cx), [good]);
}

#[test]
fn what_is_away_and_of_somebody_who_is_out_is_not_waited_for() {
    let away = HeadFault::Absent(BlockId([1; 32]), BlockAbsence::Away);
    let (mut cx, mut quarantine) = (context(0, 3), Quarantine::default());
    let (good, bad) = (pool::head(1, &[(4, 2)]), pool::head_by(2, 1, &[(9, 1)]));
    for head in [&good, &bad] {
        cx.facts.insert(head.clone().into());
    }
    revoke(&mut cx, 2);
    let stands = cx.facts.heads(volume());
    let noted = quarantine.note_bad(&mut cx, volume(), &stands, vec![(commit_of(&bad), away)], HeadUse::Read);
    assert_eq!((noted, quarantine.usable(&cx, volume(), stands, HeadUse::Read)), (None, vec![good]));
}

/// Merged, it would be in all that comes later.
#[test]
fn a_crowd_is_shown_where_nothing_else_is_known_and_neither_written_on_nor_covered() {
    let (mut cx, mut quarantine) = (context(0, 3), Quarantine::default());
    let crowd = pool::head_by(9, 1, &[(9, 1)]);
    cx.facts.insert(crowd.clone().into());
    let stands = cx.facts.heads(volume());
    let note = |cx: &mut Context, quarantine: &mut Quarantine, fault| {
        quarantine.note_bad(cx, volume(), &stands, vec![(commit_of(&crowd), fault)], HeadUse::Read);
    };
    assert!(quarantine.terms(&cx, volume(), &stands).has_strangers(crowd.value()));
    note(&mut cx, &mut quarantine, HeadFault::TooManyWriters);
    assert!(usable(&cx, &quarantine).is_empty());
    let shown = quarantine.usable(&cx, volume(), stands.clone(), HeadUse::Read);
    assert_eq!(shown, stands);
    assert!(!quarantine.terms(&cx, volume(), &shown).has_strangers(crowd.value()), "a job may read it");
    // Read, it is not used: when it is tried again it is no better, nor beside another head.
    quarantine.note_good(&cx, volume(), &shown);
    pass(&mut cx, QUARANTINE_AWAY_MS);
    assert!(quarantine.terms(&cx, volume(), &stands).has_strangers(crowd.value()));
    assert_eq!(quarantine.reported(&cx).count(), 0, "its author was never in: nothing can be done about it");
    // Nor is one covered that nobody can read: its names would be in the head that covers it.
    note(&mut cx, &mut quarantine, DAMAGED);
    let good = pool::head(1, &[(4, 2)]);
    assert!(quarantine.terms(&cx, volume(), &[good]).covered.is_empty());
}
