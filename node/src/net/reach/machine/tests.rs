//! Members that answer, lie silent, or sit in the same house, in virtual time.

use super::*;

const OUTSIDE: [u8; 4] = [100, 0, 0, 1];

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((OUTSIDE, port))
}

fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

struct Bench {
    machine: ReachMachine,
    now: u64,
}

impl Bench {
    fn input(&mut self, input: ReachInput) -> Vec<ReachQuestion> {
        let mut asked = Vec::new();
        self.machine.handle(self.now, input, &mut asked);
        asked
    }

    /// What a node asks that has these addresses, with members there.
    fn begin(addresses: &[SocketAddr], members: &[[u8; 4]]) -> (Self, Vec<ReachQuestion>) {
        let mut bench = Self { machine: ReachMachine::new(1), now: 1_000 };
        let asked = bench.know(addresses, members);
        (bench, asked)
    }

    fn know(&mut self, addresses: &[SocketAddr], members: &[[u8; 4]]) -> Vec<ReachQuestion> {
        self.know_by(7, addresses, members)
    }

    /// All of them by a session of this number.
    fn know_by(&mut self, session: u64, addresses: &[SocketAddr], members: &[[u8; 4]]) -> Vec<ReachQuestion> {
        let peer = |ip: [u8; 4]| ReachPeer { at: SocketAddr::from((ip, 24_007)), session };
        let peers = members.iter().zip(1..).map(|(ip, number)| (node(number), peer(*ip)));
        self.input(ReachInput::Known { addresses: addresses.iter().copied().collect(), peers: peers.collect() })
    }

    fn sent(&mut self, question: &ReachQuestion) -> Vec<ReachQuestion> {
        self.input(ReachInput::Sent { from: question.node, request: question.request })
    }

    /// Nothing happens until the next moment at which something is due.
    fn wait(&mut self) -> Vec<ReachQuestion> {
        self.now = self.machine.deadline().expect("something is awaited");
        self.input(ReachInput::Timeout)
    }

    fn verdict(&self, address: SocketAddr) -> Option<Reachability> {
        self.machine.verdicts().get(&address).copied()
    }
}

const FRIENDS: [[u8; 4]; 3] = [[100, 0, 1, 1], [100, 0, 2, 1], [100, 0, 3, 1]];

#[test]
fn what_comes_proves_that_an_address_is_open() {
    let (mut bench, asked) = Bench::begin(&[address(1)], &FRIENDS);
    assert_eq!(asked.len(), JUDGES);
    assert!(asked[0].node != asked[1].node && asked[0].nonce != asked[1].nonce && asked[0].request != asked[1].request);
    assert_eq!(bench.machine.asked_for(asked[0].nonce), Some(asked[0].node));
    bench.input(ReachInput::Arrived { nonce: asked[0].nonce });
    assert_eq!(bench.verdict(address(1)), Some(Reachability::Open));
    assert_eq!(bench.machine.asked_for(asked[1].nonce), None, "nothing more has to come");
    let begun = bench.now;
    assert_eq!((bench.wait().len(), bench.now - begun), (JUDGES, VERIFY_MS), "and is proven again");
}

#[test]
fn what_was_sent_and_did_not_come_proves_that_it_is_closed() {
    let (mut bench, asked) = Bench::begin(&[address(1)], &FRIENDS);
    bench.sent(&asked[0]);
    assert_eq!((bench.wait(), bench.verdict(address(1))), (vec![], None), "the other one may still send");
    bench.now += 10;
    bench.sent(&asked[1]);
    bench.wait();
    assert_eq!(bench.verdict(address(1)), Some(Reachability::Closed));
    let begun = bench.now;
    let again = bench.wait();
    assert_eq!((again.len(), bench.now - begun), (JUDGES, VERIFY_MS));
    bench.input(ReachInput::Arrived { nonce: again[1].nonce });
    assert_eq!(bench.verdict(address(1)), Some(Reachability::Open), "the owner opened it");
}

#[test]
fn one_that_says_nothing_proves_nothing() {
    let (mut bench, _) = Bench::begin(&[address(1)], &FRIENDS[..1]);
    bench.wait();
    assert_eq!((bench.verdict(address(1)), bench.machine.deadline()), (None, Some(bench.now + NO_ANSWER_MS_MIN)));
    for pause in [20_000, 40_000, 80_000, 160_000, NO_ANSWER_MS_MAX, NO_ANSWER_MS_MAX] {
        assert_eq!(bench.wait().len(), 1, "an answer may have been lost");
        assert_eq!(bench.wait(), []);
        assert_eq!(bench.machine.deadline(), Some(bench.now + pause));
    }
    bench.now += 10;
    let asked = bench.know(&[address(1)], &FRIENDS[..2]);
    assert_eq!(asked.len(), 2, "somebody who came is asked at once");
    bench.input(ReachInput::Arrived { nonce: asked[0].nonce });
    let again = bench.wait();
    bench.wait();
    assert_eq!((again.len(), bench.verdict(address(1))), (2, Some(Reachability::Open)), "what was proven stays");
}

#[test]
fn what_was_asked_on_a_connection_that_ended_is_asked_again_on_the_next_one() {
    let (mut bench, asked) = Bench::begin(&[address(1)], &FRIENDS[..1]);
    assert_eq!(bench.know(&[address(1)], &FRIENDS[..1]), [], "that question is open");
    let again = bench.know_by(8, &[address(1)], &FRIENDS[..1]);
    assert_eq!(again.len(), 1);
    assert!(bench.sent(&asked[0]).is_empty() && bench.machine.asked_for(asked[0].nonce).is_none());
    bench.know_by(8, &[address(1)], &[]);
    assert_eq!(bench.machine.asked_for(again[0].nonce), None, "nobody is left to answer");
    let asked = bench.know_by(9, &[address(1)], &FRIENDS[..1]);
    bench.input(ReachInput::Arrived { nonce: asked[0].nonce });
    assert_eq!(bench.verdict(address(1)), Some(Reachability::Open));
    assert_eq!(bench.know_by(10, &[address(1)], &FRIENDS[..1]), [], "that is known");
}

#[test]
fn who_sits_in_the_same_house_is_not_asked() {
    let (mut bench, asked) = Bench::begin(&[address(1)], &[[192, 168, 1, 7], OUTSIDE]);
    assert_eq!((asked, bench.machine.deadline()), (vec![], None));
    let asked = bench.know(&[address(1)], &[[192, 168, 1, 7], OUTSIDE, FRIENDS[0]]);
    assert_eq!(asked.iter().map(|asked| asked.node).collect::<Vec<_>>(), [node(3)]);
}

#[test]
fn a_stranger_answers_nothing() {
    let (mut bench, asked) = Bench::begin(&[address(1)], &FRIENDS[..1]);
    bench.input(ReachInput::Sent { from: node(9), request: asked[0].request });
    bench.input(ReachInput::Arrived { nonce: ProbeNonce([0; 16]) });
    bench.wait();
    assert_eq!(bench.verdict(address(1)), None);
}

#[test]
fn an_address_that_is_gone_is_forgotten_and_few_are_asked_about_at_once() {
    let many: Vec<SocketAddr> = (1..=40).map(address).collect();
    let (mut bench, asked) = Bench::begin(&many, &FRIENDS);
    assert_eq!(asked.len(), QUESTIONS_MAX);
    bench.input(ReachInput::Arrived { nonce: asked[0].nonce });
    assert_eq!(bench.machine.verdicts().len(), 1);
    bench.know(&[], &FRIENDS);
    assert_eq!((bench.machine.verdicts().len(), bench.machine.deadline()), (0, None));
}
