//! Who may have keys, by more than this node's own opinion.
//!
//! Promise: nobody gets a key here of whom fewer than a majority of the holders of the volume's id know that it is a member in
//! good standing. Two parts of a cut pool that each let somebody in with the same ticket cannot both do that: they have a
//! holder in common, and it knows which of the two came too late.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{CapabilityLevel, Role};
use fsdfs_proto::ids::{BlockId, FactId, NodeId};
use fsdfs_proto::message::{EntitledReply, EntitledRequest, Message, RequestId};

use super::Liveness;
use crate::engine::context::Context;
use crate::facts::MemberStatus;
use crate::limits::{GRANTS_OPEN_MAX, HOLDERS_HEARD_MS, LONG_AWAY_MS};
use crate::seam::Waiter;

/// Questions under way, and who was confirmed since the start.
#[derive(Default)]
pub(super) struct KeyGrants {
    open: BTreeMap<NodeId, OpenGrant>,
    known: BTreeSet<NodeId>,
    /// Of members that asked and are not known yet.
    denials: BTreeMap<NodeId, HolderDenials>,
}

/// Holders that said no to a member, or nothing.
struct HolderDenials {
    /// When it asked first.
    since: u64,
    by: BTreeSet<NodeId>,
}

/// A question for keys and the epoch that was asked for.
pub(super) type KeyQuestion = (RequestId, Option<FactId>);

/// A member that asked for keys, while the holders are asked about it.
struct OpenGrant {
    asked: u64,
    questions: Vec<KeyQuestion>,
    /// Holders that have not answered. Empty only at the end.
    waiting: BTreeSet<NodeId>,
    /// How many more have to say yes. Not 0 while it is open.
    needed: usize,
}

/// Whether a member gets the keys it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GrantVerdict {
    /// Enough others know it.
    Known,
    /// Too few of them can be asked.
    NotNow,
    /// They are asked.
    Asking,
}

impl KeyGrants {
    /// The member is entitled by the facts that are kept here; now the others count.
    pub fn check(
        &mut self,
        cx: &mut Context,
        liveness: &Liveness,
        node: NodeId,
        question: KeyQuestion,
    ) -> GrantVerdict {
        // An admin's owner said that it knows whose node this is.
        if self.known.contains(&node) || cx.facts.is_vouched(node) {
            return GrantVerdict::Known;
        }
        let now = cx.now.mono;
        let denials = self.denials.entry(node).or_insert_with(|| HolderDenials { since: now, by: BTreeSet::new() });
        if self.open.get(&node).is_some_and(|open| open.asked + HOLDERS_HEARD_MS <= now) {
            denials.by.extend(self.open.remove(&node).into_iter().flat_map(|open| open.waiting));
        }
        // One that was cut off meanwhile may know more when it is back.
        denials.by.retain(|holder| cx.responsive(*holder));
        if let Some(open) = self.open.get_mut(&node) {
            // It asks one thing at a time; whoever asks more waits for the next answer.
            if open.questions.len() < GRANTS_OPEN_MAX {
                open.questions.push(question);
                return GrantVerdict::Asking;
            }
            return GrantVerdict::NotNow;
        }
        let mut holders = holders(cx, liveness, node);
        if denials.since + HOLDERS_HEARD_MS <= now {
            // What a holder knows that was connected all the time is known here, too, and the facts that are kept here say yes.
            // So its no is a lie, as its silence is, and keeps nobody out. It could as well have lied the other way.
            holders.retain(|holder| !denials.by.contains(holder));
        }
        let needed = majority(holders.len()).saturating_sub(holders.contains(&cx.me).into());
        if needed == 0 {
            self.note_known(node);
            return GrantVerdict::Known;
        }
        let waiting: BTreeSet<NodeId> =
            holders.into_iter().filter(|holder| *holder != cx.me && cx.responsive(*holder)).collect();
        if waiting.len() < needed && denials.since + HOLDERS_HEARD_MS <= now && is_known_first_hand(cx, node) {
            self.note_known(node);
            return GrantVerdict::Known;
        }
        if self.open.len() >= GRANTS_OPEN_MAX {
            self.open.retain(|_, open| open.asked + HOLDERS_HEARD_MS > now);
        }
        if waiting.len() < needed || self.open.len() >= GRANTS_OPEN_MAX {
            return GrantVerdict::NotNow;
        }
        debug_assert!(!waiting.contains(&node) && needed > 0, "no one speaks for itself, and some must speak");
        for holder in &waiting {
            let ask = |request| Message::Entitled(EntitledRequest { request, node });
            cx.ask(*holder, Waiter::Entitled(node), ask);
        }
        self.open.insert(node, OpenGrant { asked: now, questions: vec![question], waiting, needed });
        GrantVerdict::Asking
    }

    /// A holder answered, or will not. What the member asked, and whether it may have it, once that is decided.
    pub fn on_answer(&mut self, holder: NodeId, node: NodeId, entitled: bool) -> Option<(Vec<KeyQuestion>, bool)> {
        let open = self.open.get_mut(&node)?;
        if !open.waiting.remove(&holder) {
            return None;
        }
        if !entitled && let Some(denials) = self.denials.get_mut(&node) {
            denials.by.insert(holder);
        }
        open.needed -= usize::from(entitled);
        if open.needed > 0 && open.waiting.len() >= open.needed {
            return None;
        }
        let open = self.open.remove(&node)?;
        if open.needed == 0 {
            self.note_known(node);
        }
        Some((open.questions, open.needed == 0))
    }

    fn note_known(&mut self, node: NodeId) {
        self.denials.remove(&node);
        self.known.insert(node);
    }

    /// This node is a holder, and says what its facts say.
    pub fn serve(cx: &mut Context, from: NodeId, request: &EntitledRequest) {
        let entitled = level_of(cx, request.node).is_some();
        cx.send(from, Message::EntitledReply(EntitledReply { request: request.request, entitled }));
    }
}

/// Whether this is the node of an admin, and let that member in itself. Too few of the holders can be reached, and the pool is not
/// to stand still for that. If the ticket was used in another part of a cut pool, too, that shows when the parts meet.
fn is_known_first_hand(cx: &Context, node: NodeId) -> bool {
    let admission = cx.facts.admissions_of(node).pop();
    cx.facts.rank(cx.me.into()).is_some() && admission.is_some_and(|admission| admission.value().witness == cx.me)
}

/// Of the holders of the shared volume's id that have to know this node before it gets keys, those that cannot be reached, if they are
/// too many.
pub(super) fn holders_away(cx: &Context, liveness: &Liveness) -> Vec<NodeId> {
    let holders = holders(cx, liveness, cx.me);
    let (there, away): (Vec<_>, Vec<_>) = holders.iter().copied().partition(|holder| cx.responsive(*holder));
    if there.len() < majority(holders.len()) { away } else { Vec::new() }
}

/// What a node may have by the facts. Guests and those who store only are entitled to nothing.
pub(super) fn level_of(cx: &Context, node: NodeId) -> Option<CapabilityLevel> {
    let member = cx.facts.members().get(&node).filter(|member| member.status == MemberStatus::Member)?;
    match member.role {
        Role::Full => Some(CapabilityLevel::Write),
        Role::Reader => Some(CapabilityLevel::Read),
        Role::StorageOnly => None,
    }
}

/// The holders of the shared volume's id but the one in question, which would speak for itself. One that was silent for an hour
/// is not waited for: a pool of which half sleeps takes in newcomers all the same. Nor is one that failed its audits: servers
/// that boast of capacity would be the holders, and nobody would come in as long as they are silent.
fn holders(cx: &Context, liveness: &Liveness, but: NodeId) -> Vec<NodeId> {
    let copies = cx.copies();
    let order = cx.map.order(BlockId(cx.pool.volume().0), copies);
    let is_there =
        |node: NodeId| node == cx.me || liveness.quiet_ms(cx, node).unwrap_or(cx.now.mono - cx.started) < LONG_AWAY_MS;
    let counts = |node: NodeId| node != but && is_there(node) && cx.peers.is_believed(node);
    let others = order.iter().map(|holder| holder.node).filter(|node| counts(*node));
    others.take(copies.into()).collect()
}

/// Of one or two holders one is enough: a pool of three is in use while one of them sleeps.
fn majority(holders: usize) -> usize {
    if holders <= 2 { holders.min(1) } else { holders / 2 + 1 }
}

#[cfg(test)]
impl KeyGrants {
    /// A member of whom the others know.
    pub fn confirm(&mut self, node: NodeId) {
        self.known.insert(node);
    }
}

#[cfg(test)]
mod tests;
