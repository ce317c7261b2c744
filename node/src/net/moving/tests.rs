use super::*;

fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

/// A node in virtual time, with links over which packets come or do not.
struct Case {
    moving: Moving,
    now: Duration,
    slept: Duration,
    /// Packets that came, and whether more come.
    links: BTreeMap<NodeId, (u64, bool)>,
    is_relayed: bool,
    /// Over each of them.
    sent: PathPackets,
    out: Vec<MovingOutput>,
}

impl Case {
    fn with_links(count: u8) -> Self {
        let links = (1..=count).map(|number| (node(number), (7, true))).collect();
        let (now, slept) = (Duration::from_secs(50), Duration::from_secs(3_000));
        let (moving, out, sent) = Default::default();
        let mut case = Self { moving, now, slept, links, is_relayed: false, sent, out };
        case.seconds(10);
        assert_eq!(case.take(), [], "nothing happens");
        case
    }

    fn input(&mut self, input: MovingInput) {
        self.moving.handle(self.now, input, &mut self.out);
    }

    fn tick(&mut self) {
        for (packets, comes) in self.links.values_mut() {
            *packets += u64::from(*comes);
        }
        let link = |(node, (came, _)): (&NodeId, &(u64, bool))| {
            let packets = Some(PathPackets { came: *came, ..self.sent });
            LinkPackets { node: *node, is_relayed: self.is_relayed, packets }
        };
        let links = self.links.iter().map(link).collect();
        self.input(MovingInput::Tick { with_sleep: self.now + self.slept, links });
    }

    fn seconds(&mut self, count: u64) {
        for _ in 0..count {
            self.now += TICK;
            self.tick();
        }
    }

    /// Lets time pass up to what is due next.
    fn wait(&mut self) {
        self.now = self.moving.deadline().expect("something is due");
        self.input(MovingInput::Timeout);
    }

    fn take(&mut self) -> Vec<MovingOutput> {
        std::mem::take(&mut self.out)
    }

    fn dials(&mut self) -> Vec<NodeId> {
        let dial = |output| if let MovingOutput::Dial(node) = output { Some(node) } else { None };
        self.take().into_iter().filter_map(dial).collect()
    }
}

#[test]
fn members_are_heard_as_long_as_packets_of_one_come() {
    let mut case = Case::with_links(2);
    let silence = |case: &Case| case.moving.silence(case.now).as_secs();
    assert_eq!(silence(&case), 0);
    case.links.get_mut(&node(1)).expect("a link").1 = false;
    case.seconds(20);
    assert_eq!(silence(&case), 0, "the other one is there");
    case.links.get_mut(&node(2)).expect("a link").1 = false;
    case.seconds(8);
    assert_eq!(silence(&case), 8);
    case.links.clear();
    case.seconds(8);
    assert_eq!(silence(&case), 16, "the end of a link is no packet");
    case.links.insert(node(3), (0, false));
    case.seconds(1);
    assert_eq!(silence(&case), 0, "a link begins with some");
    let never = Moving::default();
    assert_eq!(never.silence(Duration::from_secs(12)).as_secs(), 12);
}

#[test]
fn addresses_that_are_named_at_the_start_are_no_move() {
    let mut case = Case { moving: Moving::default(), ..Case::with_links(1) };
    (0..3).for_each(|_| case.input(MovingInput::Appeared));
    assert_eq!(case.moving.deadline(), None);
    case.input(MovingInput::Changed);
    case.wait();
    assert_eq!(case.take(), [MovingOutput::Refresh], "one that is gone was there before");
    case.seconds(1);
    case.input(MovingInput::Appeared);
    case.wait();
    assert_eq!(case.take(), [MovingOutput::Refresh, MovingOutput::Dial(node(1))], "later one is news");
}

#[test]
fn after_a_sleep_or_a_stop_all_links_are_tried() {
    for (asleep, stopped) in [(3_600, 0), (0, 60), (4, 0), (0, 4)] {
        let mut case = Case::with_links(2);
        case.slept += Duration::from_secs(asleep);
        case.now += Duration::from_secs(stopped);
        case.seconds(1);
        assert_eq!(case.take(), [MovingOutput::Refresh, MovingOutput::Dial(node(1)), MovingOutput::Dial(node(2))]);
        case.seconds(30);
        assert_eq!(case.take(), [], "once");
    }
}

#[test]
fn a_busy_machine_is_not_asleep() {
    let mut case = Case::with_links(2);
    for late in [500, 1_000, 2_900] {
        case.now += Duration::from_millis(late);
        case.seconds(1);
    }
    case.slept = case.slept.saturating_sub(Duration::from_secs(1));
    case.seconds(10);
    assert_eq!(case.take(), []);
}

#[test]
fn a_change_of_addresses_is_one_change_and_acted_upon_within_a_quarter_of_a_second() {
    let mut case = Case::with_links(1);
    let begun = case.now;
    for _ in 0..3 {
        case.input(MovingInput::Changed);
        case.now += Duration::from_millis(20);
    }
    assert_eq!(case.take(), []);
    case.wait();
    assert_eq!(case.take(), [MovingOutput::Refresh, MovingOutput::Dial(node(1))]);
    assert!(case.now - begun < Duration::from_millis(250));
    assert_eq!(case.moving.deadline(), None);
}

#[test]
fn addresses_that_change_without_end_are_not_waited_for_without_end() {
    let mut case = Case::with_links(1);
    let begun = case.now;
    while case.out.is_empty() {
        case.input(MovingInput::Changed);
        case.now += Duration::from_millis(100);
    }
    assert_eq!(case.now - begun, DEBOUNCE_MAX + Duration::from_millis(100));
}

#[test]
fn a_link_over_which_nothing_comes_is_tried_within_six_seconds_and_again() {
    let mut case = Case::with_links(2);
    case.links.insert(node(1), (99, false));
    case.seconds(1);
    let begun = case.now;
    while case.out.is_empty() {
        case.seconds(1);
    }
    assert!(case.now - begun <= Duration::from_secs(6));
    assert_eq!(case.take(), [MovingOutput::Silence(node(1), true), MovingOutput::Dial(node(1))]);
    case.input(MovingInput::DialEnded(node(1)));
    case.seconds(5);
    assert_eq!(case.take(), [MovingOutput::Silence(node(1), true), MovingOutput::Dial(node(1))]);
    case.links.insert(node(1), (100, true));
    case.seconds(1);
    assert_eq!(case.take(), [MovingOutput::Silence(node(1), false)], "it speaks again");
    case.links.remove(&node(1));
    case.seconds(20);
    assert_eq!(case.take(), [], "it is gone");
}

#[test]
fn a_relay_that_answers_nothing_is_bad_within_three_seconds_and_a_direct_link_has_longer() {
    let mut case = Case::with_links(1);
    for (is_relayed, most) in [(true, 3), (false, 6)] {
        case.is_relayed = is_relayed;
        case.links.insert(node(1), (99, true));
        case.seconds(2);
        case.take();
        case.links.insert(node(1), (120, false));
        case.tick();
        let begun = case.now;
        while case.out.is_empty() {
            case.sent.sent += 2;
            case.seconds(1);
        }
        assert!((case.now - begun).as_secs() <= most, "{:?}", case.now - begun);
        let dial = (!is_relayed).then_some(MovingOutput::Dial(node(1)));
        let said: Vec<_> = [MovingOutput::Silence(node(1), true)].into_iter().chain(dial).collect();
        assert_eq!(case.take(), said);
        case.links.insert(node(1), (200, true));
        case.seconds(1);
        assert_eq!(case.take(), [MovingOutput::Silence(node(1), false)]);
    }
}

#[test]
fn a_relay_that_loses_much_is_bad_as_long_as_it_does_and_it_is_said_now_and_then() {
    let mut case = Case::with_links(1);
    case.is_relayed = true;
    case.seconds(1);
    let mut bad_at = Vec::new();
    for second in 0..12 {
        (case.sent.sent, case.sent.lost) = (case.sent.sent + 100, case.sent.lost + 60);
        case.seconds(1);
        if case.take() == [MovingOutput::Lossy(node(1))] {
            bad_at.push(second);
        }
    }
    assert_eq!(bad_at, [1, 6, 11], "though packets come all the while");
    case.sent.sent += 100;
    case.seconds(1);
    assert_eq!(case.take(), [MovingOutput::Silence(node(1), false)]);
}

#[test]
fn a_peer_that_sends_to_an_address_of_before_is_silent_until_something_comes() {
    let mut case = Case::with_links(2);
    case.input(MovingInput::Stranded(node(1)));
    case.input(MovingInput::Stranded(node(1)));
    case.input(MovingInput::Stranded(node(9)));
    assert_eq!(case.take(), [MovingOutput::Silence(node(1), true)]);
    case.seconds(3);
    assert_eq!(case.take(), [MovingOutput::Silence(node(1), false)]);
}

#[test]
fn eight_links_are_tried_at_a_time_and_a_dial_without_an_end_holds_nobody_up() {
    let mut case = Case::with_links(20);
    case.input(MovingInput::Changed);
    case.wait();
    assert_eq!(case.dials(), (1..=8).map(node).collect::<Vec<_>>());
    case.now += Duration::from_secs(1);
    for number in [3, 5] {
        case.input(MovingInput::DialEnded(node(number)));
    }
    assert_eq!(case.dials(), [node(9), node(10)]);
    case.wait();
    assert_eq!(case.dials(), (11..=16).map(node).collect::<Vec<_>>(), "the dials of the other six are given up");
    case.wait();
    assert_eq!(case.dials(), [node(17), node(18)]);
}

#[test]
fn a_transport_that_counts_no_packets_is_never_silent() {
    let mut moving = Moving::default();
    let mut out = Vec::new();
    for second in 0..60 {
        let now = Duration::from_secs(second);
        let link = LinkPackets { node: node(1), is_relayed: second % 2 == 0, packets: None };
        moving.handle(now, MovingInput::Tick { with_sleep: now, links: vec![link] }, &mut out);
    }
    assert_eq!(out, []);
}
