//! Who passes a member's heartbeats on to those who do not hear it themselves.
//!
//! All who reach two members that never meet compute the same order of each other, and the first ones of it pass on; so the member
//! itself knows whom it has to tell. Each heartbeat has an order of its own: whoever says that it reaches everybody, and passes
//! nothing on, keeps no two members from each other. Who reaches whom they say of themselves ([`super::PresenceWatch`]).

use std::collections::BTreeSet;

use fsdfs_proto::identity::Heartbeat;
use fsdfs_proto::ids::NodeId;

use crate::engine::context::Context;
use crate::limits::HEARTBEAT_RELAYS;

/// Whether this node passes a heartbeat on to a member that does not hear its maker: it is one of the first [`HEARTBEAT_RELAYS`] of
/// those who reach both. `hearing`: peers that hear the maker.
pub(super) fn is_mine_to_tell(cx: &Context, beat: &Heartbeat, to: NodeId, hearing: &[NodeId]) -> bool {
    let mine = beat.relay_place(cx.me, to);
    let before = hearing.iter().filter(|peer| cx.peers.hears(**peer, to) && beat.relay_place(**peer, to) < mine);
    before.take(HEARTBEAT_RELAYS).count() < HEARTBEAT_RELAYS
}

/// Peers without which a heartbeat of this node reaches these members as well: others pass it on. One more than pass it on is
/// kept for each, as not all know at the same time who reaches whom; and all of whom it is not known. Whoever is reached by no peer
/// hears of it over several, so that all are needed.
pub(super) fn not_needed(cx: &Context, beat: &Heartbeat, far: &[NodeId]) -> Vec<NodeId> {
    let peers = cx.peers.up();
    let is_unknown = |peer: &NodeId| cx.peers.get(*peer).is_none_or(|peer| peer.hears.is_none());
    let mut needed: BTreeSet<NodeId> = peers.iter().copied().filter(is_unknown).collect();
    for to in far.iter().copied() {
        let mut reaching: Vec<NodeId> = peers.iter().copied().filter(|peer| cx.peers.hears(*peer, to)).collect();
        if reaching.is_empty() {
            return Vec::new();
        }
        reaching.sort_by_cached_key(|peer| beat.relay_place(*peer, to));
        needed.extend(reaching.into_iter().take(HEARTBEAT_RELAYS + 1));
    }
    peers.into_iter().filter(|peer| !needed.contains(peer)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::pool::{beat, node};
    use crate::engine::test_kit::{connect, context};

    /// One of six, connected to these, who say that they reach 1 and 4.
    fn connected(me: u8, peers: &[u8]) -> Context {
        let mut cx = context(me, 6);
        for peer in peers.iter().filter(|peer| **peer != me) {
            connect(&mut cx, *peer);
            cx.peers.get_mut(node(*peer)).expect("connected").hears = Some([node(1), node(4)].into());
        }
        cx
    }

    #[test]
    fn of_those_who_reach_both_two_pass_a_heartbeat_on_and_its_maker_tells_them() {
        let reaching = [0, 2, 3, 5];
        let beat = beat(1, 1, 7);
        let passes_on = |me: &u8| {
            let hearing: Vec<NodeId> = reaching.iter().filter(|peer| *peer != me).map(|peer| node(*peer)).collect();
            is_mine_to_tell(&connected(*me, &reaching), beat.value(), node(4), &hearing)
        };
        let relays: Vec<NodeId> = reaching.into_iter().filter(passes_on).map(node).collect();
        assert_eq!(relays.len(), HEARTBEAT_RELAYS);
        let mut maker = connected(1, &reaching);
        let left_out = not_needed(&maker, beat.value(), &[node(4)]);
        assert_eq!(left_out.len(), reaching.len() - HEARTBEAT_RELAYS - 1);
        assert!(!left_out.iter().any(|node| relays.contains(node)));
        maker.peers.get_mut(left_out[0]).expect("connected").hears = None;
        assert_eq!(not_needed(&maker, beat.value(), &[node(4)]).len(), left_out.len() - 1, "it may be the only one");
        assert_eq!(
            not_needed(&maker, beat.value(), &[node(4), node(9)]),
            [],
            "one that no peer reaches hears of it over several"
        );
    }
}
