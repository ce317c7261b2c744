//! What it costs when nodes do not know the same: copies looked for in the wrong place, and how soon they are found.

mod findings;
mod page;
mod view;

use super::family::PlacementKind;
use super::network::{MemberIndex, OverlayNetwork, block};
use super::page::StudyPage;
use super::work::StudyWork;
use findings::{COPIES, KINDS, SERVERS, ViewFindings, ViewResults};
use view::ViewError;

const SIGMA: f64 = 1.0;
/// Random pools of each size, each with its own ignorance.
const DRAWN: u64 = 6;
const BLOCKS: u64 = 30_000;

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
