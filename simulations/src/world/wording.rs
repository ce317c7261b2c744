//! Events in a few words, for the log that people read.

use fsdfs_core::seam::{BlockPayload, DiskDone, DiskRequest, Effect, Input, PeerEvent, ReadDone};
use fsdfs_core::tree::{JobDone, TreeJob};
use fsdfs_proto::identity::{Fact, Head};
use fsdfs_proto::message::Message;

use crate::world::heads::commit_of;
use crate::world::size::kind;

/// Lines of the log stay readable.
const CHARS: usize = 20_000;

/// What an engine is told.
pub fn input(input: &Input) -> String {
    shorten(match input {
        Input::Command { op, command } => format!("command {op} {command:?}"),
        Input::Message { from, message: said, payload } => {
            let wrong = if *payload == BlockPayload::Wrong { " with wrong bytes" } else { "" };
            format!("{} says {}{wrong}", from.short(), message(said))
        }
        Input::Peer { node, event: PeerEvent::Up { facts } } => {
            format!("peer {} up, {} facts", node.short(), facts.len())
        }
        Input::Peer { node, event } => format!("peer {} {event:?}", node.short()),
        Input::Disk { token, done } => format!("disk {} for {token:?}", disk_done(done)),
        Input::Work { token, done, .. } => format!("work {} for {token:?}", job_done(done)),
        Input::Addresses(addrs) => format!("addresses {addrs:?}"),
        Input::RepairBudget(bytes_per_s) => format!("repair may send {bytes_per_s} bytes a second"),
        Input::Moved => "moved".into(),
        Input::Relays(relays) => format!("relays for others: {relays}"),
        Input::Timeout => "timeout".into(),
    })
}

/// What an engine wants done.
pub fn effect(effect: &Effect) -> String {
    shorten(match effect {
        Effect::Send { to, message: said, .. } => format!("to {}: {}", to.short(), message(said)),
        Effect::Disk { request, token } => format!("disk {} for {token:?}", disk(request)),
        Effect::Work { job: work, token } => format!("work {} for {token:?}", job(work)),
        Effect::Reply { op, reply } => format!("answer {op} {reply:?}"),
        Effect::Connect { node, .. } => format!("find {}", node.short()),
        Effect::Disconnect { node, reason, .. } => format!("drop {}: {reason}", node.short()),
        Effect::Notice(notice) => format!("notice: {notice:?}"),
    })
}

/// Cuts a long text.
pub fn shorten(mut text: String) -> String {
    if let Some((cut, _)) = text.char_indices().nth(CHARS) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// What somebody states.
pub fn fact(fact: &Fact) -> String {
    let kind = format!("{:?}", fact.kind()).to_lowercase();
    let id = fact.id().short();
    match fact {
        Fact::Head(head) => {
            let (Head { epoch, author, .. }, commit) = (head.value(), commit_of(head));
            format!("head {} of epoch {epoch}, commit {}, by {}", id, commit.short(), author.short())
        }
        other => format!("{kind} {id} by {:?}", other.signer()),
    }
}

fn message(message: &Message) -> String {
    let name = kind(message).0;
    match message {
        Message::Facts(facts) => format!("{name} {} ({} facts)", facts.request, facts.facts.len()),
        Message::HeadsReply(reply) => {
            format!("{name} {} ({} heads, finished {})", reply.request, reply.facts.len(), reply.finished)
        }
        Message::Summary(summary) => format!("{name} ({} ids)", summary.ids.len()),
        Message::Want(want) => format!("{name} ({} ids)", want.ids.len()),
        Message::Store(store) => format!("{name} {} {:?}", store.request, store.block.id),
        Message::RelayedStore(store) => {
            let next: Vec<String> = store.holders.iter().map(|next| next.node.short()).collect();
            format!("{name} {} {:?} of {} to {next:?}", store.request, store.block.id, store.origin.short())
        }
        Message::Have(have) => format!("{name} {} (renew {}) {:?}", have.request, have.renew, have.ids),
        Message::ListBlocksReply(reply) => format!("{name} {} ({} records)", reply.request, reply.records.len()),
        Message::CapabilityReply(reply) => format!("{name} {} ({})", reply.request, reply.capability.is_some()),
        other => format!("{other:?}"),
    }
}

fn disk(request: &DiskRequest) -> String {
    match request {
        DiskRequest::Write { block, redundancy, .. } => format!("write {:?} {redundancy:?}", block.id()),
        DiskRequest::Mend { block } => format!("mend {:?}", block.id()),
        DiskRequest::Log { entries } => format!("log {} entries", entries.len()),
        other => format!("{other:?}"),
    }
}

fn disk_done(done: &DiskDone) -> String {
    match done {
        DiskDone::Read(ReadDone::Found(block)) => format!("found {:?}", block.id()),
        DiskDone::Changed(changes) => format!("{} changes", changes.len()),
        DiskDone::List(infos) => format!("list of {}", infos.len()),
        other => format!("{other:?}"),
    }
}

fn job(job: &TreeJob) -> String {
    match job {
        TreeJob::Edit(job) => {
            format!("edit {} heads by {:?} {}: {:?}", job.heads.len(), job.dot.0, job.dot.1, job.edits)
        }
        TreeJob::Merge(job) => format!("merge {} heads", job.heads.len()),
        TreeJob::Query(job) => format!("look at {} heads: {:?}", job.heads.len(), job.query),
        TreeJob::Walk(job) => format!("walk {} heads", job.heads.len()),
    }
}

fn job_done(done: &JobDone) -> String {
    match done {
        JobDone::Edited { blocks, head, outcomes } => {
            let commit = head.as_ref().map(commit_of);
            format!("edited: {} blocks, {commit:?}, {outcomes:?}", blocks.len())
        }
        JobDone::Merged { blocks, head } => format!("merged: {} blocks, {:?}", blocks.len(), commit_of(head)),
        other => format!("{other:?}"),
    }
}
