//! A short chaos run; `cargo run --release -p fsdfs-tests --bin chaos` is the long one.

use fsdfs_tests::chaos::{self, ChaosPlan};
use fsdfs_tests::cluster::TestProgram;

#[test]
fn what_was_acknowledged_survives_random_faults() -> anyhow::Result<()> {
    let program = TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"));
    println!("{}", chaos::run(program, &ChaosPlan::short(1))?);
    Ok(())
}
