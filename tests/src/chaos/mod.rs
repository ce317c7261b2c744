//! Nodes that are killed, frozen and damaged at random while files are put, moved, removed and read through all of them.
//!
//! A run is a series of rounds: first faults and load, then calm, in which everything is mended and compared with what was
//! promised. What happens is drawn from a seed; when exactly it meets what, the machine decides. Clocks are set
//! wrong only where a library that is put before the system's can do it ([`clock`]); the simulator does that anywhere.

mod calm;
pub mod clock;
mod command;
mod content;
mod cut;
mod exchange;
mod fault;
mod log;
mod model;
mod mount;
mod work;

pub use cut::can_cut;
pub use fault::FaultKind;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cluster::{TestCluster, TestProgram};
use command::CommandCaller;
use exchange::Departure;
use fault::FaultInjector;
use log::ChaosLog;
use model::ChaosModel;
use mount::MountedPool;
use work::{ChaosWork, ChaosWorker};

/// What is done.
#[derive(Clone, Debug)]
pub struct ChaosPlan {
    /// Everything is drawn from it.
    pub seed: u64,
    /// Nodes in the pool.
    pub nodes: usize,
    /// Commands at the same time.
    pub callers: usize,
    /// Rounds until this time is over; one at least.
    pub lasts: Duration,
    /// Faults and load in a round.
    pub round: Duration,
    /// What may happen.
    pub kinds: Vec<FaultKind>,
    /// Between two faults at most.
    pub gap_ms_max: u64,
    /// Between two commands of a caller at most.
    pub pause_ms_max: u64,
    /// The run goes on until so many processes were killed.
    pub kills: usize,
    /// Bytes of the largest files.
    pub bytes_max: usize,
    /// The last node's disk is a file system of its own, which can be filled. Only root can make one.
    pub mounts: bool,
    /// After each round a member goes for good, and a newcomer takes its place.
    pub exchanges: bool,
    /// Prints what happens as it happens.
    pub echo: bool,
    /// Waits of the calm phase.
    pub patience: Duration,
}

impl ChaosPlan {
    /// For `cargo test`: one short round without anything that needs root.
    pub fn short(seed: u64) -> Self {
        Self {
            seed,
            nodes: 3,
            callers: 2,
            lasts: Duration::ZERO,
            round: Duration::from_secs(10),
            kinds: FaultKind::PLAIN.to_vec(),
            gap_ms_max: 800,
            pause_ms_max: 50,
            kills: 0,
            bytes_max: 3 << 20,
            mounts: false,
            exchanges: false,
            echo: false,
            patience: Duration::from_secs(120),
        }
    }
}

/// Carries a plan out. The result is a few lines of figures; an error if anything was wrong.
pub fn run(program: TestProgram, plan: &ChaosPlan) -> Result<String> {
    let log = Arc::new(ChaosLog::new(plan.echo));
    log.say(format!("seed {}: {plan:?}", plan.seed));
    let mut rng = fastrand::Rng::with_seed(plan.seed);
    let mut mount = None;
    let mut cluster = build(program, plan, &mut mount)?;
    let outcome = rounds(&mut cluster, plan, &mut rng, mount.as_ref(), &log);
    if let Err(error) = &outcome {
        log.wrong(format!("{error:#}"));
    }
    let wrong = log.all_wrong();
    if !wrong.is_empty() {
        let kept = cluster.keep().to_owned();
        std::fs::write(kept.join("chaos.log"), log.text())?;
        let (seed, kept) = (plan.seed, kept.display());
        bail!(
            "seed {seed}: {} wrong; log and nodes are in {kept}\n{}\n{}",
            wrong.len(),
            wrong.join("\n"),
            log.figures()
        );
    }
    Ok(format!("seed {}: {}\n{}", plan.seed, outcome?, log.figures()))
}

fn build(program: TestProgram, plan: &ChaosPlan, mount: &mut Option<MountedPool>) -> Result<TestCluster> {
    let mut cluster = TestCluster::new(program)?;
    cluster.found()?;
    for at in 1..plan.nodes {
        let ticket = cluster.nodes[0].ticket()?;
        let mut node = cluster.new_node()?;
        if plan.mounts && at == plan.nodes - 1 {
            *mount = Some(MountedPool::new(&node.home.join("blocks"))?);
        }
        node.join(&ticket)?;
        cluster.nodes.push(node);
    }
    cluster.wait_connected()?;
    Ok(cluster)
}

/// Everything of a run that outlives its rounds.
struct ChaosRun<'a> {
    plan: &'a ChaosPlan,
    callers: &'a [CommandCaller],
    log: &'a ChaosLog,
    model: Mutex<ChaosModel>,
    folders: Mutex<Vec<String>>,
    scratch: PathBuf,
    checks: usize,
    exchanged: usize,
}

fn rounds(
    cluster: &mut TestCluster,
    plan: &ChaosPlan,
    rng: &mut fastrand::Rng,
    mount: Option<&MountedPool>,
    log: &Arc<ChaosLog>,
) -> Result<String> {
    let program = cluster.program().clone();
    let nodes = cluster.nodes.iter().enumerate();
    let callers: Vec<CommandCaller> = nodes.map(|(at, node)| CommandCaller::new(at, &program, node, log)).collect();
    let scratch = cluster.scratch("scratch");
    std::fs::create_dir_all(&scratch)?;
    let mut model = work::model(plan.seed);
    model.clocks_lie = plan.kinds.contains(&FaultKind::Clock);
    let (model, folders) = (Mutex::new(model), Mutex::new(work::folders()));
    let mut run = ChaosRun { plan, callers: &callers, log, model, folders, scratch, checks: 0, exchanged: 0 };
    let mut faults = FaultInjector::new(cluster, &callers, log, rng.fork());
    faults.allow(&plan.kinds, mount.map(MountedPool::path));
    let begun = Instant::now();
    let mut count = 0;
    while count == 0 || begun.elapsed() < plan.lasts || faults.kills < plan.kills {
        count += 1;
        faults.choose_victim()?;
        run.storm(&mut faults, rng)?;
        run.calm(&mut faults, rng)?;
        if plan.exchanges {
            run.exchange(&mut faults, rng)?;
        }
    }
    run.full_restart(&mut faults)?;
    Ok(format!(
        "{count} rounds, {} faults, {} kills, {} members exchanged, {} comparisons of everything, all as promised",
        faults.count, faults.kills, run.exchanged, run.checks
    ))
}

impl ChaosRun<'_> {
    /// Load and faults.
    fn storm(&self, faults: &mut FaultInjector, rng: &mut fastrand::Rng) -> Result<()> {
        let stop = AtomicBool::new(false);
        let ChaosPlan { bytes_max, pause_ms_max, .. } = *self.plan;
        let (model, folders, scratch) = (&self.model, &self.folders, self.scratch.as_path());
        let work = ChaosWork {
            callers: self.callers,
            model,
            folders,
            log: self.log,
            stop: &stop,
            bytes_max,
            pause_ms_max,
            scratch,
        };
        let seeds: Vec<u64> = (0..self.plan.callers).map(|_| rng.u64(..)).collect();
        std::thread::scope(|scope| {
            let works: Vec<_> = seeds
                .into_iter()
                .enumerate()
                .map(|(name, seed)| (name, seed, &work))
                .map(|(name, seed, work)| scope.spawn(move || ChaosWorker::new(work, name, seed).run()))
                .collect();
            let done = self.disturb(faults, rng);
            // Commands that wait for a frozen or dead node end when it is mended.
            let mended = faults.mend_all();
            stop.store(true, Ordering::Relaxed);
            for work in works {
                work.join().map_err(|_| anyhow::anyhow!("a caller panicked"))??;
            }
            done.and(mended)
        })
    }

    fn disturb(&self, faults: &mut FaultInjector, rng: &mut fastrand::Rng) -> Result<()> {
        let until = Instant::now() + self.plan.round;
        while Instant::now() < until {
            std::thread::sleep(Duration::from_millis(rng.u64(20..=self.plan.gap_ms_max)));
            faults.step(&self.model)?;
        }
        Ok(())
    }

    /// Everything mended; then everything compared.
    fn calm(&mut self, faults: &mut FaultInjector, rng: &mut fastrand::Rng) -> Result<()> {
        let patience = self.plan.patience;
        self.log.say("calm");
        if let Some(hit) = faults.hit() {
            // Damage is found by whoever reads; a new process has nothing in memory and reads it all from its disk.
            Self::restart(faults, &[hit])?;
            calm::read_all(&self.callers[hit], &self.scratch("hit"), patience)?;
        }
        let found = self.compare(faults)?;
        self.with_one_alone(faults, rng, &found)?;
        Ok(())
    }

    /// Waits until all agree, and compares with what was promised.
    fn compare(&mut self, faults: &mut FaultInjector) -> Result<Vec<(String, content::ContentToken)>> {
        let patience = self.plan.patience;
        let begun = Instant::now();
        let names = calm::converge(faults.cluster(), self.callers, &self.scratch("calm"), patience)?;
        let took = begun.elapsed().as_secs_f64();
        let found = calm::read_all(&self.callers[0], &self.scratch("calm"), patience)?;
        for caller in &self.callers[1..] {
            calm::expect_all(caller, &self.scratch("calm"), &found, patience)?;
        }
        self.checks += self.callers.len();
        self.log.say(format!("agreed on {} files after {took:.1} s", names.len()));
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        for wrong in model.compare_with(&found, self.callers.len()) {
            self.log.wrong(wrong);
        }
        Ok(found)
    }

    /// Two nodes are dead, or frozen: every other one reads everything.
    fn with_one_alone(
        &mut self,
        faults: &mut FaultInjector,
        rng: &mut fastrand::Rng,
        found: &[(String, content::ContentToken)],
    ) -> Result<()> {
        let mut order: Vec<usize> = (0..self.callers.len()).collect();
        rng.shuffle(&mut order);
        let (out, left) = order.split_at(2.min(order.len() - 1));
        let freezes = rng.bool();
        self.log.say(format!("{} {out:?}", if freezes { "freezing" } else { "killing" }));
        for at in out {
            let node = &mut faults.cluster().nodes[*at];
            if freezes { node.freeze()? } else { node.kill()? }
        }
        let read = calm::expect_all(&self.callers[left[0]], &self.scratch("alone"), found, self.plan.patience);
        for at in out {
            let node = &mut faults.cluster().nodes[*at];
            if freezes { node.thaw()? } else { node.up()? }
        }
        read.with_context(|| format!("with {out:?} dead or frozen"))?;
        self.checks += 1;
        faults.cluster().wait_connected()
    }

    /// All copies are complete: a member goes and takes its copies with it.
    fn exchange(&mut self, faults: &mut FaultInjector, rng: &mut fastrand::Rng) -> Result<()> {
        // A disk that is a file system of its own stays where it is mounted.
        let at = rng.usize(1..self.callers.len() - usize::from(self.plan.mounts));
        let departure = Departure::ALL[rng.usize(..Departure::ALL.len())];
        exchange::exchange(faults.cluster(), (at, departure), (self.log, self.plan.patience))
            .with_context(|| format!("node{at} goes: {departure:?}"))?;
        self.exchanged += 1;
        faults.cluster().wait_connected()?;
        self.compare(faults).map(drop)
    }

    /// All processes killed and started again: everything is read from each node.
    fn full_restart(&mut self, faults: &mut FaultInjector) -> Result<()> {
        let patience = self.plan.patience;
        let found = calm::read_all(&self.callers[0], &self.scratch("calm"), patience)?;
        let all: Vec<usize> = (0..self.callers.len()).collect();
        self.log.say("killing and starting all");
        Self::restart(faults, &all)?;
        for caller in self.callers {
            calm::expect_all(caller, &self.scratch("calm"), &found, patience).context("after a restart of all")?;
        }
        self.checks += self.callers.len();
        Ok(())
    }

    fn restart(faults: &mut FaultInjector, nodes: &[usize]) -> Result<()> {
        for at in nodes {
            faults.cluster().nodes[*at].kill()?;
        }
        for at in nodes {
            faults.cluster().nodes[*at].spawn(["up"])?;
        }
        faults.cluster().wait_connected()
    }

    fn scratch(&self, name: &str) -> PathBuf {
        Path::new(&self.scratch).join(name)
    }
}
