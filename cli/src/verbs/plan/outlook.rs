//! The pool as it is: its capacity, what a failure would lose, how long repair takes.

use fsdfs_proto::control::{FailureLoss, PoolPlan as Answer, SitePair};

use super::render::{advice, blocks, copies, counted, percent, replication, text, uplink};
use crate::text::human;
use crate::text::table::{ColumnAlign, TextTable};

pub(super) fn shown(plan: &Answer) -> String {
    let mut head = TextTable::plain(&[ColumnAlign::Left, ColumnAlign::Left]);
    let Answer { capacity, inventory, .. } = plan;
    let mut row = |key: &str, value: String| head.row([key.to_owned(), value]);
    let (usable, offered) = (human::size(capacity.usable_bytes), human::size(capacity.offered_bytes));
    row("capacity", format!("{usable} in {}; the members offer {offered}", copies(capacity)));
    let (used, stored) = (percent(inventory.stored_bytes, capacity.usable_bytes), human::size(inventory.stored_bytes));
    row("used", format!("{stored}{used} in {}", blocks(inventory.blocks)));
    row("replication", replication(inventory.replication_margin));
    let advice = advice(&plan.advice);
    format!("{head}{}{}{}{}{advice}", members(plan), sites(plan), site_pairs(plan), counted(inventory))
}

fn members(plan: &Answer) -> String {
    let (left, right) = (ColumnAlign::Left, ColumnAlign::Right);
    let mut table = TextTable::new(&[
        ("MEMBER", left),
        ("SITE", left),
        ("OFFERED", right),
        ("SHARE", right),
        ("LOST IF IT FAILS", left),
        ("TO RE-REPLICATE", right),
        ("REPAIR TIME", right),
        ("UPLINK", left),
    ]);
    for member in &plan.members {
        let first = [
            text(&member.name),
            text(&member.site),
            human::size(member.offered_bytes),
            human::size(member.share_bytes),
        ];
        table.row(first.into_iter().chain(loss(plan, &member.loss)).chain([uplink(member.uplink)]));
    }
    if plan.members.is_empty() { "No member offers storage.\n".into() } else { table.to_string() }
}

/// Sites with one member say the same as that member.
fn sites(plan: &Answer) -> String {
    let at = |site: &str| plan.members.iter().filter(|member| member.site == site).count();
    let (left, right) = (ColumnAlign::Left, ColumnAlign::Right);
    let mut table = TextTable::new(&[
        ("SITE", left),
        ("MEMBERS", right),
        ("LOST IF SITE FAILS", left),
        ("TO RE-REPLICATE", right),
        ("REPAIR TIME", right),
    ]);
    for site in plan.sites.iter().filter(|site| at(&site.site) > 1) {
        table.row([text(&site.site), at(&site.site).to_string()].into_iter().chain(loss(plan, &site.loss)));
    }
    if plan.sites.iter().any(|site| at(&site.site) > 1) { table.to_string() } else { String::new() }
}

fn loss(plan: &Answer, loss: &FailureLoss) -> [String; 3] {
    let lost = match (loss.lost_bytes, loss.lost_is_complete, plan.inventory.exact) {
        (0, false, _) => "unknown".into(),
        (0, true, true) => "nothing".into(),
        (0, true, false) => "none found".into(),
        (bytes, true, _) => human::size(bytes),
        (bytes, false, _) => format!("{} or more", human::size(bytes)),
    };
    let repaired = match loss.copies {
        _ if plan.inventory.stored_bytes > loss.usable_bytes => "never: no capacity".into(),
        copies if copies < plan.capacity.copies => {
            format!("{}, to {} only", human::span(loss.repair_s), human::count(copies.into(), "copy", "copies"))
        }
        _ => human::span(loss.repair_s),
    };
    [lost, human::size(loss.re_replicate_bytes), repaired]
}

/// What is lost if two sites fail at once.
fn site_pairs(plan: &Answer) -> String {
    /// More are counted only.
    const NAMED: usize = 3;
    if plan.sites.len() < 3 || plan.inventory.blocks == 0 {
        return String::new();
    }
    let mut pairs: Vec<_> = plan.site_pairs.iter().collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.lost_bytes));
    let alone = plan.sites.iter().any(|site| site.loss.lost_bytes > 0);
    let named = |pair: &&SitePair| {
        let [one, other] = &pair.sites;
        format!("{} and {} ({})", text(one), text(other), human::size(pair.lost_bytes))
    };
    let mut said: Vec<String> = pairs.iter().take(NAMED).map(named).collect();
    match (said.is_empty(), pairs.len().saturating_sub(NAMED)) {
        (true, _) if alone => return "Two failed sites lose no more than each of them alone.\n".into(),
        (true, _) if plan.inventory.exact && plan.inventory.unresponsive.is_empty() => {
            return "Any two sites may fail at once: nothing is lost.\n".into();
        }
        (true, _) => return "If any two sites fail at once, no loss was found.\n".into(),
        (false, 0) => {}
        (false, more) => said.push(human::count(more as u64, "other pair", "other pairs")),
    }
    format!("Lost if two sites fail at once: {}.\n", human::list(&said))
}
