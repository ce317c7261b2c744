//! `fsdfs status`: is everything fine, and if not, what to do.

use clap::Args;
use fsdfs_proto::control::NodeStatus as Answer;

use crate::app::App;
use crate::outcome::{Outcome, Verdict};
use crate::text::table::{Align, Table};
use crate::text::{escape, human};
use crate::verbs::{members, plan};

/// Show the state of this node and its pool.
///
/// The exit code is 0 if you need not do anything, 1 if something needs attention; what, stands in the last lines.
#[derive(Args, Clone, Debug)]
pub struct Status {}

impl Status {
    /// Runs the verb.
    pub async fn run(self, app: &App) -> Outcome {
        let api = app.api()?;
        let status = api.client().status().await.map_err(|error| api.stop(&error))?;
        let verdict = if status.attention.is_empty() { Verdict::Fine } else { Verdict::Attention };
        app.output.result(&status, shown(&status))?;
        Ok(verdict)
    }
}

fn shown(status: &Answer) -> String {
    let text = |text: &str| escape::name(text.as_bytes());
    let mut table = Table::plain(&[Align::Left, Align::Left]);
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
    row("home", text(&status.home));
    row("reached at", reached_at(status));
    row("members", format!("{} of {} others connected", status.connected, status.members));
    for disk in &status.disks {
        let full = if disk.read_only { ", takes nothing new" } else { "" };
        let path = text(disk.path.as_deref().unwrap_or(&disk.id));
        row(
            "storage",
            format!("{path}: {} of {} used{full}", human::size(disk.used_bytes), human::size(disk.quota_bytes)),
        );
    }
    if status.disks.is_empty() {
        row("storage", "none: this node keeps no blocks".into());
    }
    row("copies", copies(status));
    row("K-N", format!("{}, of the blocks here", plan::margin(status.margin)));
    format!("{table}{}", attention(status))
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn reached_at(status: &Answer) -> String {
    if status.addresses.is_empty() {
        format!("UDP port {}, at no known address", status.port)
    } else {
        format!("UDP {}", members::addresses(&status.addresses))
    }
}

fn copies(status: &Answer) -> String {
    let topup = &status.topup;
    match (topup.pending, topup.running) {
        (0, false) => "no copies are known to be missing".into(),
        (0, true) => "comparing with the other members".into(),
        (pending, _) => format!(
            "{} short of copies, being completed ({} sent since the start)",
            human::count(pending, "block is", "blocks are"),
            topup.sent
        ),
    }
}

fn attention(status: &Answer) -> String {
    if !status.attention.is_empty() {
        return members::warnings(&status.attention);
    }
    let (topup, away) = (&status.topup, status.members.saturating_sub(status.connected));
    let is_short = topup.pending > 0 || status.margin.is_some_and(|margin| margin.min < 0);
    match (is_short, away) {
        (true, _) => "nothing for you to do: missing copies are being completed\n".into(),
        (false, 1..) => "nothing for you to do; not every member is connected\n".into(),
        (false, 0) => "all is fine\n".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fsdfs_proto::control::{AddressScope, DiskStatus, NodeAddress, NodeCounters, RepairStatus, ReplicationMargin};

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
            addresses: vec![NodeAddress { address: "10.0.0.1:4433".into(), scope: AddressScope::Private }],
            copies: 3,
            ready: true,
            has_key: true,
            connected: 1,
            members: 2,
            disks: vec![DiskStatus { id: "d".into(), quota_bytes: 1 << 30, ..DiskStatus::default() }],
            topup: RepairStatus { pending: 1, sent: 4, running: true },
            margin: Some(ReplicationMargin { min: -1, max: 0 }),
            counters: NodeCounters::default(),
            clock_off_min: 0,
            attention: Vec::new(),
        }
    }

    #[test]
    fn a_fine_node() {
        assert_eq!(
            shown(&status()),
            "pool        friends (22222222), 3 copies of each file\n\
             node        anna (11111111) at site cellar\n\
             running     for 1m 1s, version 2.0.0, process 7\n\
             home        /home/anna\n\
             reached at  UDP 10.0.0.1:4433 (private: same network only)\n\
             members     1 of 2 others connected\n\
             storage     d: 0 B of 1.0 GiB used\n\
             copies      1 block is short of copies, being completed (4 sent since the start)\n\
             K-N         -1 to 0 (K copies there are, N wanted), of the blocks here\n\
             nothing for you to do: missing copies are being completed\n"
        );
        let complete = Answer {
            topup: RepairStatus { pending: 0, sent: 5, running: false },
            margin: Some(ReplicationMargin { min: 0, max: 0 }),
            ..status()
        };
        assert!(shown(&complete).ends_with("\nnothing for you to do; not every member is connected\n"));
        assert!(shown(&Answer { connected: 2, ..complete }).ends_with("\nall is fine\n"));
    }

    #[test]
    fn what_needs_attention_comes_last_and_harmless() {
        let text = shown(&Answer { attention: vec!["the clock\x1b is wrong".into()], ..status() });
        assert!(text.ends_with("! the clock\\x1b is wrong\n"), "{text}");
    }
}
