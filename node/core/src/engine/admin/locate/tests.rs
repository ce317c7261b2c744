use super::*;
use crate::engine::event::Event;
use crate::engine::net::Connections;
use crate::engine::test_kit::pool::node;
use crate::engine::test_kit::{connect, context, effects, events, pass};
use crate::limits::SILENT_MS;
use crate::seam::Effect;

const OP: OpId = 4;

fn id(number: u8) -> BlockId {
    BlockId([number; 32])
}

/// Node 0 of four, connected to 1 and 2, asked where these blocks are; and whom it asked.
fn started(ids: Vec<BlockId>) -> (Context, Locates, Vec<NodeId>) {
    let (mut cx, mut locates) = (context(0, 4), Locates::default());
    connect(&mut cx, 1);
    connect(&mut cx, 2);
    locates.start(&mut cx, OP, ids);
    let asked = |effect| match effect {
        Effect::Send { to, message: Message::Have(have), .. } => {
            assert!(!have.renew, "a question changes nothing");
            Some(to)
        }
        _ => None,
    };
    let asked = effects(&mut cx).into_iter().filter_map(asked).collect();
    (cx, locates, asked)
}

fn found(cx: &mut Context) -> Option<Vec<BlockLocation>> {
    effects(cx).into_iter().find_map(|effect| match effect {
        Effect::Reply { op: OP, reply: Reply::Locate(found) } => Some(found),
        _ => None,
    })
}

#[test]
fn the_own_store_and_everyone_connected_are_asked_for_each_block_once() {
    let (mut cx, mut locates) = (context(0, 4), Locates::default());
    connect(&mut cx, 1);
    locates.start(&mut cx, OP, vec![id(2), id(1), id(2)]);
    let out = effects(&mut cx);
    let [Effect::Disk { request, .. }, Effect::Send { to, message: Message::Have(have), .. }] = &out[..] else {
        panic!("one question each: {out:?}")
    };
    assert_eq!(*request, DiskRequest::Have { ids: vec![id(1), id(2)], renew: None });
    assert_eq!((*to, &have.ids[..]), (node(1), &[id(1), id(2)][..]));
}

#[test]
fn the_answer_comes_when_all_have_spoken() {
    let (mut cx, mut locates, asked) = started(vec![id(1), id(2)]);
    let ids = [id(1), id(2)];
    assert_eq!(asked.len(), 2);
    locates.on_own_have(&mut cx, OP, &[Possession::Yes, Possession::No]);
    locates.on_have(&mut cx, OP, node(1), &ids, &[Possession::No, Possession::Yes]);
    assert_eq!(found(&mut cx), None);
    locates.on_have(&mut cx, OP, node(2), &ids, &[Possession::NotYet, Possession::Yes]);
    let found = found(&mut cx).expect("all have answered");
    let said = |location: &BlockLocation, node: NodeId| -> HeldState {
        let assigned = location.assigned.iter().find(|(holder, _)| *holder == node).map(|(_, held)| *held);
        let other = location.others.contains(&node).then_some(HeldState::Yes);
        assigned.or(other).unwrap_or(HeldState::No)
    };
    assert_eq!(found.iter().map(|location| location.id).collect::<Vec<_>>(), ids);
    for location in &found {
        let holders: Vec<NodeId> = cx.map.holders(location.id, 3).iter().map(|holder| holder.node).collect();
        assert_eq!(location.assigned.iter().map(|(node, _)| *node).collect::<Vec<_>>(), holders);
        assert!(location.others.iter().all(|node| !holders.contains(node)), "either wanted or others");
        let absent = location.assigned.iter().find(|(holder, _)| *holder == node(3));
        assert!(absent.is_none_or(|(_, held)| *held == HeldState::Unknown), "it could not be asked");
    }
    assert_eq!((said(&found[0], node(0)), said(&found[0], node(1))), (HeldState::Yes, HeldState::No));
    assert_eq!((said(&found[1], node(1)), said(&found[1], node(2))), (HeldState::Yes, HeldState::Yes));
}

#[test]
fn a_peer_that_falls_silent_is_not_waited_for() {
    let (mut cx, mut locates, _) = started(vec![id(1)]);
    locates.on_own_have(&mut cx, OP, &[Possession::No]);
    locates.on_have(&mut cx, OP, node(1), &[id(1)], &[Possession::Yes]);
    pass(&mut cx, SILENT_MS);
    Connections::default().on_peer_due(&mut cx, node(2), |_| false);
    for event in events(&mut cx) {
        let Event::PeerSilent { node, waiter: Waiter::Locate(LocateToken::Peer { op, .. }) } = event else {
            panic!("one question is open: {event:?}")
        };
        locates.on_have(&mut cx, op, node, &[], &[]);
    }
    let found = found(&mut cx).expect("the others have answered");
    let silent = found[0].assigned.iter().find(|(holder, _)| *holder == node(2));
    assert!(silent.is_none_or(|(_, held)| *held == HeldState::Unknown));
    locates.on_have(&mut cx, OP, node(2), &[id(1)], &[Possession::Yes]);
    assert!(effects(&mut cx).is_empty(), "a late answer changes nothing");
}

#[test]
fn whoever_is_silent_already_is_not_asked() {
    let (mut cx, mut locates) = (context(0, 4), Locates::default());
    let peer = connect(&mut cx, 1);
    cx.peers.get_mut(peer).expect("connected").silent = true;
    locates.start(&mut cx, OP, vec![id(1)]);
    assert_eq!(effects(&mut cx).len(), 1, "the own store alone");
    locates.on_own_have(&mut cx, OP, &[Possession::No]);
    assert_eq!(found(&mut cx).map(|found| found.len()), Some(1));
}

#[test]
fn a_cancelled_question_is_answered_no_more() {
    let (mut cx, mut locates, _) = started(vec![id(1)]);
    locates.cancel(OP);
    locates.on_own_have(&mut cx, OP, &[Possession::Yes]);
    locates.on_have(&mut cx, OP, node(1), &[id(1)], &[Possession::Yes]);
    assert!(effects(&mut cx).is_empty());
}

#[test]
fn more_ids_than_a_message_holds_are_cut() {
    let ids = (0..=u16::try_from(IDS_MAX).expect("few"))
        .map(|number| BlockId([number.to_be_bytes().as_slice(), &[0; 30]].concat().try_into().expect("32 bytes")));
    let (mut cx, mut locates) = (context(0, 4), Locates::default());
    locates.start(&mut cx, OP, ids.collect());
    let out = effects(&mut cx);
    assert!(matches!(&out[..], [Effect::Disk { request: DiskRequest::Have { ids, .. }, .. }] if ids.len() == IDS_MAX));
}

#[test]
fn the_yes_of_whoever_failed_its_audits_is_none() {
    let (mut cx, mut locates, _) = started(vec![id(1)]);
    cx.peers.get_mut(node(1)).expect("connected").distrusted = true;
    locates.on_own_have(&mut cx, OP, &[Possession::No]);
    locates.on_have(&mut cx, OP, node(1), &[id(1)], &[Possession::Yes]);
    locates.on_have(&mut cx, OP, node(2), &[id(1)], &[Possession::No]);
    let found = found(&mut cx).expect("all have answered");
    assert!(found[0].others.is_empty() && found[0].assigned.iter().all(|(_, held)| *held != HeldState::Yes));
}
