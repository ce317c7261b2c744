//! Eight homes of every kind, none of which was configured: they meet, and they stay one pool while routers restart and machines
//! sleep.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fsdfs_tests::lab::home::{AddressFamilies, HomePlan};
use fsdfs_tests::lab::line::model::LineSettings;
use fsdfs_tests::lab::router::{MappingWay, RouterKind};
use fsdfs_tests::lab::transfer::EndedPut;
use fsdfs_tests::lab::{Lab, needs};

use crate::scenario::{LabMachine, LabScenario, PATIENCE, lab, seconds, watch};

pub const ALL: &[LabScenario] = &[LabScenario {
    missing,
    ..LabScenario::alone(
        "eight",
        "eight homes of every kind: all pairs in 10 s, no put waits 10 s while routers restart and machines sleep",
        eight_homes,
    )
}];

/// How long each machine sleeps.
const SLEEP: Duration = Duration::from_secs(60);
/// No put waits longer for its answer.
const PUT_MOST: Duration = Duration::from_secs(10);
const PUT_BYTES: u64 = 256 << 10;
/// The founder's: the one home that others reach from the start, as its router maps ports.
const FOUNDER: usize = 0;
/// Two translations that change the port for each destination, on a thin line that loses packets.
const WORST: usize = 7;

fn missing() -> Option<&'static str> {
    if !needs::has_miniupnpd() {
        return Some("needs miniupnpd (package miniupnpd-nftables)");
    }
    std::env::var_os("LAB_LONG").is_none().then_some("takes a quarter of an hour; LAB_LONG=1 plays it")
}

fn move_in(lab: &mut Lab) -> Result<()> {
    let home = |router| HomePlan::behind(router).line(LineSettings::mbit(40.0).delay_ms(8));
    let (carrier, symmetric_carrier) = (lab.carrier(false)?, lab.carrier(true)?);
    let thin = LineSettings::mbit(10.0).delay_ms(25).loss(0.01);
    let plans = [
        home(RouterKind::Maps(MappingWay::Upnp)),
        home(RouterKind::Cone),
        home(RouterKind::Cone).at_carrier(carrier),
        home(RouterKind::Symmetric),
        home(RouterKind::Cone).mtu(1280).udp_timeout_s(30),
        home(RouterKind::Cone).families(AddressFamilies::Both),
        home(RouterKind::Cone).families(AddressFamilies::Both).at_carrier(carrier),
        home(RouterKind::Symmetric).at_carrier(symmetric_carrier).line(thin),
    ];
    lab.move_in_all(plans).map(drop)
}

fn eight_homes(_: &LabMachine) -> Result<String> {
    let mut lab = lab()?;
    move_in(&mut lab)?;
    let met = lab.wait_all_connected(seconds(10))?;
    let first = lab.put(WORST, "first", 4 << 20, PATIENCE)?;
    let mut diary = PutDiary { puts: vec![first], refused: 0, longest: Duration::ZERO };
    let homes = 0..=WORST;
    for at in homes.clone() {
        lab.restart_router(at)?;
        diary.put_from_all(&lab, None).with_context(|| format!("the router of home {at} restarted"))?;
    }
    let restarted = lab.wait_all_connected(PATIENCE)?;
    for at in homes.clone() {
        lab.node(at).freeze()?;
        let woken_at = Instant::now() + SLEEP;
        let put = diary.put_from_all(&lab, Some(at)).with_context(|| format!("home {at} sleeps"));
        watch(woken_at.saturating_duration_since(Instant::now()));
        lab.node(at).thaw()?;
        put?;
        diary.put_from(&lab, at).with_context(|| format!("home {at} has woken"))?;
    }
    let woken = lab.wait_all_connected(PATIENCE)?;
    for at in homes {
        for put in &diary.puts {
            lab.get_back(at, put, PATIENCE).with_context(|| format!("{} in home {at}", put.path))?;
        }
    }
    Ok(format!(
        "all pairs after {:.1} s, {:.1} s after the last restart, {:.1} s after the last sleep; {} puts, {} refused while the only \
         relay slept, the longest answer {:.1} s",
        met.as_secs_f64(),
        restarted.as_secs_f64(),
        woken.as_secs_f64(),
        diary.puts.len(),
        diary.refused,
        diary.longest.as_secs_f64(),
    ))
}

/// What was acknowledged so far.
struct PutDiary {
    puts: Vec<EndedPut>,
    /// By homes that reach the others through the founder only, while that one sleeps: there is no other way for them.
    refused: usize,
    longest: Duration,
}

impl PutDiary {
    /// One home after the other puts a small file, but for the one that sleeps.
    fn put_from_all(&mut self, lab: &Lab, sleeper: Option<usize>) -> Result<()> {
        (FOUNDER..=WORST).filter(|at| Some(*at) != sleeper).try_for_each(|at| {
            let begun = Instant::now();
            let put = self.put_from(lab, at);
            match put {
                Err(error) if sleeper == Some(FOUNDER) && format!("{error:#}").contains("\"unavailable\"") => {
                    self.note_answer(at, begun.elapsed())?;
                    self.refused += 1;
                    Ok(())
                }
                put => put,
            }
        })
    }

    fn put_from(&mut self, lab: &Lab, at: usize) -> Result<()> {
        let name = format!("put-{}-from-{at}", self.puts.len() + self.refused);
        let put = lab.put(at, &name, PUT_BYTES, PATIENCE).with_context(|| format!("put from home {at}"))?;
        self.note_answer(at, put.took).with_context(|| put.said.to_string())?;
        self.puts.push(put);
        Ok(())
    }

    fn note_answer(&mut self, at: usize, took: Duration) -> Result<()> {
        ensure!(took <= PUT_MOST, "a put from home {at} waited {:.1} s", took.as_secs_f64());
        self.longest = self.longest.max(took);
        Ok(())
    }
}
