//! How a node is, in one word: the same word in `status` and in `watch`.

use fsdfs_proto::control::NodeStatus;
use serde::Serialize;

use crate::outcome::ExitStatus;
use crate::text::{escape, human};

/// In a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// There is nothing to do, and nothing is being done.
    Healthy,
    /// Copies are being completed or verified, and no one has to do anything.
    Mending,
    /// Some block has one copy left: the next failure may lose it.
    AtRisk,
    /// The owner should do something.
    NeedsAttention,
}

impl NodeState {
    /// The worst that is true; what may be lost comes before what is to be done.
    pub fn of(status: &NodeStatus) -> Self {
        if is_on_last_copy(status) {
            Self::AtRisk
        } else if !status.attention.is_empty() {
            Self::NeedsAttention
        } else if !status.ready || lacks_copies(status) || is_uncounted(status) {
            Self::Mending
        } else {
            Self::Healthy
        }
    }

    /// As a person reads it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Mending => "mending",
            Self::AtRisk => "at risk",
            Self::NeedsAttention => "needs attention",
        }
    }

    /// What `status` ends with.
    pub fn verdict(self) -> ExitStatus {
        if self == Self::Healthy { ExitStatus::Fine } else { ExitStatus::Attention }
    }
}

/// Members that have proved nothing yet count as having nothing in the margin. That is right for what may be given up, but a node
/// that has just started is not at risk for it: here they count as long as they do not fail.
fn is_on_last_copy(status: &NodeStatus) -> bool {
    let unproven = i64::try_from(status.unverified.len()).unwrap_or(i64::MAX);
    let copies = i64::from(status.copies);
    status.replication_margin.is_some_and(|margin| {
        let best = margin.min.saturating_add(unproven);
        best < 0 && copies.saturating_add(best) <= 1
    })
}

fn lacks_copies(status: &NodeStatus) -> bool {
    status.repair.pending > 0 || status.replication_margin.is_some_and(|margin| margin.min < 0)
}

/// Nothing was compared with anybody yet.
fn is_uncounted(status: &NodeStatus) -> bool {
    status.members > 0 && status.repair.running && status.replication_margin.is_none()
}

/// What the word means here.
pub fn meaning(status: &NodeStatus) -> String {
    match NodeState::of(status) {
        NodeState::Healthy => "nothing to do".into(),
        NodeState::Mending => mending(status),
        NodeState::AtRisk => format!("some blocks have one copy left; {}", remedy(status)),
        NodeState::NeedsAttention => {
            let things = status.attention.len() as u64;
            format!("{} to look at, see below", human::count(things, "thing", "things"))
        }
    }
}

fn mending(status: &NodeStatus) -> String {
    let what = if !status.ready {
        "this node is hearing what happened while it was off".into()
    } else if !lacks_copies(status) {
        "comparing records with the other members".into()
    } else if status.repair.pending == 0 && !status.unverified.is_empty() {
        format!("copies count when {} proved to have them", unverified(status))
    } else if status.repair.paused {
        "repair completes the missing copies when it may use the line".into()
    } else {
        "repair is completing the missing copies".into()
    };
    format!("nothing to do: {what}")
}

/// Where no line below says it.
fn remedy(status: &NodeStatus) -> &'static str {
    match (status.attention.is_empty(), status.members, status.repair.paused) {
        (false, ..) => "see below",
        (true, 0, _) => "invite members to keep others: 'fsdfs invite'",
        (true, _, true) => "repair waits for the line: 'fsdfs bandwidth'",
        (true, _, false) => "others are made where there are members to keep them",
    }
}

/// Members that say that they keep copies and have not proved any yet.
pub fn unverified(status: &NodeStatus) -> String {
    let names: Vec<String> = status.unverified.iter().map(|name| escape::name(name.as_bytes())).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{attention, complete, status};
    use super::*;
    use fsdfs_proto::control::{RepairStatus, ReplicationMargin};

    fn with_margin(min: i64, unverified: usize) -> NodeStatus {
        let replication_margin = Some(ReplicationMargin { min, max: 0 });
        NodeStatus { replication_margin, unverified: vec!["bob".into(); unverified], ..complete() }
    }

    #[track_caller]
    fn check(status: &NodeStatus, state: NodeState, said: &str) {
        assert_eq!((NodeState::of(status), meaning(status).as_str()), (state, said));
    }

    #[test]
    fn the_worst_that_is_true_is_said() {
        check(&complete(), NodeState::Healthy, "nothing to do");
        check(&status(), NodeState::Mending, "nothing to do: repair is completing the missing copies");
        let attended = NodeStatus { attention: vec![attention()], ..status() };
        check(&attended, NodeState::NeedsAttention, "1 thing to look at, see below");
        let last = "some blocks have one copy left; others are made where there are members to keep them";
        check(&with_margin(-2, 0), NodeState::AtRisk, last);
        let both = NodeStatus { attention: vec![attention()], ..with_margin(-2, 0) };
        check(&both, NodeState::AtRisk, "some blocks have one copy left; see below");
    }

    #[test]
    fn copies_that_are_not_proved_yet_are_no_risk() {
        check(&with_margin(-2, 1), NodeState::Mending, "nothing to do: copies count when bob proved to have them");
        check(&with_margin(-3, 1), NodeState::AtRisk, &meaning(&with_margin(-2, 0)));
    }

    #[test]
    fn a_pool_of_one_copy_is_not_at_risk_by_itself() {
        check(&NodeStatus { copies: 1, ..complete() }, NodeState::Healthy, "nothing to do");
        let alone = NodeStatus { members: 0, ..with_margin(-2, 0) };
        check(
            &alone,
            NodeState::AtRisk,
            "some blocks have one copy left; invite members to keep others: 'fsdfs invite'",
        );
    }

    #[test]
    fn what_takes_time_is_said_and_ends_with_1() {
        let repair = RepairStatus { paused: true, ..status().repair };
        let waits = "nothing to do: repair completes the missing copies when it may use the line";
        check(&NodeStatus { repair, ..status() }, NodeState::Mending, waits);
        let early = NodeStatus { ready: false, ..complete() };
        check(&early, NodeState::Mending, "nothing to do: this node is hearing what happened while it was off");
        let repair = RepairStatus { running: true, ..complete().repair };
        let compares = NodeStatus { repair: repair.clone(), replication_margin: None, ..complete() };
        check(&compares, NodeState::Mending, "nothing to do: comparing records with the other members");
        // Later on it compares again and again.
        check(&NodeStatus { repair, ..complete() }, NodeState::Healthy, "nothing to do");
        let codes = [NodeState::Healthy, NodeState::Mending, NodeState::AtRisk, NodeState::NeedsAttention];
        let fine: Vec<bool> = codes.iter().map(|state| state.verdict() == ExitStatus::Fine).collect();
        assert_eq!(fine, [true, false, false, false]);
    }
}
