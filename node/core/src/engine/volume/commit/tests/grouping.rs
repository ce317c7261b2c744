//! Which commands a commit waits for.

use super::*;

#[test]
fn a_commit_waits_for_those_who_shared_one_of_the_last_two_and_for_nobody_else() {
    let mut bench = Bench::new(0);
    let mut begun_in = |ops: std::ops::Range<OpId>| {
        ops.for_each(|op| bench.edit(op, &["a"]));
        let due = bench.cx.timers.due(bench.cx.now.mono).is_some();
        bench.begin();
        due
    };
    assert!(begun_in(1..2), "who is alone waits for nobody");
    assert!(begun_in(2..6), "the first of several does not know of the others");
    assert!(!begun_in(6..9) && begun_in(9..13), "until as many are here as before");
    assert!(
        !begun_in(13..14) && !begun_in(14..15) && begun_in(15..16),
        "those that stay away are not waited for again"
    );
}
