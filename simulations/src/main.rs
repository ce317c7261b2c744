//! Replays one seed, or runs many.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use simulations::{Report, Shape, run};

/// Lives of a simulated pool. A violation is printed with the line that replays it.
#[derive(Parser)]
struct Options {
    /// Run this one.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run these: FROM..TO, TO not included.
    #[arg(long, value_parser = range, default_value = "0..100")]
    seeds: std::ops::Range<u64>,
    /// Machines.
    #[arg(long, default_value_t = 10)]
    nodes: usize,
    /// Simulated minutes with faults.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Print everything that happens.
    #[arg(long, requires = "seed")]
    trace: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let shape = |seed| Shape { seed, nodes: options.nodes, minutes: options.minutes, print: options.trace };
    let failed = match options.seed {
        Some(seed) => {
            let report = run(shape(seed));
            print!("{report}");
            u64::from(!report.fine())
        }
        None => many(options.seeds.clone(), &shape),
    };
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(seeds: std::ops::Range<u64>, shape: &(dyn Fn(u64) -> Shape + Sync)) -> u64 {
    let (next, failed) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let one = |seed| {
        let report: Report = run(shape(seed));
        if !report.fine() {
            failed.fetch_add(1, Ordering::Relaxed);
            print!("{report}");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end) {
                    one(seed);
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("{} runs, {failed} with violations", seeds.end.saturating_sub(seeds.start));
    failed
}

fn range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let parse = |part: &str| part.parse::<u64>().map_err(|error| format!("{part:?}: {error}"));
    let (from, to) = text.split_once("..").ok_or("give FROM..TO, as in 0..100")?;
    Ok(parse(from)?..parse(to)?)
}
