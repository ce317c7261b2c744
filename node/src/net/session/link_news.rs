//! What the owner of the connections hears from their sessions, and the engine does not.

use std::sync::{Mutex, PoisonError};

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Message;
use tokio::sync::mpsc;

/// Messages about meetings that wait. While there is no place, nothing more is read from whoever sends one: a flood waits behind
/// itself.
const SAID_WAITING_MAX: usize = 64;

/// Whether a message is about how two members meet: that is decided where the connections are.
pub(super) fn is_about_meetings(message: &Message) -> bool {
    matches!(
        message,
        Message::SeenAt(_)
            | Message::Meet(_)
            | Message::MeetReply(_)
            | Message::Introduced(_)
            | Message::IntroducedReply(_)
            | Message::SessionEnded(_)
            | Message::KnockAgain(_)
    )
}

/// The sessions' end.
pub(super) struct LinkNews {
    said: mpsc::Sender<(NodeId, Message)>,
    /// One for each session that begins.
    opened: mpsc::UnboundedSender<NodeId>,
    /// Until somebody listens.
    listener: Mutex<Option<LinkNewsListener>>,
}

/// The owner's end.
pub(in crate::net) struct LinkNewsListener {
    /// What was said about meetings.
    pub said: mpsc::Receiver<(NodeId, Message)>,
    /// To whom something can be said from now on.
    pub opened: mpsc::UnboundedReceiver<NodeId>,
}

impl Default for LinkNews {
    fn default() -> Self {
        let ((said, heard), (opened, open)) = (mpsc::channel(SAID_WAITING_MAX), mpsc::unbounded_channel());
        let listener = Mutex::new(Some(LinkNewsListener { said: heard, opened: open }));
        Self { said, opened, listener }
    }
}

impl LinkNews {
    /// To be taken once.
    pub fn take_listener(&self) -> Option<LinkNewsListener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub fn opened(&self, node: NodeId) {
        let _ = self.opened.send(node);
    }

    /// Waits for a place.
    pub async fn said(&self, from: NodeId, message: Message) {
        let _ = self.said.send((from, message)).await;
    }
}
