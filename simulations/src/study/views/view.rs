//! Ways in which what a node knows differs from what is.

use crate::study::network::{OverlayNetwork, random_size};

/// A way to be mistaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ViewError {
    /// One member of twenty is not known.
    Unknown,
    /// The last two joins were heard of in the other order.
    OtherOrder,
    /// All sizes are up to 5 % off.
    Stale,
    /// A fifth of the sizes is 20 % off.
    Older,
    /// A tenth more have joined, and nothing has been copied to them yet.
    Joined,
}

impl ViewError {
    pub const ALL: [Self; 5] = [Self::Unknown, Self::OtherOrder, Self::Stale, Self::Older, Self::Joined];

    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "5 % of the members unknown",
            Self::OtherOrder => "two joins in the other order",
            Self::Stale => "all sizes up to 5 % off",
            Self::Older => "a fifth of the sizes 20 % off",
            Self::Joined => "10 % joined, nothing copied yet",
        }
    }

    /// What placed the data, and what the reader knows.
    pub fn of(self, network: OverlayNetwork, dice: &mut fastrand::Rng, sigma: f64) -> (OverlayNetwork, OverlayNetwork) {
        let mut known = network.clone();
        let servers = known.members.len();
        match self {
            Self::Unknown => dice.choose_multiple(0..servers, servers / 20).into_iter().for_each(|id| known.leave(id)),
            Self::OtherOrder => swap_joins(&mut known),
            Self::Stale => known.members.iter_mut().for_each(|one| scale(&mut one.disks[0], 0.95 + 0.1 * dice.f64())),
            Self::Older => {
                for id in dice.choose_multiple(0..servers, servers / 5) {
                    scale(&mut known.members[id].disks[0], if dice.bool() { 1.2 } else { 1.0 / 1.2 });
                }
            }
            Self::Joined => (0..servers / 10).for_each(|_| known.join(known.new_site(), random_size(dice, sigma))),
        }
        (network, known)
    }
}

/// Only the order in which they were heard of differs; ids and sizes stay.
fn swap_joins(network: &mut OverlayNetwork) {
    if let [.., last_but_one, last] = network.members.as_mut_slice() {
        std::mem::swap(&mut last_but_one.batch, &mut last.batch);
    }
}

fn scale(size: &mut u32, by: f64) {
    *size = (f64::from(*size) * by) as u32;
}
