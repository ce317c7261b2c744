//! What a change would move.

use fsdfs_proto::control::{ChangePlan, MemberTraffic, PoolCapacity};

use super::render::{advice, copies, counted, percent, text, uplink};
use crate::text::human;
use crate::text::table::{ColumnAlign, TextTable};

pub(super) fn shown(plan: &ChangePlan) -> String {
    let ChangePlan { capacity_now: now, capacity_after: after, inventory, .. } = plan;
    let mut head = TextTable::plain(&[ColumnAlign::Left, ColumnAlign::Left]);
    let mut row = |key: &str, value: String| head.row([key.to_owned(), value]);
    row("change", text(&plan.change));
    row("capacity", format!("{}, after it {}", in_copies(now), in_copies(after)));
    row(
        "used",
        format!(
            "{}{}, after it{}",
            human::size(inventory.stored_bytes),
            percent(inventory.stored_bytes, now.usable_bytes),
            percent(inventory.stored_bytes, after.usable_bytes)
        ),
    );
    row("to transfer", to_transfer(plan));
    if plan.lost_bytes > 0 {
        row("lost", format!("{}: no other member reports a copy", human::size(plan.lost_bytes)));
    }
    let stranded =
        |capacity: &PoolCapacity| capacity.stranded.iter().fold(0, |sum: u64, share| sum.saturating_add(share.bytes));
    if stranded(now).max(stranded(after)) > 0 {
        row("stranded", format!("{}, after it {}", human::size(stranded(now)), human::size(stranded(after))));
    }
    format!("{head}{}{}{}", members(&plan.members), counted(inventory), advice(&plan.advice))
}

fn to_transfer(plan: &ChangePlan) -> String {
    if plan.transfer_bytes == 0 {
        return "nothing".into();
    }
    let off = match plan.error_permille.div_ceil(10) {
        0 => String::new(),
        percent => format!(" (+/- {percent} %)"),
    };
    let slowest = plan.members.iter().max_by_key(|member| member.upload_s);
    let slowest = slowest.map(|member| format!(" (slowest: {})", text(&member.name))).unwrap_or_default();
    format!("{}{off} in at least {}{slowest}", human::size(plan.transfer_bytes), human::span(plan.transfer_s))
}

fn members(members: &[MemberTraffic]) -> String {
    let (left, right) = (ColumnAlign::Left, ColumnAlign::Right);
    let mut table = TextTable::new(&[
        ("MEMBER", left),
        ("SITE", left),
        ("NOW", right),
        ("AFTER", right),
        ("RECEIVES", right),
        ("FREES", right),
        ("UPLOADS", right),
        ("UPLOAD TIME", right),
        ("UPLINK", left),
    ]);
    for member in members {
        let sizes =
            [member.now_bytes, member.after_bytes, member.receives_bytes, member.frees_bytes, member.uploads_bytes]
                .map(human::size);
        let new = if member.id.is_none() { " (new)" } else { "" };
        let first = [text(&member.name) + new, text(&member.site)];
        table.row(first.into_iter().chain(sizes).chain([human::span(member.upload_s), uplink(member.uplink)]));
    }
    if members.is_empty() { String::new() } else { table.to_string() }
}

fn in_copies(capacity: &PoolCapacity) -> String {
    format!("{} in {}", human::size(capacity.usable_bytes), copies(capacity))
}
