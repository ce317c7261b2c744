//! The walk over visible links: which blocks the states of the volumes need.
//!
//! No key is needed: each block with links shows them. What is not here is asked for by whoever drives the walk; a block of which the
//! links cannot be had leaves its volume *incomplete*, and of an incomplete volume nothing is garbage.
//!
//! Of what was reached only keyed hashes are remembered, with a key of its own for each walk: two blocks that were made to collide would let
//! a subtree be passed over. Blocks with links take 128 bits; of blocks without, 64 are enough, for a collision keeps garbage and
//! loses nothing.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::volume::{BlockLink, LinkClass};

use super::roots::VolumeRoots;
use crate::limits::{MISSING_LINKS_NOTED_MAX, WALK_LEAVES_STEP};

/// From where a block was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) enum Reach {
    /// From a state that stands.
    Current,
    /// From earlier states only.
    History,
    /// From states only that no head names any more, and that this node remembers: others may remember others.
    Floor,
}

/// A block with links whose links are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WalkItem {
    pub id: BlockId,
    pub volume: VolumeId,
    reach: Reach,
    /// Of a commit: whether the states that it names are needed, too.
    names_states: bool,
}

impl WalkItem {
    /// Why it is wanted, as far as was walked.
    pub fn reach(&self) -> Reach {
        self.reach
    }
}

/// See the module.
pub(super) struct Walk {
    key: [u8; 32],
    /// To be looked at; a subtree of its last one comes before the rest, so it stays as short as trees are deep and wide.
    stack: Vec<WalkItem>,
    /// What earlier states begin with, while those that stand are walked.
    history: Vec<WalkItem>,
    /// The same of states that only this node remembers; of some of them the links are known.
    floor: Vec<WalkItem>,
    replaced: Vec<(WalkItem, Vec<BlockLink>)>,
    interior: BTreeMap<u128, Reach>,
    /// By [`Reach`].
    leaves: [LeafSet; 3],
    /// Some of the blocks whose links are nowhere to be had, of each volume that is incomplete.
    missing: BTreeMap<VolumeId, BTreeSet<BlockId>>,
}

impl Walk {
    /// Begins with the states that stand; `key`: fresh randomness.
    pub fn begin(key: [u8; 32], roots: &BTreeMap<VolumeId, VolumeRoots>) -> Self {
        let mut walk = Self {
            key,
            stack: Vec::new(),
            history: Vec::new(),
            floor: Vec::new(),
            replaced: Vec::new(),
            interior: BTreeMap::new(),
            leaves: Default::default(),
            missing: BTreeMap::new(),
        };
        let commit = |id, volume, reach| WalkItem { id, volume, reach, names_states: true };
        for (volume, roots) in roots {
            for (id, links) in &roots.heads {
                let item = commit(*id, *volume, Reach::Current);
                if walk.visit(&item) {
                    walk.on_links(&item, links);
                }
            }
            let replaced = roots.replaced.iter();
            walk.replaced.extend(replaced.map(|(id, links)| (commit(*id, *volume, Reach::Floor), links.clone())));
            walk.floor.extend(roots.floor.iter().map(|id| commit(*id, *volume, Reach::Floor)));
        }
        walk
    }

    /// The next blocks whose links are wanted, at most so many. None: nothing is left but what was handed out before.
    pub fn next(&mut self, max: usize) -> Vec<WalkItem> {
        let mut items = Vec::new();
        while items.len() < max {
            let Some(item) = self.stack.pop() else { break };
            if self.visit(&item) {
                items.push(item);
            }
        }
        items
    }

    /// Those that stand are walked, and nothing of them is handed out: goes on with what earlier states need besides, and then with what
    /// this node remembers. False: there is nothing.
    pub fn go_on_with_earlier(&mut self) -> bool {
        debug_assert!(self.stack.is_empty(), "what stands comes first");
        if !self.history.is_empty() {
            self.stack = std::mem::take(&mut self.history);
            return true;
        }
        for (item, links) in std::mem::take(&mut self.replaced) {
            if self.visit(&item) {
                self.on_links(&item, &links);
            }
        }
        self.stack.append(&mut self.floor);
        !self.stack.is_empty()
    }

    /// Whether it was not looked at before. A state that is reached as one that names others, after it was not, is looked at again.
    fn visit(&mut self, item: &WalkItem) -> bool {
        let key = self.key_of(item.id);
        let is_new = !self.interior.contains_key(&key);
        self.interior.entry(key).or_insert(item.reach);
        if item.names_states {
            // Odd beside even: the same block, seen as one that names states.
            return self.interior.insert(key ^ 1, item.reach).is_none();
        }
        is_new
    }

    /// What a block needs.
    pub fn on_links(&mut self, item: &WalkItem, links: &[BlockLink]) {
        for link in links {
            let next = WalkItem { id: link.id, volume: item.volume, reach: item.reach, names_states: false };
            match link.class {
                LinkClass::Tree => self.stack.push(next),
                // One step: which states are kept stands in the newest one.
                LinkClass::Parent if item.names_states && item.reach == Reach::Floor => self.floor.push(next),
                LinkClass::Parent if item.names_states => self.history.push(WalkItem { reach: Reach::History, ..next }),
                LinkClass::Parent => {}
                LinkClass::Leaf | LinkClass::Stripe => {
                    let key = self.key_of(link.id) as u64;
                    self.leaves[item.reach as usize].add(key);
                }
            }
        }
    }

    /// The links of a block are nowhere to be had. `counts_as_empty`: an earlier state lacks it, and has for so long that what lies
    /// below it can be opened by nobody.
    pub fn on_missing(&mut self, item: &WalkItem, counts_as_empty: bool) {
        if counts_as_empty {
            return;
        }
        let missing = self.missing.entry(item.volume).or_default();
        if missing.len() < MISSING_LINKS_NOTED_MAX {
            missing.insert(item.id);
        }
    }

    /// From where a block was reached, if it was. Only when the walk is over; the sets have to be [sealed](Walk::seal).
    pub fn reach(&self, id: BlockId) -> Option<Reach> {
        let key = self.key_of(id);
        let interior = self.interior.get(&key).copied();
        let all = [Reach::Current, Reach::History, Reach::Floor];
        let leaf = all.into_iter().find(|reach| self.leaves[*reach as usize].has(key as u64));
        [interior, leaf].into_iter().flatten().min()
    }

    /// The walk is over.
    pub fn seal(&mut self) {
        let is_over = self.stack.is_empty() && self.history.is_empty() && self.floor.is_empty();
        debug_assert!(is_over && self.replaced.is_empty(), "all was looked at");
        let [current, history, floor] = &mut self.leaves;
        current.sort();
        history.0.retain(|key| !current.has(*key));
        history.sort();
        floor.0.retain(|key| !current.has(*key) && !history.has(*key));
        floor.sort();
    }

    /// Some of what is missing, of each volume that is incomplete.
    pub fn missing(&self) -> &BTreeMap<VolumeId, BTreeSet<BlockId>> {
        &self.missing
    }

    /// Of this volume so much is missing that the rest need not be looked for: nothing of it will be collected.
    pub fn lacks_much(&self, volume: VolumeId) -> bool {
        self.missing.get(&volume).is_some_and(|missing| missing.len() >= MISSING_LINKS_NOTED_MAX)
    }

    /// How many blocks were reached, as far as hashes tell.
    pub fn blocks(&self) -> usize {
        let interior = self.interior.keys().filter(|key| *key & 1 == 0).count();
        interior + self.leaves.iter().map(|leaves| leaves.0.len()).sum::<usize>()
    }

    /// Even; see [`Walk::visit`].
    fn key_of(&self, id: BlockId) -> u128 {
        let hash = blake3::keyed_hash(&self.key, &id.0);
        let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
        u128::from_be_bytes(*first) & !1
    }
}

/// Hashes of blocks without links: a sorted list, which takes a third of what a set does. It may hold some twice until it is sorted.
#[derive(Default)]
struct LeafSet(Vec<u64>);

impl LeafSet {
    fn add(&mut self, key: u64) {
        if self.0.len() == self.0.capacity() {
            self.sort();
            // By so many at a time, not twice as many as there are: it may be the largest thing that this program holds.
            self.0.reserve_exact(WALK_LEAVES_STEP.max(self.0.len() / 8));
        }
        self.0.push(key);
    }

    fn sort(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }

    fn has(&self, key: u64) -> bool {
        self.0.binary_search(&key).is_ok()
    }
}

#[cfg(test)]
mod tests;
