//! A put along a chain, driven by hand.

use fsdfs_proto::block::Block;

use super::*;
use crate::engine::blocks::kit::block;
use crate::engine::net::Connections;
use crate::engine::test_kit::{pass, sent};
use crate::limits::{PROBES_AWAITED_MS, RELAYED_MS_MIN, STALL_MS};
use crate::seam::PeerPath;

/// A put of node 0 of six, connected to all, at sites of their own; it is the last in the order.
struct Case {
    cx: Context,
    puts: Puts,
    block: Block,
    order: Vec<NodeId>,
    /// Holders in the order of the chain, with the numbers of their questions.
    chain: Vec<(NodeId, RequestId)>,
}

impl Case {
    fn begin(probe: bool, before: impl FnOnce(&mut Context, &[NodeId])) -> Self {
        let mut cx = context(0, 6);
        cx.relayed_bytes_min = 1;
        connect_all(&mut cx);
        let block = block_at(&cx, 5);
        let order = order(&cx, block.id());
        before(&mut cx, &order);
        let redundancy = Redundancy::Replicas(3);
        let item = PutItem::Block { block: block.clone(), redundancy, probe, more: false, reserve: false };
        let mut puts = Puts::default();
        puts.start(&mut cx, item, CLIENT);
        let chain = Vec::new();
        Self { cx, puts, block, order, chain }
    }

    /// With the block on its way.
    fn new() -> Self {
        let mut case = Self::begin(false, |_, _| {});
        case.take_chain(3);
        case
    }

    /// What was sent is a chain of so many.
    #[track_caller]
    fn take_chain(&mut self, len: usize) {
        let sent = sent(&mut self.cx);
        let [(to, Message::RelayedStore(store))] = &sent[..] else { panic!("{sent:?}") };
        let others = store.holders.iter().map(|next| (next.node, next.request));
        self.chain = std::iter::once((*to, store.request)).chain(others).collect();
        assert_eq!((self.chain.len(), store.origin), (len, self.cx.me));
    }

    fn reply(&mut self, place: usize, outcome: StoreOutcome) {
        let (id, redundancy) = (self.block.id(), Redundancy::Replicas(3));
        self.says(place, |request| RelayedStoreReply { request, id, redundancy, age_ms: 0, outcome });
    }

    fn says(&mut self, place: usize, reply: impl FnOnce(RequestId) -> RelayedStoreReply) {
        let (node, request) = self.chain[place];
        assert!(self.cx.answered(node, request).is_some(), "it is waited for");
        self.puts.on_relayed_reply(&mut self.cx, PUT, node, &reply(request));
    }

    fn store(&mut self, places: &[usize]) {
        places.iter().for_each(|place| self.reply(*place, StoreOutcome::Stored));
    }

    fn pass(&mut self, ms: u64) {
        pass(&mut self.cx, ms);
        self.puts.on_relays_due(&mut self.cx);
    }

    fn node(&self, place: usize) -> NodeId {
        self.chain[place].0
    }

    #[track_caller]
    fn check_asked(&mut self, places: &[usize], what: &'static str) {
        let nodes: Vec<NodeId> = places.iter().map(|place| self.node(*place)).collect();
        assert_eq!(asked(&mut self.cx), each(&nodes, what));
    }

    fn report(&mut self) -> Option<PutReport> {
        events(&mut self.cx).into_iter().find_map(|event| match event {
            Event::PutEnded(report) => Some(report),
            _ => None,
        })
    }

    #[track_caller]
    fn check_stored_on_all(&mut self) {
        let report = self.report().expect("it ended");
        let PutOutcome::Stored(copies) = report.outcome else { panic!("{:?}", report.outcome) };
        let mut nodes: Vec<NodeId> = self.chain.iter().map(|(node, _)| *node).collect();
        nodes.sort_unstable();
        assert_eq!(copies.servers, nodes);
    }
}

#[test]
fn a_block_leaves_once_and_counts_when_each_holder_has_said_so_itself() {
    let mut case = Case::new();
    case.store(&[0]);
    assert!(case.report().is_none(), "the first answers for itself");
    case.store(&[2, 1]);
    case.check_stored_on_all();
    case.check_asked(&[], "store");
}

#[test]
fn short_blocks_and_those_that_one_other_lacks_go_directly() {
    let mut case = Case::begin(false, |cx, _| cx.relayed_bytes_min = 5);
    assert_eq!(asked(&mut case.cx), each(&case.order[..3], "store"));
    let mut case = Case::begin(true, |_, _| {});
    assert_eq!(asked(&mut case.cx), each(&case.order[..3], "have"));
    for (place, answer) in [(0, Possession::Yes), (1, Possession::No), (2, Possession::Yes)] {
        case.puts.on_probe_reply(&mut case.cx, PUT, case.order[place], &[answer]);
    }
    assert_eq!(asked(&mut case.cx), each(&case.order[1..2], "store"));
}

#[test]
fn who_is_near_gets_it_at_once_and_the_others_by_a_chain() {
    let near = |cx: &mut Context, order: &[NodeId]| {
        let peer = cx.peers.get_mut(order[1]).expect("connected");
        (peer.path, peer.rtt_ms) = (PeerPath::Local, Some(4));
    };
    let mut case = Case::begin(false, near);
    let asked = asked(&mut case.cx);
    assert_eq!(asked[0], (case.order[1], "store"));
    assert!(asked.len() == 2 && asked[1].1 == "relayed store", "{asked:?}");
    let far = |cx: &mut Context, order: &[NodeId]| {
        let peer = cx.peers.get_mut(order[1]).expect("connected");
        // A private address at the other end of a tunnel.
        (peer.path, peer.rtt_ms) = (PeerPath::Local, Some(5));
    };
    Case::begin(false, far).take_chain(3);
    let relayed = |cx: &mut Context, order: &[NodeId]| cx.peers.set_path(order[1], PeerPath::Relayed);
    let mut case = Case::begin(false, relayed);
    let asked = super::asked(&mut case.cx);
    assert_eq!(asked[0], (case.order[1], "store"), "over a relay it would leave two lines for each hop");
}

#[test]
fn those_that_lack_a_block_wait_for_the_word_of_the_others() {
    let mut case = Case::begin(true, |_, _| {});
    asked(&mut case.cx);
    let order = case.order.clone();
    case.puts.on_probe_reply(&mut case.cx, PUT, order[0], &[Possession::No]);
    case.puts.on_probe_reply(&mut case.cx, PUT, order[2], &[Possession::NotYet]);
    assert_eq!(asked(&mut case.cx), [], "the second has not answered");
    case.puts.on_probe_reply(&mut case.cx, PUT, order[1], &[Possession::No]);
    case.take_chain(3);
}

#[test]
fn but_not_for_long_and_not_for_the_silent() {
    let mut case = Case::begin(true, |_, _| {});
    asked(&mut case.cx);
    let order = case.order.clone();
    [0, 2].into_iter().for_each(|place| {
        case.puts.on_probe_reply(&mut case.cx, PUT, order[place], &[Possession::No]);
    });
    case.pass(PROBES_AWAITED_MS - 1);
    assert_eq!(asked(&mut case.cx), []);
    case.pass(1);
    case.take_chain(2);
    case.puts.on_probe_reply(&mut case.cx, PUT, order[1], &[Possession::No]);
    assert_eq!(asked(&mut case.cx), [(order[1], "store")], "one chain for each block");

    let mut case = Case::begin(true, |_, _| {});
    asked(&mut case.cx);
    silence(&mut case.cx, order[1]);
    [0, 2].into_iter().for_each(|place| {
        case.puts.on_probe_reply(&mut case.cx, PUT, order[place], &[Possession::No]);
    });
    case.take_chain(2);
}

#[test]
fn a_holder_that_gets_nothing_is_asked_and_then_sent_the_block_directly() {
    let mut case = Case::new();
    case.store(&[0, 1]);
    case.pass(RELAYED_MS_MIN - 1);
    case.check_asked(&[], "have");
    case.pass(1);
    case.check_asked(&[2], "have");
    assert!(!case.cx.peers.relays(case.node(1), case.cx.now.mono), "the one before it passes nothing on for now");
    case.pass(60_000);
    case.check_asked(&[], "have");
    case.puts.on_probe_reply(&mut case.cx, PUT, case.chain[2].0, &[Possession::No]);
    case.check_asked(&[2], "store");
    case.puts.on_store_reply(&mut case.cx, PUT, case.chain[2].0, StoreOutcome::Stored);
    case.check_stored_on_all();
}

#[test]
fn what_came_late_along_the_chain_counts_and_is_not_taken_back() {
    let mut case = Case::new();
    case.store(&[0]);
    case.pass(RELAYED_MS_MIN);
    case.check_asked(&[1, 2], "have");
    [1, 2].into_iter().for_each(|place| {
        case.puts.on_probe_reply(&mut case.cx, PUT, case.chain[place].0, &[Possession::No]);
    });
    case.check_asked(&[1, 2], "store");
    case.store(&[2]);
    // Its second copy finds no room.
    case.puts.on_store_reply(&mut case.cx, PUT, case.chain[2].0, StoreOutcome::Full);
    case.check_asked(&[], "store");
    case.store(&[1]);
    case.check_stored_on_all();
}

#[test]
fn a_chain_that_is_refused_is_gone_around_at_once() {
    let mut case = Case::new();
    let requests = [case.chain[1].1, case.chain[2].1];
    case.puts.on_not_relayed(&mut case.cx, case.chain[1].0, &requests[..1]);
    case.check_asked(&[], "have");
    case.puts.on_not_relayed(&mut case.cx, case.chain[0].0, &requests);
    case.check_asked(&[1, 2], "have");
    case.puts.on_not_relayed(&mut case.cx, case.chain[0].0, &requests);
    case.check_asked(&[], "have");
}

#[test]
fn behind_a_forwarder_that_is_gone_all_are_asked_and_another_takes_its_place() {
    let mut case = Case::new();
    assert!(case.cx.peers.on_down(case.chain[0].0));
    case.puts.on_failed(&mut case.cx, PUT, case.chain[0].0, None);
    assert_eq!(asked(&mut case.cx), [(case.order[3], "store")]);
    case.pass(250);
    case.check_asked(&[1, 2], "have");
    assert!(case.cx.peers.relays(case.node(1), case.cx.now.mono), "nobody else is at fault");
}

#[test]
fn who_is_lost_behind_the_first_is_replaced_and_asked_again_if_it_came_back() {
    let mut case = Case::new();
    case.puts.on_relayed_lost(&mut case.cx, PUT, case.chain[1].0);
    case.check_asked(&[1], "have");
    assert!(case.cx.peers.on_down(case.chain[2].0));
    case.puts.on_relayed_lost(&mut case.cx, PUT, case.chain[2].0);
    assert_eq!(asked(&mut case.cx), [(case.order[3], "store")]);
}

/// A forwarder could pass on another block under the number of the question, or with another claim.
#[test]
fn an_answer_about_another_block_or_claim_is_none() {
    let (three, two) = (Redundancy::Replicas(3), Redundancy::Replicas(2));
    for (other, redundancy, age_ms) in [(true, three, 0), (false, two, 0), (false, three, 1)] {
        let mut case = Case::new();
        let id = if other { block(99).id() } else { case.block.id() };
        case.says(1, |request| RelayedStoreReply { request, id, redundancy, age_ms, outcome: StoreOutcome::Stored });
        case.check_asked(&[1], "have");
        case.store(&[0, 2]);
        assert!(case.report().is_none(), "two have it");
    }
    let mut case = Case::new();
    let id = block(99).id();
    case.says(0, |request| RelayedStoreReply {
        request,
        id,
        redundancy: three,
        age_ms: 0,
        outcome: StoreOutcome::Stored,
    });
    assert_eq!(asked(&mut case.cx), [(case.order[3], "store")], "the first has no excuse");
}

#[test]
fn what_a_holder_refuses_of_another_it_may_take_from_the_writer() {
    for outcome in [StoreOutcome::Refused, StoreOutcome::WrongBytes] {
        let mut case = Case::new();
        case.reply(1, outcome);
        case.check_asked(&[1], "have");
    }
    for outcome in [StoreOutcome::Full, StoreOutcome::Failed] {
        let mut case = Case::new();
        case.reply(1, outcome);
        assert_eq!(asked(&mut case.cx), [(case.order[3], "store")], "{outcome:?}");
        case.store(&[0]);
        case.pass(RELAYED_MS_MIN - 1);
        case.check_asked(&[], "have");
        assert!(case.puts.open[&PUT].is_watched(), "it passed the block on all the same");
    }
}

/// The first may need minutes for what the line carries in that time; nobody is called stalled who has not got the block yet.
#[test]
fn a_holder_that_has_not_got_the_block_is_not_called_stalled() {
    let mut case = Case::new();
    let mut connections = Connections::default();
    for _ in 0..40 {
        pass(&mut case.cx, STALL_MS / 4);
        let nodes: Vec<NodeId> = case.chain.iter().map(|(node, _)| *node).collect();
        for node in nodes {
            case.cx.peers.note_alive(node, case.cx.now.mono);
            let puts = &case.puts;
            case.cx.peers.note_moved(case.chain[0].0, case.cx.now.mono);
            connections.on_peer_due(&mut case.cx, node, |waiter| match waiter {
                Waiter::Put(token) => puts.moves_block(*token),
                _ => false,
            });
        }
        case.puts.on_relays_due(&mut case.cx);
    }
    let lost = events(&mut case.cx);
    assert!(lost.is_empty(), "{lost:?}");
    assert!(case.chain.iter().all(|(node, _)| case.cx.peers.is_prompt(*node, case.cx.now.mono)));
    case.store(&[0, 1, 2]);
    case.check_stored_on_all();
}

#[test]
fn nobody_is_owed_an_answer_when_the_put_has_ended() {
    let mut case = Case::new();
    case.store(&[0]);
    case.pass(RELAYED_MS_MIN);
    asked(&mut case.cx);
    for place in [1, 2] {
        let node = case.node(place);
        let (have, _) = case.cx.requests.of(node).last().expect("asked");
        assert!(case.cx.answered(node, have).is_some());
        case.puts.on_probe_reply(&mut case.cx, PUT, node, &[Possession::Yes]);
    }
    case.check_stored_on_all();
    let (node, request) = case.chain[1];
    assert!(case.cx.answered(node, request).is_none(), "what comes now is nobody's answer");
    assert!(!case.puts.open.values().any(OpenPut::is_watched));
}
