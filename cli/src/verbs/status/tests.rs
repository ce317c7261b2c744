//! Sample answers.

use fsdfs_proto::control::{
    AddressScope, AddressTranslation, AttentionItem, AttentionReason, DiskStatus, MemberEntry, MemberListing,
    MemberPresence, MemberRole, NodeAddress, NodeCounters, NodeStatus, ReachabilityKind, ReachabilityStatus,
    RepairStatus, ReplicationMargin,
};

/// A node that completes a copy.
pub(in crate::verbs) fn status() -> NodeStatus {
    NodeStatus {
        scrub: fsdfs_proto::control::ScrubStatus::default(),
        version: "2.0.0".into(),
        pid: 7,
        uptime_s: 61,
        home: "/home/anna".into(),
        node: "11".repeat(32),
        name: "anna".into(),
        site: "cellar".into(),
        pool: "22".repeat(32),
        pool_name: "friends".into(),
        port: 4433,
        root_key_at: None,
        spare_key_at: None,
        addresses: vec![NodeAddress { address: "10.0.0.1:4433".into(), scope: AddressScope::Private }],
        reachability: ReachabilityStatus {
            kind: ReachabilityKind::Mapped,
            translation: AddressTranslation::Unknown,
            text: "mapped: the router forwards 100.0.0.1:4433".into(),
        },
        copies: 3,
        member_budget_bytes: 0,
        ready: true,
        role: MemberRole::Full,
        has_key: true,
        connected: 1,
        members: 2,
        disks: vec![DiskStatus { id: "d".into(), quota_bytes: 1 << 30, ..DiskStatus::default() }],
        repair: RepairStatus { pending: 1, sent: 4, received: 2, running: true, paused: false },
        replication_margin: Some(ReplicationMargin { min: -1, max: 0 }),
        unverified: Vec::new(),
        passed_on_bytes: 0,
        relayed: Vec::new(),
        counters: NodeCounters::default(),
        clock_off_min: 0,
        attention: Vec::new(),
    }
}

/// The same when it is done.
pub(in crate::verbs) fn complete() -> NodeStatus {
    NodeStatus {
        repair: RepairStatus { pending: 0, sent: 5, received: 2, running: false, paused: false },
        replication_margin: Some(ReplicationMargin { min: 0, max: 0 }),
        ..status()
    }
}

pub(in crate::verbs) fn attention() -> AttentionItem {
    AttentionItem { reason: AttentionReason::MembersAway { names: vec!["bob".into()] }, text: "away: bob".into() }
}

/// One that is up and connected.
pub(in crate::verbs) fn member(name: &str) -> MemberEntry {
    MemberEntry {
        id: name.bytes().map(|byte| format!("{byte:02x}")).collect::<String>() + &"ab".repeat(32),
        name: name.into(),
        site: "cellar".into(),
        me: false,
        role: MemberRole::Full,
        presence: MemberPresence::Up,
        connected: true,
        rtt_ms: Some(12),
        via: None,
        last_seen_s: Some(3),
        since_s: Some(100),
        away: None,
        facts_known_s: None,
        invited_by: "anna".into(),
        invited_by_id: "11".repeat(32),
        offered_bytes: 4 << 40,
        counted_bytes: 4 << 40,
        passed_on_bytes: 0,
        disks: 1,
        addresses: Vec::new(),
    }
}

/// Three, all of them up.
pub(in crate::verbs) fn listing() -> MemberListing {
    let me = MemberEntry { me: true, connected: false, rtt_ms: None, ..member("anna") };
    MemberListing {
        members: vec![me, member("bob"), MemberEntry { rtt_ms: Some(31), ..member("carol") }],
        warnings: Vec::new(),
        member_budget_bytes: 0,
    }
}
