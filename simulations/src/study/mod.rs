//! Studies: of placement, how evenly disks fill, what moves, what differing views and growth cost, what is lost; and of folders,
//! what small files cost.
//!
//! A study is a function of its seed that returns a [`page::StudyPage`]. Everything printed, plotted or written comes from the same numbers.

pub mod balance;
pub mod closeness;
pub mod durability;
pub mod family;
pub mod folders;
pub mod growth;
pub mod household;
pub mod movement;
pub mod network;
pub mod page;
mod plot;
mod report;
mod share;
mod text;
pub mod views;
mod work;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use page::StudyPage;
use work::StudyWork;

/// What to study, and where to write it.
#[derive(Args, Debug)]
pub struct StudyOptions {
    /// Which one.
    #[arg(value_enum)]
    name: StudyName,
    /// Decides all samples: the same seed writes the same files, byte for byte (what is timed apart: `*-timings.csv`).
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for pages (Markdown), figures (SVG) and data (CSV); `all` adds `report.html`. Made if missing.
    #[arg(long, value_name = "DIR", default_value = "target/study")]
    out: PathBuf,
}

/// The studies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StudyName {
    /// How evenly disks fill, and how much fits until the first one is full.
    Balance,
    /// What moves when servers join, leave or change.
    Movement,
    /// What it costs when nodes do not know the same.
    Views,
    /// What it costs when only the nearest servers may hold a block.
    Closeness,
    /// What a larger pool costs each member: memory, messages, time.
    Growth,
    /// How likely something is lost: disks die, sites fail, repair takes its time.
    Durability,
    /// What small files cost: how large the nodes of folders should be.
    Folders,
    /// A year of eight homes: copies there are, what repair moves, and what more patience or less would cost. Takes an hour.
    Household,
    /// All of them but that of homes, and one page that tells about them.
    All,
}

impl StudyName {
    /// `None` for all of them.
    fn study(self) -> Option<fn(&StudyWork) -> StudyPage> {
        match self {
            Self::Balance => Some(balance::study),
            Self::Movement => Some(movement::study),
            Self::Views => Some(views::study),
            Self::Closeness => Some(closeness::study),
            Self::Growth => Some(growth::study),
            Self::Durability => Some(durability::study),
            Self::Folders => Some(folders::study),
            Self::Household => Some(household::study),
            Self::All => None,
        }
    }

    /// Those that this name stands for, with what they are called.
    fn studies(self) -> impl Iterator<Item = (String, fn(&StudyWork) -> StudyPage)> {
        let is_meant = move |name: &&Self| self == **name || self == Self::All && **name != Self::Household;
        let meant = Self::value_variants().iter().filter(is_meant);
        meant.filter_map(|name| Some((name.to_possible_value()?.get_name().to_owned(), name.study()?)))
    }
}

/// Runs what was asked for.
pub fn run(options: &StudyOptions) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.out)?;
    let mut pages = Vec::new();
    for (name, study) in options.name.studies() {
        let page = study(&StudyWork::new(options.seed, &name));
        page.write(&options.out, options.seed)?;
        println!("{}: {}\n  {}", page.name, page.answer, options.out.join(format!("{}.md", page.name)).display());
        pages.push(page);
    }
    if options.name == StudyName::All {
        let file = options.out.join("report.html");
        std::fs::write(&file, report::html(&pages, options.seed))?;
        println!("report: {}", file.display());
    }
    Ok(())
}
