//! What it costs when nodes do not know the same: copies looked for in the wrong place, and how soon they are found.

mod page;
mod view;

use std::collections::BTreeMap;

use super::family::PlacementKind;
use super::network::{MemberIndex, OverlayNetwork, block};
use super::page::StudyPage;
use super::work::StudyWork;
use view::ViewError;

const COPIES: u8 = 3;
const SIGMA: f64 = 1.0;
const SERVERS: [usize; 2] = [20, 100];
/// Random pools of each size, each with its own ignorance.
const DRAWN: u64 = 6;
const BLOCKS: u64 = 30_000;
/// Those that have an order in which to go on asking, and one that has none.
const KINDS: [PlacementKind; 3] = [PlacementKind::Ours, PlacementKind::Straw2, PlacementKind::RushR];
/// Further servers that are asked at most.
const FURTHER: usize = 8;

/// One function, one pool, one way to be mistaken.
struct ViewCase {
    servers: usize,
    view: ViewError,
    kind: PlacementKind,
    /// What the pool is.
    truth: OverlayNetwork,
    /// What the reader knows.
    known: OverlayNetwork,
}

/// What the reader finds.
#[derive(Clone, Debug, Default)]
struct ViewFindings {
    copies: u64,
    /// Copies that do not lie on the first N servers that the reader asks.
    misplaced: u64,
    /// Of these, by how many servers more had to be asked; the rest lies on servers that the reader does not know.
    after: [u64; FURTHER],
    /// Blocks of which the reader finds no copy among the first N.
    missed: u64,
    blocks: u64,
    /// Share of the weight that the reader does not know of, summed over pools.
    unknown: f64,
    pools: f64,
}

type ViewResults = BTreeMap<(usize, ViewError, PlacementKind), ViewFindings>;

/// The study.
pub fn study(work: &StudyWork) -> StudyPage {
    let cases = cases(work.seed);
    let found = work.map("looking for copies", &cases, |case| look(case, work));
    let mut results = ViewResults::new();
    for (case, found) in cases.iter().zip(found) {
        results.entry((case.servers, case.view, case.kind)).or_default().add(&found);
    }
    page::page(&results)
}

fn cases(seed: u64) -> Vec<ViewCase> {
    let mut cases = Vec::new();
    for servers in SERVERS {
        for (view, nr) in ViewError::ALL.into_iter().flat_map(|view| (0..DRAWN).map(move |nr| (view, nr))) {
            let salt = seed << 16 | (servers as u64) << 8 | nr;
            let network = OverlayNetwork::random(salt, servers, servers, SIGMA);
            let (truth, known) = view.of(network, &mut fastrand::Rng::with_seed(salt), SIGMA);
            let case = |kind| ViewCase { servers, view, kind, truth: truth.clone(), known: known.clone() };
            cases.extend(KINDS.map(case));
        }
    }
    cases
}

fn look(case: &ViewCase, work: &StudyWork) -> ViewFindings {
    let (truth, known) = (case.kind.prepare(&case.truth), case.kind.prepare(&case.known));
    let (all, seen) = (case.truth.total() as f64, case.truth.live().filter(|(id, _)| is_known(&case.known, *id)));
    let seen: u64 = seen.map(|(_, member)| member.weight()).sum();
    let mut found = ViewFindings { unknown: 1.0 - seen as f64 / all, pools: 1.0, ..ViewFindings::default() };
    for nr in 0..work.samples(BLOCKS) {
        let id = block(work.seed, nr);
        let asked = if case.kind == PlacementKind::RushR { known.holders(id, COPIES) } else { known.order(id, COPIES) };
        found.block(&truth.holders(id, COPIES), &asked);
    }
    found
}

fn is_known(network: &OverlayNetwork, id: MemberIndex) -> bool {
    network.members.get(id).is_some_and(|member| member.weight() > 0)
}

impl ViewFindings {
    /// A block that lies on `holders` and is looked for on `asked`, in that order.
    fn block(&mut self, holders: &[MemberIndex], asked: &[MemberIndex]) {
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

    fn add(&mut self, other: &Self) {
        self.copies += other.copies;
        self.misplaced += other.misplaced;
        self.missed += other.missed;
        self.blocks += other.blocks;
        self.unknown += other.unknown;
        self.pools += other.pools;
        self.after.iter_mut().zip(other.after).for_each(|(sum, one)| *sum += one);
    }

    /// Misplaced copies, as a part of all.
    fn misplaced(&self) -> f64 {
        self.misplaced as f64 / self.copies as f64
    }

    /// Misplaced copies that are found when so many servers more than N are asked, as a part of all misplaced ones.
    fn found_within(&self, further: usize) -> f64 {
        self.after[..further].iter().sum::<u64>() as f64 / (self.misplaced as f64).max(1.0)
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
    fn what_is_asked_further_is_counted_where_it_is_found() {
        let mut found = ViewFindings::default();
        found.block(&[1, 2, 9], &[1, 2, 3, 4, 9]);
        assert_eq!((found.misplaced, found.after[..3].to_vec(), found.missed), (1, vec![0, 1, 0], 0));
        found.block(&[6, 7, 8], &[1, 2, 3, 4, 9]);
        assert_eq!((found.misplaced, found.after[..3].to_vec(), found.missed), (4, vec![0, 1, 0], 1));
        assert_eq!(found.found_within(2), 0.25);
    }
}
