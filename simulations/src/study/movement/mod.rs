//! What a change of the pool moves, in units of the least that any placement would have to move.

mod change;
mod layout;
mod moves;
mod page;

use std::collections::BTreeMap;

use fsdfs_proto::ids::BlockId;

use super::family::PlacementKind;
use super::network::{MemberIndex, OverlayNetwork, TB, block};
use super::page::StudyPage;
use super::share::shares;
use super::work::StudyWork;
use change::PoolChange;
use layout::{DRAWN, POOLS, PoolLayout};
use moves::{BLOCKS, BlockMoves, MovementMeasure, ROW};

const COPIES: u8 = 3;
const SIGMA: f64 = 1.0;
/// Blocks followed through the changes in a row.
const ROW_BLOCKS: u64 = 4_000;

/// One function, one pool.
struct MovementCase {
    pool: PoolLayout,
    kind: PlacementKind,
    network: OverlayNetwork,
}

/// The study.
pub fn study(work: &StudyWork) -> StudyPage {
    let cases = cases(work.seed);
    let one_by_one = work.map("single changes", &cases, |case| single_changes(case, work));
    let rows = work.map("changes in a row", &PlacementKind::ALL, |kind| in_a_row(*kind, work));
    let mut measured = MovementMeasure {
        moves: BTreeMap::new(),
        worst: BTreeMap::new(),
        row: PlacementKind::ALL.into_iter().zip(rows).collect(),
    };
    for (case, (changes, worst)) in cases.iter().zip(one_by_one) {
        for (change, moves) in changes {
            measured.moves.entry((case.pool, case.kind, change)).or_default().add(moves);
        }
        let all = measured.worst.entry((case.pool, case.kind)).or_default();
        *all = f64::max(*all, worst);
    }
    page::page(&measured)
}

fn cases(seed: u64) -> Vec<MovementCase> {
    let case = |pool, nr| move |kind| MovementCase { pool, kind, network: network(pool, seed << 16 | nr) };
    let draw = |pool: PoolLayout| {
        let draws = if pool == PoolLayout::Batches { 1 } else { DRAWN };
        (0..draws).flat_map(move |nr| pool.functions().iter().copied().map(case(pool, nr)))
    };
    POOLS.into_iter().flat_map(draw).collect()
}

fn network(pool: PoolLayout, salt: u64) -> OverlayNetwork {
    match pool {
        PoolLayout::Random(servers, sites) => OverlayNetwork::random(salt, servers, sites, SIGMA),
        PoolLayout::Batches => {
            let sizes: Vec<u32> = (0..40).map(|id| (f64::from(TB) * 1.25f64.powi(id / 5)) as u32).collect();
            OverlayNetwork::separate(salt, &sizes)
        }
    }
}

/// Each change by itself, and the worst removal of a single server.
fn single_changes(case: &MovementCase, work: &StudyWork) -> (Vec<(PoolChange, BlockMoves)>, f64) {
    let before = MovementState::of(case.kind, &case.network, work.samples(BLOCKS), work.seed);
    let moves =
        |after: &OverlayNetwork| before.moves_to(&MovementState::of(case.kind, after, work.samples(BLOCKS), work.seed));
    let changes =
        PoolChange::of(case.pool).iter().map(|change| (*change, moves(&change.apply(&case.network)))).collect();
    let removal = |id| {
        let mut after = case.network.clone();
        after.leave(id);
        moves(&after).ratio()
    };
    let worst = if case.pool == PoolLayout::Batches {
        0.0
    } else {
        (0..case.network.members.len()).map(removal).fold(0.0, f64::max)
    };
    (changes, worst)
}

/// Random joins, departures and changes of size, one after the other; 30 servers at the start.
fn in_a_row(kind: PlacementKind, work: &StudyWork) -> BlockMoves {
    let mut dice = fastrand::Rng::with_seed(work.seed);
    let mut network = network(PoolLayout::Random(30, 30), work.seed << 16);
    let (blocks, mut moves) = (work.samples(ROW_BLOCKS), BlockMoves::default());
    let mut before = MovementState::of(kind, &network, blocks, work.seed);
    for _ in 0..work.samples(ROW) {
        change::random(&mut network, &mut dice, SIGMA);
        let after = MovementState::of(kind, &network, blocks, work.seed);
        moves.add(before.moves_to(&after));
        before = after;
    }
    moves
}

/// Where blocks are, and how much of them everyone should have.
struct MovementState {
    holders: Vec<Vec<MemberIndex>>,
    shares: Vec<f64>,
}

impl MovementState {
    fn of(kind: PlacementKind, network: &OverlayNetwork, blocks: u64, seed: u64) -> Self {
        let function = kind.prepare(network);
        let holders = |id: BlockId| function.holders(id, COPIES);
        Self { holders: (0..blocks).map(|nr| holders(block(seed, nr))).collect(), shares: shares(network, COPIES) }
    }

    /// A copy is made for each holder that was none before; whoever gains must at least be sent its gain.
    fn moves_to(&self, after: &Self) -> BlockMoves {
        let fresh =
            |(old, new): (&Vec<MemberIndex>, &Vec<MemberIndex>)| new.iter().filter(|id| !old.contains(id)).count();
        let made: usize = self.holders.iter().zip(&after.holders).map(fresh).sum();
        let old = |id| self.shares.get(id).copied().unwrap_or(0.0);
        let least: f64 = after.shares.iter().enumerate().map(|(id, share)| f64::max(0.0, share - old(id))).sum();
        BlockMoves { made: made as f64, least: least * self.holders.len() as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_study_runs_and_repeats_itself() {
        let pages = [study(&StudyWork::tiny(1)), study(&StudyWork::tiny(1))];
        assert_eq!(pages[0].markdown(1), pages[1].markdown(1));
    }

    #[test]
    fn removals_cost_us_little_more_than_they_must() {
        let network = network(PoolLayout::Random(10, 10), 5);
        let state = |network: &OverlayNetwork| MovementState::of(PlacementKind::Ours, network, 2_000, 1);
        let (before, mut all) = (state(&network), BlockMoves::default());
        for id in 0..10 {
            let mut after = network.clone();
            after.leave(id);
            all.add(before.moves_to(&state(&after)));
        }
        assert!((0.95..1.3).contains(&all.ratio()), "{all:?}");
        assert_eq!(before.moves_to(&before).made, 0.0);
    }
}
