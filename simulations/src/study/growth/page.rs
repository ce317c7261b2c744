//! What the study of growth says.

use fsdfs_core::limits::{HEARTBEAT_MS, MEMBERS_MAX};
use fsdfs_core::placement::CANDIDATES_MAX;

use super::engines::PoolFigures;
use super::lookup::LookupTimes;
use super::sizes::MODELLED;
use crate::study::page::{PageData, PagePart, StudyPage};
use crate::study::plot::{Plot, PlotAxis, PlotPoint, PlotSeries};
use crate::study::text::{grouped, rounded};

const MB: f64 = 1e6;

pub fn page(pools: &[PoolFigures], lookups: &[LookupTimes]) -> StudyPage {
    let largest = &pools[pools.len() - 1];
    let read = &largest.read;
    StudyPage {
        name: "growth",
        title: "What does a larger pool cost each member?",
        answer: format!(
            "In a pool of {} members each one sends {} MB of gossip a day and {} messages find and bring a small file. Gossip grows in proportion to the members: about {} MB a day with {} \
             of them, by the model below.",
            largest.members,
            rounded(largest.gossip_bytes_per_day / MB),
            read.messages,
            rounded(gossip(pools, MODELLED[0]) / MB),
            grouped(MODELLED[0] as u64)
        ),
        findings: findings(pools),
        parts: parts(pools, lookups),
        data: vec![table(pools), timings(lookups)],
    }
}

/// A figure that was measured at two sizes, continued as a straight line through them.
fn line((x1, y1): (f64, f64), (x2, y2): (f64, f64), x: f64) -> f64 {
    y1 + (y2 - y1) / (x2 - x1) * (x - x1)
}

/// Bytes a day that each member sends, by the model.
fn gossip(pools: &[PoolFigures], members: usize) -> f64 {
    modelled(pools, members, |pool| pool.gossip_bytes_per_day)
}

/// On the line through the two largest pools that were measured.
fn modelled(pools: &[PoolFigures], members: usize, figure: fn(&PoolFigures) -> f64) -> f64 {
    let point = |pool: &PoolFigures| (pool.members as f64, figure(pool));
    match pools {
        [.., one, other] => line(point(one), point(other), members as f64),
        _ => f64::NAN,
    }
}

fn findings(pools: &[PoolFigures]) -> Vec<String> {
    let reads: Vec<String> = pools
        .iter()
        .map(|pool| format!("{} messages and {} ms with {} members", pool.read.messages, pool.read.ms, pool.members))
        .collect();
    let smallest = &pools[0];
    let off = 100.0 * (gossip(pools, smallest.members) / smallest.gossip_bytes_per_day - 1.0);
    vec![
        format!(
            "Finding a block needs no message: every member computes the holders. A read of a small file by a member without a copy takes {}.",
            reads.join(", ")
        ),
        format!(
            "Nearly all gossip is heartbeats: each member's, every {} s, to everybody. The straight line through the two largest pools is {off:+.0} % off the smallest.",
            HEARTBEAT_MS / 1000
        ),
        format!(
            "Engines fit into the simulator up to {} members. A pool admits {} at most (a bound in the code), so {} is calculation only.",
            pools[pools.len() - 1].members,
            grouped(MEMBERS_MAX as u64),
            grouped(MODELLED[1] as u64)
        ),
    ]
}

fn parts(pools: &[PoolFigures], lookups: &[LookupTimes]) -> Vec<PagePart> {
    vec![
        PagePart::Figure("gossip", plot(pools), "Bytes that each member sends in a day while nobody does anything; real engines in a simulated world, and the model.".into()),
        PagePart::Table(table(pools)),
        PagePart::Text("Memory is what engines hold allocated, with their part of the simulated links and disks. What is modelled lies on the straight line through the two largest pools that were measured.".into()),
        PagePart::Heading("Measured on one machine".into()),
        PagePart::Text("What follows are times of the machine that made this page. They differ from run to run and are in a file of their own (`growth-lookup-timings.csv`).".into()),
        PagePart::Table(timings(lookups)),
        PagePart::Text(format!(
            "The map is prepared once after each change of it, a lookup happens for each block. Above {} servers a lookup first picks the nearest candidates.", grouped(CANDIDATES_MAX as u64)
        )),
    ]
}

fn plot(pools: &[PoolFigures]) -> String {
    let measured = pools.iter().map(|pool| PlotPoint::new(pool.members as f64, pool.gossip_bytes_per_day / MB));
    let modelled = MODELLED.map(|members| PlotPoint::new(members as f64, gossip(pools, members) / MB));
    let powers =
        |from: i32, to: i32| (from..=to).map(|power| 10f64.powi(power)).map(|value| (value, grouped(value as u64)));
    Plot {
        title: "Gossip of a quiet pool".into(),
        x: PlotAxis::log("members", (8.0, 12_000.0), powers(1, 4)),
        y: PlotAxis::log("MB per member and day", (10.0, 100_000.0), powers(1, 5)),
        series: vec![
            PlotSeries { name: "measured".into(), points: measured.collect(), line: true },
            PlotSeries { name: "model".into(), points: modelled.into(), line: true },
        ],
        height: 420,
        mark: None,
    }
    .svg()
}

fn table(pools: &[PoolFigures]) -> PageData {
    let head = [
        "members",
        "how",
        "facts each keeps",
        "MB of memory per member",
        "MB sent per member and day",
        "messages per member and day",
        "messages per read",
        "ms per read",
    ];
    let mut table = PageData::new("pools", head);
    for pool in pools {
        let megabytes = format!("{:.2}", pool.gossip_bytes_per_day / MB);
        let memory = format!("{:.2}", pool.memory_bytes / MB);
        let messages = format!("{:.0}", pool.gossip_messages_per_day);
        table.row(&[
            &pool.members,
            &"measured",
            &pool.facts,
            &memory,
            &megabytes,
            &messages,
            &pool.read.messages,
            &pool.read.ms,
        ]);
    }
    for members in MODELLED {
        let memory = format!("{:.1}", modelled(pools, members, |pool| pool.memory_bytes) / MB);
        let megabytes = format!("{:.0}", gossip(pools, members) / MB);
        table.row(&[&members, &"model", &"", &memory, &megabytes, &"", &"", &""]);
    }
    table
}

fn timings(lookups: &[LookupTimes]) -> PageData {
    let mut table = PageData::new("lookup-timings", ["members", "prepare the map, µs", "find three holders, µs"]);
    for times in lookups {
        table.row(&[&times.members, &format!("{:.0}", times.map_us), &format!("{:.1}", times.lookup_us)]);
    }
    table
}

#[test]
fn lines_go_on_straight() {
    assert_eq!(line((1.0, 10.0), (2.0, 20.0), 5.0), 50.0);
}
