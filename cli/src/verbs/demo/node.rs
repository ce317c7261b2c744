//! Real nodes for the demonstration: processes of this same program, on loopback, in a temporary folder.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use fsdfs_node::control_client::ControlClient;
use fsdfs_node::home::Home;
use fsdfs_proto::control::NodeStatus;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// How long anything may take before the demonstration counts as failed: generous, for slow and busy machines.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// This machine.
    #[error("cannot {0}: {1}")]
    Io(&'static str, #[source] std::io::Error),
    /// A command of the story failed.
    #[error("'{command}' failed: {output}")]
    Command {
        /// As shown.
        command: String,
        /// What it said.
        output: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {} s; {node} logged: {log}", PATIENCE.as_secs())]
    Late {
        /// What.
        what: String,
        /// Whose log.
        node: String,
        /// Its last lines.
        log: String,
    },
    /// Something is not as it should be.
    #[error("{0}")]
    Wrong(String),
}

/// One node.
pub struct DemoNode {
    /// For the story.
    pub name: &'static str,
    home: PathBuf,
    program: PathBuf,
    daemon: Option<Child>,
}

/// What a command said.
pub struct CommandOutput {
    /// To the standard output.
    pub output: String,
    /// Its exit code.
    pub code: Option<i32>,
}

impl DemoNode {
    /// A node that does not run yet, with its home below `folder`.
    pub fn new(name: &'static str, folder: &Path, program: &Path) -> Self {
        Self { name, home: folder.join(name), program: program.to_owned(), daemon: None }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--home").arg(&self.home).args(words).kill_on_drop(true).stdin(Stdio::piped());
        // Settings of the person who runs the demonstration are not the demonstration's.
        command.env_remove("FSDFS_HOME").env_remove("FSDFS_LOG");
        command
    }

    /// Runs a command to its end. Exit code 1 (degraded) is an answer, 2 is a failure.
    pub async fn run(&self, words: &[&str]) -> Result<CommandOutput, DemoError> {
        let output =
            self.command(words).output().await.map_err(|error| DemoError::Io("start this program again", error))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.code() {
            Some(0 | 1) => Ok(CommandOutput { output: text(&output.stdout), code: output.status.code() }),
            _ => {
                let said = text(&output.stderr) + &text(&output.stdout);
                Err(DemoError::Command { command: words.join(" "), output: said })
            }
        }
    }

    /// Starts the daemon with these words (`up` or `join ...`) and, for secrets, this standard input.
    pub async fn start(&mut self, words: &[&str], input: &str) -> Result<(), DemoError> {
        let started = |error| DemoError::Io("start a node", error);
        std::fs::create_dir_all(&self.home).map_err(started)?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).map_err(started)?;
        let error_log = log.try_clone().map_err(started)?;
        let mut child = self.command(words).stdout(log).stderr(error_log).spawn().map_err(started)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A daemon that ended already says why in its log.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        self.daemon = Some(child);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.home.join("demo.log")
    }

    /// Waits until the node's status is as wished.
    pub async fn wait(&mut self, what: &str, wish: impl Fn(&NodeStatus) -> bool) -> Result<NodeStatus, DemoError> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Ok(status) = self.status().await
                && wish(&status)
            {
                return Ok(status);
            }
            if let Some(code) = self.daemon.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                let output = self.last_log_lines();
                return Err(DemoError::Command { command: format!("the daemon of {} ({code})", self.name), output });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(DemoError::Late { what: what.to_owned(), node: self.name.to_owned(), log: self.last_log_lines() })
    }

    async fn status(&self) -> Result<NodeStatus, ()> {
        let home = Home::locate(Some(&self.home)).map_err(drop)?;
        ControlClient::new(&home.socket()).map_err(drop)?.status().await.map_err(drop)
    }

    fn last_log_lines(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Kills the daemon without warning, as a power cut would.
    pub async fn kill(&mut self) -> Result<(), DemoError> {
        match self.daemon.take() {
            Some(mut child) => child.kill().await.map_err(|error| DemoError::Io("kill a node", error)),
            None => Ok(()),
        }
    }

    /// Asks the daemon to end, and sees that it does.
    pub async fn stop(&mut self) -> Result<(), DemoError> {
        let Some(mut child) = self.daemon.take() else { return Ok(()) };
        if let Some(pid) = child.id().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        match tokio::time::timeout(PATIENCE, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(DemoError::Wrong(format!("{} did not end gracefully: {status}", self.name))),
            Ok(Err(error)) => Err(DemoError::Io("wait for a node", error)),
            Err(_) => Err(DemoError::Late {
                what: "a graceful end".into(),
                node: self.name.into(),
                log: self.last_log_lines(),
            }),
        }
    }
}
