//! Checking the signatures of facts that a peer sent, before anybody acts on them.
//!
//! A signature costs fifty times what all the rest of taking in a fact costs, so this runs where a connection is read and not
//! where decisions are made. What it says is the same wherever it runs.

use fsdfs_proto::codec::FormatError;
use fsdfs_proto::identity::RawFact;

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
        for raw in raws {
            if !self.knows(raw)
                && let Err(FormatError::BadSignature { .. }) = raw.check(self.kept.pool)
            {
                return Err(WrongSignature);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::codec;
    use fsdfs_proto::identity::Fact;

    use super::*;
    use crate::facts::tests::pool::{TestPool, card, features, pool_id};

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
}
