//! Changes of a pool.

use super::layout::PoolLayout;
use crate::study::network::{NetworkMember, OverlayNetwork, TB, random_size};

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolChange {
    JoinNewSite,
    JoinOldSite,
    AddDisk,
    RemoveOldest,
    RemoveMiddle,
    RemoveNewest,
    RemoveSite,
    Halve,
    Double,
    AddBatch,
    RemoveNewestBatch,
    RemoveMiddleBatch,
    RemoveOldestBatch,
    HalveMiddleBatch,
}

impl PoolChange {
    const FAMILY: [Self; 9] = [
        Self::JoinNewSite,
        Self::JoinOldSite,
        Self::AddDisk,
        Self::RemoveOldest,
        Self::RemoveMiddle,
        Self::RemoveNewest,
        Self::RemoveSite,
        Self::Halve,
        Self::Double,
    ];
    const BATCHES: [Self; 6] = [
        Self::AddBatch,
        Self::RemoveNewestBatch,
        Self::RemoveMiddleBatch,
        Self::RemoveOldestBatch,
        Self::RemoveMiddle,
        Self::HalveMiddleBatch,
    ];

    /// Those that a pool goes through.
    pub fn of(pool: PoolLayout) -> &'static [Self] {
        if pool == PoolLayout::Batches { &Self::BATCHES } else { &Self::FAMILY }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::JoinNewSite => "a server joins at a new site",
            Self::JoinOldSite => "a server joins at an old site",
            Self::AddDisk => "a server gets a second disk",
            Self::RemoveOldest => "the oldest server leaves",
            Self::RemoveMiddle => "a middle server leaves",
            Self::RemoveNewest => "the newest server leaves",
            Self::RemoveSite => "a site leaves",
            Self::Halve => "a server gives half",
            Self::Double => "a server gives double",
            Self::AddBatch => "a batch joins",
            Self::RemoveNewestBatch => "the newest batch leaves",
            Self::RemoveMiddleBatch => "a middle batch leaves",
            Self::RemoveOldestBatch => "the oldest batch leaves",
            Self::HalveMiddleBatch => "a middle batch gives half",
        }
    }

    pub fn apply(self, before: &OverlayNetwork) -> OverlayNetwork {
        let mut network = before.clone();
        let (middle, newest) = (network.members.len() / 2, network.members.len() - 1);
        match self {
            Self::JoinNewSite => network.join(network.new_site(), 2 * TB),
            Self::JoinOldSite => network.join(network.members[1].site, 2 * TB),
            Self::AddDisk => network.members[middle].disks.extend_from_within(..),
            Self::RemoveOldest => network.leave(0),
            Self::RemoveMiddle => network.leave(middle),
            Self::RemoveNewest => network.leave(newest),
            Self::RemoveSite => remove_site(&mut network, before.members[middle].site),
            Self::Halve => network.members[middle].disks[0] /= 2,
            Self::Double => network.members[middle].disks[0] *= 2,
            Self::AddBatch => add_batch(&mut network),
            Self::RemoveNewestBatch => (newest - 4..=newest).for_each(|id| network.leave(id)),
            Self::RemoveMiddleBatch => (middle..middle + 5).for_each(|id| network.leave(id)),
            Self::RemoveOldestBatch => (0..5).for_each(|id| network.leave(id)),
            Self::HalveMiddleBatch => network.members[middle..middle + 5].iter_mut().for_each(|one| one.disks[0] /= 2),
        }
        network
    }
}

/// Join, departure, a quarter less or a third more, each as likely. Never fewer than ten servers.
pub fn random(network: &mut OverlayNetwork, dice: &mut fastrand::Rng, sigma: f64) {
    let live: Vec<usize> = network.live().map(|(id, _)| id).collect();
    let one = live[dice.usize(..live.len())];
    match dice.u8(..4) {
        0 => network.join(network.new_site(), random_size(dice, sigma)),
        1 if live.len() > 10 => network.leave(one),
        2 => network.members[one].disks[0] -= network.members[one].disks[0] / 4,
        _ => network.members[one].disks[0] += network.members[one].disks[0] / 3,
    }
}

fn remove_site(network: &mut OverlayNetwork, site: usize) {
    for member in network.members.iter_mut().filter(|member| member.site == site) {
        member.disks.clear();
    }
}

/// Five more, a quarter larger than the newest.
fn add_batch(network: &mut OverlayNetwork) {
    let newest = network.members[network.members.len() - 1].clone();
    for _ in 0..5 {
        let (site, batch) = (network.new_site(), newest.batch + 1);
        network.members.push(NetworkMember { site, disks: vec![newest.disks[0] / 4 * 5], batch });
    }
}
