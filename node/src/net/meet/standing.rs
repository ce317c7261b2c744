//! Standing knocks for members that cannot be found: at the addresses at which they answered last.
//!
//! Two that look for each other so keep the way through both routers open, without any third. What a knock of theirs means, both
//! know by themselves: the meeting's id follows from the gate secret, the pair and the hour.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use fsdfs_proto::ids::{Key, MeetingId, NodeId};
use fsdfs_proto::message::meeting::standing_meeting;

use super::addresses::is_usable;
use super::context::MeetContext;
use super::limits::{STANDING_ADDRESSES_MAX, STANDING_EVERY, STANDING_MAX};
use super::seam::MeetOutput;

/// What is expected is forgotten after ten seconds unless it is said again.
const EXPECT_EVERY: u64 = 5_000;
/// Clocks of two nodes differ by less: near the full hour knocks of both hours are heard.
const CLOCKS_DIFFER_MIN: u64 = 5;

/// See the module.
pub(super) struct StandingKnocks {
    secret: Key,
    members: BTreeMap<NodeId, Vec<SocketAddr>>,
    expected: BTreeMap<MeetingId, NodeId>,
    expect_at: u64,
    knock_at: u64,
}

impl StandingKnocks {
    pub fn new(secret: Key) -> Self {
        Self { secret, members: BTreeMap::new(), expected: BTreeMap::new(), expect_at: 0, knock_at: 0 }
    }

    /// It was not found. What was known of its addresses before may still be right if nothing newer is.
    pub fn add(&mut self, now: u64, node: NodeId, addresses: &[SocketAddr]) {
        let usable: Vec<SocketAddr> =
            addresses.iter().copied().filter(is_usable).take(STANDING_ADDRESSES_MAX).collect();
        if let Some(known) = self.members.get_mut(&node) {
            if !usable.is_empty() {
                *known = usable;
            }
        } else if self.members.len() < STANDING_MAX {
            self.members.insert(node, usable);
            self.expect_at = now;
        }
    }

    /// It is connected, or not wanted any more.
    pub fn remove(&mut self, cx: &mut MeetContext, node: NodeId) {
        if self.members.remove(&node).is_none() {
            return;
        }
        self.expected.retain(|meeting, peer| {
            let stays = *peer != node;
            if !stays {
                cx.out.push(MeetOutput::Forget(*meeting));
            }
            stays
        });
    }

    /// Who cannot be found.
    pub fn members(&self) -> Vec<NodeId> {
        self.members.keys().copied().collect()
    }

    /// Where to knock for the peer of a meeting of this kind.
    pub fn targets(&self, peer: NodeId, meeting: MeetingId) -> Option<Vec<SocketAddr>> {
        self.expected.get(&meeting).filter(|expected| **expected == peer)?;
        self.members.get(&peer).cloned()
    }

    pub fn step(&mut self, cx: &mut MeetContext, minute: u64) {
        if self.members.is_empty() {
            return;
        }
        if self.expect_at <= cx.now {
            self.expect_at = cx.now + EXPECT_EVERY;
            self.expect(cx, minute);
        }
        if self.knock_at <= cx.now {
            self.knock_at = cx.now + STANDING_EVERY;
            for (node, addresses) in &self.members {
                let meeting = self.meeting(cx.me, *node, minute / 60);
                for to in addresses {
                    cx.out.push(MeetOutput::Knock { to: *to, peer: *node, meeting, round: 0 });
                }
            }
        }
    }

    fn expect(&mut self, cx: &mut MeetContext, minute: u64) {
        let hours = BTreeSet::from([minute.saturating_sub(CLOCKS_DIFFER_MIN) / 60, (minute + CLOCKS_DIFFER_MIN) / 60]);
        self.expected.clear();
        for (node, addresses) in &self.members {
            for hour in hours.iter().filter(|_| !addresses.is_empty()) {
                let meeting = self.meeting(cx.me, *node, *hour);
                self.expected.insert(meeting, *node);
                cx.out.push(MeetOutput::Expect { meeting, peer: *node });
            }
        }
    }

    fn meeting(&self, me: NodeId, node: NodeId, hour: u64) -> MeetingId {
        standing_meeting(&self.secret, [me, node], hour)
    }

    pub fn deadline(&self) -> Option<u64> {
        (!self.members.is_empty()).then(|| self.expect_at.min(self.knock_at))
    }
}
