//! Nodes as processes.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Set for a process that is to act as the `fsdfs` command: the binaries here can, so that one `cargo run` builds all it needs.
pub const ACT_AS_FSDFS: &str = "FSDFS_TESTS_ACT_AS_FSDFS";

/// What daemons log, as `FSDFS_LOG` takes it, for whoever looks for the cause of a failure; the folders stay then.
const TEST_LOG: &str = "FSDFS_TEST_LOG";

/// No step of a test waits longer for what it expects.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what is waited for: many look by starting a command, which takes time from what they wait for.
const POLL: Duration = Duration::from_millis(100);

/// How to start the command under test.
#[derive(Clone, Debug)]
pub struct TestProgram {
    path: PathBuf,
    acts: bool,
    unit: Option<&'static str>,
    scrub_s: Option<u64>,
    hour_ms: Option<u64>,
    namespace: Option<String>,
}

impl TestProgram {
    /// A binary that is the command.
    pub fn binary(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), acts: false, unit: None, scrub_s: None, hour_ms: None, namespace: None }
    }

    /// This very executable, which looks for [`ACT_AS_FSDFS`] first thing in its `main`.
    pub fn myself() -> Result<Self> {
        Ok(Self {
            path: std::env::current_exe().context("own path")?,
            acts: true,
            unit: None,
            scrub_s: None,
            hour_ms: None,
            namespace: None,
        })
    }

    /// With a smaller unit of weight than 1 GiB, so that small disks have different weights.
    pub fn with_unit(self, unit: &'static str) -> Self {
        Self { unit: Some(unit), ..self }
    }

    /// Everything stored is read once in so many seconds to find damage.
    pub fn with_scrub(self, seconds: u64) -> Self {
        Self { scrub_s: Some(seconds), ..self }
    }

    /// History takes so many milliseconds for an hour.
    pub fn with_hour(self, ms: u64) -> Self {
        Self { hour_ms: Some(ms), ..self }
    }

    /// In a network namespace. `ip` becomes the program, so that signals reach it.
    pub fn in_namespace(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    fn start(&self) -> Command {
        let Some(namespace) = &self.namespace else { return Command::new(&self.path) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(&self.path);
        command
    }

    /// A command of this program for one home folder.
    pub fn command(&self, home: &Path) -> Command {
        let mut command = self.start();
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let log = std::env::var_os(TEST_LOG).unwrap_or_else(|| "info".into());
        command.env("HOME", home).env("FSDFS_HOME", home).env("FSDFS_LOG", log).stdin(Stdio::null());
        if self.acts {
            command.env(ACT_AS_FSDFS, "1");
        }
        command.envs(self.unit.map(|unit| (fsdfs_node::config::TEST_UNIT_ENV, unit)));
        command.envs(self.scrub_s.map(|seconds| (fsdfs_node::config::TEST_SCRUB_ENV, seconds.to_string())));
        command.envs(self.hour_ms.map(|ms| (fsdfs_node::config::TEST_HOUR_ENV, ms.to_string())));
        command
    }
}

/// Several nodes in one temporary folder. Dropping it kills them and removes everything.
pub struct TestCluster {
    program: TestProgram,
    /// The nodes, in order of creation.
    pub nodes: Vec<ClusterNode>,
    folder: tempfile::TempDir,
}

/// One node: a home folder and, when it runs, a process.
pub struct ClusterNode {
    program: TestProgram,
    /// Its name on its card.
    pub name: String,
    /// Its home folder.
    pub home: PathBuf,
    /// What it gives: a size, or `none`.
    pub storage: String,
    /// Where it listens; without one it takes a free port on loopback.
    network: Option<NodeNetwork>,
    daemon: Option<Child>,
}

/// How a node is reached that is not on loopback.
#[derive(Clone, Debug)]
pub struct NodeNetwork {
    /// The network namespace in which it runs.
    pub namespace: String,
    /// What it listens on, as `--listen` takes it.
    pub listen: String,
    /// What its card says first, as `--address` takes it.
    pub addresses: Vec<String>,
}

impl TestCluster {
    /// No nodes yet.
    pub fn new(program: TestProgram) -> Result<Self> {
        let mut folder = tempfile::Builder::new().prefix("fsdfs-test-").tempdir().context("a temporary folder")?;
        if std::env::var_os(TEST_LOG).is_some() {
            println!("logs stay in {}", folder.path().display());
            folder.disable_cleanup(true);
        }
        Ok(Self { program, nodes: Vec::new(), folder })
    }

    /// A founder and `others` joined nodes, all running and connected.
    pub fn of(program: TestProgram, count: usize) -> Result<Self> {
        let mut cluster = Self::new(program)?;
        cluster.found()?;
        for _ in 1..count {
            cluster.join()?;
        }
        cluster.wait_connected()?;
        Ok(cluster)
    }

    /// A folder for sources and results.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Leaves all files where they are, for whoever looks for the cause of a failure. Returns where.
    pub fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }

    /// The program under test.
    pub fn program(&self) -> &TestProgram {
        &self.program
    }

    /// Founds the pool on a new node and starts it.
    pub fn found(&mut self) -> Result<&mut ClusterNode> {
        self.found_with("8GiB")
    }

    /// The same with so much storage.
    pub fn found_with(&mut self, storage: &str) -> Result<&mut ClusterNode> {
        let mut node = self.new_node()?;
        node.storage = storage.to_owned();
        node.init()?;
        node.up()?;
        self.nodes.push(node);
        Ok(self.nodes.last_mut().expect("just pushed"))
    }

    /// Invites with node 0, joins with a new node and leaves it running. Returns when it says it is usable.
    pub fn join(&mut self) -> Result<Duration> {
        let node = self.new_node()?;
        self.join_as(node)
    }

    /// The same with a node that was made before.
    pub fn join_as(&mut self, mut node: ClusterNode) -> Result<Duration> {
        let ticket = self.nodes.first().context("found first")?.ticket()?;
        let begun = Instant::now();
        node.join(&ticket)?;
        let took = begun.elapsed();
        self.nodes.push(node);
        Ok(took)
    }

    /// A node with a home folder and nothing in it.
    pub fn new_node(&self) -> Result<ClusterNode> {
        let name = format!("node{}", self.nodes.len());
        let home = self.folder.path().join(&name);
        fs::create_dir_all(&home)?;
        let (program, storage) = (self.program.clone(), "8GiB".into());
        Ok(ClusterNode { program, name, home, storage, network: None, daemon: None })
    }

    /// The same in a network of its own.
    pub fn new_node_in(&self, network: NodeNetwork) -> Result<ClusterNode> {
        let mut node = self.new_node()?;
        node.program = node.program.clone().in_namespace(&network.namespace);
        node.network = Some(network);
        Ok(node)
    }

    /// Waits until every running node is connected to every other and holds the pool's key.
    pub fn wait_connected(&self) -> Result<()> {
        let running = self.nodes.iter().filter(|node| node.daemon.is_some()).count();
        for node in self.nodes.iter().filter(|node| node.daemon.is_some()) {
            node.wait(&format!("{} to be connected to {} others", node.name, running - 1), |status| {
                status["connected"].as_u64() >= Some(running as u64 - 1)
                    && status["has_key"] == true
                    && status["ready"] == true
            })?;
        }
        Ok(())
    }
}

impl ClusterNode {
    /// A command of the CLI for this node.
    pub fn command<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Command {
        let mut command = self.program.command(&self.home);
        command.args(args);
        command
    }

    /// Runs a command to its end, whatever it is.
    pub fn run<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Result<Output> {
        Ok(self.command(args).output()?)
    }

    /// Runs a command that has to end with one of these exit codes; returns what it printed.
    pub fn expect<I: AsRef<OsStr>>(&self, codes: &[i32], args: impl IntoIterator<Item = I>) -> Result<String> {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let output = self.run(&args)?;
        let code = output.status.code().unwrap_or(-1);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            codes.contains(&code),
            "{}: fsdfs {args:?} ended with {code}, expected one of {codes:?}\n{errors}{}\n{}",
            self.name,
            String::from_utf8_lossy(&output.stdout),
            self.last_log()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command that has to end well.
    pub fn ok<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Result<String> {
        self.expect(&[0], args)
    }

    /// Runs a command with `--json` that may end well or degraded.
    pub fn json<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Result<Value> {
        let mut all: Vec<OsString> = vec!["--json".into()];
        all.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        let text = self.expect(&[0, 1], all)?;
        serde_json::from_str(&text).with_context(|| format!("{}: not JSON: {text}", self.name))
    }

    /// `fsdfs status --json`.
    pub fn status(&self) -> Result<Value> {
        self.json(["status"])
    }

    /// Waits until the status is as wanted.
    pub fn wait(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<()> {
        wait_for(PATIENCE, what, || Ok(self.status().is_ok_and(|status| is_so(&status))))
            .with_context(|| format!("last status: {:?}\n{}", self.status().ok(), self.last_log()))
    }

    /// Waits until what it holds has all its copies. On a machine too busy to answer within a second a put ends with
    /// fewer, which is right, and they are made up.
    pub fn wait_complete(&self) -> Result<()> {
        self.wait("every block to have its copies", |status| {
            status["repair"]["pending"] == 0 && status["repair"]["running"] == false
        })
    }

    /// Gets a file or folder as `target`, again and again until it succeeds: on a busy machine what another node wrote may not
    /// have been heard of yet, or a block may not come in time. What the target was before is gone.
    pub fn get(&self, path: &str, target: &Path, most: Duration) -> Result<()> {
        let mut last = None;
        let got = wait_for(most, &format!("{} to get {path}", self.name), || {
            remove(target)?;
            last = self.ok(["get".as_ref(), path.as_ref(), target.as_os_str()]).err();
            Ok(last.is_none())
        });
        got.with_context(|| last.map(|error| format!("{error:#}")).unwrap_or_default())
    }

    /// Makes keys and configuration for a first node, reachable on loopback only.
    pub fn init(&self) -> Result<String> {
        self.ok([vec!["init".into()], self.choices()?].concat())
    }

    /// What `init` and `join` are told. Tests find each other by tickets and cards; mDNS would find the neighbours' tests as well.
    fn choices(&self) -> Result<Vec<String>> {
        let (listen, addresses) = match &self.network {
            Some(network) => (network.listen.clone(), network.addresses.clone()),
            None => {
                let address = format!("127.0.0.1:{}", free_port()?);
                (address.clone(), vec![address])
            }
        };
        let site = format!("site-{}", self.name);
        let storage = match self.storage.as_str() {
            "none" => "none".into(),
            size => format!("{}:{size}", self.home.join("blocks").display()),
        };
        let choices = ["--name", &self.name, "--site", &site, "--listen", &listen, "--storage", &storage, "--no-mdns"];
        let addresses = addresses.iter().flat_map(|address| ["--address", address]);
        Ok(choices.into_iter().chain(addresses).map(str::to_owned).collect())
    }

    /// Starts the daemon and waits until it answers.
    pub fn up(&mut self) -> Result<()> {
        self.start(["up"])
    }

    /// Joins and stays up.
    pub fn join(&mut self, ticket: &str) -> Result<()> {
        self.start_joining(ticket)?;
        self.wait("the newcomer to hold the pool's key", |status| status["has_key"] == true && status["ready"] == true)
    }

    /// The same, of one that gets no key.
    pub fn start_joining(&mut self, ticket: &str) -> Result<()> {
        let mut args = vec!["join".to_owned(), ticket.to_owned()];
        if self.storage == "none" {
            // A pool of a node without storage cannot be read, so it cannot be found to be empty either.
            args.extend(self.choices()?);
        } else {
            // The same as for a founder: `join` replaces the empty pool and keeps the configuration.
            self.init()?;
        }
        self.start(args)
    }

    fn start<I: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = I>) -> Result<()> {
        self.spawn(args)?;
        let begun = Instant::now();
        loop {
            if self.status().is_ok() {
                return Ok(());
            }
            if let Some(child) = &mut self.daemon
                && let Some(status) = child.try_wait()?
            {
                bail!("{} ended with {status}\n{}", self.name, self.last_log());
            }
            ensure!(begun.elapsed() < PATIENCE, "{} does not answer\n{}", self.name, self.last_log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts a daemon and waits for nothing.
    pub fn spawn<I: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = I>) -> Result<()> {
        self.spawn_with(args, [])
    }

    /// The same with more in its environment.
    pub fn spawn_with<I: AsRef<OsStr>>(
        &mut self,
        args: impl IntoIterator<Item = I>,
        env: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let child = self.command(args).envs(env).stdout(log.try_clone()?).stderr(log).spawn()?;
        self.daemon = Some(child);
        Ok(())
    }

    /// A ticket for one newcomer.
    pub fn ticket(&self) -> Result<String> {
        let invite = self.json(["invite"])?;
        Ok(invite["ticket"].as_str().context("no ticket in the answer")?.to_owned())
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.daemon.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.daemon.take() else { return Ok(()) };
        signal(&child, rustix::process::Signal::TERM)?;
        wait_for(PATIENCE, &format!("{} to stop", self.name), || Ok(child.try_wait()?.is_some()))
    }

    /// Stops the process without ending it, as a machine that hangs.
    pub fn freeze(&self) -> Result<()> {
        signal(self.daemon.as_ref().context("not running")?, rustix::process::Signal::STOP)
    }

    /// Lets it run again.
    pub fn thaw(&self) -> Result<()> {
        signal(self.daemon.as_ref().context("not running")?, rustix::process::Signal::CONT)
    }

    /// Its disk is lost while it does not run, and an empty one is in its place, which it is to begin anew.
    pub fn lose_disk(&self) -> Result<()> {
        for entry in fs::read_dir(self.home.join("blocks"))? {
            remove(&entry?.path())?;
        }
        let path = self.home.join("config.toml");
        let config = fs::read_to_string(&path)?;
        let is_told = |config: &str| config.contains("\nif_missing");
        if is_told(&config) {
            return Ok(());
        }
        let config = config.replacen("[[storage]]\n", "[[storage]]\nif_missing = \"reinitialize\"\n", 1);
        ensure!(is_told(&config), "no storage section in {config}");
        Ok(fs::write(&path, config)?)
    }

    /// Its process, if it was started and not ended by the test.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// Whether its process was started and not ended by the test.
    pub fn is_running(&self) -> bool {
        self.daemon.is_some()
    }

    /// How its process ended, if it did so by itself.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.daemon.as_mut().map_or(Ok(None), |child| Ok(child.try_wait()?))
    }

    fn log_path(&self) -> PathBuf {
        self.home.with_extension("log")
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The end of its log.
    pub fn last_log(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        format!("--- log of {}\n{}", self.name, lines[lines.len().saturating_sub(30)..].join("\n"))
    }
}

impl Drop for ClusterNode {
    fn drop(&mut self) {
        // A frozen process takes SIGKILL too; nothing else can be done with an error here.
        let _ = self.kill();
    }
}

fn signal(child: &Child, signal: rustix::process::Signal) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).context("a process id")?;
    Ok(rustix::process::kill_process(pid, signal)?)
}

/// Waits until something is so, looking again and again.
pub fn wait_for(most: Duration, what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !is_so()? {
        ensure!(begun.elapsed() < most, "waited {most:?} in vain for {what}");
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// A file or folder, if there is one.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// A UDP port that is free, and stays so while its node is down: none that the system gives to sockets without one, and no
/// other test's, not even that of a run beside this one, whose process number is likely to be the next.
fn free_port() -> Result<u16> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // The golden section of the range keeps numbers that differ little far apart.
    let first = u16::try_from(u64::from(std::process::id()) * 6_181 % 10_000)?;
    for _ in 0..1_000 {
        let port = 10_000 + (first + TAKEN.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no UDP port between 10000 and 20000 is free")
}
