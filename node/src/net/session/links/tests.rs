use super::*;

const BOB: NodeId = NodeId([2; 32]);
const ALICE: NodeId = NodeId([1; 32]);

/// Alice leads, Bob follows; each connection reaches its steps on both sides whenever the case says so.
struct Pair {
    alice: LinkTable,
    bob: LinkTable,
    now: Instant,
}

impl Pair {
    /// Both use connection 1.
    fn connected() -> Self {
        let pair = Self { alice: LinkTable::default(), bob: LinkTable::default(), now: Instant::now() };
        assert_eq!(pair.alice.offer(BOB, 1, pair.now), Ok(0));
        assert_eq!(pair.both_take(1, 0), [Takeover::Cut; 2]);
        pair
    }

    /// What both sides wrote.
    fn open(&self, number: u64) -> Result<u64, HandoverUnderWay> {
        let offered = self.alice.offer(BOB, number, self.now)?;
        let agreed = self.bob.agree(ALICE, number, offered, self.now);
        Ok(if offered == agreed { agreed } else { 0 })
    }

    fn both_take(&self, number: u64, goes_on: u64) -> [Takeover; 2] {
        [(&self.alice, BOB), (&self.bob, ALICE)].map(|(side, peer)| side.take_over(peer, number, goes_on, self.now))
    }

    fn drained(&self) {
        self.alice.drained(BOB);
        self.bob.drained(ALICE);
    }
}

#[test]
fn a_further_connection_goes_on_where_the_first_ends() {
    let pair = Pair::connected();
    for number in 2..5 {
        assert!(!pair.alice.is_moving(BOB) && !pair.bob.is_moving(ALICE));
        assert_eq!(pair.open(number), Ok(number - 1));
        assert!(pair.alice.is_moving(BOB) && pair.bob.is_moving(ALICE));
        assert_eq!(pair.both_take(number, number - 1), [Takeover::Drain; 2]);
        assert!(pair.alice.is_moving(BOB) && pair.bob.is_moving(ALICE));
        pair.drained();
    }
    assert_eq!(pair.both_take(3, 2), [Takeover::Refused; 2], "a greater one is in use");
}

#[test]
fn who_was_restarted_goes_on_nowhere() {
    let mut pair = Pair::connected();
    pair.bob = LinkTable::default();
    assert_eq!(pair.open(2), Ok(0), "Bob knows no connection 1");
    assert_eq!(pair.both_take(2, 0), [Takeover::Cut; 2]);
    pair.alice = LinkTable::default();
    assert_eq!(pair.open(3), Ok(0), "nor does Alice");
}

#[test]
fn a_connection_over_which_nothing_comes_is_not_waited_for() {
    for of_alice in [true, false] {
        let pair = Pair::connected();
        if of_alice {
            pair.alice.note_silence(BOB, true);
        } else {
            pair.bob.note_silence(ALICE, true);
        }
        assert_eq!([pair.alice.are_silent(), pair.bob.are_silent()], [of_alice, !of_alice]);
        assert_eq!(pair.open(2), Ok(0));
        assert_eq!(pair.both_take(2, 0), [Takeover::Cut; 2]);
        assert!(!pair.alice.are_silent() && !pair.bob.are_silent(), "there is another one");
        assert!(!LinkTable::default().are_silent(), "there is none");
        assert!(!pair.alice.is_moving(BOB), "an offer that came to nothing is forgotten");
        assert_eq!(pair.open(3), Ok(2), "the silence was that of the one before");
    }
}

#[test]
fn there_is_one_handover_at_a_time() {
    let mut pair = Pair::connected();
    assert_eq!(pair.open(2), Ok(1));
    assert_eq!(pair.open(3), Err(HandoverUnderWay));
    pair.now += ONE_AT_A_TIME;
    assert_eq!(pair.open(4), Ok(0), "the first one may lead to nothing; this one is a cut");
    assert_eq!(pair.both_take(2, 1), [Takeover::Drain; 2]);
    assert_eq!(pair.open(5), Err(HandoverUnderWay), "it runs dry");
    assert_eq!(pair.both_take(4, 0), [Takeover::Cut; 2]);
    assert_eq!(pair.open(6), Ok(4));
}

#[test]
fn what_does_not_go_on_at_the_one_in_use_is_a_cut() {
    let pair = Pair::connected();
    assert_eq!(pair.open(2), Ok(1));
    pair.alice.ended(BOB, 1);
    assert_eq!(
        pair.both_take(2, 1),
        [Takeover::Cut, Takeover::Drain],
        "Bob sees that connection 1 ends before it ran dry"
    );
    let pair = Pair::connected();
    assert_eq!(pair.open(2), Ok(1));
    pair.alice.withdraw(BOB, 2);
    pair.bob.withdraw(ALICE, 2);
    assert!(!pair.alice.is_moving(BOB) && !pair.bob.is_moving(ALICE));
    assert_eq!(pair.open(3), Ok(1), "the next one at once");
    pair.alice.ended(BOB, 7);
    assert_eq!(pair.both_take(3, 1), [Takeover::Drain; 2], "it was another one that ended");
}
