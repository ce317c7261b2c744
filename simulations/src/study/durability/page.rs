//! What the study of durability says.

use super::case::{
    BLOCKS, DATA_TB, DEATHS, DurabilityCase, LossRisk, NOTICE_H, SILENT_H, YEARS, YEARS_WITH_SITE_FAILURE, formula,
};
use super::site::{FRIENDS, OwnerHabit, SiteModel, YEAR_H};
use crate::study::page::{PageData, PagePart, StudyPage};
use crate::study::plot::{Plot, PlotAxis, PlotPoint, PlotSeries};
use crate::study::text::{grouped, odds};

type RiskTable = [(DurabilityCase, LossRisk)];

pub fn page(risks: &RiskTable) -> StudyPage {
    let of = |copies, blind, site_fails| odds(friends(risks, copies, blind, site_fails, NOTICE_H).probability);
    StudyPage {
        name: "durability",
        title: "How likely is it that something is lost?",
        answer: format!(
            "With three copies at different sites the chance of losing anything within a year is {}; in a year in which a site fails, {}. Had the copies \
             been placed without regard to sites, it would be {} in such a year. (Six sites, nine disks, a dead one known within a day.)",
            of(3, false, false),
            of(3, false, true),
            of(3, true, true)
        ),
        findings: findings(risks),
        parts: parts(risks),
        data: vec![data(risks)],
    }
}

fn friends(risks: &RiskTable, copies: u8, blind: bool, site_fails: bool, notice_h: f64) -> LossRisk {
    let wanted = DurabilityCase { sites: &FRIENDS, copies, blind, site_fails, notice_h };
    risks.iter().find(|(case, _)| *case == wanted).expect("all of these are studied").1
}

fn findings(risks: &RiskTable) -> Vec<String> {
    let of = |copies, site_fails| odds(friends(risks, copies, false, site_fails, NOTICE_H).probability);
    let silent = |site_fails| odds(friends(risks, 3, false, site_fails, SILENT_H).probability);
    vec![
        format!(
            "Two copies: {} in an ordinary year, {} in a year with a site failure. Four copies: {} and {}.",
            of(2, false),
            of(2, true),
            of(4, false),
            of(4, true)
        ),
        format!(
            "This counts on somebody who says within {NOTICE_H} hours that a disk is dead. If nobody does and the pool waits its {} days, the chance is {} with three copies, and {} \
             with a site failure.",
            SILENT_H / 24.0,
            silent(false),
            silent(true)
        ),
        check(risks),
    ]
}

/// The simple case beside its formula.
fn check(risks: &RiskTable) -> String {
    let one = |(case, risk): &(DurabilityCase, LossRisk)| {
        let expected = formula(case.sites.len() as f64, case.copies, DEATHS / YEAR_H, case.notice_h, YEAR_H);
        format!(
            "{} copies: simulated {:.3e} ± {:.1e}, calculated {expected:.3e}",
            case.copies, risk.probability, risk.confidence
        )
    };
    let simple: Vec<String> = risks.iter().filter(|(case, _)| case.sites.len() != FRIENDS.len()).map(one).collect();
    format!(
        "Nine equal servers that repair at once can be calculated by hand, which checks the simulation: {}.",
        simple.join("; ")
    )
}

fn parts(risks: &RiskTable) -> Vec<PagePart> {
    let caption = format!(
        "Probability that at least one block is lost within a year, with 95 % confidence intervals. {} years each, {} with a site failure, weighted (see below).",
        grouped(YEARS),
        grouped(YEARS_WITH_SITE_FAILURE)
    );
    vec![
        PagePart::Figure("risk", plot(risks), caption),
        PagePart::Table(table(risks)),
        PagePart::Heading("The model".into()),
        PagePart::Text(format!(
            "Six sites with nine servers of one disk each, {DATA_TB} TB of data in {} groups of blocks placed by the production function. A disk dies with {:.0} % a year, \
             independently of the others. Its death is known after {NOTICE_H} hours; then the sites that hold copies and are on send them at their uplinks to the servers that \
             placement names without the dead one, blocks with the fewest copies first. When all copies are there, a new disk takes the old one's place. A site failure takes all servers of \
             one site, each site as likely, at any time of the year. Lost is what has no copy on any disk that works, whether on or off.",
            grouped(BLOCKS), 100.0 * DEATHS
        )),
        PagePart::Table(sites()),
        PagePart::Text(
            "Loss is too rare to wait for. While copies are missing, the simulated disks die faster than real ones, and each year gets the weight by which it became too \
             likely (importance sampling), which keeps the mean exact. Not in the model: rot that nobody reads, bugs, thieves, floods over a whole town, and people."
                .into(),
        ),
    ]
}

fn sites() -> PageData {
    let mut table = PageData::new("sites", ["site", "servers", "uplink", "off"]);
    for (nr, site) in FRIENDS.iter().enumerate() {
        let servers: Vec<String> = site.servers_tb.iter().map(|size| format!("{size} TB")).collect();
        let off = match site.habit {
            OwnerHabit::On => "never",
            OwnerHabit::HolidaysOff => "two weeks a year",
            OwnerHabit::NightsOff => "23 to 7 o'clock, and two weeks a year",
        };
        table.row(&[&(nr + 1), &servers.join(", "), &format!("{} Mbit/s", site.uplink_mbit_s), &off]);
    }
    table
}

/// Cases of the pool of friends by name, with an ordinary year and one with a site failure.
fn rows(risks: &RiskTable) -> Vec<(String, [LossRisk; 2])> {
    let row = |copies, blind, notice_h| {
        let placement = if blind { "blind to sites" } else { "at different sites" };
        let notice =
            if notice_h == NOTICE_H { String::new() } else { format!(", known after {} days", notice_h / 24.0) };
        let risk = |site_fails| friends(risks, copies, blind, site_fails, notice_h);
        (format!("{copies} copies {placement}{notice}"), [risk(false), risk(true)])
    };
    let pairs = [2, 3, 4].into_iter().flat_map(|copies| [row(copies, true, NOTICE_H), row(copies, false, NOTICE_H)]);
    pairs.chain([row(3, false, SILENT_H)]).collect()
}

fn plot(risks: &RiskTable) -> String {
    let rows = rows(risks);
    let names: Vec<String> = rows.iter().map(|(name, _)| name.clone()).collect();
    let series = |(nr, name): (usize, &str)| {
        let point = |(row, (_, risks)): (usize, &(String, [LossRisk; 2]))| {
            let LossRisk { probability, confidence, .. } = risks[nr];
            let interval = (f64::max(probability - confidence, probability / 100.0), probability + confidence);
            PlotPoint { x: probability, y: 0.15 - 0.3 * nr as f64 - row as f64, interval: Some(interval) }
        };
        PlotSeries { name: name.into(), points: rows.iter().enumerate().map(point).collect(), line: false }
    };
    let ticks = ["1 in a trillion", "1 in a billion", "1 in a million", "1 in a thousand", "always"];
    let ticks = ticks.into_iter().zip([1e-12, 1e-9, 1e-6, 1e-3, 1.0]).map(|(name, chance)| (chance, name.to_owned()));
    Plot {
        title: "Probability of losing anything within a year".into(),
        x: PlotAxis::log("chance per year", (1e-13, 2.0), ticks),
        y: PlotAxis::names(&names),
        series: ["ordinary year", "a site fails"].into_iter().enumerate().map(series).collect(),
        height: 480,
        mark: None,
    }
    .svg()
}

fn table(risks: &RiskTable) -> PageData {
    let mut table = PageData::new("risk", ["placement", "ordinary year", "95 %", "a site fails", "95 %"]);
    let relative =
        |risk: &LossRisk| format!("± {:.0} %", 100.0 * risk.confidence / f64::max(risk.probability, f64::MIN_POSITIVE));
    for (name, [ordinary, failed]) in rows(risks) {
        let (of_ordinary, of_failed) = (relative(&ordinary), relative(&failed));
        table.row(&[&name, &odds(ordinary.probability), &of_ordinary, &odds(failed.probability), &of_failed]);
    }
    table
}

fn data(risks: &RiskTable) -> PageData {
    let head = [
        "sites",
        "copies",
        "blind",
        "site_failure",
        "notice_hours",
        "probability_per_year",
        "confidence_95",
        "years_with_loss_seen",
    ];
    let mut data = PageData::new("risk", head);
    for (case, risk) in risks {
        let (probability, confidence) = (format!("{:.4e}", risk.probability), format!("{:.2e}", risk.confidence));
        let sites = |sites: &[SiteModel]| sites.len();
        data.row(&[
            &sites(case.sites),
            &case.copies,
            &case.blind,
            &case.site_fails,
            &case.notice_h,
            &probability,
            &confidence,
            &risk.seen,
        ]);
    }
    data
}
