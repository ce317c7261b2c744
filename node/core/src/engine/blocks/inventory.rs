//! Inventory: which blocks lie where, page by page from every member, so that what a change would move can be counted.
//!
//! Block ids are hashes, so the first records of every member in id order are a fair sample of the pool's blocks, and the
//! same one at each member. A pool of few blocks is listed whole.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{HeldBlock, IDS_MAX, ListBlocksRequest, Message};
use fsdfs_proto::record::RecordInfo;

use crate::engine::context::Context;
use crate::engine::timers::Timer;
use crate::limits::{INVENTORY_MS, INVENTORY_RECORDS, INVENTORY_RECORDS_OF_ONE};
use crate::report::{Inventory, NodeInventory};
use crate::seam::{DiskRequest, OpId, Refusal, Reply, Waiter};

/// Those under way. Each ends with what it has after [`INVENTORY_MS`].
#[derive(Default)]
pub(in crate::engine) struct Inventories(BTreeMap<OpId, OpenInventory>);

/// Invariant: `waiting` is never empty between two calls; when the last one is done it is answered.
struct OpenInventory {
    /// Of those that sent a page at least, none with a fault.
    lists: BTreeMap<NodeId, BlockList>,
    /// Members with a page due.
    waiting: BTreeSet<NodeId>,
    /// Records asked of each member.
    most: usize,
}

/// What one member listed so far, ascending.
#[derive(Default)]
struct BlockList {
    /// Ids only grow, within a page and from page to page.
    blocks: Vec<HeldBlock>,
    /// There are no more.
    all: bool,
}

impl BlockList {
    /// Where the next page begins.
    fn last(&self) -> Option<BlockId> {
        self.blocks.last().map(|held| held.id)
    }

    /// Takes in a page, if it begins behind the last id.
    fn add(&mut self, page: &[HeldBlock]) -> bool {
        let last = self.last();
        let follows = page.first().is_none_or(|first| last.is_none_or(|last| last < first.id));
        if follows {
            self.all = page.len() < IDS_MAX;
            self.blocks.extend(page);
        }
        follows
    }
}

impl Inventories {
    /// Asks this node and every member that answers for a first page.
    pub fn start(&mut self, cx: &mut Context, op: OpId) {
        if !cx.ready() {
            return cx.reply(op, Reply::Refused(Refusal::NotYet));
        }
        let up = cx.peers.up();
        // Whoever failed its audits is not asked, and stands among the silent.
        let can_say = |node: &NodeId| cx.responsive(*node) && cx.peers.is_believed(*node) && !cx.revoked(*node);
        let members: Vec<NodeId> = up.into_iter().filter(can_say).collect();
        // Shared evenly, so that the sample has the same bounds at each member.
        let most = (INVENTORY_RECORDS / (members.len() + 1)).clamp(IDS_MAX, INVENTORY_RECORDS_OF_ONE);
        let waiting = members.iter().copied().chain([cx.me]).collect();
        self.0.insert(op, OpenInventory { lists: BTreeMap::new(), waiting, most });
        cx.wake_in(INVENTORY_MS, Timer::Inventory(op));
        ask_page(cx, op, cx.me, None);
        for node in members {
            ask_page(cx, op, node, None);
        }
    }

    /// Late pages meet nothing.
    pub fn cancel(&mut self, op: OpId) {
        self.0.remove(&op);
    }

    /// This node's own store is listed like any member.
    pub fn on_own_page(&mut self, cx: &mut Context, op: OpId, records: &[RecordInfo]) {
        let records: Vec<HeldBlock> = records.iter().map(|info| HeldBlock { id: info.id, len: info.len }).collect();
        self.on_page(cx, op, cx.me, &records);
    }

    /// A page came: the next one, if there is more to ask for.
    pub fn on_page(&mut self, cx: &mut Context, op: OpId, from: NodeId, page: &[HeldBlock]) {
        let Some(inventory) = self.0.get_mut(&op) else { return };
        let list = inventory.lists.entry(from).or_default();
        if !list.add(page) {
            // A list with a fault of its sender's is none.
            inventory.lists.remove(&from);
            return self.on_silent(cx, op, from);
        }
        if list.all || list.blocks.len() >= inventory.most {
            return self.on_silent(cx, op, from);
        }
        ask_page(cx, op, from, list.last());
    }

    /// Nothing more is to come from this member.
    pub fn on_silent(&mut self, cx: &mut Context, op: OpId, node: NodeId) {
        let Some(inventory) = self.0.get_mut(&op) else { return };
        inventory.waiting.remove(&node);
        if inventory.waiting.is_empty() {
            self.on_due(cx, op);
        }
    }

    /// The time is over, or everybody has answered.
    pub fn on_due(&mut self, cx: &mut Context, op: OpId) {
        let Some(inventory) = self.0.remove(&op) else { return };
        let of_node = |(node, BlockList { blocks, all })| NodeInventory { node, blocks, all };
        let holdings: Vec<NodeInventory> = inventory.lists.into_iter().map(of_node).collect();
        let is_silent = |node: &NodeId| holdings.iter().all(|holding| holding.node != *node);
        // A member without disks keeps nothing, so its silence says nothing.
        let stores = cx.map.servers().iter().filter(|server| !server.disks.is_empty()).map(|server| server.id);
        let silent = stores.filter(is_silent).collect();
        let rules = cx.facts.rules();
        let (copies, weight_max, view) = (rules.copies, rules.weight_gib_max, cx.map.clone());
        cx.reply(op, Reply::Inventory(Box::new(Inventory { copies, weight_max, view, holdings, silent })));
    }
}

/// At most one page of a member is under way, so a list comes in order.
fn ask_page(cx: &mut Context, op: OpId, of: NodeId, after: Option<BlockId>) {
    if of == cx.me {
        return cx.disk(DiskRequest::List { after, max: IDS_MAX }, Waiter::Inventory(op));
    }
    let list = |request| Message::ListBlocks(ListBlocksRequest { request, after });
    cx.ask(of, Waiter::Inventory(op), list);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::blocks::kit::asked;
    use crate::engine::test_kit::{connect, context, effects, pool};
    use crate::seam::Effect;

    fn page(first: u8, count: usize) -> Vec<HeldBlock> {
        let id = |number: usize| {
            BlockId([&[first][..], &(number as u64).to_be_bytes(), &[0; 23]].concat().try_into().expect("32"))
        };
        (0..count).map(|number| HeldBlock { id: id(number), len: 1 }).collect()
    }

    #[test]
    fn a_list_goes_on_behind_its_last_id() {
        let mut heard = BlockList::default();
        assert!(heard.add(&page(1, IDS_MAX)) && !heard.all);
        assert!(!heard.add(&page(1, IDS_MAX)), "the first page once more");
        assert!(heard.add(&page(2, 3)) && heard.all);
        assert_eq!(heard.blocks.len(), IDS_MAX + 3);
        assert!(BlockList::default().add(&[]), "nothing is a list, too");
    }

    /// Lists of this node and of one other member, both due.
    fn begun() -> (Context, Inventories) {
        let mut cx = context(0, 3);
        connect(&mut cx, 1);
        let mut inventories = Inventories::default();
        inventories.start(&mut cx, 7);
        (cx, inventories)
    }

    fn answered(cx: &mut Context) -> Option<Inventory> {
        effects(cx).into_iter().find_map(|effect| match effect {
            Effect::Reply { op: 7, reply: Reply::Inventory(inventory) } => Some(*inventory),
            _ => None,
        })
    }

    #[test]
    fn it_ends_when_everybody_was_listed_and_names_the_silent() {
        let (mut cx, mut inventories) = begun();
        inventories.on_own_page(&mut cx, 7, &[]);
        assert!(answered(&mut cx).is_none());
        inventories.on_page(&mut cx, 7, pool::node(1), &page(1, IDS_MAX));
        assert_eq!(asked(&mut cx).last(), Some(&(pool::node(1), "list")), "the next page");
        inventories.on_page(&mut cx, 7, pool::node(1), &page(2, 1));
        let inventory = answered(&mut cx).expect("all are in");
        assert_eq!((inventory.holdings.len(), inventory.silent), (2, vec![pool::node(2)]));
        assert!(inventory.holdings.iter().all(|holding| holding.all));
    }

    #[test]
    fn what_a_liar_would_list_counts_for_nothing() {
        let mut cx = begun().0;
        cx.peers.get_mut(pool::node(1)).expect("connected").distrusted = true;
        let mut inventories = Inventories::default();
        inventories.start(&mut cx, 7);
        inventories.on_own_page(&mut cx, 7, &[]);
        assert!(answered(&mut cx).expect("nobody else is due").silent.contains(&pool::node(1)));
    }

    #[test]
    fn a_list_that_goes_backwards_is_none() {
        let (mut cx, mut inventories) = begun();
        inventories.on_own_page(&mut cx, 7, &[]);
        (0..2).for_each(|_| inventories.on_page(&mut cx, 7, pool::node(1), &page(1, IDS_MAX)));
        let silent = answered(&mut cx).expect("nobody else is due").silent;
        assert!(silent.contains(&pool::node(1)));
    }

    #[test]
    fn when_the_time_is_over_it_ends_with_what_it_has() {
        let (mut cx, mut inventories) = begun();
        inventories.on_page(&mut cx, 7, pool::node(1), &page(1, 3));
        inventories.on_due(&mut cx, 7);
        let inventory = answered(&mut cx).expect("the time is over");
        assert_eq!(inventory.holdings.iter().map(|holding| holding.blocks.len()).collect::<Vec<_>>(), [3]);
        inventories.on_own_page(&mut cx, 7, &[]);
        assert!(answered(&mut cx).is_none(), "once");
    }

    #[test]
    fn a_cancelled_one_answers_nobody_and_a_newcomer_none_yet() {
        let (mut cx, mut inventories) = begun();
        inventories.cancel(7);
        inventories.on_due(&mut cx, 7);
        cx.synced = false;
        inventories.start(&mut cx, 8);
        let out = effects(&mut cx);
        let refused =
            |effect: &Effect| matches!(effect, Effect::Reply { op: 8, reply: Reply::Refused(Refusal::NotYet) });
        assert!(out.iter().any(refused) && inventories.0.is_empty());
    }
}
