//! `fsdfs join`: into an existing pool.

use std::io::{self, IsTerminal, Read};
use std::time::{Duration, Instant};

use clap::Args;
use fsdfs_node::control_client::ControlError;
use fsdfs_node::home::LockedHome;
use fsdfs_proto::control::{AttentionReason, ErrorCode, JoinReply};
use fsdfs_proto::identity::Ticket;

use crate::answers::NodeCreated;
use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::outcome::{CliError, CliResult, ExitStatus, problem};
use crate::text::escape;
use crate::verbs::serve::{self, StartupGoal};
use crate::verbs::setup::{self, SetupArgs};

/// A newcomer that is refused can be asked why for a second.
const POLL: Duration = Duration::from_millis(50);

/// Characters of a pasted ticket at most, with line breaks: the longest has about 12,000.
const TICKET_BYTES_MAX: u64 = 64 << 10;

/// Join a pool with a ticket, then run like `up`.
///
/// A node that is running with this home folder takes the ticket over and continues in the new pool. A pool that was
/// created here by mistake is replaced if it is empty; one with files or other members never is. A node that was revoked
/// joins its pool again as a new member.
///
/// If the members refuse the ticket, the command says why and ends, and nothing that it made is left.
#[derive(Args, Clone, Debug)]
pub struct JoinCommand {
    /// The ticket, or - to read it from the standard input (so that it is not seen in the list of processes).
    #[arg(value_name = "TICKET")]
    ticket: String,
    #[command(flatten)]
    setup: SetupArgs,
}

impl JoinCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let text = if self.ticket == "-" { read_ticket()? } else { self.ticket.clone() };
        let ticket = parse(&text)?;
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
            let made = home.join(&self.setup.checked()?, ticket).map_err(|error| app.of_home(&error))?;
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
                if serve::is_in(&status) {
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

fn parse(text: &str) -> Result<Ticket, CliError> {
    text.trim().parse().map_err(|error| {
        CliError::new(
            format!("this ticket cannot be used: {error}"),
            "copy the whole line that a member was given when it created the ticket (fsdfs invite)",
        )
    })
}

fn read_ticket() -> CliResult<String> {
    if io::stdin().is_terminal() {
        crate::output::warn("Paste the ticket, then press Enter:");
        let mut line = String::new();
        let read = io::BufRead::read_line(&mut Read::take(io::stdin().lock(), TICKET_BYTES_MAX), &mut line);
        return read.map(|_| line).map_err(|error| unreadable(&error).into());
    }
    let mut text = String::new();
    io::stdin().take(TICKET_BYTES_MAX).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    Ok(text)
}

fn unreadable(error: &io::Error) -> CliError {
    CliError::new(format!("cannot read the ticket from the standard input: {error}"), "give it as an argument instead")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ticket_is_refused() {
        for text in ["", "hello", "fsdfs-ticket-1:", "fsdfs-ticket-1:AAAA", "fsdfs-cap-1:AAAA"] {
            let problem = parse(text).expect_err(text);
            assert!(problem.what.starts_with("this ticket cannot be used: ") && !problem.next.is_empty(), "{problem}");
        }
    }
}
