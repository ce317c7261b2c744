//! Real nodes under random faults, for as long as you like:
//! `cargo run --release -p fsdfs-tests --bin chaos -- --minutes 20 --seed 1` or `... -- --kills 50`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use fsdfs_tests::chaos::{self, Kind, Plan};
use fsdfs_tests::cluster::{ACT_AS_FSDFS, Program};

/// Breaks real nodes at random under load, and compares what they keep with what they promised.
#[derive(Parser)]
struct Args {
    /// Goes on for so long; the last round is finished.
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    /// Instead of all faults: kills processes with SIGKILL during puts and gets, so many times.
    #[arg(long, default_value_t = 0)]
    kills: usize,
    /// Everything is drawn from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Nodes in the pool.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=9))]
    nodes: u8,
    /// Only these faults.
    #[arg(long, value_delimiter = ',', value_parser = kind)]
    only: Vec<Kind>,
}

fn kind(name: &str) -> Result<Kind, String> {
    let all = || Kind::PLAIN.into_iter().chain([Kind::ReadOnly, Kind::Full, Kind::Clock]);
    all()
        .find(|kind| format!("{kind:?}").eq_ignore_ascii_case(name))
        .ok_or_else(|| format!("there are {}", all().map(|kind| format!("{kind:?}")).collect::<Vec<_>>().join(", ")))
}

fn plan(args: &Args) -> Plan {
    let long = Plan {
        nodes: usize::from(args.nodes),
        callers: 4,
        lasts: Duration::from_secs(60 * args.minutes),
        round: Duration::from_secs(45),
        gap_ms_max: 2_000,
        pause_ms_max: 200,
        echo: true,
        patience: Duration::from_secs(180),
        ..Plan::short(args.seed)
    };
    if args.kills > 0 {
        let kinds = vec![Kind::Kill];
        return Plan { kinds, kills: args.kills, gap_ms_max: 4_000, bytes_max: 16 << 20, ..long };
    }
    if !args.only.is_empty() {
        return Plan { kinds: args.only.clone(), mounts: args.only.contains(&Kind::Full), ..long };
    }
    let mut kinds = long.kinds.clone();
    match chaos::clock::library() {
        Some(_) => kinds.push(Kind::Clock),
        None => println!("without libfaketime (or $LIBFAKETIME): no clock is wrong"),
    }
    let is_root = rustix::process::geteuid().is_root();
    match is_root {
        true => kinds.extend([Kind::ReadOnly, Kind::Full]),
        false => println!("without root: no disk is filled or made read-only"),
    }
    Plan { kinds, mounts: is_root, ..long }
}

fn main() -> ExitCode {
    if std::env::var_os(ACT_AS_FSDFS).is_some() {
        return fsdfs::main_with_args(std::env::args_os());
    }
    match Program::myself().and_then(|program| chaos::run(program, &plan(&Args::parse()))) {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("FAILED {error:#}");
            ExitCode::FAILURE
        }
    }
}
