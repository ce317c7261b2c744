//! Checking the signatures of facts that a peer sent, before anybody acts on them.
//!
//! A signature costs fifty times what all the rest of taking in a fact costs, so this runs where a connection is read and not
//! where decisions are made. What it says is the same wherever it runs.

use std::collections::BTreeSet;

use fsdfs_proto::codec::FormatError;
use fsdfs_proto::identity::{Fact, FactKind, Head, RawFact};
use fsdfs_proto::ids::{PoolId, Signature, VolumeId};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::{CommitView, Dot};

use super::heads::HeadSet;
use super::set::FactSet;

/// A fact bears a signature that is not its signer's: no honest node passes on such a fact, for it checks each one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fact whose signature is wrong")]
pub struct WrongSignature;

impl FactSet {
    /// Checks those facts that are not known yet; [`RawFact::open`] does not repeat that. Stops at the first wrong signature.
    ///
    /// What cannot be decoded, or is of a later version, is no offence; it stays what it is, and nobody looks at it again.
    pub fn check_signatures(&self, raws: &mut [RawFact]) -> Result<(), WrongSignature> {
        let mut marks = RightMarks::default();
        if raws.iter().any(|raw| raw.kind() == FactKind::Head) {
            let heads = self.kept.heads.values().flat_map(HeadSet::iter);
            heads.for_each(|(_, head)| marks.add(head));
        }
        for raw in raws {
            let known = |volume, dot, signature: &_| marks.has(volume, dot, signature);
            if !self.knows(raw)
                && let Err(FormatError::BadSignature { .. }) = raw.check(self.kept.pool, &known)
            {
                return Err(WrongSignature);
            }
        }
        Ok(())
    }
}

/// Opens what a log kept, in its order. Each head goes on from others of the same log, so that most of its marks are known.
pub fn open_logged<'a>(pool: PoolId, raws: impl IntoIterator<Item = &'a RawFact>) -> Vec<Fact> {
    let mut marks = RightMarks::default();
    let mut open = |raw: &RawFact| {
        let fact = raw.open_beside(pool, &|volume, dot, signature| marks.has(volume, dot, signature)).ok()?;
        if let Fact::Head(head) = &fact {
            marks.add(head);
        }
        Some(fact)
    };
    raws.into_iter().filter_map(&mut open).collect()
}

/// Marks whose signatures were found right. A head has one for each number that it includes, and all but one stand in the heads
/// that it goes on from.
#[derive(Default)]
struct RightMarks(BTreeSet<(VolumeId, Dot, Signature)>);

impl RightMarks {
    fn add(&mut self, head: &Signed<Head>) {
        let head = head.value();
        let Ok(view) = CommitView::of_head(head) else { return };
        let marks = head.marks_of(&view.extra.version_vector).unwrap_or_default();
        self.0.extend(marks.into_iter().map(|(dot, _, signature)| (head.volume, dot, signature)));
    }

    fn has(&self, volume: VolumeId, dot: Dot, signature: &Signature) -> bool {
        self.0.contains(&(volume, dot, *signature))
    }
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::codec;

    use fsdfs_proto::volume::{Commit, MarkSet};

    use super::*;
    use crate::facts::tests::pool::{TestPool, card, epoch, features, head, head_under, key, keys, pool_id, writer};

    /// As it comes from a peer: nobody here has looked at it.
    fn travelled(fact: impl Into<Fact>) -> RawFact {
        codec::decode(&codec::encode(&fact.into().raw())).expect("what was encoded decodes")
    }

    /// The same statement under another one's signature.
    fn forged(fact: impl Into<Fact>) -> RawFact {
        let bytes = codec::encode(&fact.into().raw());
        let other = codec::encode(&Fact::from(features(0, 9)).raw());
        let at = bytes.len() - 65;
        let mut forged = bytes;
        let from = other.len() - 65;
        forged[at..at + 64].copy_from_slice(&other[from..from + 64]);
        codec::decode(&forged).expect("the form is right")
    }

    #[test]
    fn the_first_wrong_signature_ends_it() {
        let pool = TestPool::of(3);
        let good = || travelled(card(1, 5, &[], 0));
        assert_eq!(pool.facts.check_signatures(&mut [good(), good()]), Ok(()));
        assert_eq!(pool.facts.check_signatures(&mut [good(), forged(card(1, 6, &[], 0))]), Err(WrongSignature));
    }

    #[test]
    fn what_is_known_is_not_checked_again() {
        let mut pool = TestPool::of(3);
        pool.say(card(1, 5, &[], 0));
        // Its id is that of the known card, so its signature is not looked at: the one that came first is kept.
        assert_eq!(pool.facts.check_signatures(&mut [forged(card(1, 5, &[], 0))]), Ok(()));
        assert_eq!(pool.facts.check_signatures(&mut [forged(card(1, 6, &[], 0))]), Err(WrongSignature));
    }

    #[test]
    fn what_does_not_open_is_no_offence_and_is_looked_at_once() {
        let pool = TestPool::of(3);
        let mut bytes = codec::encode(&Fact::from(card(1, 5, &[], 0)).raw());
        // Kinds as they travel, behind the head of the array: a card that calls itself a heartbeat.
        assert_eq!(std::mem::replace(&mut bytes[1], 4), 3);
        let mut raws = [codec::decode(&bytes).expect("the form is right")];
        assert_eq!(pool.facts.check_signatures(&mut raws), Ok(()));
        let found = raws[0].open(pool_id());
        assert!(matches!(&found, Err(error) if !matches!(error, FormatError::BadSignature { .. })), "{found:?}");
    }

    #[test]
    fn what_was_checked_opens_without_another_check() {
        let pool = TestPool::of(3);
        let mut raws = [travelled(card(1, 5, &[], 0))];
        pool.facts.check_signatures(&mut raws).expect("it is right");
        let opened = raws[0].open(pool_id()).expect("it is right");
        assert_eq!(opened, Fact::from(card(1, 5, &[], 0)));
    }

    /// What a head includes, others drop: nobody includes what was never published.
    #[test]
    fn a_head_that_claims_what_another_one_does_next_is_wrongly_signed() {
        let mut pool = TestPool::of(3);
        pool.say(epoch(&key(0), 1, Vec::new()));
        let done = Dot { writer: writer(1, 1), seq: 5 };
        pool.say(head_under(&keys(1), 1, Vec::new(), Some(done), &[(1, done)]));
        let own = Dot { writer: writer(2, 1), seq: 1 };
        let seen = |dot| travelled(head_under(&keys(1), 2, Vec::new(), Some(own), &[(2, own), (1, dot)]));
        assert_eq!(pool.facts.check_signatures(&mut [seen(done)]), Ok(()));
        // The only mark that there is says another number.
        let ahead = Dot { seq: 6, ..done };
        let heads = pool.facts.heads(pool_id().volume());
        let (_, node, signature) = heads[0].value().marks_of(&[done].into_iter().collect()).expect("a head")[0];
        let mut marks = MarkSet::default();
        marks.add(ahead, node, signature);
        let volume_keys = keys(1);
        let writes = volume_keys.writer().expect("made from the write secret");
        let commit = Commit {
            parents: Vec::new(),
            time: fsdfs_proto::time::Hlc::default(),
            dot: Some(own),
            version_vector: [own, ahead].into_iter().collect(),
            flags: fsdfs_proto::volume::EntryFlags::NONE,
            root: fsdfs_proto::volume::FolderNode::default(),
            message: None,
        };
        let forged =
            Commit::head(writes, &key(2), pool_id(), &commit.seal(writes, 3), &marks).expect("it has its form");
        assert_eq!(pool.facts.check_signatures(&mut [travelled(forged)]), Err(WrongSignature));
    }

    #[test]
    fn a_log_of_heads_opens_in_its_order() {
        let heads = [head(1, &[(1, 1)]), head(1, &[(1, 2)]), head(1, &[(2, 1), (1, 2)])];
        let raws: Vec<RawFact> = heads.iter().cloned().map(travelled).collect();
        assert_eq!(open_logged(pool_id(), &raws), heads.map(Fact::from));
        assert!(open_logged(PoolId([9; 32]), &raws).is_empty());
    }
}
