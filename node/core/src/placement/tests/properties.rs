//! What holds for every map: counts, distinct servers and sites, independence of order; bounds of fill and race.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::CANDIDATES_MAX;
use super::super::math::{ONE, exponential};
use super::super::share::{ShareBounds, fill, sitefill};
use super::clear::PlainItem;
use super::shortlist::winners;
use super::*;

fn weight() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(1), Just(u32::MAX), 1..20_u32, 1..20_000_u32, any::<u32>()]
}

/// Up to 20 servers on up to 20 sites with up to 4 disks each.
fn map() -> impl Strategy<Value = Vec<MapServer>> {
    let server = (0..20_u64, prop::collection::vec(weight(), 0..5));
    prop::collection::vec(server, 0..20).prop_map(|servers| {
        let numbered = servers.into_iter().zip(0..);
        numbered.map(|((site, weights), number)| server_of(number, site, &weights)).collect()
    })
}

fn server_of(number: u64, site: u64, weights: &[u32]) -> MapServer {
    let disks = weights.iter().zip(0..).map(|(weight, place)| disk(number, place, *weight)).collect();
    MapServer { id: node(number), site: format!("house {site}"), branch: None, disks }
}

fn is_live(server: &MapServer) -> bool {
    server.disks.iter().any(|disk| disk.weight > 0)
}

#[track_caller]
fn check_holders(servers: &[MapServer], holders: &[BlockHolder], copies: u8) {
    let live: Vec<&MapServer> = servers.iter().filter(|server| is_live(server)).collect();
    let sites: BTreeSet<&str> = live.iter().map(|server| server.site.as_str()).collect();
    let copies = live.len().min(copies.into());
    let find = |holder: &BlockHolder| live.iter().find(|server| server.id == holder.node).expect("a holder is live");
    let distinct: BTreeSet<NodeId> = holders.iter().map(|holder| holder.node).collect();
    let by_site: BTreeSet<&str> = holders.iter().map(|holder| find(holder).site.as_str()).collect();
    assert_eq!(holders.len(), copies, "count");
    assert_eq!(distinct.len(), copies, "distinct servers");
    assert_eq!(by_site.len(), copies.min(sites.len()), "distinct sites");
    for holder in holders {
        let disk = find(holder).disks.iter().find(|disk| disk.id == holder.disk).expect("the server has the disk");
        assert!(disk.weight > 0, "a drained disk was chosen");
    }
}

proptest! {
    #[test]
    fn holders_are_enough_and_distinct(servers in map(), copies in 1..=32_u8, number: u64) {
        let view = ClusterMap::new(servers.clone());
        check_holders(&servers, &view.holders(block(number), copies), copies);
    }

    #[test]
    fn arrival_order_makes_no_difference(servers in map(), copies in 1..=32_u8, number: u64, salt: u64) {
        let mut dice = fastrand::Rng::with_seed(salt);
        let mut shuffled = servers.clone();
        dice.shuffle(&mut shuffled);
        for server in &mut shuffled {
            dice.shuffle(&mut server.disks);
        }
        let (view, other) = (ClusterMap::new(servers), ClusterMap::new(shuffled));
        prop_assert_eq!(&view, &other);
        prop_assert_eq!(view.order(block(number), copies), other.order(block(number), copies));
        prop_assert_eq!(view.capacity(copies), other.capacity(copies));
    }

    #[test]
    fn the_order_is_the_holders_and_then_every_other_live_server(servers in map(), copies in 1..=32_u8, number: u64) {
        let view = ClusterMap::new(servers.clone());
        let (order, holders) = (view.order(block(number), copies), view.holders(block(number), copies));
        prop_assert_eq!(&order[..holders.len()], &holders[..]);
        let distinct: BTreeSet<NodeId> = nodes(&order).into_iter().collect();
        prop_assert_eq!(distinct.len(), order.len());
        prop_assert_eq!(order.len(), servers.iter().filter(|server| is_live(server)).count());
    }

    #[test]
    fn a_drained_disk_changes_nothing(mut servers in map(), copies in 1..=32_u8, number: u64) {
        let before = ClusterMap::new(servers.clone()).order(block(number), copies);
        for server in &mut servers {
            server.disks.push(disk(u64::from(u32::MAX), u64::from(server.id.0[0]) << 8 | u64::from(server.id.0[1]), 0));
        }
        servers.push(server_of(99, 99, &[0, 0]));
        prop_assert_eq!(ClusterMap::new(servers).order(block(number), copies), before);
    }

    #[test]
    fn fill_keeps_its_bounds(weights in prop::collection::vec(1..1_u64 << 34, 1..20), copies in 1..20_u64) {
        let items: Vec<ShareBounds> = weights.iter().map(|weight| ShareBounds::up_to_one(*weight)).collect();
        let shares = fill(&items, copies);
        let (sum, most) = (shares.iter().sum::<u64>(), copies.min(items.len() as u64) * ONE);
        let slack: u64 = weights.iter().map(|weight| weight.div_ceil(1 << 32)).sum();
        prop_assert!(sum <= most && most - sum <= slack, "{} of {}", sum, most);
        let mut by_weight: Vec<(u64, u64)> = weights.into_iter().zip(shares).collect();
        by_weight.sort_unstable();
        prop_assert!(by_weight.iter().all(|(_, share)| *share <= ONE));
        prop_assert!(by_weight.is_sorted_by(|x, y| x.1 < y.1 || (x.1 == y.1 && x.0 <= y.0)));
        prop_assert!(by_weight.windows(2).all(|pair| pair[0].0 < pair[1].0 || pair[0].1 == pair[1].1));
    }

    #[test]
    fn fill_keeps_all_bounds(items in prop::collection::vec((1..1_u64 << 34, 0..2_u64, 1..4_u64), 1..20), more in 0..20_u64) {
        let bounds = |&(weight, least, most): &(u64, u64, u64)| ShareBounds { weight, least: least * ONE, most: most * ONE };
        let items: Vec<ShareBounds> = items.iter().map(bounds).collect();
        let (least, most) = (items.iter().map(|item| item.least).sum::<u64>(), items.iter().map(|item| item.most).sum::<u64>());
        let copies = least / ONE + more;
        let shares = fill(&items, copies);
        prop_assert!(items.iter().zip(&shares).all(|(item, share)| (item.least..=item.most).contains(share)));
        let (sum, wanted) = (shares.iter().sum::<u64>(), most.min(copies * ONE));
        let slack: u64 = items.iter().map(|item| item.weight.div_ceil(1 << 32)).sum();
        prop_assert!(sum <= wanted && wanted - sum <= slack, "{} of {}", sum, wanted);
    }

    #[test]
    fn sitefill_gives_each_site_one_and_no_more_than_it_can_take(
        sites in prop::collection::vec(prop::collection::vec(1..1_u64 << 34, 1..7), 1..8), more in 0..20_u64
    ) {
        let servers = sites.iter().map(Vec::len).sum::<usize>() as u64;
        let copies = sites.len() as u64 + more;
        let shares = sitefill(&sites, copies);
        let fits = |(site, share): (&Vec<u64>, &u64)| (ONE..=site.len() as u64 * ONE).contains(share);
        prop_assert!(sites.iter().zip(&shares).all(fits), "{:?}", shares);
        let (sum, wanted) = (shares.iter().sum::<u64>(), servers.min(copies) * ONE);
        let slack: u64 = sites.iter().flatten().map(|weight| weight.div_ceil(1 << 32)).sum();
        prop_assert!(sum <= wanted && wanted - sum <= slack, "{} of {}", sum, wanted);
    }

    #[test]
    fn equal_chances_race_in_order_of_arrival(draws in prop::collection::vec(any::<u64>(), 2..12), places in 1..12_usize) {
        let p = ONE * places.min(draws.len() - 1) as u64 / draws.len() as u64;
        let runners: Vec<PlainItem> = draws.iter().map(|draw| PlainItem { e: exponential(*draw), p }).collect();
        let mut by_arrival: Vec<usize> = (0..draws.len()).collect();
        by_arrival.sort_by_key(|runner| runners[*runner].e);
        by_arrival.truncate(places);
        let e = |order: &[usize]| order.iter().map(|runner| runners[*runner].e).collect::<Vec<u64>>();
        prop_assert_eq!(e(&winners(&runners, places.min(draws.len()))), e(&by_arrival));
    }

    #[test]
    fn as_many_places_as_runners_take_all(draws in prop::collection::vec((any::<u64>(), 1..ONE), 1..12)) {
        let runners: Vec<PlainItem> = draws.iter().map(|(draw, p)| PlainItem { e: exponential(*draw), p: *p }).collect();
        let mut winners = winners(&runners, draws.len());
        winners.sort_unstable();
        prop_assert_eq!(winners, (0..draws.len()).collect::<Vec<usize>>());
    }
}

#[test]
fn an_empty_map_and_one_without_disks_hold_nothing() {
    for view in [ClusterMap::default(), ClusterMap::new(vec![server(1, 0), server(2, 0)])] {
        assert_eq!(view.holders(block(1), 3), []);
        assert_eq!(view.order(block(1), 3), []);
        assert_eq!(view.capacity(3).usable, 0);
        assert_eq!(view.capacity(3).copies_short, 3);
    }
}

#[test]
fn a_lonely_server_holds_everything_once() {
    let view = ClusterMap::new(vec![server(1, 500)]);
    assert_eq!(nodes(&view.holders(block(1), 3)), [node(1)]);
    assert_eq!(view.holders(block(1), 0), []);
    let capacity = view.capacity(3);
    assert_eq!((capacity.usable, capacity.copies_short, capacity.sites_short), (500, 2, 0));
}

#[test]
fn ten_thousand_disks() {
    let weights: Vec<u32> = (0..64).map(|place| if place % 3 == 0 { u32::MAX } else { place }).collect();
    let servers: Vec<MapServer> = (0..160).map(|number| server_of(number, number % 3, &weights)).collect();
    let view = ClusterMap::new(servers.clone());
    for copies in [1, 3, 4, 14, 32] {
        check_holders(&servers, &view.holders(block(7), copies), copies);
    }
    assert!(view.capacity(32).usable > 0);
}

#[test]
fn candidates_are_a_cut_only_where_there_are_too_many() {
    let servers: Vec<MapServer> = (0..40).map(|number| server_of(number, number % 7, &[100, 50])).collect();
    let view = ClusterMap::new(servers);
    let ids = |sites: &super::super::sites::LiveSites| sites.servers.iter().map(|server| server.id).collect::<Vec<_>>();
    for number in 0..20 {
        assert_eq!(ids(&view.sites.near(block(number), 40)), ids(&view.sites), "all are near enough");
        assert_eq!(ids(&view.sites.near(block(number), 12)).len(), 12);
    }
}

#[test]
fn a_crowd_is_cut_by_ids_alone() {
    let crowd = |weight: fn(u64) -> u32| -> Vec<MapServer> {
        (0..CANDIDATES_MAX as u64 + 200).map(|number| server_of(number, number, &[weight(number)])).collect()
    };
    let (plain, other) = (ClusterMap::new(crowd(|_| 100)), ClusterMap::new(crowd(|number| 1 + number as u32)));
    let near = |view: &ClusterMap| -> BTreeSet<NodeId> {
        view.candidates(block(5)).expect("a cut").servers.iter().map(|server| server.id).collect()
    };
    assert_eq!(near(&plain), near(&other));
    check_holders(plain.servers(), &plain.holders(block(5), 3), 3);

    let order = nodes(&plain.order(block(5), 3));
    assert_eq!(order.len(), plain.servers().len());
    assert_eq!(order[..CANDIDATES_MAX].iter().copied().collect::<BTreeSet<_>>(), near(&plain), "candidates come first");
}
