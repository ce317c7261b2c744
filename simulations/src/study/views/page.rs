//! What the study of views says.

use super::{COPIES, FURTHER, KINDS, Kind, Results, SERVERS, View};
use crate::study::page::{Data, Page, Part};
use crate::study::plot::{Axis, Plot, Point, Series};
use crate::study::text::grouped;

/// Servers of the pools that are shown.
const SHOWN: usize = 20;

pub fn page(all: &Results) -> Page {
    let unknown = &all[&(SHOWN, View::Unknown, Kind::Ours)];
    let joined = &all[&(SHOWN, View::Joined, Kind::Ours)];
    Page {
        name: "views",
        title: "What if not everyone knows the same?",
        answer: format!(
            "Little: who does not know one member of twenty looks for {:.1} % of the copies in the wrong place, {:.2} times what those members hold, and {}. Right after a tenth more have joined, {:.0} % of the copies that are not yet where they belong are on the next two servers.",
            100.0 * unknown.misplaced(),
            unknown.misplaced() * unknown.pools / unknown.unknown,
            missed(unknown.missed, unknown.blocks),
            100.0 * joined.found_within(2)
        ),
        findings: findings(all),
        parts: vec![
            Part::Figure("misplaced", misplaced_plot(all), format!("Copies looked for in the wrong place, in % of all; {SHOWN} servers, three copies.")),
            Part::Table(table(all)),
            Part::Heading("How far to look".into()),
            Part::Figure("further", further_plot(all), format!("Misplaced copies that are found when more than {COPIES} servers are asked, in %; fsdfs, {SHOWN} servers.")),
            Part::Text("Copies on servers that the reader does not know are not found by asking further; another copy is, or the missing facts arrive with the next gossip.".into()),
        ],
        data: vec![data(all)],
    }
}

fn missed(missed: u64, blocks: u64) -> String {
    match missed {
        0 => format!("finds a copy of each of {} blocks without searching", grouped(blocks)),
        _ => format!("misses all {COPIES} copies of {} of {} blocks", grouped(missed), grouped(blocks)),
    }
}

fn findings(all: &Results) -> Vec<String> {
    let percent = |view, kind| 100.0 * all[&(SHOWN, view, kind)].misplaced();
    let older = &all[&(SHOWN, View::Older, Kind::Ours)];
    vec![
        format!(
            "The order in which joins are heard of makes {:.1} % of difference to fsdfs and {:.1} % to RUSH_R: a placement without history has nothing to disagree about.",
            percent(View::OtherOrder, Kind::Ours),
            percent(View::OtherOrder, Kind::RushR)
        ),
        format!(
            "Stale sizes matter little: {:.1} % misplaced if all are up to 5 % off, {:.1} % if a fifth is 20 % off ({:.0} % of these within two servers more, {:.0} % within four).",
            percent(View::Stale, Kind::Ours),
            percent(View::Older, Kind::Ours),
            100.0 * older.found_within(2),
            100.0 * older.found_within(4)
        ),
    ]
}

fn misplaced_plot(all: &Results) -> String {
    let names: Vec<String> = View::ALL.iter().map(|view| view.name().to_owned()).collect();
    let series = |(nr, kind): (usize, Kind)| {
        let height = 0.2 - 0.2 * nr as f64;
        let point =
            |(row, view): (usize, View)| Point::new(100.0 * all[&(SHOWN, view, kind)].misplaced(), height - row as f64);
        Series { name: kind.name().into(), points: View::ALL.into_iter().enumerate().map(point).collect(), line: false }
    };
    Plot {
        title: "Copies looked for in the wrong place".into(),
        x: Axis::linear("% of all copies", (0.0, 14.0), 2.0),
        y: Axis::names(&names),
        series: KINDS.into_iter().enumerate().map(series).collect(),
        height: 400,
        mark: None,
    }
    .svg()
}

fn further_plot(all: &Results) -> String {
    let series = |view: View| {
        let found = &all[&(SHOWN, view, Kind::Ours)];
        let points = (0..=FURTHER).map(|further| Point::new(further as f64, 100.0 * found.found_within(further)));
        Series { name: view.name().into(), points: points.collect(), line: true }
    };
    Plot {
        title: "Misplaced copies found by asking on".into(),
        x: Axis::linear("servers asked beyond the first three", (0.0, FURTHER as f64), 1.0),
        y: Axis::linear("% of the misplaced copies", (0.0, 100.0), 20.0),
        series: [View::Joined, View::Stale, View::Older].map(series).into(),
        height: 420,
        mark: None,
    }
    .svg()
}

fn table(all: &Results) -> Data {
    let kinds = KINDS.map(|kind| format!("{} misplaced, %", kind.name()));
    let mut table = Data::new("views", ["servers".to_owned(), "what differs".into()].into_iter().chain(kinds));
    for (servers, view) in SERVERS.into_iter().flat_map(|servers| View::ALL.map(|view| (servers, view))) {
        let misplaced = KINDS.map(|kind| format!("{:.2}", 100.0 * all[&(servers, view, kind)].misplaced()));
        table.push([servers.to_string(), view.name().into()].into_iter().chain(misplaced).collect());
    }
    table
}

fn data(all: &Results) -> Data {
    let fixed =
        ["servers", "what_differs", "function", "misplaced_percent", "unknown_weight_percent", "blocks_missed_percent"];
    let further = (1..=FURTHER).map(|further| format!("found_within_{further}_more_percent"));
    let mut data = Data::new("views", fixed.map(str::to_owned).into_iter().chain(further));
    for ((servers, view, kind), found) in all {
        let percent = |part: f64| format!("{:.4}", 100.0 * part);
        let missed = percent(found.missed as f64 / found.blocks as f64);
        let unknown = percent(found.unknown / found.pools);
        let fixed =
            [servers.to_string(), view.name().into(), kind.name().into(), percent(found.misplaced()), unknown, missed];
        // RUSH_R names holders only: there is no order in which to go on.
        let orderless = *kind == Kind::RushR;
        let further =
            (1..=FURTHER).map(|further| if orderless { String::new() } else { percent(found.found_within(further)) });
        data.push(fixed.into_iter().chain(further).collect());
    }
    data
}
