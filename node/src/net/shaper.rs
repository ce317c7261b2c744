//! How much of one direction of the line may be used, and by whom: token buckets, without a clock of their own.
//!
//! Promise: what is granted stays within the rate, and what repair is granted within its own limit too, but for one burst. While
//! several classes want the line they share it by weight; what one of them leaves, the others use. Within a class it is first
//! come, first served, and each asks for a slice at a time, so that streams take turns.

use std::collections::VecDeque;

use fsdfs_core::seam::TrafficClass;

/// Shares of a line that all want: a user's bytes go before what is lent to others, and that before repair.
const WEIGHTS: [u64; CLASSES] = [8, 3, 1];
const CLASSES: usize = 3;
/// A bucket holds what its rate makes in this time: long enough for a timer that is late, short enough for no queue at the router.
const BURST_MS: u64 = 250;
/// A slice is what the line takes in a thirtieth of a second, so that many streams each have a turn within a second.
const SLICES_PER_S: u64 = 32;
/// Slices of repair, whose limit may be a small part of the line.
const REPAIR_SLICES_PER_S: u64 = 8;
/// Bytes of a slice at least: below, what is done for each costs more than it moves.
pub(super) const SLICE_BYTES_MIN: u64 = 4 << 10;
/// Bytes of a slice at most: as much as is written at once.
const SLICE_BYTES_MAX: u64 = 64 << 10;
/// Of what is moved the line carries a twentieth more: headers of IP, UDP and QUIC are some 65 of 1,452 bytes, and
/// acknowledgements and what was lost come on top.
const OVERHEAD_DIVISOR: u64 = 20;
const NANOS_PER_S: u128 = 1_000_000_000;

/// What one asks for; numbers are never used twice.
pub(super) type Ticket = u64;

/// What happens to a [`Shaper`].
#[derive(Clone, Copy, Debug)]
pub(super) enum ShaperInput {
    /// Bytes per second from now on: of all, and of repair. None: no limit.
    Limits { whole: Option<u64>, repair: Option<u64> },
    /// Somebody wants to move a slice, of at most [`Shaper::slice`] bytes, and waits for its grant.
    Ask { ticket: Ticket, class: TrafficClass, bytes: u64 },
    /// It waits no longer.
    Forget(Ticket),
    /// These bytes moved without asking: messages never wait, but the line carries them.
    Moved(u64),
    /// The time of [`Shaper::deadline`] has come.
    Timeout,
}

/// See the module. Times are nanoseconds on the monotonic clock.
#[derive(Default)]
pub(super) struct Shaper {
    whole: TokenBucket,
    repair: TokenBucket,
    queues: [ClassQueue; CLASSES],
    /// Virtual time of the class that was served last: one that was idle begins there, and has saved up nothing.
    served: u64,
}

/// Those of one class that wait.
#[derive(Default)]
struct ClassQueue {
    waiting: VecDeque<WaitingSlice>,
    /// What the class was granted, divided by its weight.
    virtual_time: u64,
}

struct WaitingSlice {
    ticket: Ticket,
    /// What it takes out of the buckets.
    cost: u64,
}

impl Shaper {
    /// One thing that happened; the tickets that are granted by it, in order, are appended.
    pub fn handle(&mut self, now: u64, input: ShaperInput, granted: &mut Vec<Ticket>) {
        self.whole.refill(now);
        self.repair.refill(now);
        match input {
            ShaperInput::Limits { whole, repair } => {
                self.whole.limit(now, whole);
                self.repair.limit(now, repair);
            }
            ShaperInput::Ask { ticket, class, bytes } => self.wait(class, WaitingSlice { ticket, cost: cost(bytes) }),
            ShaperInput::Forget(ticket) => {
                self.queues.iter_mut().for_each(|queue| queue.waiting.retain(|slice| slice.ticket != ticket));
            }
            ShaperInput::Moved(bytes) => self.whole.take(cost(bytes)),
            ShaperInput::Timeout => {}
        }
        self.serve(granted);
    }

    /// When somebody who waits can be granted next, if nothing else happens; none if nobody can by time alone.
    pub fn deadline(&self) -> Option<u64> {
        let next = self.next_class().and_then(|class| self.front(class)).map(|cost| self.whole.ready_at(cost));
        let repair = self.front(number(TrafficClass::Repair)).filter(|cost| !self.repair.has(*cost));
        next.into_iter().chain(repair.map(|cost| self.repair.ready_at(cost))).min()
    }

    /// Bytes that may be asked for at once.
    pub fn slice(&self, class: TrafficClass) -> u64 {
        let of_repair = self.repair.rate.filter(|_| class == TrafficClass::Repair);
        let slices =
            [self.whole.rate.map(|rate| rate / SLICES_PER_S), of_repair.map(|rate| rate / REPAIR_SLICES_PER_S)];
        slices.into_iter().flatten().min().unwrap_or(SLICE_BYTES_MAX).clamp(SLICE_BYTES_MIN, SLICE_BYTES_MAX)
    }

    fn wait(&mut self, class: TrafficClass, slice: WaitingSlice) {
        let queue = &mut self.queues[number(class)];
        if queue.waiting.is_empty() {
            queue.virtual_time = queue.virtual_time.max(self.served);
        }
        queue.waiting.push_back(slice);
    }

    fn serve(&mut self, granted: &mut Vec<Ticket>) {
        while let Some(class) = self.next_class() {
            let is_ready = self.front(class).is_some_and(|cost| self.whole.has(cost));
            let queue = &mut self.queues[class];
            let Some(slice) = is_ready.then(|| queue.waiting.pop_front()).flatten() else { return };
            self.served = queue.virtual_time;
            queue.virtual_time += slice.cost / WEIGHTS[class];
            self.whole.take(slice.cost);
            if class == number(TrafficClass::Repair) {
                self.repair.take(slice.cost);
            }
            granted.push(slice.ticket);
        }
    }

    /// Of the classes with somebody who waits, the one that had least for its weight; repair only within its own limit.
    fn next_class(&self) -> Option<usize> {
        let within = |class: usize, cost: u64| class != number(TrafficClass::Repair) || self.repair.has(cost);
        let may = |class: &usize| self.front(*class).is_some_and(|cost| within(*class, cost));
        (0..CLASSES).filter(may).min_by_key(|class| self.queues[*class].virtual_time)
    }

    /// What the first of a class that waits takes out of the buckets.
    fn front(&self, class: usize) -> Option<u64> {
        self.queues[class].waiting.front().map(|slice| slice.cost)
    }
}

fn number(class: TrafficClass) -> usize {
    match class {
        TrafficClass::User => 0,
        TrafficClass::Lent => 1,
        TrafficClass::Repair => 2,
    }
}

fn cost(bytes: u64) -> u64 {
    bytes + bytes / OVERHEAD_DIVISOR
}

/// Fills up at a rate, up to a burst.
#[derive(Default)]
struct TokenBucket {
    /// Bytes per second; none: it is never empty.
    rate: Option<u64>,
    /// Bytes; below zero if more was taken than was there.
    level: i64,
    /// Up to when it was filled.
    at: u64,
}

impl TokenBucket {
    fn burst(rate: u64) -> i64 {
        let burst = (rate.saturating_mul(BURST_MS) / 1000).max(cost(SLICE_BYTES_MIN));
        i64::try_from(burst).unwrap_or(i64::MAX)
    }

    /// A bucket that had no limit begins full, another one keeps what it has.
    fn limit(&mut self, now: u64, rate: Option<u64>) {
        if self.rate == rate {
            return;
        }
        let full = rate.map_or(0, Self::burst);
        self.level = if self.rate.is_none() { full } else { self.level.min(full) };
        (self.rate, self.at) = (rate, now);
    }

    fn refill(&mut self, now: u64) {
        let Some(rate) = self.rate.filter(|rate| *rate > 0) else { return };
        let bytes = u128::from(now.saturating_sub(self.at)) * u128::from(rate) / NANOS_PER_S;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        // What is less than a byte is counted next time.
        self.at += nanos(bytes, rate).min(now.saturating_sub(self.at));
        self.level = self.level.saturating_add_unsigned(bytes).min(Self::burst(rate));
    }

    /// More than a burst need not be there, for it never is.
    fn has(&self, cost: u64) -> bool {
        self.missing(cost) == 0
    }

    /// Messages never wait, so they may take more than there is; a debt of more than a burst would stop blocks for longer than
    /// the engine waits for them.
    fn take(&mut self, cost: u64) {
        if let Some(rate) = self.rate {
            let debt_max = Self::burst(rate).saturating_add_unsigned(SLICE_BYTES_MAX);
            self.level = self.level.saturating_sub_unsigned(cost).max(-debt_max);
        }
    }

    fn missing(&self, cost: u64) -> u64 {
        let Some(rate) = self.rate else { return 0 };
        let wanted = i64::try_from(cost).unwrap_or(i64::MAX).min(Self::burst(rate));
        u64::try_from(wanted.saturating_sub(self.level)).unwrap_or(0)
    }

    fn ready_at(&self, cost: u64) -> u64 {
        match (self.rate, self.missing(cost)) {
            (Some(rate), missing @ 1..) => self.at.saturating_add(nanos(missing, rate)),
            _ => self.at,
        }
    }
}

/// How long so many bytes take.
fn nanos(bytes: u64, rate: u64) -> u64 {
    let nanos = (u128::from(bytes) * NANOS_PER_S).div_ceil(u128::from(rate.max(1)));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
