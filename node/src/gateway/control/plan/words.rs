//! The plan's numbers with names and sentences.

use std::collections::BTreeMap;

use fsdfs_core::plan::{self, MemberChange, PlanAdvice, PoolSnapshot};
use fsdfs_core::report::{MemberList, MemberReport};
use fsdfs_proto::control::{
    ChangePlan, FailureLoss, InventorySample, MemberShare, MemberTraffic, MemberUplink, PlanMember, PlanSite,
    PoolCapacity, PoolPlan, ReplicationMargin, SitePair,
};
use fsdfs_proto::ids::NodeId;

use super::super::people::the_member;
use super::super::query::Wish;

/// Numbers with names.
pub(super) struct Words<'a> {
    pub pool: &'a PoolSnapshot,
    pub members: &'a MemberList,
    pub change: Option<&'a Wish>,
}

impl Words<'_> {
    pub fn plan(&self) -> PoolPlan {
        let told = plan::outlook(self.pool);
        let gives: BTreeMap<NodeId, u64> = self.gives();
        let member = |(node, loss): (&NodeId, &plan::LossReport)| PlanMember {
            id: node.to_string(),
            name: self.name(*node),
            site: self.site(*node),
            gives_bytes: gives.get(node).copied().unwrap_or_default(),
            holds_bytes: told.shares.get(node).copied().unwrap_or_default(),
            uplink: self.uplink(*node),
            loss: words_of(loss),
        };
        let mut members: Vec<PlanMember> = told.servers.iter().map(member).collect();
        members.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        let site = |(site, loss): (&String, &plan::LossReport)| PlanSite { site: site.clone(), loss: words_of(loss) };
        let pair = |((one, other), bytes): (&(String, String), &u64)| SitePair {
            sites: [one.clone(), other.clone()],
            lost_bytes: *bytes,
        };
        PoolPlan {
            found: self.found(),
            room: self.room(&told.room),
            members,
            sites: told.sites.iter().map(site).collect(),
            pairs: told.pairs.iter().map(pair).collect(),
            advice: self.advice(told.advice),
            attention: told.advice != PlanAdvice::Nothing,
        }
    }

    pub fn what_if(&self, told: &plan::WhatIf) -> ChangePlan {
        let mut members: Vec<MemberTraffic> =
            told.members.iter().map(|(node, change)| self.moved(*node, change)).collect();
        members.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        members.extend(told.newcomer.as_ref().map(|change| self.newcomer(change)));
        ChangePlan {
            change: self.described(),
            found: self.found(),
            now: self.room(&told.now),
            then: self.room(&told.then),
            members,
            move_bytes: told.copied,
            lost_bytes: told.lost,
            seconds: told.seconds,
            error_permille: told.error_permille,
            advice: self.advice(told.advice),
            attention: told.advice != PlanAdvice::Nothing && told.advice != PlanAdvice::NoStorage,
        }
    }

    fn moved(&self, node: NodeId, change: &MemberChange) -> MemberTraffic {
        MemberTraffic {
            id: Some(node.to_string()),
            name: self.name(node),
            site: self.site(node),
            holds_bytes: change.holds,
            holds_then_bytes: change.holds_then,
            in_bytes: change.flow.receives,
            out_bytes: change.flow.drops,
            sends_bytes: change.flow.sends,
            uplink: self.uplink(node),
            seconds: change.seconds,
        }
    }

    fn newcomer(&self, change: &MemberChange) -> MemberTraffic {
        let (name, site) = match self.change {
            Some(Wish::Add { name, site, .. }) => (name.clone(), site.clone().unwrap_or_else(|| "its own".into())),
            _ => Default::default(),
        };
        let uplink = MemberUplink { bytes_per_s: plan::UPLINK_ASSUMED, assumed: true };
        MemberTraffic { id: None, name, site, uplink, ..self.moved(NodeId([0; 32]), change) }
    }

    fn described(&self) -> String {
        let is_member = |name: &str| the_member(self.members, name).is_ok();
        let full =
            |name: &str| the_member(self.members, name).map_or_else(|_| name.into(), |member| member.name.clone());
        match self.change {
            Some(Wish::Add { name, bytes, .. }) if is_member(name) => {
                format!("another disk of {} at {}", size(*bytes), full(name))
            }
            Some(Wish::Add { name, bytes, site: None }) => {
                format!("{name} joins with {} at a site of its own", size(*bytes))
            }
            Some(Wish::Add { name, bytes, site: Some(site) }) => {
                let known = self.members.members.iter().any(|member| member.site == *site);
                let new = if known { "" } else { "the new " };
                format!("{name} joins with {} at {new}site {site}", size(*bytes))
            }
            Some(Wish::Remove(name)) => format!("{} is gone and hands nothing over", full(name)),
            Some(Wish::Drain(name)) => format!("{} hands over what it holds and takes nothing new", full(name)),
            Some(Wish::Copies(copies)) => {
                format!("{copies} copies of every file instead of {}", self.pool.survey.copies)
            }
            None => String::new(),
        }
    }

    fn found(&self) -> InventorySample {
        let blocks = &self.pool.blocks;
        let wanted = i64::from(self.pool.survey.copies);
        let less = |count: usize| i64::try_from(count).unwrap_or(i64::MAX) - wanted;
        InventorySample {
            stored_bytes: blocks.bytes(),
            blocks: blocks.count(),
            blocks_listed: blocks.seen().len() as u64,
            exact: blocks.is_whole(),
            margin: blocks.copies().map(|(least, most)| ReplicationMargin { min: less(least), max: less(most) }),
            silent: self.silent(),
        }
    }

    fn silent(&self) -> Vec<String> {
        self.pool.survey.silent.iter().map(|node| self.name(*node)).collect()
    }

    fn room(&self, room: &plan::PoolCapacity) -> PoolCapacity {
        let share =
            |(node, bytes): (&NodeId, &u64)| MemberShare { id: self.id(*node), name: self.name(*node), bytes: *bytes };
        PoolCapacity {
            copies: room.copies,
            given_bytes: room.given,
            usable_bytes: room.usable,
            copies_short: room.copies_short,
            sites_short: room.sites_short,
            stranded: room.stranded.iter().map(share).collect(),
        }
    }

    fn advice(&self, advice: PlanAdvice) -> String {
        match advice {
            PlanAdvice::HandOver { to_others: true } => {
                "It holds the only copies of some blocks: keep it running until 'fsdfs plan remove' no longer says so."
                    .into()
            }
            PlanAdvice::HandOver { to_others: false } => {
                "It holds the only copies of some blocks, and nobody is to get others: they are lost with it.".into()
            }
            PlanAdvice::Unheard => "It did not say what it holds: it may have the only copies of some blocks.".into(),
            PlanAdvice::NoStorage => "It gives no storage, so nothing moves.".into(),
            PlanAdvice::NoServer => {
                "No member with storage is left: let one join, or give space in config.toml, first.".into()
            }
            PlanAdvice::TooFull(bytes) => {
                format!("What is stored does not fit: room for {} more is needed first.", size(bytes))
            }
            PlanAdvice::MoreServers(count) => {
                format!("{} copies take {count} more with storage: invite {count}.", self.copies())
            }
            PlanAdvice::Missing(count) => format!(
                "Some blocks lack {count} of their copies: keep all members up until 'fsdfs plan' no longer says so."
            ),
            PlanAdvice::Absent(count) => format!(
                "Without what {} may hold, some blocks lack {count} of their copies: see that all who are missing come back.",
                self.silent().join(", ")
            ),
            PlanAdvice::MoreSites(count) => format!(
                "Copies share a site and burn together: {count} more with storage at another site would prevent that."
            ),
            PlanAdvice::Match { node, stranded, wanted } => format!(
                "{} of what is given is of no use, as no other site matches {}: {} more at other sites would make all of it useful.",
                size(stranded),
                self.match_for(node),
                size(wanted)
            ),
            PlanAdvice::OneCopy => "With one copy of every file, whatever a member loses is lost.".into(),
            PlanAdvice::NearlyFull(percent) => {
                format!("The pool is {percent} % full: give more space, or invite somebody who does.")
            }
            PlanAdvice::Nothing if self.change.is_some() => "Nothing stands against it.".into(),
            PlanAdvice::Nothing => "Nothing needs to be done.".into(),
        }
    }

    /// The site of a server, as a newcomer's may be one of its own.
    fn match_for(&self, node: NodeId) -> String {
        match (self.member(node), self.change) {
            (Some(member), _) => site_named(&member.site),
            (None, Some(Wish::Add { site: Some(site), .. })) => site_named(site),
            (None, _) => self.name(node),
        }
    }

    fn copies(&self) -> u8 {
        if let Some(Wish::Copies(copies)) = self.change { *copies } else { self.pool.survey.copies }
    }

    fn gives(&self) -> BTreeMap<NodeId, u64> {
        let servers = self.pool.survey.view.servers().iter();
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
            (Some(member), _) => member.name.clone(),
            (None, Some(Wish::Add { name, .. })) => name.clone(),
            (None, _) => node.short(),
        }
    }

    fn site(&self, node: NodeId) -> String {
        self.member(node).map(|member| member.site.clone()).unwrap_or_default()
    }
}

/// Sites that nobody named are called `site-` and a part of the node's id.
fn site_named(site: &str) -> String {
    if site.starts_with("site-") { site.into() } else { format!("site {site}") }
}

fn words_of(loss: &plan::LossReport) -> FailureLoss {
    FailureLoss {
        lost_bytes: loss.lost,
        heard: loss.heard,
        copy_bytes: loss.copied,
        seconds: loss.seconds,
        usable_bytes: loss.usable,
        copies: loss.copies,
    }
}

pub(super) fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}
