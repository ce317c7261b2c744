//! How long this node has run while it was connected to another member.

use crate::limits::PRESENCE_MS;

/// Between two looks at most so much counts: a node that was frozen, or asleep, saw nobody and misses nobody.
const STEP_MS_MAX: u64 = 2 * PRESENCE_MS;

/// Milliseconds; goes on from start to start, and stands still while this node is cut off.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunningClock {
    total_ms: u64,
    /// Monotonic milliseconds of the last look, if it was connected then.
    since: Option<u64>,
}

impl RunningClock {
    /// As an earlier start left it.
    pub fn resume(total_ms: u64) -> Self {
        Self { total_ms, since: None }
    }

    /// A look at it. `connected`: from now on.
    pub fn look(&mut self, mono: u64, connected: bool) -> u64 {
        if let Some(since) = self.since {
            debug_assert!(since <= mono, "the monotonic clock does not run backwards");
            self.total_ms += mono.saturating_sub(since).min(STEP_MS_MAX);
        }
        self.since = connected.then_some(mono);
        self.total_ms
    }

    /// As of the last look.
    pub fn ms(&self) -> u64 {
        self.total_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_while_nobody_is_connected_and_while_the_node_is_frozen() {
        let mut clock = RunningClock::resume(1_000);
        assert_eq!(clock.look(50, false), 1_000);
        assert_eq!(clock.look(90, true), 1_000, "it was cut off until now");
        assert_eq!(clock.look(190, true), 1_100);
        assert_eq!(clock.look(200, false), 1_110);
        assert_eq!(clock.look(900, true), 1_110);
        let frozen = 900 + 100 * STEP_MS_MAX;
        assert_eq!(clock.look(frozen, true), 1_110 + STEP_MS_MAX);
    }
}
