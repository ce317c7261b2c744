//! The heads of one volume that no other head supersedes.

use std::collections::BTreeMap;

use fsdfs_proto::identity::{Head, VolEpoch};
use fsdfs_proto::ids::{BlockId, FactId, NodeId};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::CommitView;

use crate::limits::HEADS_PER_AUTHOR_MAX;

/// All statements about the epochs of a volume, by number.
pub(super) type Epochs = BTreeMap<u32, Vec<Signed<VolEpoch>>>;

/// By commit id. No head here supersedes another. Of one author and epoch those with the smallest commit ids stay, as many as
/// one author may have.
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

    /// How many of an epoch, of authors like this.
    pub fn of_epoch(&self, epoch: u32, is_like: impl Fn(NodeId) -> bool) -> usize {
        let of_epoch = self.0.values().map(|entry| entry.head.value()).filter(|head| head.epoch == epoch);
        of_epoch.filter(|head| is_like(head.author)).count()
    }

    /// Whether one that is here supersedes this one.
    pub fn supersede(&self, head: &Signed<Head>, commit: &CommitView, epochs: &Epochs) -> bool {
        self.0.values().any(|old| supersedes((&old.head, &old.commit), (head, commit), epochs))
    }

    /// Whether this one supersedes any that is here.
    pub fn are_superseded_by(&self, head: &Signed<Head>, commit: &CommitView, epochs: &Epochs) -> bool {
        self.0.values().any(|old| supersedes((head, commit), (&old.head, &old.commit), epochs))
    }

    /// Whether its author has as many others already as stay here.
    pub fn are_enough(&self, head: &Signed<Head>, commit: &CommitView, epochs: &Epochs) -> bool {
        let before = self.0.range(..commit.id).filter(|(_, old)| is_of_same(&old.head, head));
        before.filter(|(_, old)| !supersedes((head, commit), (&old.head, &old.commit), epochs)).count()
            >= HEADS_PER_AUTHOR_MAX
    }

    /// Takes in a head that nothing here supersedes; returns the ids of those that give way to it.
    pub fn insert(&mut self, head: &Signed<Head>, commit: CommitView, epochs: &Epochs) -> Vec<FactId> {
        let over = |old: &HeadEntry| supersedes((head, &commit), (&old.head, &old.commit), epochs);
        let gone: Vec<BlockId> = self.0.iter().filter(|(_, old)| over(old)).map(|(id, _)| *id).collect();
        let mut gone: Vec<FactId> = gone.iter().filter_map(|id| self.0.remove(id)).map(|old| old.head.id()).collect();
        self.0.insert(commit.id, HeadEntry { head: head.clone(), commit });
        // What an epoch began from stays, whatever those do who have the old key.
        let next = || epochs.get(&head.value().epoch.saturating_add(1)).into_iter().flatten();
        let began_from = |id: &BlockId| next().any(|epoch| epoch.value().frozen_heads.binary_search(id).is_ok());
        let of_author = self.0.iter().filter(|(id, old)| is_of_same(&old.head, head) && !began_from(id));
        let beyond: Vec<BlockId> = of_author.map(|(id, _)| *id).skip(HEADS_PER_AUTHOR_MAX).collect();
        gone.extend(beyond.iter().filter_map(|id| self.0.remove(id)).map(|old| old.head.id()));
        gone
    }
}

/// Of the same author and epoch.
fn is_of_same(one: &Signed<Head>, other: &Signed<Head>) -> bool {
    (one.value().author, one.value().epoch) == (other.value().author, other.value().epoch)
}

/// Those of these heads that no other of them supersedes, ordered by commit id. Malformed ones do not count.
pub fn current_heads(heads: impl IntoIterator<Item = Signed<Head>>) -> Vec<Signed<Head>> {
    let (mut current_heads, none) = (HeadSet::default(), Epochs::new());
    for head in heads {
        if let Ok(commit) = CommitView::of_head(head.value())
            && !current_heads.supersede(&head, &commit, &none)
        {
            current_heads.insert(&head, commit, &none);
        }
    }
    current_heads.iter().map(|(_, head)| head.clone()).collect()
}

/// A strict partial order, so what is left does not depend on the order of arrival. A head of an ended epoch supersedes
/// nothing of a later one: whoever still holds the old key must not be able to hide what was written since. Nor does one of an
/// epoch that was begun elsewhere at the same time: those whom the other side threw out have its key. What an epoch began from
/// is superseded only by what was signed in that epoch, or later.
fn supersedes(new: (&Signed<Head>, &CommitView), old: (&Signed<Head>, &CommitView), epochs: &Epochs) -> bool {
    let (new_epoch, old_epoch) = (new.0.value().epoch, old.0.value().epoch);
    // Several nodes make the same merge, and whoever signs twice makes two heads of one commit: one of them stands for all, also
    // if an epoch began from it.
    if new_epoch == old_epoch && new.1.id == old.1.id {
        return (new.0.value().author, new.0.id()) < (old.0.value().author, old.0.id());
    }
    let next = epochs.get(&old_epoch.saturating_add(1)).into_iter().flatten().map(Signed::value);
    let began_from = |epoch: &&VolEpoch| epoch.frozen_heads.binary_search(&old.1.id).is_ok();
    if next.filter(began_from).any(|epoch| epoch.write_pk != new.0.signer() && new_epoch <= epoch.epoch) {
        return false;
    }
    match new_epoch.cmp(&old_epoch) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => new.0.signer() == old.0.signer() && old.1.is_superseded_by(new.1),
        std::cmp::Ordering::Greater => new.1.extra.version_vector.covers_all(&old.1.extra.version_vector),
    }
}
