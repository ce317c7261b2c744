//! Blocks with copies in one place only.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::NodeId;

use super::pool::PoolSnapshot;

/// Bytes of blocks that are nowhere else. Copies at members that are no servers do not count, unless there are no others.
#[derive(Default)]
pub(super) struct SoleCopies<'a> {
    pub members: BTreeMap<NodeId, u64>,
    pub sites: BTreeMap<&'a str, u64>,
    pub pairs: BTreeMap<(&'a str, &'a str), u64>,
}

impl<'a> SoleCopies<'a> {
    pub fn of(pool: &'a PoolSnapshot) -> Self {
        let mut only = Self::default();
        for block in pool.blocks.listed() {
            let bytes = block.len;
            let holders: Vec<(NodeId, &str)> =
                block.holders.iter().filter_map(|node| Some((*node, site(pool, *node)?))).collect();
            let last = match holders.as_slice() {
                [] => &block.holders[..],
                [(node, _)] => std::slice::from_ref(node),
                _ => &[],
            };
            last.iter().for_each(|node| *only.members.entry(*node).or_default() += bytes);
            let sites: BTreeSet<&str> = holders.iter().map(|(_, site)| *site).collect();
            match sites.into_iter().collect::<Vec<_>>().as_slice() {
                [site] => *only.sites.entry(site).or_default() += bytes,
                [one, other] => *only.pairs.entry((one, other)).or_default() += bytes,
                _ => {}
            }
        }
        let whole = |bytes: &mut u64| *bytes = pool.blocks.whole(*bytes);
        only.members.values_mut().chain(only.sites.values_mut()).chain(only.pairs.values_mut()).for_each(whole);
        only
    }
}

/// Bytes that no server has but this member, which need not be a server itself.
pub(super) fn only_on(pool: &PoolSnapshot, node: NodeId) -> u64 {
    SoleCopies::of(pool).members.get(&node).copied().unwrap_or(0)
}

/// The site of a server.
pub(super) fn site(pool: &PoolSnapshot, node: NodeId) -> Option<&str> {
    pool.inventory.view.server(node).map(|server| server.site.as_str())
}
