//! What is printed, to the letter.

use fsdfs_proto::control::{
    ChangePlan, FailureLoss, InventorySample, MemberShare, MemberTraffic, MemberUplink, PlanMember, PlanSite,
    PoolCapacity, PoolPlan as Answer, ReplicationMargin, SitePair,
};

use super::{change, outlook};

const GIB: u64 = 1 << 30;

fn room(usable: u64) -> PoolCapacity {
    let (copies, given_bytes, usable_bytes) = (3, 3 * usable * GIB, usable * GIB);
    PoolCapacity { copies, given_bytes, usable_bytes, copies_short: 0, sites_short: 0, stranded: Vec::new() }
}

fn found() -> InventorySample {
    let margin = Some(ReplicationMargin { min: -1, max: 1 });
    InventorySample {
        stored_bytes: 2 * GIB,
        blocks: 2048,
        blocks_listed: 2048,
        exact: true,
        margin,
        silent: Vec::new(),
    }
}

fn member(name: &str, site: &str, lost: u64) -> PlanMember {
    let loss = FailureLoss {
        lost_bytes: lost * GIB,
        heard: true,
        copy_bytes: GIB,
        seconds: 7_200,
        usable_bytes: 9 * GIB,
        copies: 3,
    };
    PlanMember {
        id: name.into(),
        name: name.into(),
        site: site.into(),
        gives_bytes: 10 * GIB,
        holds_bytes: 2 * GIB,
        uplink: MemberUplink { bytes_per_s: 5_000_000, assumed: true },
        loss,
    }
}

fn plan(members: Vec<PlanMember>, pairs: Vec<SitePair>) -> Answer {
    let mut sites: Vec<PlanSite> =
        members.iter().map(|member| PlanSite { site: member.site.clone(), loss: member.loss }).collect();
    sites.dedup_by(|one, other| one.site == other.site);
    let advice = "Do it.".to_owned();
    Answer { found: found(), room: room(10), members, sites, pairs, advice, attention: true }
}

#[test]
fn what_may_die_and_what_not() {
    let members = vec![
        member("anna", "hill", 0),
        member("bob", "hill", 0),
        member("eve\u{1b}", "lake", 1),
        member("zoe", "sea", 0),
    ];
    let pair = SitePair { sites: ["hill".into(), "sea".into()], lost_bytes: GIB };
    let row = "  10.0 GiB  2.0 GiB  nothing is lost   1.0 GiB         2h  unknown, 40 Mbit/s assumed\n";
    let lost = row.replace("nothing is lost ", "1.0 GiB are lost");
    assert_eq!(
        outlook::shown(&plan(members, vec![pair])),
        format!(
            "room    10.0 GiB in 3 copies; the members give 30.0 GiB\n\
             filled  2.0 GiB (20 %) in 2048 blocks\n\
             K-N     -1 to +1 (K copies there are, N wanted)\n\
             MEMBER   SITE     GIVES    SHARE  IF IT DIES        TO COPY  HEALED IN  UPLINK\n\
             anna     hill{row}bob      hill{row}eve\\x1b  lake{lost}zoe      sea {row}\
             SITE  MEMBERS  IF IT BURNS      TO COPY  HEALED IN\n\
             hill        2  nothing is lost  1.0 GiB         2h\n\
             If two sites burn together, these lose something: hill with sea (1.0 GiB).\n\
             Counted block by block (2048).\n\
             ! Do it.\n"
        )
    );
}

#[test]
fn what_cannot_heal_says_so() {
    let mut few = plan(vec![member("anna", "hill", 0)], Vec::new());
    few.members[0].loss.copies = 2;
    assert!(outlook::shown(&few).contains("  2h, to 2 copies only  "), "{}", outlook::shown(&few));
    few.members[0].loss.usable_bytes = GIB;
    assert!(outlook::shown(&few).contains("  never: no room  "), "{}", outlook::shown(&few));
}

#[test]
fn what_was_not_heard_or_not_listed_is_not_said_to_be_safe() {
    let mut unheard =
        plan(vec![member("anna", "hill", 0), member("bob", "lake", 1), member("eve", "sea", 0)], Vec::new());
    unheard.members[0].loss.heard = false;
    unheard.members[1].loss.heard = false;
    unheard.found.silent = vec!["anna".into()];
    unheard.found.exact = false;
    let shown = outlook::shown(&unheard);
    for told in ["  not known  ", "  1.0 GiB or more  ", "  none seen lost  "] {
        assert!(shown.contains(told), "{shown}");
    }
    assert!(!shown.contains("nothing is lost"), "{shown}");
}

#[test]
fn any_two_sites_is_said_only_where_it_holds() {
    let three = |lost| vec![member("a", "a", lost), member("b", "b", 0), member("c", "c", 0)];
    assert!(outlook::shown(&plan(three(0), Vec::new())).contains("Any two sites may burn together"));
    assert!(!outlook::shown(&plan(three(1), Vec::new())).contains("Any two sites"));
    assert!(!outlook::shown(&plan(three(0)[..2].to_vec(), Vec::new())).contains("two sites"), "nothing is left then");
}

#[test]
fn a_change() {
    let moved = MemberTraffic {
        id: None,
        name: "erin".into(),
        site: "its own".into(),
        holds_bytes: 0,
        holds_then_bytes: GIB,
        in_bytes: GIB,
        out_bytes: 0,
        sends_bytes: 0,
        uplink: MemberUplink { bytes_per_s: 1_000_000, assumed: false },
        seconds: 0,
    };
    let share = MemberShare { id: "a".into(), name: "anna".into(), bytes: GIB };
    let told = ChangePlan {
        change: "erin joins".into(),
        found: InventorySample { exact: false, blocks: 9000, silent: vec!["bob".into()], ..found() },
        now: PoolCapacity { stranded: vec![share], ..room(4) },
        then: room(8),
        members: vec![moved],
        move_bytes: GIB,
        lost_bytes: 0,
        seconds: 3_600,
        error_permille: 21,
        advice: "Nothing.".into(),
        attention: false,
    };
    assert_eq!(
        change::shown(&told),
        "what if    erin joins\n\
         room       4.0 GiB in 3 copies, then 8.0 GiB in 3 copies\n\
         filled     2.0 GiB (50 %), then (25 %)\n\
         to copy    1.0 GiB, give or take 3 %, in 1h or more (erin sends longest)\n\
         of no use  1.0 GiB, then 0 B\n\
         MEMBER      SITE     SHARE     THEN     GETS  GIVES UP  SENDS  SENT IN  UPLINK\n\
         erin (new)  its own    0 B  1.0 GiB  1.0 GiB       0 B    0 B       0s  8.0 Mbit/s\n\
         Concluded from 2048 of about 9000 blocks.\n\
         ! bob did not say what they hold: copies there are not counted\n\
         Nothing.\n"
    );
}
