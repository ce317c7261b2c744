//! The events of a line, in the order of their times.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::control::DrainClock;
use super::bottleneck::Bottleneck;
use super::flow::BulkFlow;
use super::outcome::{LineOutcome, TICK};
use super::spec::{FlowSpec, LineChange, LineSpec};

impl LineSpec {
    /// Runs the line with all flows on it. The same seed is the same run.
    pub(super) fn run(&self, flows: &[FlowSpec], length: Duration, seed: u64) -> LineOutcome {
        let mut world = LineWorld::new(self, flows, seed);
        world.run(length);
        world.outcome()
    }
}

struct LineWorld {
    start: Instant,
    now: Instant,
    rate: f64,
    changes: Vec<(Duration, LineChange)>,
    specs: Vec<FlowSpec>,
    seed: u64,
    since_epoch: Duration,
    clock: Arc<DrainClock>,
    flows: Vec<BulkFlow>,
    /// The way of the data, and that of the acknowledgements.
    forth: Bottleneck,
    back: Bottleneck,
    next_tick: Instant,
    /// For each flow the bytes received by each tick.
    received: Vec<Vec<u64>>,
    out: Vec<bytes::BytesMut>,
}

impl LineWorld {
    fn new(line: &LineSpec, flows: &[FlowSpec], seed: u64) -> Self {
        // Of the clock only distances are used.
        let start = Instant::now();
        let mut chance = fastrand::Rng::with_seed(seed);
        // At whichever moment between two drains the run begins.
        let since_epoch = Duration::from_secs(5).mul_f64(chance.f64());
        let mut specs = flows.to_vec();
        specs.sort_by_key(|spec| spec.start);
        Self {
            start,
            now: start,
            rate: line.rate,
            changes: line.changes.clone(),
            received: vec![Vec::new(); specs.len()],
            specs,
            seed,
            clock: Arc::new(DrainClock::new(start, since_epoch)),
            since_epoch,
            flows: Vec::new(),
            forth: Bottleneck::new(line, start, 2 * seed),
            back: Bottleneck::new(line, start, 2 * seed + 1),
            next_tick: start + TICK,
            out: Vec::new(),
        }
    }

    fn run(&mut self, length: Duration) {
        let end = self.start + length;
        while self.now < end {
            self.now = self.next_event().min(end);
            self.change_line();
            self.start_flows();
            self.deliver();
            self.wake();
            self.run_flows();
            self.tick();
        }
    }

    fn next_event(&self) -> Instant {
        let mut next = self.next_tick;
        let mut consider = |at: Option<Instant>| next = next.min(at.unwrap_or(next));
        consider(self.changes.first().map(|(at, _)| self.start + *at));
        consider(self.specs.get(self.flows.len()).map(|spec| self.start + spec.start));
        consider(self.forth.next_arrival());
        consider(self.back.next_arrival());
        for flow in &self.flows {
            consider(flow.sender.due.map(|due| self.timer(due)));
            consider(flow.receiver.due.map(|due| self.timer(due)));
        }
        next.max(self.now)
    }

    /// Tokio wakes nobody between two milliseconds.
    fn timer(&self, due: Instant) -> Instant {
        let since = due.max(self.now) - self.start;
        self.start + Duration::from_millis(since.as_nanos().div_ceil(1_000_000) as u64)
    }

    fn change_line(&mut self) {
        while self.changes.first().is_some_and(|(at, _)| self.start + *at <= self.now) {
            match self.changes.remove(0).1 {
                LineChange::Rate(rate) => self.forth.rate = rate,
                LineChange::Delay(delay) => self.forth.delay = delay,
                LineChange::Loss(share) => self.forth.loss = share,
            }
        }
    }

    fn start_flows(&mut self) {
        while let Some(spec) = self.specs.get(self.flows.len())
            && self.start + spec.start <= self.now
        {
            let seed = 100 * self.seed + self.flows.len() as u64;
            let own_clock = |ahead| Arc::new(DrainClock::new(self.start, self.since_epoch + ahead));
            let clock = spec.own_node.map_or_else(|| Arc::clone(&self.clock), own_clock);
            self.flows.push(BulkFlow::new(*spec, &clock, self.start, self.now, seed));
        }
    }

    fn deliver(&mut self) {
        while let Some((flow, datagram)) = self.forth.pop(self.now) {
            self.flows[flow].receiver.arrived(self.now, datagram);
        }
        while let Some((flow, datagram)) = self.back.pop(self.now) {
            self.flows[flow].sender.arrived(self.now, datagram);
        }
    }

    fn wake(&mut self) {
        for flow in &mut self.flows {
            flow.sender.wake(self.now);
            flow.receiver.wake(self.now);
        }
    }

    fn run_flows(&mut self) {
        for (at, flow) in self.flows.iter_mut().enumerate() {
            if flow.sender.woken {
                flow.run_sender(self.now, &mut self.out);
                self.out.drain(..).for_each(|datagram| self.forth.push(self.now, at, datagram));
            }
            if flow.receiver.woken {
                flow.run_receiver(self.now, &mut self.out);
                self.out.drain(..).for_each(|datagram| self.back.push(self.now, at, datagram));
            }
        }
    }

    fn tick(&mut self) {
        if self.now < self.next_tick {
            return;
        }
        for (at, series) in self.received.iter_mut().enumerate() {
            series.push(self.flows.get(at).map_or(0, |flow| flow.received));
        }
        self.flows.iter_mut().for_each(BulkFlow::set_send_window);
        self.next_tick += TICK;
    }

    fn outcome(self) -> LineOutcome {
        LineOutcome {
            rate: self.rate,
            received: self.received,
            round_trips: self.flows.into_iter().map(|flow| flow.round_trips).collect(),
            bottleneck: self.forth.record,
        }
    }
}
