use super::*;
use crate::engine::test_kit::pool::{admins, head, key, keys, node, pool_id, public, root};
use crate::engine::test_kit::{asked_of_disk, context, effects, pass, revoke};

/// Node `me` of three, of which 0 and 1 are admins, with the keys of epoch 1 on its ring.
fn admin(me: u8) -> (Context, KeyRing) {
    let (mut cx, mut ring) = (context(me, 3), KeyRing::default());
    let first = admins(1, None, &[0]);
    cx.facts.insert(admins(2, Some(first.id()), &[0, 1]).into());
    cx.facts.drain_new();
    let secret = SecretKey::new([0x71; 32]);
    let (pool, volume) = (pool_id(), pool_id().volume());
    let capability = Capability { pool, volume, level: CapabilityLevel::Write, epoch: 1, secret, owner_seed: None };
    ring.add(volume, capability.text().as_str());
    ring.take_up(&mut cx);
    effects(&mut cx);
    (cx, ring)
}

fn due_in(cx: &mut Context) -> Option<u64> {
    let now = cx.now.mono;
    (0..=ROTATE_EVERY_MS).find(|ms| cx.timers.due(now + ms) == Some(Timer::Rotate))
}

/// What is in the log before anybody hears of the epoch.
fn begun(cx: &mut Context, rotation: &mut Rotation) -> bool {
    rotation.on_due(cx);
    matches!(&asked_of_disk(cx)[..], [(DiskRequest::Log { entries }, Waiter::Rotation)] if entries.len() == 1)
}

fn volume() -> VolumeId {
    pool_id().volume()
}

#[test]
fn a_removal_makes_the_admins_node_begin_an_epoch_from_the_heads_that_stand() {
    let ((mut cx, mut ring), mut rotation, mut gossip) = (admin(0), Rotation::default(), Gossip::default());
    let standing = head(1, &[(1, 1)]);
    cx.facts.insert(standing.clone().into());
    cx.facts.drain_new();
    rotation.check(&mut cx);
    assert_eq!(due_in(&mut cx), None, "nobody is out");
    revoke(&mut cx, 2);
    rotation.check(&mut cx);
    assert_eq!(due_in(&mut cx), Some(ROTATE_AFTER_MS));
    assert!(begun(&mut cx, &mut rotation));
    assert_eq!(cx.facts.epoch(volume()).map(|epoch| epoch.value().epoch), Some(1), "its key is not durable yet");
    rotation.on_logged(&mut cx, &mut gossip, &mut ring, true);
    ring.take_up(&mut cx);
    let epoch = cx.facts.epoch(volume()).expect("known").value().clone();
    assert_eq!((epoch.epoch, &epoch.without[..]), (2, &[node(2)][..]));
    assert_eq!(epoch.frozen_heads, [BlockId::of(&standing.value().commit)]);
    assert_eq!(cx.facts.heads(volume()), [standing], "the new epoch begins from it");
    let held = cx.keys[&volume()].clone();
    assert_eq!(held.writer().map(|writer| (writer.epoch(), writer.write_pk())), Some((2, epoch.write_pk)));
    let previous = held.open_previous(&epoch.prev_sealed.expect("sealed")).expect("with this epoch's key");
    assert_eq!(previous.read_key(), keys(1).read_key());
    assert!(!begun(&mut cx, &mut rotation), "once is enough");
}

/// The head that stood before was nowhere any more, and the volume had none (household seed 59).
#[test]
fn an_epoch_begins_from_what_stands_when_its_key_is_durable() {
    let ((mut cx, mut ring), mut rotation, mut gossip) = (admin(0), Rotation::default(), Gossip::default());
    cx.facts.insert(head(1, &[(1, 1)]).into());
    revoke(&mut cx, 2);
    assert!(begun(&mut cx, &mut rotation));
    let newer = head(1, &[(1, 2)]);
    cx.facts.insert(newer.clone().into());
    cx.facts.drain_new();
    rotation.on_logged(&mut cx, &mut gossip, &mut ring, true);
    let epoch = cx.facts.epoch(volume()).expect("known").value();
    assert_eq!((epoch.epoch, &epoch.frozen_heads[..]), (2, &[BlockId::of(&newer.value().commit)][..]));
    assert_eq!(cx.facts.heads(volume()), [newer]);
}

#[test]
fn nobody_hears_of_an_epoch_whose_key_is_not_in_the_log() {
    let ((mut cx, mut ring), mut rotation) = (admin(0), Rotation::default());
    revoke(&mut cx, 2);
    assert!(begun(&mut cx, &mut rotation));
    rotation.on_logged(&mut cx, &mut Gossip::default(), &mut ring, false);
    assert_eq!(cx.facts.epochs(volume()).len(), 1);
    assert!(due_in(&mut cx).is_some(), "it is tried again");
}

#[test]
fn an_admin_of_lower_rank_gives_the_others_time_and_a_member_does_nothing() {
    let ((mut cx, _), mut rotation) = (admin(1), Rotation::default());
    revoke(&mut cx, 2);
    rotation.check(&mut cx);
    assert_eq!(due_in(&mut cx), Some(ROTATE_AFTER_MS + ROTATE_STAGGER_MS));
    // Meanwhile the other one did it.
    let mut statement = crate::engine::test_kit::pool::epoch(&key(0), 2, Vec::new()).value().clone();
    statement.without = vec![node(2)];
    cx.facts.insert(Signed::sign(pool_id(), &key(0), statement).into());
    assert!(!begun(&mut cx, &mut rotation));

    let ((mut cx, _), mut rotation) = (admin(2), Rotation::default());
    revoke(&mut cx, 1);
    rotation.check(&mut cx);
    assert!(due_in(&mut cx).is_none() && !begun(&mut cx, &mut rotation));
}

#[test]
fn members_thrown_out_one_by_one_make_one_epoch_a_minute() {
    let ((mut cx, mut ring), mut rotation, mut gossip) = (admin(0), Rotation::default(), Gossip::default());
    revoke(&mut cx, 2);
    assert!(begun(&mut cx, &mut rotation));
    rotation.on_logged(&mut cx, &mut gossip, &mut ring, true);
    ring.take_up(&mut cx);
    pass(&mut cx, 1_000);
    while cx.timers.due(cx.now.mono + ROTATE_EVERY_MS).is_some() {}
    revoke(&mut cx, 1);
    rotation.check(&mut cx);
    assert_eq!(due_in(&mut cx), Some(ROTATE_EVERY_MS - 1_000));
}

#[test]
fn two_epochs_begun_at_once_leave_both_keys_to_read_and_the_higher_rank_to_write() {
    let ((mut one, mut ring), mut rotation, mut gossip) = (admin(0), Rotation::default(), Gossip::default());
    let ((mut other, mut other_ring), mut other_rotation) = (admin(1), Rotation::default());
    for cx in [&mut one, &mut other] {
        revoke(cx, 2);
    }
    assert!(begun(&mut one, &mut rotation) && begun(&mut other, &mut other_rotation));
    rotation.on_logged(&mut one, &mut gossip, &mut ring, true);
    ring.take_up(&mut one);
    other_rotation.on_logged(&mut other, &mut gossip, &mut other_ring, true);
    other_ring.take_up(&mut other);
    // They meet.
    let theirs = one.facts.epoch(volume()).expect("known").clone();
    other.facts.insert(theirs.clone().into());
    other_ring.take_up(&mut other);
    assert_eq!(other.facts.epoch(volume()), Some(&theirs), "by rank");
    assert!(other.keys[&volume()].writer().is_none(), "it writes when it has the key");
    assert_eq!(other.readable.len(), 2, "its own epoch and the first one can be read");
    assert_ne!(theirs.value().write_pk, public(&root()));
}

#[test]
fn the_keys_of_an_ended_epoch_open_nothing_of_the_next_one() {
    use fsdfs_proto::volume::Commit;
    let (before, after) = (head(1, &[(1, 1)]), head(2, &[(1, 2)]));
    assert!(Commit::open(&keys(1), &before.value().commit).is_ok());
    assert!(Commit::open(&keys(1), &after.value().commit).is_err(), "whoever was thrown out has these");
    let both = keys(2).with_others([&keys(1)]);
    assert!([before, after].iter().all(|head| Commit::open(&both, &head.value().commit).is_ok()));
    assert!(keys(1).open_previous(&keys(2).seal_previous(&keys(1))).is_none(), "backwards only");
}
