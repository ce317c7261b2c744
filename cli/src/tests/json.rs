//! Every answer in JSON, with sample values.

use fsdfs_proto::control::{
    AbsenceAnswer, AbsenceReason, AddressScope, AddressTranslation, AdminEntry, AdminListing, AdviceItem, AdviceReason,
    AttentionItem, AttentionReason, BandwidthAnswer, BlockPlacement, BlocksToPull, ChangePlan, CopiesByNeed,
    DailyHours, DiskListing, DiskSpace, DiskSpaceListing, DiskStatus, DrainAnswer, EntryKind, ErrorCode, FailureLoss,
    FormerMembership, HistoryKeep, HistoryReply, HolderBlocks, InventorySample, InviteListing, InviteReply,
    InviteState, JoinReply, KeyOutcome, LimitSource, ListingEntry, MeetAnswer, MemberAbsence, MemberBlocks,
    MemberEntry, MemberListing, MemberPresence, MemberRemoveReply, MemberRevokeReply, MemberRole, MemberShare,
    MemberTraffic, MemberUplink, MeteredLine, MissingHolder, MissingReason, NewDiskReply, NodeAddress, NodeCounters,
    NodeStatus, PlanMember, PlanSite, PoolCapacity, PoolPlan, PoolRulesAnswer, ReachabilityKind, ReachabilityStatus,
    RelayedMembers, RepairShare, RepairStatus, ReplicationMargin, RevokeReply, RootKeyAnswer, RootStatement,
    SafetyReport, SafetyVerdict, ScrubStatus, SitePair, SpaceReport, SpeedLimit, StatReply, StateEntry, StateRung,
    WriteOutcome, WriteReply,
};
use serde::Serialize;

use crate::answers::{
    ConfigChecked, FailedCommand, FailedEdit, ManualPages, NodeCreated, NodeJoined, NodeStopped, NodeUp, ServiceUnit,
    StorageFolder,
};
use crate::verbs::change::ChangeSummary;
use crate::verbs::durability::Durability;
use crate::verbs::get::DownloadSummary;
use crate::verbs::put::UploadSummary;
use crate::verbs::status::JudgedStatus;
use crate::verbs::troubles::{FailedEntry, FailureList};
use crate::verbs::watch::{self, WatchedPool};

/// By file name, such as `status.json`.
pub(super) fn texts() -> Vec<(String, String)> {
    let mut texts = of_the_node();
    texts.extend(of_the_pool());
    texts.extend(of_the_tree());
    texts.push(codes());
    texts
}

fn answer(name: &str, value: &impl Serialize) -> (String, String) {
    (format!("{name}.json"), serde_json::to_string_pretty(value).expect("plain data") + "\n")
}

fn of_the_node() -> Vec<(String, String)> {
    let storage = vec![StorageFolder { path: "/home/anna/blocks".into(), quota_bytes: 1 << 30 }];
    let created = NodeCreated {
        pool: "22".into(),
        pool_name: "friends".into(),
        node: "11".into(),
        name: "anna".into(),
        home: "/home/anna".into(),
        root_key: Some("/home/anna/pool/pool-root.key".into()),
        root_key_words: Some("abandon ability".into()),
        spare_key: Some("/media/stick/spare.key".into()),
        spare_key_words: Some("zoo wrong".into()),
        port: 24_007,
        storage: storage.clone(),
    };
    let joined = NodeJoined { joined: "22".into(), node: "11".into(), port: 24_007, seconds: 0.5, connected: 2 };
    let config = ConfigChecked {
        file: "/home/anna/config.toml".into(),
        name: "anna".into(),
        site: Some("cellar".into()),
        listen: ([0, 0, 0, 0], 24_007).into(),
        addresses: vec!["anna.example.org:24007".into()],
        storage,
        missing: vec!["/home/anna/blocks".into()],
    };
    vec![
        answer("init", &created),
        answer("up", &NodeUp { up: "11".into(), pool: "22".into(), port: 24_007, attention: vec![missing_disk()] }),
        answer("join", &joined),
        answer(
            "join-running",
            &JoinReply {
                pool: "22".into(),
                pool_name: "friends".into(),
                former: Some(FormerMembership {
                    why: "this node, or the member that invited it, was revoked".into(),
                    kept_in: vec!["/home/anna/blocks/former-member-11111111".into()],
                }),
            },
        ),
        answer("meet", &MeetAnswer { id: "33".into(), name: "bob".into(), was_connected: false }),
        answer("down", &NodeStopped { stopped: true }),
        answer("status", &JudgedStatus::new(&status())),
        answer("watch", &WatchedPool::new(&watch::tests::sample())),
        answer("config-check", &config),
        answer("service", &ServiceUnit { path: None, unit: "[Unit]\n".into() }),
        answer("service-install", &ServiceUnit { path: Some("/etc/x.service".into()), unit: "[Unit]\n".into() }),
        answer("man", &ManualPages { dir: "man1".into() }),
        answer(
            "error",
            &FailedCommand {
                error: "no such file or folder".into(),
                hint: "see 'fsdfs ls' for what there is".into(),
                code: Some(ErrorCode::NotFound),
            },
        ),
    ]
}

fn root_keys() -> RootKeyAnswer {
    let statements = vec![RootStatement { id: "66".into(), text: "certificate of anna".into() }];
    RootKeyAnswer { number: 2, key: "55".into(), left: 14, copied: false, statements }
}

fn status() -> NodeStatus {
    NodeStatus {
        version: "2.0.0".into(),
        pid: 7,
        uptime_s: 61,
        home: "/home/anna".into(),
        node: "11".into(),
        name: "anna".into(),
        site: "cellar".into(),
        pool: "22".into(),
        pool_name: "friends".into(),
        port: 24_007,
        root_key_at: Some("/home/anna/.local/share/fsdfs/pool/pool-root.key".into()),
        spare_key_at: None,
        addresses: vec![address()],
        reachability: ReachabilityStatus {
            kind: ReachabilityKind::Closed,
            translation: AddressTranslation::Cone,
            text: "closed".into(),
        },
        copies: 3,
        member_budget_bytes: 1 << 40,
        ready: true,
        role: MemberRole::Reader,
        has_key: true,
        connected: 1,
        members: 2,
        disks: vec![disk()],
        scrub: ScrubStatus { percent: 61, bad_found: 1, bad_found_before: 0, last_ended_ms: Some(1_800_000_000_000) },
        repair: RepairStatus { pending: 1, sent: 4, received: 2, running: true, paused: false },
        replication_margin: Some(ReplicationMargin { min: -1, max: 0 }),
        unverified: vec!["bob".into()],
        passed_on_bytes: 3 << 20,
        relayed: vec![RelayedMembers {
            one: "bob".into(),
            other: "carol".into(),
            bytes: 12 << 20,
            dropped_packets: 3,
            active: true,
        }],
        counters: NodeCounters::default(),
        clock_off_min: 0,
        attention: vec![away()],
    }
}

fn address() -> NodeAddress {
    NodeAddress { address: "10.0.0.1:24007".into(), scope: AddressScope::Private }
}

fn disk() -> DiskStatus {
    DiskStatus {
        id: "33".into(),
        path: Some("/home/anna/blocks".into()),
        quota_bytes: 1 << 30,
        free_bytes: 1 << 29,
        ..DiskStatus::default()
    }
}

fn missing_disk() -> AttentionItem {
    let reason = AttentionReason::DiskMissing {
        path: "/home/anna/blocks".into(),
        empty: true,
        why: "it is empty".into(),
        counted_on_s: Some(3_600),
        last: false,
    };
    AttentionItem { reason, text: "it is empty".into() }
}

fn new_disk() -> NewDiskReply {
    let pulled = Some(BlocksToPull { blocks: 5, bytes: 6, estimated: false });
    NewDiskReply { path: "/home/anna/blocks".into(), id: "33".into(), given_up: vec!["44".into()], pulled }
}

fn away() -> AttentionItem {
    AttentionItem { reason: AttentionReason::MembersAway { names: vec!["bob".into()] }, text: "away: bob".into() }
}

fn of_the_pool() -> Vec<(String, String)> {
    let share = MemberShare { id: "11".into(), name: "anna".into(), bytes: 1 << 30 };
    let capacity = PoolCapacity {
        copies: 3,
        offered_bytes: 3 << 30,
        usable_bytes: 1 << 30,
        copies_short: 0,
        sites_short: 1,
        stranded: vec![share.clone()],
    };
    let space = SpaceReport {
        copies: 3,
        offered_bytes: 3 << 30,
        usable_bytes: 1 << 30,
        free_bytes: 1 << 29,
        copies_short: 0,
        sites_short: 1,
        stranded: vec![share.clone()],
        offers: vec![share.clone()],
        free: vec![MemberShare { bytes: 1 << 29, ..share }],
        disks: vec![disk()],
        stored_by: vec![MemberShare { id: "55".into(), name: "eve".into(), bytes: 1 << 28 }],
    };
    let invite = InviteReply {
        ticket: "fsdfs-ticket-1:AAAA".into(),
        id: "44".into(),
        expires_at_ms: 1_800_000_000_000,
        uses: 1,
        addresses: vec![address()],
        warnings: vec![away()],
    };
    let state = InviteState {
        id: "44".into(),
        issued_by: "anna".into(),
        expires_at_ms: 0,
        uses: 2,
        used: 1,
        open: true,
        revoked: false,
    };
    let copies = CopiesByNeed { current_bytes: 1 << 30, history_bytes: 200 << 20, ..CopiesByNeed::default() };
    vec![
        answer("df", &space),
        answer("df-explain", &DiskSpaceListing { disks: vec![disk_space()], copies: Some(copies) }),
        answer("disk", &DiskListing { disks: vec![disk()] }),
        answer("disk-new", &new_disk()),
        answer(
            "members",
            &MemberListing { members: vec![member()], warnings: vec![away()], member_budget_bytes: 1 << 40 },
        ),
        answer("members-revoke", &revoked()),
        answer(
            "members-remove",
            &MemberRemoveReply {
                id: "11".into(),
                name: "anna".into(),
                informed: vec!["bob".into()],
                not_informed_yet: vec!["carol".into()],
            },
        ),
        answer(
            "drain",
            &DrainAnswer {
                draining: true,
                may_be_unplugged: false,
                counted: true,
                blocks_left: 1_204,
                bytes_left: 1 << 30,
                bytes_per_s: Some(1 << 20),
                seconds_left: Some(1_024),
                puts: 1,
                unpublished: false,
                unread_disks: 1,
                away: vec!["carol".into()],
                full: vec!["dave".into()],
            },
        ),
        answer("admins", &AdminListing { admins: vec![AdminEntry { id: "11".into(), name: "anna".into() }] }),
        answer("root-key", &root_keys()),
        answer("rules", &PoolRulesAnswer { copies: 3, up_to_bytes: 0, member_budget_bytes: 1 << 40 }),
        answer(
            "away",
            &AbsenceAnswer {
                until_ms: 1_800_000_000_000,
                daily: vec![DailyHours { from_minute: 1_320, to_minute: 360 }],
            },
        ),
        answer("bandwidth", &bandwidth()),
        answer("invite", &invite),
        answer("invite-list", &InviteListing { invites: vec![state] }),
        answer("invite-revoke", &RevokeReply { id: "44".into(), name: "44".into() }),
        answer("safe", &safe()),
        answer("plan", &plan(&capacity)),
        answer("plan-change", &change_plan(&capacity)),
    ]
}

fn disk_space() -> DiskSpace {
    DiskSpace {
        id: "22".into(),
        path: "/srv/blocks".into(),
        quota_bytes: 1 << 40,
        used_bytes: 63,
        live_bytes: 1,
        condemned_bytes: 2,
        dead_bytes: 4,
        index_bytes: 8,
        log_bytes: 16,
        other_bytes: 32,
        reserve_bytes: 512 << 20,
    }
}

fn safe() -> SafetyReport {
    let missing = MissingHolder {
        id: "33".into(),
        name: "carol".into(),
        reason: MissingReason::Away,
        since_s: Some(93_600),
        away: Some(AbsenceReason::UsualHours),
        until_ms: Some(1_800_000_000_000),
        blocks: 1_204,
    };
    SafetyReport {
        verdict: SafetyVerdict::AtRisk,
        blocks: 330_112,
        checked_blocks: 16_384,
        checked_bytes: 15 << 30,
        sites_may_fail: 1,
        copies_min: 2,
        target_copies: 3,
        short_blocks: 1_204,
        short_bytes: 1 << 30,
        unreadable_blocks: 0,
        bad_copies: 1,
        damaged: vec![MemberBlocks { id: "22".into(), name: "bob".into(), blocks: 1 }],
        unproven: Vec::new(),
        proven_copies: Some(49_000),
        missing: vec![missing],
        mending: vec![MemberBlocks { id: "22".into(), name: "bob".into(), blocks: 12 }],
        repair_pending: 1_216,
        verified_blocks: 16_000,
        oldest_verified_h: Some(268),
        maybe_stale: false,
        unpublished_on: Vec::new(),
    }
}

fn bandwidth() -> BandwidthAnswer {
    BandwidthAnswer {
        upload: SpeedLimit { bytes_per_s: 625_000, source: LimitSource::Request, left_s: Some(7_200) },
        download: SpeedLimit { bytes_per_s: 0, source: LimitSource::Config, left_s: None },
        repair: RepairShare { percent: 25, source: LimitSource::Hours, left_s: None },
        metered: MeteredLine { metered: false, source: LimitSource::Config, left_s: None },
        repair_bytes_per_s: 156_250,
        queueing_ms: Some(12),
        user_bytes: 5 << 20,
        repair_bytes_out: 0,
        repair_bytes_in: 1 << 20,
    }
}

fn revoked() -> MemberRevokeReply {
    MemberRevokeReply {
        id: "11".into(),
        name: "anna".into(),
        also_revoked: vec!["carol".into()],
        invited_and_staying: vec!["dave".into()],
        tickets_ended: 2,
        informed: vec!["bob".into()],
        not_informed_yet: vec!["erin".into()],
        keys: KeyOutcome::ChangedLater,
        keys_left_to: vec!["bob".into()],
    }
}

fn member() -> MemberEntry {
    MemberEntry {
        id: "11".into(),
        name: "anna".into(),
        site: "cellar".into(),
        me: true,
        role: MemberRole::StorageOnly,
        presence: MemberPresence::Away,
        connected: false,
        rtt_ms: Some(12),
        via: Some("carol".into()),
        last_seen_s: Some(90),
        since_s: Some(80),
        away: Some(MemberAbsence {
            reason: AbsenceReason::Announced,
            until_ms: Some(1_800_000_000_000),
            quiet_s: 90_000,
            overdue: false,
        }),
        facts_known_s: Some(90),
        invited_by: "bob".into(),
        invited_by_id: "22".into(),
        offered_bytes: 1 << 30,
        counted_bytes: 1 << 30,
        passed_on_bytes: 2 << 20,
        disks: 1,
        addresses: vec![address()],
    }
}

fn inventory() -> InventorySample {
    InventorySample {
        stored_bytes: 1 << 20,
        blocks: 9,
        blocks_listed: 9,
        exact: true,
        replication_margin: Some(ReplicationMargin { min: -1, max: 1 }),
        unresponsive: vec!["bob".into()],
    }
}

fn advice() -> AdviceItem {
    AdviceItem {
        reason: AdviceReason::TooFewSites { missing: 1 },
        text: "Some copies share a site.".into(),
        action_needed: true,
    }
}

fn plan(capacity: &PoolCapacity) -> PoolPlan {
    let loss = FailureLoss {
        lost_bytes: 0,
        lost_is_complete: true,
        re_replicate_bytes: 1 << 20,
        repair_s: 60,
        usable_bytes: 1 << 30,
        copies: 2,
    };
    let member = PlanMember {
        id: "11".into(),
        name: "anna".into(),
        site: "cellar".into(),
        offered_bytes: 1 << 30,
        share_bytes: 1 << 20,
        uplink: MemberUplink { bytes_per_s: 5_000_000, assumed: true },
        loss,
    };
    PoolPlan {
        inventory: inventory(),
        capacity: capacity.clone(),
        members: vec![member],
        sites: vec![PlanSite { site: "cellar".into(), loss }],
        site_pairs: vec![SitePair { sites: ["cellar".into(), "hill".into()], lost_bytes: 1 << 20 }],
        advice: advice(),
    }
}

fn change_plan(capacity: &PoolCapacity) -> ChangePlan {
    let traffic = MemberTraffic {
        id: None,
        name: "erin".into(),
        site: "hill".into(),
        now_bytes: 0,
        after_bytes: 1 << 20,
        receives_bytes: 1 << 20,
        frees_bytes: 0,
        uploads_bytes: 0,
        uplink: MemberUplink { bytes_per_s: 5_000_000, assumed: true },
        upload_s: 0,
    };
    ChangePlan {
        change: "erin joins with 1.0 GiB at a site of its own".into(),
        inventory: inventory(),
        capacity_now: capacity.clone(),
        capacity_after: capacity.clone(),
        members: vec![traffic],
        transfer_bytes: 1 << 20,
        transfer_s: 60,
        lost_bytes: 0,
        error_permille: 21,
        advice: advice(),
    }
}

fn of_the_tree() -> Vec<(String, String)> {
    let mut durability = Durability::default();
    durability.add(&WriteReply {
        outcome: WriteOutcome::Degraded,
        copies: 2,
        target_copies: 3,
        sites: 2,
        bytes: 5,
        uploaded_bytes: 5,
        unchanged: false,
        verified: true,
    });
    let failed = FailureList {
        count: 1,
        first: vec![FailedEntry { path: "/a".into(), why: "cannot be read".into(), code: None }],
        lasting: 0,
    };
    let edit = FailedEdit { path: "/a".into(), error: "it exists already".into(), code: ErrorCode::Exists };
    let put =
        UploadSummary { files: 1, failed: failed.clone(), durability: durability.clone(), ..UploadSummary::default() };
    let holder = HolderBlocks {
        id: "11".into(),
        name: "anna".into(),
        site: "cellar".into(),
        stored_blocks: 1,
        expected_blocks: 2,
    };
    let placement = BlockPlacement {
        blocks: 2,
        target_copies: 3,
        copies_min: 1,
        copies_max: 3,
        sites_min: 1,
        holders: vec![holder],
    };
    vec![
        answer("put", &put),
        answer("get", &DownloadSummary { files: 1, failed, ..DownloadSummary::default() }),
        answer("change", &ChangeSummary { done: 1, failed: &[edit], durability }),
        answer("ls", &entry()),
        answer("log", &history()),
        answer(
            "stat",
            &StatReply { entry: entry(), maybe_stale: false, unpublished_on: Vec::new(), placement: Some(placement) },
        ),
    ]
}

fn history() -> HistoryReply {
    let state = StateEntry {
        state: "11".into(),
        time_ms: Some(3),
        by: Some("anna".into()),
        stands: false,
        kept: Some(StateRung::SixHourly),
        only_here: true,
        entry: Some(Box::new(entry())),
        tag: Some("\"22-1\"".into()),
        unreadable: true,
    };
    let keep = HistoryKeep { hourly: 24, six_hourly: 28, daily: 30, monthly: 0 };
    HistoryReply { keep, states: vec![state], maybe_stale: false, unpublished_on: vec!["bob".into()] }
}

fn entry() -> ListingEntry {
    ListingEntry {
        name: "caf\u{fffd}".into(),
        name_bytes: Some("Y2Fm6Q==".into()),
        kind: EntryKind::Link,
        size: 5,
        mode: 0o777,
        mtime_ns: -1,
        target: Some("there".into()),
        target_bytes: None,
        xattrs: Vec::new(),
        hard_link: None,
        conflict_of: Some("caf".into()),
        written_ms: 3,
        content: None,
    }
}

/// Codes are stable: the schema lists them all.
fn codes() -> (String, String) {
    let document: serde_json::Value =
        serde_json::from_str(&fsdfs_node::gateway::control::document()).expect("the document is JSON");
    let schemas = &document["components"]["schemas"];
    let of = |name: &str| {
        let texts = values_of_enums(&schemas[name]);
        assert!(!texts.is_empty(), "{name} has codes");
        (name.to_owned(), serde_json::json!(texts))
    };
    let names = [
        "ErrorCode",
        "AttentionReason",
        "AdviceReason",
        "WriteOutcome",
        "MemberPresence",
        "AbsenceReason",
        "MemberRole",
        "AddressScope",
        "DiskCondition",
        "LimitSource",
        "ReachabilityKind",
        "AddressTranslation",
        "SafetyVerdict",
        "MissingReason",
    ];
    answer("codes", &names.map(of).into_iter().collect::<serde_json::Map<_, _>>())
}

fn values_of_enums(schema: &serde_json::Value) -> Vec<String> {
    use serde_json::Value;
    match schema {
        Value::Object(fields) => {
            let own = fields.get("enum").and_then(Value::as_array).into_iter().flatten();
            let own = own.filter_map(Value::as_str).map(String::from).collect::<Vec<_>>();
            let inner = fields.iter().filter(|(name, _)| *name != "enum").flat_map(|(_, inner)| values_of_enums(inner));
            own.into_iter().chain(inner).collect()
        }
        Value::Array(items) => items.iter().flat_map(values_of_enums).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn snapshots_of_every_answer() {
    super::check_snapshots("json", &texts());
}
