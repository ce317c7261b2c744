//! What large stores cost.

use super::*;

/// The same with a million records; prints what it took.
#[test]
#[ignore = "takes a minute: cargo test --workspace a_million_records -- --ignored --nocapture"]
fn a_million_records_are_counted_and_compared() {
    let mut nodes = Nodes::new(2);
    for number in 0..1_000_050 {
        let info = imagined(&nodes.0[0].cx, number);
        if number % 20_000 != 0 || number == 1_000_000 {
            nodes.0[0].old(info.clone(), None);
        }
        if number % 20_000 != 10_000 {
            nodes.0[1].old(info, None);
        }
    }
    nodes.0.iter_mut().for_each(|side| side.cx.repair_bytes_per_s = 0);
    let mut traffic = Traffic::default();
    while nodes.0.iter().all(|side| side.repair.pulls.pending() == 0) {
        traffic = nodes.run(1);
    }
    println!("{} KiB, {} rounds", traffic.bytes >> 10, traffic.rounds / 2);
    let found: Vec<usize> = nodes.0.iter().map(|side| side.repair.pulls.pending()).collect();
    println!("differences: {found:?}");
    assert!(found.iter().sum::<usize>() >= 99 && traffic.bytes < 120 << 10 && traffic.rounds <= 2 * 8, "{traffic:?}");
    for number in 0..1_000_050 {
        let info = imagined(&nodes.0[0].cx, number);
        nodes.0.iter_mut().for_each(|side| {
            if !side.disk.contains_key(&info.id) {
                side.comes(info.clone(), None);
            }
        });
    }
    nodes.run(60);
    let calm = nodes.run(COMPARE_PERIOD_MS / 1_000);
    println!("in sync: {} bytes in {} questions in five minutes", calm.bytes, calm.questions);
    assert!(calm.questions == 2 && calm.bytes <= 1 << 10, "{calm:?}");
}
