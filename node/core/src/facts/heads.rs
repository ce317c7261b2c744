//! The heads of one volume that no other head supersedes.

use std::collections::BTreeMap;

use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, FactId};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::CommitView;

/// By commit id. No head here supersedes another.
#[derive(Clone, Debug, Default)]
pub(super) struct HeadSet(BTreeMap<BlockId, HeadEntry>);

#[derive(Clone, Debug)]
struct HeadEntry {
    head: Signed<Head>,
    commit: CommitView,
}

impl HeadSet {
    /// Ordered by commit id.
    pub fn iter(&self) -> impl Iterator<Item = (BlockId, &Signed<Head>)> {
        self.0.iter().map(|(commit, entry)| (*commit, &entry.head))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether one that is here supersedes this one.
    pub fn supersede(&self, head: &Head, commit: &CommitView) -> bool {
        self.0.values().any(|old| supersedes((old.head.value(), &old.commit), (head, commit)))
    }

    /// Whether this one supersedes any that is here.
    pub fn are_superseded_by(&self, head: &Head, commit: &CommitView) -> bool {
        self.0.values().any(|old| supersedes((head, commit), (old.head.value(), &old.commit)))
    }

    /// Takes in a head that nothing here supersedes; returns the ids of those that it supersedes.
    pub fn insert(&mut self, head: &Signed<Head>, commit: CommitView) -> Vec<FactId> {
        let over = |old: &HeadEntry| supersedes((head.value(), &commit), (old.head.value(), &old.commit));
        let gone: Vec<BlockId> = self.0.iter().filter(|(_, old)| over(old)).map(|(id, _)| *id).collect();
        let gone = gone.iter().filter_map(|id| self.0.remove(id)).map(|old| old.head.id()).collect();
        self.0.insert(commit.id, HeadEntry { head: head.clone(), commit });
        gone
    }
}

/// Those of these heads that no other of them supersedes, ordered by commit id. Malformed ones do not count.
pub fn current_heads(heads: impl IntoIterator<Item = Signed<Head>>) -> Vec<Signed<Head>> {
    let mut current_heads = HeadSet::default();
    for head in heads {
        if let Ok(commit) = CommitView::of_head(head.value())
            && !current_heads.supersede(head.value(), &commit)
        {
            current_heads.insert(&head, commit);
        }
    }
    current_heads.iter().map(|(_, head)| head.clone()).collect()
}

/// A strict partial order, so what is left does not depend on the order of arrival. A head of an ended epoch supersedes
/// nothing of a later one: whoever still holds the old key must not be able to hide what was written since.
fn supersedes(new: (&Head, &CommitView), old: (&Head, &CommitView)) -> bool {
    match new.0.epoch.cmp(&old.0.epoch) {
        std::cmp::Ordering::Less => false,
        // Several nodes make the same merge: one of them publishes it for all.
        std::cmp::Ordering::Equal if old.1.id == new.1.id => new.0.author < old.0.author,
        std::cmp::Ordering::Equal => old.1.is_superseded_by(new.1),
        std::cmp::Ordering::Greater => new.1.extra.version_vector.covers_all(&old.1.extra.version_vector),
    }
}
