//! One direction of a line, computed: a queue that drains at a rate, a distance, and a loss.
//!
//! No clock and no device: each packet is offered at a time, and the answer is when it comes out at the other end, or how it
//! was lost. What happens to a packet depends on the packets before it and on the seed, never on when the answer is carried out,
//! so a machine that is late once does not slow the line down.

use std::time::Duration;

/// What a direction of a line does to packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LineSettings {
    /// Bits a second; without one the line is as fast as the machine.
    pub rate_bits: Option<u64>,
    /// How long a packet is under way once it has left the queue.
    pub delay: Duration,
    /// The share of packets that are lost on the way, 0 to 1.
    pub loss: f64,
    /// How many packets are lost in a row, on average; 1 is a loss of each by itself.
    pub burst: f64,
    /// A packet that would wait longer than this in the queue is dropped.
    pub queue: Duration,
}

impl LineSettings {
    /// So many bits a second, with a queue of 200 ms, as a usual router has.
    pub fn mbit(rate: f64) -> Self {
        Self { rate_bits: Some((rate * 1e6) as u64), queue: Duration::from_millis(200), ..Self::unlimited() }
    }

    /// A line that does nothing but carry.
    pub fn unlimited() -> Self {
        Self { rate_bits: None, delay: Duration::ZERO, loss: 0.0, burst: 1.0, queue: Duration::from_secs(1) }
    }

    /// With this time in one direction.
    pub fn delay_ms(self, delay_ms: u64) -> Self {
        Self { delay: Duration::from_millis(delay_ms), ..self }
    }

    /// With this share of lost packets.
    pub fn loss(self, loss: f64) -> Self {
        Self { loss, ..self }
    }

    /// With so much room for packets that wait.
    pub fn queue_ms(self, queue_ms: u64) -> Self {
        Self { queue: Duration::from_millis(queue_ms), ..self }
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketFate {
    /// It comes out at this time.
    Arrives(Duration),
    /// It did not fit into the queue.
    QueueFull,
    /// It was sent, and lost on the way.
    Lost,
}

/// The state of one direction. Times count from the moment at which the line was made.
#[derive(Debug)]
pub struct LineModel {
    settings: LineSettings,
    /// When the last bit of what is queued will have been sent.
    free_at: Duration,
    /// No packet overtakes another one, also when the distance shrinks.
    last_arrival: Duration,
    is_losing: bool,
    random: fastrand::Rng,
}

impl LineModel {
    /// An empty line. Which packets are lost follows from the seed.
    pub fn new(settings: LineSettings, seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { settings, free_at: Duration::ZERO, last_arrival: Duration::ZERO, is_losing: false, random }
    }

    /// What is queued stays as it was accepted; packets from now on see the new line.
    pub fn change(&mut self, settings: LineSettings) {
        self.settings = settings;
    }

    /// What becomes of a packet of so many bytes that is sent now.
    pub fn offer(&mut self, now: Duration, bytes: usize) -> PacketFate {
        if self.backlog(now) > self.settings.queue {
            return PacketFate::QueueFull;
        }
        self.free_at = self.free_at.max(now) + self.sending_time(bytes);
        // Behind the queue: what is lost on the air has cost its time all the same.
        if self.loses() {
            return PacketFate::Lost;
        }
        self.last_arrival = self.last_arrival.max(self.free_at + self.settings.delay);
        PacketFate::Arrives(self.last_arrival)
    }

    /// How long a packet that is sent now waits before its first bit leaves.
    pub fn backlog(&self, now: Duration) -> Duration {
        self.free_at.saturating_sub(now)
    }

    /// How long a packet is under way once it has left the queue.
    pub fn delay(&self) -> Duration {
        self.settings.delay
    }

    fn sending_time(&self, bytes: usize) -> Duration {
        let nanos = |rate: u64| (bytes as u64).saturating_mul(8_000_000_000) / rate.max(1);
        Duration::from_nanos(self.settings.rate_bits.map_or(0, nanos))
    }

    /// Two states, as Gilbert had them: the line loses everything for a while, and then nothing.
    fn loses(&mut self) -> bool {
        let (loss, burst) = (self.settings.loss, self.settings.burst.max(1.0));
        if loss <= 0.0 {
            return false;
        }
        // Leaving at 1/burst and entering so that the share of lost packets is `loss`. With bursts of one the two states are one.
        let (enter, leave) = if burst > 1.0 { (loss / burst / (1.0 - loss), 1.0 / burst) } else { (loss, 1.0 - loss) };
        let draw = self.random.f64();
        self.is_losing = if self.is_losing { draw >= leave } else { draw < enter };
        self.is_losing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1_250;

    /// Sends as fast as asked for so long, and tells what came of it.
    fn fates(settings: LineSettings, sent_bits: f64, lasts_s: f64) -> Vec<(Duration, PacketFate)> {
        let mut line = LineModel::new(settings, 7);
        let packets = (sent_bits * lasts_s / (PACKET as f64 * 8.0)) as usize;
        let at = |packet: usize| Duration::from_secs_f64(packet as f64 * lasts_s / packets as f64);
        (0..packets).map(|packet| (at(packet), line.offer(at(packet), PACKET))).collect()
    }

    fn share(fates: &[(Duration, PacketFate)], is: impl Fn(PacketFate) -> bool) -> f64 {
        fates.iter().filter(|(_, fate)| is(*fate)).count() as f64 / fates.len() as f64
    }

    #[test]
    fn one_packet_takes_its_sending_time_and_the_distance() {
        let mut line = LineModel::new(LineSettings::mbit(10.0).delay_ms(15), 1);
        let now = Duration::from_secs(5);
        assert_eq!(line.offer(now, PACKET), PacketFate::Arrives(now + Duration::from_millis(1 + 15)));
        assert_eq!(line.offer(now, PACKET), PacketFate::Arrives(now + Duration::from_millis(2 + 15)));
        assert_eq!(line.backlog(now), Duration::from_millis(2));
        assert_eq!(line.backlog(now + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn twice_the_rate_fills_the_queue_and_half_is_dropped() {
        let fates = fates(LineSettings::mbit(10.0).queue_ms(100), 20e6, 20.0);
        let dropped = share(&fates, |fate| fate == PacketFate::QueueFull);
        assert!((0.48..0.51).contains(&dropped), "{dropped} were dropped");
        let waits = fates.iter().filter_map(|(at, fate)| match fate {
            PacketFate::Arrives(then) => Some(*then - *at),
            _ => None,
        });
        let longest = waits.max().expect("some arrive");
        assert!(longest <= Duration::from_millis(102), "one waited {longest:?}");
    }

    #[test]
    fn below_the_rate_nothing_waits() {
        let settings = LineSettings::mbit(10.0).delay_ms(3);
        for (at, fate) in fates(settings, 9e6, 5.0) {
            assert_eq!(fate, PacketFate::Arrives(at + Duration::from_millis(4)));
        }
    }

    #[test]
    fn the_share_that_is_lost_is_the_one_asked_for_alone_and_in_bursts() {
        for (burst, runs_min, runs_max) in [(1.0, 1.0, 1.1), (5.0, 4.0, 6.0)] {
            let settings = LineSettings { burst, ..LineSettings::unlimited().loss(0.01) };
            let fates = fates(settings, 100e6, 60.0);
            let lost = share(&fates, |fate| fate == PacketFate::Lost);
            assert!((0.007..0.013).contains(&lost), "{lost} were lost in bursts of {burst}");
            let begun = fates.windows(2).filter(|pair| pair[0].1 != PacketFate::Lost && pair[1].1 == PacketFate::Lost);
            let run = lost * fates.len() as f64 / begun.count() as f64;
            assert!((runs_min..runs_max).contains(&run), "runs of {run} for {burst}");
        }
    }

    #[test]
    fn lost_packets_cost_their_time() {
        let mut line = LineModel::new(LineSettings::mbit(10.0).loss(1.0), 1);
        assert_eq!(line.offer(Duration::ZERO, PACKET), PacketFate::Lost);
        assert_eq!(line.backlog(Duration::ZERO), Duration::from_millis(1));
    }

    #[test]
    fn a_line_that_changes_keeps_the_order() {
        let mut line = LineModel::new(LineSettings::mbit(10.0).delay_ms(100), 1);
        let PacketFate::Arrives(first) = line.offer(Duration::ZERO, PACKET) else { panic!("nothing is lost here") };
        line.change(LineSettings::mbit(100.0).delay_ms(1));
        assert_eq!(line.offer(Duration::ZERO, PACKET), PacketFate::Arrives(first));
    }

    #[test]
    fn the_same_seed_loses_the_same_packets() {
        let settings = LineSettings::mbit(10.0).loss(0.3);
        assert_eq!(fates(settings, 5e6, 1.0), fates(settings, 5e6, 1.0));
    }
}
