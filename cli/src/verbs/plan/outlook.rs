//! The pool as it is: what fits, what may die, how long it takes to heal.

use fsdfs_proto::control::{FailureLoss, PoolPlan as Answer, SitePair};

use super::words::{advice, blocks, copies, counted, margin, percent, text, uplink};
use crate::text::human;
use crate::text::table::{Align, Table};

pub(super) fn shown(plan: &Answer) -> String {
    let mut head = Table::plain(&[Align::Left, Align::Left]);
    let Answer { room, found, .. } = plan;
    let given = human::size(room.given_bytes);
    head.row([
        "room".into(),
        format!("{} in {}; the members give {given}", human::size(room.usable_bytes), copies(room)),
    ]);
    let filled = percent(found.stored_bytes, room.usable_bytes);
    head.row(["filled".into(), format!("{}{filled} in {}", human::size(found.stored_bytes), blocks(found.blocks))]);
    head.row(["K-N".into(), margin(found.margin)]);
    let advice = advice(&plan.advice, plan.attention);
    format!("{head}{}{}{}{}{advice}", members(plan), sites(plan), together(plan), counted(found))
}

fn members(plan: &Answer) -> String {
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("MEMBER", left),
        ("SITE", left),
        ("GIVES", right),
        ("SHARE", right),
        ("IF IT DIES", left),
        ("TO COPY", right),
        ("HEALED IN", right),
        ("UPLINK", left),
    ]);
    for member in &plan.members {
        let first =
            [text(&member.name), text(&member.site), human::size(member.gives_bytes), human::size(member.holds_bytes)];
        let [dies, copy, time] = loss(plan, &member.loss);
        table.row(first.into_iter().chain([dies, copy, time, uplink(member.uplink)]));
    }
    if plan.members.is_empty() { "No member gives storage.\n".into() } else { table.to_string() }
}

/// Sites with one member say the same as that member.
fn sites(plan: &Answer) -> String {
    let at = |site: &str| plan.members.iter().filter(|member| member.site == site).count();
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("SITE", left),
        ("MEMBERS", right),
        ("IF IT BURNS", left),
        ("TO COPY", right),
        ("HEALED IN", right),
    ]);
    for site in plan.sites.iter().filter(|site| at(&site.site) > 1) {
        table.row([text(&site.site), at(&site.site).to_string()].into_iter().chain(loss(plan, &site.loss)));
    }
    if plan.sites.iter().any(|site| at(&site.site) > 1) { table.to_string() } else { String::new() }
}

fn loss(plan: &Answer, loss: &FailureLoss) -> [String; 3] {
    let lost = match (loss.lost_bytes, loss.heard, plan.found.exact) {
        (0, false, _) => "not known".into(),
        (0, true, true) => "nothing is lost".into(),
        (0, true, false) => "none seen lost".into(),
        (bytes, true, _) => format!("{} are lost", human::size(bytes)),
        (bytes, false, _) => format!("{} or more", human::size(bytes)),
    };
    let healed = match loss.copies {
        _ if plan.found.stored_bytes > loss.usable_bytes => "never: no room".into(),
        copies if copies < plan.room.copies => {
            format!("{}, to {} only", human::span(loss.seconds), human::count(copies.into(), "copy", "copies"))
        }
        _ => human::span(loss.seconds),
    };
    [lost, human::size(loss.copy_bytes), healed]
}

/// What two fires at once would take.
fn together(plan: &Answer) -> String {
    /// More are counted only.
    const NAMED: usize = 3;
    if plan.sites.len() < 3 || plan.found.blocks == 0 {
        return String::new();
    }
    let mut pairs: Vec<_> = plan.pairs.iter().collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.lost_bytes));
    let alone = plan.sites.iter().any(|site| site.loss.lost_bytes > 0);
    let named = |pair: &&SitePair| {
        let [one, other] = &pair.sites;
        format!("{} with {} ({})", text(one), text(other), human::size(pair.lost_bytes))
    };
    let mut said: Vec<String> = pairs.iter().take(NAMED).map(named).collect();
    match (said.is_empty(), pairs.len().saturating_sub(NAMED)) {
        (true, _) if alone => return "Two sites together lose no more than each of them alone.\n".into(),
        (true, _) if plan.found.exact && plan.found.silent.is_empty() => {
            return "Any two sites may burn together: nothing is lost.\n".into();
        }
        (true, _) => return "If two sites burn together, none was seen lost.\n".into(),
        (false, 0) => {}
        (false, more) => said.push(human::count(more as u64, "other pair", "other pairs")),
    }
    format!("If two sites burn together, these lose something: {}.\n", human::list(&said))
}
