//! The engine's words in the API's.

use fsdfs_core::report;
use fsdfs_core::seam::{Copies, PutOutcome};
use fsdfs_core::tree::{Content, Shown, ShownKind};
use fsdfs_proto::control::{self, Disk, Entry, Kind, Outcome, Written, text_and_bytes};
use fsdfs_proto::identity;
use fsdfs_proto::ids::{DiskId, NodeId, PublicKey};

use super::Context;
use crate::addresses;
use crate::store::Ledger;

pub(super) fn entry(shown: &Shown) -> Entry {
    let (name, name_bytes) = text_and_bytes(&shown.name);
    let (kind, size, target) = match &shown.kind {
        ShownKind::Dir { .. } => (Kind::Folder, 0, None),
        ShownKind::File { size, content: Content::Symlink(target) } => {
            (Kind::Link, *size, Some(text_and_bytes(target)))
        }
        ShownKind::File { size, .. } => (Kind::File, *size, None),
    };
    let (target, target_bytes) = target.map_or((None, None), |(text, bytes)| (Some(text), bytes));
    Entry {
        name,
        name_bytes,
        kind,
        size,
        mode: shown.attrs.mode,
        mtime_ns: shown.attrs.mtime_ns,
        target,
        target_bytes,
        conflict_of: shown.conflict_of.as_ref().map(|name| text_and_bytes(name).0),
        written_ms: shown.time.ms,
    }
}

/// What became of a change. A refusal was turned into an error before.
pub(super) fn written(outcome: &PutOutcome, unchanged: bool) -> Written {
    let (outcome, copies) = match outcome {
        PutOutcome::Stored(copies) => (Outcome::Stored, copies.clone()),
        PutOutcome::Degraded(copies) => (Outcome::Degraded, copies.clone()),
        PutOutcome::Refused(_) => (Outcome::Degraded, Copies::default()),
    };
    Written {
        outcome,
        copies: u8::try_from(copies.servers.len()).unwrap_or(u8::MAX),
        wanted: copies.wanted,
        sites: copies.sites,
        bytes: 0,
        uploaded_bytes: 0,
        unchanged,
    }
}

/// The worse of two: a file is as safe as its least safe part.
pub(super) fn worse(one: &Written, other: &Written) -> Written {
    let is_degraded = one.outcome == Outcome::Degraded || other.outcome == Outcome::Degraded;
    Written {
        outcome: if is_degraded { Outcome::Degraded } else { Outcome::Stored },
        copies: one.copies.min(other.copies),
        wanted: one.wanted.max(other.wanted),
        sites: one.sites.min(other.sites),
        bytes: one.bytes + other.bytes,
        uploaded_bytes: one.uploaded_bytes + other.uploaded_bytes,
        unchanged: one.unchanged && other.unchanged,
    }
}

/// This node's disks, from the store itself: the engine hears of them only when something happens to one.
pub(super) fn disks(context: &Context) -> Vec<Disk> {
    let states = context.store.disks();
    let disk = |(path, id, ledger): (std::path::PathBuf, DiskId, Ledger)| Disk {
        id: id.to_string(),
        path: Some(path.display().to_string()),
        quota_bytes: ledger.quota,
        used_bytes: ledger.used(),
        live_bytes: ledger.live,
        index_bytes: ledger.index,
        reserve_bytes: ledger.reserve,
        blocks: ledger.blocks,
        // One that the store no longer lists is out of service.
        read_only: states.iter().find(|state| state.id == id).is_none_or(|state| state.read_only),
    };
    context.store.df().into_iter().map(disk).collect()
}

pub(super) fn member(context: &Context, all: &report::Members, member: &report::Member) -> control::Member {
    let weight: u64 = member.disks.iter().map(|(_, weight)| u64::from(*weight)).sum();
    control::Member {
        id: member.node.to_string(),
        name: member.name.clone(),
        site: member.site.clone(),
        me: member.me,
        role: role(member.role),
        presence: presence(member.presence),
        connected: member.connected,
        rtt_ms: member.rtt_ms,
        heard_s: member.heard_s,
        invited_by: name_of(all, member.invited_by),
        space_bytes: weight.saturating_mul(context.config.unit_bytes),
        disks: member.disks.len(),
        addresses: addresses::described(&member.addrs),
    }
}

/// Name of a member, or of whoever invited with a ticket; the short id of anybody else.
pub(super) fn name_of(all: &report::Members, key: PublicKey) -> String {
    let inviter = all.tickets.iter().find(|ticket| ticket.subject == key).map_or(key, |ticket| ticket.issuer);
    let member = all.members.iter().find(|member| member.node == NodeId::from(inviter));
    member.map_or_else(|| inviter.short(), |member| member.name.clone())
}

pub(super) fn presence(presence: report::Presence) -> control::Presence {
    match presence {
        report::Presence::Up => control::Presence::Up,
        report::Presence::Away => control::Presence::Away,
        report::Presence::Gone => control::Presence::Gone,
        report::Presence::Removed => control::Presence::Removed,
        report::Presence::Revoked => control::Presence::Revoked,
    }
}

pub(super) fn role(role: identity::Role) -> control::Role {
    match role {
        identity::Role::Full => control::Role::Full,
        identity::Role::Reader => control::Role::Reader,
        identity::Role::StorageOnly => control::Role::StorageOnly,
    }
}

pub(super) fn role_wanted(role: control::Role) -> identity::Role {
    match role {
        control::Role::Full => identity::Role::Full,
        control::Role::Reader => identity::Role::Reader,
        control::Role::StorageOnly => identity::Role::StorageOnly,
    }
}
