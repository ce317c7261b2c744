//! What a holder of a chain does with a block.

use fsdfs_proto::message::meeting::NextHolder;
use fsdfs_proto::message::{AttachedBlock, Redundancy};
use fsdfs_proto::receipt::BlockReceipt;

use super::*;
use crate::engine::blocks::kit::{block, order, sealed_at};
use crate::engine::test_kit::{asked_of_disk, connect, context, effects, pool, sent};
use crate::limits::RELAYED_BYTES_MIN;
use crate::seam::{DiskRequest, Effect};

/// The writer in all of these.
const WRITER: u8 = 1;

/// Node 0 of five, connected to all, which is the first holder of the block; node 2 is the next in the chain.
struct Case {
    cx: Context,
    relays: Relays,
    block: Block,
    store: RelayedStore,
}

impl Case {
    fn new() -> Self {
        let mut cx = context(0, 5);
        let writer = connect(&mut cx, WRITER);
        (2..5).for_each(|number| {
            connect(&mut cx, number);
        });
        let block = sealed_at(&cx, 0);
        let next = |number, request| NextHolder { node: pool::node(number), request };
        let store = RelayedStore {
            request: 11,
            map: cx.map_digest,
            redundancy: Redundancy::Replicas(3),
            age_ms: 0,
            receipt: BlockReceipt::sign(cx.pool, &pool::key(WRITER), block.id()),
            origin: writer,
            holders: vec![next(2, 12), next(3, 13)],
            block: AttachedBlock::from(&block),
        };
        Self { cx, relays: Relays::default(), block, store }
    }

    fn comes(&mut self, from: u8, payload: BlockPayload) {
        let accounts = &Holdings::default();
        self.relays.on_store(&mut self.cx, accounts, (pool::node(from), self.store.clone()), payload);
    }

    fn comes_whole(&mut self, from: u8) {
        let block = self.block.clone();
        self.comes(from, BlockPayload::Block(block));
    }

    /// What the writer is told: the outcome, if there is one, and whom it has to send the block itself.
    fn told(&mut self) -> (Option<StoreOutcome>, Vec<u64>) {
        let mut told = (None, Vec::new());
        for (to, message) in sent(&mut self.cx) {
            match message {
                Message::RelayedStoreReply(reply) => {
                    assert_eq!((to, reply.request, reply.id), (pool::node(WRITER), 11, self.store.block.id));
                    assert!(told.0.replace(reply.outcome).is_none(), "one answer");
                }
                Message::NotRelayed(not) => {
                    assert_eq!(to, pool::node(WRITER));
                    told.1.extend(not.requests);
                }
                Message::RelayedStore(_) => {}
                other => panic!("{other:?}"),
            }
        }
        told
    }
}

#[test]
fn a_block_is_written_and_goes_on_before_it_is_durable() {
    let mut case = Case::new();
    case.comes_whole(WRITER);
    let out = effects(&mut case.cx);
    let [
        Effect::Disk { request: DiskRequest::Write { block, receipt, .. }, token },
        Effect::Send { to, message: Message::RelayedStore(next), block: Some(passed), .. },
    ] = &out[..]
    else {
        panic!("{out:?}")
    };
    assert_eq!((block.id(), passed.id(), *receipt), (case.block.id(), case.block.id(), case.store.receipt));
    let kept = kept(&case.store);
    assert_eq!(token.0, Waiter::Serve(ServeToken::RelayedStore { to: pool::node(WRITER), kept }));
    assert_eq!((*to, next.request, next.origin), (pool::node(2), 12, pool::node(WRITER)));
    assert_eq!(next.holders, case.store.holders[1..]);
}

#[test]
fn the_last_of_a_chain_sends_nothing_on() {
    let mut case = Case::new();
    case.store.holders.clear();
    case.comes_whole(WRITER);
    assert_eq!((asked_of_disk(&mut case.cx).len(), case.told()), (1, (None, vec![])));
}

#[test]
fn bytes_that_are_not_the_block_go_nowhere_and_the_writer_hears_it() {
    for payload in [BlockPayload::Wrong, BlockPayload::None, BlockPayload::Block(block(2))] {
        let mut case = Case::new();
        case.comes(WRITER, payload);
        assert_eq!(case.told(), (Some(StoreOutcome::WrongBytes), vec![12, 13]));
    }
}

#[test]
fn what_is_not_kept_is_not_passed_on_either() {
    let mut case = Case::new();
    // Signed by somebody else than it says, which shows as soon as another passes it on.
    case.store.receipt.signature = BlockReceipt::sign(case.cx.pool, &pool::key(3), case.block.id()).signature;
    case.comes_whole(2);
    assert_eq!(case.told(), (Some(StoreOutcome::Refused), vec![12, 13]));
}

#[test]
fn whoever_passes_a_block_on_brings_only_what_placement_wants_here() {
    let mut case = Case::new();
    case.comes_whole(2);
    assert_eq!(asked_of_disk(&mut case.cx).len(), 1, "the first holder");
    let mut case = Case::new();
    case.block = sealed_at(&case.cx, 4);
    case.store.block = AttachedBlock::from(&case.block);
    case.store.receipt = BlockReceipt::sign(case.cx.pool, &pool::key(WRITER), case.block.id());
    case.comes_whole(2);
    assert_eq!(case.told().0, Some(StoreOutcome::Refused), "the last of five, and it is not the writer who says so");
    assert_eq!(order(&case.cx, case.block.id())[4], case.cx.me);
    case.comes_whole(WRITER);
    assert_eq!(asked_of_disk(&mut case.cx).len(), 1, "the writer may have reasons");
}

#[test]
fn the_writer_hears_at_once_if_the_next_cannot_be_reached() {
    let mut case = Case::new();
    case.cx.peers.on_down(pool::node(2));
    case.comes_whole(WRITER);
    assert_eq!(case.told(), (None, vec![12, 13]), "and its own copy is written");
    for back in [0, WRITER] {
        let mut case = Case::new();
        case.store.holders[0].node = pool::node(back);
        case.comes_whole(WRITER);
        assert_eq!(case.told(), (None, vec![12, 13]), "a chain does not lead back");
    }
}

#[test]
fn nobody_begins_a_chain_in_the_name_of_its_receiver() {
    let mut case = Case::new();
    case.store.origin = case.cx.me;
    case.comes_whole(WRITER);
    assert!(effects(&mut case.cx).is_empty());
}

#[test]
fn what_waits_is_bounded_and_there_is_room_again_when_it_left() {
    let mut relays = Relays::default();
    let waits = |relays: &mut Relays, to: u8, blocks: usize, bytes: usize| {
        relays.waiting.insert(pool::node(to), WaitingBlocks { blocks, bytes });
    };
    assert!(relays.has_room(2 * RELAY_BYTES_WAITING_MAX), "one always goes");
    waits(&mut relays, 2, 3, RELAY_BYTES_WAITING_MAX - 10);
    assert!(relays.has_room(10) && !relays.has_room(11));
    waits(&mut relays, 3, 1, 10);
    assert!(!relays.has_room(1), "over all peers");
    relays.on_left(pool::node(3), pool::node(WRITER), 10);
    assert!(relays.has_room(10));
    waits(&mut relays, 2, RELAY_BLOCKS_WAITING_MAX, RELAYED_BYTES_MIN);
    assert!(!relays.has_room(1), "short ones are counted");
    relays.forget(pool::node(2));
    assert!(relays.has_room(RELAY_BYTES_WAITING_MAX));
    assert_eq!(relays.passed_on().get(&pool::node(WRITER)), Some(&10));
}

#[test]
fn beyond_the_bound_the_writer_sends_it_itself() {
    let mut case = Case::new();
    case.relays.waiting.insert(pool::node(3), WaitingBlocks { blocks: 1, bytes: RELAY_BYTES_WAITING_MAX });
    case.comes_whole(WRITER);
    assert_eq!(case.told(), (None, vec![12, 13]));
    case.relays.on_left(pool::node(3), pool::node(WRITER), RELAY_BYTES_WAITING_MAX);
    case.comes_whole(WRITER);
    assert_eq!(case.told(), (None, vec![]));
    let waiting = case.relays.waiting[&pool::node(2)];
    assert_eq!((waiting.blocks, waiting.bytes), (1, case.block.bytes().len()));
}
