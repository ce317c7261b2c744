//! Members that say whatever they like.

use fsdfs_proto::ids::{MeetingId, NodeId, SessionToken};
use fsdfs_proto::message::Message;
use fsdfs_proto::message::meeting::{
    Candidate, CandidateKind, Introduced, MeetRequest, MeetingCandidates, RelaySession,
};

use super::homes::{Home, add, add_relay, pair};
use super::world::{World, node};
use crate::net::meet::{MeetInput, MeetOutput, MeetPath, Now};

fn candidates(number: u8) -> Vec<Candidate> {
    let of = |port: u16| Candidate {
        kind: CandidateKind::Seen,
        address: std::net::SocketAddr::from(([203, 0, 113, number], port)).into(),
    };
    (1..=8).map(of).collect()
}

fn session(number: u64) -> RelaySession {
    let mut meeting = [0; 16];
    meeting[..8].copy_from_slice(&number.to_be_bytes());
    RelaySession { token: SessionToken(number.to_be_bytes()), meeting: MeetingId(meeting), candidates: candidates(9) }
}

/// What one node does when a member says all this to it, a message each millisecond.
fn outputs_for(
    world: &mut World,
    at: NodeId,
    from: NodeId,
    messages: impl Iterator<Item = Message>,
) -> Vec<MeetOutput> {
    let mut out = Vec::new();
    for message in messages {
        world.now += 1;
        let now = Now { ms: world.now, minute: 0 };
        world.host(at).machine.handle(now, MeetInput::Message { from, message }, &mut out);
        if let Some(MeetOutput::OpenSession { .. }) = out.last() {
            let opened =
                super::super::SessionTokens { asker: session(world.now).token, other: session(!world.now).token };
            let (meeting, tokens) = (session(world.now).meeting, Ok(opened));
            let input = MeetInput::SessionOpened { meeting, tokens };
            world.host(at).machine.handle(now, input, &mut out);
        }
    }
    out
}

#[test]
fn a_relay_serves_no_more_than_its_limits() {
    let mut world = World::new();
    let relay = add_relay(&mut world, 101, 5);
    let others: Vec<NodeId> = (1..=90).map(|number| add(&mut world, number, Home::Open)).collect();
    world.deal_cards();
    for other in &others {
        let path = MeetPath::Direct(world.address(*other));
        world.input(relay, MeetInput::Up { node: *other, path });
    }
    let ask = |node, request| Message::Meet(MeetRequest { request, node, candidates: candidates(1) });
    let everybody: Vec<NodeId> = others[1..].to_vec();
    let asks = everybody.iter().zip(1..).map(|(node, request)| ask(*node, request));
    let out = outputs_for(&mut world, relay, others[0], asks);
    let opened =
        |out: &[MeetOutput]| out.iter().filter(|output| matches!(output, MeetOutput::OpenSession { .. })).count();
    assert_eq!(opened(&out), 16, "of one node");
    let refused = out.iter().filter(|output| matches!(output, MeetOutput::Send { message: Message::MeetReply(reply), .. } if reply.session.is_none()));
    assert_eq!(refused.count(), everybody.len() - 16, "each is answered");
    let mut all = opened(&out);
    for (number, asker) in others.iter().enumerate().skip(17) {
        let wanted = others[(number + 1) % others.len()];
        all += opened(&outputs_for(&mut world, relay, *asker, std::iter::once(ask(wanted, 7))));
    }
    assert_eq!(all, 64, "of all");
    // Whoever asks without end is not even refused.
    let flood = (0..50_000).map(|request| ask(others[1], request));
    let out = outputs_for(&mut world, relay, others[60], flood);
    // Meanwhile the sessions are answered whose other side said nothing.
    assert!(out.len() <= 256 + 50 * 16 + 64, "{}", out.len());
}

#[test]
fn introductions_without_end_leave_little_behind() {
    let (mut world, [a, b], relays) = pair([Home::Cone, Home::Cone], &[5]);
    let flood = (0..50_000).map(|number| Message::Introduced(Introduced { node: b, session: session(number) }));
    let out = outputs_for(&mut world, a, relays[0], flood);
    assert!(out.len() < 4 * (256 + 50 * 16), "{}", out.len());
    assert!(world.host(a).machine.ends.len() <= 16);
    let many = (0..50_000_u64).map(|number| {
        let member = node(u8::try_from(number % 250).unwrap());
        Message::Introduced(Introduced { node: member, session: session(100_000 + number) })
    });
    outputs_for(&mut world, a, relays[0], many);
    assert!(world.host(a).machine.ends.len() <= 16);
    world.run(60_000);
    assert_eq!(world.host(a).machine.ends.len(), 0, "they end by themselves");
    assert_eq!(world.host(a).machine.asking.len(), 0);
}

#[test]
fn knock_again_without_end_makes_no_more_than_a_round_in_seconds() {
    let (mut world, [a, b], _) = pair([Home::Symmetric, Home::Symmetric], &[5]);
    world.find(a, b);
    world.run(20_000);
    let Some(MeetPath::Relayed(token)) = world.path(a, b) else { panic!("not relayed") };
    let meeting = world.host(a).machine.ends.get(token).unwrap().meeting;
    let flood = (0..30_000).map(|_| Message::KnockAgain(MeetingCandidates { meeting, candidates: candidates(5) }));
    let out = outputs_for(&mut world, a, b, flood);
    let knocks = out.iter().filter(|output| matches!(output, MeetOutput::Knock { .. })).count();
    assert!(
        (1..=12 * 9 * 12).contains(&knocks),
        "{knocks}: in 30 s ten rounds and one with addresses that are new, nine knocks each at twelve addresses at most"
    );
    assert!(out.len() - knocks < 100, "{}", out.len() - knocks);
}

#[test]
fn knocks_without_end_are_answered_within_bounds() {
    let (mut world, [a, b], _) = pair([Home::Cone, Home::Symmetric], &[5]);
    world.find(a, b);
    world.run(1_500);
    let Some(MeetPath::Relayed(token)) = world.path(a, b) else { panic!("not relayed") };
    let meeting = world.host(a).machine.ends.get(token).unwrap().meeting;
    let mut out = Vec::new();
    for number in 0..60_000_u32 {
        let from = std::net::SocketAddr::from(([198, 18, 0, 1], u16::try_from(number % 60_000 + 1).unwrap()));
        let now = Now { ms: world.now, minute: 0 };
        world.host(a).machine.handle(now, MeetInput::Knock { peer: b, from, meeting, round: 1 }, &mut out);
    }
    assert!(out.len() < 300, "{}", out.len());
}

#[test]
fn a_token_that_is_in_use_already_is_refused() {
    let (mut world, [a, b], relays) = pair([Home::Symmetric, Home::Symmetric], &[5, 6]);
    world.find(a, b);
    world.run(3_000);
    let Some(MeetPath::Relayed(token)) = world.path(a, b) else { panic!("not relayed") };
    let stolen = RelaySession { token, ..session(1) };
    for relay in relays {
        let introduced = Message::Introduced(Introduced { node: b, session: stolen.clone() });
        let out = outputs_for(&mut world, a, relay, std::iter::once(introduced));
        assert!(
            !out.iter().any(|output| matches!(output, MeetOutput::OpenPath { .. } | MeetOutput::ClosePath(_))),
            "{out:?}"
        );
    }
    assert!(world.is_linked(a, b));
}
