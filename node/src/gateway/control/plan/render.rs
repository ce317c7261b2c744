//! The plan's numbers with names and sentences.

use std::collections::BTreeMap;

use fsdfs_core::plan::{self, MemberChange, PoolSnapshot};
use fsdfs_core::report::{MemberList, MemberReport};
use fsdfs_proto::control::{
    AdviceItem, AdviceReason, ChangePlan, FailureLoss, InventorySample, MemberShare, MemberTraffic, MemberUplink,
    PlanMember, PlanSite, PoolCapacity, PoolPlan, ReplicationMargin, SitePair,
};
use fsdfs_proto::ids::NodeId;

use super::super::members::the_member;
use super::super::query::ChangeRequest;
use crate::gateway::words::advice::{AdviceContext, advice};
use crate::gateway::words::size;

/// Numbers with names.
pub(super) struct PlanRenderer<'a> {
    pub pool: &'a PoolSnapshot,
    pub members: &'a MemberList,
    pub change: Option<&'a ChangeRequest>,
}

impl PlanRenderer<'_> {
    pub fn plan(&self) -> PoolPlan {
        let outlook = plan::risk_report(self.pool);
        let offered: BTreeMap<NodeId, u64> = self.offered();
        let member = |(node, loss): (&NodeId, &plan::LossReport)| PlanMember {
            id: node.to_string(),
            name: self.name(*node),
            site: self.site(*node),
            offered_bytes: offered.get(node).copied().unwrap_or_default(),
            share_bytes: outlook.shares.get(node).copied().unwrap_or_default(),
            uplink: self.uplink(*node),
            loss: failure_loss(loss),
        };
        let mut members: Vec<PlanMember> = outlook.servers.iter().map(member).collect();
        members.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        let site =
            |(site, loss): (&String, &plan::LossReport)| PlanSite { site: site.clone(), loss: failure_loss(loss) };
        let pair = |((one, other), bytes): (&(String, String), &u64)| SitePair {
            sites: [one.clone(), other.clone()],
            lost_bytes: *bytes,
        };
        PoolPlan {
            inventory: self.inventory(),
            capacity: self.capacity(&outlook.room),
            members,
            sites: outlook.sites.iter().map(site).collect(),
            site_pairs: outlook.pairs.iter().map(pair).collect(),
            advice: self.advice(outlook.advice),
        }
    }

    pub fn what_if(&self, outcome: &plan::WhatIf) -> ChangePlan {
        let mut members: Vec<MemberTraffic> =
            outcome.members.iter().map(|(node, change)| self.moved(*node, change)).collect();
        members.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        members.extend(outcome.newcomer.as_ref().map(|change| self.newcomer(change)));
        ChangePlan {
            change: self.described(),
            inventory: self.inventory(),
            capacity_now: self.capacity(&outcome.now),
            capacity_after: self.capacity(&outcome.then),
            members,
            transfer_bytes: outcome.copied,
            transfer_s: outcome.seconds,
            lost_bytes: outcome.lost,
            error_permille: outcome.error_permille,
            advice: self.advice(outcome.advice),
        }
    }

    fn moved(&self, node: NodeId, change: &MemberChange) -> MemberTraffic {
        MemberTraffic {
            id: Some(node.to_string()),
            name: self.name(node),
            site: self.site(node),
            now_bytes: change.holds,
            after_bytes: change.holds_then,
            receives_bytes: change.flow.receives,
            frees_bytes: change.flow.frees,
            uploads_bytes: change.flow.uploads,
            uplink: self.uplink(node),
            upload_s: change.seconds,
        }
    }

    fn newcomer(&self, change: &MemberChange) -> MemberTraffic {
        let (name, site) = match self.change {
            Some(ChangeRequest::Add { name, site, .. }) => {
                (name.clone(), site.clone().unwrap_or_else(|| "its own".into()))
            }
            _ => Default::default(),
        };
        let uplink = MemberUplink { bytes_per_s: plan::UPLINK_ASSUMED, assumed: true };
        MemberTraffic { id: None, name, site, uplink, ..self.moved(NodeId([0; 32]), change) }
    }

    fn described(&self) -> String {
        let is_member = |name: &str| the_member(self.members, name).is_ok();
        let full =
            |name: &str| the_member(self.members, name).map_or_else(|_| name.into(), |member| member.label.clone());
        match self.change {
            Some(ChangeRequest::Add { name, bytes, .. }) if is_member(name) => {
                format!("another disk with {} at {}", size(*bytes), full(name))
            }
            Some(ChangeRequest::Add { name, bytes, site: None }) => {
                format!("{name} joins with {} at a site of its own", size(*bytes))
            }
            Some(ChangeRequest::Add { name, bytes, site: Some(site) }) => {
                let known = self.members.members.iter().any(|member| member.site == *site);
                let new = if known { "" } else { "the new " };
                format!("{name} joins with {} at {new}site {site}", size(*bytes))
            }
            Some(ChangeRequest::Remove(name)) => {
                format!("{} leaves at once, without handing over its blocks", full(name))
            }
            Some(ChangeRequest::Drain(name)) => {
                format!("{} is drained: it hands over its blocks and takes no new ones", full(name))
            }
            Some(ChangeRequest::Copies(copies)) => {
                format!("{copies} copies of every file instead of {}", self.pool.inventory.copies)
            }
            None => String::new(),
        }
    }

    fn inventory(&self) -> InventorySample {
        let blocks = &self.pool.blocks;
        let wanted = i64::from(self.pool.inventory.copies);
        let less = |count: usize| i64::try_from(count).unwrap_or(i64::MAX) - wanted;
        InventorySample {
            stored_bytes: blocks.bytes(),
            blocks: blocks.count(),
            blocks_listed: blocks.listed().len() as u64,
            exact: blocks.is_whole(),
            replication_margin: blocks
                .copies()
                .map(|(least, most)| ReplicationMargin { min: less(least), max: less(most) }),
            unresponsive: self.unresponsive(),
        }
    }

    fn unresponsive(&self) -> Vec<String> {
        self.pool.inventory.silent.iter().map(|node| self.name(*node)).collect()
    }

    fn capacity(&self, room: &plan::PoolCapacity) -> PoolCapacity {
        let share =
            |(node, bytes): (&NodeId, &u64)| MemberShare { id: self.id(*node), name: self.name(*node), bytes: *bytes };
        PoolCapacity {
            copies: room.copies,
            offered_bytes: room.given,
            usable_bytes: room.usable,
            copies_short: room.copies_short,
            sites_short: room.sites_short,
            stranded: room.stranded.iter().map(share).collect(),
        }
    }

    fn advice(&self, advised: plan::PlanAdvice) -> AdviceItem {
        let reason = match advised {
            plan::PlanAdvice::HandOver { to_others } => AdviceReason::OnlyCopies { can_hand_over: to_others },
            plan::PlanAdvice::NotListed => AdviceReason::InventoryUnknown,
            plan::PlanAdvice::NoStorage => AdviceReason::NoStorage,
            plan::PlanAdvice::NoServer => AdviceReason::NoServer,
            plan::PlanAdvice::TooFull(missing_bytes) => AdviceReason::OverCapacity { missing_bytes },
            plan::PlanAdvice::MoreServers(missing) => AdviceReason::TooFewServers { missing },
            plan::PlanAdvice::Missing(missing_copies) => AdviceReason::UnderReplicated { missing_copies },
            plan::PlanAdvice::Absent(missing_copies) => {
                AdviceReason::MembersUnresponsive { missing_copies, names: self.unresponsive() }
            }
            plan::PlanAdvice::MoreSites(missing) => AdviceReason::TooFewSites { missing },
            plan::PlanAdvice::Match { node, stranded, missing: wanted } => {
                AdviceReason::StrandedSpace { at: self.match_for(node), stranded_bytes: stranded, needed_bytes: wanted }
            }
            plan::PlanAdvice::OneCopy => AdviceReason::SingleCopy,
            plan::PlanAdvice::NearlyFull(percent) => AdviceReason::NearlyFull { percent },
            plan::PlanAdvice::Nothing => AdviceReason::None,
        };
        advice(reason, AdviceContext { copies: self.copies(), is_change: self.change.is_some() })
    }

    /// The site of a server, as a newcomer's may be one of its own.
    fn match_for(&self, node: NodeId) -> String {
        match (self.member(node), self.change) {
            (Some(member), _) => site_named(&member.site),
            (None, Some(ChangeRequest::Add { site: Some(site), .. })) => site_named(site),
            (None, _) => self.name(node),
        }
    }

    fn copies(&self) -> u8 {
        if let Some(ChangeRequest::Copies(copies)) = self.change { *copies } else { self.pool.inventory.copies }
    }

    fn offered(&self) -> BTreeMap<NodeId, u64> {
        let servers = self.pool.inventory.view.servers().iter();
        servers.map(|server| (server.id, server.weight().saturating_mul(self.pool.unit_bytes))).collect()
    }

    fn uplink(&self, node: NodeId) -> MemberUplink {
        let (bytes_per_s, assumed) = self.pool.uplink(node);
        MemberUplink { bytes_per_s, assumed }
    }

    fn member(&self, node: NodeId) -> Option<&MemberReport> {
        self.members.members.iter().find(|member| member.node == node)
    }

    fn id(&self, node: NodeId) -> String {
        self.member(node).map(|member| member.node.to_string()).unwrap_or_default()
    }

    /// A newcomer has no entry among the members.
    fn name(&self, node: NodeId) -> String {
        match (self.member(node), self.change) {
            (Some(member), _) => member.label.clone(),
            (None, Some(ChangeRequest::Add { name, .. })) => name.clone(),
            (None, _) => node.short(),
        }
    }

    fn site(&self, node: NodeId) -> String {
        self.member(node).map(|member| member.site.clone()).unwrap_or_default()
    }
}

/// Sites without a name of their own are called `site-` and a part of the node's id.
fn site_named(site: &str) -> String {
    if site.starts_with("site-") { site.into() } else { format!("site {site}") }
}

fn failure_loss(loss: &plan::LossReport) -> FailureLoss {
    FailureLoss {
        lost_bytes: loss.lost,
        lost_is_complete: loss.complete,
        re_replicate_bytes: loss.copied,
        repair_s: loss.seconds,
        usable_bytes: loss.usable,
        copies: loss.copies,
    }
}
