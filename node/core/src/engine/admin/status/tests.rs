use super::*;
use crate::engine::test_kit::pool::{TestPool, card, head, node, pool_id, remove, rules, succession};
use crate::engine::test_kit::{connect, context, disk, pass, plain_card, revoke};

/// Of a node with empty disks.
fn counted(cx: &Context) -> Holdings {
    let mut holdings = Holdings::default();
    holdings.begin_count(cx);
    holdings.on_page(cx, &[], true);
    holdings
}

fn report_with(cx: &Context, heads: &LocalHeads) -> StatusReport {
    report_of(cx, heads, &KeyRing::default())
}

fn report_of(cx: &Context, heads: &LocalHeads, keys: &KeyRing) -> StatusReport {
    let (liveness, repair, replication) = (Liveness::default(), Repair::default(), ReplicationLog::default());
    let presence = &PresenceWatch::default();
    let (gossip, audits) = (Gossip::default(), Audits::default());
    let (liveness, repair, replication) = (&liveness, &repair, &replication);
    let (relays, holdings) = (&Relays::default(), &counted(cx));
    let (audits, gossip) = (&audits, &gossip);
    let card = &plain_card();
    status(&StatusParts {
        cx,
        liveness,
        presence,
        heads,
        repair,
        replication,
        audits,
        gossip,
        keys,
        relays,
        holdings,
        card,
        collector: &Collector::default(),
    })
}

fn report(cx: &Context) -> StatusReport {
    report_with(cx, &LocalHeads::default())
}

/// Node 0 of `nodes`, connected to all others: nothing is wrong.
fn healthy(nodes: u8) -> Context {
    let mut cx = context(0, nodes);
    (1..nodes).for_each(|number| {
        connect(&mut cx, number);
    });
    cx
}

/// All connected peers' clocks differ from ours by so much.
fn set_clocks(cx: &mut Context, off_ms: i64) {
    for node in cx.peers.up() {
        cx.peers.get_mut(node).expect("connected").clock_is_off(off_ms, cx.now);
    }
}

#[test]
fn in_a_healthy_pool_nothing_needs_attention() {
    let report = report(&healthy(4));
    assert_eq!(report.attention, []);
    assert_eq!((report.connected, report.members, report.copies), (3, 3, 3));
    assert!(report.ready && report.has_key && !report.repair_running);
    assert_eq!((report.clock_off_min, report.repair_pending, report.repair_sent), (0, 0, 0));
}

#[test]
fn a_silent_peer_is_not_counted_as_connected_and_a_removed_one_not_as_a_member() {
    let mut cx = healthy(5);
    cx.peers.get_mut(node(1)).expect("connected").silent = true;
    cx.facts.insert(remove(0, 2).into());
    revoke(&mut cx, 3);
    let report = report(&cx);
    assert_eq!((report.connected, report.members), (3, 2));
}

#[test]
fn a_node_that_compared_nothing_is_ready_only_if_it_is_alone() {
    for (nodes, ready) in [(3, false), (1, true)] {
        let mut cx = context(0, nodes);
        cx.synced = false;
        cx.keys.clear();
        let report = report(&cx);
        assert_eq!((report.ready, report.has_key), (ready, false));
    }
}

/// A healthy node 0 of four, but for this.
#[track_caller]
fn check(change: impl FnOnce(&mut Context), expected: &[Attention]) {
    let mut cx = healthy(4);
    change(&mut cx);
    assert_eq!(report(&cx).attention, expected);
}

#[test]
fn each_trouble_is_named() {
    let names = || vec!["node2".to_owned()];
    check(|cx| cx.duplicate_identity = true, &[Attention::DuplicateIdentity]);
    let (disk, condition) = (disk(0).id, DiskCondition::Failing);
    check(|cx| cx.disks[0].condition = condition, &[Attention::DiskTakesNothing { disk, condition }]);
    let nearly = Attention::DiskNearlyFull { disk, percent: 90 };
    check(|cx| cx.disks[0].room_bytes = 10 << 30, &[nearly]);
    check(|cx| cx.disks[0].room_bytes = 11 << 30, &[]);
    let leave = |cx: &mut Context| {
        assert!(cx.peers.on_down(node(2)));
        pass(cx, crate::limits::AWAY_MS);
    };
    check(leave, &[Attention::Away { names: names() }]);
    check(|cx| set_clocks(cx, -11 * 60_000), &[Attention::ClockOff { minutes: 11 }]);
    check(|cx| set_clocks(cx, 11 * 60_000), &[Attention::ClockOff { minutes: -11 }]);
    check(|cx| set_clocks(cx, 10 * 60_000), &[]);
    let distrust = |cx: &mut Context| cx.peers.get_mut(node(2)).expect("connected").distrusted = true;
    check(distrust, &[Attention::FailsAudits { name: "node2".into() }]);
    check(|cx| cx.peers.note_wrong_block(node(2)), &[Attention::WrongBlocks { name: "node2".into(), blocks: 1 }]);
}

#[test]
fn what_is_not_believed_is_said() {
    check(
        |cx| {
            cx.facts.insert(rules(0, 1, None, 3).into());
            cx.facts.insert(card(1, 2, &[(1, 101)], 0).into());
            cx.refresh_map();
        },
        &[Attention::OfferCapped { names: vec!["node1".into()] }],
    );
}

#[test]
fn a_branch_that_is_bound_is_named_if_that_costs_space() {
    let invited = |count: u8| {
        let mut pool = TestPool::of(2);
        let ticket = pool.ticket(1, 9, 0);
        (2..2 + count).for_each(|number| {
            pool.join(1, ticket, number, u64::from(number) * 10);
        });
        (0..2 + count).for_each(|number| {
            pool.say(card(number, 1, &[(number, 100)], 0));
        });
        let mut cx = context(0, 2);
        cx.facts = pool.facts;
        cx.refresh_map();
        let bound = report(&cx).attention.into_iter();
        bound.filter(|said| matches!(said, Attention::BranchBound { .. })).collect::<Vec<_>>()
    };
    assert_eq!(invited(1), [], "three servers hold everything");
    let names = ["node2".to_owned(), "node3".to_owned()];
    let [Attention::BranchBound { names: said, percent: 24 }] = &invited(2)[..] else { panic!("{:?}", invited(2)) };
    assert_eq!(said.iter().collect::<std::collections::BTreeSet<_>>(), names.iter().collect());
}

/// Their cards say from now on how full these nodes are.
fn fill(cx: &mut Context, percents: &[(u8, u8)]) {
    for (number, percent) in percents {
        let flags = card_flag::of_full_percent(*percent) | (u32::from(*percent == 100) * card_flag::READ_ONLY);
        cx.facts.insert(card(*number, 2, &[(*number, 100)], flags).into());
    }
}

#[test]
fn a_pool_that_fills_up_is_told_before_writes_are_refused() {
    let told = |percents: &[(u8, u8)]| {
        let mut cx = healthy(4);
        fill(&mut cx, percents);
        report(&cx).attention
    };
    assert_eq!(told(&[(1, 89), (2, 50), (3, 80)]), []);
    // 100 + 10 + 10 + 5 in three copies: the last three bound it.
    assert_eq!(told(&[(1, 90), (2, 90), (3, 95)]), [Attention::PoolNearlyFull { percent: 91 }]);
    assert_eq!(told(&[(1, 100)]), [], "three have room");
    assert_eq!(told(&[(1, 100), (2, 100)]), [Attention::PoolFull { with_room: 2, copies: 3 }]);
}

#[test]
fn a_home_folder_that_cannot_be_written_is_told() {
    let cx = healthy(4);
    let (liveness, heads, repair) = (Liveness::default(), LocalHeads::default(), Repair::default());
    let (replication, mut gossip) = (ReplicationLog::default(), Gossip::default());
    gossip.log_behind = true;
    let parts = StatusParts {
        cx: &cx,
        liveness: &liveness,
        presence: &PresenceWatch::default(),
        heads: &heads,
        repair: &repair,
        replication: &replication,
        audits: &Audits::default(),
        gossip: &gossip,
        keys: &KeyRing::default(),
        relays: &Relays::default(),
        holdings: &counted(&cx),
        card: &plain_card(),
        collector: &Collector::default(),
    };
    assert_eq!(status(&parts).attention, [Attention::HomeFailed]);
}

#[test]
fn who_waits_for_a_key_hears_whom_that_takes() {
    let mut cx = context(3, 4);
    connect(&mut cx, 1);
    cx.keys.clear();
    let mut keys = KeyRing::default();
    keys.take_up(&mut cx);
    let said = |cx: &Context| {
        let waits = |it: &Attention| matches!(it, Attention::AwaitsKey { .. });
        report_of(cx, &LocalHeads::default(), &keys).attention.into_iter().find(waits)
    };
    assert_eq!(said(&cx), None, "most keys come at once");
    pass(&mut cx, 7_000);
    let mut away = vec!["node0".to_owned(), "node2".to_owned()];
    match said(&cx) {
        Some(Attention::AwaitsKey { seconds: 7, away: mut named }) => {
            named.sort_unstable();
            away.sort_unstable();
            assert_eq!(named, away);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_copied_root_key_is_reported() {
    let mut cx = context(0, 2);
    cx.facts = TestPool::founded(2).facts;
    cx.facts.insert(succession(2, []).into());
    let copied = Attention::RootKeyCopied { number: 2 };
    assert!(!report(&cx).attention.contains(&copied));
    let keep = cx.facts.signed_by_roots().into_iter().map(fsdfs_proto::identity::Fact::id).collect::<Vec<_>>();
    cx.facts.insert(succession(2, keep.into_iter().chain([fsdfs_proto::ids::FactId([7; 32])])).into());
    assert!(report(&cx).attention.contains(&copied));
}

#[test]
fn copies_of_members_that_proved_nothing_do_not_count_and_the_own_one_does() {
    assert_eq!(proven_margin((0, 1), 0, 3), (0, 1));
    assert_eq!(proven_margin((0, 1), 1, 3), (-1, 1));
    assert_eq!(proven_margin((-1, 0), 9, 3), (-2, 0));
}

#[test]
fn one_wrong_clock_among_the_others_is_not_ours() {
    let mut cx = healthy(4);
    set_clocks(&mut cx, 0);
    cx.peers.get_mut(node(1)).expect("connected").clock_is_off(3_600_000, cx.now);
    assert_eq!(report(&cx).attention, []);
}

#[test]
fn fewer_servers_than_copies_are_told() {
    let too_few = Attention::TooFewServers { possible: 2, copies: 3 };
    assert_eq!(report(&healthy(2)).attention, [too_few]);
    let mut cx = healthy(2);
    cx.facts.insert(rules(0, 1, None, 2).into());
    cx.refresh_map();
    assert_eq!(report(&cx).attention, [], "two copies are all that the rules ask for");
}

#[test]
fn a_node_hears_what_the_pool_made_of_it() {
    let mut revoked = context(1, 4);
    revoke(&mut revoked, 1);
    assert_eq!(report(&revoked).attention.first(), Some(&Attention::Revoked));
    let mut removed = context(1, 4);
    removed.facts.insert(remove(0, 1).into());
    assert_eq!(report(&removed).attention.first(), Some(&Attention::Removed));
    let mut pool = TestPool::new();
    let ticket = pool.ticket(0, 1, 0);
    pool.join(0, ticket, 1, 1);
    pool.join(0, ticket, 2, 2);
    let guest = (1..3).find(|number| pool.standing(*number) == Some(MemberStatus::Guest)).expect("one too many");
    let mut cx = context(guest, 1);
    cx.facts = pool.facts;
    assert_eq!(report(&cx).attention.first(), Some(&Attention::Guest));
}

#[test]
fn the_most_important_comes_first() {
    let (mut cx, mut heads) = (healthy(2), LocalHeads::default());
    set_clocks(&mut cx, 3_600_000);
    cx.peers.note_wrong_block(node(1));
    cx.peers.on_down(node(1));
    connect(&mut cx, 1);
    cx.peers.get_mut(node(1)).expect("connected").clock_is_off(3_600_000, cx.now);
    cx.duplicate_identity = true;
    cx.disks[0].condition = DiskCondition::QuotaFull;
    heads.keep(pool_id().volume(), head(1, &[(0, 1)]), std::collections::BTreeSet::new());
    let expected = [
        Attention::DuplicateIdentity,
        Attention::ClockOff { minutes: -60 },
        Attention::Unpublished,
        Attention::DiskTakesNothing { disk: disk(0).id, condition: DiskCondition::QuotaFull },
        Attention::TooFewServers { possible: 2, copies: 3 },
        Attention::PoolFull { with_room: 1, copies: 2 },
        Attention::WrongBlocks { name: "node1".into(), blocks: 1 },
    ];
    assert_eq!(report_with(&cx, &heads).attention, expected);
}

#[test]
fn the_map_is_told_with_its_digest() {
    let cx = context(0, 3);
    let map = cluster_map(&cx);
    assert_eq!((map.digest, map.copies, map.view), (cx.map_digest, 3, cx.map.clone()));
}
