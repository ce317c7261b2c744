//! What needs the owner's attention.

use std::path::Path;

use fsdfs_core::report::Attention;
use fsdfs_proto::control::{AttentionItem, AttentionReason, DiskCondition};
use fsdfs_proto::ids::DiskId;

/// What helps where space is short. Removing files does not, as long as nothing is collected.
const MORE_SPACE: &str =
    "give it a larger size in config.toml and restart the node, add a storage folder, or invite a member with storage";

/// What the engine reports, with its sentence. `path_of` names the folder of a disk.
pub(crate) fn of_engine(attention: &Attention, path_of: impl Fn(DiskId) -> String) -> AttentionItem {
    item(match attention {
        Attention::DuplicateIdentity => AttentionReason::DuplicateIdentity,
        Attention::Revoked => AttentionReason::NodeRevoked,
        Attention::Removed => AttentionReason::NodeRemoved,
        Attention::Draining => AttentionReason::NodeDraining,
        Attention::Guest => AttentionReason::GuestOnly,
        Attention::AwaitsKey { seconds, away } => AttentionReason::AwaitsKey { seconds: *seconds, away: away.clone() },
        Attention::RootKeyCopied { number } => AttentionReason::RootKeyCopied { number: *number },
        Attention::ClockOff { minutes } => AttentionReason::ClockOff { minutes: *minutes },
        Attention::HomeFailed => AttentionReason::HomeNotWritable,
        Attention::Unpublished => AttentionReason::UnpublishedChanges,
        Attention::DiskTakesNothing { disk, condition } => {
            AttentionReason::DiskReadOnly { path: path_of(*disk), condition: *condition }
        }
        Attention::DiskNearlyFull { disk, percent } => {
            AttentionReason::DiskNearlyFull { path: path_of(*disk), percent: *percent }
        }
        Attention::PoolFull { with_room, copies } => {
            AttentionReason::PoolFull { members_with_room: *with_room, copies: *copies }
        }
        Attention::PoolNearlyFull { percent } => AttentionReason::PoolNearlyFull { percent: *percent },
        Attention::Outage { names } => AttentionReason::Outage { names: names.clone() },
        Attention::Away { names } => AttentionReason::MembersAway { names: names.clone() },
        Attention::TooFewServers { possible, copies } => {
            AttentionReason::TooFewServers { possible_copies: *possible, copies: *copies }
        }
        Attention::FailsAudits { name } => AttentionReason::FailsAudits { name: name.clone() },
        Attention::QuarantinedHead { author, commit, fault } => AttentionReason::QuarantinedChange {
            name: author.clone(),
            commit: commit.to_string(),
            why: super::refusal::head_fault(fault),
            may_pass: !fault.is_final(),
        },
        Attention::OfferCapped { names } => AttentionReason::OfferCapped { names: names.clone() },
        Attention::BranchBound { names, percent } => {
            AttentionReason::BranchBound { names: names.clone(), percent: *percent }
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
        AttentionReason::NodeRevoked => {
            "this node was revoked: the other members refuse it, and give it nothing that was written since. If that was a mistake, \
             ask one of them for a new ticket, then: 'fsdfs join -'; else end it and remove its home and storage folders"
                .into()
        }
        AttentionReason::NodeRemoved => {
            "this node was removed from the pool: it only hands over its blocks; 'fsdfs drain' says when all have them".into()
        }
        AttentionReason::NodeDraining => {
            "this node is drained: it hands over its blocks and gets none: see 'fsdfs drain'; to be a holder again: \
             'fsdfs drain --undo'"
                .into()
        }
        AttentionReason::NodeRefused { why } => {
            format!("the members do not let this node in: {why}; ask one for a new ticket, then: 'fsdfs join -'")
        }
        AttentionReason::GuestOnly => {
            "this node's ticket had been used up when it joined: it gets no key; ask for a new ticket".into()
        }
        AttentionReason::AwaitsKey { seconds, away } if away.is_empty() => format!(
            "this node waits for the key of pool, for {seconds} s now: a member that has it gives it as soon as enough others know \
             this node; that takes a minute at most"
        ),
        AttentionReason::AwaitsKey { seconds, away } => format!(
            "this node waits for the key of pool, for {seconds} s now, since too few of those that have to know it first can be \
             reached: start {}, or have an admin say on its node that it knows this one: 'fsdfs members vouch NAME'; the node \
             of an admin that let this one in gives the key after a minute; without any of that it takes an hour",
            away.join(" or ")
        ),
        AttentionReason::RootKeyCopied { number } => format!(
            "root key {number} of the pool signed two statements that contradict each other: somebody else has it, too; its owner \
             puts the next one in its place: 'fsdfs root-key replace --spare-key FILE --new-root-key FILE'"
        ),
        AttentionReason::ClockOff { minutes } => {
            format!("this machine's clock is {minutes} minutes off the other members'; correct it")
        }
        AttentionReason::HomeNotWritable => {
            "this node cannot write to its home folder and acknowledges nothing: free space on that file system, or make it \
             writable; that is noticed within a minute"
                .into()
        }
        AttentionReason::UnpublishedChanges => {
            "some changes are on this node only: they are published when a second server stores their folders".into()
        }
        AttentionReason::QuarantinedChange { name, commit, why, may_pass } => {
            let next = match may_pass {
                true => "it is tried again when more members are up",
                false => "the next change makes an end of it",
            };
            let commit = commit.get(..8).unwrap_or(commit);
            format!("a change that {name} published is quarantined ({commit}): {why}; all other files are as they were, {next}")
        }
        AttentionReason::DiskReadOnly { path, condition } => disk(path, *condition),
        AttentionReason::DiskNearlyFull { path, percent } => format!("{path} is {percent} % full: {MORE_SPACE}"),
        AttentionReason::PoolFull { members_with_room: 0, .. } => {
            format!("the pool is full, new files are refused: {MORE_SPACE}; names can still be removed, which frees no space yet")
        }
        AttentionReason::PoolFull { members_with_room, copies } => format!(
            "new files get {members_with_room} of {copies} copies, since the disks of the other members are full or take no \
             blocks now: {MORE_SPACE}"
        ),
        AttentionReason::PoolNearlyFull { percent } => format!("the pool is {percent} % full: {MORE_SPACE}"),
        AttentionReason::Outage { names } => format!(
            "{} fell silent together: a power cut, or a line; nothing is copied for their sake for a day, unless one site is left",
            names.join(", ")
        ),
        AttentionReason::MembersAway { names } => format!("away: {}", names.join(", ")),
        AttentionReason::NoMemberHeard { members: 1, seconds } => format!(
            "nothing has come from the other member for {seconds} s: its node is off, or UDP is blocked in this network or in its own"
        ),
        AttentionReason::NoMemberHeard { members, seconds } => format!(
            "UDP seems to be blocked here: nothing has come from any of the {members} other members for {seconds} s, although this \
             machine has a way out; if one of them is up, let UDP through in the router or firewall of this network, or use \
             another network"
        ),
        AttentionReason::TooFewServers { possible_copies, copies } => format!(
            "only {possible_copies} of {copies} copies {} possible, for lack of servers: invite {} more",
            if *possible_copies == 1 { "is" } else { "are" },
            copies.saturating_sub(*possible_copies)
        ),
        AttentionReason::FailsAudits { name } => format!(
            "{name} says that it keeps blocks and cannot prove it: none of its copies counts, and repair makes them on other \
             members; its disk may be failing, or its program lies"
        ),
        AttentionReason::OfferCapped { names } => format!(
            "{}: of the space offered only a part is used, for the invitation allows no more ('fsdfs members' shows how much); \
             an admin can believe more: 'fsdfs members vouch NAME --up-to SIZE'",
            names.join(", ")
        ),
        AttentionReason::BranchBound { names, percent } => format!(
            "{}: invited by a member that is no admin, so they never hold all copies of anything with it, which costs {percent} % \
             of the pool's capacity; an admin who knows them can vouch for them: 'fsdfs members vouch NAME'",
            names.join(", ")
        ),
        AttentionReason::DamagedBlocks { name, blocks } => {
            format!("{name} sent {}: its disk or memory may be failing", super::count(*blocks, "damaged block"))
        }
        AttentionReason::DiskMissing { why, counted_on_s, last, .. } => {
            let alone = if *last { "this node stores nothing now: no disk of it is left. " } else { "" };
            let others = match counted_on_s {
                None => String::new(),
                Some(0) => ". Others take its place".to_owned(),
                Some(seconds) => format!(". Others take its place in {} min, unless it is back by then", seconds.div_ceil(60)),
            };
            format!("{alone}{why}{others}")
        }
        AttentionReason::NoAddress { .. }
        | AttentionReason::LoopbackAddressOnly { .. }
        | AttentionReason::PrivateAddressOnly { .. }
        | AttentionReason::MembersUnreachable { .. }
        | AttentionReason::NoOneReachable
        | AttentionReason::NoAddressInTicket => reachability(reason),
        AttentionReason::Other => String::new(),
    }
}

/// A storage folder without a disk. `counted_on_s`: how long others go on counting on it.
pub(crate) fn disk_missing(
    (path, empty, why): (&Path, bool, &str),
    counted_on_s: Option<u64>,
    last: bool,
) -> AttentionItem {
    // The system's own words do not say of what they speak.
    let path = path.display().to_string();
    let why = if why.contains(&path) { why.to_owned() } else { format!("{path} cannot be used: {why}") };
    item(AttentionReason::DiskMissing { path, empty, why, counted_on_s, last })
}

/// Why a disk takes nothing, and what helps.
fn disk(path: &str, condition: DiskCondition) -> String {
    match condition {
        DiskCondition::QuotaFull => format!("{path} is full, its size is used up: {MORE_SPACE}"),
        DiskCondition::DiskFull => format!(
            "the file system of {path} is full, although the size given to it is not used up: free space there, or {MORE_SPACE}"
        ),
        DiskCondition::ReadOnly => format!(
            "nothing can be written to {path}, it is only read: make its file system writable again; that is noticed within a \
             minute"
        ),
        DiskCondition::Failing => format!(
            "the disk of {path} reports errors and takes no new blocks: see the log; what it holds is on other members, too, \
             unless 'fsdfs plan' says otherwise"
        ),
        DiskCondition::Offline => {
            format!(
                "the disk of {path} does not answer: see the log; it is used again when it does; if it is lost, begin a new one \
                 there: 'fsdfs disk new {path}'"
            )
        }
        DiskCondition::Draining => {
            format!("{path} is emptied, as its owner wants: how far that is says 'fsdfs drain --disk {path}'")
        }
        DiskCondition::Good | DiskCondition::Missing | DiskCondition::Other => format!("{path} takes no new blocks"),
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
                "{name} has only private addresses ({address}): other sites can connect to it once its router has UPnP, NAT-PMP \
                 or PCP switched on, or forwards UDP port {port} and its config.toml says addresses = [\"NAME-OR-PUBLIC-IP:{port}\"]"
            )
        }
        AttentionReason::MembersUnreachable { names } => format!(
            "{} cannot connect to each other unless they share a local network; they see the same files through members \
             that each can reach",
            names.join(", ")
        ),
        AttentionReason::NoOneReachable => {
            "no one in this ticket can be reached from outside, as far as this node knows: the newcomer finds the pool from the \
             same local network only; 'fsdfs status' says what kind of line this is and what would help"
                .into()
        }
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
