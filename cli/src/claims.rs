//! Two sources of one command and one name: the second is refused, as `cp` and `mv` do, so that nothing is lost.

use std::collections::{BTreeMap, BTreeSet};

/// Names from the root of all destinations down. Paths of the store and of a local destination are both that.
pub type NamePath = Vec<Vec<u8>>;

/// Which source gets which name. Folders of one name become one folder; of anything else there is one.
#[derive(Debug, Default)]
pub struct NameClaims {
    /// None = no two sources can meet, and nothing has to be remembered.
    taken: Option<BTreeMap<NamePath, NameClaim>>,
}

#[derive(Debug)]
struct NameClaim {
    source: String,
    is_folder: bool,
}

/// What came of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// The name is this source's.
    Granted,
    /// It was before: the source was named twice.
    Repeated,
    /// Another source has it.
    Taken(NameTaken),
}

/// Another source of this command has the name. Nothing was changed for the second one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTaken {
    /// The other source, for people.
    pub by: String,
}

impl NameTaken {
    /// What is wrong with a source that was to become `name`.
    pub fn sentence(&self, name: &str) -> String {
        format!("{} becomes {name} already; give this one another name, in a command of its own", self.by)
    }
}

/// Each source once, in order; and those that were named again.
pub fn without_repeats<T, K: Ord>(sources: Vec<T>, key: impl Fn(&T) -> K) -> (Vec<T>, Vec<T>) {
    let mut seen = BTreeSet::new();
    sources.into_iter().partition(|source| seen.insert(key(source)))
}

impl NameClaims {
    /// For sources that go to these places. Places of which none lies in another cannot meet.
    pub fn new(mut places: Vec<NamePath>) -> Self {
        places.sort_unstable();
        let meet = places.windows(2).any(|pair| pair[1].starts_with(&pair[0]));
        Self { taken: meet.then(BTreeMap::new) }
    }

    /// Whether two sources can meet: unless they can, no claim has to be made.
    pub fn are_needed(&self) -> bool {
        self.taken.is_some()
    }

    /// Claims `path` for a source. A folder may have been there, and be claimed again; anything else not.
    pub fn claim(&mut self, path: &[Vec<u8>], source: &str, is_folder: bool) -> ClaimOutcome {
        let Some(taken) = &mut self.taken else { return ClaimOutcome::Granted };
        // A file of another source where a folder would have to be.
        let above = (0..path.len()).find_map(|length| taken.get(&path[..length]).filter(|claim| !claim.is_folder));
        if let Some(claim) = above {
            return ClaimOutcome::Taken(claim.taken());
        }
        match taken.get(path) {
            Some(claim) if claim.source == source => ClaimOutcome::Repeated,
            Some(claim) if !(claim.is_folder && is_folder) => ClaimOutcome::Taken(claim.taken()),
            Some(_) => ClaimOutcome::Granted,
            None => {
                taken.insert(path.to_vec(), NameClaim { source: source.to_owned(), is_folder });
                ClaimOutcome::Granted
            }
        }
    }
}

impl NameClaim {
    fn taken(&self) -> NameTaken {
        NameTaken { by: self.source.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> NamePath {
        text.split('/').filter(|name| !name.is_empty()).map(|name| name.as_bytes().to_vec()).collect()
    }

    fn claims(places: &[&str]) -> NameClaims {
        NameClaims::new(places.iter().map(|place| path(place)).collect())
    }

    #[track_caller]
    fn check(claims: &mut NameClaims, claimed: &str, source: &str, is_folder: bool, expected: Result<(), &str>) {
        let outcome = match claims.claim(&path(claimed), source, is_folder) {
            ClaimOutcome::Granted | ClaimOutcome::Repeated => Ok(()),
            ClaimOutcome::Taken(taken) => Err(taken.by),
        };
        assert_eq!(outcome, expected.map_err(str::to_owned), "{claimed} for {source}");
    }

    #[test]
    fn the_second_source_of_a_name_is_refused() {
        let mut claims = claims(&["x/a", "x/a"]);
        check(&mut claims, "x/a", "s1/a", false, Ok(()));
        check(&mut claims, "x/a", "s2/a", false, Err("s1/a"));
        assert_eq!(claims.claim(&path("x/a"), "s1/a", false), ClaimOutcome::Repeated);
    }

    #[test]
    fn folders_of_one_name_meet_but_their_files_do_not() {
        let mut claims = claims(&["x", "x"]);
        check(&mut claims, "x", "s1", true, Ok(()));
        check(&mut claims, "x/n", "s1/n", false, Ok(()));
        check(&mut claims, "x/d", "s1/d", true, Ok(()));
        check(&mut claims, "x", "s2", true, Ok(()));
        check(&mut claims, "x/d", "s2/d", true, Ok(()));
        check(&mut claims, "x/d/f", "s2/d/f", false, Ok(()));
        check(&mut claims, "x/n", "s2/n", true, Err("s1/n"));
        check(&mut claims, "x/n/deep/f", "s2/n/deep/f", false, Err("s1/n"));
        check(&mut claims, "x/d", "s3/d", false, Err("s1/d"));
    }

    #[test]
    fn a_source_inside_the_place_of_another_meets_it() {
        let mut claims = claims(&["x", "x/b", "y"]);
        check(&mut claims, "x/b", "a/b", false, Ok(()));
        check(&mut claims, "x/b", "b", false, Err("a/b"));
    }

    #[test]
    fn a_source_that_is_named_twice_counts_once() {
        assert_eq!(without_repeats(vec!["b", "a", "b"], |name| *name), (vec!["b", "a"], vec!["b"]));
    }

    #[test]
    fn places_apart_from_each_other_remember_nothing() {
        for places in [&["x/a", "x/b", "xa", "x/a b"][..], &["x"], &[]] {
            assert!(!claims(places).are_needed(), "{places:?}");
        }
        for places in [["", "x"], ["x/a", "x/a"], ["x/a/b/c", "x/a"]] {
            assert!(claims(&places).are_needed(), "{places:?}");
        }
    }
}
