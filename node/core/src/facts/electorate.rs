//! Who has a voice about whether a member is gone: branches, and sites.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::NodeId;

use super::branches::BranchId;
use super::member::{MemberInfo, MemberStatus};

/// Branches that have to agree at least: nobody is called gone by one alone.
const BRANCHES_MIN: usize = 2;

/// The members in good standing, by branch and by site.
pub(super) struct Electorate<'a> {
    branches: BTreeMap<BranchId, BTreeSet<NodeId>>,
    sites: BTreeMap<&'a str, BTreeSet<NodeId>>,
}

/// Where a member is, as its card says; one without a card is nowhere yet.
pub(super) fn site_of(member: &MemberInfo) -> Option<&str> {
    member.card.as_ref().map(|card| &card.value().site[..])
}

impl<'a> Electorate<'a> {
    pub fn of(members: &'a BTreeMap<NodeId, MemberInfo>) -> Self {
        let mut electorate = Self { branches: BTreeMap::new(), sites: BTreeMap::new() };
        for (node, member) in members.iter().filter(|(_, member)| member.status == MemberStatus::Member) {
            if let Some(branch) = member.branch {
                electorate.branches.entry(branch).or_default().insert(*node);
            }
            if let Some(site) = site_of(member) {
                electorate.sites.entry(site).or_default().insert(*node);
            }
        }
        electorate
    }

    /// Whether those who say that `node` is gone are most of the branches and most of the sites.
    pub fn agrees(&self, node: NodeId, sayers: &BTreeSet<NodeId>) -> bool {
        self.branches_agree(node, sayers) && self.sites_agree(node, sayers)
    }

    /// More than half of the branches with somebody beside `node` in them, two at least. The head of a branch speaks for it;
    /// without it, more than half of its other members do.
    fn branches_agree(&self, node: NodeId, sayers: &BTreeSet<NodeId>) -> bool {
        let voices = self.branches.iter().filter_map(|(BranchId(head), members)| {
            let by_head = *head != node && members.contains(head);
            let most = says(members, node, sayers)?;
            Some(if by_head { sayers.contains(head) } else { most })
        });
        let voices: Vec<bool> = voices.collect();
        let agreeing = voices.iter().filter(|says| **says).count();
        agreeing >= BRANCHES_MIN && 2 * agreeing > voices.len()
    }

    /// More than half of all sites, that of `node` among them: so two parts of a cut pool never both have most. Of a site,
    /// more than half of those who are there. Before anybody said where it is, there is no site to ask.
    fn sites_agree(&self, node: NodeId, sayers: &BTreeSet<NodeId>) -> bool {
        let agreeing = self.sites.values().filter(|members| says(members, node, sayers) == Some(true)).count();
        2 * agreeing > self.sites.len() || self.sites.is_empty()
    }
}

/// Whether more than half of these beside `node` say so; none if there is nobody else.
fn says(members: &BTreeSet<NodeId>, node: NodeId, sayers: &BTreeSet<NodeId>) -> Option<bool> {
    let others = members.iter().filter(|member| **member != node);
    let (count, saying) =
        others.fold((0, 0), |(count, saying), member| (count + 1, saying + usize::from(sayers.contains(member))));
    (count > 0).then_some(2 * saying > count)
}
