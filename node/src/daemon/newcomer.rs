//! A node that no member has let in yet: whether there is still hope.

use std::time::Duration;

use fsdfs_proto::identity::GateRefusal;
use tokio::time::Instant;

use crate::net::{GateAnswers, GateAnswersWatch, HandshakeRejected};

/// Time for others to let a newcomer in that one member refused: its clock may be wrong, or it knows less than they do.
const OTHERS_MAY_ADMIT: Duration = Duration::from_secs(3);
/// Time to be told by whoever waits for this node, even if there are no others.
const MAY_BE_ASKED: Duration = Duration::from_secs(1);
/// After that nobody turns a newcomer away that was let in, for it may have something to lose. Members that are up answer within
/// seconds.
const MAY_BE_OUTVOTED: Duration = Duration::from_secs(10);

/// What decides whether a node gets into its pool.
pub(super) struct PendingAdmission {
    /// No member has let it in yet, as far as its own facts tell.
    pub is_newcomer: bool,
    /// How many members it knows to turn to.
    pub members: usize,
    /// What they say.
    pub answers: GateAnswersWatch,
}

impl PendingAdmission {
    /// Waits until a newcomer was refused for good; for ever if it is none.
    pub async fn turned_away(&mut self) -> HandshakeRejected {
        if self.is_newcomer { turned_away(&mut self.answers, self.members).await } else { std::future::pending().await }
    }
}

/// Whoever was let in once waits for ever, unless others say soon that what it came with was revoked.
async fn turned_away(answers: &mut GateAnswersWatch, members: usize) -> HandshakeRejected {
    let (mut let_in_at, mut refused_at) = (None, None);
    loop {
        let hope = {
            let said = answers.borrow_and_update();
            let let_in_at = (!said.let_in.is_empty()).then(|| *let_in_at.get_or_insert_with(Instant::now));
            hope(&said, members, let_in_at.map(|at| at.elapsed()).unwrap_or_default())
        };
        if hope.is_none() {
            refused_at = None;
        }
        let due = hope.map(|(why, patience)| (why, *refused_at.get_or_insert_with(Instant::now) + patience));
        let changed = tokio::select! {
            why = ended(due) => return why,
            changed = answers.changed() => changed,
        };
        if changed.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Why there is none, and how long to hope all the same; nothing as long as there is. `inside`: since it was let in.
fn hope(said: &GateAnswers, members: usize, inside: Duration) -> Option<(HandshakeRejected, Duration)> {
    if !said.let_in.is_empty() {
        let is_out = said.is_outvoted() && inside <= MAY_BE_OUTVOTED;
        return is_out.then_some((HandshakeRejected::Refused(GateRefusal::Revoked), OTHERS_MAY_ADMIT));
    }
    let why = said.refusal()?;
    Some((why, if said.refused.len() >= members { MAY_BE_ASKED } else { OTHERS_MAY_ADMIT }))
}

async fn ended(due: Option<(HandshakeRejected, Instant)>) -> HandshakeRejected {
    match due {
        Some((why, at)) => {
            tokio::time::sleep_until(at).await;
            why
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::NodeId;

    use super::*;

    const EXPIRED: HandshakeRejected = HandshakeRejected::Refused(GateRefusal::TicketExpired);
    const LATER: HandshakeRejected = HandshakeRejected::Refused(GateRefusal::NotAdmitted);
    const REVOKED: HandshakeRejected = HandshakeRejected::Refused(GateRefusal::Revoked);

    fn said(let_in: bool, refused: &[HandshakeRejected]) -> GateAnswers {
        let refused = refused.iter().zip(1..).map(|(why, number)| (NodeId([number; 32]), *why)).collect();
        GateAnswers { let_in: let_in.then_some(NodeId([200; 32])).into_iter().collect(), refused }
    }

    #[test]
    fn hope_ends_when_all_have_refused_or_the_others_had_their_time() {
        assert_eq!(hope(&said(false, &[EXPIRED]), 1, Duration::ZERO), Some((EXPIRED, MAY_BE_ASKED)));
        assert_eq!(hope(&said(false, &[EXPIRED]), 2, Duration::ZERO), Some((EXPIRED, OTHERS_MAY_ADMIT)));
        assert_eq!(hope(&said(false, &[LATER, EXPIRED]), 2, Duration::ZERO), Some((EXPIRED, MAY_BE_ASKED)));
        assert!(OTHERS_MAY_ADMIT < Duration::from_secs(10), "the command ends within 10 s");
    }

    #[test]
    fn who_is_let_in_or_may_be_later_goes_on() {
        assert_eq!(hope(&said(true, &[EXPIRED]), 1, Duration::ZERO), None);
        assert_eq!(hope(&said(false, &[LATER]), 1, Duration::ZERO), None);
        assert_eq!(hope(&said(false, &[]), 0, Duration::ZERO), None);
    }

    #[test]
    fn a_member_that_is_out_itself_lets_nobody_in_for_long() {
        let outvoted = said(true, &[REVOKED, REVOKED]);
        assert_eq!(hope(&outvoted, 1, Duration::from_secs(1)), Some((REVOKED, OTHERS_MAY_ADMIT)));
        assert_eq!(hope(&outvoted, 1, MAY_BE_OUTVOTED * 2), None, "it may have something to lose");
        assert_eq!(hope(&said(true, &[REVOKED]), 1, Duration::ZERO), None);
    }

    #[tokio::test]
    async fn a_newcomer_is_turned_away_and_a_member_is_not() {
        let (answers, watch) = tokio::sync::watch::channel(said(false, &[EXPIRED]));
        let mut newcomer = PendingAdmission { is_newcomer: true, members: 1, answers: watch.clone() };
        let mut member = PendingAdmission { is_newcomer: false, members: 1, answers: watch };
        let first = tokio::select! {
            why = newcomer.turned_away() => (why, true),
            why = member.turned_away() => (why, false),
        };
        assert_eq!(first, (EXPIRED, true));
        drop(answers);
    }
}
