//! The picture on screens of several sizes. (`UPDATE=1` writes it again; look at the difference before committing it.)

use std::fs;
use std::path::Path;
use std::time::Duration;

use fsdfs_proto::control::{
    AbsenceReason, BandwidthAnswer, DiskStatus, LimitSource, MemberAbsence, MemberEntry, MemberPresence, MemberShare,
    MeteredLine, RepairShare, RepairStatus, ReplicationMargin, SpaceReport, SpeedLimit,
};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::draw::{WatchView, draw, plain};
use super::history::{WatchHistory, WatchSample};
use crate::verbs::status::tests::{attention, listing, member, status};

/// Three members that are up, and a copy to be completed.
pub(crate) fn sample() -> WatchSample {
    let limit = |bytes_per_s| SpeedLimit { bytes_per_s, source: LimitSource::Config, left_s: None };
    WatchSample {
        status: status(),
        members: listing(),
        bandwidth: BandwidthAnswer {
            upload: limit(2_000_000),
            download: limit(0),
            repair: RepairShare { percent: 50, source: LimitSource::Config, left_s: None },
            metered: MeteredLine { metered: false, source: LimitSource::Config, left_s: None },
            repair_bytes_per_s: 1_000_000,
            queueing_ms: Some(12),
            user_bytes: 0,
            repair_bytes_out: 0,
            repair_bytes_in: 0,
        },
        space: space(&listing().members),
    }
}

fn space(members: &[MemberEntry]) -> SpaceReport {
    let share = |member: &MemberEntry, bytes| MemberShare { id: member.id.clone(), name: member.name.clone(), bytes };
    SpaceReport {
        copies: 3,
        offered_bytes: 12 << 40,
        usable_bytes: 4 << 40,
        free_bytes: 2 << 40,
        copies_short: 0,
        sites_short: 0,
        stranded: Vec::new(),
        offers: members.iter().map(|member| share(member, 4 << 40)).collect(),
        free: members.iter().map(|member| share(member, 5 << 39)).collect(),
        disks: Vec::new(),
        stored_by: Vec::new(),
    }
}

/// A pool in trouble, with a member for each way of being there and not.
fn troubled() -> WatchHistory {
    let mut before = sample();
    let away = |name: &str, reason, until_ms, overdue| MemberEntry {
        presence: MemberPresence::Away,
        connected: false,
        since_s: Some(93_600),
        away: Some(MemberAbsence { reason, until_ms, quiet_s: 93_600, overdue }),
        ..member(name)
    };
    before.members.members[2].via = Some("bob".into());
    before.members.members.extend([
        away("dave", AbsenceReason::UsualHours, Some(1_796_061_600_000), false),
        away("erin", AbsenceReason::Unexplained, None, true),
        MemberEntry { connected: false, ..member("frank") },
        member("a name that is much longer than its column"),
        member("\u{65e5}\u{672c}\u{8a9e}"),
    ]);
    before.space = space(&before.members.members);
    let disk = |path: &str| DiskStatus {
        path: Some(path.into()),
        quota_bytes: 2 << 40,
        used_bytes: 1 << 40,
        ..DiskStatus::default()
    };
    before.status.disks = vec![disk("/srv/a"), disk("/srv/b")];
    let mut after = before.clone();
    after.status.repair = RepairStatus { pending: 1_204, sent: 40, received: 2_012, running: true, paused: false };
    after.status.replication_margin = Some(ReplicationMargin { min: -1, max: 1 });
    after.status.attention = vec![attention()];
    after.bandwidth.repair_bytes_in = 5 << 20;
    after.status.counters.block_bytes_in = 6 << 20;
    after.status.counters.block_bytes_out = 1 << 19;
    before.members.members[4].presence = MemberPresence::Up;
    let mut history = WatchHistory::new(Duration::ZERO, before);
    history.observe(Duration::from_secs(1), "14:02:06", after);
    history
}

fn view<'a>(history: &'a WatchHistory, zone: &'a TimeZone) -> WatchView<'a> {
    WatchView { history, clock: "14:02:07", silent_s: None, keys: "q quits", zone }
}

/// As a terminal of this size shows it.
fn picture(view: &WatchView<'_>, (columns, rows): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("a screen in memory");
    terminal.draw(|frame| draw(view, frame.area(), frame.buffer_mut())).expect("a picture");
    if columns == 0 || rows == 0 {
        return String::new();
    }
    let shown = terminal.backend().to_string();
    // Each line in quotes, so that its width is seen.
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), usize::from(rows), "{shown}");
    shown
}

#[test]
fn the_snapshot_of_80_by_24() {
    let (history, zone) = (troubled(), TimeZone::UTC);
    let text = picture(&view(&history, &zone), (80, 24));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/watch-80x24.txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &text).expect("a snapshot");
    }
    assert_eq!(text, fs::read_to_string(&file).expect("it is committed"));
}

#[test]
fn no_size_is_too_small_or_too_large() {
    let zone = TimeZone::UTC;
    let mut many = sample();
    many.members.members = (0..100).map(|number| member(&format!("member{number}"))).collect();
    many.status.attention = vec![attention(); 30];
    let mut many = WatchHistory::new(Duration::ZERO, many);
    for number in 0..300 {
        many.note("14:02:06", format!("event {number}"));
    }
    for history in [&many, &troubled(), &WatchHistory::new(Duration::ZERO, sample())] {
        for size in [(40, 10), (200, 60), (80, 24), (1, 1), (0, 0), (7, 3), (300, 2), (10, 300)] {
            let shown = picture(&view(history, &zone), size);
            if size.0 >= 40 && size.1 >= 10 {
                assert!(shown.contains("MEMBER") && shown.contains("copies") && shown.contains("q quits"), "{shown}");
            }
        }
    }
    let shown = picture(&view(&many, &zone), (80, 24));
    assert!(shown.contains("\"and 91 others") && shown.contains("! and ") && shown.contains("event 299"), "{shown}");
}

#[test]
fn those_who_are_not_up_come_first_when_there_are_too_many() {
    let zone = TimeZone::UTC;
    let mut many = sample();
    many.members.members = (0..100).map(|number| member(&format!("member{number}"))).collect();
    many.members.members[99].presence = MemberPresence::Away;
    let history = WatchHistory::new(Duration::ZERO, many);
    let shown = picture(&view(&history, &zone), (80, 24));
    assert!(shown.contains("\"member99  away ") && shown.contains("\"member0 "), "{shown}");
}

#[test]
fn a_silent_node_is_said_to_be() {
    let (history, zone) = (troubled(), TimeZone::UTC);
    let shown = picture(&WatchView { silent_s: Some(7), ..view(&history, &zone) }, (80, 24));
    assert!(shown.contains("the node has not answered for 7s; this is what it said before"), "{shown}");
}

#[test]
fn as_plain_text_everything_is_there() {
    let (history, zone) = (troubled(), TimeZone::UTC);
    let text = plain(&WatchView { keys: "", ..view(&history, &zone) }, 80);
    let erin = text.lines().find(|line| line.starts_with("erin ")).expect("a row");
    assert!(
        text.starts_with("anna in friends  6 of 8 up") && erin.contains("  away 1day 2h (copies due elsewhere)"),
        "{text}"
    );
    let last = "LAST\n14:02:06  needs attention, before: mending\n14:02:06  ! members_away: away: bob\n14:02:06  erin is away\n";
    assert!(text.contains("\n! members_away: away: bob\n") && text.ends_with(last), "{text}");
}
