//! What the study of views says.

use super::findings::{COPIES, FURTHER, KINDS, SERVERS, ViewResults};
use super::view::ViewError;
use crate::study::family::PlacementKind;
use crate::study::page::{PageData, PagePart, StudyPage};
use crate::study::plot::{Plot, PlotAxis, PlotPoint, PlotSeries};
use crate::study::text::grouped;

/// Servers of the pools that are shown.
const SHOWN: usize = 20;

pub fn page(all: &ViewResults) -> StudyPage {
    let unknown = &all[&(SHOWN, ViewError::Unknown, PlacementKind::Ours)];
    let joined = &all[&(SHOWN, ViewError::Joined, PlacementKind::Ours)];
    StudyPage {
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
            PagePart::Figure("misplaced", misplaced_plot(all), format!("Copies looked for in the wrong place, in % of all; {SHOWN} servers, three copies.")),
            PagePart::Table(table(all)),
            PagePart::Heading("How far to look".into()),
            PagePart::Figure("further", further_plot(all), format!("Misplaced copies that are found when more than {COPIES} servers are asked, in %; fsdfs, {SHOWN} servers.")),
            PagePart::Text("Copies on servers that the reader does not know are not found by asking further; another copy is, or the missing facts arrive with the next gossip.".into()),
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

fn findings(all: &ViewResults) -> Vec<String> {
    let percent = |view, kind| 100.0 * all[&(SHOWN, view, kind)].misplaced();
    let older = &all[&(SHOWN, ViewError::Older, PlacementKind::Ours)];
    vec![
        format!(
            "The order in which joins are heard of makes {:.1} % of difference to fsdfs and {:.1} % to RUSH_R: a placement without history has nothing to disagree about.",
            percent(ViewError::OtherOrder, PlacementKind::Ours),
            percent(ViewError::OtherOrder, PlacementKind::RushR)
        ),
        format!(
            "Stale sizes matter little: {:.1} % misplaced if all are up to 5 % off, {:.1} % if a fifth is 20 % off ({:.0} % of these within two servers more, {:.0} % within four).",
            percent(ViewError::Stale, PlacementKind::Ours),
            percent(ViewError::Older, PlacementKind::Ours),
            100.0 * older.found_within(2),
            100.0 * older.found_within(4)
        ),
    ]
}

fn misplaced_plot(all: &ViewResults) -> String {
    let names: Vec<String> = ViewError::ALL.iter().map(|view| view.name().to_owned()).collect();
    let series = |(nr, kind): (usize, PlacementKind)| {
        let height = 0.2 - 0.2 * nr as f64;
        let point = |(row, view): (usize, ViewError)| {
            PlotPoint::new(100.0 * all[&(SHOWN, view, kind)].misplaced(), height - row as f64)
        };
        PlotSeries {
            name: kind.name().into(),
            points: ViewError::ALL.into_iter().enumerate().map(point).collect(),
            line: false,
        }
    };
    Plot {
        title: "Copies looked for in the wrong place".into(),
        x: PlotAxis::linear("% of all copies", (0.0, 14.0), 2.0),
        y: PlotAxis::names(&names),
        series: KINDS.into_iter().enumerate().map(series).collect(),
        height: 400,
        mark: None,
    }
    .svg()
}

fn further_plot(all: &ViewResults) -> String {
    let series = |view: ViewError| {
        let found = &all[&(SHOWN, view, PlacementKind::Ours)];
        let points = (0..=FURTHER).map(|further| PlotPoint::new(further as f64, 100.0 * found.found_within(further)));
        PlotSeries { name: view.name().into(), points: points.collect(), line: true }
    };
    Plot {
        title: "Misplaced copies found by asking on".into(),
        x: PlotAxis::linear("servers asked beyond the first three", (0.0, FURTHER as f64), 1.0),
        y: PlotAxis::linear("% of the misplaced copies", (0.0, 100.0), 20.0),
        series: [ViewError::Joined, ViewError::Stale, ViewError::Older].map(series).into(),
        height: 420,
        mark: None,
    }
    .svg()
}

fn table(all: &ViewResults) -> PageData {
    let kinds = KINDS.map(|kind| format!("{} misplaced, %", kind.name()));
    let mut table = PageData::new("views", ["servers".to_owned(), "what differs".into()].into_iter().chain(kinds));
    for (servers, view) in SERVERS.into_iter().flat_map(|servers| ViewError::ALL.map(|view| (servers, view))) {
        let misplaced = KINDS.map(|kind| format!("{:.2}", 100.0 * all[&(servers, view, kind)].misplaced()));
        table.push([servers.to_string(), view.name().into()].into_iter().chain(misplaced).collect());
    }
    table
}

fn data(all: &ViewResults) -> PageData {
    let fixed =
        ["servers", "what_differs", "function", "misplaced_percent", "unknown_weight_percent", "blocks_missed_percent"];
    let further = (1..=FURTHER).map(|further| format!("found_within_{further}_more_percent"));
    let mut data = PageData::new("views", fixed.map(str::to_owned).into_iter().chain(further));
    for ((servers, view, kind), found) in all {
        let percent = |part: f64| format!("{:.4}", 100.0 * part);
        let missed = percent(found.missed as f64 / found.blocks as f64);
        let unknown = percent(found.unknown / found.pools);
        let fixed =
            [servers.to_string(), view.name().into(), kind.name().into(), percent(found.misplaced()), unknown, missed];
        // RUSH_R names holders only: there is no order in which to go on.
        let orderless = *kind == PlacementKind::RushR;
        let further =
            (1..=FURTHER).map(|further| if orderless { String::new() } else { percent(found.found_within(further)) });
        data.push(fixed.into_iter().chain(further).collect());
    }
    data
}
