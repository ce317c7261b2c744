//! What the study of closeness says.

use fsdfs_core::placement::CANDIDATES_MAX;

use super::cut::{COPIES, ClosenessCut, NEAREST, SIGMA, UNKNOWN};
use crate::study::page::{PageData, PagePart, StudyPage};
use crate::study::plot::{Plot, PlotAxis, PlotMark, PlotPoint, PlotSeries};
use crate::study::text::grouped;

pub fn page(cuts: &[ClosenessCut]) -> StudyPage {
    let bounded = || cuts.iter().filter(|cut| cut.nearest < cut.servers);
    let (movement, disagreement) =
        (range(bounded().map(|cut| cut.movement)), range(bounded().map(|cut| cut.disagreement)));
    let most = CANDIDATES_MAX as u64;
    StudyPage {
        name: "closeness",
        title: "Should only the nearest servers hold a block?",
        answer: format!(
            "Not in a circle of friends: any bound on the candidates makes a join or departure move {movement} times as much and misplaces {disagreement} times as much for those who do \
             not know everyone. So all members are candidates up to {}.", grouped(most)
        ),
        findings: vec![
            "Why: a newcomer pushes the farthest candidate out of the circle, and that one's share must move, too; and who does not know a member asks the one behind it."
                .into(),
            format!(
                "The bound is there so that work stays bounded. Above {} servers each block looks at the {} nearest only: {}",
                grouped(most), grouped(most), above(cuts)
            ),
        ],
        parts: vec![
            PagePart::Figure("spread", plot(cuts, "How unevenly a bound loads servers", "standard deviation of load / share", (0.0, 0.5), 0.1, |cut| cut.spread), format!(
                "Standard deviation of load / share between servers when only the nearest C by XOR are candidates; sizes log-normal (sigma {SIGMA}), {COPIES} copies."
            )),
            PagePart::Figure("movement", plot(cuts, "What a join or departure moves", "copies moved / least possible", (0.8, 3.0), 0.2, |cut| cut.movement), "Copies that must move when one server joins or leaves, in units of the least possible without a bound.".into()),
            PagePart::Table(table(cuts)),
            PagePart::Text(format!(
                "Nearness is Kademlia's: the XOR of the block's id and the SHA-256 of the server's id. Disagreement: one member of {UNKNOWN} is unknown to the reader; copies looked for in the wrong \
                 place / weight of the unknown. Where there are not more servers than C, everyone is a candidate: what then differs from 1 is chance, and what the placement function itself adds."
            )),
        ],
        data: vec![table(cuts)],
    }
}

fn range(values: impl Iterator<Item = f64>) -> String {
    let (least, most) =
        values.fold((f64::INFINITY, 0.0), |(least, most), value| (f64::min(least, value), f64::max(most, value)));
    format!("{least:.1} to {most:.1}")
}

fn above(cuts: &[ClosenessCut]) -> String {
    let at_bound = cuts.iter().filter(|cut| cut.nearest == CANDIDATES_MAX && cut.servers > cut.nearest);
    let one = |cut: &ClosenessCut| {
        format!(
            "{} servers are loaded {:.0} % unevenly and move {:.1} times the least",
            grouped(cut.servers as u64),
            100.0 * cut.spread,
            cut.movement
        )
    };
    at_bound.map(one).collect::<Vec<String>>().join("; ") + "."
}

fn plot(
    cuts: &[ClosenessCut],
    title: &str,
    y: &str,
    range: (f64, f64),
    step: f64,
    value: fn(&ClosenessCut) -> f64,
) -> String {
    let mut servers: Vec<usize> = cuts.iter().map(|cut| cut.servers).collect();
    servers.dedup();
    let line = |servers: usize| {
        let of = cuts.iter().filter(|cut| cut.servers == servers);
        let points = of.map(|cut| PlotPoint::new(cut.nearest as f64, value(cut))).collect();
        PlotSeries { name: format!("{} servers", grouped(servers as u64)), points, line: true }
    };
    Plot {
        title: title.into(),
        x: PlotAxis::log("candidates C", (14.0, 1_200.0), NEAREST.map(|nearest| (nearest as f64, nearest.to_string()))),
        y: PlotAxis::linear(y, range, step),
        series: servers.into_iter().map(line).collect(),
        height: 420,
        mark: Some(PlotMark::Y(if range.0 > 0.0 { 1.0 } else { 0.0 })),
    }
    .svg()
}

fn table(cuts: &[ClosenessCut]) -> PageData {
    let mut table =
        PageData::new("bounds", ["servers", "candidates", "spread of load / share", "moved / least", "disagreement"]);
    // Of bounds that bound nothing, one is enough.
    let bounds = |cut: &&ClosenessCut| !NEAREST.iter().any(|nearest| cut.servers <= *nearest && *nearest < cut.nearest);
    for cut in cuts.iter().filter(bounds) {
        let candidates = if cut.nearest < cut.servers { cut.nearest.to_string() } else { "all".into() };
        let figures = [cut.spread, cut.movement, cut.disagreement].map(|value| format!("{value:.3}"));
        table.row(&[&cut.servers, &candidates, &figures[0], &figures[1], &figures[2]]);
    }
    table
}
