//! What the study of movement says.

use super::change::PoolChange;
use super::layout::{DRAWN, POOLS, PoolLayout};
use super::moves::{BLOCKS, BlockMoves, MovementMeasure, ROW};
use crate::study::family::PlacementKind;
use crate::study::page::{PageData, PagePart, StudyPage};
use crate::study::plot::{Plot, PlotAxis, PlotMark, PlotPoint, PlotSeries};

/// The pool whose figures are shown first.
const SHOWN: PoolLayout = PoolLayout::Random(30, 30);

pub fn page(all: &MovementMeasure) -> StudyPage {
    let ours = all.of(SHOWN, PlacementKind::Ours);
    let ratios =
        || PoolChange::of(SHOWN).iter().map(|change| all.moves[&(SHOWN, PlacementKind::Ours, *change)].ratio());
    let (least, most) = (ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max));
    StudyPage {
        name: "movement",
        title: "What moves when somebody joins or leaves?",
        answer: format!(
            "Next to nothing that does not have to: {:.2} times the least that any placement must copy to reach its exact shares ({least:.2} to \
             {most:.2}, by kind of change; 30 servers, three copies).",
            ours.ratio()
        ),
        findings: findings(all),
        parts: parts(all),
        data: vec![data(all)],
    }
}

impl MovementMeasure {
    /// All changes of a pool together.
    fn of(&self, pool: PoolLayout, kind: PlacementKind) -> BlockMoves {
        let mut sum = BlockMoves::default();
        self.moves.iter().filter(|(case, _)| (case.0, case.1) == (pool, kind)).for_each(|(_, moves)| sum.add(*moves));
        sum
    }
}

fn findings(all: &MovementMeasure) -> Vec<String> {
    let ratio = |kind, change| all.moves[&(SHOWN, kind, change)].ratio();
    let sites = PoolLayout::Random(30, 12);
    vec![
        format!(
            "{ROW} random changes in a row copy {:.2} times the least in total (straw2 {:.2}, RUSH_R {:.2}): nothing accumulates, and there is no \
             history to keep.",
            all.row[&PlacementKind::Ours].ratio(),
            all.row[&PlacementKind::Straw2].ratio(),
            all.row[&PlacementKind::RushR].ratio()
        ),
        format!(
            "The old RUSH functions move least when something is added, and a lot when something old goes: the oldest of 30 servers costs RUSH_R \
             {:.1} times the least, RUSH_P {:.0} times; fsdfs {:.2} times.",
            ratio(PlacementKind::RushR, PoolChange::RemoveOldest),
            ratio(PlacementKind::RushP, PoolChange::RemoveOldest),
            ratio(PlacementKind::Ours, PoolChange::RemoveOldest)
        ),
        format!(
            "Where 30 servers share 12 sites, it is {:.2} times the least; the worst single removal {:.2} (each at its own site: {:.2}).",
            all.of(sites, PlacementKind::Ours).ratio(),
            all.worst[&(sites, PlacementKind::Ours)],
            all.worst[&(SHOWN, PlacementKind::Ours)]
        ),
        "A figure below 1 is no merit: the function does not reach the exact shares, so it moves less than they need. RUSH_P leaves copies out \
         and RUSH_T puts two on one server where batches are single servers (see balance)."
            .into(),
    ]
}

fn parts(all: &MovementMeasure) -> Vec<PagePart> {
    let caption = format!(
        "Copies made / least possible, {}, three copies, mean of {DRAWN} pools, {BLOCKS} blocks each. 1 is perfect.",
        SHOWN.name()
    );
    let mut parts = vec![PagePart::Figure("changes", plot(all), caption)];
    for pool in POOLS {
        parts.push(PagePart::Heading(format!("Copies made / least possible: {}", pool.name())));
        parts.push(PagePart::Table(table(all, pool)));
    }
    parts
}

fn plot(all: &MovementMeasure) -> String {
    let changes = PoolChange::of(SHOWN);
    let names: Vec<String> = changes.iter().map(|change| change.name().to_owned()).collect();
    let series = |(nr, kind): (usize, PlacementKind)| {
        let height = 0.3 - 0.15 * nr as f64;
        let ratio = |change: &PoolChange| all.moves[&(SHOWN, kind, *change)].ratio();
        let points = changes.iter().enumerate().map(|(row, change)| PlotPoint::new(ratio(change), height - row as f64));
        PlotSeries { name: kind.name().into(), points: points.collect(), line: false }
    };
    let ticks = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0].map(|ratio| (ratio, ratio.to_string()));
    Plot {
        title: format!("What a change moves: {}", SHOWN.name()),
        x: PlotAxis::log("copies made / least possible", (0.5, 50.0), ticks),
        y: PlotAxis::names(&names),
        series: PlacementKind::ALL.into_iter().enumerate().map(series).collect(),
        height: 560,
        mark: Some(PlotMark::X(1.0)),
    }
    .svg()
}

fn table(all: &MovementMeasure, pool: PoolLayout) -> PageData {
    let kinds = pool.functions();
    let mut table = PageData::new("changes", ["change"].into_iter().chain(kinds.iter().map(|kind| kind.name())));
    let mut row = |name: &str, ratio: &dyn Fn(PlacementKind) -> f64| {
        let ratios = kinds.iter().map(|kind| format!("{:.2}", ratio(*kind)));
        table.push([name.to_owned()].into_iter().chain(ratios).collect());
    };
    for change in PoolChange::of(pool) {
        row(change.name(), &|kind| all.moves[&(pool, kind, *change)].ratio());
    }
    if pool != PoolLayout::Batches {
        row("the worst server to leave", &|kind| all.worst[&(pool, kind)]);
    }
    if pool == SHOWN {
        row(&format!("{ROW} changes in a row"), &|kind| all.row[&kind].ratio());
    }
    table
}

fn data(all: &MovementMeasure) -> PageData {
    let mut data = PageData::new("changes", ["pool", "change", "function", "made", "least", "ratio"]);
    let mut row = |pool: String, change: &str, kind: PlacementKind, moves: BlockMoves| {
        let (least, ratio) = (format!("{:.1}", moves.least), format!("{:.4}", moves.ratio()));
        data.row(&[&pool, &change, &kind.name(), &moves.made, &least, &ratio]);
    };
    for ((pool, kind, change), moves) in &all.moves {
        row(pool.name(), change.name(), *kind, *moves);
    }
    for (kind, moves) in &all.row {
        row(SHOWN.name(), "in a row", *kind, *moves);
    }
    data
}
