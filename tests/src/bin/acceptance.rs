//! Runs every scenario at full size and prints one line each:
//! `cargo run --release -p fsdfs-tests --bin acceptance [-- --reduced] [NAME...]`.

use std::process::ExitCode;

use clap::Parser;
use fsdfs_tests::cluster::{ACT_AS_FSDFS, TestProgram};
use fsdfs_tests::scenario::{ALL, ScenarioScale};

/// Shows on this machine, with real nodes on loopback, that the path holds.
#[derive(Parser)]
struct AcceptanceArgs {
    /// The sizes of `cargo test` instead of the full ones.
    #[arg(long)]
    reduced: bool,
    /// Only these scenarios.
    names: Vec<String>,
}

fn main() -> ExitCode {
    if std::env::var_os(ACT_AS_FSDFS).is_some() {
        return fsdfs::main_with_args(std::env::args_os());
    }
    let args = AcceptanceArgs::parse();
    let scale = if args.reduced { ScenarioScale::REDUCED } else { ScenarioScale::FULL };
    let mut failed = 0;
    let mut passed = 0;
    for (name, scenario) in ALL {
        if !args.names.is_empty() && !args.names.iter().any(|wanted| wanted == name) {
            continue;
        }
        match TestProgram::myself().and_then(|program| scenario(program, scale)) {
            Ok(line) => {
                passed += 1;
                println!("ok      {name}: {line}");
            }
            Err(error) => {
                failed += 1;
                println!("FAILED  {name}: {error:#}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
