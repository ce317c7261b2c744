//! Lines that carry nothing, members that relay badly, and strangers.

use std::time::Instant;

use anyhow::{Result, ensure};
use fsdfs_tests::cluster::wait_for;
use fsdfs_tests::lab::Lab;
use fsdfs_tests::lab::home::HomePlan;
use fsdfs_tests::lab::line::model::LineSettings;
use fsdfs_tests::lab::line::tampering::Tampering;
use fsdfs_tests::lab::router::RouterKind;

use crate::meeting::relay;
use crate::scenario::{LabMachine, LabScenario, PATIENCE, assert_truthful, lab, seconds, watch};

pub const ALL: &[LabScenario] = &[
    LabScenario::quiet("L7-cost", "UDP blocked: less than 1 % of a core and 200 B/s", cost_of_blocked_udp),
    LabScenario::quiet("L7-said", "UDP blocked: `status` says so within 15 s", blocked_udp_is_said),
    LabScenario::quiet(
        "L22-stranger",
        "a stranger sends every kind of packet: 0 bytes come back",
        stranger_sends_packets,
    ),
    LabScenario::busy("L22-relay", "a relay that drops, repeats and garbles: another way within 8 s", bad_relay),
];

/// A member whose router stops to let UDP through.
fn blocked() -> Result<Lab> {
    let mut lab = lab()?;
    lab.move_in_all([HomePlan::behind(RouterKind::Open), HomePlan::behind(RouterKind::Cone)])?;
    lab.wait_connected(0, 1, PATIENCE)?;
    lab.replace_router(1, RouterKind::UdpBlocked)?;
    Ok(lab)
}

fn cost_of_blocked_udp(_: &LabMachine) -> Result<String> {
    let lab = blocked()?;
    wait_for(PATIENCE, "the connection to end", || Ok(lab.member(1, 0)?["connected"] == false))?;
    // At first it is dialled soon again. What it costs for as long as it lasts is seen over several of the later dials.
    watch(seconds(60));
    let (cpu, bytes, begun) = (lab.cpu_s(1)?, lab.home(1).machine_bytes()?, Instant::now());
    watch(seconds(150));
    let s = begun.elapsed().as_secs_f64();
    let (cpu, rate) = ((lab.cpu_s(1)? - cpu) / s, (lab.home(1).machine_bytes()? - bytes) as f64 / s);
    ensure!(cpu < 0.01, "{:.1} % of a core", cpu * 100.0);
    ensure!(rate < 200.0, "{rate:.0} B/s leave the machine");
    Ok(format!("{:.2} % of a core, {rate:.0} B/s", cpu * 100.0))
}

fn blocked_udp_is_said(_: &LabMachine) -> Result<String> {
    let mut lab = blocked()?;
    let begun = Instant::now();
    let node = lab.node(1);
    wait_for(seconds(15), "`status` to say that UDP is blocked", || {
        Ok(node.status()?["attention"].to_string().contains("blocked"))
    })?;
    Ok(format!("after {:.1} s", begun.elapsed().as_secs_f64()))
}

/// First bytes of our own packets, and lengths that they have: relayed, knock, heard, probe.
const KINDS: [(u8, usize); 4] = [(0x01, 1_200), (0x02, 36), (0x03, 54), (0x04, 36)];

fn stranger_sends_packets(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let at = lab.move_in(HomePlan::behind(RouterKind::Open))?;
    lab.found(at)?;
    let stranger = lab.stranger(150)?;
    let to = lab.home(at).public_v4();
    let (mut random, mut sent) = (fastrand::Rng::with_seed(22), 0);
    for _ in 0..20 {
        for (first, len) in KINDS {
            for len in [len, len - 1, 1] {
                let mut packet: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
                packet[0] = first;
                stranger.send(to, &packet)?;
                sent += 1;
            }
        }
    }
    wait_for(PATIENCE, "the packets to come in", || Ok(lab.line_counts(at).1.packets >= sent))?;
    watch(seconds(2));
    let back = stranger.received_bytes();
    ensure!(back == 0, "{back} bytes came back for {sent} packets");
    Ok(format!("{sent} packets, 0 bytes back"))
}

fn bad_relay(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let symmetric = || HomePlan::behind(RouterKind::Symmetric).line(LineSettings::mbit(40.0).delay_ms(5));
    lab.move_in_all([relay(), symmetric(), symmetric(), relay()])?;
    lab.wait_all_connected(PATIENCE)?;
    let mut figures = Vec::new();
    let bad = |drop, repeat, garble| Tampering { drop, repeat, garble };
    for (name, tampering) in
        [("drops", bad(1.0, 0.0, 0.0)), ("garbles", bad(0.0, 0.0, 1.0)), ("all", bad(0.3, 0.3, 0.3))]
    {
        figures.push(format!("{name}: {:.1} s", other_way(&lab, name, tampering)?));
    }
    let ended =
        lab.cluster.nodes.iter_mut().map(fsdfs_tests::cluster::ClusterNode::ended).collect::<Result<Vec<_>>>()?;
    ensure!(ended.iter().all(Option::is_none), "a node ended: {ended:?}");
    Ok(figures.join(", "))
}

/// The relay that carries a put turns bad; how many seconds until the other one carries it.
fn other_way(lab: &Lab, name: &str, tampering: Tampering) -> Result<f64> {
    let before = [lab.line_bytes(0), lab.line_bytes(3)];
    let sent = lab.line_counts(1).0.bytes;
    let putting = lab.start_put(1, name, 32 << 20)?;
    lab.wait_sent(1, sent, 4 << 20, PATIENCE)?;
    let carried = [lab.line_bytes(0) - before[0], lab.line_bytes(3) - before[1]];
    let (used, other) = if carried[0] > carried[1] { (0, 3) } else { (3, 0) };
    lab.home(used).line().tamper(tampering);
    let (begun, before) = (Instant::now(), lab.line_counts(other).0.bytes);
    wait_for(seconds(8), "another way", || Ok(lab.line_counts(other).0.bytes - before > 256 << 10))?;
    let took = begun.elapsed().as_secs_f64();
    let put = putting.wait(PATIENCE * 2)?;
    lab.home(used).line().tamper(Tampering::default());
    assert_truthful(lab, 1, 2, &put)?;
    Ok(took)
}
