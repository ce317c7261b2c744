//! What a bound on the candidates costs: only the C servers nearest to a block may hold it.
//!
//! Balance is measured in expected copies, which have no noise; what moves and what is misplaced by the production function.

mod candidates;
mod cut;
mod page;

use fsdfs_core::placement::ClusterMap;

use super::network::{OverlayNetwork, block};
use super::page::StudyPage;
use super::work::StudyWork;
use candidates::Candidates;
use cut::{COPIES, ClosenessCut, NEAREST, SIGMA, UNKNOWN};

/// Servers of the pools.
const SERVERS: [usize; 4] = [200, 1_000, 10_000, 100_000];
/// Blocks whose candidates are looked at, for balance.
const BLOCKS: u64 = 200_000;
/// Circles of candidates that are changed, and blocks placed in each of them.
const CIRCLES: u64 = 300;
const PLACED: u64 = 400;

/// The study.
pub fn study(work: &StudyWork) -> StudyPage {
    let cases: Vec<(usize, usize)> =
        SERVERS.into_iter().flat_map(|servers| NEAREST.map(|nearest| (servers, nearest))).collect();
    let cuts = work.map("nearest servers", &cases, |(servers, nearest)| {
        let network = OverlayNetwork::random(work.seed << 32 | *servers as u64, *servers, *servers, SIGMA);
        cut(&network, *nearest, work)
    });
    page::page(&cuts)
}

fn cut(network: &OverlayNetwork, nearest: usize, work: &StudyWork) -> ClosenessCut {
    let weights: Vec<f64> = network.members.iter().map(|member| member.weight() as f64).collect();
    let all = Candidates::new(network, |_| true);
    let (movement, disagreement) = changes(network, &all, &weights, nearest, work);
    ClosenessCut {
        servers: network.members.len(),
        nearest,
        spread: spread(&loads(&all, &weights, nearest, work), &weights, work.samples(BLOCKS)),
        movement,
        disagreement,
    }
}

/// Expected copies on each server: of the even blocks, of the odd ones.
fn loads(all: &Candidates, weights: &[f64], nearest: usize, work: &StudyWork) -> [Vec<f64>; 2] {
    let mut loads = [vec![0.0; weights.len()], vec![0.0; weights.len()]];
    for nr in 0..work.samples(BLOCKS) {
        let near = all.nearest(block(work.seed, nr), nearest);
        shares(&near, weights).iter().for_each(|(server, share)| loads[(nr % 2) as usize][*server] += share);
    }
    loads
}

/// Movement and disagreement. A server is drawn with its share in the circle and leaves; what moves, divided by that share, is
/// the mean over all servers of what their departures move / the least. A join is a departure backwards.
fn changes(
    network: &OverlayNetwork,
    all: &Candidates,
    weights: &[f64],
    nearest: usize,
    work: &StudyWork,
) -> (f64, f64) {
    let known = Candidates::new(network, |id| id % UNKNOWN != 0);
    let mut dice = fastrand::Rng::with_seed(network.salt);
    let (circles, mut moved, mut misplaced) = (work.samples(CIRCLES), 0.0, 0.0);
    for nr in 0..circles {
        let id = block(!work.seed, nr);
        let near = all.nearest(id, nearest);
        let leaver = pick(&shares(&near, weights), &mut dice);
        let without = all.nearest(id, nearest + 1).into_iter().filter(|server| *server != leaver.0);
        let [before, after, seen] =
            [near, without.collect(), known.nearest(id, nearest)].map(|circle| network.view_of(circle));
        moved += differing(&before, &after, nr, work) / leaver.1;
        misplaced += differing(&seen, &before, nr, work) / f64::from(COPIES);
    }
    let (total, unknown): (f64, f64) = (weights.iter().sum(), weights.iter().step_by(UNKNOWN).sum());
    (moved / circles as f64, misplaced / circles as f64 / (unknown / total))
}

/// Copies of a block that `after` puts where `before` does not, on average. Inside one circle any block will do: where a block lies among the
/// ids does not say who of its candidates wins.
fn differing(before: &ClusterMap, after: &ClusterMap, circle: u64, work: &StudyWork) -> f64 {
    let blocks = work.samples(PLACED);
    let fresh = |nr| {
        let id = block(work.seed, circle * blocks + nr);
        let old = before.holders(id, COPIES);
        after.holders(id, COPIES).iter().filter(|holder| !old.contains(holder)).count()
    };
    (0..blocks).map(fresh).sum::<usize>() as f64 / blocks as f64
}

/// Expected copies on each of these servers: in proportion to their weights, one at most.
fn shares(servers: &[usize], weights: &[f64]) -> Vec<(usize, f64)> {
    let mut rate = f64::from(COPIES) / servers.iter().map(|server| weights[*server]).sum::<f64>();
    loop {
        let (full, open): (Vec<f64>, Vec<f64>) =
            servers.iter().map(|server| weights[*server]).partition(|weight| weight * rate >= 1.0);
        // Those that would be due more than a copy leave the rest of it to the others, which may fill one of these.
        let next = (f64::from(COPIES) - full.len() as f64) / open.iter().sum::<f64>();
        if full.is_empty() || open.is_empty() || next <= rate {
            return servers.iter().map(|server| (*server, f64::min(weights[*server] * rate, 1.0))).collect();
        }
        rate = next;
    }
}

/// A server with a probability in proportion to its share, and its share.
fn pick(shares: &[(usize, f64)], dice: &mut fastrand::Rng) -> (usize, f64) {
    let mut left = dice.f64() * shares.iter().map(|(_, share)| share).sum::<f64>();
    let here = shares.iter().find(|(_, share)| {
        left -= share;
        left <= 0.0
    });
    *here.unwrap_or(&shares[0])
}

/// The two halves are of different blocks, so their noise is independent and vanishes in the product.
fn spread(halves: &[Vec<f64>; 2], weights: &[f64], blocks: u64) -> f64 {
    let total: f64 = weights.iter().sum();
    let off = |half: &[f64], server: usize| {
        half[server] * 2.0 / blocks as f64 / (f64::from(COPIES) * weights[server] / total) - 1.0
    };
    let products =
        (0..weights.len()).map(|server| weights[server] / total * off(&halves[0], server) * off(&halves[1], server));
    f64::max(products.sum(), 0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::family::PlacementKind;

    #[test]
    fn without_a_bound_nothing_is_lost() {
        let network = OverlayNetwork::random(3, 60, 60, 0.5);
        let cut = cut(&network, 60, &StudyWork::tiny(1));
        assert!(cut.spread < 1e-6, "{}", cut.spread);
        assert!((0.5..1.5).contains(&cut.disagreement), "{}", cut.disagreement);
    }

    #[test]
    fn shares_add_up_and_stop_at_one() {
        let weights = [100.0, 1.0, 2.0, 3.0, 4.0];
        let shares: Vec<f64> = shares(&[0, 1, 2, 3, 4], &weights).into_iter().map(|(_, share)| share).collect();
        let close = |(share, expected): (&f64, f64)| (share - expected).abs() < 1e-12;
        assert!(shares.iter().zip([1.0, 0.2, 0.4, 0.6, 0.8]).all(close), "{shares:?}");
    }

    #[test]
    fn expected_copies_are_those_of_the_production_function() {
        let network = OverlayNetwork::random(5, 12, 12, 1.0);
        let weights: Vec<f64> = network.members.iter().map(|member| member.weight() as f64).collect();
        let expected = shares(&(0..12).collect::<Vec<usize>>(), &weights);
        let function = PlacementKind::Ours.prepare(&network);
        let mut counts = [0.0; 12];
        (0..4_000).flat_map(|nr| function.holders(block(1, nr), 3)).for_each(|server| counts[server] += 1.0 / 4_000.0);
        assert!(
            expected.iter().all(|(server, share)| (counts[*server] - share).abs() < 0.04),
            "{counts:?} {expected:?}"
        );
    }

    #[test]
    fn the_study_runs_and_repeats_itself() {
        let cut = || cut(&OverlayNetwork::random(1, 200, 200, SIGMA), 16, &StudyWork::tiny(1));
        let (one, other) = (cut(), cut());
        assert_eq!((one.spread, one.movement), (other.spread, other.movement));
        assert!(page::page(&[one, other]).markdown(1).contains("200"));
    }
}
