//! What the members that this node turned to said at their gates: they let it in, or why not.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::gate::ProtocolMismatch;
use fsdfs_proto::identity::GateRefusal;
use fsdfs_proto::ids::NodeId;
use tokio::sync::watch;

use super::rejection::HandshakeRejected;

/// Beyond that it does not matter who else did.
const LET_IN_MAX: usize = 64;

/// Since this node started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateAnswers {
    /// Who let it in; the first 64.
    pub let_in: BTreeSet<NodeId>,
    /// Who did not, when asked last, and why.
    pub refused: BTreeMap<NodeId, HandshakeRejected>,
}

/// Where gateways and the daemon see them.
pub type GateAnswersWatch = watch::Receiver<GateAnswers>;

impl GateAnswers {
    pub(super) fn note_let_in(&mut self, peer: NodeId) {
        if self.let_in.len() < LET_IN_MAX {
            self.let_in.insert(peer);
        }
        self.refused.remove(&peer);
    }

    /// Whether more members say that what this node came with was revoked than let it in. A member that was removed and has not
    /// heard of it lets in whoever has its tickets.
    pub fn is_outvoted(&self) -> bool {
        let revoked = |why: &&HandshakeRejected| **why == HandshakeRejected::Refused(GateRefusal::Revoked);
        self.refused.values().filter(revoked).count() > self.let_in.len()
    }

    /// The reason with which this node was refused, if it is one that does not pass by itself. The smallest, so that the same
    /// answers give the same reason.
    pub fn refusal(&self) -> Option<HandshakeRejected> {
        self.refused.values().copied().filter(is_lasting).min()
    }
}

/// Some reasons pass when the members have heard of each other.
fn is_lasting(why: &HandshakeRejected) -> bool {
    !matches!(
        why,
        HandshakeRejected::Refused(GateRefusal::NotAdmitted)
            | HandshakeRejected::Mismatch(ProtocolMismatch::Unknown | ProtocolMismatch::Paused)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lasting_reasons_count() {
        let refused = |why: &[HandshakeRejected]| {
            let refused = why.iter().zip(1..).map(|(why, number)| (NodeId([number; 32]), *why)).collect();
            GateAnswers { refused, ..GateAnswers::default() }.refusal()
        };
        let expired = HandshakeRejected::Refused(GateRefusal::TicketExpired);
        let used_up = HandshakeRejected::Refused(GateRefusal::TicketUsedUp);
        let unknown = HandshakeRejected::Mismatch(ProtocolMismatch::Unknown);
        assert_eq!(refused(&[HandshakeRejected::Mismatch(ProtocolMismatch::Paused)]), None);
        assert_eq!(refused(&[]), None);
        assert_eq!(refused(&[HandshakeRejected::Refused(GateRefusal::NotAdmitted), unknown]), None);
        assert_eq!(refused(&[unknown, used_up, expired]), refused(&[expired, used_up]));
        assert_eq!(refused(&[used_up]), Some(used_up));
    }

    #[test]
    fn more_must_say_that_it_was_revoked_than_let_it_in() {
        let member = |number| NodeId([number; 32]);
        let mut answers = GateAnswers::default();
        answers.note_let_in(member(1));
        let mut refused = |number, why| {
            answers.refused.insert(member(number), HandshakeRejected::Refused(why));
            answers.is_outvoted()
        };
        assert!(!refused(2, GateRefusal::Revoked), "one against one");
        assert!(!refused(3, GateRefusal::TicketUsedUp), "others may have heard of another newcomer first");
        assert!(refused(4, GateRefusal::Revoked));
        answers.note_let_in(member(4));
        assert!(!answers.is_outvoted());
    }
}
