//! How fast fsdfs is on this machine: `cargo run --release -p fsdfs-tests --bin bench [-- --only NAME] [--json]`.
//!
//! Starts its own nodes on loopback, prints one line a figure, each beside what the machine does without fsdfs in the same
//! run. On a busy machine trust ratios, CPU seconds and counts before times.

mod figures;
mod floor;
mod markdown;
mod percentile;
mod pool;
mod report;
mod scale;
mod source;
mod usage;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use bytesize::ByteSize;
use clap::Parser;
use fsdfs_tests::cluster::ACT_AS_FSDFS;

use figures::ALL;
use floor::FloorTable;
use markdown::Conditions;
use report::Row;
use scale::BenchScale;

/// Measures fsdfs beside the floors of this machine.
#[derive(Parser)]
struct Args {
    /// Only these groups: large, range, small, many, tree, list, start, memory, idle, repair.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,
    /// Length of a large file.
    #[arg(long, default_value = "1GiB")]
    size: ByteSize,
    /// Small files.
    #[arg(long, default_value_t = 2_000)]
    files: usize,
    /// Small files in one folder, and in a tree of folders.
    #[arg(long, default_value_t = 20_000)]
    small_files: usize,
    /// Bytes through the nodes in each direction while memory is watched.
    #[arg(long, default_value = "5GiB")]
    memory_size: ByteSize,
    /// Seconds of rest that are measured.
    #[arg(long, default_value_t = 60)]
    idle_seconds: u64,
    /// One JSON document instead of a table.
    #[arg(long)]
    json: bool,
    /// A section of docs/measurements.md instead of a table: with date, commit and machine.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

fn main() -> ExitCode {
    if std::env::var_os(ACT_AS_FSDFS).is_some() {
        return fsdfs::main_with_args(std::env::args_os());
    }
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let known = |name: &String| ALL.iter().any(|(group, _)| group == name);
    ensure!(args.only.iter().all(known), "--only takes {}", ALL.map(|(name, _)| name).join(", "));
    let folder = tempfile::Builder::new().prefix("fsdfs-bench-").tempdir()?;
    let scale = BenchScale {
        bytes: args.size.as_u64(),
        files: args.files,
        small_files: args.small_files,
        names: 10_000,
        memory_bytes: args.memory_size.as_u64(),
        idle_s: args.idle_seconds,
    };
    let floors = FloorTable::new(folder.path(), scale.bytes)?;
    let mut rows = Vec::new();
    let lines = !args.json && !args.markdown;
    if lines {
        println!("{}", report::heading());
    }
    let mut row = |row: Row| {
        if lines {
            println!("{}", row.line());
        }
        rows.push(row);
    };
    for (_, measure) in ALL.iter().filter(|(name, _)| args.only.is_empty() || args.only.iter().any(|only| only == name))
    {
        measure(&floors, scale, &mut row)?;
    }
    floors.rows().for_each(row);
    if args.json {
        println!("{}", report::json(&rows, &conditions(args)));
    }
    if args.markdown {
        println!("{}", Conditions::now()?.section(&rows));
    }
    Ok(())
}

fn conditions(args: &Args) -> serde_json::Value {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    serde_json::json!({
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "load": read("/proc/loadavg"),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "large_file_bytes": args.size.as_u64(),
        "small_files": args.files,
    })
}
