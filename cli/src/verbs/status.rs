//! `fsdfs status`: is the node healthy, and if not, what to do.

use clap::Args;
use fsdfs_proto::control::{DiskCondition, DiskStatus, NodeStatus as Answer, RelayedMembers};

use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus};
use crate::text::table::{ColumnAlign, TextTable};
use crate::text::{escape, human};
use crate::verbs::{members, plan};

/// Pairs of members for whom a node relays: of many, those with the most bytes.
const RELAYED_SHOWN: usize = 8;

/// Show the state of this node and its pool.
///
/// The exit code is 0 if there is nothing to do, 1 if something needs attention: the last lines say what.
#[derive(Args, Clone, Debug)]
pub struct StatusCommand {}

impl StatusCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        let status = api.client().status().await.map_err(|error| api.stop(&error))?;
        let verdict = if status.attention.is_empty() { ExitStatus::Fine } else { ExitStatus::Attention };
        app.output.result(&status, app.program.in_hint(&shown(&status)))?;
        Ok(verdict)
    }
}

fn shown(status: &Answer) -> String {
    let text = |text: &str| escape::name(text.as_bytes());
    let mut table = TextTable::plain(&[ColumnAlign::Left, ColumnAlign::Left]);
    let mut row = |key: &str, value: String| table.row([key.to_owned(), value]);
    let (pool, node) = (short(&status.pool), short(&status.node));
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
    format!("{table}{}", attention(status))
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

/// What a reader should know beside the sizes; what to do about it follows below.
fn condition(disk: &DiskStatus) -> &'static str {
    match disk.condition {
        DiskCondition::QuotaFull | DiskCondition::DiskFull => ", full",
        DiskCondition::Failing => ", failing",
        DiskCondition::Offline => ", offline",
        DiskCondition::ReadOnly => ", read-only",
        DiskCondition::Good | DiskCondition::Other if disk.read_only => ", read-only",
        DiskCondition::Good | DiskCondition::Other => "",
    }
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn reachable_at(status: &Answer) -> String {
    if status.addresses.is_empty() {
        format!("UDP port {}, no known address", status.port)
    } else {
        format!("UDP {}", members::addresses(&status.addresses))
    }
}

fn repair(status: &Answer) -> String {
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

/// Members that say that they keep copies and have not proved any yet.
fn unverified(status: &Answer) -> String {
    let names: Vec<String> = status.unverified.iter().map(|name| escape::name(name.as_bytes())).collect();
    names.join(", ")
}

fn attention(status: &Answer) -> String {
    if !status.attention.is_empty() {
        return members::warnings(&status.attention);
    }
    let (repair, away) = (&status.repair, status.members.saturating_sub(status.connected));
    let is_short = repair.pending > 0 || status.replication_margin.is_some_and(|margin| margin.min < 0);
    match (is_short, away) {
        (true, _) if repair.pending == 0 && !status.unverified.is_empty() => {
            format!("nothing to do: copies count when {} proved to have them\n", unverified(status))
        }
        (true, _) if repair.paused => {
            "nothing to do: repair completes the missing copies when it may use the line\n".into()
        }
        (true, _) => "nothing to do: repair is completing the missing copies\n".into(),
        (false, 1..) => "nothing to do; not every member is connected\n".into(),
        (false, 0) => "healthy\n".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fsdfs_proto::control::{
        AddressScope, AddressTranslation, AttentionItem, AttentionReason, MemberRole, NodeAddress, NodeCounters,
        ReachabilityKind, ReachabilityStatus, RepairStatus, ReplicationMargin,
    };

    fn status() -> Answer {
        Answer {
            version: "2.0.0".into(),
            pid: 7,
            uptime_s: 61,
            home: "/home/anna".into(),
            node: "11".repeat(32),
            name: "anna".into(),
            site: "cellar".into(),
            pool: "22".repeat(32),
            pool_name: "friends".into(),
            port: 4433,
            root_key_at: None,
            spare_key_at: None,
            addresses: vec![NodeAddress { address: "10.0.0.1:4433".into(), scope: AddressScope::Private }],
            reachability: ReachabilityStatus {
                kind: ReachabilityKind::Mapped,
                translation: AddressTranslation::Unknown,
                text: "mapped: the router forwards 100.0.0.1:4433".into(),
            },
            copies: 3,
            member_budget_bytes: 0,
            ready: true,
            role: MemberRole::Full,
            has_key: true,
            connected: 1,
            members: 2,
            disks: vec![DiskStatus { id: "d".into(), quota_bytes: 1 << 30, ..DiskStatus::default() }],
            repair: RepairStatus { pending: 1, sent: 4, received: 2, running: true, paused: false },
            replication_margin: Some(ReplicationMargin { min: -1, max: 0 }),
            unverified: Vec::new(),
            passed_on_bytes: 0,
            relayed: Vec::new(),
            counters: NodeCounters::default(),
            clock_off_min: 0,
            attention: Vec::new(),
        }
    }

    #[test]
    fn a_fine_node() {
        assert_eq!(
            shown(&status()),
            "pool          friends (22222222), 3 copies of each file\n\
             node          anna (11111111) at site cellar\n\
             running       for 1m 1s, version 2.0.0, process 7\n\
             home          /home/anna\n\
             reachable at  UDP 10.0.0.1:4433 (private: same network only)\n\
             reachability  mapped: the router forwards 100.0.0.1:4433\n\
             members       1 of 2 others connected\n\
             storage       d: 0 B of 1.0 GiB used\n\
             repair        1 block pending, 4 sent and 2 received since the start\n\
             replication   1 short ... 0 spare (blocks of this node)\n\
             nothing to do: repair is completing the missing copies\n"
        );
        let complete = Answer {
            repair: RepairStatus { pending: 0, sent: 5, received: 2, running: false, paused: false },
            replication_margin: Some(ReplicationMargin { min: 0, max: 0 }),
            ..status()
        };
        assert!(shown(&complete).ends_with("\nnothing to do; not every member is connected\n"));
        assert!(shown(&Answer { connected: 2, ..complete.clone() }).ends_with("\nhealthy\n"));
        let lent = shown(&Answer { passed_on_bytes: 3 << 20, ..status() });
        assert!(lent.contains("\npassed on     3.0 MiB of others' blocks since the start\n"), "{lent}");
        let margin = Some(ReplicationMargin { min: -1, max: 0 });
        let text = shown(&Answer { unverified: vec!["bob".into()], replication_margin: margin, ..complete });
        assert!(text.contains("copies on bob are being verified") && text.ends_with("when bob proved to have them\n"));
    }

    #[test]
    fn for_whom_it_relays_is_said() {
        let pair = |other: &str, active, dropped_packets| {
            let (one, other) = ("bob".into(), other.into());
            RelayedMembers { one, other, bytes: 3 << 20, dropped_packets, active }
        };
        let text = shown(&Answer { relayed: vec![pair("carol", true, 1), pair("da\u{1b}n", false, 0)], ..status() });
        let rows = "\nrelays for    bob - carol: 3.0 MiB since the start, 1 packet dropped\n\
                    relays for    bob - da\\x1bn: 3.0 MiB since the start, not now\n";
        assert!(text.contains(rows), "{text}");
        let many = vec![pair("carol", true, 0); RELAYED_SHOWN + 2];
        assert!(shown(&Answer { relayed: many, ..status() }).contains("\n              and 2 other pairs\n"));
    }

    #[test]
    fn repair_that_waits_for_the_line_says_so() {
        let repair = RepairStatus { paused: true, ..status().repair };
        let text = shown(&Answer { repair, ..status() });
        assert!(
            text.contains("1 block pending, 4 sent and 2 received since the start; paused, see 'fsdfs bandwidth'\n"),
            "{text}"
        );
        assert!(text.ends_with("when it may use the line\n"), "{text}");
    }

    #[test]
    fn what_needs_attention_comes_last_and_harmless() {
        let item = AttentionItem { reason: AttentionReason::Other, text: "the clock\x1b is wrong".into() };
        let text = shown(&Answer { attention: vec![item], ..status() });
        assert!(text.ends_with("! the clock\\x1b is wrong\n"), "{text}");
    }
}
