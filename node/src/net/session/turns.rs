//! Blocks of one connection leave one after the other.
//!
//! Side by side each of three takes three times as long, and nothing is won: the first is durable, and sent on by whoever passes it
//! on, only when all are there. Other streams go on all the same where one stands still, because its reader has no memory for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

/// So long a block of which nothing moves keeps others back.
const STANDSTILL_MAX: Duration = Duration::from_secs(1);

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct BlockTurns(Semaphore);

impl Default for BlockTurns {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

impl BlockTurns {
    /// Writes a block when it is its turn. `moved` counts its bytes as they leave.
    pub async fn write<T>(&self, moved: &AtomicUsize, write: impl Future<Output = T>) -> T {
        let turn = self.0.acquire().await.expect("nothing closes it");
        let mut write = std::pin::pin!(write);
        let mut before = None;
        while before != Some(moved.load(Ordering::Relaxed)) {
            before = Some(moved.load(Ordering::Relaxed));
            tokio::select! {
                biased;
                done = &mut write => return done,
                () = sleep(STANDSTILL_MAX) => {}
            }
        }
        drop(turn);
        write.await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_block_waits_for_the_one_before() {
        let (turns, moved) = (BlockTurns::default(), AtomicUsize::new(0));
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let mut first = std::pin::pin!(turns.write(&moved, ended));
        let mut next = std::pin::pin!(turns.write(&moved, async {}));
        assert!((&mut first).now_or_never().is_none() && (&mut next).now_or_never().is_none());
        drop(end);
        assert!(first.now_or_never().is_some() && next.now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_that_stands_still_is_overtaken_and_one_that_moves_is_not() {
        let (turns, moved) = (BlockTurns::default(), AtomicUsize::new(0));
        let mut stuck = std::pin::pin!(turns.write(&moved, pending::<()>()));
        assert!((&mut stuck).now_or_never().is_none());
        // It moved, so it has as long again.
        moved.store(1, Ordering::Relaxed);
        let begun = tokio::time::Instant::now();
        tokio::select! {
            () = &mut stuck => unreachable!("it never ends"),
            () = turns.write(&moved, async {}) => assert!(begun.elapsed() >= STANDSTILL_MAX * 2),
        }
    }
}
