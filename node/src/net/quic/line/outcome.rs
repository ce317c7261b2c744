//! What a run has shown.

use std::ops::Range;
use std::time::Duration;

use super::bottleneck::BottleneckRecord;

/// How often the received bytes are looked at, and the send windows set.
pub(super) const TICK: Duration = Duration::from_millis(100);

pub(super) struct LineOutcome {
    /// Of the line at first, in bits per second.
    pub rate: f64,
    /// For each flow the bytes received by each tick.
    pub received: Vec<Vec<u64>>,
    /// For each flow how long its small messages took, in milliseconds, with when they were due.
    pub round_trips: Vec<Vec<(f32, f32)>>,
    /// Of the way of the data.
    pub bottleneck: BottleneckRecord,
}

impl LineOutcome {
    /// Bits per second that a flow received between two times, in seconds since the start.
    pub fn rate_of(&self, flow: usize, seconds: Range<f64>) -> f64 {
        let ticks_per_second = 1.0 / TICK.as_secs_f64();
        let at = |second: f64| match (second * ticks_per_second).round() as usize {
            0 => 0,
            tick => self.received[flow][tick.min(self.received[flow].len()) - 1],
        };
        (at(seconds.end) - at(seconds.start)) as f64 * 8.0 / (seconds.end - seconds.start)
    }

    /// What all flows received of what the line could have carried.
    pub fn share(&self, seconds: Range<f64>) -> f64 {
        (0..self.received.len()).map(|flow| self.rate_of(flow, seconds.clone())).sum::<f64>() / self.rate
    }

    /// How even the flows are: 1 if equal, 1 / n if one has all.
    pub fn jain_index(&self, seconds: Range<f64>) -> f64 {
        let rates: Vec<f64> = (0..self.received.len()).map(|flow| self.rate_of(flow, seconds.clone())).collect();
        let sum: f64 = rates.iter().sum();
        sum * sum / rates.len() as f64 / rates.iter().map(|rate| rate * rate).sum::<f64>()
    }

    /// The part of all packets that found the queue full.
    pub fn dropped(&self) -> f64 {
        self.bottleneck.dropped as f64 / self.bottleneck.offered as f64
    }

    /// Milliseconds in the queue, of packets that came in these seconds.
    pub fn queue(&self, seconds: Range<f64>) -> LineTimes {
        LineTimes::of(&self.bottleneck.waits, seconds)
    }

    /// Milliseconds that a small message beside a flow's bulk took there and back.
    pub fn messages(&self, flow: usize, seconds: Range<f64>) -> LineTimes {
        LineTimes::of(&self.round_trips[flow], seconds)
    }
}

/// Milliseconds, sorted.
pub(super) struct LineTimes(Vec<f32>);

impl LineTimes {
    fn of(samples: &[(f32, f32)], seconds: Range<f64>) -> Self {
        let within = |at: f32| seconds.contains(&(f64::from(at) / 1e3));
        let mut times: Vec<f32> = samples.iter().filter(|(at, _)| within(*at)).map(|(_, took)| *took).collect();
        times.sort_by(f32::total_cmp);
        assert!(!times.is_empty(), "nothing was seen in these seconds");
        Self(times)
    }

    pub fn mean(&self) -> f64 {
        self.0.iter().copied().map(f64::from).sum::<f64>() / self.0.len() as f64
    }

    /// 95 of 100 were as short.
    pub fn p95(&self) -> f64 {
        self.0[(self.0.len() - 1) * 95 / 100].into()
    }

    pub fn longest(&self) -> f64 {
        self.0[self.0.len() - 1].into()
    }
}
