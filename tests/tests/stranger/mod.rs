//! What somebody who is not a member gets from a member's node: nothing.
//!
//! The strangers know the node's address and key and the name of every protocol. Some know the gate secret too, because
//! they once had a ticket or were members.

mod attacker;
mod flood;
mod pool;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fsdfs_core::facts::GateRefusal;
use fsdfs_node::net::NetEvent;
use fsdfs_proto::gate::{
    GateDirection, GateHello, GateProof, GateVerdict, GateWelcome, ProtocolMismatch, VERSIONS, frame_len,
};
use fsdfs_proto::identity::{Cert, founder_cert, pool_of};
use fsdfs_proto::ids::{Digest, Key};
use fsdfs_proto::signed::Signed;
use futures::future::join_all;

use attacker::{AttackHaul, Attacker};
use pool::{FOUNDER, Member, PATIENCE, Pool, SECRET, key, node, pool_id};

/// Attacks at the same time. The gate gives up after 3 s, so more would be too many for a busy machine.
const AT_ONCE: usize = 8;
/// An attack that got no verdict because the machine was busy is made so often.
const ATTEMPTS: usize = 5;
/// The member is asked once more to look for a stranger whom it has not dialled by then.
const SEARCH: Duration = Duration::from_secs(10);

/// How a stranger tries to get in.
struct AttackTrick {
    name: &'static str,
    /// None: it does not know the gate at all and speaks libp2p's protocols at once.
    secret: Option<Key>,
    /// Made for the stranger's own node.
    proof: fn(&Pool, u8) -> Option<GateProof>,
    /// What it is told, if it knows the secret.
    answer: Option<GateVerdict>,
}

fn tricks() -> Vec<AttackTrick> {
    let refused = |refusal| Some(GateVerdict::Refused(refusal));
    let trick = |name, secret, proof, answer| AttackTrick { name, secret, proof, answer };
    let other = Some(Key([8; 32]));
    vec![
        trick("no gate", None, |_, _| None, None),
        trick("another secret, no chain", other, |_, _| None, None),
        trick("another secret, forged chain", other, |_, own| Some(forged(own)), None),
        trick("another secret, a member's chain", other, |pool, _| Some(stolen(pool)), None),
        trick("no chain", Some(SECRET), |_, _| None, Some(GateVerdict::Unsuited(ProtocolMismatch::Unknown))),
        trick("forged chain", Some(SECRET), |_, own| Some(forged(own)), refused(GateRefusal::OtherPool)),
        trick(
            "chain of another pool",
            Some(SECRET),
            |_, own| Some(of_another_pool(own)),
            refused(GateRefusal::BadSignature),
        ),
        trick("a member's chain", Some(SECRET), |pool, _| Some(stolen(pool)), refused(GateRefusal::WrongPeer)),
        trick(
            "expired ticket",
            Some(SECRET),
            |pool, own| Some(expired(pool, own)),
            refused(GateRefusal::TicketExpired),
        ),
        trick("revoked member", Some(SECRET), |pool, own| Some(revoked(pool, own)), refused(GateRefusal::Revoked)),
    ]
}

fn proof(certs: &[Signed<Cert>]) -> GateProof {
    let certs = certs.iter().map(Signed::envelope).collect();
    GateProof { certs, admissions: vec![], gossip: Digest([0; 32]) }
}

/// Its own root key signs as if it were this pool's.
fn forged(own: u8) -> GateProof {
    let cert = founder_cert(pool_of(&key(254)), &key(254), node(own)).value().clone();
    proof(&[Signed::sign(pool_id(), &key(254), cert)])
}

fn of_another_pool(own: u8) -> GateProof {
    proof(&[founder_cert(pool_of(&key(254)), &key(254), node(own))])
}

fn stolen(pool: &Pool) -> GateProof {
    proof(&pool.facts.chain_of(node(FOUNDER)).expect("the founder has a chain"))
}

fn expired(pool: &Pool, own: u8) -> GateProof {
    proof(&pool.ticket_chain(own, 1))
}

/// Its certificate is good; only the revocation stands against it.
fn revoked(pool: &Pool, own: u8) -> GateProof {
    proof(&[founder_cert(pool_of(&pool.root), &pool.root, node(own))])
}

/// Seeds of keys for strangers, each used once: half of them with a smaller id than the member's.
fn strangers(count: usize) -> Vec<u8> {
    let sided = |smaller: bool| (10..).filter(move |seed| (node(*seed) < node(FOUNDER)) == smaller).take(count / 2);
    sided(true).chain(sided(false)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opens_no_protocol_and_learns_nothing() {
    let (mut pool, tricks) = (Pool::new(), tricks());
    // Each trick with a smaller and a larger id, dialling and dialled.
    let strangers = strangers(4 * tricks.len());
    let attempts =
        strangers.iter().enumerate().map(|(at, own)| (&tricks[at % tricks.len()], *own, at / tricks.len() % 2 == 0));
    let attempts: Vec<(&AttackTrick, u8, bool)> = attempts.collect();
    for (trick, own, _) in &attempts {
        if trick.answer == Some(GateVerdict::Refused(GateRefusal::Revoked)) {
            pool.add_and_revoke(*own);
        }
    }
    let mut member = Member::start(&pool.keeper(FOUNDER)).await;
    for group in attempts.chunks(AT_ONCE) {
        join_all(group.iter().map(|(trick, own, dials)| attack(&pool, &member, trick, *own, *dials))).await;
    }
    assert!(!member.was_up(), "a stranger was reported as a member");

    // The same node lets members in all the while.
    pool.add(1);
    member.keeper.update(pool.facts.clone());
    let mut friend = Member::start(&pool.keeper(1)).await;
    assert!(friend.comes_to(&member).await, "a member was kept out");
}

/// By dialling the member or by being dialled.
async fn attack(pool: &Pool, member: &Member, trick: &AttackTrick, own: u8, dials: bool) {
    let name = format!("{}, {} id, {}", trick.name, side(own), if dials { "dialling" } else { "dialled" });
    // An address for each, because a node lets only a few from one address to its gate at a time.
    let mut attacker = Attacker::listen(own, [127, 0, 1, own]).await;
    let bytes = trick.secret.map(|secret| gate_bytes(&secret, own, (trick.proof)(pool, own)));
    let mut haul = attempt(member, &mut attacker, own, dials, bytes.clone()).await;
    for _ in 1..ATTEMPTS {
        if trick.answer.is_none() || verdict(&haul.gate).is_some() {
            break;
        }
        haul = attempt(member, &mut attacker, own, dials, bytes.clone()).await;
    }
    check(&name, trick, own, pool, &haul);
}

async fn attempt(member: &Member, attacker: &mut Attacker, own: u8, dials: bool, bytes: Option<Vec<u8>>) -> AttackHaul {
    if dials {
        return attacker.dial(member.addr(), member.node, bytes).await;
    }
    let begun = Instant::now();
    loop {
        member.net.find(node(own), vec![attacker.addr().to_string()]);
        if let Some(haul) = attacker.wait(SEARCH, member.node, bytes.clone()).await {
            return haul;
        }
        assert!(begun.elapsed() < PATIENCE, "the member does not dial");
    }
}

fn side(own: u8) -> &'static str {
    if node(own) < node(FOUNDER) { "smaller" } else { "larger" }
}

/// Its hello, and a verdict as if it had already been let in.
fn gate_bytes(secret: &Key, own: u8, proof: Option<GateProof>) -> Vec<u8> {
    let way = GateDirection { secret, sender: node(own), receiver: node(FOUNDER) };
    let hello = way.seal([1; 12], &GateHello { versions: VERSIONS.to_vec(), proof }).expect("a hello fits");
    let verdict = way.seal([2; 12], &GateVerdict::Accepted(GateWelcome::default())).expect("a verdict fits");
    [hello, verdict].concat()
}

fn check(name: &str, trick: &AttackTrick, own: u8, pool: &Pool, haul: &AttackHaul) {
    assert!(haul.closed, "{name}: the connection stays open");
    assert_eq!(haul.streams_opened, usize::from(haul.gate_was_opened_for_us), "{name}: the member opened a protocol");
    assert!(haul.elsewhere.is_empty(), "{name}: a protocol was answered: {:?}", haul.elsewhere);
    if let Some(answer) = &trick.answer {
        check_told(name, own, haul, answer);
    } else {
        check_random(name, pool, &haul.gate);
    }
}

/// Whoever knows the secret can read the frames. They say only why it is refused.
fn check_told(name: &str, own: u8, haul: &AttackHaul, answer: &GateVerdict) {
    let way = GateDirection { secret: &SECRET, sender: node(FOUNDER), receiver: node(own) };
    let (hello, _) = frame(&haul.gate).unwrap_or_else(|| panic!("{name}: the member did not say hello"));
    let (verdict, rest) = verdict(&haul.gate).unwrap_or_else(|| panic!("{name}: no verdict"));
    assert!(rest.is_empty(), "{name}");
    let hello: GateHello = way.open(hello).expect("a hello");
    assert_eq!(hello.proof, None, "{name}: the member showed its chain");
    assert_eq!(&way.open::<GateVerdict>(verdict).expect("a verdict"), answer, "{name}");
}

/// The frame that these bytes begin with, and what follows it; none if it is not whole.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(frame_len(*head).expect("a frame"))
}

/// The second frame on the gate's stream, behind the hello.
fn verdict(gate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = frame(gate)?;
    frame(rest)
}

/// At most one frame, and in it nothing that a stranger could recognise.
fn check_random(name: &str, pool: &Pool, bytes: &[u8]) {
    assert!(bytes.len() <= 2 + 12 + 16 + 1024, "{name}: {} bytes", bytes.len());
    let chain = pool.facts.chain_of(node(FOUNDER)).expect("the founder has a chain");
    let known = [&pool_id().0[..], &node(FOUNDER).0, &chain[0].envelope().payload, b"fsdfs", b"/multistream", b"/ipfs"];
    for secret in known {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{name}: readable bytes");
    }
    // Zeros of the padding would show here; 1,052 random bytes hold about 252 of the 256 values.
    let values: BTreeSet<u8> = bytes.iter().copied().collect();
    assert!(bytes.is_empty() || values.len() > 200, "{name}: {} values", values.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_do_not_keep_a_member_out() {
    let mut pool = Pool::new();
    pool.add(1);
    let mut member = Member::start(&pool.keeper(FOUNDER)).await;
    let mut friend = Member::start(&pool.keeper(1)).await;
    let mut silent = Attacker::listen(10, [127, 0, 2, 1]).await;
    let held = silent.knock(member.addr(), 32).await;
    assert!(friend.comes_to(&member).await, "the member was kept out");
    member.until(|event| matches!(event, NetEvent::Up { .. })).await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_expired_after_use_does_not_lock_its_user_out() {
    let mut pool = Pool::new();
    let newcomer = 7;
    let admission = pool.admit(newcomer, 1);
    let mut forgetful = Member::start(&pool.keeper(FOUNDER)).await;
    // The newcomer has its admission; the founder's node does not know it yet, or no longer.
    let mut user = Member::start(&pool.keeper_with(newcomer, admission)).await;
    assert!(user.comes_to(&forgetful).await, "its user was locked out");
    forgetful.until(|event| matches!(event, NetEvent::Up { node, .. } if *node == user.node)).await;
}
