//! Members and invitations.

use axum::extract::{Path, RawQuery, State};
use fsdfs_core::report::{self, Presence};
use fsdfs_core::seam::InvitationReply;
use fsdfs_proto::control::{
    self, AttentionItem, AttentionReason, ErrorCode, InviteListing, InviteReply, InviteState, MemberListing, MemberRef,
    MemberRemoveReply, MemberRevokeReply, NewInvite, NewVouch, NodeAddress, RevokeReply, RootRevocation,
    UP_TO_BYTES_DEFAULT, VouchReply,
};
use fsdfs_proto::identity::{BOOTSTRAP_MAX, SecretKey, Ticket};
use fsdfs_proto::ids::{NodeId, PublicKey, unhex};

use super::failure::Failure;
use super::query::RequestQuery;
use super::{Answer, Context, Json, Shared, convert, reachability};
use crate::client::ReachReport;
use crate::gateway::words::attention;

/// An invitation expires after this long unless told otherwise.
const EXPIRES_S_DEFAULT: u64 = 3 * 24 * 3600;

/// All members, and which of them cannot reach each other.
#[utoipa::path(get, path = control::route::MEMBERS,
    responses((status = 200, body = MemberListing), (status = "default", body = control::ApiError)))]
pub(super) async fn members(State(context): Shared) -> Answer<MemberListing> {
    let found = context.client.members().await?;
    let members = found.members.iter().map(|member| convert::member(&context, &found, member)).collect();
    let warnings = reachability::warnings(&found.members);
    Ok(Json(MemberListing { members, warnings, member_budget_bytes: found.member_bytes_max }))
}

/// Revokes a member, given by name or id, and ends its tickets. Whoever joined by them stays, unless `with_invited`.
#[utoipa::path(delete, path = control::route::MEMBER,
    params(("member" = String, Path), ("reason" = Option<String>, Query), ("with_invited" = Option<bool>, Query)),
    responses((status = 200, body = MemberRevokeReply), (status = "default", body = control::ApiError)))]
pub(super) async fn revoke(
    State(context): Shared,
    Path(wanted): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer<MemberRevokeReply> {
    let query = RequestQuery::read(query.as_deref(), &["reason", "with_invited"])?;
    let (reason, with_invited) = (query.reason()?, query.with_invited()?);
    revoke_member(&context, &wanted, with_invited, reason, None).await.map(Json)
}

/// The same, signed by the pool's root key: an admin can be revoked, and the founder's node, too.
#[utoipa::path(post, path = control::route::MEMBER_REVOCATION, params(("member" = String, Path)), request_body = RootRevocation,
    responses((status = 200, body = MemberRevokeReply), (status = "default", body = control::ApiError)))]
pub(super) async fn revoke_with_root_key(
    State(context): Shared,
    Path(wanted): Path<String>,
    Json(order): Json<RootRevocation>,
) -> Answer<MemberRevokeReply> {
    let root = root_key(&order.root_key)?;
    revoke_member(&context, &wanted, order.with_invited, order.reason, Some(root)).await.map(Json)
}

async fn revoke_member(
    context: &Context,
    wanted: &str,
    with_invited: bool,
    reason: String,
    root: Option<SecretKey>,
) -> Result<MemberRevokeReply, Failure> {
    let found = context.client.members().await?;
    let member = the_member(&found, wanted)?;
    if member.me {
        let hint = "stop this node with 'fsdfs down', and revoke it on another member";
        return Err(Failure::new(ErrorCode::Forbidden, "this node cannot revoke itself", hint));
    }
    let achieved = context.client.revoke(PublicKey::from(member.node), with_invited, reason, root).await?;
    let names = |nodes: &[NodeId]| nodes.iter().map(|node| convert::name_of(&found, (*node).into())).collect();
    Ok(MemberRevokeReply {
        id: member.node.to_string(),
        name: member.label.clone(),
        also_revoked: names(achieved.revoked.get(1..).unwrap_or_default()),
        invited_and_staying: names(&achieved.staying),
        tickets_ended: achieved.tickets_ended,
        informed: names(&achieved.told),
        not_informed_yet: names(&achieved.unaware),
        keys: convert::keys(&achieved.keys),
        keys_left_to: match &achieved.keys {
            report::KeyChange::LeftTo(admins) => names(admins),
            _ => Vec::new(),
        },
    })
}

/// Removes a member, given by name or id, for good: it has no place in the pool any more, and hands over what it holds. The
/// nodes of admins may, and those of its inviters; and each node its own.
#[utoipa::path(post, path = control::route::MEMBER_REMOVAL, params(("member" = String, Path)),
    responses((status = 200, body = MemberRemoveReply), (status = "default", body = control::ApiError)))]
pub(super) async fn remove(State(context): Shared, Path(wanted): Path<String>) -> Answer<MemberRemoveReply> {
    let found = context.client.members().await?;
    let member = the_member(&found, &wanted)?;
    let removed = context.client.remove_member(member.node).await?;
    let names = |nodes: &[NodeId]| nodes.iter().map(|node| convert::name_of(&found, (*node).into())).collect();
    Ok(Json(MemberRemoveReply {
        id: member.node.to_string(),
        name: member.label.clone(),
        informed: names(&removed.told),
        not_informed_yet: names(&removed.unaware),
    }))
}

/// States that a member, given by name or id, stands for itself, whoever invited it. An admin's node alone may.
#[utoipa::path(post, path = control::route::MEMBER, params(("member" = String, Path)), request_body = NewVouch,
    responses((status = 200, body = VouchReply), (status = "default", body = control::ApiError)))]
pub(super) async fn vouch(
    State(context): Shared,
    Path(wanted): Path<String>,
    Json(new): Json<NewVouch>,
) -> Answer<VouchReply> {
    let found = context.client.members().await?;
    let member = the_member(&found, &wanted)?;
    context.client.vouch(member.node, new.up_to_bytes).await?;
    Ok(Json(VouchReply { id: member.node.to_string(), name: member.label.clone() }))
}

/// Whether it is the pool's is for the engine to say.
pub(super) fn root_key(text: &str) -> Result<SecretKey, Failure> {
    let wrong =
        || Failure::new(ErrorCode::BadRequest, "a root key is 64 hexadecimal digits", "see 'fsdfs admins --help'");
    unhex(text).map(SecretKey::new).ok_or_else(wrong)
}

/// The one member that is meant. A whole id means one, whatever others call themselves.
pub(super) fn the_member<'a>(found: &'a report::MemberList, wanted: &str) -> Result<&'a report::MemberReport, Failure> {
    let named: MemberRef = wanted.parse().expect("any text names somebody");
    let is_named = |member: &&report::MemberReport| named.means(&member.node.to_string(), &member.name);
    let here = |member: &&report::MemberReport| member.presence != Presence::Revoked;
    let matching: Vec<&report::MemberReport> = found.members.iter().filter(is_named).filter(here).collect();
    match matching.as_slice() {
        [only] => Ok(only),
        [] => Err(Failure::new(
            ErrorCode::NotFound,
            format!("no member is called {wanted:?}"),
            "see 'fsdfs members' for names and ids",
        )),
        several => {
            let one = |member: &&report::MemberReport| {
                format!("{} (invited by {})", member.node.short(), convert::name_of(found, member.invited_by))
            };
            let those: Vec<String> = several.iter().map(one).collect();
            let error = format!("several members are called {wanted:?}: {}", those.join(", "));
            Err(Failure::new(ErrorCode::BadRequest, error, "name it by its id, or at least 8 digits of it"))
        }
    }
}

/// At least eight digits of an id, from its beginning.
fn is_id(wanted: &str, id: &str) -> bool {
    wanted.len() >= 8 && id.starts_with(wanted)
}

/// All invitations that are known.
#[utoipa::path(get, path = control::route::INVITES,
    responses((status = 200, body = InviteListing), (status = "default", body = control::ApiError)))]
pub(super) async fn invites(State(context): Shared) -> Answer<InviteListing> {
    let found = context.client.members().await?;
    let now = context.client.wall_ms();
    let mut invites: Vec<InviteState> = found.tickets.iter().map(|ticket| invite_state(&found, ticket, now)).collect();
    let last_first = |invite: &InviteState| std::cmp::Reverse((invite.expires_at_ms == 0, invite.expires_at_ms));
    invites.sort_by_key(|invite| (last_first(invite), invite.id.clone()));
    Ok(Json(InviteListing { invites }))
}

fn invite_state(found: &report::MemberList, ticket: &report::TicketReport, now: u64) -> InviteState {
    let in_time = ticket.redeem_by == 0 || ticket.redeem_by >= now;
    InviteState {
        id: ticket.id.to_string(),
        issued_by: convert::name_of(found, ticket.issuer),
        expires_at_ms: ticket.redeem_by,
        uses: ticket.uses,
        used: ticket.used,
        open: in_time && !ticket.revoked && ticket.used < ticket.uses,
        revoked: ticket.revoked,
    }
}

/// Revokes an invitation. Members that joined with it stay.
#[utoipa::path(delete, path = control::route::INVITE, params(("invite" = String, Path)),
    responses((status = 200, body = RevokeReply), (status = "default", body = control::ApiError)))]
pub(super) async fn revoke_invite(State(context): Shared, Path(wanted): Path<String>) -> Answer<RevokeReply> {
    let found = context.client.members().await?;
    let matching: Vec<&report::TicketReport> =
        found.tickets.iter().filter(|ticket| is_id(&wanted, &ticket.id.to_string())).collect();
    let [ticket] = matching.as_slice() else {
        let error = match matching.len() {
            0 => format!("no invitation has the id {wanted:?}"),
            several => format!("{several} invitations have ids that begin with {wanted:?}"),
        };
        return Err(Failure::new(
            ErrorCode::NotFound,
            error,
            "give at least 8 digits of an id from 'fsdfs invite --list'",
        ));
    };
    context.client.revoke(ticket.subject, false, String::new(), None).await?;
    let id = ticket.id.to_string();
    Ok(Json(RevokeReply { name: id.clone(), id }))
}

/// Makes an invitation.
#[utoipa::path(post, path = control::route::INVITES, request_body = NewInvite,
    responses((status = 200, body = InviteReply), (status = "default", body = control::ApiError)))]
pub(super) async fn invite(State(context): Shared, Json(new): Json<NewInvite>) -> Answer<InviteReply> {
    let uses = new.uses.unwrap_or(1);
    if uses == 0 {
        return Err(Failure::bad_request("an invitation admits at least one newcomer (uses)"));
    }
    let redeem_by = match new.expires_s.unwrap_or(EXPIRES_S_DEFAULT) {
        0 => 0,
        seconds => context.client.wall_ms().saturating_add(seconds.saturating_mul(1000)),
    };
    let found = context.client.members().await?;
    let bootstrap = bootstrap(&found, &context.reach.read());
    let up_to = Some(new.up_to_bytes.unwrap_or(UP_TO_BYTES_DEFAULT)).filter(|bytes| *bytes > 0);
    let (seed, InvitationReply { chain, roots }) =
        context.client.invite(convert::role_wanted(new.role), redeem_by, uses, up_to).await?;
    let id = chain.last().map(|cert| cert.id().to_string()).unwrap_or_default();
    let ticket = Ticket {
        pool: context.pool,
        gate_secret: context.gate_secret.clone(),
        roots,
        chain,
        seed,
        bootstrap: bootstrap.members.clone(),
        pool_name: context.pool_name.clone(),
    };
    let is_reachable = bootstrap.is_reachable;
    let addresses: Vec<String> = bootstrap.members.into_iter().flat_map(|(_, addrs)| addrs).collect();
    let warnings = invite_warnings(&context, &addresses, is_reachable);
    let addresses = NodeAddress::described(&addresses);
    Ok(Json(InviteReply {
        ticket: ticket.text().as_str().to_owned(),
        id,
        expires_at_ms: redeem_by,
        uses,
        addresses,
        warnings,
    }))
}

/// To whom a newcomer can turn.
struct Bootstrap {
    members: Vec<(NodeId, Vec<String>)>,
    /// Whether one of them at least may be reached from outside.
    is_reachable: bool,
}

/// Members that are up, those first that can be reached from outside: the newcomer dials all of them at once, and whoever
/// answers lets it in. This node is one of them, wherever it is: the newcomer may sit beside it.
fn bootstrap(found: &report::MemberList, reach: &ReachReport) -> Bootstrap {
    let is_open =
        |address: &&String| !address.parse::<std::net::SocketAddr>().is_ok_and(|address| reach.is_closed(address));
    let reachable = |member: &report::MemberReport| match member.me {
        true => {
            let open: Vec<String> = member.addrs.iter().filter(is_open).cloned().collect();
            reachability::is_reachable_from_outside(&open)
        }
        false => reachability::is_reachable_from_outside(&member.addrs),
    };
    let usable =
        |member: &&report::MemberReport| (member.me || member.presence == Presence::Up) && !member.addrs.is_empty();
    let mut members: Vec<(bool, &report::MemberReport)> =
        found.members.iter().filter(usable).map(|member| (reachable(member), member)).collect();
    members.sort_by_key(|(reachable, member)| (!reachable, !member.me, member.node));
    if let Some(me) = members.iter().position(|(_, member)| member.me).filter(|me| *me >= BOOTSTRAP_MAX) {
        members.swap(me, BOOTSTRAP_MAX - 1);
    }
    members.truncate(BOOTSTRAP_MAX);
    Bootstrap {
        is_reachable: members.iter().any(|(reachable, _)| *reachable),
        members: members.into_iter().map(|(_, member)| (member.node, member.addrs.clone())).collect(),
    }
}

fn invite_warnings(context: &Context, addresses: &[String], is_reachable: bool) -> Vec<AttentionItem> {
    let name = &context.config.name;
    let reason = match addresses {
        _ if is_reachable => return Vec::new(),
        [] => AttentionReason::NoAddressInTicket,
        _ if reachability::is_reachable_from_outside(addresses) => AttentionReason::NoOneReachable,
        _ => reachability::closed_in(name, addresses),
    };
    vec![attention::item(reason)]
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::identity::Role;

    use super::*;
    use crate::client::Reachability;

    fn member(number: u8, me: bool, addrs: &[&str]) -> report::MemberReport {
        report::MemberReport {
            node: NodeId([number; 32]),
            me,
            presence: Presence::Up,
            addrs: addrs.iter().map(ToString::to_string).collect(),
            name: String::new(),
            label: String::new(),
            site: String::new(),
            disks: Vec::new(),
            believed: 0,
            full_percent: 0,
            role: Role::Full,
            connected: true,
            rtt_ms: None,
            uplink_kib: None,
            passed_on_bytes: 0,
            seen: report::PresenceReport::default(),
            heard_s: None,
            invited_by: NodeId([1; 32]).into(),
        }
    }

    fn numbers(bootstrap: &Bootstrap) -> Vec<u8> {
        bootstrap.members.iter().map(|(node, _)| node.0[0]).collect()
    }

    #[test]
    fn whoever_can_be_reached_goes_first_and_the_inviter_is_always_there() {
        let mut list = report::MemberList { members: vec![member(9, true, &["192.168.1.2:7"])], ..Default::default() };
        let alone = bootstrap(&list, &ReachReport::default());
        assert_eq!((numbers(&alone), alone.is_reachable), (vec![9], false));
        list.members.extend([member(3, false, &["10.0.0.1:7"]), member(4, false, &["100.0.0.4:7", "10.0.0.2:7"])]);
        list.members.push(report::MemberReport { presence: Presence::Away, ..member(5, false, &["100.0.0.5:7"]) });
        let three = bootstrap(&list, &ReachReport::default());
        assert_eq!((numbers(&three), three.is_reachable), (vec![4, 9, 3], true));
        list.members.extend((20..40).map(|number| member(number, false, &["100.0.0.9:7"])));
        assert_eq!(numbers(&bootstrap(&list, &ReachReport::default())), [4, 20, 21, 22, 23, 24, 25, 9]);
    }

    #[test]
    fn an_address_that_members_tried_in_vain_reaches_nobody() {
        let list = report::MemberList { members: vec![member(9, true, &["[2001:db8::1]:7"])], ..Default::default() };
        let mut reach = ReachReport::default();
        assert!(bootstrap(&list, &reach).is_reachable);
        reach.verdicts.insert("[2001:db8::1]:7".parse().expect("an address"), Reachability::Closed);
        assert!(!bootstrap(&list, &reach).is_reachable);
    }
}
