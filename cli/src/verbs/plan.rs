//! `fsdfs plan`: what the pool can hold and lose, and what a change would move. Nothing is changed.

use clap::{Args, Subcommand};
use fsdfs_proto::control::{Found, Loss, Margin, Moved, Plan as Answer, Room, Uplink, WhatIf};

use crate::app::App;
use crate::outcome::{Outcome, Verdict};
use crate::text::table::{Align, Table};
use crate::text::{escape, human, parse};

/// Show how much fits, which member or house may be lost, how long healing takes; or what a change would move.
///
/// Nothing is changed. The members are asked which blocks they hold. How much fits is exact; bytes to move are counted over
/// those blocks, and the answer says if they are a sample. Times are those of the members' uplinks (`uplink` in
/// config.toml), if each sends with all of it.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    #[command(subcommand)]
    change: Option<Change>,
}

#[derive(Subcommand, Clone, Debug)]
enum Change {
    /// What if a newcomer, or another disk of a member, brings so much space?
    Add {
        /// The newcomer's name, or the member that gets another disk.
        #[arg(value_parser = parse::label)]
        name: String,
        /// How much it gives, such as 500GiB or 4TB.
        #[arg(value_parser = fsdfs_node::config::size)]
        size: u64,
        /// The newcomer's site, if it is no new one: what is at one site burns together.
        #[arg(long, value_name = "S", value_parser = parse::label)]
        site: Option<String>,
    },
    /// What if a member is gone and hands nothing over?
    Remove {
        /// Its name, or its id as `members --json` shows it.
        name: String,
    },
    /// What if there were so many copies of every file?
    Copies {
        /// How many, 1 to 32.
        #[arg(value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
        copies: u8,
    },
    /// What if a member takes nothing new and hands over what it holds?
    Drain {
        /// Its name, or its id as `members --json` shows it.
        name: String,
    },
}

impl Plan {
    /// Runs the verb.
    pub async fn run(self, app: &App) -> Outcome {
        let api = app.api()?;
        let Some(change) = self.change else {
            let plan = api.patiently(|| api.client().plan()).await.map_err(|error| api.stop(&error))?;
            return app.output.result(&plan, shown(&plan)).map(|()| Verdict::Fine);
        };
        let change = change.parameters();
        let change: Vec<(&str, &[u8])> = change.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let told = api.patiently(|| api.client().what_if(&change)).await.map_err(|error| api.stop(&error))?;
        app.output.result(&told, shown_change(&told)).map(|()| Verdict::Fine)
    }
}

impl Change {
    fn parameters(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Add { name, size, site } => {
                let site = site.map(|site| ("site", site));
                [("add", name), ("bytes", size.to_string())].into_iter().chain(site).collect()
            }
            Self::Remove { name } => vec![("remove", name)],
            Self::Copies { copies } => vec![("copies", copies.to_string())],
            Self::Drain { name } => vec![("drain", name)],
        }
    }
}

fn shown(plan: &Answer) -> String {
    let mut head = Table::plain(&[Align::Left, Align::Left]);
    let Answer { room, found, .. } = plan;
    let given = human::size(room.given_bytes);
    head.row([
        "room".into(),
        format!("{} in {}; the members give {given}", human::size(room.usable_bytes), copies(room)),
    ]);
    let filled = percent(found.stored_bytes, room.usable_bytes);
    head.row(["filled".into(), format!("{}{filled} in {}", human::size(found.stored_bytes), blocks(found.blocks))]);
    head.row(["K-N".into(), margin(found.margin)]);
    let advice = advice(&plan.advice, plan.attention);
    format!("{head}{}{}{}{}{advice}", members(plan), sites(plan), together(plan), counted(found))
}

fn members(plan: &Answer) -> String {
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("MEMBER", left),
        ("SITE", left),
        ("GIVES", right),
        ("HOLDS", right),
        ("IF IT DIES", left),
        ("TO COPY", right),
        ("HEALED IN", right),
        ("UPLINK", left),
    ]);
    for member in &plan.members {
        let first =
            [text(&member.name), text(&member.site), human::size(member.gives_bytes), human::size(member.holds_bytes)];
        let [dies, copy, time] = loss(plan, &member.loss);
        table.row(first.into_iter().chain([dies, copy, time, uplink(member.uplink)]));
    }
    if plan.members.is_empty() { "No member gives storage.\n".into() } else { table.to_string() }
}

/// Sites with one member say the same as that member.
fn sites(plan: &Answer) -> String {
    let at = |site: &str| plan.members.iter().filter(|member| member.site == site).count();
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("SITE", left),
        ("MEMBERS", right),
        ("IF IT BURNS", left),
        ("TO COPY", right),
        ("HEALED IN", right),
    ]);
    for site in plan.sites.iter().filter(|site| at(&site.site) > 1) {
        table.row([text(&site.site), at(&site.site).to_string()].into_iter().chain(loss(plan, &site.loss)));
    }
    if plan.sites.iter().any(|site| at(&site.site) > 1) { table.to_string() } else { String::new() }
}

fn loss(plan: &Answer, loss: &Loss) -> [String; 3] {
    let lost = match loss.lost_bytes {
        0 => "nothing is lost".into(),
        bytes => format!("{} are lost", human::size(bytes)),
    };
    let healed = match loss.copies {
        _ if plan.found.stored_bytes > loss.usable_bytes => "never: no room".into(),
        copies if copies < plan.room.copies => {
            format!("{}, to {} only", human::span(loss.seconds), human::count(copies.into(), "copy", "copies"))
        }
        _ => human::span(loss.seconds),
    };
    [lost, human::size(loss.copy_bytes), healed]
}

/// What two fires at once would take.
fn together(plan: &Answer) -> String {
    /// More are counted only.
    const NAMED: usize = 3;
    if plan.sites.len() < 3 || plan.found.blocks == 0 {
        return String::new();
    }
    let mut pairs: Vec<_> = plan.pairs.iter().collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.lost_bytes));
    let alone = plan.sites.iter().any(|site| site.loss.lost_bytes > 0);
    let named = |pair: &&fsdfs_proto::control::SitePair| {
        let [one, other] = &pair.sites;
        format!("{} with {} ({})", text(one), text(other), human::size(pair.lost_bytes))
    };
    let mut said: Vec<String> = pairs.iter().take(NAMED).map(named).collect();
    match (said.is_empty(), pairs.len().saturating_sub(NAMED)) {
        (true, _) if alone => return "Two sites together lose no more than each of them alone.\n".into(),
        (true, _) => return "Any two sites may burn together: nothing is lost.\n".into(),
        (false, 0) => {}
        (false, more) => said.push(human::count(more as u64, "other pair", "other pairs")),
    }
    format!("If two sites burn together, these lose something: {}.\n", human::list(&said))
}

fn shown_change(told: &WhatIf) -> String {
    let WhatIf { now, then, found, .. } = told;
    let mut head = Table::plain(&[Align::Left, Align::Left]);
    let mut row = |key: &str, value: String| head.row([key.to_owned(), value]);
    row("what if", text(&told.change));
    row("room", format!("{}, then {}", in_copies(now), in_copies(then)));
    row(
        "filled",
        format!(
            "{}{}, then{}",
            human::size(found.stored_bytes),
            percent(found.stored_bytes, now.usable_bytes),
            percent(found.stored_bytes, then.usable_bytes)
        ),
    );
    row("to copy", to_copy(told));
    if told.lost_bytes > 0 {
        row("lost", format!("{}: no other member has said that it has them", human::size(told.lost_bytes)));
    }
    let stranded = |room: &Room| room.stranded.iter().map(|share| share.bytes).sum::<u64>();
    if stranded(now) + stranded(then) > 0 {
        row("of no use", format!("{}, then {}", human::size(stranded(now)), human::size(stranded(then))));
    }
    format!("{head}{}{}{}", moved(&told.members), counted(found), advice(&told.advice, told.attention))
}

fn to_copy(told: &WhatIf) -> String {
    if told.move_bytes == 0 {
        return "nothing".into();
    }
    let off = match told.error_permille.div_ceil(10) {
        0 => String::new(),
        percent => format!(", give or take {percent} %"),
    };
    let slowest = told.members.iter().max_by_key(|member| member.seconds);
    let slowest = slowest.map(|member| format!(" ({} sends longest)", text(&member.name))).unwrap_or_default();
    format!("{}{off}, in {} or more{slowest}", human::size(told.move_bytes), human::span(told.seconds))
}

fn moved(members: &[Moved]) -> String {
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("MEMBER", left),
        ("SITE", left),
        ("HOLDS", right),
        ("THEN", right),
        ("GETS", right),
        ("GIVES UP", right),
        ("SENDS", right),
        ("SENT IN", right),
        ("UPLINK", left),
    ]);
    for member in members {
        let sizes =
            [member.holds_bytes, member.holds_then_bytes, member.in_bytes, member.out_bytes, member.sends_bytes]
                .map(human::size);
        let new = if member.id.is_none() { " (new)" } else { "" };
        let first = [text(&member.name) + new, text(&member.site)];
        table.row(first.into_iter().chain(sizes).chain([human::span(member.seconds), uplink(member.uplink)]));
    }
    if members.is_empty() { String::new() } else { table.to_string() }
}

fn in_copies(room: &Room) -> String {
    format!("{} in {}", human::size(room.usable_bytes), copies(room))
}

fn copies(room: &Room) -> String {
    human::count(room.copies.saturating_sub(room.copies_short).into(), "copy", "copies")
}

fn percent(stored: u64, usable: u64) -> String {
    match (stored, usable) {
        (0, _) => " (0 %)".into(),
        (_, 0) => " (no room)".into(),
        _ => format!(" ({} %)", u128::from(stored) * 100 / u128::from(usable)),
    }
}

fn blocks(count: u64) -> String {
    human::count(count, "block", "blocks")
}

/// Copies there are less those wanted.
pub fn margin(margin: Option<Margin>) -> String {
    let signed = |number: i64| if number == 0 { "0".to_owned() } else { format!("{number:+}") };
    match margin {
        None => "not known yet".into(),
        Some(Margin { min, max }) if min == max => format!("{} (K copies there are, N wanted)", signed(min)),
        Some(Margin { min, max }) => format!("{} to {} (K copies there are, N wanted)", signed(min), signed(max)),
    }
}

/// How the numbers came about.
fn counted(found: &Found) -> String {
    let mut lines = match (found.blocks, found.exact) {
        (0, _) => String::new(),
        (blocks, true) => format!("Counted block by block ({blocks}).\n"),
        (blocks, false) => format!("Concluded from {} of about {}.\n", found.blocks_listed, self::blocks(blocks)),
    };
    if !found.silent.is_empty() {
        let names: Vec<String> = found.silent.iter().map(|name| text(name)).collect();
        lines += &format!("! {} did not say what they hold: copies there are not counted\n", human::list(&names));
    }
    lines
}

fn advice(advice: &str, attention: bool) -> String {
    let mark = if attention { "! " } else { "" };
    format!("{mark}{}\n", text(advice))
}

fn uplink(uplink: Uplink) -> String {
    let tenths = uplink.bytes_per_s.saturating_mul(8) / 100_000;
    let speed = match tenths {
        0..100 => format!("{}.{} Mbit/s", tenths / 10, tenths % 10),
        _ => format!("{} Mbit/s", tenths / 10),
    };
    if uplink.assumed { format!("unknown, {speed} assumed") } else { speed }
}

fn text(text: &str) -> String {
    escape::name(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fsdfs_proto::control::{PlanMember, PlanSite, Share, SitePair};

    const GIB: u64 = 1 << 30;

    fn room(usable: u64) -> Room {
        let (copies, given_bytes, usable_bytes) = (3, 3 * usable * GIB, usable * GIB);
        Room { copies, given_bytes, usable_bytes, copies_short: 0, sites_short: 0, stranded: Vec::new() }
    }

    fn found() -> Found {
        let margin = Some(Margin { min: -1, max: 1 });
        Found { stored_bytes: 2 * GIB, blocks: 2048, blocks_listed: 2048, exact: true, margin, silent: Vec::new() }
    }

    fn member(name: &str, site: &str, lost: u64) -> PlanMember {
        let loss = Loss { lost_bytes: lost * GIB, copy_bytes: GIB, seconds: 7_200, usable_bytes: 9 * GIB, copies: 3 };
        PlanMember {
            id: name.into(),
            name: name.into(),
            site: site.into(),
            gives_bytes: 10 * GIB,
            holds_bytes: 2 * GIB,
            uplink: Uplink { bytes_per_s: 5_000_000, assumed: true },
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
            shown(&plan(members, vec![pair])),
            format!(
                "room    10.0 GiB in 3 copies; the members give 30.0 GiB\n\
                 filled  2.0 GiB (20 %) in 2048 blocks\n\
                 K-N     -1 to +1 (K copies there are, N wanted)\n\
                 MEMBER   SITE     GIVES    HOLDS  IF IT DIES        TO COPY  HEALED IN  UPLINK\n\
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
        assert!(shown(&few).contains("  2h, to 2 copies only  "), "{}", shown(&few));
        few.members[0].loss.usable_bytes = GIB;
        assert!(shown(&few).contains("  never: no room  "), "{}", shown(&few));
    }

    #[test]
    fn any_two_sites_is_said_only_where_it_holds() {
        let three = |lost| vec![member("a", "a", lost), member("b", "b", 0), member("c", "c", 0)];
        assert!(shown(&plan(three(0), Vec::new())).contains("Any two sites may burn together"));
        assert!(!shown(&plan(three(1), Vec::new())).contains("Any two sites"));
        assert!(!shown(&plan(three(0)[..2].to_vec(), Vec::new())).contains("two sites"), "nothing is left then");
    }

    #[test]
    fn a_change() {
        let moved = Moved {
            id: None,
            name: "erin".into(),
            site: "its own".into(),
            holds_bytes: 0,
            holds_then_bytes: GIB,
            in_bytes: GIB,
            out_bytes: 0,
            sends_bytes: 0,
            uplink: Uplink { bytes_per_s: 1_000_000, assumed: false },
            seconds: 0,
        };
        let share = Share { id: "a".into(), name: "anna".into(), bytes: GIB };
        let told = WhatIf {
            change: "erin joins".into(),
            found: Found { exact: false, blocks: 9000, silent: vec!["bob".into()], ..found() },
            now: Room { stranded: vec![share], ..room(4) },
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
            shown_change(&told),
            "what if    erin joins\n\
             room       4.0 GiB in 3 copies, then 8.0 GiB in 3 copies\n\
             filled     2.0 GiB (50 %), then (25 %)\n\
             to copy    1.0 GiB, give or take 3 %, in 1h or more (erin sends longest)\n\
             of no use  1.0 GiB, then 0 B\n\
             MEMBER      SITE     HOLDS     THEN     GETS  GIVES UP  SENDS  SENT IN  UPLINK\n\
             erin (new)  its own    0 B  1.0 GiB  1.0 GiB       0 B    0 B       0s  8.0 Mbit/s\n\
             Concluded from 2048 of about 9000 blocks.\n\
             ! bob did not say what they hold: copies there are not counted\n\
             Nothing.\n"
        );
    }
}
