//! Lets the bytes of blocks into the line, or out of it, when the shaper says so: it waits for those who ask.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fsdfs_core::seam::TrafficClass;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep_until;

use super::shaper::{Shaper, ShaperInput, Ticket};

/// One direction of the line.
pub(super) struct RateGate {
    started: Instant,
    state: Mutex<GateState>,
    /// Somebody waits, or waits no longer as long as before.
    changed: Notify,
}

#[derive(Default)]
struct GateState {
    shaper: Shaper,
    waiting: BTreeMap<Ticket, oneshot::Sender<()>>,
    last: Ticket,
    /// Empty between two calls; kept for its memory.
    granted: Vec<Ticket>,
}

/// Whose bytes pass a gate, and which one.
#[derive(Clone, Copy)]
pub(super) struct BlockPace<'a> {
    pub gate: &'a RateGate,
    pub class: TrafficClass,
}

impl BlockPace<'_> {
    /// Waits until some of these bytes may move. How many: all of them if they are few.
    pub async fn take(self, wanted: usize) -> usize {
        if wanted == 0 { 0 } else { self.gate.take(self.class, wanted).await }
    }
}

impl RateGate {
    /// Without limits.
    pub fn open() -> Self {
        Self { started: Instant::now(), state: Mutex::default(), changed: Notify::new() }
    }

    /// Bytes per second from now on; none: no limit.
    pub fn limit(&self, whole: Option<u64>, repair: Option<u64>) {
        self.input(&mut self.lock(), ShaperInput::Limits { whole, repair });
        self.changed.notify_one();
    }

    /// These bytes were moved without waiting.
    pub fn note_moved(&self, bytes: usize) {
        self.input(&mut self.lock(), ShaperInput::Moved(bytes as u64));
    }

    /// Wakes those whose turn has come, for ever.
    pub async fn run(&self) {
        loop {
            let deadline = self.lock().shaper.deadline();
            let due = async {
                match deadline {
                    Some(at) => sleep_until((self.started + Duration::from_nanos(at)).into()).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = due => self.input(&mut self.lock(), ShaperInput::Timeout),
                () = self.changed.notified() => {}
            }
        }
    }

    async fn take(&self, class: TrafficClass, wanted: usize) -> usize {
        let (bytes, waiting) = self.ask(class, wanted);
        if let Some(mut waiting) = waiting {
            // The sender is this gate's, and stays until it has sent.
            let _ = (&mut waiting.granted).await;
        }
        bytes
    }

    fn ask(&self, class: TrafficClass, wanted: usize) -> (usize, Option<PendingGrant<'_>>) {
        let mut state = self.lock();
        let bytes = usize::try_from(state.shaper.slice(class)).unwrap_or(wanted).min(wanted);
        state.last += 1;
        let ticket = state.last;
        let (grant, mut granted) = oneshot::channel();
        state.waiting.insert(ticket, grant);
        self.input(&mut state, ShaperInput::Ask { ticket, class, bytes: bytes as u64 });
        if granted.try_recv().is_ok() {
            return (bytes, None);
        }
        self.changed.notify_one();
        (bytes, Some(PendingGrant { gate: self, ticket, granted }))
    }

    fn input(&self, state: &mut GateState, input: ShaperInput) {
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        state.shaper.handle(now, input, &mut state.granted);
        for ticket in state.granted.drain(..) {
            if let Some(grant) = state.waiting.remove(&ticket) {
                // Whoever waited may have gone this moment: then a slice is not used.
                let _ = grant.send(());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits. Dropped, it waits no longer: its connection ended.
struct PendingGrant<'a> {
    gate: &'a RateGate,
    ticket: Ticket,
    granted: oneshot::Receiver<()>,
}

impl Drop for PendingGrant<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if state.waiting.remove(&self.ticket).is_some() {
            self.gate.input(&mut state, ShaperInput::Forget(self.ticket));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt as _;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    const USER: TrafficClass = TrafficClass::User;

    #[test]
    fn an_open_gate_lets_all_through_at_once() {
        let gate = RateGate::open();
        let taken = BlockPace { gate: &gate, class: TrafficClass::Repair }.take(50_000).now_or_never();
        assert_eq!(taken, Some(50_000));
        assert!(gate.lock().waiting.is_empty());
    }

    #[test]
    fn who_goes_away_takes_no_turn() {
        let gate = RateGate::open();
        gate.limit(Some(32_000), None);
        let pace = BlockPace { gate: &gate, class: USER };
        while pace.take(4_096).now_or_never().is_some() {}
        assert!(gate.lock().waiting.is_empty(), "it was dropped");
        assert_eq!(gate.lock().shaper.deadline(), None);
    }

    #[tokio::test]
    async fn who_waits_is_woken_in_time_or_when_the_limit_goes() {
        let gate = Arc::new(RateGate::open());
        let running = Arc::clone(&gate);
        let _run = AbortOnDropHandle::new(tokio::spawn(async move { running.run().await }));
        gate.limit(Some(1_000_000), None);
        let pace = BlockPace { gate: &gate, class: USER };
        let mut moved = 0;
        let begun = Instant::now();
        while moved < 400_000 {
            moved += pace.take(65_536).await;
        }
        // A burst of a quarter of a second, and the rest not sooner than the rate allows.
        assert!(begun.elapsed() >= Duration::from_millis(140), "{:?}", begun.elapsed());
        gate.limit(Some(32_000), None);
        while pace.take(4_096).now_or_never().is_some() {}
        let (waiting, ()) = tokio::join!(pace.take(4_096), async { gate.limit(None, None) });
        assert_eq!(waiting, 4_096);
    }
}
