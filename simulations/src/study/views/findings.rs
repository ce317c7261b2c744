//! What readers find who are mistaken.

use std::collections::BTreeMap;

use super::view::ViewError;
use crate::study::family::PlacementKind;
use crate::study::network::MemberIndex;

pub const COPIES: u8 = 3;
pub const SERVERS: [usize; 2] = [20, 100];
/// Those that have an order in which to go on asking, and one that has none.
pub const KINDS: [PlacementKind; 3] = [PlacementKind::Ours, PlacementKind::Straw2, PlacementKind::RushR];
/// Further servers that are asked at most.
pub const FURTHER: usize = 8;

/// What the reader finds.
#[derive(Clone, Debug, Default)]
pub struct ViewFindings {
    pub copies: u64,
    /// Copies that do not lie on the first N servers that the reader asks.
    pub misplaced: u64,
    /// Of these, by how many servers more had to be asked; the rest lies on servers that the reader does not know.
    pub after: [u64; FURTHER],
    /// Blocks of which the reader finds no copy among the first N.
    pub missed: u64,
    pub blocks: u64,
    /// Share of the weight that the reader does not know of, summed over pools.
    pub unknown: f64,
    pub pools: f64,
}

pub type ViewResults = BTreeMap<(usize, ViewError, PlacementKind), ViewFindings>;

impl ViewFindings {
    /// A block that lies on `holders` and is looked for on `asked`, in that order.
    pub fn block(&mut self, holders: &[MemberIndex], asked: &[MemberIndex]) {
        let wanted = usize::from(COPIES).min(asked.len());
        self.blocks += 1;
        self.copies += holders.len() as u64;
        let far = holders.iter().filter(|id| !asked[..wanted].contains(id));
        for id in far.clone() {
            self.misplaced += 1;
            let further = asked[wanted..].iter().position(|asked| asked == id);
            if let Some(count) = further.and_then(|further| self.after.get_mut(further)) {
                *count += 1;
            }
        }
        self.missed += u64::from(far.count() == holders.len());
    }

    pub fn add(&mut self, other: &Self) {
        self.copies += other.copies;
        self.misplaced += other.misplaced;
        self.missed += other.missed;
        self.blocks += other.blocks;
        self.unknown += other.unknown;
        self.pools += other.pools;
        self.after.iter_mut().zip(other.after).for_each(|(sum, one)| *sum += one);
    }

    /// Misplaced copies, as a part of all.
    pub fn misplaced(&self) -> f64 {
        self.misplaced as f64 / self.copies as f64
    }

    /// Misplaced copies that are found when so many servers more than N are asked, as a part of all misplaced ones.
    pub fn found_within(&self, further: usize) -> f64 {
        self.after[..further].iter().sum::<u64>() as f64 / (self.misplaced as f64).max(1.0)
    }
}
