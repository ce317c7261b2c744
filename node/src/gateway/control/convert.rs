//! What the engine reports, in the API's types.

use fsdfs_core::report;
use fsdfs_core::seam::{Copies, PutOutcome};
use fsdfs_core::tree::{FileContent, TreeItem, TreeItemKind};
use fsdfs_proto::control::{
    self, DiskCondition, DiskStatus, EntryKind, ListingEntry, WriteOutcome, WriteReply, text_and_bytes,
};
use fsdfs_proto::identity;
use fsdfs_proto::ids::{DiskId, NodeId, PublicKey};

use super::{Context, xattrs};
use crate::metrics::{DiskUsage, MissingDisk};

pub(super) fn entry(shown: &TreeItem) -> ListingEntry {
    let (name, name_bytes) = text_and_bytes(&shown.name);
    let (kind, size, target) = match &shown.kind {
        TreeItemKind::Dir { .. } => (EntryKind::Folder, 0, None),
        TreeItemKind::File { size, content: FileContent::Symlink(target) } => {
            (EntryKind::Link, *size, Some(text_and_bytes(target)))
        }
        TreeItemKind::File { size, .. } => (EntryKind::File, *size, None),
    };
    let (target, target_bytes) = target.map_or((None, None), |(text, bytes)| (Some(text), bytes));
    let hard_link = match &shown.kind {
        TreeItemKind::File { content, .. } => xattrs::hard_link(&shown.xattrs, content, shown.attrs),
        TreeItemKind::Dir { .. } => None,
    };
    ListingEntry {
        name,
        name_bytes,
        kind,
        size,
        mode: shown.attrs.mode,
        mtime_ns: shown.attrs.mtime_ns,
        target,
        target_bytes,
        xattrs: xattrs::shown(&shown.xattrs),
        hard_link,
        conflict_of: shown.conflict_of.as_ref().map(|name| text_and_bytes(name).0),
        written_ms: shown.time.ms,
        content: None,
    }
}

/// What became of a change. A refusal was turned into an error before.
pub(super) fn written(outcome: &PutOutcome, unchanged: bool) -> WriteReply {
    let (outcome, copies) = match outcome {
        PutOutcome::Stored(copies) => (WriteOutcome::Stored, copies.clone()),
        PutOutcome::Degraded(copies) => (WriteOutcome::Degraded, copies.clone()),
        PutOutcome::Refused(_) => (WriteOutcome::Degraded, Copies::default()),
    };
    WriteReply {
        outcome,
        copies: u8::try_from(copies.servers.len()).unwrap_or(u8::MAX),
        target_copies: copies.target,
        sites: copies.sites,
        bytes: 0,
        uploaded_bytes: 0,
        unchanged,
        verified: copies.verified,
    }
}

/// The worse of two: a file is as safe as its least safe part.
pub(super) fn worse(one: &WriteReply, other: &WriteReply) -> WriteReply {
    let is_degraded = one.outcome == WriteOutcome::Degraded || other.outcome == WriteOutcome::Degraded;
    WriteReply {
        outcome: if is_degraded { WriteOutcome::Degraded } else { WriteOutcome::Stored },
        copies: one.copies.min(other.copies),
        target_copies: one.target_copies.max(other.target_copies),
        sites: one.sites.min(other.sites),
        bytes: one.bytes + other.bytes,
        uploaded_bytes: one.uploaded_bytes + other.uploaded_bytes,
        unchanged: one.unchanged && other.unchanged,
        verified: one.verified && other.verified,
    }
}

/// This node's disks, from the store itself: the engine hears of them only when something happens to one.
pub(super) fn disks(context: &Context) -> Vec<DiskStatus> {
    let states = context.store.disks();
    let state = |id: DiskId| states.iter().find(|state| state.id == id);
    let disk = |(path, id, ledger): (std::path::PathBuf, DiskId, DiskUsage)| DiskStatus {
        id: id.to_string(),
        path: Some(path.display().to_string()),
        quota_bytes: ledger.quota,
        used_bytes: ledger.used(),
        live_bytes: ledger.live(),
        index_bytes: ledger.index,
        reserve_bytes: ledger.reserve,
        blocks: ledger.blocks,
        free_bytes: state(id).filter(|state| state.takes_blocks()).map_or(0, |state| state.room_bytes),
        // One that the store no longer lists is out of service.
        read_only: state(id).is_none_or(|state| !state.takes_blocks()),
        condition: state(id).map_or(DiskCondition::Offline, |state| state.condition),
    };
    // What is known of one that is missing is where it should be.
    let missing = |missing: MissingDisk| {
        let quota = context.config.storage.iter().find(|storage| storage.path == missing.path);
        DiskStatus {
            id: missing.disk.map(|id| id.to_string()).unwrap_or_default(),
            path: Some(missing.path.display().to_string()),
            quota_bytes: quota.map_or(0, |storage| storage.quota_bytes),
            read_only: true,
            condition: if missing.is_empty { DiskCondition::Missing } else { DiskCondition::Offline },
            ..DiskStatus::default()
        }
    };
    context.store.usage().into_iter().map(disk).chain(context.store.missing().into_iter().map(missing)).collect()
}

pub(super) fn member(
    context: &Context,
    all: &report::MemberList,
    member: &report::MemberReport,
) -> control::MemberEntry {
    let weight: u64 = member.disks.iter().map(|(_, weight)| u64::from(*weight)).sum();
    control::MemberEntry {
        id: member.node.to_string(),
        name: member.name.clone(),
        site: member.site.clone(),
        me: member.me,
        role: role(member.role),
        presence: presence(member.presence),
        connected: member.connected,
        rtt_ms: member.rtt_ms,
        via: context.paths.via(member.node).map(|relay| name_of(all, relay.into())),
        last_seen_s: member.heard_s,
        since_s: member.seen.since_s,
        away: absence(member),
        facts_known_s: member.seen.facts_known_s,
        invited_by: name_of(all, member.invited_by),
        invited_by_id: NodeId::from(inviter_of(all, member.invited_by)).to_string(),
        offered_bytes: weight.saturating_mul(context.config.unit_bytes),
        counted_bytes: member.believed.saturating_mul(context.config.unit_bytes),
        disks: member.disks.len(),
        passed_on_bytes: member.passed_on_bytes,
        addresses: control::NodeAddress::described(&member.addrs),
    }
}

/// Name of a member, or of the issuer of a ticket; the short id of any other key.
pub(super) fn name_of(all: &report::MemberList, key: PublicKey) -> String {
    let inviter = inviter_of(all, key);
    let member = all.members.iter().find(|member| member.node == NodeId::from(inviter));
    member.map_or_else(|| inviter.short(), |member| member.label.clone())
}

/// Who made a ticket with this key; the key itself if it is no ticket's.
fn inviter_of(all: &report::MemberList, key: PublicKey) -> PublicKey {
    all.tickets.iter().find(|ticket| ticket.subject == key).map_or(key, |ticket| ticket.issuer)
}

pub(super) fn presence(presence: report::Presence) -> control::MemberPresence {
    match presence {
        report::Presence::Up => control::MemberPresence::Up,
        report::Presence::Away => control::MemberPresence::Away,
        report::Presence::Departed => control::MemberPresence::Departed,
        report::Presence::Removed => control::MemberPresence::Removed,
        report::Presence::Revoked => control::MemberPresence::Revoked,
    }
}

/// Why a member is away; none of one that is up, or that the pool has an opinion of.
pub(super) fn absence(member: &report::MemberReport) -> Option<control::MemberAbsence> {
    let seen = &member.seen;
    let is_away = matches!(member.presence, report::Presence::Away | report::Presence::Departed);
    let (reason, until_ms) = match seen.away.filter(|_| is_away)? {
        report::AwayReason::Unexplained => (control::AbsenceReason::Unexplained, None),
        report::AwayReason::Announced { until_ms } => (control::AbsenceReason::Announced, Some(until_ms)),
        report::AwayReason::UsualHours { until_ms } => (control::AbsenceReason::UsualHours, Some(until_ms)),
        report::AwayReason::Outage => (control::AbsenceReason::Outage, None),
    };
    Some(control::MemberAbsence { reason, until_ms, quiet_s: seen.quiet_s, overdue: seen.overdue })
}

pub(super) fn keys(keys: &report::KeyChange) -> control::KeyOutcome {
    match keys {
        report::KeyChange::Unneeded => control::KeyOutcome::Unneeded,
        report::KeyChange::Begun => control::KeyOutcome::Changed,
        report::KeyChange::LeftTo(admins) if admins.is_empty() => control::KeyOutcome::NotChanged,
        report::KeyChange::LeftTo(_) => control::KeyOutcome::ChangedLater,
    }
}

pub(super) fn role(role: identity::Role) -> control::MemberRole {
    match role {
        identity::Role::Full => control::MemberRole::Full,
        identity::Role::Reader => control::MemberRole::Reader,
        identity::Role::StorageOnly => control::MemberRole::StorageOnly,
    }
}

pub(super) fn role_wanted(role: control::MemberRole) -> identity::Role {
    match role {
        control::MemberRole::Full => identity::Role::Full,
        control::MemberRole::Reader => identity::Role::Reader,
        control::MemberRole::StorageOnly => identity::Role::StorageOnly,
    }
}
