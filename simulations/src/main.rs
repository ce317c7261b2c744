//! Replays one seed, or a part of its scenario, or runs many.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::stdout;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Parser, Subcommand};
use simulations::world::HostileWay;
use simulations::{EventTrace, RunCut, RunReport, RunShape, StepSelection, run, run_part, shrink, study};

/// Runs of a simulated pool. A violation is printed with its world and the line that replays it.
///
/// A run is a function of its seed: sites with uplinks and machines, users who write and read, faults. When the faults end
/// the pool has to converge, and what was promised is held against what is.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<StudyCommand>,
    /// Run this one, and print its world in any case.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run these: FROM..TO, TO not included.
    #[arg(long, value_parser = range, default_value = "0..100")]
    seeds: Range<u64>,
    /// Days of homes: nights, weekends away, fires, disks lost, members that leave, in a pool of which some never meet.
    #[arg(long)]
    household: bool,
    /// Machines, 10 unless given; homes at most, 8.
    #[arg(long)]
    nodes: Option<usize>,
    /// Simulated minutes with faults, 10 unless given; of homes 20 hours.
    #[arg(long)]
    minutes: Option<u64>,
    /// Members that begin to lie, and are revoked some time later; without a number: one in each odd run, two in each even one.
    #[arg(long, value_name = "MEMBERS", num_args = 0..=1)]
    hostile: Option<Option<usize>>,
    /// All of them lie in this way: lying, flooding, poisoning or forging.
    #[arg(long, value_parser = way, requires = "hostile")]
    way: Option<HostileWay>,
    /// Homes delete what no state needs, as those of a crowd do always; without it they only say what they would delete.
    #[arg(long, requires = "household")]
    collect: bool,
    /// End faults and operations after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "seed")]
    until: Option<u64>,
    /// Of all faults and operations, only those with these numbers; 0: none.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', requires = "seed")]
    only: Option<Vec<u32>>,
    /// All but the faults and operations with these numbers; 0: all, each of them listed with its number.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', requires = "seed", conflicts_with = "only")]
    without: Option<Vec<u32>>,
    /// Write down everything that happens: into a file, else on the terminal.
    #[arg(long, value_name = "FILE", num_args = 0..=1, requires = "seed")]
    trace: Option<Option<PathBuf>>,
    /// Print the hash of each run's trace, in the order of the seeds: equal code runs equal traces.
    #[arg(long, conflicts_with_all = ["seed", "shrink"])]
    hash: bool,
    /// Of a run that fails, find the shortest beginning and the fewest faults and operations that still fail.
    #[arg(long)]
    shrink: bool,
}

#[derive(Subcommand)]
enum StudyCommand {
    /// Measure placement, growth and durability; write pages, plots and data.
    Study(study::StudyOptions),
}

fn main() -> ExitCode {
    let options = CommandLine::parse();
    if let Some(StudyCommand::Study(options)) = &options.command {
        return study(options);
    }
    let failed = match options.seed {
        Some(seed) => one(&options, seed),
        None => many(&options),
    };
    match failed {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("simulations: the trace cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn study(options: &study::StudyOptions) -> ExitCode {
    match study::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("study: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn one(options: &CommandLine, seed: u64) -> std::io::Result<u64> {
    let trace = match &options.trace {
        None => EventTrace::default(),
        Some(None) => EventTrace::to(stdout()),
        Some(Some(file)) => EventTrace::to(File::create(file)?),
    };
    let report = run_part(options.shape(seed), &options.cut(), trace);
    print!("{report}");
    Ok(options.failed(&report))
}

fn many(options: &CommandLine) -> std::io::Result<u64> {
    let Range { start, end } = options.seeds;
    let (next, failed) = (AtomicU64::new(start), AtomicU64::new(0));
    let hashes = Mutex::new(BTreeMap::new());
    let one = |seed| {
        let report = run(options.shape(seed));
        if options.hash {
            hashes.lock().expect("no run panics, see guarded()").insert(seed, report.trace);
        }
        if !report.fine() {
            print!("{report}");
            failed.fetch_add(options.failed(&report), Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < end) {
                    one(seed);
                }
            });
        }
    });
    let failed = failed.into_inner();
    for (seed, hash) in hashes.into_inner().expect("no run panics, see guarded()") {
        println!("{seed} {hash:016x}");
    }
    println!("{} runs, {failed} with violations", end.saturating_sub(start));
    Ok(failed)
}

impl CommandLine {
    fn shape(&self, seed: u64) -> RunShape {
        let hostile = self.hostile.map_or(0, |members| members.unwrap_or(if seed % 2 == 1 { 1 } else { 2 }));
        let shape = if self.household { RunShape::household(seed) } else { RunShape::of(seed) };
        let nodes = self.nodes.unwrap_or(shape.nodes);
        let minutes = self.minutes.unwrap_or(shape.minutes);
        RunShape { nodes, minutes, hostile, way: self.way, collects: self.collect || shape.collects, ..shape }
    }

    fn cut(&self) -> RunCut {
        let set = |numbers: &Vec<u32>| -> BTreeSet<u32> { numbers.iter().copied().collect() };
        let keep = match (&self.only, &self.without) {
            (Some(only), _) => StepSelection::Only(set(only)),
            (None, Some(without)) => StepSelection::Without(set(without)),
            (None, None) => StepSelection::All,
        };
        RunCut { until: self.until, keep }
    }

    /// 1 for a run that failed, which is shrunk if wanted.
    fn failed(&self, report: &RunReport) -> u64 {
        if self.shrink
            && let Some(shrunk) = shrink(report)
        {
            print!("{shrunk}");
        }
        u64::from(!report.fine())
    }
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let parse = |part: &str| part.parse::<u64>().map_err(|error| format!("{part:?}: {error}"));
    let (from, to) = text.split_once("..").ok_or("give FROM..TO, as in 0..100")?;
    Ok(parse(from)?..parse(to)?)
}

fn way(text: &str) -> Result<HostileWay, String> {
    let mut ways = HostileWay::ALL.into_iter();
    ways.find(|way| format!("{way:?}").eq_ignore_ascii_case(text))
        .ok_or_else(|| "one of those that --help names".into())
}

/// Microseconds.
fn seconds(text: &str) -> Result<u64, String> {
    let seconds: f64 = text.trim_end_matches('s').parse().map_err(|error| format!("{text:?}: {error}"))?;
    if (0.0..1e9).contains(&seconds) { Ok((seconds * 1e6).round() as u64) } else { Err("a number of seconds".into()) }
}
