//! What the study of homes says.

use super::homes::HOMES;
use super::life::LifeFigures;
use crate::study::page::{PageData, PagePart, StudyPage};

/// Copies beside those wanted that have a column of their own.
const MARGINS: std::ops::RangeInclusive<i64> = -3..=2;

pub fn page(lives: &[(String, LifeFigures)]) -> StudyPage {
    let (_, year) = lives.first().expect("one life at least");
    let homes = HOMES.map(|home| home.name).join("; ");
    StudyPage {
        name: "household",
        title: "What do eight homes go through in a year?",
        answer: format!(
            "In {} days {} blocks are lost; copies are short in {:.2} % of all block hours; repair moves {:.2} times the bytes that were destroyed.",
            year.days,
            year.lost,
            100.0 * short(year),
            ratio(year)
        ),
        findings: Vec::new(),
        parts: vec![
            PagePart::Text(format!(
                "Homes: {homes}. Two disks die, one home burns, four homes at once lose power four times a year. Real hours; blocks of a kilobyte stand for larger ones. K - N counts copies on disks that are not lost, in block hours; `reached` those on machines that are on."
            )),
            PagePart::Table(table(lives)),
        ],
        data: vec![table(lives)],
    }
}

fn share(of: &std::collections::BTreeMap<i64, u64>, margin: i64) -> f64 {
    let all: u64 = of.values().sum();
    // The last column has all that is beyond.
    let count: u64 = of
        .iter()
        .filter(|(at, _)| **at == margin || margin == *MARGINS.end() && **at > margin)
        .map(|(_, count)| count)
        .sum();
    count as f64 / all.max(1) as f64
}

fn short(life: &LifeFigures) -> f64 {
    MARGINS.filter(|margin| *margin < 0).map(|margin| share(&life.kept, margin)).sum()
}

fn ratio(life: &LifeFigures) -> f64 {
    life.repaired.0 as f64 / life.destroyed.max(1) as f64
}

fn table(lives: &[(String, LifeFigures)]) -> PageData {
    let margins = MARGINS.map(|margin| format!("K - N = {margin}, %"));
    let reached = (-3..=-1).map(|margin| format!("reached {margin}, %"));
    let head = ["life", "days", "lost"].map(str::to_owned).into_iter().chain(margins).chain(reached);
    let last = ["repair / destroyed", "repair / data", "repaired blocks", "said, KiB a day"].map(str::to_owned);
    let mut table = PageData::new("lives", head.chain(last));
    for (name, life) in lives {
        let mut row = vec![name.clone(), life.days.to_string(), life.lost.to_string()];
        row.extend(MARGINS.map(|margin| format!("{:.2}", 100.0 * share(&life.kept, margin))));
        row.extend((-3..=-1).map(|margin| format!("{:.2}", 100.0 * share(&life.near, margin))));
        row.push(format!("{:.2}", ratio(life)));
        row.push(format!("{:.2}", life.repaired.0 as f64 / life.data.max(1) as f64));
        row.push(life.repaired.1.to_string());
        row.push((life.said / 1024 / life.days.max(1)).to_string());
        table.push(row);
    }
    table
}
