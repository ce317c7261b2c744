//! Hand-made pools.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, DiskId, NodeId};
use fsdfs_proto::message::HeldBlock;
use proptest::prelude::*;

use super::{PlanAdvice, PlanError, PlannedChange, PoolSnapshot, risk_report, what_if};
use crate::placement::{self, ClusterMap, DataMovement, MapDisk, MapServer, PlacementRule};
use crate::report::{Inventory, NodeInventory};

const UNIT: u64 = 1 << 20;
const LEN: u64 = 1 << 16;

const HAND_OVER: PlanAdvice = PlanAdvice::HandOver { to_others: true };

fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

fn server(number: u8, site: &str, weight: u32) -> MapServer {
    let disks = vec![MapDisk { id: DiskId([number; 16]), weight }];
    MapServer { id: node(number), site: site.into(), branch: None, disks }
}

/// One server a site, numbered from 1.
fn own_sites(weights: &[u32]) -> Vec<MapServer> {
    (1..).zip(weights).map(|(number, weight)| server(number, &format!("house{number}"), *weight)).collect()
}

/// Blocks where the map wants them.
fn stored(servers: Vec<MapServer>, copies: u8, blocks: usize, seed: u64) -> PoolSnapshot {
    let view = ClusterMap::new(servers);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut held: BTreeMap<NodeId, BTreeSet<BlockId>> =
        view.servers().iter().map(|server| (server.id, BTreeSet::new())).collect();
    for _ in 0..blocks {
        let mut id = BlockId([0; 32]);
        rng.fill(&mut id.0);
        for holder in view.holders(id, copies) {
            held.entry(holder.node).or_default().insert(id);
        }
    }
    let block = |id: &BlockId| HeldBlock { id: *id, len: LEN as u32 };
    let holdings = held.iter().map(|(node, ids)| NodeInventory {
        node: *node,
        blocks: ids.iter().map(block).collect(),
        all: true,
    });
    let inventory = Inventory { copies, view: view.clone(), holdings: holdings.collect(), ..Inventory::default() };
    PoolSnapshot::new(inventory, UNIT, BTreeMap::new())
}

/// What the members tell when they are asked for so many blocks each.
fn asked_for(pool: &PoolSnapshot, most: usize) -> PoolSnapshot {
    let mut inventory = pool.inventory.clone();
    for holding in &mut inventory.holdings {
        holding.all = holding.blocks.len() < most;
        holding.blocks.truncate(most);
    }
    PoolSnapshot::new(inventory, pool.unit_bytes, pool.uplinks.clone())
}

fn add(bytes: u64) -> PlannedChange {
    PlannedChange::Add { bytes, site: None, to: None }
}

#[track_caller]
fn near(predicted: u64, real: u64, permille: u64) {
    let off = predicted.abs_diff(real) * 1000;
    assert!(off <= real * permille, "predicted {predicted}, really {real}: off by {} permille", off / real.max(1));
}

#[test]
fn removing_moves_what_placement_over_all_blocks_says() {
    let pool = stored(own_sites(&[40, 30, 20, 20, 10]), 3, 400, 1);
    let after = pool.inventory.view.with(placement::MapChange::Leave(node(3))).expect("a member");
    let real = DataMovement::between(pool.rule(), PlacementRule { view: &after, copies: 3 }, pool.blocks.sizes());
    let plan = what_if(&pool, &PlannedChange::Remove(node(3))).expect("possible");
    assert_eq!((plan.copied, plan.error_permille, plan.lost), (real.copied, 0, 0));
    assert_eq!(plan.members[&node(3)].holds_then, 0);
    let shares = pool.blocks.shares(PlacementRule { view: &after, copies: 3 });
    assert!([1, 2, 4, 5].into_iter().all(|other| plan.members[&node(other)].holds_then == shares[&node(other)]));
    let sent: u64 = plan.members.values().map(|member| member.flow.uploads).sum();
    assert_eq!((sent, plan.members[&node(3)].flow.uploads), (plan.copied, 0), "who is gone sends nothing");

    let drained = what_if(&pool, &PlannedChange::Drain(node(3))).expect("possible");
    assert_eq!(drained.copied, plan.copied);
    assert!(drained.members[&node(3)].flow.uploads > 0, "who is drained helps");
}

#[test]
fn adding_moves_what_newcomers_of_any_id_take_in_the_mean() {
    let pool = stored(own_sites(&[40, 30, 20, 20, 10]), 3, 400, 2);
    let plan = what_if(&pool, &add(25 * UNIT)).expect("possible");
    let real: u64 = (0..50u8)
        .map(|number| {
            let after =
                pool.inventory.view.with(placement::MapChange::Join(server(100 + number, "new", 25))).expect("new");
            DataMovement::between(pool.rule(), PlacementRule { view: &after, copies: 3 }, pool.blocks.sizes()).copied
        })
        .sum();
    near(plan.copied, real / 50, 30);
    assert!((20..200).contains(&plan.error_permille), "one newcomer has luck of its own: {}", plan.error_permille);
    let giant = what_if(&pool, &add(1000 * UNIT)).expect("possible");
    assert_eq!(giant.error_permille, 0, "a copy of every block is no matter of luck");
    let newcomer = plan.newcomer.expect("a new member");
    assert!(newcomer.holds == 0 && newcomer.holds_then == newcomer.flow.receives && newcomer.flow.receives > 0);
}

#[test]
fn a_sample_tells_of_the_whole_pool() {
    let all = stored(own_sites(&[4000, 3000, 2000, 2000, 1000]), 3, 20_000, 3);
    let some = asked_for(&all, 4_000);
    assert!(!some.blocks.is_whole() && some.blocks.listed().len() < 8_000);
    assert_eq!(some.blocks.copies(), Some((3, 3)), "nothing seems to lack copies where a list was cut");
    near(some.blocks.bytes(), all.blocks.bytes(), 40);
    for change in
        [PlannedChange::Remove(node(2)), PlannedChange::Copies(4), PlannedChange::Drain(node(5)), add(2500 * UNIT)]
    {
        let (some, all) = (what_if(&some, &change).expect("possible"), what_if(&all, &change).expect("possible"));
        near(some.copied, all.copied, 2 * some.error_permille);
        assert!((10..100).contains(&some.error_permille), "{change:?}: {}", some.error_permille);
        assert_eq!(some.then, all.then, "room follows from the map");
    }
}

/// Fills a pool until a server has no room for a block that is assigned to it.
fn fill(servers: Vec<MapServer>, copies: u8, len: u64, seed: u64) -> u64 {
    let view = ClusterMap::new(servers);
    let mut free: BTreeMap<NodeId, u64> =
        super::pool::weights(&view).map(|(node, weight)| (node, weight * UNIT)).collect();
    let mut rng = fastrand::Rng::with_seed(seed);
    for stored in 0.. {
        let mut id = BlockId([0; 32]);
        rng.fill(&mut id.0);
        for holder in view.holders(id, copies) {
            let free = free.get_mut(&holder.node).expect("a server");
            match free.checked_sub(len) {
                Some(less) => *free = less,
                None => return stored * len,
            }
        }
    }
    unreachable!("every pool is full one day")
}

#[test]
fn the_first_refusal_comes_when_the_room_is_used() {
    let sizes: [&[u32]; 6] = [
        &[400, 300, 200, 200, 100],
        &[160, 80, 40, 20, 20, 10, 10],
        &[80, 40, 40, 20, 20],
        &[50; 5],
        &[900, 100, 100, 100],
        &[30, 20],
    ];
    for (seed, sizes) in (0..).zip(sizes) {
        // The smallest server holds 16,384 blocks, so that chance is off by less than 1 %.
        let len = u64::from(*sizes.iter().min().expect("servers")) * UNIT / 16_384;
        for copies in [2, 3] {
            let pool = stored(own_sites(sizes), copies, 0, 0);
            let real = fill(own_sites(sizes), copies, len, seed);
            near(pool.room(pool.rule()).usable, real, 30);
        }
    }
}

#[test]
fn what_may_die_is_told_from_the_copies_that_were_seen() {
    let mut pool =
        stored(vec![server(1, "a", 20), server(2, "a", 20), server(3, "b", 20), server(4, "c", 20)], 2, 200, 4);
    let plan = risk_report(&pool);
    assert!(plan.servers.values().all(|loss| loss.lost == 0 && loss.copied > 0 && loss.seconds > 0));
    assert!(plan.sites.values().all(|loss| loss.lost == 0 && loss.copies == 2), "two copies stand at two sites");
    assert_eq!(plan.pairs.len(), 2, "site a has a copy of everything, the other is at b or c: {:?}", plan.pairs);
    assert_eq!(plan.pairs.values().sum::<u64>(), pool.blocks.bytes());
    assert_eq!(plan.advice, PlanAdvice::Nothing);

    // Site b lost its disk: what was there is now at site a only.
    pool.inventory.holdings[2].blocks.clear();
    let pool = PoolSnapshot::new(pool.inventory, UNIT, BTreeMap::new());
    let plan = risk_report(&pool);
    assert!(plan.servers[&node(1)].lost > 0 && plan.servers[&node(4)].lost == 0);
    assert!(plan.sites["a"].lost > 0 && plan.sites["b"].lost == 0 && plan.sites["c"].lost == 0);
    assert_eq!(plan.pairs.len(), 1, "{:?}", plan.pairs);
    assert_eq!((pool.blocks.copies(), plan.advice), (Some((1, 2)), PlanAdvice::Missing(1)));
    let absent =
        PoolSnapshot { inventory: Inventory { silent: vec![node(3)], ..pool.inventory.clone() }, ..pool.clone() };
    assert_eq!(risk_report(&absent).advice, PlanAdvice::Absent(1));
    assert_eq!(what_if(&pool, &PlannedChange::Remove(node(1))).expect("possible").advice, HAND_OVER);
    assert_ne!(what_if(&pool, &PlannedChange::Drain(node(1))).expect("possible").advice, HAND_OVER);
}

#[test]
fn who_did_not_answer_is_not_said_to_be_dispensable() {
    let mut pool = stored(own_sites(&[20, 20, 20, 20]), 2, 200, 4);
    pool.inventory.holdings.retain(|holding| holding.node != node(3));
    pool.inventory.silent = vec![node(3)];
    let pool = PoolSnapshot::new(pool.inventory, UNIT, BTreeMap::new());
    let plan = risk_report(&pool);
    assert!(!plan.servers[&node(3)].complete && !plan.sites["house3"].complete && plan.servers[&node(1)].complete);
    assert_eq!(what_if(&pool, &PlannedChange::Remove(node(3))).expect("possible").advice, PlanAdvice::NotListed);
}

#[test]
fn copies_outside_the_map_count_when_their_holder_goes() {
    // A server that has become a guest holds what nobody else has.
    let mut pool = stored([own_sites(&[20, 20, 20]), vec![server(9, "guest", 20)]].concat(), 1, 200, 4);
    pool.inventory.view = ClusterMap::new(own_sites(&[20, 20, 20]));
    let gone = what_if(&pool, &PlannedChange::Remove(node(9))).expect("possible");
    assert!(gone.lost > 0);
    assert_eq!(gone.advice, PlanAdvice::HandOver { to_others: false }, "one copy of every file is missing");
    pool.inventory.copies = 2;
    assert_eq!(what_if(&pool, &PlannedChange::Remove(node(9))).expect("possible").advice, HAND_OVER);
}

#[test]
fn a_list_that_cannot_be_true_spoils_no_plan() {
    let honest = stored(own_sites(&[20, 20, 20, 20]), 2, 200, 4);
    let mut inventory = honest.inventory.clone();
    let liar = inventory.holdings.iter_mut().find(|holding| holding.node == node(2)).expect("a server");
    liar.all = false;
    liar.blocks = (0..=u16::MAX).take(512).map(small).collect();
    let spoilt = PoolSnapshot::new(inventory, UNIT, BTreeMap::new());
    assert_eq!((spoilt.inventory.silent.as_slice(), spoilt.blocks.is_whole()), ([node(2)].as_slice(), true));
    assert!(spoilt.blocks.bytes() <= honest.blocks.bytes());
    assert!(risk_report(&spoilt).servers.values().filter(|loss| loss.complete).count() == 3);
}

#[test]
fn who_takes_nothing_more_may_hold_more_than_can_be_listed() {
    let mut servers = own_sites(&[400, 300, 200, 200]);
    let full = asked_for(&stored(servers.clone(), 2, 4_000, 4), 1_000);
    assert!(!full.blocks.is_whole());
    // Its disk is drained, or can only be read.
    servers[0].disks[0].weight = 0;
    let inventory = Inventory { view: ClusterMap::new(servers), ..full.inventory.clone() };
    let pool = PoolSnapshot::new(inventory, UNIT, BTreeMap::new());
    assert_eq!(pool.inventory.silent, []);
    assert_eq!(pool.blocks, full.blocks);
}

/// One of the smallest ids.
fn small(number: u16) -> HeldBlock {
    let mut id = [0; 32];
    id[30..].copy_from_slice(&number.to_be_bytes());
    HeldBlock { id: BlockId(id), len: LEN as u32 }
}

#[test]
fn ids_that_somebody_took_are_not_imagined() {
    let taken = MapServer::imagined("newcomer 0", "", 20);
    let mut servers = own_sites(&[20, 20, 20]);
    servers[0].disks = taken.disks;
    let plan = what_if(&stored(servers, 2, 50, 9), &add(20 * UNIT)).expect("possible");
    assert!(plan.copied > 0);
}

#[test]
fn hours_follow_from_the_uplinks() {
    let mut pool = stored(own_sites(&[20, 20, 20, 20]), 3, 300, 5);
    let seconds = |pool: &PoolSnapshot| what_if(pool, &PlannedChange::Remove(node(4))).expect("possible").seconds;
    assert_eq!(pool.uplink(node(1)), (super::UPLINK_ASSUMED, true));
    let usual = seconds(&pool);
    pool.uplinks = [1, 2, 3].map(|number| (node(number), 1000)).into();
    let slow = seconds(&pool);
    assert!(slow > 1000 * usual.max(1), "{slow} s with 1 KB/s, {usual} s with 40 Mbit/s");
    pool.uplinks.insert(node(1), 10);
    assert!(seconds(&pool) > 50 * slow, "the slowest decides");
}

#[test]
fn small_and_odd_pools() {
    let nobody = stored(Vec::new(), 3, 0, 0);
    assert_eq!(risk_report(&nobody).advice, PlanAdvice::NoServer);
    assert_eq!(what_if(&nobody, &PlannedChange::Remove(node(1))).expect("possible").advice, PlanAdvice::NoStorage);

    let one = stored(own_sites(&[20]), 3, 50, 6);
    let plan = risk_report(&one);
    assert_eq!((plan.advice, plan.servers[&node(1)].lost), (PlanAdvice::MoreServers(2), one.blocks.bytes()));
    let gone = what_if(&one, &PlannedChange::Remove(node(1))).expect("possible");
    assert_eq!(
        (gone.lost, gone.copied, gone.advice),
        (one.blocks.bytes(), 0, PlanAdvice::HandOver { to_others: false })
    );
    let drained = what_if(&one, &PlannedChange::Drain(node(1))).expect("possible");
    assert_eq!((drained.copied, drained.lost, drained.advice), (0, 0, PlanAdvice::NoServer));
    assert_eq!(what_if(&one, &PlannedChange::Copies(5)).expect("possible").advice, PlanAdvice::MoreServers(4));
    assert_eq!(what_if(&one, &PlannedChange::Copies(1)).expect("possible").advice, PlanAdvice::OneCopy);
    for copies in [0, 33] {
        assert_eq!(what_if(&one, &PlannedChange::Copies(copies)), Err(PlanError::Copies));
    }
    assert_eq!(what_if(&one, &add(UNIT - 1)), Err(PlanError::TooSmall(UNIT)));
    assert_eq!(what_if(&one, &add(u64::MAX)), Err(PlanError::TooLarge(UNIT * u64::from(u32::MAX))));

    let guest = [own_sites(&[20, 20, 20]), vec![MapServer { disks: Vec::new(), ..server(9, "guest", 1) }]].concat();
    let pool = stored(guest, 3, 50, 7);
    assert_eq!(what_if(&pool, &PlannedChange::Remove(node(9))).expect("possible").advice, PlanAdvice::NoStorage);
    let more = PlannedChange::Add { bytes: 20 * UNIT, site: None, to: Some(node(9)) };
    let plan = what_if(&pool, &more).expect("possible");
    assert!(plan.newcomer.is_none() && plan.members[&node(9)].flow.receives > 0);
}

#[test]
fn room_is_told_in_bytes() {
    // Two houses hold everything, the third copies share seven units; shares are rounded, so it is a little less.
    let servers = [own_sites(&[18, 12, 2]), vec![server(4, "sea", 4), server(5, "sea", 1)]].concat();
    let pool = stored(servers, 3, 0, 0);
    let room = pool.room(pool.rule());
    assert!((7 * UNIT - 1..=7 * UNIT).contains(&room.usable), "{room:?}");
    assert_eq!(room.stranded.keys().collect::<Vec<_>>(), [&node(1), &node(2)], "rounding is not worth a word");
    let thirds = stored(own_sites(&[1; 4]), 3, 0, 0);
    near(thirds.room(thirds.rule()).usable, 4 * UNIT / 3, 1);
}

#[test]
fn what_rounding_alone_leaves_over_calls_for_nothing() {
    // The largest matches the others exactly.
    let pool = stored(own_sites(&[7, 1, 3, 4, 14, 33, 4]), 2, 0, 0);
    assert_eq!(risk_report(&pool).advice, PlanAdvice::Nothing);
}

#[test]
fn a_pool_that_does_not_fit_says_so() {
    let pool = stored(own_sites(&[10, 10, 10]), 2, 200, 8);
    assert!(matches!(
        what_if(&pool, &PlannedChange::Remove(node(1))).expect("possible").advice,
        PlanAdvice::TooFull(_)
    ));
    let full = stored(own_sites(&[10, 10, 10]), 2, 230, 8);
    assert_eq!(risk_report(&full).advice, PlanAdvice::NearlyFull(95));
    let capped = PoolSnapshot { inventory: Inventory { weight_max: 5, ..pool.inventory.clone() }, ..pool };
    assert_eq!(what_if(&capped, &add(100 * UNIT)).expect("possible").then.given, 35 * UNIT);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_advised_makes_all_space_useful(sizes in proptest::collection::vec(1u32..100, 3..8), copies in 2u8..4) {
        let pool = stored(own_sites(&sizes), copies, 0, 0);
        let room = pool.room(pool.rule());
        let PlanAdvice::Match { stranded, missing, .. } = risk_report(&pool).advice else {
            prop_assert!(room.stranded.values().sum::<u64>() <= room.given / 100);
            return Ok(());
        };
        prop_assert!(stranded > 0 && missing > 0 && missing % UNIT == 0);
        let largest = u64::from(*sizes.iter().max().expect("three or more"));
        let mut servers = own_sites(&sizes);
        let mut missing = missing / UNIT;
        for number in 100.. {
            let part = missing.min(largest);
            servers.push(server(number, &format!("new{number}"), part as u32));
            missing -= part;
            if missing == 0 { break }
        }
        let then = stored(servers, copies, 0, 0);
        let room = then.room(then.rule());
        prop_assert_eq!(room.stranded.len(), 0, "{:?}", room);
    }
}
