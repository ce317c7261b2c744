//! `fsdfs invite`: tickets for new members.

use std::time::Duration;

use clap::{Args, ValueEnum};
use fsdfs_proto::control::{InviteListing, InviteReply as New, MemberRole, NewInvite};

use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus};
use crate::text::table::{ColumnAlign, TextTable};
use crate::text::{escape, human, parse};
use crate::verbs::members;

/// Create a ticket with which another machine can join the pool.
///
/// The ticket is printed on the standard output, everything else on the standard error. It is a secret: send it over a
/// channel that you trust. Any machine with the ticket can join, and every full member can read, change and remove
/// everything in the pool. The ticket contains addresses of members, and works as long as one of them is up.
#[derive(Args, Clone, Debug)]
pub struct InviteCommand {
    /// How long the ticket can be used: 3days, 12h, or never. Members that have joined stay.
    #[arg(long, value_name = "SPAN", default_value = "3days", value_parser = expiry)]
    expires: TicketExpiry,
    /// How many machines may join with it.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    uses: u32,
    /// What a new member may do.
    #[arg(long, value_enum, default_value_t = RoleArg::Full)]
    role: RoleArg,
    /// How much storage each new member is believed at most: 20TB, or any. What it offers beyond that draws no copies.
    #[arg(long, value_name = "SIZE", default_value = "16TiB", value_parser = up_to)]
    up_to: StorageLimit,
    /// List all tickets and their state.
    #[arg(long, conflicts_with_all = ["revoke", "expires", "uses", "role", "up_to"])]
    list: bool,
    /// Revoke a ticket: it can no longer be used. Members that have joined with it stay.
    #[arg(long, value_name = "ID", conflicts_with_all = ["expires", "uses", "role", "up_to"])]
    revoke: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct TicketExpiry(Option<Duration>);

fn expiry(text: &str) -> Result<TicketExpiry, String> {
    if text == "never" { Ok(TicketExpiry(None)) } else { parse::span(text).map(|span| TicketExpiry(Some(span))) }
}

/// Bytes; none for any size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StorageLimit(Option<u64>);

fn up_to(text: &str) -> Result<StorageLimit, String> {
    match text {
        "any" => Ok(StorageLimit(None)),
        _ => fsdfs_node::config::size(text).map(|bytes| StorageLimit(Some(bytes))).map_err(|error| error.to_string()),
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleArg {
    /// Reads, writes, stores.
    Full,
    /// Reads and stores.
    Reader,
    /// Stores only: never sees what it stores.
    StorageOnly,
}

impl InviteCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        if self.list {
            let invites = api.client().invites().await.map_err(|error| api.stop(&error))?;
            return app.output.result(&invites, listed(&invites)).map(|()| ExitStatus::Fine);
        }
        match &self.revoke {
            Some(id) => {
                let removed = api.client().revoke_invite(id).await.map_err(|error| api.stop(&error))?;
                app.output.done(&removed, format!("the ticket {} is revoked", removed.id)).map(|()| ExitStatus::Fine)
            }
            None => self.make(app, &api).await,
        }
    }

    async fn make(&self, app: &AppContext, api: &DaemonApi) -> CliResult {
        let new = NewInvite {
            expires_s: Some(self.expires.0.map_or(0, |span| span.as_secs().max(1))),
            uses: Some(self.uses),
            role: match self.role {
                RoleArg::Full => MemberRole::Full,
                RoleArg::Reader => MemberRole::Reader,
                RoleArg::StorageOnly => MemberRole::StorageOnly,
            },
            up_to_bytes: Some(self.up_to.0.unwrap_or(0)),
        };
        let invite = api.patiently(|| api.client().invite(&new)).await.map_err(|error| api.stop(&error))?;
        app.output.result(&invite, format!("{}\n", invite.ticket))?;
        app.output.note(&explained(&invite, &app.program));
        Ok(ExitStatus::Fine)
    }
}

fn explained(invite: &New, program: &crate::program::ProgramName) -> String {
    let machines = human::count(invite.uses.into(), "machine", "machines");
    let until = until(invite.expires_at_ms);
    let list = program.command("invite --list");
    let revoke = program.command_of(["invite", "--revoke", invite.id.get(..8).unwrap_or(&invite.id)]);
    format!(
        "\nOn the other machine: fsdfs join -     (then paste the line above; it is a secret)\n\
         It admits {machines}, {until}. List all: {list}   Revoke it: {revoke}\n\
         Addresses in it: {}\n{}",
        members::addresses(&invite.addresses),
        program.in_hint(&members::warnings(&invite.warnings))
    )
    .trim_end()
    .to_owned()
}

fn until(expires_at_ms: u64) -> String {
    match expires_at_ms {
        0 => "without expiry".into(),
        ms => format!("until {}", human::time_ms(i64::try_from(ms).unwrap_or(i64::MAX))),
    }
}

fn listed(invites: &InviteListing) -> String {
    let left = ColumnAlign::Left;
    let mut table = TextTable::new(&[("ID", left), ("ISSUED BY", left), ("USED", left), ("STATE", left)]);
    for invite in &invites.invites {
        let state = match (invite.open, invite.revoked) {
            (_, true) => "revoked".into(),
            (true, _) => format!("open {}", until(invite.expires_at_ms)),
            (false, _) if invite.used >= invite.uses => "used up".into(),
            (false, _) => "expired".into(),
        };
        let id = invite.id.get(..16).unwrap_or(&invite.id).to_owned();
        table.row([
            id,
            escape::name(invite.issued_by.as_bytes()),
            format!("{} of {}", invite.used, invite.uses),
            state,
        ]);
    }
    if invites.invites.is_empty() { "there are no tickets yet\n".into() } else { table.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fsdfs_proto::control::InviteState;

    #[test]
    fn a_storage_limit_is_a_size_or_any() {
        assert_eq!(up_to("any"), Ok(StorageLimit(None)));
        assert_eq!(up_to("20TB"), Ok(StorageLimit(Some(20_000_000_000_000))));
        let default = StorageLimit(Some(fsdfs_proto::control::UP_TO_BYTES_DEFAULT));
        assert_eq!(up_to("16TiB"), Ok(default), "what the API assumes");
        assert!(up_to("0GB").is_err() && up_to("much").is_err());
    }

    #[test]
    fn tickets_are_listed_with_their_state() {
        let ticket = |used, revoked, open| InviteState {
            id: "0123456789abcdef0123".into(),
            issued_by: "anna".into(),
            expires_at_ms: 0,
            uses: 2,
            used,
            open,
            revoked,
        };
        let invites = InviteListing {
            invites: vec![
                ticket(1, false, true),
                ticket(2, false, false),
                ticket(0, true, false),
                ticket(0, false, false),
            ],
        };
        assert_eq!(
            listed(&invites),
            "ID                ISSUED BY  USED    STATE\n\
             0123456789abcdef  anna       1 of 2  open without expiry\n\
             0123456789abcdef  anna       2 of 2  used up\n\
             0123456789abcdef  anna       0 of 2  revoked\n\
             0123456789abcdef  anna       0 of 2  expired\n"
        );
    }
}
