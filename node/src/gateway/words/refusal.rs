//! Why something was not done: a code for programs, what is wrong, and what to do next.

use fsdfs_core::seam::Refusal;
use fsdfs_core::tree::{BlockAbsence, EditError, HeadFault, TreeError};
use fsdfs_proto::control::{ApiError, ErrorCode};
use fsdfs_proto::identity::GateRefusal;
use fsdfs_proto::volume::STATES_MAX;

use crate::client::HandshakeRejected;

/// What to do about a certificate that does not suffice.
const MORE_RIGHTS: &str = "ask a full member for a new invitation";

fn error(code: ErrorCode, error: impl Into<String>, hint: impl Into<String>) -> ApiError {
    ApiError { error: error.into(), hint: hint.into(), code }
}

/// The engine refused. Nothing durable was acknowledged.
pub(crate) fn refused(refusal: &Refusal) -> ApiError {
    match refusal {
        Refusal::NoSpace => error(
            ErrorCode::NoSpace,
            "no reachable server has free space",
            "see 'fsdfs df'; offer more space in config.toml, or invite a member with storage",
        ),
        Refusal::OverBudget(bytes) => error(
            ErrorCode::NoSpace,
            format!(
                "this node's member has used up its budget: by a rule of the pool's admins a member may use {} of all disks \
                 together, copies counted",
                bytesize::ByteSize(*bytes).display().iec()
            ),
            "ask an admin for more: 'fsdfs rules set --member-budget SIZE' on an admin's node",
        ),
        Refusal::NoQuorum { got, needed } => error(
            ErrorCode::Unavailable,
            format!("only {got} of {needed} required servers acknowledged in time"),
            "try again when more members are up ('fsdfs members'); trying again is safe",
        ),
        Refusal::NoKey => error(
            ErrorCode::NotYet,
            "this node has no key for that volume yet",
            "it gets the key as soon as enough members know that it is one; see 'fsdfs members' for who is up",
        ),
        Refusal::ReadsOnly => {
            error(ErrorCode::Forbidden, "this node is a reader: it reads and stores, and changes nothing", MORE_RIGHTS)
        }
        Refusal::StoresOnly => error(
            ErrorCode::Forbidden,
            "this node stores only: it has no key, so it reads and writes no files",
            MORE_RIGHTS,
        ),
        Refusal::NoWriterPlace => error(
            ErrorCode::Forbidden,
            "as many of the members that one member let in write already as there are places for",
            "an admin can give this node a place of its own: 'fsdfs members vouch NAME' there",
        ),
        Refusal::HomeFailed => error(
            ErrorCode::Disk,
            "this node cannot write to its home folder",
            "free space on that file system, or make it writable ('fsdfs status' names it), then try again",
        ),
        Refusal::ClockOff(minutes) => error(
            ErrorCode::Clock,
            format!("this machine's clock is {minutes} minutes off the other members'"),
            "correct it ('timedatectl set-ntp true'), then try again",
        ),
        Refusal::NotAllowed => error(ErrorCode::Forbidden, "this node's certificate does not allow that", MORE_RIGHTS),
        Refusal::Revoked => error(
            ErrorCode::Forbidden,
            "this node was revoked: no other member takes anything from it, or gives it anything",
            "if that was a mistake, ask a member for a new ticket, then: 'fsdfs join -'; else end it and remove its home and \
             storage folders",
        ),
        Refusal::Removed => error(
            ErrorCode::Forbidden,
            "this node was removed from the pool: it gives what it holds to the others, and reads and writes nothing new",
            "if that was a mistake, ask a member for a new ticket, then: 'fsdfs join -'; else leave it on until \
             'fsdfs drain' says that it may be unplugged",
        ),
        Refusal::Guest => error(
            ErrorCode::Forbidden,
            "this node is a guest: the ticket by which it came was used up, so it gets no key and cannot invite",
            MORE_RIGHTS,
        ),
        Refusal::NotKept(why) => error(
            ErrorCode::Forbidden,
            format!("nothing was changed: the other members would not keep the statement that this takes: {why}"),
            "do it on the node of an admin, or with the pool's root key (--root-key FILE)",
        ),
        Refusal::WrongRootKey => error(
            ErrorCode::Forbidden,
            "this is not the root key of this pool",
            "'fsdfs init' said where it is; 'fsdfs root-key' shows which one counts",
        ),
        Refusal::ReplacedRootKey => error(
            ErrorCode::Forbidden,
            "this root key counts no more: a later one took its place",
            "see 'fsdfs root-key' for the number of the one that counts",
        ),
        Refusal::NotAdmin => error(
            ErrorCode::Forbidden,
            "this is not the node of an admin",
            "do it on the node of an admin ('fsdfs admins'), or with the pool's root key (--root-key FILE)",
        ),
        Refusal::NoSuchMember => error(
            ErrorCode::NotFound,
            "no such member or ticket",
            "see 'fsdfs members' and 'fsdfs invite --list' for names and ids",
        ),
        Refusal::DuplicateIdentity => error(
            ErrorCode::DuplicateIdentity,
            "another running node has this node's identity",
            "two machines run from copies of one home folder: stop one of them, let it join with a new ticket and home \
             folder, and restart this one",
        ),
        Refusal::NotYet => error(
            ErrorCode::NotYet,
            "this node has not reached another member since it started",
            "try again in a moment; see 'fsdfs status'",
        ),
        Refusal::Unreachable { .. } => error(
            ErrorCode::Unavailable,
            "part of the folder tree is on members that cannot be reached now",
            "try again when more members are up; see 'fsdfs members' for who is away",
        ),
        Refusal::BadTree(tree) => {
            let ApiError { error: text, hint, code } = tree_error(tree);
            error(code, format!("the folder tree cannot be read: {text}"), hint)
        }
        Refusal::Busy => error(ErrorCode::Busy, "too many requests in flight", "send fewer requests at once"),
    }
}

/// An edit that does not fit the tree. It changed nothing.
pub(crate) fn edit_error(edit: &EditError) -> ApiError {
    match edit {
        EditError::NotFound => error(ErrorCode::NotFound, "no such file or folder", "see 'fsdfs ls' for what there is"),
        EditError::NotAFolder => error(
            ErrorCode::NotAFolder,
            "part of the path is a file, not a folder",
            "choose another path, or remove the file first",
        ),
        EditError::IsAFolder => {
            error(ErrorCode::IsAFolder, "a folder has that name", "choose another name, or remove the folder first")
        }
        EditError::Exists => error(ErrorCode::Exists, "it exists already", "choose another name, or remove it first"),
        EditError::NotEmpty => {
            error(ErrorCode::NotEmpty, "the folder is not empty", "remove its content too: 'fsdfs rm -r PATH'")
        }
        EditError::IntoItself => error(
            ErrorCode::BadRequest,
            "a folder cannot be moved into itself, and the root cannot be moved or removed",
            "choose another path",
        ),
        EditError::BadFile => error(
            ErrorCode::BadRequest,
            "mode, size or link target of the file are out of bounds",
            "a mode is at most 7777 (octal), a link's target 1 to 4,095 bytes",
        ),
        EditError::BadName => error(
            ErrorCode::BadName,
            "a name is 1 to 255 bytes without '/' and NUL and not '.' or '..', and a path has at most 256 names",
            "rename it first",
        ),
        EditError::ReservedName => error(
            ErrorCode::BadName,
            "the name .fsdfs in the root of a volume is reserved for fsdfs itself",
            "choose another name",
        ),
        EditError::NoSuchState => error(
            ErrorCode::NotFound,
            "there is no such earlier state, or it is not listed any more",
            "see 'fsdfs snapshots' for those that there are",
        ),
        EditError::NotInState => error(
            ErrorCode::NotFound,
            "that state has no such file or folder",
            "'fsdfs log PATH' shows in which states it is there",
        ),
        EditError::StateUnreadable => error(
            ErrorCode::Unavailable,
            "part of that state is on members that cannot be reached now, or cannot be read",
            "try again when more members are up ('fsdfs members'), or take another state ('fsdfs log PATH')",
        ),
        EditError::TooManyStates => error(
            ErrorCode::BadRequest,
            format!("a volume keeps at most {STATES_MAX} earlier states"),
            "the numbers of hourly, six-hourly, daily and monthly ones together are at most that",
        ),
        EditError::Unreadable => error(
            ErrorCode::Damaged,
            "a folder on the way cannot be read: its writer stored it wrongly, or made it too costly to read",
            "remove that folder as a whole, 'fsdfs rm -r PATH', and put it again from another copy",
        ),
    }
}

/// A tree that cannot be read.
pub(crate) fn tree_error(tree: &TreeError) -> ApiError {
    let (code, hint) = match tree {
        TreeError::NotFound => (ErrorCode::NotFound, "see 'fsdfs ls' for what there is"),
        TreeError::NotAFolder => (ErrorCode::NotAFolder, "ask for the file itself"),
        TreeError::Damaged(_) => (
            ErrorCode::Damaged,
            "find where the damage begins with 'fsdfs ls', folder by folder from / on; remove the first that cannot be listed \
             ('fsdfs rm -r PATH' if it is this one) and put it again from another copy; if it is / itself, see 'fsdfs status'",
        ),
        TreeError::ReadOnly => (ErrorCode::Forbidden, MORE_RIGHTS),
        TreeError::Absent(..) => {
            (ErrorCode::Unavailable, "try again when more members are up; see 'fsdfs members' for who is away")
        }
        TreeError::TooCostly => (ErrorCode::Damaged, "its writer made it so; remove it as a whole: 'fsdfs rm -r PATH'"),
        TreeError::Cancelled => (ErrorCode::Busy, "try again"),
        TreeError::TooNew => (ErrorCode::TooNew, "update fsdfs on this machine"),
    };
    error(code, tree_text(tree), hint)
}

/// What is wrong with a tree.
pub(crate) fn tree_text(tree: &TreeError) -> String {
    match tree {
        TreeError::NotFound => "no such file or folder".into(),
        TreeError::NotAFolder => "not a folder".into(),
        TreeError::Damaged(damage) => format!("a block of the volume's tree is not valid: {damage}"),
        TreeError::TooNew => "the volume was written by a later version of fsdfs".into(),
        TreeError::ReadOnly => "this node's key for the volume allows reading only".into(),
        TreeError::Absent(..) => "part of the folder tree is on members that cannot be reached now".into(),
        TreeError::TooCostly => "to read this folder takes more time or memory than a command may".into(),
        TreeError::Cancelled => "the request was cancelled".into(),
    }
}

/// Why a head is quarantined.
pub(crate) fn head_fault(fault: &HeadFault) -> String {
    match fault {
        HeadFault::Damaged(error) => format!("it is not valid: {error}"),
        HeadFault::TooNew => "it was made by a later version of fsdfs".into(),
        HeadFault::NoKey => "this node has not got the key that opens it".into(),
        HeadFault::Absent(_, BlockAbsence::Away) => "part of it is on members that cannot be reached".into(),
        HeadFault::Absent(_, BlockAbsence::Nowhere) => "no member has the blocks of its folders".into(),
        HeadFault::TooCostly => "to read it takes more time or memory than a change may".into(),
        HeadFault::TooManyWriters => {
            "it names writers that have no place in the volume, or more than there can be".into()
        }
    }
}

/// Why another member does not let this node in.
pub(crate) fn rejected_text(why: HandshakeRejected) -> String {
    match why {
        HandshakeRejected::Refused(refusal) => gate_text(refusal).to_owned(),
        HandshakeRejected::Mismatch(mismatch) => mismatch.to_string(),
    }
}

/// Why a node is not admitted.
pub(crate) fn gate_text(refusal: GateRefusal) -> &'static str {
    match refusal {
        GateRefusal::ChainLength => {
            "the certificate chain is empty or longer than 16; ask a member nearer to the pool's creator"
        }
        GateRefusal::OtherPool => "the certificate chain is of another pool",
        GateRefusal::Broken => "a certificate is not signed by the one before it",
        GateRefusal::BadSubject => "a key appears twice in the certificate chain, or is not a safe key",
        GateRefusal::BadSignature => "a signature in the certificate chain is not valid",
        GateRefusal::MayNotInvite => "an issuer in the certificate chain was not allowed to invite",
        GateRefusal::TooDeep => {
            "the chain of invitations is longer than allowed; ask a member nearer to the pool's creator"
        }
        GateRefusal::Wider => "a certificate gives more rights than its issuer has",
        GateRefusal::NotAdmitted => "the member that issued the ticket has not been admitted itself yet",
        GateRefusal::TicketExpired => "the ticket has expired",
        GateRefusal::TicketUsedUp => "the ticket is used up: as many machines as it admits have joined with it",
        GateRefusal::GrantEnded => "the membership has expired",
        GateRefusal::Revoked => "this node, or the member that invited it, was revoked",
        GateRefusal::WrongPeer => "the certificate chain belongs to another node",
        GateRefusal::PoolFull => "the pool has as many members as it can; no ticket helps until a member is revoked",
    }
}
