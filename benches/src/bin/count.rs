//! Work for an instruction counter: `count fsdfs|straw2 DISKS DISKS_EACH BLOCKS`. `benches/count` takes the difference of two runs.

use fsdfs_benches::maps::{block, view};
use fsdfs_benches::straw2::Straw2Bucket;

const COPIES: u8 = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [function, numbers @ ..] = &arguments[..] else { usage() };
    let numbers: Vec<usize> = numbers.iter().map(|number| number.parse().unwrap_or_else(|_| usage())).collect();
    let &[disks, disks_each, blocks] = &numbers[..] else { usage() };
    let view = view(disks, disks_each);
    // Made in any case, so that both functions start from the same instructions.
    let straw2 = Straw2Bucket::new(&view);
    let ids = (0..blocks).map(block);
    let holders: usize = match function.as_str() {
        "fsdfs" => ids.map(|id| view.holders(id, COPIES).len()).sum(),
        "straw2" => ids.map(|id| straw2.holders(id, COPIES.into()).len()).sum(),
        "nothing" => ids.map(|id| usize::from(id.0[0])).sum(),
        _ => usage(),
    };
    println!("{holders}");
}

fn usage() -> ! {
    eprintln!("usage: count fsdfs|straw2|nothing DISKS DISKS_EACH BLOCKS");
    std::process::exit(2)
}
