//! What a change would move.

use fsdfs_proto::control::{ChangePlan, MemberTraffic, PoolCapacity};

use super::words::{advice, copies, counted, percent, text, uplink};
use crate::text::human;
use crate::text::table::{Align, Table};

pub(super) fn shown(told: &ChangePlan) -> String {
    let ChangePlan { now, then, found, .. } = told;
    let mut head = Table::plain(&[Align::Left, Align::Left]);
    let mut row = |key: &str, value: String| head.row([key.to_owned(), value]);
    row("what if", text(&told.change));
    row("room", format!("{}, then {}", in_copies(now), in_copies(then)));
    row(
        "filled",
        format!(
            "{}{}, then{}",
            human::size(found.stored_bytes),
            percent(found.stored_bytes, now.usable_bytes),
            percent(found.stored_bytes, then.usable_bytes)
        ),
    );
    row("to copy", to_copy(told));
    if told.lost_bytes > 0 {
        row("lost", format!("{}: no other member has said that it has them", human::size(told.lost_bytes)));
    }
    let stranded =
        |room: &PoolCapacity| room.stranded.iter().fold(0, |sum: u64, share| sum.saturating_add(share.bytes));
    if stranded(now).max(stranded(then)) > 0 {
        row("of no use", format!("{}, then {}", human::size(stranded(now)), human::size(stranded(then))));
    }
    format!("{head}{}{}{}", moved(&told.members), counted(found), advice(&told.advice, told.attention))
}

fn to_copy(told: &ChangePlan) -> String {
    if told.move_bytes == 0 {
        return "nothing".into();
    }
    let off = match told.error_permille.div_ceil(10) {
        0 => String::new(),
        percent => format!(", give or take {percent} %"),
    };
    let slowest = told.members.iter().max_by_key(|member| member.seconds);
    let slowest = slowest.map(|member| format!(" ({} sends longest)", text(&member.name))).unwrap_or_default();
    format!("{}{off}, in {} or more{slowest}", human::size(told.move_bytes), human::span(told.seconds))
}

fn moved(members: &[MemberTraffic]) -> String {
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("MEMBER", left),
        ("SITE", left),
        ("SHARE", right),
        ("THEN", right),
        ("GETS", right),
        ("GIVES UP", right),
        ("SENDS", right),
        ("SENT IN", right),
        ("UPLINK", left),
    ]);
    for member in members {
        let sizes =
            [member.holds_bytes, member.holds_then_bytes, member.in_bytes, member.out_bytes, member.sends_bytes]
                .map(human::size);
        let new = if member.id.is_none() { " (new)" } else { "" };
        let first = [text(&member.name) + new, text(&member.site)];
        table.row(first.into_iter().chain(sizes).chain([human::span(member.seconds), uplink(member.uplink)]));
    }
    if members.is_empty() { String::new() } else { table.to_string() }
}

fn in_copies(room: &PoolCapacity) -> String {
    format!("{} in {}", human::size(room.usable_bytes), copies(room))
}
