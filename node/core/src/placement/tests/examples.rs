//! Small numbers a person can follow. Seeds are made without SHA-256: `mix(mix(number xor tag) + tag)`, tag 1 for disks, 2 for sites.

use super::super::math::{ONE, PlacementKey, exponential, mix, table_entries};
use super::super::share::{ShareBounds, fill};
use super::super::sites::{LiveSites, SeedFunctions};
use super::super::targets::site_targets;
use super::clear::PlainItem;
use super::shortlist::winners;
use super::*;

const BX: u64 = 0x0123_4567_89ab_cdef;

fn plain_seed(number: u64, tag: u64) -> u64 {
    mix(mix(number ^ tag).wrapping_add(tag))
}

const SEEDS: SeedFunctions = SeedFunctions {
    disk: |id| plain_seed(u128::from_be_bytes(id.0) as u64, 1),
    site: |_, site| plain_seed(site.parse().expect("sites are numbers here"), 2),
    branch: |_| 0,
};

/// `(site, server, [(disk, weight)])`, all numbers.
type PlainSites<'a> = (u64, u64, &'a [(u64, u32)]);

fn servers(plain: &[PlainSites<'_>]) -> Vec<MapServer> {
    let disk = |(id, weight): &(u64, u32)| MapDisk { id: DiskId(u128::from(*id).to_be_bytes()), weight: *weight };
    plain
        .iter()
        .map(|(site, id, disks)| MapServer {
            id: plain_node(*id),
            site: site.to_string(),
            branch: None,
            disks: disks.iter().map(disk).collect(),
        })
        .collect()
}

fn plain_node(number: u64) -> NodeId {
    let mut id = [0; 32];
    id[24..].copy_from_slice(&number.to_be_bytes());
    NodeId(id)
}

/// `expected`: "server" or "server/disk", comma between.
#[track_caller]
fn check_places(view: &ClusterMap, copies: u8, b: u64, expected: &[(u64, &str)]) {
    for (a, expected) in expected {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&a.to_be_bytes());
        id[8..16].copy_from_slice(&b.to_be_bytes());
        let show = |holder: &BlockHolder| {
            let server = u128::from_be_bytes(*holder.node.0.last_chunk().expect("32 bytes end in 16"));
            let disk = u128::from_be_bytes(holder.disk.0);
            if expected.contains('/') { format!("{server}/{disk}") } else { server.to_string() }
        };
        let actual: Vec<String> = view.holders(BlockId(id), copies).iter().map(show).collect();
        assert_eq!(actual.join(", "), *expected, "a = {a}, b = {b:x}, N = {copies}");
    }
}

#[test]
fn mix_and_draw() {
    assert_eq!(mix(1), 0x5692_161d_100b_05e5);
    assert_eq!(mix(2), 0xdbd2_3897_3a2b_148a);
    assert_eq!(mix(0xdead_beef), 0x4e06_2702_ec92_9eea);
    assert_eq!(plain_seed(1, 1), 0x5692_161d_100b_05e5);
    assert_eq!(plain_seed(0, 2), 0xa664_535c_b5f7_2839);
    assert_eq!(plain_seed(1, 2), 0x6858_73dc_5799_652a);
    assert_eq!(PlacementKey { a: 1, b: 0 }.draw(plain_seed(1, 1)), 0x98dc_caa3_1a8b_af69);
    assert_eq!(PlacementKey { a: 1, b: BX }.draw(plain_seed(1, 1)), 0x0c27_09aa_e113_20c2);
}

#[test]
fn logarithms() {
    let table = table_entries();
    assert_eq!((table[0], table[1], table[1024]), (0, 774_351_966, 643_173_071_355));
    assert_eq!((table[2047], table[2048]), (1_099_124_309_992, 1 << 40));
    assert!(table.is_sorted_by(|x, y| x < y));
    assert_eq!(exponential(0), 70_368_744_177_664);
    assert_eq!(exponential(1), 70_368_744_177_664);
    assert_eq!(exponential(2), 68_626_059_478_533);
    assert_eq!(exponential(1 << 63), 1 << 40);
    assert_eq!(exponential((1 << 62) + 1), 2 << 40);
    assert_eq!(exponential(0x1234_5678_9abc_def0), 4_193_296_786_037);
    assert_eq!(exponential(u64::MAX), 1);
}

#[test]
fn fills() {
    let up_to_one = |weights: &[u64]| weights.iter().map(|weight| ShareBounds::up_to_one(*weight)).collect::<Vec<_>>();
    assert_eq!(
        fill(&up_to_one(&[1000, 2000, 3000, 4000, 12000]), 3),
        [53_687_091, 107_374_182, 161_061_274, 214_748_365, 268_435_456]
    );
    assert_eq!(fill(&up_to_one(&[1 << 40, 1 << 41, (1 << 39) + 1]), 2), [178_956_800, 268_435_456, 89_478_400]);
    let sites =
        [(14, 2), (7100, 3), (5300, 3)].map(|(weight, most)| ShareBounds { weight, least: ONE, most: most * ONE });
    assert_eq!(fill(&sites, 5), [268_435_456, 614_803_786, 458_938_038]);
}

#[test]
fn races() {
    let runners = |e: &[u64], p: &[u64]| e.iter().zip(p).map(|(&e, &p)| PlainItem { e, p }).collect::<Vec<_>>();
    let p = [40_265_318, 120_795_955, 161_061_274, 261_724_570, 221_459_251];
    assert_eq!(winners(&runners(&[4, 50, 56, 78, 98].map(|e| e << 34), &p), 3), [3, 0, 4]);
    assert_eq!(winners(&runners(&[7; 4], &[ONE / 2; 4]), 2), [0, 1]);
    assert_eq!(winners(&runners(&[500, 100], &[ONE - 256, ONE - 255]), 2), [1, 0]);
    assert_eq!(winners(&[], 2), [0; 0], "nobody to pick from");
}

#[test]
fn five_sites() {
    let plain: [PlainSites<'_>; 5] =
        [(1, 1, &[(1, 1000)]), (2, 2, &[(2, 2000)]), (3, 3, &[(3, 3000)]), (4, 4, &[(4, 4000)]), (5, 5, &[(5, 2500)])];
    let view = ClusterMap::with_seeds(servers(&plain), SEEDS);
    let places = [(1, "2, 3, 4"), (2, "2, 1, 4"), (3, "4, 3, 1"), (4, "3, 4, 5"), (5, "5, 2, 4"), (6, "4, 5, 3")];
    check_places(&view, 3, 0, &places);
    let places = [(7, "2, 4, 5"), (8, "3, 4, 2"), (29, "3, 5, 4"), (35, "3, 5, 4"), (42, "5, 3, 4"), (53, "4, 2, 3")];
    check_places(&view, 3, 0, &places);
    check_places(&view, 3, 0, &[(59, "5, 3, 4"), (91, "3, 2, 4")]);
    check_places(&view, 3, BX, &[(1, "4, 2, 3"), (2, "2, 3, 4"), (3, "5, 3, 4"), (4, "3, 2, 4")]);
}

#[test]
fn two_sites_of_two() {
    let plain: [PlainSites<'_>; 4] = [
        (0, 1, &[(11, 1000), (12, 500)]),
        (0, 2, &[(21, 3000)]),
        (1, 3, &[(31, 2000)]),
        (1, 4, &[(41, 800), (42, 800)]),
    ];
    let servers = servers(&plain);
    assert_eq!(site_targets(&LiveSites::new(&servers, SEEDS), 3), [426_338_665, 378_967_703]);
    let view = ClusterMap::with_seeds(servers, SEEDS);
    let places = [(1, "1/11, 4/41, 2/21"), (2, "4/42, 2/21, 1/11"), (3, "4/41, 1/11, 2/21"), (4, "4/41, 1/11, 2/21")];
    check_places(&view, 3, 0, &places);
    let places = [(5, "4/41, 2/21, 1/12"), (6, "2/21, 3/31, 4/42"), (7, "2/21, 1/11, 4/41"), (8, "3/31, 2/21, 1/11")];
    check_places(&view, 3, 0, &places);
}

#[test]
fn a_giant_beside_three_small_ones() {
    let plain: [PlainSites<'_>; 4] =
        [(0, 1, &[(1, 10000)]), (1, 2, &[(2, 100)]), (1, 3, &[(3, 100)]), (1, 4, &[(4, 250)])];
    let servers = servers(&plain);
    assert_eq!(site_targets(&LiveSites::new(&servers, SEEDS), 3), [268_435_456, 536_870_912]);
    let view = ClusterMap::with_seeds(servers, SEEDS);
    let places = [(1, "4, 1, 2"), (2, "1, 2, 4"), (3, "1, 3, 4"), (4, "1, 3, 4"), (5, "1, 2, 4")];
    check_places(&view, 3, BX, &places);
}

#[test]
fn drained_disks_and_more_copies_than_servers() {
    let plain: [PlainSites<'_>; 6] = [
        (0, 1, &[(1, 6000)]),
        (0, 2, &[(2, 300)]),
        (0, 3, &[(3, 0)]),
        (1, 4, &[(4, 900)]),
        (1, 5, &[(5, 700), (6, 0)]),
        (2, 6, &[(7, 1200)]),
    ];
    let view = ClusterMap::with_seeds(servers(&plain), SEEDS);
    let places = [
        (1, "4/4, 6/7, 1/1, 2/2"),
        (2, "1/1, 2/2, 6/7, 5/5"),
        (3, "5/5, 1/1, 4/4, 6/7"),
        (4, "1/1, 6/7, 5/5, 2/2"),
        (5, "1/1, 4/4, 6/7, 5/5"),
    ];
    check_places(&view, 4, BX, &places);
    check_places(&view, 9, BX, &[(1, "4/4, 6/7, 1/1, 2/2, 5/5"), (2, "1/1, 2/2, 6/7, 5/5, 4/4")]);
    check_places(&view, 2, BX, &[(1, "4/4, 1/1"), (2, "1/1, 6/7"), (3, "5/5, 1/1"), (4, "1/1, 6/7")]);
}

#[test]
fn ties_go_to_the_smaller_id() {
    let same = SeedFunctions { disk: |_| 5, site: |_, _| 5, branch: |_| 5 };
    let plain: [PlainSites<'_>; 3] =
        [(3, 1, &[(12, 70), (11, 70)]), (1, 2, &[(21, 70), (22, 70)]), (2, 3, &[(31, 140)])];
    let view = ClusterMap::with_seeds(servers(&plain), same);
    // Disk 31 is twice as heavy as the others and comes first; then sites "1" and "3" are equal, and so are 21 and 22.
    check_places(&view, 2, 0, &[(1, "3/31, 2/21")]);
    check_places(&view, 3, 0, &[(1, "3/31, 1/11, 2/21")]);
}
