//! How much of this node's disks each other member may use, where the pool's rules set a budget.
//!
//! Promise: of what a member puts, this node takes no more than its own part of that member's budget, with some slack, as every
//! holder does by the same facts. Copies of what was stored before are completed all the same, up to several times as much: a
//! rule that is made later takes no copy from anybody.

use fsdfs_proto::block::Block;
use fsdfs_proto::message::StoreRequest;
use fsdfs_proto::volume::{self, BlockKind};

use super::Holdings;
use crate::engine::context::Context;
use crate::limits::{BUDGET_REPAIR_FACTOR, BUDGET_SLACK_BYTES};

/// Whether a block that a member brings is within the budget of whoever it is charged to. What is on its way to the disk is not counted
/// yet; it is less than the slack.
pub(super) fn is_within_budget(cx: &Context, holdings: &Holdings, store: &StoreRequest, block: &Block) -> bool {
    let budget = cx.facts.rules().member_bytes_max;
    let member = store.receipt.member;
    if budget == 0 || member == cx.me {
        return true;
    }
    let used = holdings.charged().get(&member).copied().unwrap_or_default();
    let allowed = allowed(part(cx, budget), is_file(block), store.age_ms > 0);
    used.saturating_add(block.bytes().len() as u64) <= allowed
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
    use fsdfs_proto::ids::{BlockId, Signature};
    use fsdfs_proto::message::{AttachedBlock, Redundancy};
    use fsdfs_proto::receipt::BlockReceipt;
    use fsdfs_proto::record::RecordInfo;

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

    fn brings(cx: &Context, holdings: &Holdings, (member, number, age_ms): (u8, u32, u64)) -> bool {
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
        is_within_budget(cx, holdings, &store, &block)
    }

    /// Node 1 put so many bytes.
    fn charged(bytes: u64) -> Holdings {
        let mut holdings = Holdings::default();
        holdings.begin_count(&context(0, 3));
        let receipt = BlockReceipt { member: node(1), signature: Signature([0; 64]) };
        let record = |number: u64, len: u64| RecordInfo {
            id: BlockId([&[0; 24][..], &number.to_be_bytes()].concat().try_into().expect("32")),
            len: len.try_into().expect("a part of a gibibyte"),
            redundancies: vec![Redundancy::Replicas(3)],
            first_seen: 0,
            renewed: 0,
            receipt,
        };
        let page: Vec<RecordInfo> =
            (0..bytes.div_ceil(GIB)).map(|number| record(number, (bytes - number * GIB).min(GIB))).collect();
        holdings.on_page(&context(0, 3), &page, true);
        holdings
    }

    const GIB: u64 = 1 << 30;

    #[test]
    fn without_a_rule_a_member_may_use_the_whole_pool() {
        assert!(brings(&pool(0), &charged(1_000 * GIB), (1, 1, 0)));
    }

    #[test]
    fn of_a_budget_each_holder_takes_its_part() {
        let cx = pool(3 * GIB);
        let part = part(&cx, 3 * GIB);
        assert!(part.abs_diff(GIB) < 1 << 10, "{part}");
        let full = allowed(part, true, false);
        let holdings = charged(full - 1);
        assert!(!brings(&cx, &holdings, (1, 1, 0)), "it is used up");
        assert!(brings(&cx, &holdings, (2, 1, 0)), "others have theirs");
        assert!(brings(&cx, &holdings, (1, 1, 1)), "copies of what was there are completed");
        assert!(brings(&cx, &holdings, (0, 1, 0)), "its own disk is its own");
        let holdings = charged(full * BUDGET_REPAIR_FACTOR);
        assert!(!brings(&cx, &holdings, (1, 1, 1)), "but not everything that calls itself old");
    }
}
