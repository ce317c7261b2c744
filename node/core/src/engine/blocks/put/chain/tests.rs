//! Routes, and chains that break.

use std::collections::BTreeMap;

use super::*;

fn node(number: u8) -> NodeId {
    let mut bytes = [0; 32];
    bytes[0] = number.wrapping_mul(37);
    bytes[31] = number;
    NodeId(bytes)
}

/// A block whose id is as good as random.
fn id(number: u64) -> BlockId {
    let mut bytes = [0; 32];
    for (byte, part) in bytes.chunks_mut(8).zip(1u64..) {
        byte.copy_from_slice(&fastrand::Rng::with_seed(number * 64 + part).u64(..).to_be_bytes());
    }
    BlockId(bytes)
}

const SITES: [&str; 9] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];

fn holder(number: u8, uplink_kib: Option<u32>) -> ChainHolder<'static> {
    let site = SITES[usize::from(number)];
    ChainHolder { node: node(number), site, uplink_kib, is_off_chains: false, is_last_only: false }
}

fn nodes(numbers: &[u8]) -> Vec<NodeId> {
    numbers.iter().map(|number| node(*number)).collect()
}

/// Routes of many blocks.
fn routes(own: Option<u32>, holders: &[ChainHolder<'_>]) -> Vec<BlockRoute> {
    (0..1_000).map(|number| route(id(number), own, holders)).collect()
}

/// Of so many blocks of a thousand a holder is the last.
fn last(routes: &[BlockRoute]) -> BTreeMap<NodeId, usize> {
    let mut count = BTreeMap::new();
    for route in routes {
        *count.entry(*route.chain.last().expect("a chain")).or_default() += 1;
    }
    count
}

#[test]
fn equal_lines_lend_equally_and_every_holder_is_in_the_chain_once() {
    let holders = [holder(1, None), holder(2, None), holder(3, None)];
    let routes = routes(None, &holders);
    for route in &routes {
        let mut chain = route.chain.clone();
        chain.sort_unstable();
        let mut all = nodes(&[1, 2, 3]);
        all.sort_unstable();
        assert_eq!((chain, route.direct.len()), (all, 0));
    }
    let last = last(&routes);
    assert!(last.len() == 3 && last.values().all(|times| (250..420).contains(times)), "{last:?}");
    let first: BTreeMap<NodeId, usize> = routes.iter().fold(BTreeMap::new(), |mut first, route| {
        *first.entry(route.chain[0]).or_default() += 1;
        first
    });
    assert!(first.len() == 3 && first.values().all(|times| (200..500).contains(times)), "{first:?}");
}

#[test]
fn a_fast_writer_with_slow_friends_sends_directly() {
    let slow = [holder(1, Some(1_220)), holder(2, Some(1_220))];
    assert_eq!(route(id(1), Some(12_200), &slow), BlockRoute { direct: nodes(&[1, 2]), chain: vec![] });
    // With a quarter more the chain wins; a quarter is what it has to win by.
    let (low, high) =
        ([holder(1, Some(3_050)), holder(2, Some(3_050))], [holder(1, Some(4_000)), holder(2, Some(4_000))]);
    assert!(route(id(1), Some(10_000), &low).chain.is_empty());
    assert_eq!(route(id(1), Some(10_000), &high).chain.len(), 2);
    // Whoever told nothing is taken for as fast as this node.
    assert_eq!(route(id(1), Some(12_200), &[holder(1, None), holder(2, None)]).chain.len(), 2);
    assert_eq!(route(id(1), None, &slow).chain.len(), 2);
}

#[test]
fn the_slowest_passes_on_as_much_as_its_line_is_worth() {
    let holders = [holder(1, Some(2_000)), holder(2, Some(2_000)), holder(3, Some(500))];
    let routes = routes(Some(2_000), &holders);
    let last = last(&routes);
    // 4,500 for two hops each: 2,250 a second, of which the slowest sends 500.
    assert!((600..860).contains(&last[&node(3)]), "{last:?}");
    let first_is_slow = routes.iter().filter(|route| route.chain[0] == node(3)).count();
    assert_eq!(first_is_slow, 0, "faster ones come first");
}

#[test]
fn what_is_near_is_sent_to_directly_and_counts_for_nothing() {
    let near = ChainHolder { is_off_chains: true, ..holder(1, None) };
    let all = [near, holder(2, None), holder(3, None)];
    for route in routes(None, &all) {
        assert_eq!((route.direct, route.chain.len()), (nodes(&[1]), 2));
    }
    let one = route(id(1), None, &[near, holder(2, None)]);
    assert_eq!(one, BlockRoute { direct: nodes(&[1, 2]), chain: vec![] }, "one that is far gets it from here");
}

#[test]
fn holders_at_one_site_stand_behind_each_other_and_cost_one_hop() {
    let twin = ChainHolder { site: "s1", ..holder(2, None) };
    let holders = [holder(1, None), holder(3, None), twin];
    for route in routes(None, &holders) {
        let place = |number| route.chain.iter().position(|other| *other == node(number)).expect("in the chain");
        assert_eq!(place(1).abs_diff(place(2)), 1, "{route:?}");
    }
    // However slow its line is: nothing leaves the site.
    let slow = [ChainHolder { uplink_kib: Some(1), ..holder(1, None) }, ChainHolder { uplink_kib: Some(1), ..twin }];
    assert_eq!(route(id(1), Some(10_000), &slow).chain.len(), 2);
}

#[test]
fn who_passes_nothing_on_is_the_last_or_there_is_no_chain() {
    let lame = |number| ChainHolder { is_last_only: true, ..holder(number, None) };
    for route in routes(None, &[holder(1, None), lame(2), holder(3, None)]) {
        assert_eq!(route.chain.last(), Some(&node(2)));
    }
    for route in routes(None, &[holder(1, None), lame(2), lame(3)]) {
        assert_eq!((route.direct, route.chain.len()), (nodes(&[1, 2, 3]), 0));
    }
    let twin = ChainHolder { site: "s2", ..lame(1) };
    for route in routes(None, &[twin, holder(2, None), holder(3, None)]) {
        assert_eq!((route.chain.len(), route.chain.last()), (3, Some(&node(1))), "also within its site");
    }
}

#[test]
fn a_chain_is_no_longer_than_a_message_can_say() {
    let holders: Vec<ChainHolder<'_>> = (0..9).map(|number| holder(number, None)).collect();
    assert_eq!(route(id(1), None, &holders[..8]).chain.len(), 8);
    assert_eq!(route(id(1), None, &holders).direct.len(), 9);
    assert_eq!(route(id(1), None, &[]), BlockRoute::default());
}

/// Hops 1, 2 and 3, whose questions have the numbers 11, 12 and 13, sent at 1,000.
fn chain() -> BlockChain {
    BlockChain::new(1_000, (1..=3).map(|number| (node(number), 10 + u64::from(number))))
}

fn left(broken: &BrokenChain) -> Vec<u8> {
    broken.left.iter().map(|node| node.0[31]).collect()
}

const ALL: fn(NodeId) -> bool = |_| true;

#[test]
fn nobody_is_asked_while_the_first_makes_progress_however_long_that_takes() {
    let mut chain = chain();
    for now in [1_250, 5_000, 60_000, 3_600_000] {
        assert_eq!(chain.broken(now, ALL), BrokenChain::default());
    }
    assert!(chain.is_open());
    assert_eq!(chain.relayed().map(|(_, request)| request).collect::<Vec<_>>(), [12, 13]);
}

#[test]
fn whoever_has_a_block_gets_time_to_pass_it_on_and_then_the_writer_does_it() {
    let mut chain = chain();
    // It took three seconds to the first.
    chain.on_answer(node(1), 4_000);
    let patience = RELAYED_MS_MIN + RELAYED_FACTOR * 3_000;
    assert_eq!(chain.broken(4_000 + patience - 1, ALL), BrokenChain::default());
    let broken = chain.broken(4_000 + patience, ALL);
    assert_eq!((left(&broken), broken.failed), (vec![2, 3], nodes(&[1])), "the third waits for the second in vain");
    assert_eq!(chain.broken(1_000_000, ALL), BrokenChain::default(), "once");
    assert!(!chain.is_open());
}

#[test]
fn each_hop_has_its_own_time() {
    let mut chain = chain();
    chain.on_answer(node(1), 1_100);
    chain.on_answer(node(2), 3_000);
    assert_eq!(chain.broken(3_000 + RELAYED_MS_MIN, ALL), BrokenChain::default());
    let broken = chain.broken(3_000 + RELAYED_MS_MIN + 2 * 100, ALL);
    assert_eq!((left(&broken), broken.failed), (vec![3], nodes(&[2])));
}

#[test]
fn an_answer_from_behind_shows_that_the_block_came_that_far() {
    let mut chain = chain();
    chain.on_answer(node(2), 2_000);
    assert_eq!(chain.broken(2_100, ALL), BrokenChain::default());
    chain.on_answer(node(3), 2_200);
    assert!(!chain.is_open(), "only the first has not answered, and that is watched as any other");
}

#[test]
fn behind_one_that_is_gone_nobody_waits() {
    let gone = |number: u8| move |other| other != node(number);
    let mut first = chain();
    let broken = first.broken(1_250, gone(1));
    assert_eq!((left(&broken), broken.failed.len()), (vec![2, 3], 0), "it is gone, which is no fault");
    let mut second = chain();
    second.on_answer(node(1), 1_100);
    let broken = second.broken(1_250, gone(2));
    assert_eq!(left(&broken), [3], "the second itself is replaced as any holder that is silent");
    let mut lost = chain();
    lost.on_lost(node(1));
    assert_eq!(left(&lost.broken(1_250, ALL)), [2, 3]);
    let mut had_it = chain();
    had_it.on_answer(node(1), 1_100);
    assert_eq!(left(&had_it.broken(1_250, gone(1))), [2, 3]);
}

#[test]
fn one_that_was_silent_is_asked_when_it_speaks_again() {
    let mut chain = chain();
    chain.on_lost(node(1));
    assert_eq!(left(&chain.broken(1_250, |other| other != node(2))), [3]);
    assert!(chain.is_open());
    assert_eq!(left(&chain.broken(9_000, ALL)), [2]);
}

#[test]
fn only_who_comes_before_a_holder_can_say_that_it_gets_nothing() {
    let mut chain = chain();
    assert_eq!(chain.on_not_relayed(node(3), &[12]), BrokenChain::default());
    assert_eq!(chain.on_not_relayed(node(9), &[12, 13]), BrokenChain::default());
    let broken = chain.on_not_relayed(node(2), &[11, 12, 13, 99]);
    assert_eq!((left(&broken), broken.failed), (vec![3], nodes(&[2])));
    let broken = chain.on_not_relayed(node(1), &[12, 13]);
    assert_eq!((left(&broken), broken.failed), (vec![2], nodes(&[1])), "each once");
}

#[test]
fn an_answer_that_comes_too_late_changes_nothing_here() {
    let mut chain = chain();
    assert!(chain.on_lost(node(2)) && !chain.on_lost(node(2)));
    chain.on_answer(node(2), 1_500);
    assert_eq!(left(&chain.broken(1_600, ALL)), [3], "it may have been sent directly");
    assert!(!chain.on_lost(node(9)), "who is in no chain is not waited for");
}
