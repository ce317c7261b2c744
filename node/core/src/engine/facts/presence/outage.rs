//! The brake: members that fall silent together had no fire each.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::NodeId;

use crate::limits::OUTAGE_APART_MS;

/// A member that was found away at some time.
#[derive(Clone, Copy, Debug)]
pub(super) struct FallenMember<'a> {
    pub node: NodeId,
    pub site: &'a str,
    /// Of the pool's weight.
    pub weight: u64,
    /// When it was last found away, on the running clock.
    pub at: u64,
    /// It is back.
    pub is_back: bool,
}

/// Those that are away and fell within ten minutes of others: on two sites or more, with more than one in `part` parts of `weight`
/// in all, less than half of whom are back.
pub(super) fn outage(mut fallen: Vec<FallenMember<'_>>, weight: u64, part: u64) -> BTreeSet<NodeId> {
    fallen.sort_by_key(|one| (one.at, one.node));
    let (mut braked, mut first) = (BTreeSet::new(), 0);
    let (mut sum, mut back, mut sites) = (0, 0, BTreeMap::<&str, usize>::new());
    for last in 0..fallen.len() {
        let one = fallen[last];
        sum += one.weight;
        back += usize::from(one.is_back);
        *sites.entry(one.site).or_default() += 1;
        while fallen[last].at - fallen[first].at > OUTAGE_APART_MS {
            let gone = fallen[first];
            sum -= gone.weight;
            back -= usize::from(gone.is_back);
            if let Some(count) = sites.get_mut(gone.site) {
                *count -= 1;
                if *count == 0 {
                    sites.remove(gone.site);
                }
            }
            first += 1;
        }
        // A part of those that fell together may be back, or on one site, while all of them are not.
        let goes_on = fallen.get(last + 1).is_some_and(|next| next.at - fallen[first].at <= OUTAGE_APART_MS);
        let group = &fallen[first..=last];
        if !goes_on && sites.len() >= 2 && part * sum > weight && 2 * back < group.len() {
            braked.extend(group.iter().filter(|one| !one.is_back).map(|one| one.node));
        }
    }
    braked
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn one(number: u8, site: &'static str, minute: u64, is_back: bool) -> FallenMember<'static> {
        FallenMember { node: NodeId([number; 32]), site, weight: 10, at: minute * MINUTE, is_back }
    }

    fn braked(fallen: &[FallenMember<'static>], weight: u64) -> Vec<u8> {
        outage(fallen.to_vec(), weight, 3).into_iter().map(|node| node.0[0]).collect()
    }

    #[test]
    fn many_at_once_on_several_sites_brake_and_few_or_slow_ones_do_not() {
        let storm = [one(1, "a", 0, false), one(2, "b", 4, false), one(3, "c", 9, false)];
        assert_eq!(braked(&storm, 80), [1, 2, 3]);
        assert!(braked(&storm, 90).is_empty(), "a third of the weight and no more");
        let slow = [one(1, "a", 0, false), one(2, "b", 11, false), one(3, "c", 22, false)];
        assert!(braked(&slow, 50).is_empty());
        let fire = [one(1, "a", 0, false), one(2, "a", 0, false)];
        assert!(braked(&fire, 40).is_empty(), "one site burns alone");
    }

    #[test]
    fn it_ends_when_half_of_them_are_back_whichever_these_are() {
        let storm =
            |back: u8| (1..=4).map(move |number| one(number, ["a", "b"][usize::from(number % 2)], 0, number <= back));
        assert_eq!(braked(&storm(1).collect::<Vec<_>>(), 60), [2, 3, 4]);
        assert!(braked(&storm(2).collect::<Vec<_>>(), 60).is_empty());
        let last_two = storm(2).map(|one| FallenMember { is_back: !one.is_back, ..one });
        assert!(braked(&last_two.collect::<Vec<_>>(), 60).is_empty());
    }
}
