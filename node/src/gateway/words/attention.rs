//! What needs the owner's attention.

use fsdfs_core::report::Attention;
use fsdfs_proto::control::{AttentionItem, AttentionReason};

/// What the engine reports, with its sentence.
pub(crate) fn of_engine(attention: &Attention) -> AttentionItem {
    item(match attention {
        Attention::DuplicateIdentity => AttentionReason::DuplicateIdentity,
        Attention::Revoked => AttentionReason::NodeRevoked,
        Attention::Removed => AttentionReason::NodeRemoved,
        Attention::Guest => AttentionReason::GuestOnly,
        Attention::ClockOff { minutes } => AttentionReason::ClockOff { minutes: *minutes },
        Attention::Unpublished => AttentionReason::UnpublishedChanges,
        Attention::DiskReadOnly => AttentionReason::DiskReadOnly,
        Attention::Away { names } => AttentionReason::MembersAway { names: names.clone() },
        Attention::TooFewServers { possible, copies } => {
            AttentionReason::TooFewServers { possible_copies: *possible, copies: *copies }
        }
        Attention::WrongBlocks { name, blocks } => {
            AttentionReason::DamagedBlocks { name: name.clone(), blocks: *blocks }
        }
    })
}

/// A reason with its sentence.
pub(crate) fn item(reason: AttentionReason) -> AttentionItem {
    AttentionItem { text: text(&reason), reason }
}

fn text(reason: &AttentionReason) -> String {
    match reason {
        AttentionReason::DuplicateIdentity => {
            "another running node has this node's identity: stop one of them and restart this one".into()
        }
        AttentionReason::NodeRevoked => "this node was revoked: the other members refuse it".into(),
        AttentionReason::NodeRemoved => "this node was removed from the pool: it only hands over its blocks".into(),
        AttentionReason::NodeRefused { why } => {
            format!("the members do not let this node in: {why}; ask one for a new ticket, then: 'fsdfs join TICKET'")
        }
        AttentionReason::GuestOnly => {
            "this node's ticket had been used up when it joined: it gets no key; ask for a new ticket".into()
        }
        AttentionReason::ClockOff { minutes } => {
            format!("this machine's clock is {minutes} minutes off the other members'; correct it")
        }
        AttentionReason::UnpublishedChanges => {
            "some changes are on this node only: they are published when a second server stores their folders".into()
        }
        AttentionReason::DiskReadOnly => "a disk of this node is read-only: it is full or failing".into(),
        AttentionReason::MembersAway { names } => format!("away: {}", names.join(", ")),
        AttentionReason::TooFewServers { possible_copies, copies } => format!(
            "only {possible_copies} of {copies} copies {} possible, for lack of servers: invite {} more",
            if *possible_copies == 1 { "is" } else { "are" },
            copies.saturating_sub(*possible_copies)
        ),
        AttentionReason::DamagedBlocks { name, blocks } => {
            format!("{name} sent {}: its disk or memory may be failing", super::count(*blocks, "damaged block"))
        }
        AttentionReason::StorageUnusable { path } => format!("the storage folder {path} is not in use; see the log"),
        AttentionReason::NoAddress { .. }
        | AttentionReason::LoopbackAddressOnly { .. }
        | AttentionReason::PrivateAddressOnly { .. }
        | AttentionReason::MembersUnreachable { .. }
        | AttentionReason::NoAddressInTicket => reachability(reason),
        AttentionReason::Other => String::new(),
    }
}

fn reachability(reason: &AttentionReason) -> String {
    match reason {
        AttentionReason::NoAddress { name } => {
            format!("{name} publishes no address: other members cannot connect to it, only it can connect to them")
        }
        AttentionReason::LoopbackAddressOnly { name, address } => format!(
            "{name} listens on its own machine only ({address}): other machines cannot connect to it; see listen in its \
             config.toml"
        ),
        AttentionReason::PrivateAddressOnly { name, address } => {
            let port = address.rsplit_once(':').map_or("", |(_, port)| port);
            format!(
                "{name} has only private addresses ({address}): other sites can connect to it once its router forwards UDP \
                 port {port} and its config.toml says addresses = [\"NAME-OR-PUBLIC-IP:{port}\"]"
            )
        }
        AttentionReason::MembersUnreachable { names } => format!(
            "{} cannot connect to each other unless they share a local network; they see the same files through members \
             that each can reach",
            names.join(", ")
        ),
        _ => "no member's address is known: the newcomer cannot find the pool; set addresses in config.toml".into(),
    }
}

#[test]
fn one_copy_is_possible_and_two_are() {
    let text = |possible_copies| text(&AttentionReason::TooFewServers { possible_copies, copies: 3 });
    assert!(
        text(1).starts_with("only 1 of 3 copies is possible, ")
            && text(2).starts_with("only 2 of 3 copies are possible, ")
    );
}
