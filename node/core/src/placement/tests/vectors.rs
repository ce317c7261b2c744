//! `proto-spec/vectors/placement.json` and `placement-2.json`, written by a second implementation that follows the chapter alone.

use fsdfs_proto::ids::{DiskNonce, hex, unhex};
use fsdfs_proto::placement::{branch_seed, disk_seed, site_seed};
use serde_json::Value;

use super::super::branches::split;
use super::super::math::{ONE, PlacementKey, exponential, mix, table_entries};
use super::super::share::{ShareBounds, fill, sitefill};
use super::super::targets::site_targets;
use super::clear::{self, PlainItem};
use super::shortlist::winners;
use super::*;
use crate::placement::MapCapacity;

fn published() -> Value {
    let text = include_str!("../../../../../proto-spec/vectors/placement.json");
    serde_json::from_str(text).expect("the vectors are JSON")
}

fn published_2() -> Value {
    let text = include_str!("../../../../../proto-spec/vectors/placement-2.json");
    serde_json::from_str(text).expect("the vectors are JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn number(value: &Value) -> u64 {
    match value {
        Value::String(digits) => u64::from_str_radix(digits, 16).expect("a hexadecimal number"),
        value => value.as_u64().expect("a number"),
    }
}

fn numbers(value: &Value) -> Vec<u64> {
    list(value).iter().map(number).collect()
}

fn id<const N: usize>(value: &Value) -> [u8; N] {
    unhex(text(value)).expect("an id")
}

fn small<T: TryFrom<u64>>(value: &Value) -> T {
    T::try_from(number(value)).ok().expect("a small number")
}

fn published_3() -> Value {
    let text = include_str!("../../../../../proto-spec/vectors/placement-3.json");
    serde_json::from_str(text).expect("the vectors are JSON")
}

#[test]
fn branches() {
    let published = published_3();
    for case in list(&published["disk_ids"]) {
        let disk = DiskId::of(NodeId(id(&case[0])), DiskNonce(id(&case[1])));
        assert_eq!(disk, DiskId(id(&case[2])), "disk {case}");
    }
    for case in list(&published["seeds"]) {
        let branch = NodeId(id(&case[0]));
        assert_eq!(branch_seed(branch), number(&case[2]), "branch {case}");
        assert_eq!(site_seed(Some(branch), text(&case[1])), number(&case[3]), "site {case}");
    }
    for case in list(&published["splits"]) {
        let shares = numbers(&case["t"]);
        let [base, more] = split(&shares, shares.iter().sum::<u64>() % ONE);
        let parts = list(&case["shares"]);
        assert_eq!(base, numbers(&parts[0]), "split {case}");
        assert_eq!(more, parts.get(1).map_or(Vec::new(), numbers), "split {case}");
    }
}

#[test]
fn primitives() {
    let published = published();
    for pair in list(&published["mix"]) {
        assert_eq!(mix(number(&pair[0])), number(&pair[1]), "mix {pair}");
    }
    for pair in list(&published["e"]) {
        assert_eq!(exponential(number(&pair[0])), number(&pair[1]), "E {pair}");
    }
    for case in list(&published["draws"]) {
        let key = PlacementKey { a: number(&case[0]), b: number(&case[1]) };
        assert_eq!(key.draw(number(&case[2])), number(&case[3]), "draw {case}");
    }
    for pair in list(&published["table"]) {
        assert_eq!(table_entries()[small::<usize>(&pair[0])], number(&pair[1]), "T {pair}");
    }
    assert_eq!(table_entries().iter().sum::<u64>(), number(&published["table_sum"]));
}

#[test]
fn seeds() {
    let disk = |case: &Value| (text(&case[0]) == "fsdfs/place/disk/1").then(|| disk_seed(DiskId(id(&case[1]))));
    let site = |case: &Value| {
        let bytes = text(&case[1])
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        Some(site_seed(None, &String::from_utf8(bytes.collect::<Option<_>>()?).ok()?))
    };
    for case in list(&published()["seeds"]) {
        let seed = disk(case).or_else(|| site(case)).expect("a tag and hexadecimal digits");
        assert_eq!(seed, number(&case[2]), "seed {case}");
    }
}

#[test]
fn fills_and_races() {
    let (published, second) = (published(), published_2());
    for case in list(&published["fills"]).iter().chain(list(&second["fills"])) {
        let limits = numbers(&case["lo"]).into_iter().zip(numbers(&case["hi"]));
        let bounds = numbers(&case["w"]).into_iter().zip(limits);
        let bounds: Vec<ShareBounds> =
            bounds.map(|(weight, (least, most))| ShareBounds { weight, least, most }).collect();
        assert_eq!(fill(&bounds, number(&case["n"])), numbers(&case["t"]), "fill {case}");
    }
    for case in list(&second["sitefills"]) {
        let sites: Vec<Vec<u64>> = list(&case["sites"]).iter().map(numbers).collect();
        assert_eq!(sitefill(&sites, number(&case["n"])), numbers(&case["t"]), "sitefill {case}");
    }
    for case in list(&published["races"]).iter().chain(list(&second["races"])) {
        let runners = numbers(&case["e"]).into_iter().zip(numbers(&case["p"]));
        let runners: Vec<PlainItem> = runners.map(|(e, p)| PlainItem { e, p }).collect();
        let places = small(&case["n"]);
        for winners in [winners(&runners, places), clear::race(runners, places)] {
            let winners: Vec<u64> = winners.into_iter().map(|winner| winner as u64).collect();
            assert_eq!(winners, numbers(&case["winners"]), "race {case}");
        }
    }
}

#[test]
fn maps() {
    for published in [published(), published_2(), published_3()] {
        let mut places = 0;
        for case in list(&published["maps"]) {
            let servers: Vec<MapServer> = list(&case["servers"]).iter().map(read_server).collect();
            let view = ClusterMap::new(servers.clone());
            for rule in list(&case["copies"]) {
                check_rule(&servers, &view, rule);
                places += list(&rule["places"]).len();
            }
        }
        assert!(places >= 1000, "only {places} placements were published");
    }
}

fn read_server(value: &Value) -> MapServer {
    let disk = |disk: &Value| MapDisk { id: DiskId(id(&disk[0])), weight: small(&disk[1]) };
    MapServer {
        id: NodeId(id(&value[0])),
        site: text(&value[1]).into(),
        branch: value.get(3).map(|branch| NodeId(id(branch))),
        disks: list(&value[2]).iter().map(disk).collect(),
    }
}

#[track_caller]
fn check_rule(servers: &[MapServer], view: &ClusterMap, rule: &Value) {
    let copies: u8 = small(&rule["n"]);
    let wanted = view.sites.servers.len().min(copies.into());
    assert_eq!(site_targets(&view.sites, wanted), numbers(&rule["targets"]), "targets {rule}");
    assert_eq!(view.capacity(copies), read_capacity(&rule["capacity"]), "capacity {rule}");
    for place in list(&rule["places"]) {
        let holders = view.holders(BlockId(id(&place[0])), copies);
        assert_eq!(indices(servers, &holders), pairs(&place[1]), "place {place}");
    }
    // The first file has one order for each rule, the second two, the third none.
    let one = rule.get("order").map_or(&[][..], std::slice::from_ref);
    let orders = rule.get("orders").map_or(one, list);
    for (order, place) in orders.iter().zip(list(&rule["places"])) {
        let block = BlockId(id(&place[0]));
        assert_eq!(indices(servers, &view.order(block, copies)), pairs(order), "order {rule}");
    }
}

fn read_capacity(value: &Value) -> MapCapacity {
    MapCapacity {
        usable: number(&value["usable"]),
        copies_short: small(&value["copies_short"]),
        sites_short: small(&value["sites_short"]),
        stranded: value
            .get("stranded")
            .map_or(&[][..], list)
            .iter()
            .map(|pair| (NodeId(id(&pair[0])), number(&pair[1])))
            .collect(),
        too_large: list(&value["too_large"]).iter().map(|node| NodeId(id(node))).collect(),
    }
}

fn pairs(value: &Value) -> Vec<(usize, usize)> {
    list(value).iter().map(|pair| (small(&pair[0]), small(&pair[1]))).collect()
}

/// Positions of servers and disks in the map as it is listed.
fn indices(servers: &[MapServer], holders: &[BlockHolder]) -> Vec<(usize, usize)> {
    let index = |holder: &BlockHolder| {
        let server = servers.iter().position(|server| server.id == holder.node)?;
        Some((server, servers[server].disks.iter().position(|disk| disk.id == holder.disk)?))
    };
    holders.iter().map(|holder| index(holder).expect("a holder is in the map")).collect()
}

#[test]
fn more_servers_than_candidates() {
    let published = published();
    let cut = &published["cut"];
    let servers = chain(small(&cut["count"]), 700);
    let view = ClusterMap::new(servers.clone());
    for place in list(&cut["places"]) {
        let block = BlockId(id(&place[0]));
        let holders = view.holders(block, small(&cut["n"]));
        let chosen: Vec<u64> = indices(&servers, &holders).into_iter().map(|(server, _)| server as u64).collect();
        assert_eq!(chosen, numbers(&place[1]), "block {}", hex(&block.0));
    }
}

#[test]
fn more_servers_than_candidates_on_many_sites_and_few() {
    for cut in list(&published_2()["cuts"]) {
        let servers = chain(small(&cut["count"]), small(&cut["sites"]));
        let view = ClusterMap::new(servers.clone());
        for rule in list(&cut["copies"]) {
            let copies = small(&rule["n"]);
            let capacity = MapCapacity { stranded: Vec::new(), ..view.capacity(copies) };
            assert_eq!(capacity, read_capacity(&rule["capacity"]), "capacity {rule}");
            for place in list(&rule["places"]) {
                let holders = view.holders(BlockId(id(&place[0])), copies);
                assert_eq!(indices(&servers, &holders), pairs(&place[1]), "place {place}");
            }
            let order = view.order(BlockId(id(&rule["places"][0][0])), copies);
            let asked: Vec<u64> = indices(&servers, &order).into_iter().map(|(server, _)| server as u64).collect();
            assert_eq!(asked, numbers(&rule["order"]), "order {rule}");
        }
    }
}

/// Servers made by the rule in the chapter: each id is the hash of the one before.
fn chain(count: usize, sites: usize) -> Vec<MapServer> {
    let ids = std::iter::successors(Some(position(NodeId([0; 32]))), |id| Some(position(NodeId(*id))));
    let server = |(number, id): (usize, [u8; 32])| MapServer {
        id: NodeId(id),
        site: format!("h{}", number % sites),
        branch: None,
        disks: vec![MapDisk {
            id: DiskId(*id.first_chunk().expect("32 bytes begin with 16")),
            weight: 1 + u32::from(u16::from_be_bytes([id[16], id[17]])),
        }],
    };
    ids.take(count).enumerate().map(server).collect()
}
