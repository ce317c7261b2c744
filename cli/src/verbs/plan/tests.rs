//! What is printed, to the letter.

use fsdfs_proto::control::{
    AdviceItem, AdviceReason, ChangePlan, FailureLoss, InventorySample, MemberShare, MemberTraffic, MemberUplink,
    PlanMember, PlanSite, PoolCapacity, PoolPlan as Answer, ReplicationMargin, SitePair,
};

use super::{change, outlook};

const GIB: u64 = 1 << 30;

fn capacity(usable: u64) -> PoolCapacity {
    let (copies, offered_bytes, usable_bytes) = (3, 3 * usable * GIB, usable * GIB);
    PoolCapacity { copies, offered_bytes, usable_bytes, copies_short: 0, sites_short: 0, stranded: Vec::new() }
}

fn inventory() -> InventorySample {
    let replication_margin = Some(ReplicationMargin { min: -1, max: 1 });
    InventorySample {
        stored_bytes: 2 * GIB,
        blocks: 2048,
        blocks_listed: 2048,
        exact: true,
        replication_margin,
        unresponsive: Vec::new(),
    }
}

fn member(name: &str, site: &str, lost: u64) -> PlanMember {
    let loss = FailureLoss {
        lost_bytes: lost * GIB,
        lost_is_complete: true,
        re_replicate_bytes: GIB,
        repair_s: 7_200,
        usable_bytes: 9 * GIB,
        copies: 3,
    };
    PlanMember {
        id: name.into(),
        name: name.into(),
        site: site.into(),
        offered_bytes: 10 * GIB,
        share_bytes: 2 * GIB,
        uplink: MemberUplink { bytes_per_s: 5_000_000, assumed: true },
        loss,
    }
}

fn plan(members: Vec<PlanMember>, site_pairs: Vec<SitePair>) -> Answer {
    let mut sites: Vec<PlanSite> =
        members.iter().map(|member| PlanSite { site: member.site.clone(), loss: member.loss }).collect();
    sites.dedup_by(|one, other| one.site == other.site);
    let advice = AdviceItem { reason: AdviceReason::SingleCopy, text: "Do it.".into(), action_needed: true };
    Answer { inventory: inventory(), capacity: capacity(10), members, sites, site_pairs, advice }
}

#[test]
fn what_a_failure_would_lose() {
    let members = vec![
        member("anna", "hill", 0),
        member("bob", "hill", 0),
        member("eve\u{1b}", "lake", 1),
        member("zoe", "sea", 0),
    ];
    let pair = SitePair { sites: ["hill".into(), "sea".into()], lost_bytes: GIB };
    let row = "  10.0 GiB  2.0 GiB  nothing                   1.0 GiB           2h  unknown, 40 Mbit/s assumed\n";
    let lost = row.replace("nothing", "1.0 GiB");
    assert_eq!(
        outlook::shown(&plan(members, vec![pair])),
        format!(
            "capacity     10.0 GiB in 3 copies; the members offer 30.0 GiB\n\
             used         2.0 GiB (20 %) in 2048 blocks\n\
             replication  1 short ... 1 spare\n\
             MEMBER   SITE   OFFERED    SHARE  LOST IF IT FAILS  TO RE-REPLICATE  REPAIR TIME  UPLINK\n\
             anna     hill{row}bob      hill{row}eve\\x1b  lake{lost}zoe      sea {row}\
             SITE  MEMBERS  LOST IF SITE FAILS  TO RE-REPLICATE  REPAIR TIME\n\
             hill        2  nothing                     1.0 GiB           2h\n\
             Lost if two sites fail at once: hill and sea (1.0 GiB).\n\
             Exact: 2048 blocks counted.\n\
             ! Do it.\n"
        )
    );
}

#[test]
fn what_cannot_be_repaired_says_so() {
    let mut few = plan(vec![member("anna", "hill", 0)], Vec::new());
    few.members[0].loss.copies = 2;
    assert!(outlook::shown(&few).contains("  2h, to 2 copies only  "), "{}", outlook::shown(&few));
    few.members[0].loss.usable_bytes = GIB;
    assert!(outlook::shown(&few).contains("  never: no capacity  "), "{}", outlook::shown(&few));
}

#[test]
fn what_was_not_reported_or_not_listed_is_not_said_to_be_safe() {
    let mut unheard =
        plan(vec![member("anna", "hill", 0), member("bob", "lake", 1), member("eve", "sea", 0)], Vec::new());
    unheard.members[0].loss.lost_is_complete = false;
    unheard.members[1].loss.lost_is_complete = false;
    unheard.inventory.unresponsive = vec!["anna".into()];
    unheard.inventory.exact = false;
    let shown = outlook::shown(&unheard);
    for expected in ["  unknown  ", "  1.0 GiB or more  ", "  none found  "] {
        assert!(shown.contains(expected), "{shown}");
    }
    assert!(!shown.contains("  nothing  "), "{shown}");
}

#[test]
fn any_two_sites_is_said_only_where_it_holds() {
    let three = |lost| vec![member("a", "a", lost), member("b", "b", 0), member("c", "c", 0)];
    assert!(outlook::shown(&plan(three(0), Vec::new())).contains("Any two sites may fail at once"));
    assert!(!outlook::shown(&plan(three(1), Vec::new())).contains("Any two sites"));
    assert!(!outlook::shown(&plan(three(0)[..2].to_vec(), Vec::new())).contains("two sites"), "nothing is left then");
}

#[test]
fn a_change() {
    let moved = MemberTraffic {
        id: None,
        name: "erin".into(),
        site: "its own".into(),
        now_bytes: 0,
        after_bytes: GIB,
        receives_bytes: GIB,
        frees_bytes: 0,
        uploads_bytes: 0,
        uplink: MemberUplink { bytes_per_s: 1_000_000, assumed: false },
        upload_s: 0,
    };
    let share = MemberShare { id: "a".into(), name: "anna".into(), bytes: GIB };
    let plan = ChangePlan {
        change: "erin joins".into(),
        inventory: InventorySample { exact: false, blocks: 9000, unresponsive: vec!["bob".into()], ..inventory() },
        capacity_now: PoolCapacity { stranded: vec![share], ..capacity(4) },
        capacity_after: capacity(8),
        members: vec![moved],
        transfer_bytes: GIB,
        transfer_s: 3_600,
        lost_bytes: 0,
        error_permille: 21,
        advice: AdviceItem { reason: AdviceReason::None, text: "Nothing.".into(), action_needed: false },
    };
    assert_eq!(
        change::shown(&plan),
        "change       erin joins\n\
         capacity     4.0 GiB in 3 copies, after it 8.0 GiB in 3 copies\n\
         used         2.0 GiB (50 %), after it (25 %)\n\
         to transfer  1.0 GiB (+/- 3 %) in at least 1h (slowest: erin)\n\
         stranded     1.0 GiB, after it 0 B\n\
         MEMBER      SITE     NOW    AFTER  RECEIVES  FREES  UPLOADS  UPLOAD TIME  UPLINK\n\
         erin (new)  its own  0 B  1.0 GiB   1.0 GiB    0 B      0 B           0s  8.0 Mbit/s\n\
         Estimated from 2048 of about 9000 blocks.\n\
         ! bob did not answer: copies there are not counted\n\
         Nothing.\n"
    );
}
