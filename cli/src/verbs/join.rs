//! `fsdfs join`: into an existing pool.

mod secret;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use fsdfs_node::control_client::ControlError;
use fsdfs_node::home::LockedHome;
use fsdfs_proto::control::{AttentionReason, ErrorCode, JoinReply};
use fsdfs_proto::identity::Ticket;

use crate::answers::NodeCreated;
use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus, problem};
use crate::text::escape;
use crate::verbs::serve::{self, StartupGoal};
use crate::verbs::setup::{self, SetupArgs};
use secret::TicketSource;

/// A newcomer that is refused can be asked why for a second.
const POLL: Duration = Duration::from_millis(50);

/// Join a pool with a ticket, then run like `up`.
///
/// A node that is running with this home folder takes the ticket over and continues in the new pool. A pool that was
/// created here by mistake is replaced if it is empty; one with files or other members never is. A node that was revoked
/// joins its pool again as a new member.
///
/// If the members refuse the ticket, the command says why and ends, and nothing that it made is left.
///
/// A ticket is a secret. Typed as an argument it stays in the shell's history; the list of processes shows it for a moment,
/// until the command has handed it to itself in another way.
#[derive(Args, Clone, Debug)]
pub struct JoinCommand {
    /// The ticket, or - to read it from the standard input.
    #[arg(value_name = "TICKET", required_unless_present = "ticket_file")]
    ticket: Option<String>,
    /// Read the ticket from this file.
    #[arg(long, value_name = "FILE", conflicts_with = "ticket")]
    ticket_file: Option<PathBuf>,
    #[command(flatten)]
    setup: SetupArgs,
}

impl JoinCommand {
    fn source(&self) -> TicketSource<'_> {
        match (&self.ticket_file, self.ticket.as_deref()) {
            (Some(file), _) => TicketSource::File(file),
            (None, None | Some("-")) => TicketSource::Input,
            (None, Some(ticket)) => TicketSource::Argument(ticket),
        }
    }

    /// Everybody on this machine can read the arguments of a process, and this one may run for years. A ticket among them is
    /// handed over by a file without a name, and the program begins again without it. Comes back if that is not necessary.
    pub fn hide_ticket(&self, args: &[OsString]) -> CliResult<()> {
        let TicketSource::Argument(ticket) = self.source() else { return Ok(()) };
        // What is no ticket is said to be none at once.
        secret::parse(ticket)?;
        Err(secret::begin_again(args, ticket).into())
    }

    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let text = secret::read(self.source(), app.output)?;
        let ticket = secret::parse(&text)?;
        let api = app.api()?;
        match api.client().status().await {
            Err(ControlError::NotRunning { .. }) => {}
            Err(error) => return Err(api.stop(&error)),
            Ok(_) => return self.hand_over(app, &api, &text).await,
        }
        let before = app.home.before();
        let home = app.home.lock().map_err(|error| app.of_home(&error))?;
        let begin = self.enter(app, &home, &ticket, text)?;
        let ended = serve::run(app, &home, begin).await;
        if !home.has_pool() {
            home.restore(before);
        }
        ended
    }

    fn enter(&self, app: &AppContext, home: &LockedHome, ticket: &Ticket, text: String) -> CliResult<StartupGoal> {
        if !home.has_pool() {
            let made = home.join(&self.setup.checked(None)?, ticket).map_err(|error| app.of_home(&error))?;
            let name = escape::name(made.pool_name.as_bytes());
            let head = format!("Joining {name}, as {}.\n", escape::name(made.config.name.as_bytes()));
            app.output.done(&NodeCreated::new(&app.home, &made), head + setup::facts(&app.home, &made).trim_end())?;
            return Ok(StartupGoal::Joining);
        }
        self.refuse_options(app)?;
        let identity = home.identity().map_err(|error| app.of_home(&error))?;
        // Whether it is a member still is for the others to say.
        if identity.pool != ticket.pool {
            let old = escape::name(identity.pool_name.as_bytes());
            app.output.note(&format!("this node is in {old}; it is left if it is empty"));
        }
        Ok(StartupGoal::HandOver(text))
    }

    async fn hand_over(&self, app: &AppContext, api: &DaemonApi, text: &str) -> CliResult {
        self.refuse_options(app)?;
        match api.patiently(|| api.client().join(text)).await {
            Ok(joined) => {
                if let Some(former) = &joined.former {
                    serve::note_former(app, &joined.pool_name, former);
                }
                let is_in = let_in(app, api, &joined).await?;
                let (name, status) = (escape::name(joined.pool_name.as_bytes()), app.program.command("status"));
                let text = match is_in {
                    true => format!("the running node is a member of {name} now; its state: {status}"),
                    false => format!(
                        "the running node continues in {name} as soon as it reaches a member; its state: {status}"
                    ),
                };
                app.output.done(&joined, text).map(|()| ExitStatus::Fine)
            }
            Err(ControlError::Refused(error)) if error.code == ErrorCode::Exists => {
                app.output.note(&format!("{}; it runs", error.error));
                Ok(ExitStatus::Fine)
            }
            Err(error) => Err(api.stop(&error)),
        }
    }

    /// The configuration of a node that exists is its file's.
    fn refuse_options(&self, app: &AppContext) -> CliResult<()> {
        if self.setup.is_empty() {
            return Ok(());
        }
        let file = fsdfs_node::config::Config::file(app.home.dir());
        let shown = escape::name(file.as_os_str().as_encoded_bytes());
        problem(
            "this node exists already: its options are in its configuration",
            format!("change them in {shown}, and join without options"),
        )
    }
}

/// Waits until the node that goes on in the ticket's pool is let in. False if it has not reached anybody for a while; an error
/// if it is refused.
async fn let_in(app: &AppContext, api: &DaemonApi, joined: &JoinReply) -> CliResult<bool> {
    let begun = Instant::now();
    let mut refused = None;
    while begun.elapsed() < serve::JOIN_PATIENCE {
        tokio::time::sleep(POLL).await;
        match api.client().status().await {
            Ok(status) if status.pool == joined.pool => {
                if status.ready && status.has_key && status.connected > 0 {
                    return Ok(true);
                }
                let refusal = status.attention.into_iter().find_map(|item| match item.reason {
                    AttentionReason::NodeRefused { why } => Some(why),
                    _ => None,
                });
                refused = refusal.or(refused);
            }
            Err(ControlError::NotRunning { .. }) if refused.is_some() => break,
            // It is changing pools.
            _ => {}
        }
    }
    match refused {
        Some(why) => {
            let what = format!("{} does not admit this node: {why}", escape::name(joined.pool_name.as_bytes()));
            Err(serve::not_admitted(app, &what).into())
        }
        None => Ok(false),
    }
}
