//! The published vectors, computed a second time by Python scripts that share no code with the crates.

use std::path::Path;
use std::process::Command;

#[test]
fn agrees_with_the_published_vectors() {
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto-spec/check/run");
    let run = Command::new("bash").arg(check).output();
    let run = match run {
        Ok(run) => run,
        Err(error) => return println!("skipped: cannot run bash: {error}"),
    };
    let said = String::from_utf8_lossy(&run.stdout);
    println!("{said}");
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
}
