//! What the engine reports as values, in sentences.

use fsdfs_core::report::{Attention, Notice};

/// What the owner of a node should do something about.
pub(crate) fn attention(said: &Attention) -> String {
    match said {
        Attention::DuplicateIdentity => {
            "another running node has this node's identity: stop one of them and restart this one".into()
        }
        Attention::Revoked => "this node was revoked; the others no longer talk to it".into(),
        Attention::Removed => "this node has left the pool: it only hands over what it holds".into(),
        Attention::Guest => {
            "others used this node's ticket before it: it is a guest and gets no key; ask for a new ticket".into()
        }
        Attention::ClockOff { minutes } => {
            format!("this machine's clock is {minutes} minutes off the other members'; set it right")
        }
        Attention::Unpublished => {
            "changes that only this node has: the others see them as soon as a second server has their folders".into()
        }
        Attention::DiskReadOnly => "a disk of this node takes no new blocks: it is full or failing".into(),
        Attention::Away { names } => format!("away: {}", names.join(", ")),
        Attention::TooFewServers { possible, copies } => format!(
            "{possible} of {copies} copies are possible with the servers there are: invite {} more",
            copies - possible
        ),
        Attention::WrongBlocks { name, blocks } => format!("{name} sent {blocks} damaged blocks"),
    }
}

/// A line for the log.
pub(crate) fn notice(notice: &Notice) -> String {
    match notice {
        Notice::LogFailed => {
            "the log in the home folder cannot be written (disk full?); this node confirms nothing until it can".into()
        }
        Notice::BadTree { volume, error } => format!("the tree of volume {volume} cannot be changed: {error}"),
        Notice::DuplicateIdentity => {
            "another running node has this node's identity (a copied home folder?); nothing is acknowledged until one \
             of them is stopped and this one restarted"
                .into()
        }
        Notice::DiskLost => {
            "a disk of this node is gone or failing; the others hold its blocks, see 'fsdfs status'".into()
        }
        Notice::DamagedCopy { id } => {
            format!("this node's copy of block {id} is damaged; it is fetched from another member")
        }
        Notice::WrongBlock { name, id } => {
            format!("{name} sent bytes that are not block {id}; another holder is asked")
        }
    }
}
