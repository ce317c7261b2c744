//! How fast lines of homes are used, and who else still gets through.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::wait_for;
use fsdfs_tests::lab::Lab;
use fsdfs_tests::lab::home::HomePlan;
use fsdfs_tests::lab::line::model::LineSettings;
use fsdfs_tests::lab::router::RouterKind;
use fsdfs_tests::lab::transfer::percentile;
use jiff::{ToSpan as _, Zoned};

use crate::meeting::relay;
use crate::scenario::{LabMachine, LabScenario, PATIENCE, assert_truthful, lab, program, seconds, watch};

pub const ALL: &[LabScenario] = &[
    LabScenario::busy("L10-direct", "packets of 1,280 bytes, with and without ICMP: 0.8 of the line", short_packets),
    LabScenario::busy("L10-relayed", "the same through a relay", short_packets_relayed),
    LabScenario::alone("L14", "a relay of 20 Mbit/s: pairs within 15 %, its own put at least half", fair_relay),
    LabScenario::alone("L15", "100 Mbit/s, 40 ms, 1 % loss: put and get of 256 MiB at 0.6 of the line", lossy_line),
    LabScenario::alone("L16", "20 Mbit/s with a queue of 500 ms: a ping beside a put p95 at most 60 ms", deep_queue),
    LabScenario::alone("L17", "three homes of 20 Mbit/s: 64 MiB in 31 s with 1.06 x its bytes on the line", send_once),
    LabScenario::quiet("L18", "a cap of 5 Mbit/s at this time of day: 4.5 to 5.0; repair 1.0", cap),
];

const MIB: f64 = (1 << 20) as f64;

/// Home 0 stores all, home 1 nothing, so that every block crosses home 1's line.
fn one_server(lab: &mut Lab, server: HomePlan, client: HomePlan) -> Result<()> {
    lab.move_in_all([server, client.storage("none")])?;
    lab.wait_connected(0, 1, PATIENCE).map(drop)
}

fn short_packets(_: &LabMachine) -> Result<String> {
    let mut figures = Vec::new();
    for (name, mut lab) in [("ICMP", lab()?), ("no ICMP", Lab::hiding_icmp(program())?)] {
        let line = LineSettings::mbit(20.0).delay_ms(10);
        let client = HomePlan::behind(RouterKind::Cone).line(line).mtu(1280);
        one_server(&mut lab, HomePlan::behind(RouterKind::Open), client)?;
        let put = lab.put(1, "file", 24 << 20, PATIENCE)?;
        let get = 24.0 * MIB * 8e-6 / lab.get_back(1, &put, PATIENCE)?.as_secs_f64();
        for (what, rate) in [("put", put.mbit()), ("get", get)] {
            ensure!(rate >= 0.8 * 20.0, "{name}: {what} at {rate:.1} of 20 Mbit/s");
        }
        figures.push(format!("{name}: put {:.1}, get {get:.1} of 20 Mbit/s", put.mbit()));
    }
    Ok(figures.join("; "))
}

fn short_packets_relayed(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let line = LineSettings::mbit(20.0).delay_ms(10);
    let home = || HomePlan::behind(RouterKind::Symmetric).line(line);
    lab.move_in_all([relay(), home(), home().mtu(1280).storage("none")])?;
    lab.wait_all_connected(PATIENCE)?;
    let put = lab.put(2, "file", 24 << 20, PATIENCE)?;
    assert_truthful(&lab, 2, 1, &put)?;
    ensure!(put.mbit() >= 0.8 * 20.0, "{:.1} of 20 Mbit/s", put.mbit());
    Ok(format!("{:.1} of 20 Mbit/s", put.mbit()))
}

/// Homes 1 and 2 write to home 3, which all but home 4 reach through home 0 only; home 0 writes as well.
fn fair_relay(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let line = |rate| LineSettings::mbit(rate).delay_ms(5);
    let symmetric = || HomePlan::behind(RouterKind::Symmetric).line(line(100.0));
    let writer = || symmetric().storage("none");
    let open = HomePlan::behind(RouterKind::Open).line(line(100.0));
    lab.move_in_all([relay().line(line(20.0)), writer(), writer(), symmetric(), open])?;
    lab.wait_all_connected(PATIENCE)?;
    let puts = [0, 1, 2].map(|at| lab.start_put(at, &format!("file{at}"), 256 << 20));
    let _puts = puts.into_iter().collect::<Result<Vec<_>>>()?;
    watch(seconds(3));
    let sent = |lab: &Lab| [0, 1, 2].map(|at| lab.line_counts(at).0.bytes as f64);
    let before = sent(&lab);
    watch(seconds(15));
    let after = sent(&lab);
    let [relay, one, other] = [0, 1, 2].map(|at| after[at] - before[at]);
    // Each block of a writer goes to home 4 directly and to home 3 through the relay.
    let (own, smaller) = (relay - (one + other) / 2.0, one.min(other) / one.max(other));
    ensure!(smaller >= 0.85, "one pair has {smaller:.2} of what the other one has");
    ensure!(own >= 0.5 * relay, "its owner has {:.2} of the relay's line", own / relay);
    Ok(format!("pairs {smaller:.2} of each other, own share {:.2}", own / relay))
}

fn lossy_line(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let line = LineSettings::mbit(100.0).delay_ms(18).loss(0.01).queue_ms(60);
    one_server(&mut lab, HomePlan::behind(RouterKind::Open), HomePlan::behind(RouterKind::Cone).line(line))?;
    const BYTES: u64 = 256 << 20;
    let most = Duration::from_secs_f64(BYTES as f64 * 8e-6 / (0.6 * 100.0));
    let (begun, before) = (Instant::now(), lab.line_counts(1).0.bytes);
    let put = lab.put(1, "file", BYTES, most).with_context(|| {
        let sent = (lab.line_counts(1).0.bytes - before) as f64;
        format!("put: {:.1} Mbit/s", sent * 8e-6 / begun.elapsed().as_secs_f64())
    })?;
    let (begun, before) = (Instant::now(), lab.line_counts(1).1.bytes);
    let got = lab.get_back(1, &put, most).with_context(|| {
        let received = (lab.line_counts(1).1.bytes - before) as f64;
        format!("get: {:.1} Mbit/s", received * 8e-6 / begun.elapsed().as_secs_f64())
    })?;
    let get = BYTES as f64 * 8e-6 / got.as_secs_f64();
    ensure!(put.mbit() >= 60.0 && get >= 60.0, "put {:.1}, get {get:.1} of 100 Mbit/s", put.mbit());
    Ok(format!("put {:.1}, get {get:.1} of 100 Mbit/s", put.mbit()))
}

fn deep_queue(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let line = LineSettings::mbit(20.0).delay_ms(13).queue_ms(500);
    one_server(&mut lab, HomePlan::behind(RouterKind::Open), HomePlan::behind(RouterKind::Cone).line(line))?;
    let mut putting = lab.start_put(1, "file", 48 << 20)?;
    // What a packet of no length takes, which is what a ping measures, without a second clock in between.
    let mut pings_ms = Vec::new();
    while !putting.has_ended()? && pings_ms.len() < 6_000 {
        pings_ms.push(1e3 * (lab.home(1).line().round_trip() + lab.home(0).line().round_trip()).as_secs_f64());
        thread::sleep(Duration::from_millis(10));
    }
    let put = putting.wait(PATIENCE)?;
    let p95_ms = percentile(&mut pings_ms, 0.95);
    ensure!(p95_ms <= 60.0, "p95 {p95_ms:.0} ms at {:.1} Mbit/s", put.mbit());
    Ok(format!("p95 {p95_ms:.0} ms at {:.1} of 20 Mbit/s", put.mbit()))
}

fn send_once(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let home = || HomePlan::behind(RouterKind::Open).line(LineSettings::mbit(20.0).delay_ms(10));
    lab.move_in_all([home(), home(), home()])?;
    lab.wait_all_connected(PATIENCE)?;
    let before = lab.line_counts(0).0.bytes;
    let put = lab.put(0, "file", 64 << 20, PATIENCE * 2)?;
    let sent = (lab.line_counts(0).0.bytes - before) as f64 / (64.0 * MIB);
    let s = put.took.as_secs_f64();
    ensure!(s <= 31.0 && sent <= 1.06, "{s:.1} s, {sent:.2} x its bytes on the writer's line");
    ensure!(put.copies()? == 3, "{} copies", put.copies()?);

    let sent_before = lab.line_counts(0).0.bytes;
    let putting = lab.start_put(0, "again", 64 << 20)?;
    lab.wait_sent(0, sent_before, 16 << 20, PATIENCE)?;
    lab.node(1).kill()?;
    let killed = putting.wait(PATIENCE * 2)?;
    assert_truthful(&lab, 0, 2, &killed)?;
    let longer = killed.took.as_secs_f64() - s;
    ensure!(longer <= 5.0, "{longer:.1} s longer with a forwarder killed");
    Ok(format!("{s:.1} s, {sent:.2} x its bytes; {longer:+.1} s with a forwarder killed"))
}

/// Home 0 is capped at this time of day.
fn cap(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let home = || HomePlan::behind(RouterKind::Open);
    for plan in [home(), home().storage("none"), home()] {
        lab.move_in(plan)?;
    }
    lab.found(0)?;
    lab.join(1, 0)?;
    let node = lab.node(0);
    node.stop()?;
    let config = node.home.join("config.toml");
    let now = Zoned::now();
    let [from, until] =
        [now.checked_sub(1.hour())?, now.checked_add(1.hour())?].map(|at| at.strftime("%H:%M").to_string());
    let capped = format!("\n[bandwidth]\nrepair = \"20 %\"\nhours = [\"{from}-{until} upload=5Mbit\"]\n");
    fs::write(&config, fs::read_to_string(&config)? + &capped)?;
    node.up()?;
    lab.wait_connected(0, 1, PATIENCE)?;

    let put = lab.put(1, "file", 24 << 20, PATIENCE)?;
    let before = lab.line_counts(0).0.bytes;
    let getting = thread::scope(|scope| -> Result<f64> {
        let got = scope.spawn(|| lab.get_back(1, &put, PATIENCE));
        lab.wait_sent(0, before, 1 << 20, PATIENCE)?;
        let rate = rate_out(&lab, 20);
        got.join().expect("it returns its errors")?;
        Ok(rate)
    })?;
    ensure!((4.5..=5.0).contains(&getting), "{getting:.2} Mbit/s leave a home with a cap of 5");
    let before = lab.line_counts(0).0.bytes;
    lab.join(2, 0)?;
    wait_for(PATIENCE, "repair to begin", || Ok(lab.line_counts(0).0.bytes - before > 256 << 10))?;
    let repair = rate_out(&lab, 10);
    // A fifth, and what 5 % are.
    ensure!(repair <= 1.05, "repair takes {repair:.2} Mbit/s of 5");
    Ok(format!("{getting:.2} of 5 Mbit/s, repair {repair:.2}"))
}

/// Mbit/s that leave home 0.
fn rate_out(lab: &Lab, lasts_s: u64) -> f64 {
    let (before, begun) = (lab.line_counts(0).0.bytes, Instant::now());
    watch(seconds(lasts_s));
    (lab.line_counts(0).0.bytes - before) as f64 * 8e-6 / begun.elapsed().as_secs_f64()
}
