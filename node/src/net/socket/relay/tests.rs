use std::collections::BTreeMap;

use fsdfs_proto::packet::relayed_head;

use super::*;

fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

fn place(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], 7))
}

fn token(number: u8) -> SessionToken {
    SessionToken([number; 8])
}

fn batch(token: SessionToken, lens: &[usize]) -> Vec<u8> {
    let packets = lens.iter().map(|len| [&relayed_head(token)[..], &vec![0x40; len - RELAYED_HEAD_BYTES]].concat());
    packets.collect::<Vec<_>>().concat()
}

/// A relay to which nodes 1 to 250 are connected.
struct RelayCase {
    relay: Relay,
    peers: PeerAddresses,
    last: u8,
}

impl RelayCase {
    fn new() -> Self {
        let (mut relay, mut peers) = (Relay::default(), PeerAddresses::default());
        assert!(relay.switch(true).is_empty());
        (1..=250).for_each(|number| assert!(peers.set(node(number), place(number))));
        Self { relay, peers, last: 0 }
    }

    fn open(&mut self, asker: u8, other: u8) -> Result<OpenedSession, RelayRefusal> {
        self.last += 2;
        let tokens = [token(self.last - 1), token(self.last)];
        self.relay.open(0, [node(asker), node(other)], tokens, &self.peers)
    }

    fn send(&mut self, now: u64, from: SocketAddr, token: SessionToken, lens: &[usize]) -> bool {
        self.send_batch(now, from, token, (&mut batch(token, lens), lens[0]))
    }

    fn send_batch(&mut self, now: u64, from: SocketAddr, token: SessionToken, batch: (&mut [u8], usize)) -> bool {
        self.relay.receive(now, (from, token), batch, None, &self.peers)
    }
}

#[test]
fn a_packet_goes_to_the_other_side_with_its_token_and_nothing_else_changed() {
    let mut case = RelayCase::new();
    let session = case.open(1, 2).expect("a session");
    assert!(case.send(0, place(1), session.asker, &[100, 100, 60]));
    assert!(case.send(0, place(2), session.other, &[40]));
    let mut sent = BTreeMap::new();
    while let Some(forward) = case.relay.next(0) {
        sent.insert(forward.to, forward.batch);
    }
    assert_eq!(sent.len(), 2);
    assert_eq!((sent[&node(2)].stride, sent[&node(2)].bytes.len()), (100, 260));
    for packet in sent[&node(2)].bytes.chunks(100) {
        assert!(packet.starts_with(&relayed_head(session.other)));
        assert!(packet[RELAYED_HEAD_BYTES..].iter().all(|byte| *byte == 0x40));
    }
    assert!(sent[&node(1)].bytes.starts_with(&relayed_head(session.asker)));
    let pair = RelayedPair { nodes: [node(1), node(2)], bytes: 300, packets: 4, dropped: 0, is_open: true };
    assert_eq!(case.relay.ledger(), [pair]);
}

#[test]
fn what_is_unknown_or_comes_from_elsewhere_is_dropped() {
    let mut case = RelayCase::new();
    let session = case.open(1, 2).expect("a session");
    for (from, token) in [
        (place(1), token(99)),
        (place(1), session.other),
        (place(3), session.asker),
        (SocketAddr::new(place(1).ip(), 8), session.asker),
    ] {
        assert!(!case.send(0, from, token, &[100]), "{from} {token:?}");
    }
    assert_eq!(case.relay.next(0), None);
    case.peers.set(node(1), place(200));
    assert!(!case.send(0, place(1), session.asker, &[100]), "it has moved");
    assert!(case.send(0, place(200), session.asker, &[100]));
}

#[test]
fn a_session_needs_two_that_are_connected() {
    let mut case = RelayCase::new();
    assert_eq!(case.open(1, 1), Err(RelayRefusal::NotConnected));
    case.peers.remove(node(2));
    assert_eq!(case.open(1, 2), Err(RelayRefusal::NotConnected));
    assert_eq!(case.open(2, 1), Err(RelayRefusal::NotConnected));
    let ended = {
        case.open(3, 4).expect("a session");
        case.relay.switch(false)
    };
    assert_eq!(ended, [EndedSession { nodes: [node(3), node(4)], tokens: [token(7), token(8)] }]);
    assert_eq!(case.open(3, 4), Err(RelayRefusal::NoRelay));
}

#[test]
fn places_are_bounded_for_each_node_and_for_all() {
    let mut case = RelayCase::new();
    for other in 0..SESSIONS_PER_NODE_MAX as u8 {
        case.open(1, 10 + other).expect("a place");
    }
    assert_eq!(case.open(1, 9), Err(RelayRefusal::Full));
    assert_eq!(case.open(9, 1), Err(RelayRefusal::Full), "whoever asks");
    case.open(1, 10).expect("in the place of its own");
    let more = SESSIONS_MAX - SESSIONS_PER_NODE_MAX;
    for pair in 0..more as u8 {
        case.open(100 + pair, 200 + pair).expect("a place");
    }
    assert_eq!(case.open(2, 3), Err(RelayRefusal::Full));
    assert_eq!(case.relay.lost(node(10)).len(), 1);
    case.open(2, 3).expect("a place");
}

#[test]
fn a_pair_has_one_session() {
    let mut case = RelayCase::new();
    let first = case.open(1, 2).expect("a session");
    assert!(case.send(0, place(1), first.asker, &[100]));
    let second = case.open(2, 1).expect("a session");
    assert!(!case.send(0, place(1), first.asker, &[100]), "that one is over");
    assert_eq!(case.relay.next(0), None, "with what waited in it");
    assert!(case.send(0, place(1), second.other, &[100]));
}

#[test]
fn a_side_ends_its_session_and_nobody_elses() {
    let mut case = RelayCase::new();
    let session = case.open(1, 2).expect("a session");
    assert_eq!(case.relay.close(node(2), session.asker), None);
    assert_eq!(case.relay.close(node(3), session.asker), None);
    let ended = EndedSession { nodes: [node(1), node(2)], tokens: [session.asker, session.other] };
    assert_eq!(case.relay.close(node(2), session.other), Some(ended));
    assert_eq!(case.relay.close(node(1), session.asker), None);
    assert!(case.relay.is_idle() && case.relay.deadline().is_none());
}

#[test]
fn a_session_without_packets_ends() {
    let mut case = RelayCase::new();
    let session = case.open(1, 2).expect("a session");
    assert!(case.send(30_000, place(2), session.other, &[40]));
    assert!(!case.send(50_000, place(3), session.other, &[40]), "a stranger's is none");
    assert!(case.relay.expire(89_999).is_empty());
    assert_eq!(case.relay.deadline(), Some(90_000));
    assert_eq!(case.relay.expire(90_000).len(), 1);
    assert!(case.relay.is_idle());
    assert_eq!(case.relay.next(90_000), None);
}

/// Forwards 2.5 MB/s for 4 s of virtual time; sessions send as fast as that alone, in packets of their own length. Bytes that
/// each sender's packets took.
fn shares(sessions: &[(u8, u8, usize)]) -> BTreeMap<u8, f64> {
    const BYTES_PER_MS: usize = 2_500;
    let mut case = RelayCase::new();
    let opened: Vec<_> = sessions
        .iter()
        .map(|(asker, other, len)| {
            let token = case.open(*asker, *other).expect("a session").asker;
            (*asker, token, *len, batch(token, &vec![*len; BYTES_PER_MS.div_ceil(*len)]))
        })
        .collect();
    let (mut forwarded, mut budget) = (BTreeMap::<NodeId, usize>::new(), 0_i64);
    for now in 0..4_000 {
        for (asker, token, len, packets) in &opened {
            assert!(case.send_batch(now, place(*asker), *token, (&mut packets.clone(), *len)));
        }
        budget += BYTES_PER_MS as i64;
        while budget > 0 {
            let Some(forward) = case.relay.next(now) else { break };
            budget -= forward.batch.bytes.len() as i64;
            *forwarded.entry(forward.to).or_default() += forward.batch.bytes.len();
        }
    }
    let all: usize = forwarded.values().sum();
    forwarded.iter().map(|(node, bytes)| (node.0[0], *bytes as f64 / all as f64)).collect()
}

fn is_near(share: f64, expected: f64) -> bool {
    (share / expected - 1.0).abs() < 0.15
}

#[test]
fn two_pairs_share_alike_whatever_their_packets_are() {
    let shares = shares(&[(1, 11, 1_464), (2, 12, 300)]);
    assert!(is_near(shares[&11], 0.5) && is_near(shares[&12], 0.5), "{shares:?}");
}

#[test]
fn who_asks_for_many_sessions_gets_no_more() {
    let shares = shares(&[(1, 11, 1_464), (2, 21, 1_464), (2, 22, 700), (2, 23, 1_464), (2, 24, 200)]);
    assert!(is_near(shares[&11], 0.5), "{shares:?}");
    assert!((21..=24).all(|other| is_near(shares[&other], 0.125)), "{shares:?}");
}

#[test]
fn acknowledgements_do_not_wait_behind_data() {
    let mut case = RelayCase::new();
    let session = case.open(1, 2).expect("a session");
    let (mut sent, mut budget) = (BTreeMap::<NodeId, usize>::new(), 0_i64);
    for now in 0..1_000 {
        assert!(case.send(now, place(1), session.asker, &[1_464; 20]));
        assert!(case.send(now, place(2), session.other, &[60; 2]));
        // Half of what comes.
        budget += 15_000;
        while budget > 0 {
            let Some(forward) = case.relay.next(now) else { break };
            budget -= forward.batch.bytes.len() as i64;
            *sent.entry(forward.to).or_default() += forward.batch.packets();
        }
    }
    let [to_asker, to_other] = [1, 2].map(|number| sent[&node(number)]);
    assert!(to_asker >= 1_900 && (9_000..=10_500).contains(&to_other), "{to_asker}, {to_other}");
}
