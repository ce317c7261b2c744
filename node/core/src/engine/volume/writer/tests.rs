//! Sequence numbers and stamps.

use super::*;
use crate::engine::test_kit::{context, pass, pool};

const HEARD: HeardHeads = HeardHeads { majority: true, own_past: true };
fn old() -> WriterId {
    pool::writer(0, 9)
}

fn replayed(entries: &[(u8, u64)], may_be_restored_copy: bool) -> Writer {
    let mut writer = Writer::default();
    for (number, seq) in entries {
        writer.replay(OwnSequence { writer: pool::writer(0, *number), seq: *seq });
    }
    writer.on_start(may_be_restored_copy);
    writer
}

/// The dot of the next commit, after a start with these entries, when a head includes number `seen` of [`old`].
fn next(entries: &[(u8, u64)], restored: bool, seen: u64, heard: HeardHeads) -> OwnSequence {
    let mut cx = context(0, 3);
    if seen > 0 {
        cx.facts.insert(pool::head(1, &[(9, seen)]).into());
    }
    let mut writer = replayed(entries, restored);
    writer.confirm(&cx, &LocalHeads::default(), heard);
    writer.next_dot(&mut cx, &LocalHeads::default())
}

#[test]
fn an_incarnation_goes_on_behind_its_greatest_number() {
    let expected = OwnSequence { writer: old(), seq: 8 };
    assert_eq!(next(&[(9, 3), (9, 7), (9, 5)], false, 0, HEARD), expected);
    assert_eq!(next(&[(9, 7), (4, 2)], false, 7, HEARD), expected, "and of several the longest");
}

#[test]
fn an_incarnation_is_not_used_again_where_a_number_might_be() {
    let half = HeardHeads { majority: true, own_past: false };
    let cases = [
        ("a restored copy", next(&[(9, 7)], true, 0, HEARD)),
        ("more was seen than is remembered", next(&[(9, 7)], false, 8, HEARD)),
        ("not all that was confirmed was heard", next(&[(9, 7)], false, 0, half)),
        ("an empty log", next(&[], false, 7, HEARD)),
    ];
    for (why, dot) in cases {
        assert!(dot.writer != old() && dot.seq == 1, "{why}: {dot:?}");
    }
}

#[test]
fn what_was_confirmed_once_needs_no_second_confirmation() {
    let mut cx = context(0, 3);
    let mut writer = replayed(&[(9, 7)], false);
    writer.confirm(&cx, &LocalHeads::default(), HEARD);
    writer.confirm(&cx, &LocalHeads::default(), HeardHeads { majority: false, own_past: false });
    assert_eq!(writer.next_dot(&mut cx, &LocalHeads::default()), OwnSequence { writer: old(), seq: 8 });
}

#[test]
fn a_number_is_used_up_by_the_head_that_bears_it_and_by_no_other() {
    let mut cx = context(0, 3);
    let mut writer = replayed(&[(9, 7)], false);
    for _ in 0..2 {
        assert_eq!(writer.next_dot(&mut cx, &LocalHeads::default()).seq, 8, "asking uses up nothing");
    }
    for (head, why) in [(pool::head(1, &[(9, 7)]), "a merge"), (pool::head(1, &[(4, 8)]), "another's")] {
        assert_eq!(writer.use_up(&head), None, "{why}");
    }
    let used = OwnSequence { writer: old(), seq: 8 };
    assert_eq!(writer.use_up(&pool::head(1, &[(9, 8)])), Some(used));
    assert_eq!(writer.entry(), Some(LogEntry::Own(used)));
    assert_eq!(writer.next_dot(&mut cx, &LocalHeads::default()).seq, 9);
}

#[test]
fn without_a_number_there_is_nothing_to_log() {
    let mut writer = Writer::default();
    assert_eq!((writer.entry(), writer.use_up(&pool::head(1, &[(9, 1)]))), (None, None));
}

#[test]
fn stamps_grow_whatever_the_clock_does() {
    let mut cx = context(0, 3);
    let mut writer = Writer::default();
    let mut last = Hlc::default();
    for step in [5, 0, 0, -900, 3, 1_000_000] {
        cx.now.wall = cx.now.wall.saturating_add_signed(step);
        let stamp = writer.stamp(&cx);
        assert!(stamp > last && stamp.ms >= cx.now.wall, "{stamp:?} after {last:?}");
        last = stamp;
    }
}

#[test]
fn stamps_follow_those_that_were_seen_unless_they_lie_too_far_ahead() {
    let mut cx = context(0, 3);
    let wall = cx.now.wall;
    for (ahead_ms, follows) in [(10, true), (CLOCK_OFF_MS_MAX, true), (CLOCK_OFF_MS_MAX + 1, false)] {
        let mut writer = Writer::default();
        let seen = Hlc { ms: wall + ahead_ms, count: 4 };
        writer.saw_stamp(&cx, seen);
        assert_eq!(writer.stamp(&cx) > seen, follows, "{ahead_ms} ms ahead");
    }
    let mut writer = Writer::default();
    writer.saw_stamp(&cx, Hlc { ms: wall, count: u32::MAX });
    assert_eq!(writer.stamp(&cx), Hlc { ms: wall + 1, count: 0 }, "a millisecond that is full is over");
    pass(&mut cx, 10);
    assert_eq!(writer.stamp(&cx), Hlc { ms: wall + 10, count: 0 });
}

/// What is included goes by the latest incarnations of a node: one that came earlier than those would count as included.
#[test]
fn a_new_incarnation_is_later_than_all_that_were_heard_of() {
    let mut cx = context(0, 3);
    let next = |writer: &mut Writer, cx: &mut Context| writer.next_dot(cx, &LocalHeads::default()).writer;
    let first = next(&mut Writer::default(), &mut cx);
    assert!(first.is_of(cx.me));
    assert_eq!(first.incarnation() >> 16, cx.now.wall / 1_000, "by the clock");
    // A clock that was set back.
    cx.now.wall = 1_000;
    let mut writer = replayed(&[(9, 7)], true);
    assert!(next(&mut writer, &mut cx) > old());
    let dot = fsdfs_proto::volume::Dot { writer: first, seq: 3 };
    cx.facts.insert(pool::head_under(&pool::keys(1), 0, Vec::new(), Some(dot), &[(0, dot)]).into());
    assert!(next(&mut Writer::default(), &mut cx) > first, "as heads say");
    assert!(next(&mut replayed(&[], true), &mut cx).incarnation() > first.incarnation());
}
