use fsdfs_proto::ids::{DiskId, DiskNonce, Instance, NodeId};

use super::*;
use crate::engine::admin::change_drain;
use crate::engine::blocks::holds_nothing;
use crate::engine::test_kit::pool::beat;
use crate::engine::test_kit::pool::node;
use crate::engine::test_kit::{connect, context, disk, effects, events, pass};
use crate::limits::HOUR_MS;
use crate::seam::{DiskCondition, Effect};

#[test]
fn small_growth_does_not_move_data() {
    assert_eq!(weight_to_publish(None, 100), 100);
    assert_eq!(weight_to_publish(Some(100), 115), 100, "less than 16 units");
    assert_eq!(weight_to_publish(Some(100), 116), 116);
    assert_eq!(weight_to_publish(Some(1_000), 1_049), 1_000, "less than 5 %");
    assert_eq!(weight_to_publish(Some(1_000), 1_050), 1_050);
    assert_eq!(weight_to_publish(Some(1_000), 999), 999, "downward at once");
    assert_eq!(weight_to_publish(Some(0), 1), 1, "a drained disk comes back");
}

fn own_card() -> OwnCard {
    let addrs = vec!["192.0.2.0:4001".to_owned()];
    let instance = Instance([0; 8]);
    OwnCard::new(
        Profile { name: "attic".into(), site: "home".into(), addrs, uplink: None, instance, flags: 0 },
        1 << 30,
    )
}

/// The card that is issued now, if any is.
fn issued(cx: &mut Context, card: &OwnCard) -> Option<Card> {
    card.issue(cx, &mut Gossip::default());
    let made = events(cx).into_iter().find_map(|event| match event {
        Event::FactMade(Fact::Card(card)) => Some(card.value().clone()),
        _ => None,
    });
    effects(cx);
    made
}

/// The heartbeat that is made now, if one is.
fn beaten(cx: &mut Context, card: &mut OwnCard) -> Option<(u64, u64)> {
    let last = |cx: &Context| {
        let beat = cx.facts.members().get(&cx.me).and_then(|me| me.heartbeat.as_ref());
        beat.map(|beat| (beat.value().boot, beat.value().counter))
    };
    let before = last(cx);
    card.heartbeat(cx, &mut Gossip::default(), &[]);
    last(cx).filter(|beat| before != Some(*beat))
}

#[test]
fn a_card_is_issued_only_if_it_says_something_new() {
    let (mut cx, mut card) = (context(0, 3), own_card());
    let first = issued(&mut cx, &card).expect("the pool knows a card with another name");
    assert_eq!((first.seq, &first.name[..], first.node), (2, "attic", cx.me));
    assert_eq!(issued(&mut cx, &card), None);
    card.readdress(vec!["198.51.100.7:4001".to_owned()]);
    let second = issued(&mut cx, &card).expect("its address changed");
    assert_eq!((second.seq, &second.addrs[..]), (3, &["198.51.100.7:4001".to_owned()][..]));
    assert_eq!(issued(&mut cx, &card), None);
    let held = cx.facts.members()[&cx.me].card.as_ref().map(|card| card.value().clone());
    assert_eq!(held, Some(second), "it stands in the facts");
}

#[test]
fn a_card_says_whether_the_node_relays_and_leaves_what_else_the_network_does() {
    let (mut cx, mut card) = (context(0, 3), own_card());
    let before = issued(&mut cx, &card).expect("the first card").flags;
    card.set_relays(true);
    assert_eq!(issued(&mut cx, &card).map(|card| card.flags), Some(before | card_flag::RELAYS));
    card.set_relays(true);
    assert_eq!(issued(&mut cx, &card), None);
    card.set_relays(false);
    assert_eq!(issued(&mut cx, &card).map(|card| card.flags), Some(before));
}

#[test]
fn a_card_says_read_only_when_no_disk_takes_blocks() {
    let of = |number, condition| DiskState { condition, ..disk(number) };
    let (good, full) = (DiskCondition::Good, DiskCondition::DiskFull);
    for (disks, flags) in [
        (vec![of(0, good), of(1, good)], 0),
        (vec![of(0, full), of(1, good)], card_flag::of_full_percent(50)),
        (vec![of(0, full), of(1, DiskCondition::Failing)], card_flag::READ_ONLY | card_flag::of_full_percent(100)),
        (vec![], 0),
    ] {
        let mut cx = context(0, 3);
        cx.disks = disks;
        let card = issued(&mut cx, &own_card()).expect("another name");
        assert_eq!((card.flags, card.disks.len()), (flags, cx.disks.len()));
    }
}

#[test]
fn a_card_says_how_full_in_steps_and_at_once_what_others_warn_of() {
    let (mut cx, card) = (context(0, 3), own_card());
    issued(&mut cx, &card).expect("another name");
    for (room_gib, percent) in [(97, None), (95, Some(5)), (91, None), (90, Some(10)), (11, Some(89)), (10, Some(90))] {
        cx.disks[0].room_bytes = room_gib << 30;
        let told = issued(&mut cx, &card).map(|card| card_flag::full_percent(card.flags));
        assert_eq!(told, percent, "room for {room_gib} of 100 GiB");
    }
    cx.disks[0].room_bytes = 1 << 30;
    assert_eq!(issued(&mut cx, &card).map(|card| card_flag::full_percent(card.flags)), Some(99));
    cx.disks[0].condition = DiskCondition::QuotaFull;
    assert_eq!(issued(&mut cx, &card).map(|card| card_flag::full_percent(card.flags)), Some(100));
}

#[test]
fn a_card_names_disks_with_a_quota_in_the_order_of_their_nonces() {
    let mut cx = context(0, 3);
    cx.disks = vec![disk(7), disk(3), DiskState { quota_bytes: 0, ..disk(5) }];
    let card = issued(&mut cx, &own_card()).expect("another name");
    let disks: Vec<(DiskNonce, u32)> = card.disks.iter().map(|disk| (disk.nonce, disk.gib)).collect();
    assert_eq!(disks, [(DiskNonce([3; 16]), 100), (DiskNonce([7; 16]), 100)]);
}

#[test]
fn a_quota_that_grows_a_little_makes_no_new_card() {
    let (mut cx, card) = (context(0, 3), own_card());
    issued(&mut cx, &card).expect("another name");
    for (gib, weight) in [(110, None), (116, Some(116)), (110, Some(110)), (125, None)] {
        (cx.disks[0].quota_bytes, cx.disks[0].room_bytes) = (gib << 30, gib << 30);
        assert_eq!(issued(&mut cx, &card).map(|card| card.disks[0].gib), weight, "{gib} GiB");
    }
}

#[test]
fn a_drained_node_offers_nothing_until_that_is_undone() {
    let (mut cx, card) = (context(0, 3), own_card());
    issued(&mut cx, &card).expect("another name");
    for (drain, weight) in [(true, 0), (false, 100)] {
        assert_eq!(change_drain(&mut cx, &mut Gossip::default(), drain), Ok(()));
        events(&mut cx);
        assert_eq!(issued(&mut cx, &card).map(|card| card.disks[0].gib), Some(weight));
        assert_eq!(change_drain(&mut cx, &mut Gossip::default(), drain), Ok(()), "it is so already");
        assert_eq!(issued(&mut cx, &card), None);
        cx.refresh_map();
        assert_eq!(holds_nothing(&cx), drain);
    }
}

#[test]
fn a_boot_is_later_than_every_boot_the_facts_remember() {
    for (remembered, boot) in [(None, 1_000_000), (Some(7), 1_000_000), (Some(2_000_000), 2_000_001)] {
        let (mut cx, mut card) = (context(0, 3), own_card());
        if let Some(remembered) = remembered {
            cx.facts.insert(beat(0, remembered, 3).into());
            cx.facts.drain_new();
        }
        card.begin_boot(&cx);
        assert_eq!(beaten(&mut cx, &mut card), Some((boot, 1)));
        assert_eq!(beaten(&mut cx, &mut card), Some((boot, 2)));
    }
}

#[test]
fn a_node_that_is_no_member_yet_says_nothing_but_goes_on_trying() {
    let (mut cx, mut card) = (context(7, 3), own_card());
    card.begin_boot(&cx);
    assert!(!card.is_to_introduce_itself(&cx));
    assert_eq!(beaten(&mut cx, &mut card), None);
    assert_eq!(issued(&mut cx, &card), None);
    assert_eq!(cx.timers.next(), Some(cx.now.mono + HEARTBEAT_MS));
}

#[test]
fn heartbeats_are_frequent_only_while_somebody_hears_of_this_node_through_others() {
    let (mut cx, mut card, mut liveness) = (context(0, 3), own_card(), Liveness::default());
    card.begin_boot(&cx);
    beaten(&mut cx, &mut card);
    (1..3).for_each(|number| {
        connect(&mut cx, number);
    });
    let due_after = |cx: &mut Context, liveness: &Liveness, ms| {
        pass(cx, ms);
        card.heartbeat_due(cx, liveness).is_some()
    };
    assert!(!due_after(&mut cx, &liveness, HEARTBEAT_MS), "both are connected");
    assert!(due_after(&mut cx, &liveness, HEARTBEAT_IDLE_MS - HEARTBEAT_MS));
    beaten(&mut cx, &mut card);
    cx.peers.on_down(node(2));
    liveness.note(&cx, beat(2, 1, 1).value());
    assert_eq!(card.heartbeat_due(&mut cx, &liveness), Some(vec![]), "it is up, and not connected");
    pass(&mut cx, crate::limits::AWAY_MS);
    beaten(&mut cx, &mut card);
    assert_eq!(card.heartbeat_due(&mut cx, &liveness), None, "it is away");
}

#[test]
fn a_member_introduces_itself_once() {
    let (mut cx, mut card) = (context(0, 3), own_card());
    card.begin_boot(&cx);
    assert!(card.is_to_introduce_itself(&cx));
    beaten(&mut cx, &mut card);
    assert!(!card.is_to_introduce_itself(&cx));
}

#[test]
fn a_twin_is_noticed_when_it_overtakes_a_second_time() {
    let (mut cx, mut card) = (context(0, 3), own_card());
    let me: NodeId = cx.me;
    let beat = |boot, counter| Heartbeat { version: 1, node: me, boot, counter };
    card.begin_boot(&cx);
    let (boot, counter) = beaten(&mut cx, &mut card).expect("a member");
    assert!(!card.on_own_heartbeat(&mut cx, &beat(boot, counter)), "its own, come back");
    assert!(card.on_own_heartbeat(&mut cx, &beat(boot + 50, 1)), "this node has to show that it is alive");
    assert!(!cx.duplicate_identity, "it may be an earlier boot under a wrong clock");
    effects(&mut cx);
    assert_eq!(beaten(&mut cx, &mut card).map(|(boot, _)| boot), Some(boot + 51), "ahead of the other one");
    effects(&mut cx);
    assert!(card.on_own_heartbeat(&mut cx, &beat(boot + 52, 1)));
    assert!(cx.duplicate_identity);
    let out = effects(&mut cx);
    assert!(matches!(out[..], [Effect::Notice(Notice::DuplicateIdentity)]), "{out:?}");
    assert!(!card.on_own_heartbeat(&mut cx, &beat(boot + 99, 1)), "it is known already");
    assert!(effects(&mut cx).is_empty());
}

/// Weights on a card that is issued now; none if none is.
fn weights(cx: &mut Context, card: &OwnCard) -> Option<Vec<u32>> {
    Some(issued(cx, card)?.disks.iter().map(|disk| disk.gib).collect())
}

#[test]
fn a_disk_that_is_out_of_sight_stays_on_the_card_for_an_hour() {
    let (mut cx, mut card) = (context(0, 3), own_card());
    cx.disks = vec![disk(0), disk(1)];
    assert_eq!(weights(&mut cx, &card), Some(vec![100, 100]));
    let before = std::mem::replace(&mut cx.disks, vec![disk(0)]);
    card.on_disks(&mut cx, &before);
    assert_eq!(weights(&mut cx, &card), None, "nothing changes for the others");
    let before = std::mem::replace(&mut cx.disks, vec![disk(0), disk(1)]);
    card.on_disks(&mut cx, &before);
    pass(&mut cx, 2 * HOUR_MS);
    card.forget_absent(&mut cx);
    assert_eq!(weights(&mut cx, &card), None, "it came back");
    let before = std::mem::replace(&mut cx.disks, vec![disk(0)]);
    card.on_disks(&mut cx, &before);
    pass(&mut cx, HOUR_MS - 1);
    card.forget_absent(&mut cx);
    assert_eq!(weights(&mut cx, &card), None);
    pass(&mut cx, 1);
    card.forget_absent(&mut cx);
    assert_eq!(weights(&mut cx, &card), Some(vec![100]), "it is lost");
}

/// The disk of that number as this node's own.
fn own(number: u8) -> DiskId {
    DiskId::of(node(0), disk(number).nonce)
}

#[test]
fn a_disk_that_is_not_there_at_the_start_stays_on_the_card_for_an_hour() {
    let mut cx = context(0, 3);
    cx.disks = vec![disk(0), disk(1)];
    assert_eq!(weights(&mut cx, &own_card()), Some(vec![100, 100]), "before the start");
    let mut card = own_card();
    cx.disks = vec![disk(0)];
    card.note_missing(&mut cx, &[own(1), own(2)]);
    assert_eq!(card.absent(&cx), [(own(1), HOUR_MS)], "the third one was on no card");
    assert_eq!(weights(&mut cx, &card), None, "nothing changes for the others");
    pass(&mut cx, HOUR_MS - 1);
    card.forget_absent(&mut cx);
    assert_eq!((weights(&mut cx, &card), card.absent(&cx)), (None, vec![(own(1), 1)]));
    assert_eq!(card.unread_disks(&cx), 2);
    assert_eq!(cx.timers.next(), Some(cx.now.mono + 1));
    pass(&mut cx, 1);
    card.forget_absent(&mut cx);
    assert_eq!(weights(&mut cx, &card), Some(vec![100]), "it is lost");
    assert_eq!(card.unread_disks(&cx), 2, "what is on it is not known, however long that is");
    let before = std::mem::replace(&mut cx.disks, vec![disk(1)]);
    card.on_disks(&mut cx, &before);
    assert_eq!(card.unread_disks(&cx), 2, "one is back, another went out of sight");
    card.give_up(&cx, &[own(0), own(2)]);
    assert_eq!(card.unread_disks(&cx), 0);
}

#[test]
fn a_node_all_disks_of_which_are_missing_takes_nothing_and_keeps_its_place() {
    let mut cx = context(0, 3);
    assert_eq!(issued(&mut cx, &own_card()).map(|card| card.flags), Some(0));
    let mut card = own_card();
    cx.disks = Vec::new();
    card.note_missing(&mut cx, &[own(0)]);
    let shown = issued(&mut cx, &card).expect("it takes no blocks");
    assert_eq!(shown.flags, card_flag::READ_ONLY | card_flag::of_full_percent(100));
    assert_eq!(shown.disks.iter().map(|disk| disk.gib).collect::<Vec<_>>(), [100]);
    pass(&mut cx, HOUR_MS);
    card.forget_absent(&mut cx);
    assert_eq!(weights(&mut cx, &card), Some(vec![]));
}

#[test]
fn a_disk_that_the_owner_gave_up_leaves_the_card_with_the_one_that_takes_its_place() {
    let mut cx = context(0, 3);
    cx.disks = vec![disk(0), disk(1)];
    assert_eq!(weights(&mut cx, &own_card()), Some(vec![100, 100]));
    let mut card = own_card();
    cx.disks = vec![disk(0)];
    card.note_missing(&mut cx, &[own(1)]);
    card.begin_boot(&cx);
    let boot = card.boot;
    card.give_up(&cx, &[]);
    assert_eq!(card.boot, boot, "nothing was given up");
    card.give_up(&cx, &[own(1)]);
    assert_eq!((card.absent(&cx), card.boot), (vec![], boot + 1), "what was said before is said no more");
    let before = std::mem::replace(&mut cx.disks, vec![disk(0), disk(2)]);
    card.on_disks(&mut cx, &before);
    let shown = issued(&mut cx, &card).expect("another disk");
    let nonces = [disk(0), disk(2)].map(|disk| disk.nonce);
    assert!(shown.disks.iter().map(|disk| disk.nonce).eq(nonces), "{:?}", shown.disks);
}
