//! How much of this node's disks each other member may use, where the pool's rules set a budget.
//!
//! Promise: of what a member puts, this node takes no more than its own part of that member's budget, with some slack, as every
//! holder does by the same facts. Copies of what was stored before are completed all the same, up to several times as much: a
//! rule that is made later takes no copy from anybody.

use std::collections::BTreeMap;

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::StoreRequest;
use fsdfs_proto::volume::{self, BlockKind};

use super::Repair;
use crate::engine::context::Context;
use crate::limits::{BUDGET_REPAIR_FACTOR, BUDGET_SLACK_BYTES};

/// What others brought since this node went through its records last.
#[derive(Default)]
pub(in crate::engine) struct Budgets {
    since: BTreeMap<NodeId, u64>,
    /// The scan since which it is counted.
    scan: u64,
}

impl Budgets {
    /// Whether a block that a member brings is within the budget of whoever it is charged to.
    pub fn allows(&mut self, cx: &Context, repair: &Repair, store: &StoreRequest, block: &Block) -> bool {
        let budget = cx.facts.rules().member_bytes_max;
        let member = store.receipt.member;
        if budget == 0 || member == cx.me {
            return true;
        }
        if self.scan != repair.scans() {
            (self.since, self.scan) = (BTreeMap::new(), repair.scans());
        }
        let len = block.bytes().len() as u64;
        let since = self.since.entry(member).or_default();
        let used = repair.charged().get(&member).copied().unwrap_or_default().saturating_add(*since);
        let allowed = allowed(part(cx, budget), is_file(block), store.age_ms > 0);
        let fits = used.saturating_add(len) <= allowed;
        *since = since.saturating_add(if fits { len } else { 0 });
        fits
    }
}

/// This node's part of a budget for all disks: as much as placement gives it of what is put.
fn part(cx: &Context, budget: u64) -> u64 {
    let loads = cx.map.loads(cx.copies());
    let all: u128 = loads.iter().map(|load| load.expected).sum();
    let own = loads.iter().find(|load| load.node == cx.me).map_or(0, |load| load.expected);
    debug_assert!(own <= all, "a part of what all get");
    // A few dozen bits of precision are enough, and the product fits.
    let (own, all) = (own >> 24, (all >> 24).max(1));
    u64::try_from(u128::from(budget).saturating_mul(own) / all).unwrap_or(u64::MAX)
}

/// With slack, as blocks fall on holders by chance. Trees get some more, or whoever is at the limit could not even remove names; and
/// what was put before is completed.
fn allowed(part: u64, is_file: bool, was_put_before: bool) -> u64 {
    let fresh = part.saturating_add(part / 8).saturating_add(BUDGET_SLACK_BYTES);
    match (is_file, was_put_before) {
        (_, true) => fresh.saturating_mul(BUDGET_REPAIR_FACTOR),
        (true, false) => fresh,
        (false, false) => fresh.saturating_add(fresh / 4),
    }
}

fn is_file(block: &Block) -> bool {
    volume::header(block.bytes()).is_ok_and(|header| header.kind == BlockKind::Data)
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::message::{AttachedBlock, Redundancy};
    use fsdfs_proto::receipt::BlockReceipt;

    use super::*;
    use crate::engine::blocks::kit::sealed;
    use crate::engine::test_kit::context;
    use crate::engine::test_kit::pool::{key, node, rules};
    use fsdfs_proto::identity::PoolRules;
    use fsdfs_proto::signed::Signed;

    /// Node 0 of three equal servers, in a pool with this budget.
    fn pool(budget: u64) -> Context {
        let mut cx = context(0, 3);
        let rules = PoolRules { member_bytes_max: budget, ..rules(0, 1, None, 3).value().clone() };
        cx.facts.insert(Signed::sign(cx.pool, &key(0), rules).into());
        cx
    }

    fn brings(cx: &Context, budgets: &mut Budgets, (member, number, age_ms): (u8, u32, u64)) -> bool {
        let block = sealed(number);
        let store = StoreRequest {
            request: 1,
            map: cx.map_digest,
            redundancy: Redundancy::Replicas(3),
            age_ms,
            lease_ms: age_ms,
            receipt: BlockReceipt::sign(cx.pool, &key(member), block.id()),
            more: false,
            block: AttachedBlock::from(&block),
        };
        budgets.allows(cx, &Repair::default(), &store, &block)
    }

    #[test]
    fn without_a_rule_a_member_may_use_the_whole_pool() {
        let (cx, mut budgets) = (pool(0), Budgets::default());
        budgets.since.insert(node(1), u64::MAX);
        assert!(brings(&cx, &mut budgets, (1, 1, 0)));
    }

    #[test]
    fn of_a_budget_each_holder_takes_its_part() {
        let (cx, mut budgets) = (pool(3 << 30), Budgets::default());
        let part = part(&cx, 3 << 30);
        assert!(part.abs_diff(1 << 30) < 1 << 10, "{part}");
        let full = allowed(part, true, false);
        budgets.since.insert(node(1), full - 1);
        assert!(!brings(&cx, &mut budgets, (1, 1, 0)), "it is used up");
        assert!(brings(&cx, &mut budgets, (2, 1, 0)), "others have theirs");
        assert!(brings(&cx, &mut budgets, (1, 1, 1)), "copies of what was there are completed");
        assert!(brings(&cx, &mut budgets, (0, 1, 0)), "its own disk is its own");
        budgets.since.insert(node(1), full * BUDGET_REPAIR_FACTOR);
        assert!(!brings(&cx, &mut budgets, (1, 1, 1)), "but not everything that calls itself old");
    }

    #[test]
    fn what_comes_counts_until_the_records_are_counted_again() {
        let (cx, mut budgets) = (pool(1), Budgets::default());
        let len = sealed(1).bytes().len() as u64;
        assert!(brings(&cx, &mut budgets, (1, 1, 0)));
        assert_eq!(budgets.since[&node(1)], len);
        budgets.scan = 7;
        assert!(brings(&cx, &mut budgets, (1, 2, 0)));
        assert_eq!(budgets.since[&node(1)], sealed(2).bytes().len() as u64);
    }
}
