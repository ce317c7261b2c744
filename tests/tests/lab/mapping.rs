//! Routers that give ports to programs that ask: `miniupnpd`, as it is in many of them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fsdfs_tests::cluster::wait_for;
use fsdfs_tests::lab::home::{AddressFamilies, HomePlan};
use fsdfs_tests::lab::router::{FSDFS_PORT, MappingWay, RouterKind};
use fsdfs_tests::lab::{Lab, needs};
use serde_json::Value;

use crate::meeting::relay;
use crate::scenario::{LabMachine, LabScenario, PATIENCE, lab, seconds};

pub const ALL: &[LabScenario] = &[
    LabScenario::busy(
        "L5-hand",
        "a closed port is told; forwarded by hand and not configured it is found, first on the card",
        forwarded_by_hand,
    ),
    LabScenario {
        missing,
        ..LabScenario::busy(
            "L5",
            "UPnP, PCP, NAT-PMP, each alone: mapped, verified, on the card within 5 s",
            each_alone,
        )
    },
    LabScenario {
        missing,
        ..LabScenario::busy(
            "L5-v6",
            "an IPv6 firewall is asked by PCP: open, verified, on the card within 5 s; one that is not stays closed",
            ipv6_firewall,
        )
    },
    LabScenario {
        missing,
        ..LabScenario::busy("L6", "router restarted: mapped again within 60 s; unmapped after `down`", router_restarts)
    },
];

fn missing() -> Option<&'static str> {
    (!needs::has_miniupnpd()).then_some("needs miniupnpd (package miniupnpd-nftables)")
}

/// A relay and a home whose router maps ports in this way.
fn with_mapping(way: MappingWay) -> Result<Lab> {
    let mut lab = lab()?;
    lab.move_in_all([relay(), HomePlan::behind(RouterKind::Maps(way))])?;
    Ok(lab)
}

/// Until the router has the mapping, and the relay has been sent a card that shows it.
fn wait_mapped(lab: &Lab, most: Duration) -> Result<Duration> {
    let begun = Instant::now();
    let public = format!("{}:", lab.home(1).public_v4());
    wait_for(most, "the port to be mapped and on the card", || {
        let is_mapped = lab.home(1).mapped_ports()?.contains(&format!(":{FSDFS_PORT}"));
        Ok(is_mapped && lab.member(0, 1)?["addresses"].to_string().contains(&public))
    })
    .with_context(|| {
        format!("{}\n{}", lab.home(1).mapped_ports().unwrap_or_default(), lab.cluster.nodes[1].last_log())
    })?;
    Ok(begun.elapsed())
}

fn each_alone(_: &LabMachine) -> Result<String> {
    let mut figures = Vec::new();
    for way in [MappingWay::Upnp, MappingWay::Pcp, MappingWay::NatPmp] {
        let mut lab = with_mapping(way)?;
        let took = wait_mapped(&lab, seconds(5)).with_context(|| format!("{way:?}"))?;
        let first = format!("{}:{FSDFS_PORT}", lab.home(1).public_v4());
        let node = lab.node(1);
        node.wait("the relay's packets to come", |status| is_reachable(status, "open"))?;
        ensure!(first_address(&node.status()?) == first, "{}", node.status()?);
        figures.push(format!("{way:?} after {:.1} s", took.as_secs_f64()));
    }
    Ok(figures.join(", "))
}

fn ipv6_firewall(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    let v6 = |router| HomePlan::behind(router).families(AddressFamilies::V6);
    lab.move_in_all([relay(), v6(RouterKind::Maps(MappingWay::Pcp)), v6(RouterKind::Cone)])?;
    let (begun, first) = (Instant::now(), format!("[{}]:{FSDFS_PORT}", lab.home(1).public_v6()));
    wait_for(seconds(5), "the firewall to be open, and the relay to know of it", || {
        let is_open = lab.home(1).pinholes()?.contains(&format!("dport {FSDFS_PORT}"));
        Ok(is_open && lab.member(0, 1)?["addresses"].to_string().contains(&first))
    })
    .with_context(|| lab.home(1).pinholes().unwrap_or_default())?;
    let took = begun.elapsed().as_secs_f64();
    lab.node(1).wait("the relay's packets to come", |status| is_reachable(status, "open"))?;
    let status = lab.node(1).status()?;
    let text = status["reachability"]["text"].as_str().unwrap_or_default();
    ensure!(first_address(&status) == first && text.contains("firewall is open"), "{status}");
    lab.node(2).wait("none to come where nothing was asked", |status| is_reachable(status, "closed"))?;
    Ok(format!("after {took:.1} s"))
}

fn is_reachable(status: &Value, kind: &str) -> bool {
    status["reachability"]["kind"] == kind
}

fn first_address(status: &Value) -> &str {
    status["addresses"][0]["address"].as_str().unwrap_or_default()
}

fn forwarded_by_hand(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    lab.move_in_all([relay(), HomePlan::behind(RouterKind::Cone)])?;
    let (public, open) = (lab.home(1).public_v4().to_string(), lab.home(0).public_v4().to_string());
    let node = lab.node(1);
    node.wait("it to be known that the port is closed", |status| is_reachable(status, "closed"))?;
    let status = node.status()?;
    let text = status["reachability"]["text"].as_str().unwrap_or_default();
    ensure!(text.contains("forward UDP port 24007"), "what would help: {text}");
    ensure!(!first_address(&status).starts_with(&public), "{status}");
    let invite = node.json(["invite"])?;
    let first = invite["addresses"][0]["address"].as_str().unwrap_or_default();
    ensure!(first.starts_with(&open) && invite["warnings"] == serde_json::json!([]), "{invite}");

    node.stop()?;
    lab.replace_router(1, RouterKind::Open)?;
    let node = lab.node(1);
    node.up()?;
    let begun = Instant::now();
    node.wait("the forwarded port to be found", |status| {
        is_reachable(status, "open") && first_address(status).starts_with(&public)
    })?;
    Ok(format!("found after {:.1} s", begun.elapsed().as_secs_f64()))
}

fn router_restarts(_: &LabMachine) -> Result<String> {
    let mut lab = with_mapping(MappingWay::Pcp)?;
    wait_mapped(&lab, PATIENCE)?;
    lab.restart_router(1)?;
    let again = wait_mapped(&lab, seconds(60))?;
    lab.node(1).stop()?;
    let left = lab.home(1).mapped_ports()?;
    ensure!(!left.contains(&format!(":{FSDFS_PORT}")), "still mapped after the end: {left}");
    Ok(format!("again after {:.1} s", again.as_secs_f64()))
}
