//! In virtual time.

use super::*;

const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;

/// Streams that always want more, of each class so many, on one line.
struct Line {
    shaper: Shaper,
    now: u64,
    /// Class and size of what waits, by ticket.
    asked: Vec<(TrafficClass, u64)>,
    moved: [u64; CLASSES],
}

impl Line {
    fn new(whole: Option<u64>, repair: Option<u64>) -> Self {
        let mut line = Self { shaper: Shaper::default(), now: 0, asked: Vec::new(), moved: [0; CLASSES] };
        line.input(ShaperInput::Limits { whole, repair });
        line
    }

    fn add(&mut self, class: TrafficClass, streams: usize) {
        (0..streams).for_each(|_| self.ask(class));
    }

    fn ask(&mut self, class: TrafficClass) {
        let (ticket, bytes) = (self.asked.len() as u64, self.shaper.slice(class));
        self.asked.push((class, bytes));
        self.input(ShaperInput::Ask { ticket, class, bytes });
    }

    /// Whoever is granted a slice asks for the next one.
    fn input(&mut self, input: ShaperInput) {
        let mut granted = Vec::new();
        self.shaper.handle(self.now, input, &mut granted);
        for ticket in granted {
            let (class, bytes) = self.asked[usize::try_from(ticket).expect("few")];
            self.moved[number(class)] += bytes;
            self.ask(class);
        }
    }

    /// Bytes that each class moves in this time.
    fn run(&mut self, time: u64) -> [u64; CLASSES] {
        let (end, before) = (self.now + time, self.moved);
        while let Some(at) = self.shaper.deadline().filter(|at| *at <= end) {
            assert!(at > self.now, "who is ready was granted");
            self.now = at;
            self.input(ShaperInput::Timeout);
        }
        self.now = end;
        std::array::from_fn(|class| self.moved[class] - before[class])
    }
}

/// What the line carries for these bytes, within three in a hundred of a rate.
#[track_caller]
fn check_rate(bytes: u64, time: u64, rate: u64) {
    let carried = cost(bytes) as f64 * SECOND as f64 / time as f64;
    let off = (carried / rate as f64 - 1.0).abs();
    assert!(off <= 0.03, "{carried} bytes a second instead of {rate}");
}

#[test]
fn a_rate_holds_whatever_it_is_and_however_many_streams_want_it() {
    for rate in [32_000, 125_000, 625_000, 2_000_000, 125_000_000] {
        for streams in [1, 3, 30] {
            let mut line = Line::new(Some(rate), None);
            line.add(TrafficClass::User, streams);
            line.run(SECOND);
            let moved = line.run(20 * SECOND);
            check_rate(moved[0], 20 * SECOND, rate);
        }
    }
}

#[test]
fn from_the_start_no_more_moves_than_the_rate_and_a_burst() {
    let mut line = Line::new(Some(1_000_000), None);
    line.add(TrafficClass::User, 3);
    let moved = line.run(SECOND)[0] + line.moved[0];
    assert!(cost(moved) <= 2 * 1_250_000, "{moved}");
}

#[test]
fn who_competes_shares_by_weight_and_who_is_alone_has_all() {
    let rate = 2_400_000;
    let mut line = Line::new(Some(rate), None);
    line.add(TrafficClass::Repair, 4);
    line.run(SECOND);
    check_rate(line.run(20 * SECOND)[2], 20 * SECOND, rate);
    line.add(TrafficClass::Lent, 2);
    line.run(SECOND);
    let [_, lent, repair] = line.run(20 * SECOND);
    check_rate(lent, 20 * SECOND, rate * 3 / 4);
    check_rate(repair, 20 * SECOND, rate / 4);
    line.add(TrafficClass::User, 1);
    line.run(SECOND);
    let [user, lent, repair] = line.run(20 * SECOND);
    check_rate(user, 20 * SECOND, rate * 8 / 12);
    check_rate(lent, 20 * SECOND, rate * 3 / 12);
    check_rate(repair, 20 * SECOND, rate / 12);
}

#[test]
fn repair_keeps_its_limit_and_the_others_use_what_it_leaves() {
    let rate = 1_000_000;
    let mut line = Line::new(Some(rate), Some(50_000));
    line.add(TrafficClass::Repair, 4);
    line.run(SECOND);
    check_rate(line.run(20 * SECOND)[2], 20 * SECOND, 50_000);
    line.add(TrafficClass::User, 2);
    line.run(SECOND);
    let [user, _, repair] = line.run(20 * SECOND);
    check_rate(user, 20 * SECOND, 950_000);
    check_rate(repair, 20 * SECOND, 50_000);
}

#[test]
fn without_a_rate_only_repair_waits() {
    let mut line = Line::new(None, Some(100_000));
    line.add(TrafficClass::Repair, 2);
    line.run(SECOND);
    check_rate(line.run(20 * SECOND)[2], 20 * SECOND, 100_000);
    let mut granted = Vec::new();
    line.shaper.handle(
        line.now,
        ShaperInput::Ask { ticket: u64::MAX, class: TrafficClass::User, bytes: MIB },
        &mut granted,
    );
    assert_eq!(granted, [u64::MAX]);
}

#[test]
fn a_rate_that_changes_holds_from_then_on() {
    let mut line = Line::new(Some(8_000_000), None);
    line.add(TrafficClass::User, 6);
    line.run(SECOND);
    for rate in [100_000, 4_000_000, 32_000] {
        line.input(ShaperInput::Limits { whole: Some(rate), repair: None });
        // What was asked for in larger slices goes first.
        line.run(20 * SECOND);
        check_rate(line.run(20 * SECOND)[0], 20 * SECOND, rate);
    }
}

#[test]
fn messages_never_wait_and_blocks_make_room_for_them() {
    let rate = 1_000_000;
    let mut line = Line::new(Some(rate), None);
    line.add(TrafficClass::User, 3);
    line.run(SECOND);
    let before = line.moved[0];
    for _ in 0..200 {
        line.run(SECOND / 10);
        line.input(ShaperInput::Moved(20_000));
    }
    check_rate(line.moved[0] - before + 200 * 20_000, 20 * SECOND, rate);
}

#[test]
fn who_waits_no_longer_is_not_served() {
    let mut line = Line::new(Some(100_000), None);
    let mut granted = Vec::new();
    for ticket in 0..20 {
        let ask = ShaperInput::Ask { ticket, class: TrafficClass::User, bytes: SLICE_BYTES_MIN };
        line.shaper.handle(0, ask, &mut granted);
    }
    let waiting: Vec<Ticket> = (0..20).filter(|ticket| !granted.contains(ticket)).collect();
    assert!(waiting.len() > 2 && granted.is_sorted(), "in order: {granted:?}");
    waiting[..waiting.len() - 1]
        .iter()
        .for_each(|ticket| line.shaper.handle(0, ShaperInput::Forget(*ticket), &mut granted));
    granted.clear();
    line.shaper.handle(10 * SECOND, ShaperInput::Timeout, &mut granted);
    assert_eq!(granted, waiting[waiting.len() - 1..]);
    assert_eq!(line.shaper.deadline(), None);
}

#[test]
fn a_class_that_was_idle_has_saved_up_nothing() {
    let rate = 1_200_000;
    let mut line = Line::new(Some(rate), None);
    line.add(TrafficClass::Repair, 1);
    line.run(60 * SECOND);
    line.add(TrafficClass::User, 1);
    line.run(SECOND);
    let [user, _, repair] = line.run(9 * SECOND);
    check_rate(user, 9 * SECOND, rate * 8 / 9);
    check_rate(repair, 9 * SECOND, rate / 9);
}
