use fsdfs_proto::identity::SecretKey;

use super::*;
use crate::engine::test_kit::pool::{TestPool, epoch, keys, node, pool_id, root};
use crate::engine::test_kit::{asked_of_disk, connect, context, effects, events, sent};

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
fn served(cx: &mut Context, ring: &KeyRing, from: u8, volume: VolumeId) -> Option<String> {
    ring.serve(cx, node(from), &CapabilityRequest { request: 5, volume });
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
        capability(CapabilityLevel::Write, 2, [0x72; 32]),
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
    assert_eq!(served(&mut cx, &ring, 2, volume()), Some(right()));
}

#[test]
fn the_shared_volume_is_served_to_full_members_and_nothing_else_is() {
    let (mut cx, guest) = with_guest(0);
    let mut ring = KeyRing::default();
    let private = VolumeId([3; 32]);
    ring.add(volume(), &right());
    ring.add(private, "a private one's");
    let member = 3 - guest;
    assert_eq!(served(&mut cx, &ring, member, volume()), Some(right()));
    assert_eq!(served(&mut cx, &ring, guest, volume()), None, "a guest");
    assert_eq!(served(&mut cx, &ring, 9, volume()), None, "a stranger");
    assert_eq!(served(&mut cx, &ring, member, private), None, "an explicit share only");
    assert_eq!(served(&mut cx, &KeyRing::default(), member, volume()), None, "not held");
}

#[test]
fn only_a_full_member_that_lacks_the_keys_asks_for_them() {
    let asks = |cx: &mut Context| {
        let peer = connect(cx, 0);
        KeyRing::default().request(cx, peer);
        sent(cx).len()
    };
    assert_eq!(asks(&mut keyless()), 1);
    assert_eq!(asks(&mut context(1, 3)), 0, "it has them");
    let (_, guest) = with_guest(0);
    assert_eq!(asks(&mut with_guest(guest).0), 0, "a guest gets none");
    assert_eq!(asks(&mut with_guest(3 - guest).0), 1);
}
