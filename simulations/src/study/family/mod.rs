//! The family album: RUSH_P, RUSH_R, RUSH_T and straw2 beside the function that fsdfs uses. They are there to be compared
//! with; nothing outside the studies knows this trait.

mod cluster;
mod draw;
mod ours;
mod placement;
mod rush_p;
mod rush_r;
mod rush_t;
mod straw;

use super::network::OverlayNetwork;
pub use placement::Placement;

/// Who is in the album.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlacementKind {
    /// The production function of fsdfs.
    Ours,
    /// Ceph's.
    Straw2,
    /// 2003, with primes.
    RushP,
    /// 2004, made for removals.
    RushR,
    /// 2004, a tree.
    RushT,
}

impl PlacementKind {
    /// All of them, ours first.
    pub const ALL: [Self; 5] = [Self::Ours, Self::Straw2, Self::RushP, Self::RushR, Self::RushT];

    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "fsdfs",
            Self::Straw2 => "straw2",
            Self::RushP => "RUSH_P",
            Self::RushR => "RUSH_R",
            Self::RushT => "RUSH_T",
        }
    }

    /// The function for this state of a pool.
    pub fn prepare(self, network: &OverlayNetwork) -> Box<dyn Placement> {
        match self {
            Self::Ours => Box::new(ours::CurrentPlacement::new(network)),
            Self::Straw2 => Box::new(straw::Straw2::new(network)),
            Self::RushP => Box::new(rush_p::RushP::new(network)),
            Self::RushR => Box::new(rush_r::RushR::new(network)),
            Self::RushT => Box::new(rush_t::RushT::new(network)),
        }
    }
}

#[cfg(test)]
mod tests;
