//! What the parts of the machine share while one input is handled.

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Message;
use fsdfs_proto::message::meeting::Candidate;

use super::links::Links;
use super::seam::{MeetOutput, MemberCards};

/// See the module.
pub(super) struct MeetContext<'a> {
    /// Milliseconds on the monotonic clock.
    pub now: u64,
    /// This node.
    pub me: NodeId,
    /// Where it may be reached, at most as many as a message holds.
    pub own: &'a [Candidate],
    pub links: &'a Links,
    pub cards: &'a dyn MemberCards,
    pub out: &'a mut Vec<MeetOutput>,
}

impl MeetContext<'_> {
    pub fn push(&mut self, output: MeetOutput) {
        self.out.push(output);
    }

    /// Dropped if it is not connected any more.
    pub fn send(&mut self, to: NodeId, message: Message) {
        if self.links.is_up(to) {
            self.push(MeetOutput::Send { to, message });
        }
    }
}
