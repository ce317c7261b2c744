//! Making a failure small: a pure search over what is kept (delta debugging, Zeller and Hildebrandt 2002).

/// Some of these items, in their order, with which it still fails, none of which can be spared: without any one of them
/// it passes. With all of them it is known to fail.
///
/// Which of several such selections is found depends on the order. Needs about as many trials as there are items when few
/// of them matter, at most about the square.
pub fn minimal<T: Clone>(items: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = items.to_vec();
    let mut parts = 1;
    while !kept.is_empty() {
        let found = without_a_part(&kept, parts).find(|rest| fails(rest));
        match found {
            Some(rest) => {
                kept = rest;
                parts = parts.saturating_sub(1).max(1);
            }
            None if parts >= kept.len() => break,
            None => parts = (2 * parts).min(kept.len()),
        }
    }
    kept
}

/// The items cut into parts of about the same length; each time all of them but one part.
fn without_a_part<T: Clone>(items: &[T], parts: usize) -> impl Iterator<Item = Vec<T>> {
    let bound = move |part: usize| part * items.len() / parts;
    (0..parts).map(move |part| [&items[..bound(part)], &items[bound(part + 1)..]].concat())
}

/// A length up to `longest` that fails although the next shorter one passes. `longest` is known to fail, 0 counts as passing.
pub fn shortest(longest: u64, mut fails: impl FnMut(u64) -> bool) -> u64 {
    let (mut passing, mut failing) = (0, longest);
    while failing - passing > 1 {
        let middle = passing + (failing - passing) / 2;
        if fails(middle) { failing = middle } else { passing = middle }
    }
    failing
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// A deterministic "failure" without any structure: the whole fails, of everything else about a third.
    fn whimsical(kept: &[u8], whole: usize, seed: u64) -> bool {
        let mixed = kept.iter().fold(seed, |sum, item| (sum ^ u64::from(*item)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        kept.len() == whole || (mixed >> 32).is_multiple_of(3)
    }

    proptest! {
        #[test]
        fn what_is_left_fails_and_nothing_of_it_can_be_spared(count in 0u8..40, seed: u64) {
            let items: Vec<u8> = (0..count).collect();
            let fails = |kept: &[u8]| whimsical(kept, items.len(), seed);
            let kept = minimal(&items, fails);
            prop_assert!(fails(&kept));
            for spared in &kept {
                let rest: Vec<u8> = kept.iter().copied().filter(|item| item != spared).collect();
                prop_assert!(!fails(&rest), "{spared} could be spared of {kept:?}");
            }
        }

        #[test]
        fn a_failure_that_needs_certain_items_is_left_with_these(needed: BTreeSet<u8>) {
            let items: Vec<u8> = (0..=255).collect();
            let kept = minimal(&items, |kept| needed.iter().all(|item| kept.contains(item)));
            prop_assert_eq!(kept, needed.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn the_next_shorter_one_passes(longest in 1u64..1_000, seed: u64) {
            let fails = |length: u64| length == longest || (length.wrapping_mul(seed | 1) >> 60).is_multiple_of(2) && length > 0;
            let found = shortest(longest, fails);
            prop_assert!(fails(found) && (found == 1 || !fails(found - 1)));
        }
    }

    #[test]
    fn two_of_many_are_found_with_few_trials() {
        let items: Vec<u32> = (0..200).collect();
        let mut trials = 0;
        let kept = minimal(&items, |kept| {
            trials += 1;
            kept.contains(&17) && kept.contains(&180)
        });
        assert_eq!(kept, [17, 180]);
        assert!(trials <= 60, "{trials} trials");
    }

    #[test]
    fn what_fails_by_itself_needs_nothing() {
        assert!(minimal(&[1, 2, 3], |_| true).is_empty());
        assert!(minimal::<u8>(&[], |_| true).is_empty());
        assert_eq!(shortest(1, |_| true), 1);
    }
}
