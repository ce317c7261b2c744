//! Between the connections and the daemon's loop: what peers said waits here for its turn.
//!
//! Promise: of each connection at most [`WAITING_MAX`] messages wait, nothing more is read from it meanwhile, and none waits
//! behind those of another peer (see [`FairQueue`]). Whose turn it is, is decided when the loop is ready for the next one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fsdfs_proto::ids::NodeId;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use super::fair_queue::{FairQueue, cost};
use crate::net::event::NetEvent;

/// Messages of one connection that wait at most: enough to keep the loop busy while its reader sleeps, and 32 MiB at worst.
const WAITING_MAX: usize = 32;
/// In microseconds of the loop, as [`cost`]: that bytes move.
const PROGRESS_COST: u32 = 10;
/// That a connection begins or ends: all that waits for the member is looked at. Whoever connects again and again pays for it.
const CONNECTION_COST: u32 = 1_000;

/// See the module.
pub(super) struct PeerInbox {
    queue: Mutex<FairQueue<(NetEvent, Option<OwnedSemaphorePermit>)>>,
    filled: Notify,
    /// To the loop. It should hold few, for what is in it has left the order of turns behind.
    events: mpsc::Sender<NetEvent>,
}

/// The right of one connection's messages to wait.
#[derive(Clone)]
pub(super) struct WaitingPlaces(Arc<Semaphore>);

impl Default for WaitingPlaces {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WAITING_MAX)))
    }
}

impl PeerInbox {
    pub fn new(events: mpsc::Sender<NetEvent>) -> Self {
        Self { queue: Mutex::default(), filled: Notify::new(), events }
    }

    /// A message; waits for a place.
    pub async fn push(&self, from: NodeId, event: NetEvent, places: &WaitingPlaces) {
        // Never closed.
        if let Ok(place) = Arc::clone(&places.0).acquire_owned().await {
            self.put(from, event, Some(place));
        }
    }

    /// The same, if there is a place; whether there was.
    pub fn try_push(&self, from: NodeId, event: NetEvent, places: &WaitingPlaces) -> bool {
        let place = Arc::clone(&places.0).try_acquire_owned();
        place.is_ok_and(|place| {
            self.put(from, event, Some(place));
            true
        })
    }

    /// What must not wait for a place, and comes seldom.
    pub fn push_now(&self, from: NodeId, event: NetEvent) {
        self.put(from, event, None);
    }

    /// Hands on what waits, one after the other, as the loop takes it. Ends with the loop.
    pub async fn forward(&self) {
        loop {
            self.filled.notified().await;
            loop {
                let Ok(room) = self.events.reserve().await else { return };
                // Chosen now, and handed over before anybody looks at the queue again: it would overtake what comes next.
                let mut queue = self.lock();
                let Some((event, _place)) = queue.pop() else { break };
                room.send(event);
            }
        }
    }

    fn put(&self, from: NodeId, event: NetEvent, place: Option<OwnedSemaphorePermit>) {
        let mut queue = self.lock();
        let event = if queue.is_empty() {
            // Usually the loop waits for something to do.
            match self.events.try_send(event) {
                Ok(()) | Err(TrySendError::Closed(_)) => return,
                Err(TrySendError::Full(event)) => event,
            }
        } else {
            event
        };
        let cost = match &event {
            NetEvent::Message { message, .. } => cost(message),
            NetEvent::Progress { .. } | NetEvent::Relayed { .. } => PROGRESS_COST,
            _ => CONNECTION_COST,
        };
        queue.push(from, (event, place), cost);
        drop(queue);
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, FairQueue<(NetEvent, Option<OwnedSemaphorePermit>)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use fsdfs_core::seam::BlockPayload;
    use fsdfs_proto::message::Message;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    const FLOODER: NodeId = NodeId([1; 32]);
    const FRIEND: NodeId = NodeId([2; 32]);

    fn ping(from: NodeId, number: u64) -> NetEvent {
        NetEvent::Message { from, message: Message::Ping(number), payload: BlockPayload::None }
    }

    /// A loop that has room for this many, and somebody who hands on to it.
    fn inbox(room: usize) -> (Arc<PeerInbox>, mpsc::Receiver<NetEvent>, AbortOnDropHandle<()>) {
        let (events, taken) = mpsc::channel(room);
        let inbox = Arc::new(PeerInbox::new(events));
        let forwarding = Arc::clone(&inbox);
        let task = tokio::spawn(async move { forwarding.forward().await });
        (inbox, taken, AbortOnDropHandle::new(task))
    }

    fn said(event: Option<NetEvent>) -> (NodeId, u64) {
        match event {
            Some(NetEvent::Message { from, message: Message::Ping(number), .. }) => (from, number),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_friend_is_heard_at_once_in_the_middle_of_a_flood() {
        let (inbox, mut taken, _task) = inbox(1);
        let (flooding, places) = (Arc::clone(&inbox), WaitingPlaces::default());
        let _flood = AbortOnDropHandle::new(tokio::spawn(async move {
            for number in 0.. {
                flooding.push(FLOODER, ping(FLOODER, number), &places).await;
            }
        }));
        for _ in 0..500 {
            assert_eq!(said(taken.recv().await).0, FLOODER);
        }
        let places = WaitingPlaces::default();
        for number in 0..20 {
            inbox.push(FRIEND, ping(FRIEND, number), &places).await;
            let mut waited = 0;
            while said(taken.recv().await) != (FRIEND, number) {
                waited += 1;
            }
            assert!(waited <= 500 / 15 + 3, "{waited} messages of the flooder");
        }
    }

    #[tokio::test]
    async fn nothing_more_is_taken_from_a_connection_whose_places_are_full() {
        let (inbox, mut taken, _task) = inbox(1);
        let places = WaitingPlaces::default();
        let push = |number| {
            tokio::time::timeout(Duration::from_millis(50), inbox.push(FLOODER, ping(FLOODER, number), &places))
        };
        let mut pushed = 0;
        while push(pushed).await.is_ok() {
            pushed += 1;
        }
        assert!((WAITING_MAX as u64..=WAITING_MAX as u64 + 2).contains(&pushed), "{pushed} wait");
        assert!(!inbox.try_push(FLOODER, ping(FLOODER, 1_000), &places));
        inbox.push_now(FLOODER, NetEvent::Down { node: FLOODER });
        for number in 0..pushed {
            assert_eq!(said(taken.recv().await), (FLOODER, number), "in order, none is lost");
        }
        assert!(matches!(taken.recv().await, Some(NetEvent::Down { .. })), "behind what was said before");
        assert!(inbox.try_push(FLOODER, ping(FLOODER, 1_000), &places), "there is room again");
    }

    #[tokio::test]
    async fn a_loop_that_ended_stops_nobody() {
        let (inbox, taken, task) = inbox(1);
        drop(taken);
        let places = WaitingPlaces::default();
        for number in 0..1_000 {
            inbox.push(FRIEND, ping(FRIEND, number), &places).await;
        }
        drop(task);
    }
}
