//! How long the connection before is waited for while it runs dry.

use std::time::{Duration, Instant};

/// So long without a packet, and nothing more will come: the path is dead, or the peer is. Lost packets are sent again sooner.
const SILENCE_MAX: Duration = Duration::from_millis(1_500);
/// What is said on the new connection waits for the messages of the old one at most so long.
const MESSAGES_MAX: Duration = Duration::from_secs(10);
/// Blocks that were begun keep nobody waiting: three of them leave over a line of 0.5 Mbit/s in this time.
const BLOCKS_MAX: Duration = Duration::from_secs(60);

/// Judges a connection that runs dry; to be asked some times a second.
#[derive(Debug)]
pub(super) struct DrainWatch {
    began: Instant,
    /// Packets that had come when it was looked at last, and when their number had changed.
    heard: (Option<u64>, Instant),
}

impl DrainWatch {
    pub fn new(now: Instant) -> Self {
        Self { began: now, heard: (None, now) }
    }

    /// Whether it is given up. `packets`: that came over it so far, if that is known. `said`: the messages of both sides are
    /// through.
    pub fn gives_up(&mut self, now: Instant, packets: Option<u64>, said: bool) -> bool {
        if packets.is_none() || packets != self.heard.0 {
            self.heard = (packets, now);
        }
        let (silence, age) = (now.duration_since(self.heard.1), now.duration_since(self.began));
        silence >= SILENCE_MAX || age >= if said { BLOCKS_MAX } else { MESSAGES_MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    /// After how many ticks it is given up.
    fn ticks(said_at: u32, packets: impl Fn(u32) -> Option<u64>) -> u32 {
        let began = Instant::now();
        let mut watch = DrainWatch::new(began);
        let is_over = |tick: &u32| watch.gives_up(began + TICK * *tick, packets(*tick), *tick >= said_at);
        (1..10_000).find(is_over).expect("there is an end of it")
    }

    #[test]
    fn a_path_that_carries_nothing_is_given_up_after_its_silence() {
        assert_eq!(ticks(u32::MAX, |_| Some(7)), 1 + 15);
        assert_eq!(ticks(u32::MAX, |tick| Some(tick.min(30).into())), 30 + 15);
    }

    #[test]
    fn messages_have_ten_seconds_and_blocks_a_minute() {
        assert_eq!(ticks(u32::MAX, |tick| Some(tick.into())), 100);
        assert_eq!(ticks(50, |tick| Some(tick.into())), 600);
        assert_eq!(ticks(50, |tick| Some((tick / 14).into())), 600, "one packet in 1.4 s is enough");
        assert_eq!(ticks(u32::MAX, |_| None), 100, "of a transport that does not say");
    }
}
