use fsdfs_proto::identity::Role;

use super::*;
use crate::engine::test_kit::pool::{TestPool, epoch, keys, node, pool_id, root};
use crate::engine::test_kit::{asked_of_disk, connect, context, effects, events, sent};
use crate::facts::MemberStatus;

fn volume() -> VolumeId {
    pool_id().volume()
}

/// The text of a capability for epoch `number`; it is the right one if `secret` is 0x70 + `number`.
fn capability(level: CapabilityLevel, number: u32, secret: [u8; 32]) -> String {
    let (secret, owner_seed) = (SecretKey::new(secret), None);
    Capability { pool: pool_id(), volume: volume(), level, epoch: number, secret, owner_seed }.text().to_string()
}

fn right() -> String {
    capability(CapabilityLevel::Write, 1, [0x71; 32])
}

fn reply(text: Option<String>) -> CapabilityReply {
    CapabilityReply { request: 1, capability: text }
}

/// Node 1 of three, which has no keys yet.
fn keyless() -> Context {
    let mut cx = context(1, 3);
    cx.keys.clear();
    cx.readable.clear();
    cx
}

/// As [`keyless`], and no epoch is known.
fn epochless() -> Context {
    let mut cx = keyless();
    cx.facts = TestPool::of(3).facts;
    cx.facts.drain_new();
    cx
}

/// Nodes 1 and 2 came in by a ticket for one, so one of them is a guest. Node `me` of that pool, without keys, and the guest.
fn with_guest(me: u8) -> (Context, u8) {
    let mut cx = context(me, 1);
    let mut pool = TestPool::new();
    let ticket = pool.ticket(0, 1, 0);
    pool.join(0, ticket, 1, 1);
    pool.join(0, ticket, 2, 2);
    pool.say(epoch(&root(), 1, Vec::new()));
    let guest = (1..3).find(|number| pool.standing(*number) == Some(MemberStatus::Guest)).expect("one too many");
    cx.facts = pool.facts;
    cx.facts.drain_new();
    cx.keys.clear();
    (cx, guest)
}

/// What a node that holds the keys hands out to `from`.
fn served(cx: &mut Context, ring: &mut KeyRing, from: u8, volume: VolumeId) -> Option<String> {
    // Whether the others know it, too, is the business of the grants.
    ring.grants.confirm(node(from));
    let request = CapabilityRequest { request: 5, volume, epoch: None };
    ring.serve(cx, &Liveness::default(), node(from), &request);
    match sent(cx).pop() {
        Some((to, Message::CapabilityReply(reply))) if to == node(from) && reply.request == 5 => reply.capability,
        other => panic!("every question is answered: {other:?}"),
    }
}

#[test]
fn the_right_capability_is_logged_and_used() {
    let (mut cx, mut ring) = (keyless(), KeyRing::default());
    ring.on_reply(&mut cx, volume(), &reply(Some(right())));
    assert_eq!(cx.keys[&volume()].read_check(), keys(1).read_check());
    assert!(cx.keys[&volume()].writer().is_some());
    let entry = LogEntry::Capability(CapabilityEntry { volume: volume(), text: right() });
    let log = DiskRequest::Log { entries: vec![entry.clone()] };
    assert_eq!(asked_of_disk(&mut cx), [(log, Waiter::Gossip(GossipToken::Log))]);
    assert!(matches!(events(&mut cx)[..], [Event::KeysArrived]));
    assert!(ring.entries().eq([entry]));
}

#[test]
fn a_wrong_capability_is_never_used_and_forgotten() {
    let wrong = [
        capability(CapabilityLevel::Write, 1, [0x99; 32]),
        capability(CapabilityLevel::Read, 1, [0x71; 32]),
        "no capability at all".to_owned(),
    ];
    for text in wrong {
        let (mut cx, mut ring) = (keyless(), KeyRing::default());
        ring.on_reply(&mut cx, volume(), &reply(Some(text)));
        assert!(cx.keys.is_empty() && ring.entries().next().is_none());
        assert!(effects(&mut cx).is_empty() && events(&mut cx).is_empty());
        ring.on_reply(&mut cx, volume(), &reply(Some(right())));
        assert!(cx.keys.contains_key(&volume()), "the next one may be right");
    }
}

#[test]
fn a_capability_waits_for_its_epoch() {
    let (mut cx, mut ring) = (epochless(), KeyRing::default());
    ring.on_reply(&mut cx, volume(), &reply(Some(right())));
    assert!(cx.keys.is_empty() && effects(&mut cx).is_empty());
    assert_eq!(ring.entries().count(), 1, "kept until it can be judged");
    cx.facts.insert(epoch(&root(), 1, Vec::new()).into());
    ring.take_up(&mut cx);
    assert!(cx.keys.contains_key(&volume()));
    assert!(matches!(events(&mut cx)[..], [Event::KeysArrived]));
    effects(&mut cx);
    ring.take_up(&mut cx);
    assert!(effects(&mut cx).is_empty() && events(&mut cx).is_empty(), "once");
}

#[test]
fn keys_in_use_are_not_replaced_by_what_a_peer_says() {
    let (mut cx, mut ring) = (keyless(), KeyRing::default());
    ring.on_reply(&mut cx, volume(), &reply(Some(right())));
    ring.on_reply(&mut cx, volume(), &reply(Some(capability(CapabilityLevel::Write, 1, [0x99; 32]))));
    ring.on_reply(&mut cx, volume(), &reply(None));
    assert_eq!(served(&mut cx, &mut ring, 2, volume()), Some(right()));
}

#[test]
fn the_shared_volume_is_served_to_full_members_and_nothing_else_is() {
    let (mut cx, guest) = with_guest(0);
    let mut ring = KeyRing::default();
    let private = VolumeId([3; 32]);
    ring.add(volume(), &right());
    ring.add(private, "a private one's");
    ring.take_up(&mut cx);
    effects(&mut cx);
    let member = 3 - guest;
    assert_eq!(served(&mut cx, &mut ring, member, volume()), Some(right()));
    assert_eq!(served(&mut cx, &mut ring, guest, volume()), None, "a guest");
    assert_eq!(served(&mut cx, &mut ring, 9, volume()), None, "a stranger");
    assert_eq!(served(&mut cx, &mut ring, member, private), None, "an explicit share only");
    assert_eq!(served(&mut cx, &mut KeyRing::default(), member, volume()), None, "not held");
}

/// Node 0 of a pool with a reader and one that stores only; 1 and 2.
fn with_roles(me: u8) -> Context {
    let mut cx = context(me, 1);
    let mut pool = TestPool::new();
    for (number, role) in [(1, Role::Reader), (2, Role::StorageOnly)] {
        let ticket = pool.ticket_for(0, role);
        pool.join(0, ticket, number, u64::from(number));
    }
    pool.say(epoch(&root(), 1, Vec::new()));
    cx.facts = pool.facts;
    cx.facts.drain_new();
    cx.keys.clear();
    cx.readable.clear();
    cx
}

#[test]
fn a_reader_gets_what_it_takes_to_read_and_who_stores_only_gets_nothing() {
    let (mut cx, mut ring) = (with_roles(0), KeyRing::default());
    ring.add(volume(), &right());
    ring.take_up(&mut cx);
    effects(&mut cx);
    let given = served(&mut cx, &mut ring, 1, volume()).expect("a reader reads");
    let given: Capability = given.parse().expect("a capability");
    assert_eq!((given.level, *given.secret.key()), (CapabilityLevel::Read, keys(1).read_key()));
    assert_eq!(served(&mut cx, &mut ring, 2, volume()), None);

    let (mut reader, mut ring) = (with_roles(1), KeyRing::default());
    let peer = connect(&mut reader, 0);
    ring.request(&mut reader, peer);
    assert_eq!(sent(&mut reader).len(), 1, "it asks");
    ring.on_reply(&mut reader, volume(), &reply(Some(given.text().as_str().to_owned())));
    assert!(reader.has_current_key(volume()) && reader.keys[&volume()].writer().is_none());
    effects(&mut reader);
    ring.request(&mut reader, peer);
    assert!(sent(&mut reader).is_empty(), "it has what it is entitled to");
    // It can pass on no more than it has.
    assert_eq!(served(&mut reader, &mut ring, 0, volume()), None, "a full member wants to write");
}

#[test]
fn a_full_member_that_was_given_the_read_key_only_goes_on_asking() {
    let (mut cx, mut ring) = (keyless(), KeyRing::default());
    let read = capability(CapabilityLevel::Read, 1, keys(1).read_key().0);
    ring.on_reply(&mut cx, volume(), &reply(Some(read)));
    assert!(cx.keys[&volume()].writer().is_none());
    let peer = connect(&mut cx, 0);
    effects(&mut cx);
    ring.request(&mut cx, peer);
    assert_eq!(sent(&mut cx).len(), 1);
    ring.on_reply(&mut cx, volume(), &reply(Some(right())));
    assert!(cx.keys[&volume()].writer().is_some());
}

#[test]
fn a_new_epoch_takes_the_write_key_away_until_its_own_has_come() {
    let (mut cx, mut ring) = (keyless(), KeyRing::default());
    ring.on_reply(&mut cx, volume(), &reply(Some(right())));
    let sealed = keys(2).seal_previous(&keys(1));
    let mut second = epoch(&root(), 2, Vec::new()).value().clone();
    second.prev_sealed = Some(sealed);
    cx.facts.insert(Signed::sign(pool_id(), &root(), second.clone()).into());
    ring.take_up(&mut cx);
    assert!(!cx.has_current_key(volume()) && cx.keys[&volume()].writer().is_none(), "it reads, and waits");
    let peer = connect(&mut cx, 0);
    effects(&mut cx);
    ring.request(&mut cx, peer);
    assert!(matches!(&sent(&mut cx)[..], [(_, Message::Capability(CapabilityRequest { epoch: Some(_), .. }))]));
    ring.on_reply(&mut cx, volume(), &reply(Some(capability(CapabilityLevel::Write, 2, [0x72; 32]))));
    assert_eq!(cx.keys[&volume()].writer().map(fsdfs_proto::volume::WriteKeys::epoch), Some(2));
    assert_eq!(cx.readable.len(), 2, "both epochs open");
    // Whoever came later opens the older one with what the statement has of it.
    let mut late = keyless();
    late.facts = cx.facts.clone();
    let mut ring = KeyRing::default();
    ring.on_reply(&mut late, volume(), &reply(Some(capability(CapabilityLevel::Write, 2, [0x72; 32]))));
    assert_eq!(late.readable, cx.readable);
}

#[test]
fn only_a_full_member_that_lacks_the_keys_asks_for_them() {
    let asks = |cx: &mut Context| {
        let peer = connect(cx, 0);
        KeyRing::default().request(cx, peer);
        sent(cx).len()
    };
    assert_eq!(asks(&mut keyless()), 1);
    let (_, guest) = with_guest(0);
    assert_eq!(asks(&mut with_guest(guest).0), 0, "a guest gets none");
    assert_eq!(asks(&mut with_guest(3 - guest).0), 1);
}
