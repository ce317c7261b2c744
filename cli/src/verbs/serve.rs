//! Runs the daemon for `up` and `join`, and reports when it is ready and connected.

use std::time::{Duration, Instant};

use fsdfs_node::config::{self, Config};
use fsdfs_node::control_client::ControlError;
use fsdfs_node::daemon::{self, DaemonError, DaemonReady};
use fsdfs_node::home::LockedHome;
use fsdfs_proto::control::{AttentionReason, ErrorCode, FormerMembership, MemberRole, NodeStatus};
use tokio::sync::mpsc;

use crate::answers::{NodeJoined, NodeUp};
use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::logs::{self, LogLineFormat, LogOptions};
use crate::outcome::{CliError, CliResult, Exit, ExitStatus};
use crate::text::{escape, human};
use crate::verbs::{setup, status};

/// What the owner is waiting for.
#[derive(Debug)]
pub enum StartupGoal {
    /// A node that has its pool.
    Up {
        /// It was created just now.
        is_new: bool,
    },
    /// A node that has to meet the members of its pool.
    Joining,
    /// A node whose pool is to be left for that of this ticket: if it is empty, or if this node is no member of it.
    HandOver(String),
}

/// What a node that is no member any more must know when it begins anew.
pub fn note_former(app: &AppContext, pool_name: &str, former: &FormerMembership) {
    let mut text = format!(
        "this node was a member of {}, but {}: it joins as a new member with a new key, and what it stored counts no more.\n\
         Changes that only this node had are not in the pool.",
        escape::name(pool_name.as_bytes()),
        former.why
    );
    for folder in &former.kept_in {
        let folder = escape::name(folder.as_bytes());
        text += &format!("\nIts old blocks are kept in {folder}; delete them when nothing is missing in the pool.");
    }
    app.output.note(&text);
}

/// A newcomer on a network that lets it through has met somebody long before.
pub const JOIN_PATIENCE: Duration = Duration::from_secs(10);

/// Runs until a signal or a request ends it.
pub async fn run(app: &AppContext, home: &LockedHome, begin: StartupGoal) -> CliResult {
    start_log(app)?;
    // Whatever a node makes is its user's alone; what others may use gets its mode by name.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let (ready_in, ready) = mpsc::unbounded_channel();
    let reporter = StartupReporter { app: app.clone(), api: app.api()?, begun: Instant::now(), ready };
    let reporter = tokio::spawn(reporter.tell(begin));
    let ended = daemon::run(home, move |ready| drop(ready_in.send(ready.clone()))).await;
    // What made the daemon stop matters more than that it stopped.
    reporter.await.unwrap_or(Ok(()))?;
    ended.map_err(|error| of_daemon(app, &error)).map(|()| ExitStatus::Fine)
}

/// The command line overrules the configuration.
fn start_log(app: &AppContext) -> CliResult<()> {
    let config = Config::load(app.home.dir()).map_err(|error| app.of_home(&error.into()))?.log;
    let format = match config.format {
        config::LogFormat::Text => LogLineFormat::Text,
        config::LogFormat::Json => LogLineFormat::Json,
    };
    let was_said = app.log.verbose > 0 || app.log.quiet;
    let filter = app.log.filter.clone().or(config.filter.filter(|_| !was_said));
    logs::start(&LogOptions { filter, format: app.log.format.or(Some(format)), ..app.log.clone() }, true)
}

fn of_daemon(app: &AppContext, error: &DaemonError) -> Exit {
    match error {
        DaemonError::Home(error) => return app.of_home(error),
        DaemonError::NotAdmitted { .. } => return not_admitted(app, &error.to_string()).into(),
        _ => {}
    }
    let check = app.program.command("config check");
    CliError::new(
        app.program.in_hint(&error.to_string()),
        format!("resolve that, then start again; check the configuration: {check}"),
    )
    .into()
}

/// Whether a newcomer has what a member of its role has. One that only stores gets no key.
pub fn is_in(status: &NodeStatus) -> bool {
    status.ready && status.connected > 0 && (status.has_key || status.role == MemberRole::StorageOnly)
}

/// A ticket that admits nobody.
pub fn not_admitted(app: &AppContext, what: &str) -> CliError {
    let next = format!("ask a member for a new ticket; then, here: {}", app.program.command("join -"));
    CliError { code: Some(ErrorCode::Forbidden), ..CliError::new(what, next) }
}

struct StartupReporter {
    app: AppContext,
    api: DaemonApi,
    begun: Instant,
    /// Comes when the daemon answers; again when it has changed pools. Closed when it has ended.
    ready: mpsc::UnboundedReceiver<DaemonReady>,
}

impl StartupReporter {
    async fn tell(mut self, mut begin: StartupGoal) -> CliResult<()> {
        while let Some(ready) = self.ready.recv().await {
            begin = match begin {
                StartupGoal::Up { is_new } => {
                    self.is_up(&ready, is_new)?;
                    StartupGoal::Up { is_new: false }
                }
                StartupGoal::Joining => {
                    self.joins(&ready).await?;
                    StartupGoal::Up { is_new: false }
                }
                StartupGoal::HandOver(ticket) => {
                    if self.hand_over(&ticket).await? {
                        StartupGoal::Joining
                    } else {
                        self.is_up(&ready, false)?;
                        StartupGoal::Up { is_new: false }
                    }
                }
            };
        }
        Ok(())
    }

    fn is_up(&self, ready: &DaemonReady, is_new: bool) -> CliResult<()> {
        let pool = escape::name(ready.pool_name.as_bytes());
        let mut text = format!("The node of {pool} is up on UDP port {}; Ctrl-C stops it.", ready.port);
        for item in &ready.attention {
            text += &format!("\n! {}", self.app.program.in_hint(&status::attention(item)));
        }
        if is_new {
            text += &format!("\n{}", setup::next(&self.app).trim_end());
        }
        self.app.output.done(&NodeUp::new(ready), text)
    }

    async fn joins(&self, ready: &DaemonReady) -> CliResult<()> {
        let mut is_patient = true;
        let status = loop {
            if let Ok(status) = self.api.client().status().await
                && is_in(&status)
            {
                break status;
            }
            if self.ready.is_closed() {
                return Ok(());
            }
            if is_patient && self.begun.elapsed() > JOIN_PATIENCE {
                is_patient = false;
                let said = self.api.client().status().await.ok().filter(|status| status.connected > 0);
                let key = said.and_then(|status| {
                    status.attention.into_iter().find(|item| matches!(item.reason, AttentionReason::AwaitsKey { .. }))
                });
                let text = key.map_or_else(
                    || self.no_member_reached(),
                    |item| self.app.program.in_hint(&escape::name(item.text.as_bytes())),
                );
                self.app.output.note(&text);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let value = NodeJoined {
            joined: ready.pool.to_string(),
            node: ready.node.to_string(),
            port: ready.port,
            seconds: self.begun.elapsed().as_secs_f64(),
            connected: status.connected,
        };
        self.app.output.done(&value, self.joined(ready, &status))
    }

    fn joined(&self, ready: &DaemonReady, status: &NodeStatus) -> String {
        format!(
            "A member of {} after {:.1} s, connected to {}; UDP port {}; Ctrl-C stops it.\n{}",
            escape::name(ready.pool_name.as_bytes()),
            self.begun.elapsed().as_secs_f64(),
            human::count(status.connected as u64, "other", "others"),
            ready.port,
            setup::next(&self.app).trim_end()
        )
    }

    fn no_member_reached(&self) -> String {
        format!(
            "No member was reached within {} s; retrying. Are members up? Does UDP pass the routers and firewalls at both\n\
             ends? See: {}",
            JOIN_PATIENCE.as_secs(),
            self.app.program.command("status")
        )
    }

    /// Whether the pool is left. If it should be and is not, this command has failed, and the daemon that it started ends
    /// with it.
    async fn hand_over(&self, ticket: &str) -> CliResult<bool> {
        match self.api.patiently(|| self.api.client().join(ticket)).await {
            Ok(joined) => {
                if let Some(former) = &joined.former {
                    note_former(&self.app, &joined.pool_name, former);
                }
                Ok(true)
            }
            Err(_) if self.ready.is_closed() => Ok(true),
            Err(ControlError::Refused(error)) if error.code == ErrorCode::Exists => {
                self.app.output.note(&error.error);
                Ok(false)
            }
            Err(error) => {
                let stop = self.api.stop(&error);
                let _ = self.api.client().shutdown().await;
                Err(stop)
            }
        }
    }
}
