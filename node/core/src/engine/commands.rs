//! Which machine a command is for.

use super::admin::{self, MemberParts, RevocationOrder, TicketTerms};
use super::blocks::PutItem;
use super::event::Event;
use super::machines::Engine;
use crate::seam::{Command, OpId, Refusal, Reply, RulesChange, Waiter};

impl Engine {
    pub(super) fn on_command(&mut self, op: OpId, command: Command) {
        let cx = &mut self.cx;
        if cx.is_out() && command.changes_pool() {
            // Nobody would take it from this node.
            return cx.reply(op, command.refused(Refusal::Revoked));
        }
        if matches!(command, Command::PutBlock { .. } | Command::GetBlock { .. }) {
            cx.note_users();
        }
        match command {
            Command::PutBlock { .. } if cx.duplicate_identity => {
                cx.reply(op, command.refused(Refusal::DuplicateIdentity));
            }
            Command::PutBlock { block, redundancy, more } => {
                let item = PutItem::Block { block, redundancy, probe: true, more, reserve: false };
                self.puts.start(cx, item, Waiter::Client(op));
            }
            Command::GetBlock { id } => self.gets.get(cx, id, Waiter::Client(op)),
            Command::Edit { volume, change } => self.commits.edit(cx, op, volume, change),
            Command::Query { volume, state, query } => {
                self.tree_queries.start(cx, &mut self.queries, op, (volume, state, query));
            }
            Command::RenewLeases { blocks } => self.renewals.start(cx, op, blocks),
            Command::Locate { ids } => self.locates.start(cx, op, ids),
            Command::Assure { blocks } => self.assurances.start(cx, op, blocks),
            Command::Prove { id, holders } => self.proof(|proofs, parts| proofs.start(parts, op, id, holders)),
            Command::Inventory => self.inventories.start(cx, op),
            Command::Cancel { op } => {
                self.puts.cancel(op);
                self.gets.cancel(op);
                self.commits.cancel(op);
                self.tree_queries.cancel(op);
                self.locates.cancel(op);
                self.assurances.cancel(op);
                self.proofs.cancel(cx, op);
                self.inventories.cancel(op);
                self.renewals.cancel(op);
            }
            Command::Members => {
                let parts =
                    MemberParts { cx, liveness: &self.liveness, presence: &self.presence, relays: &self.relays };
                let members = admin::members(&parts);
                cx.reply(op, Reply::Members(members));
            }
            Command::Status => {
                let status = admin::status(&self.status_parts());
                self.cx.reply(op, Reply::Status(Box::new(status)));
            }
            Command::Absence => admin::show_absence(cx, op),
            Command::ChangeAbsence(change) => admin::change_absence(cx, &mut self.gossip, op, change),
            Command::Drain => {
                let report = admin::drain(&self.drain_parts(), op);
                self.cx.raise(report);
            }
            Command::ChangeDrain { drain } => match admin::change_drain(cx, &mut self.gossip, drain) {
                // The card follows, and the map.
                Ok(()) => cx.raise(Event::DrainChanged { op }),
                Err(refusal) => cx.reply(op, Reply::Refused(refusal)),
            },
            Command::ChangeDiskDrain { disk, drain } => {
                match admin::change_disk_drain(cx, &mut self.gossip, disk, drain) {
                    Ok(()) => cx.raise(Event::DrainChanged { op }),
                    Err(refusal) => cx.reply(op, Reply::Refused(refusal)),
                }
            }
            Command::RemoveMember { node } => admin::remove_member(cx, &mut self.gossip, op, node),
            Command::ClusterMap => {
                cx.reply(op, Reply::ClusterMap(Box::new(admin::cluster_map(cx))));
            }
            Command::Invite { subject, role, redeem_by, uses, up_to_bytes } => {
                let weight_max = up_to_bytes.map_or(0, |bytes| self.card.units(bytes));
                let terms = TicketTerms { subject, role, redeem_by, uses, weight_max };
                admin::invite(cx, &mut self.gossip, op, terms);
            }
            Command::Revoke { subject, with_invited, reason, root } => {
                admin::revoke(cx, &mut self.gossip, op, RevocationOrder { subject, with_invited, reason, root });
            }
            Command::NameAdmins { root, member, add } => {
                admin::name_admins(cx, &mut self.gossip, op, (&root, member, add));
            }
            Command::RootKey => {
                cx.reply(op, Reply::RootKey(Box::new(admin::root_key(cx))));
            }
            Command::ReplaceRootKey { root, without } => {
                admin::replace_root_key(cx, &mut self.gossip, op, (&root, &without));
            }
            Command::Rules => {
                cx.reply(op, Reply::Rules(Box::new(cx.facts.rules())));
            }
            Command::ChangeRules { root, copies, up_to_bytes, member_bytes_max } => {
                let weight_max = up_to_bytes.map(|bytes| self.card.units(bytes));
                let change = RulesChange { copies, weight_max, member_bytes_max };
                admin::change_rules(cx, &mut self.gossip, op, (root.as_ref(), &change));
            }
            Command::Vouch { node, up_to_bytes } => {
                let weight_max = up_to_bytes.map_or(0, |bytes| self.card.units(bytes));
                admin::vouch(cx, &mut self.gossip, op, node, weight_max);
            }
        }
    }
}
