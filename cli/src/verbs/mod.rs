//! The verbs: each file holds what a verb takes and what it does.

pub mod admins;
pub mod at;
pub mod away;
pub mod bandwidth;
pub mod cat;
pub mod change;
pub mod config;
pub mod demo;
pub mod df;
pub mod disk;
pub mod down;
pub mod drain;
pub mod durability;
pub mod get;
pub mod init;
pub mod invite;
pub mod join;
pub mod log;
pub mod ls;
pub mod manual;
pub mod meet;
pub mod members;
pub mod plan;
pub mod put;
pub mod restore;
pub mod root_key;
pub mod rules;
pub mod safe;
pub mod serve;
pub mod service;
pub mod setup;
pub mod snapshots;
pub mod stat;
pub mod status;
pub mod troubles;
pub mod up;
pub mod watch;

/// Said after a read that shows less than these members, which are connected, acknowledged: no full success.
fn incomplete(members: &std::collections::BTreeSet<String>) -> crate::outcome::CliError {
    let names: Vec<String> = members.iter().map(|name| crate::text::escape::name(name.as_bytes())).collect();
    let who = if names.is_empty() { "a member".to_owned() } else { crate::text::human::list(&names) };
    crate::outcome::CliError::new(
        format!("may be incomplete: {who} acknowledged changes that could not be published yet"),
        "look again in a moment",
    )
}

/// Printed after a read that may show less than there is.
const MAYBE_STALE: &str = "note: may be incomplete: too few members could be asked, or a new key is still on its way";
