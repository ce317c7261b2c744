//! Addresses that change, machines that sleep, routers that forget.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::wait_for;
use fsdfs_tests::lab::Lab;
use fsdfs_tests::lab::home::HomePlan;
use fsdfs_tests::lab::line::model::LineSettings;
use fsdfs_tests::lab::router::RouterKind;
use serde_json::Value;

use crate::scenario::{LabLoad, LabMachine, LabScenario, PATIENCE, assert_truthful, lab, seconds, watch};

pub const ALL: &[LabScenario] = &[
    LabScenario::quiet("L13-kept", "a router that forgets after 30 s, 5 min idle: no reconnect", idle_is_kept),
    LabScenario::quiet("L13-bytes", "the same: 150 B/s a pair at most", idle_is_cheap),
    LabScenario::quiet("L12", "a machine asleep for 60 s: all its links usable within 2 s", sleep),
    LabScenario::quiet("L19", "all addresses change while all are down, one name follows: whole within 20 s", one_name),
    LabScenario::busy(
        "L11-router",
        "the writer's address changes at its router during a put: usable in 10 s",
        writer_moves,
    ),
    LabScenario::busy(
        "L11-reader",
        "a holder's address changes at its router during a put: usable in 10 s",
        holder_moves,
    ),
    LabScenario::busy(
        "L11-host",
        "the address of a holder's own machine changes during a put: usable in 10 s",
        host_moves,
    ),
];

/// Two nodes with nothing to do for five minutes: ends of connections, and bytes a second both ways.
fn idle() -> Result<(usize, f64)> {
    let mut lab = lab()?;
    let forgetful = HomePlan::behind(RouterKind::Cone).udp_timeout_s(30);
    lab.move_in_all([HomePlan::behind(RouterKind::Open), forgetful])?;
    lab.wait_connected(0, 1, PATIENCE)?;
    // Until cards and facts are exchanged.
    watch(seconds(20));
    let (ended, before, begun) = (lab.ended_connections(1), lab.line_bytes(1), Instant::now());
    watch(seconds(300));
    let rate = (lab.line_bytes(1) - before) as f64 / begun.elapsed().as_secs_f64();
    ensure!(lab.are_connected(0, 1), "not connected after five idle minutes");
    Ok((lab.ended_connections(1) - ended, rate))
}

fn idle_is_kept(_: &LabMachine) -> Result<String> {
    let (ended, rate) = idle()?;
    ensure!(ended == 0, "{ended} connections ended in five idle minutes");
    Ok(format!("no reconnect, {rate:.0} B/s"))
}

fn idle_is_cheap(_: &LabMachine) -> Result<String> {
    let (_, rate) = idle()?;
    ensure!(rate <= 150.0, "{rate:.0} B/s between two idle nodes");
    Ok(format!("{rate:.0} B/s"))
}

fn sleep(machine: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let home = || HomePlan::behind(RouterKind::Open);
    lab.move_in_all([home(), home(), home()])?;
    lab.wait_all_connected(PATIENCE)?;
    lab.node(2).freeze()?;
    watch(seconds(60));
    let _alone = machine.take(LabLoad::Alone);
    ensure!(lab.member(0, 2)?["connected"] == false, "after a minute it still counts as connected");
    lab.node(2).thaw()?;
    let thawed = Instant::now();
    for other in [0, 1] {
        lab.wait_connected(2, other, seconds(2).saturating_sub(thawed.elapsed()))?;
    }
    Ok(format!("all links after {:.1} s", thawed.elapsed().as_secs_f64()))
}

fn one_name(machine: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let named = HomePlan::behind(RouterKind::Open).named("anna.example:24007");
    // Their owners forwarded the port and said nothing else.
    let unnamed = || HomePlan::behind(RouterKind::Open).named("192.168.99.2:24007");
    for plan in [named, unnamed(), unnamed()] {
        lab.move_in(plan)?;
    }
    let point = |lab: &Lab| -> Result<()> {
        let line = format!("{} anna.example\n", lab.home(0).public_v4());
        (0..3).try_for_each(|at| lab.home(at).machine().set_hosts(&line))
    };
    point(&lab)?;
    lab.found(0)?;
    for at in [1, 2] {
        lab.join(at, 0)?;
    }
    lab.wait_all_connected(PATIENCE)?;
    for at in 0..3 {
        lab.node(at).stop()?;
        lab.renumber(at)?;
    }
    point(&lab)?;
    let _alone = machine.take(LabLoad::Alone);
    let begun = Instant::now();
    for at in 0..3 {
        lab.node(at).up()?;
    }
    lab.wait_all_connected(seconds(20).saturating_sub(begun.elapsed()))?;
    Ok(format!("whole after {:.1} s", begun.elapsed().as_secs_f64()))
}

/// Four homes on thin lines, of which each block has three copies; the address of one changes while home 0 puts.
fn moves_during_put(plans: [HomePlan; 4], mover: usize) -> Result<String> {
    let mut lab = lab()?;
    let line = LineSettings::mbit(40.0).delay_ms(5);
    for plan in plans {
        lab.move_in(plan.line(line))?;
    }
    point_names(&lab)?;
    lab.found(1)?;
    for at in [0, 2, 3] {
        lab.join(at, 1)?;
    }
    lab.wait_all_connected(PATIENCE)?;

    let sent = lab.line_counts(0).0.bytes;
    let putting = lab.start_put(0, "file", 48 << 20)?;
    lab.wait_sent(0, sent, 8 << 20, PATIENCE)?;
    let ended: usize = (0..4).map(|at| lab.ended_connections(at)).sum();
    lab.renumber(mover)?;
    point_names(&lab)?;
    let moved = Instant::now();
    // A holder that moved, or any if the writer did.
    let receiver = if mover == 0 { 1 } else { mover };
    let before = lab.line_counts(receiver).1.bytes;
    let resumed =
        wait_for(seconds(10), "blocks to come in again", || Ok(lab.line_counts(receiver).1.bytes - before > 256 << 10));
    let usable = moved.elapsed();
    let put = putting.wait(PATIENCE * 2)?;
    resumed.with_context(|| format!("the put took {:.1} s: {}", put.took.as_secs_f64(), put.said))?;
    let whole = lab.wait_all_connected(PATIENCE)?;
    assert_truthful(&lab, 0, 3, &put)?;
    lab.node(0).wait_complete()?;
    let placement = lab.placement(0, &put)?;
    ensure!(placement["copies_max"].as_u64() <= Some(4), "more copies than one above the rule: {placement}");
    let ended = (0..4).map(|at| lab.ended_connections(at)).sum::<usize>() - ended;
    Ok(format!(
        "usable after {:.1} s, all pairs {:.1} s after the put of {:.1} s, {ended} ends of connections logged, copies {} to {}",
        usable.as_secs_f64(),
        whole.as_secs_f64(),
        put.took.as_secs_f64(),
        shown(&placement["copies_min"]),
        shown(&placement["copies_max"]),
    ))
}

fn shown(value: &Value) -> String {
    value.to_string()
}

/// Homes 1 to 3 have names, which follow their addresses at once.
fn point_names(lab: &Lab) -> Result<()> {
    let lines: String = (1..4).map(|at| format!("{} home{at}.example\n", lab.home(at).public_v4())).collect();
    (0..4).try_for_each(|at| lab.home(at).machine().set_hosts(&lines))
}

fn named(router: RouterKind, at: usize) -> HomePlan {
    HomePlan::behind(router).named(&format!("home{at}.example:24007"))
}

fn writer_moves(_: &LabMachine) -> Result<String> {
    let open = |at| named(RouterKind::Open, at);
    moves_during_put([HomePlan::behind(RouterKind::Cone), open(1), open(2), open(3)], 0)
}

fn holder_moves(_: &LabMachine) -> Result<String> {
    let open = |at| named(RouterKind::Open, at);
    moves_during_put([HomePlan::behind(RouterKind::Cone), open(1), open(2), open(3)], 2)
}

fn host_moves(_: &LabMachine) -> Result<String> {
    let open = |at| named(RouterKind::Open, at);
    let host = named(RouterKind::Absent, 2);
    moves_during_put([HomePlan::behind(RouterKind::Cone), open(1), host, open(3)], 2)
}
