use std::sync::Arc;
use std::time::{Duration, Instant};

use super::delivery::{AckAggregation, DeliveryRate};
use super::distance::Distance;
use super::loss::{LossRounds, RoundEnd};
use super::phase::{ControlPhase, next_phase};
use super::windowed_max::WindowedMax;
use super::{Controller, DrainClock, PathController, send_window};

const MTU: u64 = 1_200;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn controller(now: Instant) -> PathController {
    PathController::new(Arc::new(DrainClock::new(now, Duration::ZERO)), now, MTU)
}

#[test]
fn a_maximum_is_forgotten_after_its_rounds() {
    let mut window = WindowedMax::new(10);
    window.insert(0, 5);
    window.insert(0, 7);
    window.insert(3, 6);
    window.insert(10, 1);
    assert_eq!(window.max(), Some(7));
    window.insert(11, 1);
    assert_eq!(window.max(), Some(6));
    window.insert(100, 2);
    assert_eq!(window.max(), Some(2));
}

#[test]
fn the_last_sample_stays_until_there_is_another() {
    let mut window = WindowedMax::new(10);
    window.insert(0, 5.0);
    window.scale(0.5);
    assert_eq!(window.max(), Some(2.5));
    window.insert(50, 1.0);
    assert_eq!(window.max(), Some(1.0));
}

/// Ten packets are sent at once; they come back one each millisecond, from 40 ms on.
#[test]
fn a_burst_is_as_fast_as_its_acknowledgements() {
    let start = Instant::now();
    let mut delivery = DeliveryRate::new(start);
    delivery.on_sent(start);
    let samples: Vec<_> = (0..10)
        .map(|at| delivery.on_ack(start + ms(40 + at), start, MTU, ms(40)))
        .map(|sample| (sample.rate.map(|rate| rate as u64), sample.ends_round))
        .collect();
    assert_eq!(samples[0], (Some(MTU * 25), true));
    assert_eq!(samples[9], (Some(10 * MTU * 1_000 / 49), false));
    assert_eq!(delivery.round(), 1);
}

#[test]
fn a_sample_shorter_than_the_distance_tells_nothing() {
    let start = Instant::now();
    let mut delivery = DeliveryRate::new(start);
    delivery.on_sent(start);
    assert_eq!(delivery.on_ack(start + ms(10), start, MTU, ms(40)).rate, None);
}

#[test]
fn who_has_little_to_send_is_known_until_that_is_delivered() {
    let start = Instant::now();
    let mut delivery = DeliveryRate::new(start);
    delivery.on_sent(start);
    assert!(!delivery.on_ack(start + ms(40), start, MTU, ms(40)).limited);
    assert!(!delivery.end_round());
    delivery.on_in_flight(0, true);
    delivery.on_sent(start + ms(50));
    assert!(delivery.on_ack(start + ms(90), start + ms(50), MTU, ms(40)).limited);
    assert!(delivery.end_round());
    delivery.on_in_flight(MTU, false);
    delivery.on_sent(start + ms(91));
    assert!(!delivery.on_ack(start + ms(131), start + ms(91), MTU, ms(40)).limited);
}

#[test]
fn a_pause_is_counted_while_nothing_is_under_way() {
    let start = Instant::now();
    let mut delivery = DeliveryRate::new(start);
    delivery.on_sent(start);
    assert_eq!(delivery.pause(start + ms(10)), None);
    delivery.on_ack(start + ms(40), start, MTU, ms(40));
    delivery.on_in_flight(0, true);
    assert_eq!(delivery.pause(start + ms(100)), Some(ms(60)));
}

#[test]
fn a_heap_of_acknowledgements_is_what_ran_ahead_of_the_rate() {
    let start = Instant::now();
    let mut aggregation = AckAggregation::new(start, 10);
    let rate = 100_000.0;
    for _ in 0..10 {
        aggregation.on_ack(start + ms(10), 1_000, rate, 1);
    }
    // 1,000 bytes were to be expected in 10 ms, and the first 1,000 began the heap anew.
    assert_eq!(aggregation.extra(1e9), 10_000.0);
    assert_eq!(aggregation.extra(4_000.0), 4_000.0);
}

#[test]
fn connections_of_a_node_drain_at_the_same_moments() {
    let start = Instant::now();
    let clock = DrainClock::new(start, Duration::ZERO);
    let mut one = Distance::new(&clock, start);
    let mut other = Distance::new(&clock, start + ms(1_700));
    for distance in [&mut one, &mut other] {
        distance.on_ack(&clock, start + ms(2_000), ms(30), true);
        distance.on_ack(&clock, start + ms(4_999), ms(60), true);
        assert!(!distance.is_draining());
        distance.on_ack(&clock, start + ms(5_001), ms(60), true);
        assert!(distance.is_draining());
    }
}

#[test]
fn nodes_drain_by_the_time_of_day() {
    let start = Instant::now();
    let clock = DrainClock::new(start, ms(1_700_000_003_000));
    let mut distance = Distance::new(&clock, start);
    distance.on_ack(&clock, start, ms(30), true);
    distance.on_ack(&clock, start + ms(1_999), ms(60), true);
    assert!(!distance.is_draining());
    distance.on_ack(&clock, start + ms(2_000), ms(60), true);
    assert!(distance.is_draining());
}

#[test]
fn who_sees_no_queue_or_has_little_to_send_does_not_drain() {
    let start = Instant::now();
    let clock = DrainClock::new(start, Duration::ZERO);
    let mut distance = Distance::new(&clock, start);
    distance.on_ack(&clock, start, ms(30), true);
    distance.on_ack(&clock, start + ms(5_001), ms(31), true);
    assert!(!distance.is_draining());
    distance.on_ack(&clock, start + ms(10_001), ms(90), false);
    assert!(!distance.is_draining());
}

#[test]
fn a_drain_ends_when_the_queue_gets_no_shorter() {
    let start = Instant::now();
    let clock = DrainClock::new(start, Duration::ZERO);
    let mut distance = Distance::new(&clock, start);
    distance.on_ack(&clock, start, ms(30), true);
    let drain = start + ms(5_000);
    for (at, rtt) in [(0, 80), (79, 80), (90, 70), (100, 60), (110, 50), (130, 50), (159, 50)] {
        distance.on_ack(&clock, drain + ms(at), ms(rtt), true);
        assert!(distance.is_draining(), "{at} ms");
    }
    distance.on_ack(&clock, drain + ms(160), ms(50), true);
    assert!(!distance.is_draining());
    // It was no queue: the way is longer.
    assert_eq!(distance.shortest(), Some(ms(50)));
}

#[test]
fn a_moment_that_is_wished_for_is_one_for_all_once_a_second() {
    let start = Instant::now();
    let clock = DrainClock::new(start, Duration::ZERO);
    let mut other = Distance::new(&clock, start);
    other.on_ack(&clock, start, ms(30), true);
    clock.wish(start + ms(1_500));
    clock.wish(start + ms(1_600));
    other.on_ack(&clock, start + ms(1_601), ms(60), true);
    assert!(other.is_draining());
    other.on_ack(&clock, start + ms(1_900), ms(30), true);
    assert!(!other.is_draining());
    clock.wish(start + ms(2_000));
    other.on_ack(&clock, start + ms(2_001), ms(60), true);
    assert!(!other.is_draining());
}

/// A round of 100 packets, of which some are lost, on a line of 40 ms and 100 packets.
fn round(loss: &mut LossRounds, lost: u64, rtt: Duration) -> bool {
    loss.on_ack((100 - lost) * MTU, rtt);
    loss.on_in_flight(120 * MTU);
    loss.on_loss(lost * MTU);
    let line_bytes = (100 * MTU) as f64;
    loss.end_round(&RoundEnd {
        shortest: Some(ms(40)),
        line_bytes,
        uncapped: 1.25 * line_bytes,
        mtu: MTU,
        learns: true,
    })
}

#[test]
fn what_is_lost_without_a_queue_is_not_congestion() {
    let mut loss = LossRounds::default();
    for _ in 0..20 {
        assert!(!round(&mut loss, 4, ms(40)));
    }
    // The line does so. Now there is a queue, too.
    assert!(!round(&mut loss, 4, ms(60)));
    assert_eq!(loss.cap(), None);
}

#[test]
fn what_is_lost_with_a_queue_caps_the_window_for_a_while() {
    let mut loss = LossRounds::default();
    assert!(round(&mut loss, 4, ms(60)));
    assert_eq!(loss.cap(), Some(0.85 * (120 * MTU) as f64));
    assert!(round(&mut loss, 4, ms(60)));
    let lowest = loss.cap().expect("capped");
    assert!(lowest < 0.75 * (120 * MTU) as f64);
    assert!(!round(&mut loss, 0, ms(60)));
    assert!(loss.cap().expect("still capped") > lowest);
    for _ in 0..300 {
        round(&mut loss, 0, ms(60));
    }
    assert_eq!(loss.cap(), None);
}

#[test]
fn heavy_loss_for_rounds_is_a_queue_that_never_was_short() {
    let mut loss = LossRounds::default();
    for _ in 0..2 {
        for _ in 0..3 {
            assert!(!round(&mut loss, 20, ms(40)));
        }
        assert!(round(&mut loss, 20, ms(40)));
    }
    assert!(!round(&mut loss, 1, ms(40)));
}

#[test]
fn a_mark_is_as_good_as_a_loss() {
    let mut loss = LossRounds::default();
    loss.on_mark();
    assert!(round(&mut loss, 0, ms(40)));
    assert!(!round(&mut loss, 0, ms(40)));
}

#[test]
fn the_start_ends_when_three_rounds_bring_no_more() {
    let mut phase = ControlPhase::Startup { best: 0.0, flat_rounds: 0 };
    for rate in [10.0, 20.0, 40.0, 41.0, 42.0] {
        phase = next_phase(phase, rate, false, false);
        assert!(matches!(phase, ControlPhase::Startup { .. }), "{rate}");
    }
    assert_eq!(next_phase(phase, 43.0, false, false), ControlPhase::Yield { before: 43.0 });
    assert_eq!(next_phase(phase, 43.0, false, true), phase, "too little to send tells nothing");
    let early = ControlPhase::Startup { best: 0.0, flat_rounds: 0 };
    assert_eq!(next_phase(early, 10.0, true, false), ControlPhase::Yield { before: 10.0 });
}

#[test]
fn what_a_probe_finds_is_followed_at_once() {
    let probe = ControlPhase::Probe { before: 10.0 };
    let given_back = next_phase(probe, 10.0, false, false);
    assert_eq!(next_phase(given_back, 12.0, false, false), ControlPhase::Probe { before: 12.0 });
    let mut phase = next_phase(given_back, 10.5, false, false);
    for _ in 0..6 {
        assert!(matches!(phase, ControlPhase::Cruise(_)));
        phase = next_phase(phase, 10.5, false, false);
    }
    assert_eq!(phase, ControlPhase::Probe { before: 10.5 });
}

#[test]
fn after_a_pause_half_a_window_is_enough() {
    let start = Instant::now();
    let mut path = controller(start);
    path.window = 200 * MTU;
    path.delivery.on_in_flight(0, true);
    path.on_sent(start + ms(900), MTU, 0);
    assert_eq!(path.window(), 200 * MTU);
    path.delivery.on_in_flight(0, true);
    path.on_sent(start + ms(2_500), MTU, 1);
    assert_eq!(path.window(), 100 * MTU);
    path.delivery.on_in_flight(0, true);
    path.window = 40 * MTU;
    path.on_sent(start + ms(5_000), MTU, 2);
    assert_eq!(path.window(), 32 * MTU);
}

#[test]
fn a_line_on_which_nothing_arrives_is_begun_again() {
    let start = Instant::now();
    let mut path = controller(start);
    path.bandwidth.insert(0, 1e6);
    path.phase = ControlPhase::Cruise(3);
    path.on_congestion_event(start + ms(900), start, true, 50 * MTU);
    assert_eq!((path.window(), path.is_starting(), path.rate()), (8 * MTU, true, 0.0));
}

#[test]
fn a_send_window_is_four_windows_within_bounds() {
    assert_eq!(send_window(0), 512 << 10);
    assert_eq!(send_window(1 << 20), 4 << 20);
    assert_eq!(send_window(1 << 30), 16 << 20);
}
