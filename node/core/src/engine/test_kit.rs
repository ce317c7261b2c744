//! What a machine's tests work with: the context of a node in a small pool, and what came out of a call.

use fsdfs_proto::ids::{DiskId, DiskNonce, Instance, NodeId};
use fsdfs_proto::message::Message;
use fsdfs_proto::volume::NodeTarget;

use super::context::{Context, Identity};
use super::event::Event;
use super::facts::OwnCard;
use super::start::Profile;
use crate::facts::tests::pool::{TestPool, card, epoch, key, keys, node, pool_id, root};
use crate::limits::RELAYED_BYTES_MIN;
use crate::seam::{DiskCondition, DiskRequest, DiskState, Effect, Now, Token, Waiter};
use crate::tree::TreeParams;

pub(crate) use crate::facts::tests::pool;

/// Small enough for tests to fill.
pub const PARAMS: TreeParams = TreeParams {
    chunk_bytes: 1 << 10,
    inline_bytes: 100,
    fan_out: 4,
    nodes: NodeTarget { leaf_bytes: 512, interior_bytes: 512 },
    hour_ms: 3_600_000,
};

/// Node `me` of a pool of `nodes`, each with one disk of 100 GiB at a site of its own, at 1,000 s on both clocks. It has
/// compared facts, holds the keys of the shared volume, and is connected to nobody.
pub fn context(me: u8, nodes: u8) -> Context {
    let now = Now { mono: 1_000_000, wall: 1_000_000 };
    let disks = vec![disk(me)];
    let identity = Identity {
        now,
        key: key(me),
        pool: pool_id(),
        params: PARAMS,
        relayed_bytes_min: RELAYED_BYTES_MIN,
        bootstrap: Vec::new(),
        seed: 1,
        disks,
        collects: true,
    };
    let mut cx = Context::new(identity);
    let mut pool = TestPool::of(nodes);
    (0..nodes).for_each(|number| {
        pool.say(card(number, 1, &[(number, 100)], 0));
    });
    pool.say(epoch(&root(), 1, Vec::new()));
    cx.facts = pool.facts;
    cx.facts.drain_new();
    cx.keys.insert(pool_id().volume(), keys(1));
    cx.readable.extend(keys(1).writer().map(fsdfs_proto::volume::WriteKeys::write_pk));
    cx.refresh_map();
    cx.synced = true;
    cx
}

/// The disk of [`context`].
pub fn disk(number: u8) -> DiskState {
    let (nonce, quota_bytes) = (DiskNonce([number; 16]), 100 << 30);
    let (id, condition) = (DiskId::of(node(number), nonce), DiskCondition::Good);
    DiskState { id, nonce, quota_bytes, used_bytes: 0, room_bytes: quota_bytes, condition }
}

/// The card that a node makes of itself which has nothing to say.
pub fn plain_card() -> OwnCard {
    let instance = Instance([0; 8]);
    let profile =
        Profile { name: String::new(), site: String::new(), addrs: Vec::new(), uplink: None, instance, flags: 0 };
    OwnCard::new(profile, 1 << 30)
}

/// A connection to node `number` came up; it proved what it has.
pub fn connect(cx: &mut Context, number: u8) -> NodeId {
    cx.peers.on_up(node(number), cx.now.mono);
    cx.peers.get_mut(node(number)).expect("connected").proven = true;
    node(number)
}

/// Both clocks go on.
pub fn pass(cx: &mut Context, ms: u64) {
    cx.now.mono += ms;
    cx.now.wall += ms;
}

/// The founder throws node `number` out.
pub fn revoke(cx: &mut Context, number: u8) {
    let mut pool = TestPool { facts: cx.facts.clone(), said: Vec::new(), tickets: Vec::new() };
    pool.revoke(0, node(number).into(), Vec::new());
    cx.facts = pool.facts;
    cx.facts.drain_new();
    cx.refresh_map();
}

/// The effects since the last call.
pub fn effects(cx: &mut Context) -> Vec<Effect> {
    let mut out = Vec::new();
    cx.swap_effects(&mut out);
    out
}

/// Of the effects since the last call: the messages, in order.
pub fn sent(cx: &mut Context) -> Vec<(NodeId, Message)> {
    let message = |effect| match effect {
        Effect::Send { to, message, .. } => Some((to, message)),
        _ => None,
    };
    effects(cx).into_iter().filter_map(message).collect()
}

/// Of the effects since the last call: what the store was asked, and by whom.
pub fn asked_of_disk(cx: &mut Context) -> Vec<(DiskRequest, Waiter)> {
    let request = |effect| match effect {
        Effect::Disk { request, token: Token(waiter) } => Some((request, waiter)),
        _ => None,
    };
    effects(cx).into_iter().filter_map(request).collect()
}

/// The events raised since the last call.
pub fn events(cx: &mut Context) -> Vec<Event> {
    cx.take_events().into()
}
