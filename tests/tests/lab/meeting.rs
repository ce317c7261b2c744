//! Which homes meet, over which way, and how soon.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::wait_for;
use fsdfs_tests::lab::Lab;
use fsdfs_tests::lab::home::{AddressFamilies, HomePlan};
use fsdfs_tests::lab::line::model::LineSettings;
use fsdfs_tests::lab::router::RouterKind;
use fsdfs_tests::lab::transfer::percentile;

use crate::scenario::{LabMachine, LabScenario, PATIENCE, assert_truthful, lab, seconds, watch};

pub const ALL: &[LabScenario] = &[
    LabScenario::busy("L1", "cone and cone: usable within 2 s, direct within 5 s", cone_and_cone),
    LabScenario::busy("L2", "cone and symmetric: usable within 2 s, by another relay within 8 s", relay_is_killed),
    LabScenario::alone("L3", "symmetric and symmetric: 0.8 of the line through a relay", both_symmetric),
    LabScenario::busy("L4", "behind two carriers: direct within 5 s; behind one: relayed", carriers),
    LabScenario::busy("L8-relayed", "IPv6 only and IPv4 only: relayed within 2 s", different_families),
    LabScenario::busy("L8-direct", "DS-Lite and IPv6 only: direct within 5 s", ds_lite),
    LabScenario::busy("L9", "two IPv6 firewalls: direct within 5 s", ipv6_firewalls),
    LabScenario::busy("L20", "a ticket of an inviter that nobody reaches: joined within 5 s", unreachable_inviter),
    LabScenario::busy("L21", "two cone homes and no third, addresses known: met within 35 s", no_third),
];

/// A member that everybody reaches and that stores nothing, so that what goes through its line is relayed.
pub fn relay() -> HomePlan {
    HomePlan::behind(RouterKind::Open).families(AddressFamilies::Both).storage("none")
}

/// A pool of a relay, which is home 0, and two homes. Both know of each other when the second one has joined.
fn with_relay(lab: &mut Lab, one: HomePlan, other: HomePlan) -> Result<Instant> {
    lab.move_in_all([relay(), one])?;
    lab.move_in(other)?;
    lab.join(2, 0)?;
    Ok(Instant::now())
}

/// That homes 1 and 2 are direct within 5 s: then next to nothing goes through the relay any more.
fn assert_direct(lab: &Lab, since: Instant) -> Result<()> {
    watch(seconds(5).saturating_sub(since.elapsed()));
    let before = lab.line_counts(0).0.bytes;
    watch(seconds(5));
    let relayed = (lab.line_counts(0).0.bytes - before) / 5;
    // Two idle pairs of its own at 150 B/s each, and what the bound leaves for forwarding.
    ensure!(relayed < 1_024 + 2 * 150, "{relayed} B/s leave the relay");
    let before = lab.line_counts(0).0.bytes;
    let put = lab.put(1, "direct", 4 << 20, PATIENCE)?;
    let relayed = lab.line_counts(0).0.bytes - before;
    ensure!(relayed < 256 << 10, "{relayed} bytes of a put of 4 MiB left the relay");
    assert_truthful(lab, 1, 2, &put)
}

/// That a put of home 1 goes to home 2 through the relay.
fn assert_relayed(lab: &Lab) -> Result<()> {
    let before = lab.line_counts(0).0.bytes;
    let put = lab.put(1, "relayed", 4 << 20, PATIENCE)?;
    let relayed = lab.line_counts(0).0.bytes - before;
    ensure!(relayed > 4 << 20, "only {relayed} bytes of a put of 4 MiB left the relay");
    assert_truthful(lab, 1, 2, &put)
}

fn cone_and_cone(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let cone = || HomePlan::behind(RouterKind::Cone);
    let joined = with_relay(&mut lab, cone(), cone())?;
    let usable = lab.wait_connected(1, 2, seconds(2))?;
    assert_direct(&lab, joined)?;
    Ok(format!("usable after {:.1} s", usable.as_secs_f64()))
}

fn relay_is_killed(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let line = LineSettings::mbit(40.0).delay_ms(5);
    let (cone, symmetric) = (HomePlan::behind(RouterKind::Cone), HomePlan::behind(RouterKind::Symmetric));
    with_relay(&mut lab, cone.line(line), symmetric.line(line))?;
    let usable = lab.wait_connected(1, 2, seconds(2))?;
    lab.move_in(relay())?;
    lab.join(3, 0)?;
    lab.wait_all_connected(PATIENCE)?;

    let before = [lab.line_bytes(0), lab.line_bytes(3)];
    let sent = lab.line_counts(1).0.bytes;
    let putting = lab.start_put(1, "file", 64 << 20)?;
    lab.wait_sent(1, sent, 8 << 20, PATIENCE)?;
    let carried = [lab.line_bytes(0) - before[0], lab.line_bytes(3) - before[1]];
    let (used, other) = if carried[0] > carried[1] { (0, 3) } else { (3, 0) };
    lab.node(used).kill()?;
    let (killed, before) = (Instant::now(), lab.line_counts(other).0.bytes);
    wait_for(seconds(8), "the other relay to carry the put", || {
        Ok(lab.line_counts(other).0.bytes - before > 256 << 10)
    })?;
    let switched = killed.elapsed();
    let put = putting.wait(PATIENCE * 2)?;
    assert_truthful(&lab, 1, 2, &put)?;
    Ok(format!("usable after {:.1} s, by the other relay after {:.1} s", usable.as_secs_f64(), switched.as_secs_f64()))
}

fn both_symmetric(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let symmetric = || HomePlan::behind(RouterKind::Symmetric).line(LineSettings::mbit(20.0).delay_ms(10));
    with_relay(&mut lab, symmetric().storage("none"), symmetric())?;
    lab.wait_connected(1, 2, seconds(2))?;
    let mut putting = lab.start_put(1, "file", 24 << 20)?;
    let mut rtts_ms = Vec::new();
    while !putting.has_ended()? && rtts_ms.len() < 1_000 {
        rtts_ms.extend(lab.member(1, 2)?["rtt_ms"].as_f64());
    }
    let put = putting.wait(PATIENCE)?;
    assert_truthful(&lab, 1, 2, &put)?;
    let (rate, p95_ms) = (put.mbit(), percentile(&mut rtts_ms, 0.95));
    ensure!(rate >= 0.8 * 20.0, "{rate:.1} of 20 Mbit/s through the relay");
    ensure!(p95_ms <= 200.0, "a small message takes {p95_ms} ms at the 95th percentile");
    Ok(format!("{rate:.1} of 20 Mbit/s, small messages p95 {p95_ms} ms"))
}

fn carriers(_: &LabMachine) -> Result<String> {
    let cone = || HomePlan::behind(RouterKind::Cone);
    let mut two = lab()?;
    let (one, other) = (two.carrier(false)?, two.carrier(false)?);
    let joined = with_relay(&mut two, cone().at_carrier(one), cone().at_carrier(other))?;
    let usable = two.wait_connected(1, 2, seconds(2)).context("two carriers")?;
    assert_direct(&two, joined).context("two carriers")?;
    drop(two);

    let mut lab = lab()?;
    let same = lab.carrier(false)?;
    with_relay(&mut lab, cone().at_carrier(same), cone().at_carrier(same))?;
    let relayed = lab.wait_connected(1, 2, seconds(2)).context("one carrier")?;
    assert_relayed(&lab).context("one carrier")?;
    Ok(format!("usable after {:.1} s; behind one carrier {:.1} s", usable.as_secs_f64(), relayed.as_secs_f64()))
}

fn different_families(_: &LabMachine) -> Result<String> {
    let home = |families| HomePlan::behind(RouterKind::Cone).families(families);
    let mut lab = lab()?;
    with_relay(&mut lab, home(AddressFamilies::V6), home(AddressFamilies::V4))?;
    let usable = lab.wait_connected(1, 2, seconds(2))?;
    assert_relayed(&lab)?;
    Ok(format!("usable after {:.1} s", usable.as_secs_f64()))
}

fn ds_lite(_: &LabMachine) -> Result<String> {
    let home = |families| HomePlan::behind(RouterKind::Cone).families(families);
    let mut lab = lab()?;
    let carrier = lab.carrier(false)?;
    let lite = home(AddressFamilies::Both).at_carrier(carrier);
    let joined = with_relay(&mut lab, lite, home(AddressFamilies::V6))?;
    let usable = lab.wait_connected(1, 2, seconds(5))?;
    assert_direct(&lab, joined)?;
    Ok(format!("usable after {:.1} s", usable.as_secs_f64()))
}

fn ipv6_firewalls(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let home = || HomePlan::behind(RouterKind::Cone).families(AddressFamilies::V6);
    let joined = with_relay(&mut lab, home(), home())?;
    let usable = lab.wait_connected(1, 2, seconds(5))?;
    assert_direct(&lab, joined)?;
    Ok(format!("usable after {:.1} s", usable.as_secs_f64()))
}

fn unreachable_inviter(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    lab.move_in_all([HomePlan::behind(RouterKind::Open), HomePlan::behind(RouterKind::Symmetric)])?;
    lab.wait_all_connected(PATIENCE)?;
    let newcomer = lab.move_in(HomePlan::behind(RouterKind::Cone))?;
    let took = lab.join(newcomer, 1)?;
    ensure!(took <= seconds(5), "joined only after {took:?}");
    Ok(format!("joined after {:.1} s", took.as_secs_f64()))
}

fn no_third(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let cone = || HomePlan::behind(RouterKind::Cone);
    let joined = with_relay(&mut lab, cone(), cone())?;
    lab.wait_connected(1, 2, PATIENCE)?;
    // Until each has written down where the other one answered.
    assert_direct(&lab, joined)?;
    for at in 0..3 {
        lab.node(at).stop()?;
    }
    for at in [1, 2] {
        lab.node(at).up()?;
    }
    let met = lab.wait_connected(1, 2, seconds(35))?;
    Ok(format!("met after {:.1} s", met.as_secs_f64()))
}
