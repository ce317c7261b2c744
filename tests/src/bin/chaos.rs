//! Real nodes under random faults, for as long as you like:
//! `cargo run --release -p fsdfs-tests --bin chaos -- --minutes 20 --seed 1` or `... -- --kills 50`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use fsdfs_tests::chaos::{self, ChaosPlan, FaultKind};
use fsdfs_tests::cluster::{ACT_AS_FSDFS, TestProgram};

/// Breaks real nodes at random under load, and compares what they keep with what they promised.
#[derive(Parser)]
struct ChaosArgs {
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
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=9))]
    nodes: u8,
    /// Only these faults.
    #[arg(long, value_delimiter = ',', value_parser = kind)]
    only: Vec<FaultKind>,
}

fn kind(name: &str) -> Result<FaultKind, String> {
    let all =
        || FaultKind::PLAIN.into_iter().chain([FaultKind::ReadOnly, FaultKind::Full, FaultKind::Clock, FaultKind::Cut]);
    all()
        .find(|kind| format!("{kind:?}").eq_ignore_ascii_case(name))
        .ok_or_else(|| format!("there are {}", all().map(|kind| format!("{kind:?}")).collect::<Vec<_>>().join(", ")))
}

fn plan(args: &ChaosArgs) -> ChaosPlan {
    let long = ChaosPlan {
        nodes: usize::from(args.nodes),
        callers: 4,
        lasts: Duration::from_secs(60 * args.minutes),
        round: Duration::from_secs(90),
        gap_ms_max: 300,
        pause_ms_max: 200,
        echo: true,
        patience: Duration::from_secs(180),
        ..ChaosPlan::short(args.seed)
    };
    if args.kills > 0 {
        let kinds = vec![FaultKind::Kill];
        return ChaosPlan { kinds, kills: args.kills, gap_ms_max: 4_000, bytes_max: 16 << 20, ..long };
    }
    if !args.only.is_empty() {
        return ChaosPlan { kinds: args.only.clone(), mounts: args.only.contains(&FaultKind::Full), ..long };
    }
    let mut kinds = long.kinds.clone();
    match chaos::clock::library() {
        Some(_) => kinds.push(FaultKind::Clock),
        None => println!("without libfaketime (or $LIBFAKETIME): no clock is wrong"),
    }
    let is_root = rustix::process::geteuid().is_root();
    match is_root {
        true => kinds.extend([FaultKind::ReadOnly, FaultKind::Full]),
        false => println!("without root: no disk is filled or made read-only"),
    }
    match chaos::can_cut() {
        true => kinds.push(FaultKind::Cut),
        false => println!("without root and nftables: no line is cut"),
    }
    ChaosPlan { kinds, mounts: is_root, exchanges: true, ..long }
}

fn main() -> ExitCode {
    if std::env::var_os(ACT_AS_FSDFS).is_some() {
        return fsdfs::main_with_args(std::env::args_os());
    }
    match TestProgram::myself().and_then(|program| chaos::run(program, &plan(&ChaosArgs::parse()))) {
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
