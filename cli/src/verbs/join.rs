//! `fsdfs join`: into a friend's pool.

use std::io::{self, IsTerminal, Read};

use clap::Args;
use fsdfs_node::control_client::ControlError;
use fsdfs_node::home::LockedHome;
use fsdfs_proto::control::ErrorCode;
use fsdfs_proto::identity::Ticket;

use crate::api::Api;
use crate::app::App;
use crate::outcome::{Outcome, Problem, Verdict, problem};
use crate::text::escape;
use crate::verbs::serve::{self, Begin};
use crate::verbs::setup::{self, SetupArgs};

/// Characters of a pasted ticket at most, with line breaks: the longest has about 12,000.
const TICKET_BYTES_MAX: u64 = 64 << 10;

/// Join a friend's pool with a ticket, then run like `up`.
///
/// A node that runs already with this home folder takes the ticket over and goes on in the new pool. A pool that was
/// founded here by mistake is replaced if it is empty; one with files or members never is.
#[derive(Args, Clone, Debug)]
pub struct Join {
    /// The ticket, or - to read it from the standard input (so that it is not seen in the list of processes).
    #[arg(value_name = "TICKET")]
    ticket: String,
    #[command(flatten)]
    setup: SetupArgs,
}

impl Join {
    /// Runs the verb.
    pub async fn run(self, app: &App) -> Outcome {
        let text = if self.ticket == "-" { read_ticket()? } else { self.ticket.clone() };
        let ticket = parse(&text)?;
        let api = app.api()?;
        match api.client().status().await {
            Err(ControlError::NotRunning { .. }) => {}
            Err(error) => return Err(api.stop(&error)),
            Ok(_) => return self.hand_over(app, &api, &text).await,
        }
        let home = app.home.lock().map_err(|error| app.of_home(&error))?;
        let begin = self.enter(app, &home, &ticket, text)?;
        serve::run(app, home, begin).await
    }

    fn enter(&self, app: &App, home: &LockedHome, ticket: &Ticket, text: String) -> Outcome<Begin> {
        if !home.has_pool() {
            let made = home.join(&self.setup.checked(None)?, ticket).map_err(|error| app.of_home(&error))?;
            let name = escape::name(made.pool_name.as_bytes());
            let head = format!("Joining {name}, as {}.\n", escape::name(made.config.name.as_bytes()));
            app.output.done(&setup::value(&app.home, &made), head + setup::facts(&app.home, &made).trim_end())?;
            return Ok(Begin::Joining);
        }
        self.refuse_options(app)?;
        let identity = home.identity().map_err(|error| app.of_home(&error))?;
        if identity.pool == ticket.pool {
            app.output.note("this node is a member of that pool already");
            return Ok(Begin::Up { is_new: false });
        }
        let old = escape::name(identity.pool_name.as_bytes());
        app.output.note(&format!("this node is in {old}; it is left if it is empty"));
        Ok(Begin::HandOver(text))
    }

    async fn hand_over(&self, app: &App, api: &Api, text: &str) -> Outcome {
        self.refuse_options(app)?;
        match api.patiently(|| api.client().join(text)).await {
            Ok(joined) => {
                let (name, status) = (escape::name(joined.pool_name.as_bytes()), app.program.command("status"));
                let text =
                    format!("the running node leaves its empty pool and goes on in {name}; see how it does: {status}");
                app.output.done(&joined, text).map(|()| Verdict::Fine)
            }
            Err(error) if error.code() == Some(ErrorCode::Exists) => {
                app.output.note("this node is a member of that pool already, and runs");
                Ok(Verdict::Fine)
            }
            Err(error) => Err(api.stop(&error)),
        }
    }

    /// The configuration of a node that exists is its file's.
    fn refuse_options(&self, app: &App) -> Outcome<()> {
        if self.setup.is_empty() {
            return Ok(());
        }
        let file = fsdfs_node::config::Config::file(app.home.dir());
        let shown = escape::name(file.as_os_str().as_encoded_bytes());
        problem(
            "this node exists already, so its options stand in its configuration",
            format!("change them in {shown}, and join without options"),
        )
    }
}

fn parse(text: &str) -> Result<Ticket, Problem> {
    text.trim().parse().map_err(|error| {
        Problem::new(
            format!("this ticket cannot be used: {error}"),
            "a ticket is made with 'invite' on a machine of the pool; copy the whole line",
        )
    })
}

fn read_ticket() -> Outcome<String> {
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

fn unreadable(error: &io::Error) -> Problem {
    Problem::new(format!("cannot read the ticket from the standard input: {error}"), "give it as an argument instead")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ticket_is_told() {
        for text in ["", "hello", "fsdfs-ticket-1:", "fsdfs-ticket-1:AAAA", "fsdfs-cap-1:AAAA"] {
            let problem = parse(text).expect_err(text);
            assert!(problem.what.starts_with("this ticket cannot be used: ") && !problem.next.is_empty(), "{problem}");
        }
    }
}
