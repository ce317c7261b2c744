//! The five lines of `status`: state, copies, members, storage, address. What needs attention follows.

use fsdfs_proto::control::{
    AbsenceReason, AttentionItem, DiskCondition, DiskStatus, MemberEntry, MemberListing, MemberPresence, NodeStatus,
    ReachabilityKind,
};
use jiff::tz::TimeZone;

use super::state::{NodeState, meaning, unverified};
use crate::text::table::{ColumnAlign, TextTable};
use crate::text::{escape, human};
use crate::verbs::{members, plan};

/// Absent members that are named.
const NAMED: usize = 3;

/// For a person: at most five lines if nothing needs attention.
pub(super) fn shown(status: &NodeStatus, listing: &MemberListing, zone: &TimeZone) -> String {
    let mut table = TextTable::plain(&[ColumnAlign::Left, ColumnAlign::Left]);
    let mut row = |key: &str, value: String| table.row([key.to_owned(), value]);
    row("state", format!("{}: {}{}", NodeState::of(status).word(), meaning(status), keys_lie_here(status)));
    let paused = status.repair.paused && status.repair.pending > 0;
    let paused = if paused { "; paused, see 'fsdfs bandwidth'" } else { "" };
    row("copies", format!("{}; {}{paused}", copies(status), moved(status)));
    row("members", in_pool(status, listing, zone));
    row("storage", storage(status));
    row("reachable at", reached(status));
    let attention: String = status.attention.iter().map(|item| format!("! {}\n", attention(item))).collect();
    format!("{table}{attention}")
}

/// Its code, by which it is found in the documents, and what it says.
pub fn attention(item: &AttentionItem) -> String {
    format!("{}: {}", code(item), escape::name(item.text.as_bytes()))
}

/// As the JSON has it.
pub fn code(item: &AttentionItem) -> String {
    let json = serde_json::to_value(&item.reason).unwrap_or_default();
    json["code"].as_str().unwrap_or("other").to_owned()
}

/// No fault of the node, so it does not change its state.
fn keys_lie_here(status: &NodeStatus) -> String {
    let file = |file: &String| escape::name(file.as_bytes());
    match (&status.root_key_at, &status.spare_key_at) {
        (None, None) => String::new(),
        (Some(root), None) => format!("; move the root key to a safe place: {}", file(root)),
        (None, Some(spare)) => format!("; move the spare key to a safe place: {}", file(spare)),
        (Some(root), Some(spare)) => {
            format!("; move root key and spare key to two safe places: {}, {}", file(root), file(spare))
        }
    }
}

/// How many copies there are to be, and what is missing.
pub fn copies(status: &NodeStatus) -> String {
    let repair = &status.repair;
    let lacking = match (repair.pending, status.replication_margin) {
        (0, Some(margin)) if margin.min < 0 && !status.unverified.is_empty() => {
            format!("those on {} are being verified", unverified(status))
        }
        (0, _) if repair.running => "none pending, comparing records".into(),
        (0, _) => "none pending".into(),
        (pending, _) => format!("{} pending", human::count(pending, "block", "blocks")),
    };
    let margin = match status.replication_margin {
        None => String::new(),
        margin => format!(" ({})", plan::replication(margin)),
    };
    format!("{} of each file; {lacking}{margin}", status.copies)
}

/// Blocks that repair moved since the node's start.
pub fn moved(status: &NodeStatus) -> String {
    format!("{} sent, {} received", status.repair.sent, status.repair.received)
}

/// How many are up, and who is not.
fn in_pool(status: &NodeStatus, listing: &MemberListing, zone: &TimeZone) -> String {
    let (up, all) = up_of(listing);
    let mut text = format!("{up} of {all} up in pool {}", escape::name(status.pool_name.as_bytes()));
    let unconnected = listing
        .members
        .iter()
        .filter(|member| member.presence == MemberPresence::Up && !member.me && !member.connected)
        .count();
    if unconnected > 0 {
        text += &format!(", {unconnected} of them not connected to this node");
    }
    let absent: Vec<&MemberEntry> = listing.members.iter().filter(|member| is_absent(member)).collect();
    let named = absent.iter().take(NAMED);
    let mut named: Vec<String> = named
        .map(|member| format!("{} {}", members::name_among(member, &listing.members), absence(member, zone)))
        .collect();
    if let more @ 1.. = absent.len().saturating_sub(NAMED) {
        named.push(human::count(more as u64, "other", "others"));
    }
    if named.is_empty() { text } else { format!("{text}; {}", human::list(&named)) }
}

/// Members that are up, and all that belong to the pool. Those who leave hand over, those who were revoked are none.
pub fn up_of(listing: &MemberListing) -> (usize, usize) {
    let is_up = |member: &&MemberEntry| member.presence == MemberPresence::Up;
    let belongs = |member: &&MemberEntry| !matches!(member.presence, MemberPresence::Removed | MemberPresence::Revoked);
    (listing.members.iter().filter(is_up).count(), listing.members.iter().filter(belongs).count())
}

fn is_absent(member: &MemberEntry) -> bool {
    matches!(member.presence, MemberPresence::Away | MemberPresence::Departed)
}

/// Since when a member is away, and why: `away 1day 2h (usually back by Nov 30 18:00)`.
pub fn absence(member: &MemberEntry, zone: &TimeZone) -> String {
    let word = if member.presence == MemberPresence::Departed { "departed" } else { "away" };
    let since = match member.since_s.or(member.last_seen_s) {
        Some(seconds) => format!("{word} {}", human::span(seconds)),
        None => format!("{word} since this node started"),
    };
    let Some(away) = &member.away else { return since };
    let until = away.until_ms.and_then(|ms| until(ms, zone));
    let why = match (away.reason, until) {
        (AbsenceReason::Announced, Some(time)) => Some(format!("announced, till {time}")),
        (AbsenceReason::Announced, None) => Some("announced".into()),
        (AbsenceReason::UsualHours, Some(time)) => Some(format!("usually back by {time}")),
        (AbsenceReason::UsualHours, None) => Some("at its usual hours".into()),
        (AbsenceReason::Outage, _) => Some("with others".into()),
        (AbsenceReason::Unexplained | AbsenceReason::Other, _) => None,
    };
    let due = away.overdue.then(|| "copies due elsewhere".to_owned());
    let said: Vec<String> = why.into_iter().chain(due).collect();
    if said.is_empty() { since } else { format!("{since} ({})", said.join(", ")) }
}

/// Local time to the minute.
fn until(ms: u64, zone: &TimeZone) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    Some(time.to_zoned(zone.clone()).strftime("%b %-d %H:%M").to_string())
}

/// All disks of this node together; those that take nothing by name.
pub fn storage(status: &NodeStatus) -> String {
    let sum = |of: fn(&DiskStatus) -> u64| status.disks.iter().map(of).fold(0, u64::saturating_add);
    let sizes =
        format!("{} of {} used", human::size(sum(|disk| disk.used_bytes)), human::size(sum(|disk| disk.quota_bytes)));
    let path = |disk: &DiskStatus| escape::name(disk.path.as_deref().unwrap_or(&disk.id).as_bytes());
    match status.disks.as_slice() {
        [] => "none: this node stores no blocks".into(),
        [disk] => format!("{}: {sizes}{}", path(disk), condition(disk)),
        disks => {
            let unwell = disks.iter().filter(|disk| !condition(disk).is_empty());
            let unwell: String = unwell.map(|disk| format!("; {}{}", path(disk), condition(disk))).collect();
            format!("{} disks: {sizes}{unwell}", disks.len())
        }
    }
}

/// What a reader should know of a disk beside the sizes; what to do about it follows below.
pub fn condition(disk: &DiskStatus) -> &'static str {
    match disk.condition {
        DiskCondition::QuotaFull | DiskCondition::DiskFull => ", full",
        DiskCondition::Failing => ", failing",
        DiskCondition::Offline => ", offline",
        DiskCondition::Missing => ", missing",
        DiskCondition::Draining => ", draining",
        DiskCondition::ReadOnly => ", read-only",
        DiskCondition::Good | DiskCondition::Other if disk.read_only => ", read-only",
        DiskCondition::Good | DiskCondition::Other => "",
    }
}

/// An address that others can use says enough; else what would help.
fn reached(status: &NodeStatus) -> String {
    let at = reachable_at(status);
    match (status.reachability.kind, status.reachability.text.as_str()) {
        (_, "") => at,
        (ReachabilityKind::Open, _) => format!("{at}; open"),
        (_, text) => format!("{at}; {}", escape::name(text.as_bytes())),
    }
}

/// Where others can turn to.
pub(super) fn reachable_at(status: &NodeStatus) -> String {
    if status.addresses.is_empty() {
        format!("UDP port {}, no known address", status.port)
    } else {
        format!("UDP {}", members::addresses(&status.addresses))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complete, listing, member, status};
    use super::*;
    use fsdfs_proto::control::{AttentionReason, MemberAbsence};

    fn lines(status: &NodeStatus, listing: &MemberListing) -> String {
        shown(status, listing, &TimeZone::UTC)
    }

    #[test]
    fn an_ordinary_node_takes_five_lines() {
        let text = lines(&complete(), &listing());
        assert_eq!(
            text,
            "state         healthy: nothing to do\n\
             copies        3 of each file; none pending (0 spare); 5 sent, 2 received\n\
             members       3 of 3 up in pool friends\n\
             storage       d: 0 B of 1.0 GiB used\n\
             reachable at  UDP 10.0.0.1:4433 (private: same network only); mapped: the router forwards 100.0.0.1:4433\n"
        );
        // A founder's keys, missing copies and absent members take no line more.
        let keys =
            NodeStatus { root_key_at: Some("/k/root".into()), spare_key_at: Some("/k/spare".into()), ..status() };
        let text = lines(&keys, &listing());
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains("copies; move root key and spare key to two safe places: /k/root, /k/spare\n"), "{text}");
        assert!(text.contains("; 1 block pending (1 short ... 0 spare); 4 sent, 2 received\n"), "{text}");
    }

    #[test]
    fn who_is_away_is_said_with_since_when_and_why() {
        let away = |name: &str, reason, until_ms, overdue| MemberEntry {
            presence: MemberPresence::Away,
            connected: false,
            since_s: Some(93_600),
            away: Some(MemberAbsence { reason, until_ms, quiet_s: 93_600, overdue }),
            ..member(name)
        };
        let mut all = listing();
        all.members[1] = MemberEntry { connected: false, ..member("bob") };
        all.members.extend([
            away("dora", AbsenceReason::UsualHours, Some(1_796_061_600_000), false),
            away("dave", AbsenceReason::Unexplained, None, true),
            away("e\u{1b}rin", AbsenceReason::Outage, None, false),
            MemberEntry { presence: MemberPresence::Departed, since_s: None, last_seen_s: None, ..member("frank") },
            MemberEntry { presence: MemberPresence::Revoked, ..member("mallory") },
        ]);
        let text = in_pool(&complete(), &all, &TimeZone::UTC);
        assert_eq!(
            text,
            "3 of 7 up in pool friends, 1 of them not connected to this node; dora away 1day 2h (usually back by Nov 30 18:00), \
             dave away 1day 2h (copies due elsewhere), e\\x1brin away 1day 2h (with others) and 1 other"
        );
    }

    #[test]
    fn disks_are_counted_together_and_those_that_fail_are_named() {
        let disk = |path: &str, condition| DiskStatus {
            path: Some(path.into()),
            quota_bytes: 1 << 40,
            used_bytes: 1 << 39,
            condition,
            ..DiskStatus::default()
        };
        let disks = vec![disk("/a", DiskCondition::Good), disk("/b", DiskCondition::Failing)];
        assert_eq!(storage(&NodeStatus { disks, ..status() }), "2 disks: 1.0 TiB of 2.0 TiB used; /b, failing");
        assert_eq!(storage(&NodeStatus { disks: Vec::new(), ..status() }), "none: this node stores no blocks");
    }

    #[test]
    fn what_needs_attention_follows_with_its_code_and_harmless() {
        let item = |reason, text: &str| AttentionItem { reason, text: text.into() };
        let attention = vec![
            item(AttentionReason::ClockOff { minutes: 12 }, "the clock\u{1b} is wrong"),
            item(AttentionReason::Other, "later"),
        ];
        let text = lines(&NodeStatus { attention, ..complete() }, &listing());
        assert!(text.starts_with("state         needs attention: 2 things to look at, see below\n"), "{text}");
        assert!(text.ends_with("\n! clock_off: the clock\\x1b is wrong\n! other: later\n"), "{text}");
    }
}
