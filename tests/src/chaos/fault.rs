//! What happens to nodes and disks, and how it is mended again.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fsdfs_proto::record::SEGMENT_HEADER_BYTES;

use super::clock;
use super::command::CommandCaller;
use super::cut::CutLines;
use super::log::ChaosLog;
use super::model::ChaosModel;
use crate::cluster::{ClusterNode, PATIENCE, TestCluster, wait_for};

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The process is killed with SIGKILL and started again later.
    Kill,
    /// The process is asked to end, and started again.
    Stop,
    /// The process does not run for a while, as if the machine hung.
    Freeze,
    /// The index is removed while the process is down.
    IndexDeleted,
    /// A file of the index is cut.
    IndexTruncated,
    /// A file of the index gets other bytes.
    IndexGarbage,
    /// Bytes in segments are changed while the process is down. Destroys copies.
    Flip,
    /// The same while it runs.
    FlipLive,
    /// Everything on the disk is gone; the node starts with an empty one. Destroys copies.
    Lose,
    /// The folder is moved away under the running process, a file is in its place; later it is put back.
    Away,
    /// No file of the disk can be changed or made. (Root ignores permissions but not these attributes.)
    ReadOnly,
    /// The file system is full.
    Full,
    /// The process is started with a clock that is wrong, and again with the right one.
    Clock,
    /// What it holds goes to the others, until it is to stay after all.
    Drain,
    /// No packet of it gets through.
    Cut,
}

impl FaultKind {
    /// Those that need nothing but the right to kill one's own processes.
    pub const PLAIN: [Self; 11] = [
        Self::Kill,
        Self::Stop,
        Self::Freeze,
        Self::IndexDeleted,
        Self::IndexTruncated,
        Self::IndexGarbage,
        Self::Flip,
        Self::FlipLive,
        Self::Lose,
        Self::Away,
        Self::Drain,
    ];

    /// Copies on the disk may be lost: only one disk of a pool between two times at which all copies were complete.
    fn destroys(self) -> bool {
        matches!(self, Self::Flip | Self::FlipLive | Self::Lose)
    }
}

/// Breaks and mends the nodes of a cluster.
pub struct FaultInjector<'a> {
    cluster: &'a mut TestCluster,
    callers: &'a [CommandCaller],
    log: &'a ChaosLog,
    rng: fastrand::Rng,
    kinds: Vec<FaultKind>,
    troubles: Vec<Option<ActiveFault>>,
    /// Bytes of each segment when all copies were complete last: only these may be damaged.
    victim: Option<FaultTarget>,
    mount: Option<PathBuf>,
    lines: CutLines,
    /// SIGKILLs so far.
    pub kills: usize,
    /// Faults so far.
    pub count: usize,
}

struct ActiveFault {
    kind: FaultKind,
    until: Instant,
}

/// The node whose copies may be destroyed until the next time that all copies are complete.
struct FaultTarget {
    node: usize,
    segments: Vec<(PathBuf, u64)>,
    /// Something was destroyed.
    is_hit: bool,
}

impl<'a> FaultInjector<'a> {
    /// None yet. `mount` = the storage folder that is a file system of its own, if there is one.
    pub fn new(
        cluster: &'a mut TestCluster,
        callers: &'a [CommandCaller],
        log: &'a ChaosLog,
        rng: fastrand::Rng,
    ) -> Self {
        let troubles = cluster.nodes.iter().map(|_| None).collect();
        let (kinds, lines) = (Vec::new(), CutLines::default());
        Self { cluster, callers, log, rng, kinds, troubles, victim: None, mount: None, lines, kills: 0, count: 0 }
    }

    /// What may happen.
    pub fn allow(&mut self, kinds: &[FaultKind], mount: Option<&Path>) {
        self.kinds = kinds.to_vec();
        self.mount = mount.map(Path::to_owned);
    }

    /// The nodes.
    pub fn cluster(&mut self) -> &mut TestCluster {
        self.cluster
    }

    /// All copies are complete: from now on one node, drawn anew, may lose what it has.
    pub fn choose_victim(&mut self) -> Result<()> {
        let node = self.rng.usize(..self.cluster.nodes.len());
        let segments = segments(&self.cluster.nodes[node])?;
        self.log.say(format!("node{node} may lose copies in this round"));
        self.victim = Some(FaultTarget { node, segments, is_hit: false });
        Ok(())
    }

    /// The node that lost copies since.
    pub fn hit(&self) -> Option<usize> {
        self.victim.as_ref().filter(|victim| victim.is_hit).map(|victim| victim.node)
    }

    /// Ends what is over, looks after the processes, and lets something happen.
    pub fn step(&mut self, model: &Mutex<ChaosModel>) -> Result<()> {
        let now = Instant::now();
        for at in 0..self.troubles.len() {
            if self.troubles[at].as_ref().is_some_and(|trouble| trouble.until <= now) {
                self.mend(at)?;
            }
        }
        self.watch()?;
        let (at, kind) = (self.rng.usize(..self.troubles.len()), self.kinds[self.rng.usize(..self.kinds.len())]);
        let fine = self.troubles.iter().filter(|trouble| trouble.is_none()).count();
        if self.troubles[at].is_some() || fine < 2 || !self.may(at, kind) {
            return Ok(());
        }
        if kind != FaultKind::Lose {
            return self.strike(at, kind);
        }
        // Held until the disk is empty, so that no change begins after this look at those under way.
        let mut model = model.lock().unwrap_or_else(PoisonError::into_inner);
        if model.may_hold_alone(at) {
            return Ok(());
        }
        model.lose_single_copies();
        self.strike(at, kind)
    }

    fn strike(&mut self, at: usize, kind: FaultKind) -> Result<()> {
        // Mostly short, so that much happens; some last longer than a node waits for a silent one.
        let most_ms = if self.rng.u8(..4) == 0 { 6_000 } else { 1_500 };
        let lasts = Duration::from_millis(self.rng.u64(100..most_ms));
        let until = Instant::now() + lasts;
        self.log.say(format!("node{at}: {kind:?} for {:.1} s", lasts.as_secs_f64()));
        self.break_node(at, kind).with_context(|| format!("{kind:?} of node{at}"))?;
        self.troubles[at] = Some(ActiveFault { kind, until });
        self.count += 1;
        Ok(())
    }

    fn may(&self, at: usize, kind: FaultKind) -> bool {
        let is_victim = self.victim.as_ref().is_some_and(|victim| victim.node == at);
        let has_mount = self.mount.as_ref().is_some_and(|mount| mount.starts_with(&self.cluster.nodes[at].home));
        match kind {
            kind if kind.destroys() => is_victim,
            FaultKind::Full => has_mount,
            // That one is a link.
            FaultKind::Away => !has_mount,
            _ => true,
        }
    }

    /// A process that ended by itself is a mistake, whatever was done to its files.
    fn watch(&mut self) -> Result<()> {
        for (node, trouble) in self.cluster.nodes.iter_mut().zip(&self.troubles) {
            if let Some(status) = node.ended()? {
                self.log.wrong(format!(
                    "{} ended by itself ({status}) in {:?}",
                    node.name,
                    trouble.as_ref().map(|trouble| trouble.kind)
                ));
                self.log.say(node.last_log());
                node.kill()?;
                node.spawn(["up"])?;
            }
        }
        Ok(())
    }

    fn break_node(&mut self, at: usize, kind: FaultKind) -> Result<()> {
        let node = &mut self.cluster.nodes[at];
        let blocks = blocks(node);
        match kind {
            FaultKind::Freeze => {
                self.callers[at].set_frozen(true);
                return node.freeze();
            }
            FaultKind::Stop => return node.stop(),
            FaultKind::Clock => {
                node.stop()?;
                return node.spawn_with(["up"], clock::wrong(&mut self.rng).context("libfaketime is gone")?);
            }
            FaultKind::Away => {
                fs::rename(&blocks, away(&blocks))?;
                return Ok(fs::write(&blocks, b"not a folder")?);
            }
            FaultKind::ReadOnly => return immutable(&blocks, true),
            FaultKind::Full => return fill(&blocks),
            FaultKind::FlipLive => return self.flip(at),
            // Whether it is drained by then does not matter here; it may just be starting.
            FaultKind::Drain => return node.run(["drain"]).map(drop),
            FaultKind::Cut => {
                let port = port(node)?;
                return self.lines.cut(port);
            }
            _ => {}
        }
        node.kill()?;
        self.kills += 1;
        let index = blocks.join("index");
        match kind {
            FaultKind::IndexDeleted => fs::remove_dir_all(index).or_else(gone_is_fine)?,
            FaultKind::IndexTruncated => self.damage_index(&index, true)?,
            FaultKind::IndexGarbage => self.damage_index(&index, false)?,
            FaultKind::Flip => self.flip(at)?,
            FaultKind::Lose => self.lose(at)?,
            _ => {}
        }
        Ok(())
    }

    fn damage_index(&mut self, index: &Path, truncates: bool) -> Result<()> {
        let files = files_below(index)?;
        if files.is_empty() {
            return Ok(());
        }
        let path = &files[self.rng.usize(..files.len())];
        let file = File::options().write(true).open(path)?;
        let len = file.metadata()?.len();
        if truncates {
            return Ok(file.set_len(self.rng.u64(..=len))?);
        }
        let mut garbage = vec![0; usize::try_from(len.min(1 << 20))?];
        self.rng.fill(&mut garbage);
        Ok(file.write_all_at(&garbage, self.rng.u64(..=len / 2))?)
    }

    /// Only bytes of which other disks have whole copies, and no header of a segment: each costs one record at most.
    fn flip(&mut self, at: usize) -> Result<()> {
        let victim = self.victim.as_mut().filter(|victim| victim.node == at).context("only the victim's")?;
        victim.is_hit = true;
        for _ in 0..self.rng.usize(1..20) {
            if victim.segments.is_empty() {
                break;
            }
            let (path, len) = &victim.segments[self.rng.usize(..victim.segments.len())];
            let records = SEGMENT_HEADER_BYTES as u64..*len;
            if records.is_empty() {
                continue;
            }
            // Gone if the disk was lost in this round.
            let Ok(file) = File::options().read(true).write(true).open(path) else { continue };
            let mut byte = [0];
            let offset = self.rng.u64(records);
            if file.metadata()?.len() > offset {
                file.read_exact_at(&mut byte, offset)?;
                file.write_all_at(&[!byte[0]], offset)?;
            }
        }
        Ok(())
    }

    fn lose(&mut self, at: usize) -> Result<()> {
        let victim = self.victim.as_mut().filter(|victim| victim.node == at).context("only the victim's")?;
        victim.is_hit = true;
        victim.segments.clear();
        self.cluster.nodes[at].lose_disk()
    }

    /// Undoes what can be undone, so that the node runs on a disk that works.
    fn mend(&mut self, at: usize) -> Result<()> {
        let Some(ActiveFault { kind, .. }) = self.troubles[at].take() else { return Ok(()) };
        let node = &mut self.cluster.nodes[at];
        let blocks = blocks(node);
        self.log.say(format!("node{at}: {kind:?} is over"));
        match kind {
            FaultKind::Freeze => {
                self.callers[at].set_frozen(false);
                return node.thaw();
            }
            FaultKind::FlipLive => return Ok(()),
            FaultKind::Drain => {
                let undone = || Ok(node.run(["drain", "--undo"])?.status.success());
                return wait_for(PATIENCE, "a node to stay after all", undone);
            }
            FaultKind::Cut => {
                let port = port(node)?;
                return self.lines.mend(port);
            }
            FaultKind::Full => return Ok(fs::remove_file(balloon(&blocks)).or_else(gone_is_fine)?),
            FaultKind::Away => {
                fs::remove_file(&blocks)?;
                fs::rename(away(&blocks), &blocks)?;
                // A disk that failed is used again from the next start on.
                node.stop()?;
            }
            FaultKind::ReadOnly => {
                immutable(&blocks, false)?;
                node.stop()?;
            }
            FaultKind::Clock => node.stop()?,
            _ => {}
        }
        node.spawn(["up"])
    }

    /// Mends everything and waits until all nodes answer.
    pub fn mend_all(&mut self) -> Result<()> {
        for at in 0..self.troubles.len() {
            self.mend(at)?;
        }
        self.watch()
    }
}

/// Its UDP port.
fn port(node: &ClusterNode) -> Result<u64> {
    let config = fs::read_to_string(node.home.join("config.toml"))?;
    let line = config.lines().find(|line| line.starts_with("listen")).context("no `listen`")?;
    let port = line.rsplit(':').next().map(|rest| rest.trim_end_matches(|end: char| !end.is_ascii_digit()));
    port.and_then(|port| port.parse().ok()).with_context(|| format!("no port in {line}"))
}

fn blocks(node: &ClusterNode) -> PathBuf {
    node.home.join("blocks")
}

fn away(blocks: &Path) -> PathBuf {
    blocks.with_extension("away")
}

/// On the same file system as the storage folder, but not in it.
fn balloon(blocks: &Path) -> PathBuf {
    blocks.with_extension("mount").join("balloon")
}

fn segments(node: &ClusterNode) -> Result<Vec<(PathBuf, u64)>> {
    let files = files_below(&blocks(node).join("segments"))?;
    files.into_iter().map(|path| Ok((path.clone(), fs::metadata(&path)?.len()))).collect()
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut todo) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = todo.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() { todo.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

fn gone_is_fine(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn immutable(folder: &Path, is_immutable: bool) -> Result<()> {
    let change = if is_immutable { "+i" } else { "-i" };
    let output = Command::new("chattr").args(["-R", change]).arg(folder.canonicalize()?).output().context("chattr")?;
    // Files of the index come and go while it looks; what it did not catch can be changed.
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() || said.contains("No such file"), "chattr: {said}");
    Ok(())
}

/// Leaves no free byte on the file system of the folder.
fn fill(blocks: &Path) -> Result<()> {
    let file = File::create(balloon(blocks))?;
    let mut step = 1 << 30;
    let mut len = 0;
    while step >= 4096 {
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), len, step) {
            Ok(()) => len += step,
            Err(_) => step /= 2,
        }
    }
    Ok(())
}
