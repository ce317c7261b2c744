//! The root keys of a pool: which one counts, and what those before it signed that stays valid.
//!
//! All of it follows from the founding, which nobody can sign a second time, and from the succession of the greatest number.
//! So a root key that was stolen after another one took its place changes nothing, whatever it signs and whoever hears it first.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{Fact, Founding, RootFacts, Succession};
use fsdfs_proto::ids::{FactId, PoolId, PublicKey};
use fsdfs_proto::signed::Signed;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct RootLine {
    pool: PoolId,
    facts: RootFacts,
    /// Of the pool's own key, and of all that the founding names.
    numbers: BTreeMap<PublicKey, u8>,
    /// What any succession of that number keeps. If its key was stolen, too, one of them may keep nothing, and count until a
    /// succession of a greater number comes: until then nothing is dropped that another one of them keeps.
    named: BTreeSet<FactId>,
    /// Successions of the number that counts: more than one if its key was copied.
    successions: usize,
}

impl RootLine {
    /// `facts`: all foundings and successions, whatever else.
    pub fn new<'a>(pool: PoolId, facts: impl Iterator<Item = &'a Fact> + Clone) -> Self {
        let foundings = facts.clone().filter_map(|fact| if let Fact::Founding(it) = fact { Some(it) } else { None });
        let founding = foundings.filter(|it| it.signer() == pool.into()).min_by_key(|it| it.id()).cloned();
        let mut roots = RootFacts { founding, succession: None };
        let all = facts.filter_map(|fact| if let Fact::Succession(it) = fact { Some(it) } else { None });
        let fits = |it: &&Signed<Succession>| roots.key(pool, it.value().number) == Some(it.signer());
        let mut all: Vec<&Signed<Succession>> = all.filter(fits).collect();
        let last = all.iter().map(|it| it.value().number).max();
        all.retain(|it| Some(it.value().number) == last);
        roots.succession = all.iter().min_by_key(|it| it.id()).map(|it| (*it).clone());
        let named = all.iter().flat_map(|it| it.value().keep.iter().copied()).collect();
        let keys = (0..=u8::MAX).map_while(|number| Some((roots.key(pool, number)?, number)));
        Self { pool, numbers: keys.collect(), facts: roots, named, successions: all.len() }
    }

    /// What a newcomer has to know.
    pub fn facts(&self) -> &RootFacts {
        &self.facts
    }

    /// The root key that counts.
    pub fn current(&self) -> PublicKey {
        self.facts.key(self.pool, self.facts.current()).unwrap_or(self.pool.into())
    }

    /// Whether a key is the root key, or was.
    pub fn is_root(&self, key: PublicKey) -> bool {
        self.numbers.get(&key).is_some_and(|number| *number <= self.facts.current())
    }

    /// Whether a key is a root key, or may be one day.
    pub fn may_be_root(&self, key: PublicKey) -> bool {
        self.numbers.contains_key(&key)
    }

    /// Whether a key was the root key before another one took its place.
    fn is_former(&self, key: PublicKey) -> bool {
        self.numbers.get(&key).is_some_and(|number| *number < self.facts.current())
    }

    /// Whether an earlier root key signed this, and the one that counts does not keep it.
    pub fn voids(&self, signer: PublicKey, statement: FactId) -> bool {
        let keep = || self.facts.succession.as_ref().map(|it| &it.value().keep[..]).unwrap_or_default();
        self.is_former(signer) && keep().binary_search(&statement).is_err()
    }

    /// Whether an earlier root key signed this, and nothing keeps it that may come to count.
    pub fn drops(&self, signer: PublicKey, statement: FactId) -> bool {
        self.is_former(signer) && !self.named.contains(&statement)
    }

    /// Whether this is the founding that counts. Only a founder that kept the pool's own key can make others.
    pub fn is_founding(&self, founding: &Signed<Founding>) -> bool {
        self.facts.founding.as_ref().is_some_and(|counts| counts.id() == founding.id())
    }

    /// Whether this is a succession of the number that counts.
    pub fn is_last(&self, succession: &Signed<Succession>) -> bool {
        succession.signer() == self.current()
    }

    /// Two statements of one root key that contradict each other: it was copied.
    pub fn is_contradicted(&self) -> bool {
        self.successions > 1
    }
}
