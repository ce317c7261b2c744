//! All that a node says of itself, for `status --verbose`.

use fsdfs_proto::control::{NodeStatus, RelayedMembers};

use super::brief::{attention, condition, reachable_at};
use super::state::{NodeState, meaning, unverified};
use crate::text::table::{ColumnAlign, TextTable};
use crate::text::{escape, human};
use crate::verbs::plan;

/// Pairs of members for whom a node relays: of many, those with the most bytes.
const RELAYED_SHOWN: usize = 8;

pub(super) fn shown(status: &NodeStatus) -> String {
    let text = |text: &str| escape::name(text.as_bytes());
    let mut table = TextTable::plain(&[ColumnAlign::Left, ColumnAlign::Left]);
    let mut row = |key: &str, value: String| table.row([key.to_owned(), value]);
    let (pool, node) = (short(&status.pool), short(&status.node));
    row("state", format!("{}: {}", NodeState::of(status).word(), meaning(status)));
    row(
        "pool",
        format!(
            "{} ({pool}), {} of each file",
            text(&status.pool_name),
            human::count(status.copies.into(), "copy", "copies")
        ),
    );
    row("node", format!("{} ({node}) at site {}", text(&status.name), text(&status.site)));
    row(
        "running",
        format!("for {}, version {}, process {}", human::span(status.uptime_s), text(&status.version), status.pid),
    );
    if status.member_budget_bytes > 0 {
        row(
            "budget",
            format!("{} of all disks for each member, copies counted", human::size(status.member_budget_bytes)),
        );
    }
    row("home", text(&status.home));
    row("reachable at", reachable_at(status));
    if !status.reachability.text.is_empty() {
        row("reachability", text(&status.reachability.text));
    }
    row("members", format!("{} of {} others connected", status.connected, status.members));
    for disk in &status.disks {
        let full = condition(disk);
        let path = text(disk.path.as_deref().unwrap_or(&disk.id));
        row(
            "storage",
            format!("{path}: {} of {} used{full}", human::size(disk.used_bytes), human::size(disk.quota_bytes)),
        );
    }
    if status.disks.is_empty() {
        row("storage", "none: this node stores no blocks".into());
    }
    row("repair", repair(status));
    if status.passed_on_bytes > 0 {
        row("passed on", format!("{} of others' blocks since the start", human::size(status.passed_on_bytes)));
    }
    for pair in status.relayed.iter().take(RELAYED_SHOWN) {
        row("relays for", relayed(pair));
    }
    if let more @ 1.. = status.relayed.len().saturating_sub(RELAYED_SHOWN) {
        row("", format!("and {}", human::count(more as u64, "other pair", "other pairs")));
    }
    if let Some(file) = &status.root_key_at {
        // Not a fault of the node, so it does not end with code 1.
        row("root key", format!("still at {}: move it to a safe place, the node runs without it", text(file)));
    }
    if let Some(file) = &status.spare_key_at {
        row("spare key", format!("still at {}: keep it apart from the root key", text(file)));
    }
    row("replication", format!("{} (blocks of this node)", plan::replication(status.replication_margin)));
    let attention: String = status.attention.iter().map(|item| format!("! {}\n", attention(item))).collect();
    format!("{table}{attention}")
}

fn relayed(pair: &RelayedMembers) -> String {
    let now = if pair.active { "" } else { ", not now" };
    let dropped = match pair.dropped_packets {
        0 => String::new(),
        packets => format!(", {} dropped", human::count(packets, "packet", "packets")),
    };
    format!(
        "{} - {}: {} since the start{dropped}{now}",
        escape::name(pair.one.as_bytes()),
        escape::name(pair.other.as_bytes()),
        human::size(pair.bytes)
    )
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn repair(status: &NodeStatus) -> String {
    let repair = &status.repair;
    match (repair.pending, repair.running) {
        (0, false) if !status.unverified.is_empty() => format!("copies on {} are being verified", unverified(status)),
        (0, false) => "no copies are missing".into(),
        (0, true) => "comparing records with the other members".into(),
        (pending, _) => {
            let paused = if repair.paused { "; paused, see 'fsdfs bandwidth'" } else { "" };
            let pending = human::count(pending, "block", "blocks");
            format!("{pending} pending, {} sent and {} received since the start{paused}", repair.sent, repair.received)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{attention as one, complete, status};
    use super::*;
    use fsdfs_proto::control::{RepairStatus, ReplicationMargin};

    #[test]
    fn everything_that_is_known() {
        assert_eq!(
            shown(&status()),
            "state         mending: nothing to do: repair is completing the missing copies\n\
             pool          friends (22222222), 3 copies of each file\n\
             node          anna (11111111) at site cellar\n\
             running       for 1m 1s, version 2.0.0, process 7\n\
             home          /home/anna\n\
             reachable at  UDP 10.0.0.1:4433 (private: same network only)\n\
             reachability  mapped: the router forwards 100.0.0.1:4433\n\
             members       1 of 2 others connected\n\
             storage       d: 0 B of 1.0 GiB used\n\
             repair        1 block pending, 4 sent and 2 received since the start\n\
             replication   1 short ... 0 spare (blocks of this node)\n"
        );
        let lent = shown(&NodeStatus { passed_on_bytes: 3 << 20, ..status() });
        assert!(lent.contains("\npassed on     3.0 MiB of others' blocks since the start\n"), "{lent}");
        let replication_margin = Some(ReplicationMargin { min: -1, max: 0 });
        let text = shown(&NodeStatus { unverified: vec!["bob".into()], replication_margin, ..complete() });
        assert!(text.contains("copies on bob are being verified\n"), "{text}");
        let text = shown(&NodeStatus { attention: vec![one()], ..complete() });
        assert!(text.ends_with("\n! members_away: away: bob\n"), "{text}");
    }

    #[test]
    fn for_whom_it_relays_is_said() {
        let pair = |other: &str, active, dropped_packets| {
            let (one, other) = ("bob".into(), other.into());
            RelayedMembers { one, other, bytes: 3 << 20, dropped_packets, active }
        };
        let relayed = vec![pair("carol", true, 1), pair("da\u{1b}n", false, 0)];
        let text = shown(&NodeStatus { relayed, ..status() });
        let rows = "\nrelays for    bob - carol: 3.0 MiB since the start, 1 packet dropped\n\
                    relays for    bob - da\\x1bn: 3.0 MiB since the start, not now\n";
        assert!(text.contains(rows), "{text}");
        let many = vec![pair("carol", true, 0); RELAYED_SHOWN + 2];
        assert!(shown(&NodeStatus { relayed: many, ..status() }).contains("\n              and 2 other pairs\n"));
    }

    #[test]
    fn repair_that_waits_for_the_line_says_so() {
        let repair = RepairStatus { paused: true, ..status().repair };
        let text = shown(&NodeStatus { repair, ..status() });
        let row = "1 block pending, 4 sent and 2 received since the start; paused, see 'fsdfs bandwidth'\n";
        assert!(text.contains(row), "{text}");
    }
}
