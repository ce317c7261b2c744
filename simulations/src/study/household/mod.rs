//! What a pool of eight homes goes through in a year: how many copies there are, and what repair moves for that; and what it would be
//! with more patience or less.

mod homes;
mod life;
mod page;

use fsdfs_core::engine::Patience;

use super::page::StudyPage;
use super::work::StudyWork;
use life::{LifeFigures, live};

/// Days of the year that is told in full, and of each life that is compared with others.
const DAYS: (u64, u64) = (365, 60);

/// How patient pools could be: as they are first, then one thing each.
fn choices() -> Vec<(&'static str, Patience)> {
    let ours = Patience::DEFAULT;
    vec![
        ("as it is", ours),
        ("long grace 6 h", Patience { grace_factor: 6, ..ours }),
        ("long grace 12 h", Patience { grace_factor: 12, ..ours }),
        ("long grace 48 h", Patience { grace_factor: 48, ..ours }),
        ("long grace 96 h", Patience { grace_factor: 96, ..ours }),
        ("usual hours from 40 %", Patience { usual_percent: 40, ..ours }),
        ("usual hours from 80 %", Patience { usual_percent: 80, ..ours }),
        ("no usual hours", Patience { usual_percent: 101, ..ours }),
        ("brake from a quarter", Patience { outage_part: 4, ..ours }),
        ("brake from a half", Patience { outage_part: 2, ..ours }),
        ("no brake", Patience { outage_part: 1, ..ours }),
    ]
}

/// Runs the study.
pub fn study(work: &StudyWork) -> StudyPage {
    let (whole, part) = (work.samples(DAYS.0), work.samples(DAYS.1));
    let mut lives: Vec<(String, u64, Patience)> = vec![("a year".into(), whole, Patience::DEFAULT)];
    lives.extend(choices().into_iter().map(|(name, patience)| (name.into(), part, patience)));
    let figures = work.map("lives", &lives, |(_, days, patience)| live(work.seed, *days, *patience));
    let named: Vec<(String, LifeFigures)> = lives.into_iter().map(|(name, ..)| name).zip(figures).collect();
    page::page(&named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_of_homes_loses_nothing() {
        let figures = live(1, 3, Patience::DEFAULT);
        assert_eq!(figures.lost, 0);
        assert!(figures.data > 100_000 && figures.kept.values().sum::<u64>() > 0, "{figures:?}");
        let page = page::page(&[("three days".into(), figures)]);
        assert_eq!(page.parts.len(), 2, "a text and its table");
    }
}
