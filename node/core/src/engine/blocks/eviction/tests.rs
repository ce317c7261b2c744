//! Eviction, driven by hand: this node is 0 of six, has no room, and is connected to all.

use fsdfs_proto::ids::{Digest, Signature};
use fsdfs_proto::message::repair::{AssuredCopy, AssuredState};
use fsdfs_proto::message::{Message, ProveRequest, Redundancy, RequestId};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::record::RecordInfo;

use super::*;
use crate::engine::blocks::kit::{block, block_at, connect_all, order};
use crate::engine::blocks::{Puts, ReplicationLog};
use crate::engine::test_kit::{asked_of_disk, context, pass, sent};
use crate::seam::{CopyState, DiskCopy};

struct Case {
    cx: Context,
    puts: Puts,
    log: ReplicationLog,
    eviction: Eviction,
}

impl Case {
    fn new() -> Self {
        let mut cx = context(0, 6);
        connect_all(&mut cx);
        cx.disks[0].room_bytes = 0;
        Self { cx, puts: Puts::default(), log: ReplicationLog::default(), eviction: Eviction::default() }
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Eviction, &mut EvictionParts<'_>) -> T) -> T {
        let Self { cx, puts, log, eviction } = self;
        call(eviction, &mut EvictionParts { cx, puts, log })
    }

    /// A copy of this block in a segment.
    fn copy(&self, id: BlockId, segment: u64) -> PlacedCopy {
        let receipt = BlockReceipt { member: NodeId([1; 32]), signature: Signature([0; 64]) };
        let redundancies = vec![Redundancy::Replicas(3)];
        let info = RecordInfo { id, len: 1 << 20, redundancies, first_seen: 0, renewed: 0, receipt };
        let copy = DiskCopy { info, state: CopyState::Held };
        PlacedCopy { disk: self.cx.disks[0].id, segment, sequence: 7 + segment, kind: None, copy }
    }

    /// The only question to the disk since the last call.
    fn asked(&mut self) -> (DiskRequest, EvictToken) {
        match asked_of_disk(&mut self.cx).pop() {
            Some((request, Waiter::Evict(token))) => (request, token),
            other => panic!("{other:?}"),
        }
    }

    /// There is no room, and these lie on the disk. The segment that is listed first, if any is.
    fn count(&mut self, copies: &[PlacedCopy]) -> Option<u64> {
        self.call(Eviction::look);
        let (DiskRequest::Copies { after: None, .. }, EvictToken::Counted { number }) = self.asked() else {
            panic!("all copies are looked at")
        };
        self.call(|eviction, parts| eviction.on_copies(parts, number, Some(copies)));
        self.listed()
    }

    fn listed(&mut self) -> Option<u64> {
        match asked_of_disk(&mut self.cx).pop()? {
            (DiskRequest::Segment { segment, .. }, Waiter::Evict(_)) => Some(segment),
            other => panic!("{other:?}"),
        }
    }

    fn list(&mut self, copies: &[(PlacedCopy, bool)]) -> Vec<(NodeId, ProveRequest)> {
        let number = self.eviction.number;
        self.call(|eviction, parts| eviction.on_listed(parts, number, copies));
        let asked = |(to, message)| match message {
            Message::Prove(asked) => Some((to, asked)),
            _ => None,
        };
        let Self { cx, .. } = self;
        sent(cx).into_iter().filter_map(asked).collect()
    }

    fn proves(&mut self, (node, asked): &(NodeId, ProveRequest), held: bool) {
        let Some(Waiter::Evict(token)) = self.cx.answered(*node, asked.request) else { panic!("it was asked") };
        let held = vec![held; asked.ids.len()];
        let reply = ProveReply { request: asked.request, map: asked.map, copies: asked.copies, held };
        self.call(|eviction, parts| eviction.on_proof(parts, &token, &reply));
    }

    fn deleted(&mut self) -> Option<Vec<(BlockId, u64)>> {
        asked_of_disk(&mut self.cx).into_iter().find_map(|(request, _)| match request {
            DiskRequest::Delete { copies, .. } => Some(copies),
            _ => None,
        })
    }

    /// A segment with one surplus copy, and who was asked about it.
    fn asked_about_one(&mut self) -> (BlockId, Vec<(NodeId, ProveRequest)>) {
        let id = block_at(&self.cx, 4).id();
        let copy = self.copy(id, 1);
        assert_eq!(self.count(std::slice::from_ref(&copy)), Some(1));
        (id, self.list(&[(copy, false)]))
    }

    fn prove(&mut self, from: NodeId, asked: &ProveRequest) -> Option<Vec<bool>> {
        self.call(|eviction, parts| eviction.on_prove(parts, from, asked.clone()));
        let token = match asked_of_disk(&mut self.cx).pop() {
            Some((DiskRequest::Assure { .. }, Waiter::Evict(token))) => token,
            None => return None,
            other => panic!("{other:?}"),
        };
        let EvictToken::Answer { to, asked, map_changes } = token else { panic!("{token:?}") };
        let held = AssuredCopy { state: AssuredState::Held, len: 1, verified_h: None };
        let copies = vec![held; asked.ids.len()];
        let Self { cx, eviction, .. } = self;
        eviction.on_assured(cx, (to, map_changes), &asked, &copies);
        proved(cx)
    }
}

fn proved(cx: &mut Context) -> Option<Vec<bool>> {
    sent(cx).into_iter().find_map(|(_, message)| match message {
        Message::ProveReply(reply) => Some(reply.held),
        _ => None,
    })
}

fn question(cx: &Context, request: RequestId, ids: Vec<BlockId>) -> ProveRequest {
    ProveRequest { request, map: cx.map_digest, copies: 3, ids }
}

#[test]
fn a_surplus_copy_goes_when_all_that_are_assigned_it_have_it() {
    let mut case = Case::new();
    let (id, asked) = case.asked_about_one();
    let holders: BTreeSet<NodeId> = order(&case.cx, id)[..3].iter().copied().collect();
    assert_eq!(asked.iter().map(|(node, _)| *node).collect::<BTreeSet<_>>(), holders);
    for (place, one) in asked.iter().enumerate() {
        assert_eq!(case.deleted(), None, "{place} have said so");
        case.proves(one, true);
    }
    assert_eq!(case.deleted(), Some(vec![(id, 8)]));
    // On its way to the disk it is here no more, whoever asks.
    let asked = question(&case.cx, 1, vec![id]);
    assert_eq!(case.eviction.deleting, BTreeSet::from([id]));
    assert_eq!(case.prove(asked_by(&case), &asked), None);
    case.call(|eviction, parts| eviction.on_deleted(parts, true));
    assert!(case.eviction.deleting.is_empty(), "if it comes again it is here again");
}

fn asked_by(case: &Case) -> NodeId {
    case.cx.map.servers().iter().map(|server| server.id).find(|node| *node != case.cx.me).expect("others")
}

#[test]
fn one_that_has_it_not_or_says_so_too_late_keeps_it_here() {
    for late in [false, true] {
        let mut case = Case::new();
        let (_, asked) = case.asked_about_one();
        case.proves(&asked[0], true);
        if late {
            pass(&mut case.cx, EVICT_PROOFS_MS_MAX + 1);
        }
        case.proves(&asked[1], late);
        case.proves(&asked[2], true);
        assert_eq!(case.deleted(), None);
        assert!(case.eviction.deleting.is_empty());
    }
}

#[test]
fn a_map_that_changed_and_changed_back_voids_what_was_proven() {
    let mut case = Case::new();
    let (_, asked) = case.asked_about_one();
    case.proves(&asked[0], true);
    for _ in 0..2 {
        case.cx.map_changes += 1;
        let Case { cx, eviction, .. } = &mut case;
        eviction.on_map_changed(cx);
    }
    case.proves(&asked[1], true);
    case.proves(&asked[2], true);
    assert_eq!(case.deleted(), None);
}

#[test]
fn a_holder_whose_connection_ends_or_that_is_not_believed_proves_nothing() {
    let mut case = Case::new();
    let (_, asked) = case.asked_about_one();
    asked.iter().for_each(|one| {
        case.proves(one, one != &asked[2]);
    });
    assert_eq!(case.deleted(), None);
    let mut case = Case::new();
    let (_, asked) = case.asked_about_one();
    case.proves(&asked[0], true);
    case.call(|eviction, parts| eviction.on_peer_lost(parts, asked[0].0));
    case.proves(&asked[1], true);
    case.proves(&asked[2], true);
    assert_eq!(case.deleted(), None);
    let mut case = Case::new();
    let id = block_at(&case.cx, 3).id();
    let first = order(&case.cx, id)[0];
    case.cx.peers.get_mut(first).expect("connected").distrusted = true;
    let copy = case.copy(id, 1);
    assert_eq!(case.count(std::slice::from_ref(&copy)), Some(1));
    assert_eq!(case.list(&[(copy, false)]), [], "nobody is asked for nothing");
}

#[test]
fn only_segments_go_in_which_nothing_is_to_stay_those_of_the_last_rank_first() {
    let mut case = Case::new();
    let at = |case: &Case, place, segment| case.copy(block_at(&case.cx, place).id(), segment);
    let damaged = {
        let mut copy = at(&case, 5, 3);
        copy.copy.state = CopyState::Damaged;
        copy
    };
    let copies = [at(&case, 5, 1), at(&case, 0, 1), at(&case, 3, 2), damaged, at(&case, 5, 4), at(&case, 4, 5)];
    assert_eq!(case.count(&copies), Some(4), "rank 5, and alone");
    // It cannot be told what is in it; then that of rank 4, then that of rank 3.
    case.list(&[]);
    assert_eq!(case.listed(), None, "it was listed with the call before");
    assert_eq!(case.eviction.candidates.len(), 1);
}

#[test]
fn blocks_on_which_others_hang_go_when_nothing_else_can() {
    let mut case = Case::new();
    let (first, second) = (case.copy(block_at(&case.cx, 5).id(), 1), case.copy(block_at(&case.cx, 3).id(), 2));
    assert_eq!(case.count(&[first.clone(), second.clone()]), Some(1));
    assert_eq!(case.list(&[(first.clone(), true)]), []);
    let asked = case.list(&[(second, false)]);
    assert_eq!(asked.len(), 3, "the other one first");
    case.proves(&asked[0], false);
    assert_eq!(case.listed(), Some(1));
    assert_eq!(case.list(&[(first, true)]).len(), 3);
}

#[test]
fn nothing_goes_while_there_is_room_or_where_this_node_has_no_place() {
    let mut case = Case::new();
    case.cx.disks[0].room_bytes = case.cx.disks[0].quota_bytes / 2;
    case.call(Eviction::look);
    assert_eq!(asked_of_disk(&mut case.cx), []);
    let mut case = Case::new();
    case.cx.duplicate_identity = true;
    case.call(Eviction::look);
    assert_eq!(asked_of_disk(&mut case.cx), []);
}

#[test]
fn this_node_proves_what_it_is_assigned_by_the_same_map_and_has() {
    let mut case = Case::new();
    let (mine, other) = (block_at(&case.cx, 1).id(), block_at(&case.cx, 4).id());
    let from = asked_by(&case);
    let asked = question(&case.cx, 1, vec![mine, other]);
    assert_eq!(case.prove(from, &asked), Some(vec![true, false]));
    let another = ProveRequest { map: Digest([9; 32]), ..question(&case.cx, 2, vec![mine]) };
    case.call(|eviction, parts| eviction.on_prove(parts, from, another));
    assert_eq!(proved(&mut case.cx), Some(vec![false]), "at once");
    // The map changes while the disk looks.
    let asked = question(&case.cx, 3, vec![mine]);
    case.call(|eviction, parts| eviction.on_prove(parts, from, asked));
    let (_, EvictToken::Answer { to, asked, map_changes }) = case.asked() else { panic!("the disk is asked") };
    case.cx.map_changes += 1;
    let held = AssuredCopy { state: AssuredState::Held, len: 1, verified_h: None };
    let Case { cx, eviction, .. } = &mut case;
    eviction.on_assured(cx, (to, map_changes), &asked, &[held]);
    assert_eq!(proved(cx), Some(vec![false]));
    eviction.on_assured(cx, (to, map_changes + 1), &asked, &[AssuredCopy { state: AssuredState::Damaged, ..held }]);
    assert_eq!(proved(cx), Some(vec![false]));
    assert_ne!(block(1).id(), mine);
}
