//! `fsdfs members`: the members of the pool and how they reach each other; and revoking one.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use fsdfs_proto::control::{
    AbsenceReason, AddressScope, AttentionItem, KeyOutcome, MemberAbsence, MemberEntry, MemberListing as Answer,
    MemberPresence, MemberRef, MemberRevokeReply, MemberRole, NewVouch, NodeAddress, RootRevocation, look_alike,
};

use crate::api::DaemonApi;
use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus, problem};
use crate::text::table::{ColumnAlign, TextTable};
use crate::text::{escape, human};
use crate::verbs::{admins, drain};

/// Show the members of the pool: state, offered space, role, and the addresses where they are reachable.
#[derive(Args, Clone, Debug)]
pub struct MembersCommand {
    #[command(subcommand)]
    action: Option<MembersAction>,
}

#[derive(Subcommand, Clone, Debug)]
enum MembersAction {
    /// Vouch for a member whom somebody else invited: it stands for itself.
    ///
    /// A member that may invite can come in many times. So those who were invited by a member that is no admin share its voice and
    /// its share of what members may make others keep, and never hold all copies of anything together with it. Say this of
    /// people you know, once: from then on the member, with those whom it invites, counts by itself. Only an admin's node
    /// can do it.
    Vouch {
        /// Its name, or its id as `members --json` shows it.
        #[arg(value_name = "NAME")]
        member: String,
        /// Believe it that much storage from now on, such as 40TB, if its invitation says less.
        #[arg(long, value_name = "SIZE", value_parser = fsdfs_node::config::size)]
        up_to: Option<u64>,
    },
    /// Remove a member that is dead, or that leaves in peace: its place in the pool is given to others.
    ///
    /// The others make its copies again at once. If its node comes back it is no member any more: it gets no new blocks, and hands
    /// over what it has. Its files stay. A node that still runs leaves better by `fsdfs leave`, which loses no copy; who is
    /// not to be trusted is revoked. The nodes of admins can do it, and those of its inviters. To come back it needs a new home
    /// folder and a new invitation.
    Remove {
        /// Its name as `members` shows it, or at least 8 digits of its id as `members --json` does.
        #[arg(value_name = "NAME")]
        member: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Revoke a member: it can no longer connect, read or write.
    ///
    /// Every node refuses it and closes connections to it as soon as it learns of the revocation. Its tickets end: no
    /// one can come in by them any more, and neither can it. Its files stay, and so do the members that have joined by its
    /// tickets, unless --with-invited is given. Its copies are lost to the pool and are re-replicated to other members.
    /// The keys of `pool` change: what is written from then on it cannot read, whatever it gets hold of. What it has
    /// already read or copied cannot be taken back. To come back it needs a new home folder and a new invitation.
    Revoke {
        /// Its name as `members` shows it, or at least 8 digits of its id as `members --json` does. What looks like an id
        /// is one; a name of that form is typed as name:NAME.
        #[arg(value_name = "NAME")]
        member: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Revoke all members, too, that it invited, and those that these invited.
        #[arg(long)]
        with_invited: bool,
        /// Sign it with the pool's root key from this file (- reads it, or its 24 words, from the standard input): needed
        /// to revoke an admin of higher rank, or if no admin's node is left.
        #[arg(long, value_name = "FILE")]
        root_key: Option<PathBuf>,
        /// Why; shown to the other members.
        #[arg(long, default_value = "revoked by a member")]
        reason: String,
    },
}

impl MembersCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        match self.action {
            None => {
                let members = api.client().members().await.map_err(|error| api.stop(&error))?;
                app.output.result(&members, app.program.in_hint(&shown(&members))).map(|()| ExitStatus::Fine)
            }
            Some(MembersAction::Revoke { member, yes, with_invited, root_key, reason }) => {
                let order = RevocationOrder { yes, with_invited, root_key, reason };
                revoke(app, &api, &member, order).await
            }
            Some(MembersAction::Remove { member, yes }) => remove(app, &api, &member, yes).await,
            Some(MembersAction::Vouch { member, up_to }) => {
                let vouch = NewVouch { up_to_bytes: up_to };
                let vouched = api.client().vouch_for_member(&member, &vouch).await.map_err(|error| api.stop(&error))?;
                let name = escape::name(vouched.name.as_bytes());
                let said = format!("{name} stands for itself, with those whom it invites");
                app.output.done(&vouched, said).map(|()| ExitStatus::Fine)
            }
        }
    }
}

/// How a member is to be revoked.
struct RevocationOrder {
    yes: bool,
    with_invited: bool,
    root_key: Option<PathBuf>,
    reason: String,
}

async fn revoke(app: &AppContext, api: &DaemonApi, wanted: &str, order: RevocationOrder) -> CliResult {
    let members = api.client().members().await.map_err(|error| api.stop(&error))?;
    let member = the_one(app, &members, wanted)?;
    if !order.yes && !agrees(app, member, &members, order.with_invited)? {
        app.output.note("nothing was changed");
        return Ok(ExitStatus::Failed);
    }
    let RevocationOrder { with_invited, reason, .. } = order;
    let revoked = match &order.root_key {
        None => api.client().revoke_member(&member.id, with_invited, &reason).await,
        Some(file) => {
            let order = RootRevocation { root_key: admins::read_root_key(file)?, with_invited, reason };
            api.client().revoke_with_root_key(&member.id, &order).await
        }
    };
    let revoked = revoked.map_err(|error| api.stop(&error))?;
    app.output.done(&revoked, achieved(&revoked)).map(|()| ExitStatus::Fine)
}

async fn remove(app: &AppContext, api: &DaemonApi, wanted: &str, yes: bool) -> CliResult {
    let members = api.client().members().await.map_err(|error| api.stop(&error))?;
    let member = the_one(app, &members, wanted)?;
    if !yes && !agrees_to_removal(app, member, &members)? {
        app.output.note("nothing was changed");
        return Ok(ExitStatus::Failed);
    }
    let removed = api.client().remove_member(&member.id).await.map_err(|error| api.stop(&error))?;
    let name = escape::name(removed.name.as_bytes());
    let mut text = format!("{name} is removed: its copies are made again on other members");
    if !removed.not_informed_yet.is_empty() {
        let names: Vec<String> = removed.not_informed_yet.iter().map(|name| escape::name(name.as_bytes())).collect();
        text += &format!("\nnot informed yet, as they cannot be reached from here: {}", human::list(&names));
    }
    app.output.done(&removed, text).map(|()| ExitStatus::Fine)
}

/// The member that is meant.
fn the_one<'a>(app: &AppContext, members: &'a Answer, wanted: &str) -> CliResult<&'a MemberEntry> {
    let named: MemberRef = wanted.parse().expect("any text names somebody");
    let named: Vec<&MemberEntry> = members.members.iter().filter(|member| is_meant(member, &named)).collect();
    let shown = escape::name(wanted.as_bytes());
    let list = app.program.command("members");
    match named.as_slice() {
        [member] => Ok(*member),
        [] => problem(format!("no member is called '{shown}'"), format!("list the members: {list}")),
        _ => {
            let one = |member: &&MemberEntry| format!("{} (invited by {})", member.id, inviter(member));
            let those: Vec<String> = named.iter().map(one).collect();
            problem(
                format!("several members are called '{shown}'"),
                format!("name it by its id: {}", human::list(&those)),
            )
        }
    }
}

/// What was done, and what was not.
fn achieved(revoked: &MemberRevokeReply) -> String {
    let names =
        |names: &[String]| human::list(&names.iter().map(|name| escape::name(name.as_bytes())).collect::<Vec<_>>());
    let name = escape::name(revoked.name.as_bytes());
    let mut text = format!("{name} is revoked");
    if !revoked.also_revoked.is_empty() {
        text += &format!(", and with it {}, invited by it", names(&revoked.also_revoked));
    }
    if revoked.tickets_ended > 0 {
        text += &format!("\nopen tickets that ended: {}", revoked.tickets_ended);
    }
    if !revoked.invited_and_staying.is_empty() {
        text += &format!(
            "\nmembers that it invited stay: {}; to revoke one: fsdfs members revoke NAME",
            names(&revoked.invited_and_staying)
        );
    }
    match revoked.keys {
        KeyOutcome::Unneeded => {}
        KeyOutcome::Changed => text += "\nnew keys: what is written from now on it cannot read",
        KeyOutcome::ChangedLater => {
            text += &format!(
                "\nnew keys come when the node of an admin hears of it ({}); until then it can read what it gets hold of",
                names(&revoked.keys_left_to)
            );
        }
        KeyOutcome::NotChanged => {
            text +=
                "\nno new keys: no admin's node is left to make them; name one: fsdfs admins add NAME --root-key FILE";
        }
    }
    if !revoked.informed.is_empty() {
        text += &format!("\ninformed, and refuse it from now on: {}", names(&revoked.informed));
    }
    if !revoked.not_informed_yet.is_empty() {
        text +=
            &format!("\nnot informed yet, as they cannot be reached from here: {}", names(&revoked.not_informed_yet));
    }
    text
}

/// Those that it invited, each as it can be typed.
fn invited_by(members: &Answer, inviter: &MemberEntry) -> Vec<String> {
    let invited = members.members.iter().filter(|member| {
        member.invited_by_id == inviter.id && member.id != inviter.id && member.presence != MemberPresence::Revoked
    });
    invited.map(|member| name_among(member, &members.members)).collect()
}

/// By name, or by at least eight digits of the id; a revoked member is revoked already.
fn is_meant(member: &MemberEntry, wanted: &MemberRef) -> bool {
    member.presence != MemberPresence::Revoked && wanted.means(&member.id, &member.name)
}

/// As it can be typed: with its id and who invited it, if another member's name looks the same.
pub fn name_among(member: &MemberEntry, members: &[MemberEntry]) -> String {
    let name = escape::member(&member.name);
    match has_double(member, members) {
        true => format!("{name} (id {}, invited by {})", short(&member.id), inviter(member)),
        false => name,
    }
}

fn has_double(member: &MemberEntry, members: &[MemberEntry]) -> bool {
    members.iter().any(|other| other.id != member.id && look_alike(&other.name, &member.name))
}

fn inviter(member: &MemberEntry) -> String {
    escape::name(member.invited_by.as_bytes())
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn agrees(app: &AppContext, member: &MemberEntry, members: &Answer, with_invited: bool) -> CliResult<bool> {
    let name = name_among(member, &members.members);
    if !io::stdin().is_terminal() {
        let again = app.program.command_of(["members", "revoke", &member.id, "--yes"]);
        return problem(
            format!("revoking {name} cannot be undone, and there is no terminal to ask on"),
            format!("if you are sure: {again}"),
        );
    }
    let me = if member.me { " THIS IS THE NODE YOU ARE TALKING TO." } else { "" };
    let offered = human::size(member.offered_bytes);
    // A name that another member has, too, or that nobody can type, does not show that this one is meant.
    let is_clear = !has_double(member, &members.members) && escape::member(&member.name) == member.name;
    let (what, expected) =
        if is_clear { ("name", &member.name[..]) } else { ("first 8 digits of its id", short(&member.id)) };
    let invited = invited_by(members, member);
    let below = match (&invited[..], with_invited) {
        ([], _) => String::new(),
        (invited, true) => {
            format!("It invited {}: they, and whom they invited, are revoked, too.\n", human::list(invited))
        }
        (invited, false) => format!("It invited {}: they stay (else: --with-invited).\n", human::list(invited)),
    };
    let text = format!(
        "Revoke {name} (id {}, invited by {}, site {}, {offered} offered)?{me}\n\
         It can no longer read or write here, its tickets end, and its copies are lost to the pool. Its files stay.\n\
         {below}This cannot be undone: it could only come back as a new member. Type the {what} to continue: ",
        short(&member.id),
        inviter(member),
        escape::name(member.site.as_bytes())
    );
    let mut answer = String::new();
    let asked = io::stderr().write_all(text.as_bytes()).and_then(|()| io::stdin().lock().read_line(&mut answer));
    Ok(asked.is_ok() && answer.trim() == expected)
}

fn agrees_to_removal(app: &AppContext, member: &MemberEntry, members: &Answer) -> CliResult<bool> {
    let name = name_among(member, &members.members);
    if !io::stdin().is_terminal() {
        let again = app.program.command_of(["members", "remove", &member.id, "--yes"]);
        return problem(
            format!("removing {name} cannot be undone, and there is no terminal to ask on"),
            format!("if you are sure: {again}"),
        );
    }
    let hint = match member.presence {
        MemberPresence::Up => {
            "It is up: 'fsdfs leave' there hands its copies over first, so that at no time there are fewer.\n"
        }
        _ => "",
    };
    let (id, offered) = (short(&member.id), human::size(member.offered_bytes));
    drain::ask(&app.program.in_hint(&format!(
        "{hint}Its copies ({offered} offered) are made again on other members. This cannot be undone.\n\
         Remove {name} (id {id}, invited by {})? [y/N] ",
        inviter(member)
    )))
}

fn shown(members: &Answer) -> String {
    let left = ColumnAlign::Left;
    let columns = [
        ("NAME", left),
        ("SITE", left),
        ("STATE", left),
        ("OFFERED", ColumnAlign::Right),
        ("ROLE", left),
        ("ADDRESSES", left),
    ];
    let mut table = TextTable::new(&columns);
    for member in &members.members {
        let me = if member.me { " (this node)" } else { "" };
        table.row([
            name_among(member, &members.members) + me,
            escape::name(member.site.as_bytes()),
            state(member),
            offered(member),
            role(member.role).into(),
            addresses(&member.addresses),
        ]);
    }
    let budget = match members.member_budget_bytes {
        0 => String::new(),
        bytes => format!("each member may use {} of all disks together, copies counted\n", human::size(bytes)),
    };
    format!("{table}{budget}{}", warnings(&members.warnings))
}

/// What a member offers, and how much of it is used if that is less.
fn offered(member: &MemberEntry) -> String {
    let offered = human::size(member.offered_bytes);
    match member.counted_bytes {
        counted if counted < member.offered_bytes => format!("{offered} ({} used)", human::size(counted)),
        _ => offered,
    }
}

fn state(member: &MemberEntry) -> String {
    let seen = |word: &str| match member.last_seen_s {
        Some(seconds) => format!("{word}, last seen {} ago", human::span(seconds)),
        None => format!("{word}, not seen since this node started"),
    };
    match member.presence {
        MemberPresence::Up if member.me => "up".into(),
        MemberPresence::Up if member.connected => {
            let via = member.via.as_ref().map_or(String::new(), |via| format!(" via {}", escape::name(via.as_bytes())));
            let rtt = member.rtt_ms.map_or(String::new(), |ms| format!(", {ms} ms"));
            format!("up{via}{rtt}")
        }
        MemberPresence::Up => "up, not connected to this node".into(),
        MemberPresence::Away => seen("away") + &excuse(member.away.as_ref()),
        MemberPresence::Departed => seen("departed"),
        MemberPresence::Removed if member.connected || member.me => "leaving".into(),
        MemberPresence::Removed => seen("removed"),
        MemberPresence::Revoked => "revoked".into(),
        MemberPresence::Other => "unknown".into(),
    }
}

/// What is known of an absence.
fn excuse(away: Option<&MemberAbsence>) -> String {
    let Some(away) = away else { return String::new() };
    let time = || human::time_ms(away.until_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or_default());
    let why = match away.reason {
        AbsenceReason::Announced => format!("; as announced, until {}", time()),
        AbsenceReason::UsualHours => format!("; usually back by {}", time()),
        AbsenceReason::Outage => "; fell silent together with others".into(),
        AbsenceReason::Unexplained | AbsenceReason::Other => String::new(),
    };
    let due = if away.overdue { "; its copies are due elsewhere" } else { "" };
    why + due
}

fn role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Full => "full",
        MemberRole::Reader => "reader",
        MemberRole::StorageOnly => "storage only",
    }
}

/// Addresses with what limits them.
pub fn addresses(addresses: &[NodeAddress]) -> String {
    let shown = |address: &NodeAddress| {
        let limit = match address.scope {
            AddressScope::Public | AddressScope::Name => "",
            AddressScope::Private => " (private: same network only)",
            AddressScope::Loopback => " (this machine only)",
        };
        escape::name(address.address.as_bytes()) + limit
    };
    addresses.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// Sentences, one a line.
pub fn warnings(warnings: &[AttentionItem]) -> String {
    warnings.iter().map(|warning| format!("! {}\n", escape::name(warning.text.as_bytes()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fsdfs_proto::control::AttentionReason;

    fn member(name: &str) -> MemberEntry {
        MemberEntry {
            id: "ab".repeat(32),
            name: name.into(),
            site: "cellar".into(),
            me: false,
            role: MemberRole::Full,
            presence: MemberPresence::Up,
            connected: true,
            rtt_ms: Some(12),
            via: None,
            last_seen_s: Some(3),
            since_s: None,
            away: None,
            facts_known_s: None,
            invited_by: "me".into(),
            invited_by_id: "ef".repeat(32),
            offered_bytes: 10 << 30,
            counted_bytes: 10 << 30,
            passed_on_bytes: 0,
            disks: 1,
            addresses: vec![NodeAddress { address: "192.168.1.7:4433".into(), scope: AddressScope::Private }],
        }
    }

    #[test]
    fn who_was_removed_is_leaving_as_long_as_it_is_there() {
        let removed = MemberEntry { presence: MemberPresence::Removed, connected: true, ..member("dan") };
        assert_eq!(state(&removed), "leaving");
        let gone = MemberEntry { connected: false, last_seen_s: Some(120), ..removed };
        assert!(state(&gone).starts_with("removed, last seen"), "{}", state(&gone));
    }

    #[test]
    fn the_table_says_what_limits_an_address_and_who_cannot_be_reached() {
        let away = MemberEntry {
            presence: MemberPresence::Away,
            last_seen_s: None,
            since_s: None,
            away: None,
            facts_known_s: None,
            addresses: Vec::new(),
            ..member("eve\u{1b}[1m")
        };
        let behind = MemberEntry { via: Some("anna".into()), rtt_ms: Some(43), ..member("bob") };
        let warning = AttentionItem { reason: AttentionReason::Other, text: "anna and eve cannot meet".into() };
        let members = vec![member("anna"), behind, away];
        let answer = Answer { members, warnings: vec![warning], member_budget_bytes: 0 };
        assert_eq!(
            shown(&answer),
            "NAME        SITE    STATE                                    OFFERED  ROLE  ADDRESSES\n\
             anna        cellar  up, 12 ms                               10.0 GiB  full  192.168.1.7:4433 (private: same network only)\n\
             bob         cellar  up via anna, 43 ms                      10.0 GiB  full  192.168.1.7:4433 (private: same network only)\n\
             eve\\x1b[1m  cellar  away, not seen since this node started  10.0 GiB  full\n\
             ! anna and eve cannot meet\n"
        );
    }

    #[test]
    fn the_answer_says_what_was_achieved_and_what_was_not() {
        let mut revoked = MemberRevokeReply {
            id: "11".into(),
            name: "bob".into(),
            also_revoked: vec![],
            invited_and_staying: vec![],
            tickets_ended: 0,
            informed: vec![],
            not_informed_yet: vec![],
            keys: KeyOutcome::Unneeded,
            keys_left_to: vec![],
        };
        assert_eq!(achieved(&revoked), "bob is revoked");
        revoked.keys = KeyOutcome::Changed;
        revoked.also_revoked = vec!["carol".into(), "dave".into()];
        revoked.tickets_ended = 1;
        revoked.informed = vec!["erin".into()];
        revoked.not_informed_yet = vec!["frank".into()];
        assert_eq!(
            achieved(&revoked),
            "bob is revoked, and with it carol and dave, invited by it\n\
             open tickets that ended: 1\n\
             new keys: what is written from now on it cannot read\n\
             informed, and refuse it from now on: erin\n\
             not informed yet, as they cannot be reached from here: frank"
        );
    }

    #[test]
    fn a_member_is_meant_by_name_or_by_enough_of_its_id() {
        let means = |member: &MemberEntry, text: &str| is_meant(member, &text.parse().expect("any text"));
        assert!(means(&member("anna"), "anna") && means(&member("anna"), "abababab"));
        assert!(!means(&member("anna"), "ab") && !means(&member("anna"), "ann"));
        assert!(!means(&MemberEntry { presence: MemberPresence::Revoked, ..member("anna") }, "anna"));
    }

    #[test]
    fn two_members_that_bear_each_others_id_are_told_apart() {
        let (one, other) = ("ab".repeat(32), "cd".repeat(32));
        let members = [
            MemberEntry { id: one.clone(), name: other.clone(), ..member("") },
            MemberEntry { id: other.clone(), name: one.clone(), ..member("") },
        ];
        for id in [&one, &other] {
            let named: MemberRef = id.parse().expect("any text");
            let meant: Vec<&String> =
                members.iter().filter(|member| is_meant(member, &named)).map(|member| &member.id).collect();
            assert_eq!(meant, [id]);
        }
        assert_eq!(name_among(&members[0], &members), format!("name:{other}"));
    }

    #[test]
    fn whom_a_member_invited_is_told_by_id_not_by_name() {
        let (anna, mallory) = (member("anna"), MemberEntry { id: "cd".repeat(32), ..member("anna") });
        let of = |inviter: &MemberEntry, name: &str| MemberEntry {
            id: name.repeat(32),
            invited_by_id: inviter.id.clone(),
            ..member(name)
        };
        let members = vec![of(&anna, "b1"), of(&mallory, "c1"), anna.clone(), mallory.clone()];
        let answer = Answer { members, warnings: Vec::new(), member_budget_bytes: 0 };
        assert_eq!((invited_by(&answer, &anna), invited_by(&answer, &mallory)), (vec!["b1".into()], vec!["c1".into()]));
    }

    #[test]
    fn a_borrowed_name_is_shown_with_id_and_inviter() {
        let thief = MemberEntry {
            id: "cd".repeat(32),
            name: "Anna\u{3164}".into(),
            invited_by: "mallory".into(),
            ..member("")
        };
        let text = shown(&Answer {
            members: vec![member("anna"), thief, member("bob")],
            warnings: Vec::new(),
            member_budget_bytes: 0,
        });
        let names: Vec<&str> = text.lines().map(|line| line.split("  ").next().unwrap_or_default()).collect();
        assert_eq!(
            names,
            ["NAME", "anna (id abababab, invited by me)", "Anna\\u{3164} (id cdcdcdcd, invited by mallory)", "bob",]
        );
    }
}
