//! Every sentence that this node says about what the engine decided: to users, with a code beside it, and to the log.
//!
//! The core says what happened as values; on the way to people, which is through a gateway or the log, they become English.
//! The module imports nothing of this crate.

pub(crate) mod advice;
pub(crate) mod attention;
pub(crate) mod reachability;
pub(crate) mod refusal;

use fsdfs_core::report::Notice;
use fsdfs_proto::control::legible;

/// `10.0 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

/// `1 server`, `2 servers`.
pub(crate) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Whose changes are not shown. Names are as members chose them: whoever prints this escapes it.
pub(crate) fn unpublished(names: &[String]) -> String {
    let (last, others) = names.split_last().map_or(("", &[][..]), |(last, others)| (last.as_str(), others));
    let names = if others.is_empty() { last.to_owned() } else { format!("{} and {last}", others.join(", ")) };
    format!("{names} acknowledged changes that could not be published yet")
}

/// What helps if members are reached through others only.
pub(crate) fn reached_by_relays(port: u16) -> String {
    format!(
        "a member is reached through another one, because neither router lets the other's packets in: that is slower. Forward UDP \
         port {port} to this machine in the router, or switch on UPnP or PCP there"
    )
}

/// A line for the log.
pub(crate) fn notice(notice: &Notice) -> String {
    match notice {
        Notice::LogFailed => {
            "cannot write the log in the home folder (disk full?); nothing is acknowledged until it can be written".into()
        }
        Notice::BadTree { volume, error } => {
            format!("the tree of volume {volume} cannot be changed: {}", refusal::tree_text(error))
        }
        Notice::HeadQuarantined { volume, author, commit, fault } => format!(
            "a change of volume {volume} that {} published is quarantined (commit {commit}): {}; all else is shown and \
             written on without it",
            legible(author.as_bytes()),
            refusal::head_fault(fault)
        ),
        Notice::DuplicateIdentity => {
            "another running node has this node's identity (a copied home folder?); nothing is acknowledged until one \
             of them is stopped and this one restarted"
                .into()
        }
        Notice::DiskLost => {
            "a disk of this node is offline or failing; its blocks are re-replicated by the other members, see 'fsdfs status'"
                .into()
        }
        Notice::DamagedCopy { id } => {
            format!("this node's copy of block {id} is damaged; it is fetched from another member")
        }
        Notice::AuditFailed { name, id } => {
            format!("{name} does not have block {id}, which it said that it keeps; it is audited further")
        }
        Notice::WrongBlock { name, id } => {
            // Nobody else escapes what goes to the log.
            format!("{} sent bytes that are not block {id}; another holder is asked", legible(name.as_bytes()))
        }
    }
}
