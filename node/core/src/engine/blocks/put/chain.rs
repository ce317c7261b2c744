//! How a block gets to several holders: to each directly, or once, along a chain of them. What the writer decides, and how it goes
//! on where a chain breaks.
//!
//! Promise: a chain is taken only where it is faster, as far as speeds are known. Each holder confirms for itself, so nothing here
//! makes a copy count; and whoever does not get the block along the chain is sent it directly, once, soon after it could be known.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::RequestId;
use fsdfs_proto::message::meeting::RELAY_HOLDERS_MAX;

use crate::limits::{RELAY_GAIN_PERCENT, RELAYED_FACTOR, RELAYED_MS_MIN};

/// A holder that is to get a block, as its writer knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChainHolder<'a> {
    pub node: NodeId,
    /// Of its card; members at one site have one line.
    pub site: &'a str,
    /// KiB/s upwards, if its card says so.
    pub uplink_kib: Option<u32>,
    /// At the writer's own site, in its local network, or connected over a relay: see `Context::is_off_chains`.
    pub is_off_chains: bool,
    /// It failed to pass blocks on lately: it may be the last of a chain, and no other.
    pub is_last_only: bool,
}

/// Who gets the bytes from the writer, and who from another holder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct BlockRoute {
    /// From the writer.
    pub direct: Vec<NodeId>,
    /// The first from the writer, each other one from the one before it; none, or two at least.
    pub chain: Vec<NodeId>,
}

impl BlockRoute {
    /// Each from the writer.
    pub fn direct(nodes: Vec<NodeId>) -> Self {
        Self { direct: nodes, chain: Vec::new() }
    }
}

/// Holders at one site, which pass a block on among themselves at no cost.
struct SiteGroup<'a> {
    holders: Vec<ChainHolder<'a>>,
    /// Of their common line. Unknown ones are like the writer's.
    uplink: u64,
}

impl SiteGroup<'_> {
    /// Somebody in it can send the block to the next site.
    fn passes_on(&self) -> bool {
        self.holders.iter().any(|holder| !holder.is_last_only)
    }
}

/// The route of a block whose writer has this uplink, in KiB/s, if its owner told.
pub(super) fn route(id: BlockId, uplink_kib: Option<u32>, holders: &[ChainHolder<'_>]) -> BlockRoute {
    let nodes = |holders: &[ChainHolder<'_>]| holders.iter().map(|holder| holder.node).collect::<Vec<NodeId>>();
    let (near, far): (Vec<_>, Vec<_>) = holders.iter().copied().partition(|holder| holder.is_off_chains);
    let (groups, direct) = (by_site(uplink_kib, &far), BlockRoute::direct(nodes(holders)));
    let fits = (2..=RELAY_HOLDERS_MAX + 1).contains(&far.len());
    if !fits || !is_faster(own_uplink(uplink_kib, &far), &groups, far.len()) {
        return direct;
    }
    let Some(chain) = order(id, groups) else { return direct };
    debug_assert_eq!(near.len() + chain.len(), holders.len(), "each gets the block once");
    BlockRoute { direct: nodes(&near), chain: nodes(&chain) }
}

/// What the writer's own line is taken for: what its owner told, else what the fastest other one is.
fn own_uplink(uplink_kib: Option<u32>, far: &[ChainHolder<'_>]) -> u64 {
    let fastest = || far.iter().filter_map(|holder| holder.uplink_kib).max();
    u64::from(uplink_kib.or_else(fastest).unwrap_or(1).max(1))
}

fn by_site<'a>(uplink_kib: Option<u32>, far: &[ChainHolder<'a>]) -> Vec<SiteGroup<'a>> {
    let own = own_uplink(uplink_kib, far);
    let mut sites = BTreeMap::<&str, Vec<ChainHolder<'a>>>::new();
    far.iter().for_each(|holder| sites.entry(holder.site).or_default().push(*holder));
    let group = |mut holders: Vec<ChainHolder<'a>>| {
        // Whoever passes nothing on stands behind the others of its site.
        holders.sort_by_key(|holder| (holder.is_last_only, holder.node));
        let told = holders.iter().filter_map(|holder| holder.uplink_kib).max();
        SiteGroup { holders, uplink: told.map_or(own, |kib| u64::from(kib.max(1))) }
    };
    sites.into_values().map(group).collect()
}

/// Direct, the writer's line carries each block once for each holder. Along a chain it carries it once, and all other lines
/// together once for each site but the last.
fn is_faster(own: u64, groups: &[SiteGroup<'_>], holders: usize) -> bool {
    let all: u64 = groups.iter().map(|group| group.uplink).sum();
    let hops = groups.len().saturating_sub(1) as u64;
    let once = all.checked_div(hops).map_or(own, |passed| passed.min(own));
    once * holders as u64 * 100 > own * RELAY_GAIN_PERCENT
}

/// The last site sends nothing. Which it is, is drawn by the block's id, so that all lend their lines as far as they are fast: the
/// slowest is last most often. Before it the faster ones come first, equal ones in another order for each block.
fn order<'a>(id: BlockId, mut groups: Vec<SiteGroup<'a>>) -> Option<Vec<ChainHolder<'a>>> {
    groups.sort_by_key(|group| (Reverse(group.uplink), near_id(id, group)));
    let last = groups.remove(last_of(id, &groups)?);
    groups.push(last);
    debug_assert!(groups.iter().all(|group| !group.holders.is_empty()), "a site is one of a holder");
    let mut chain: Vec<ChainHolder<'a>> = groups.into_iter().flat_map(|group| group.holders).collect();
    // Within a site, too, one that passes nothing on can only be the very last.
    let lame = chain.iter().position(|holder| holder.is_last_only);
    if let Some(lame) = lame {
        let holder = chain.remove(lame);
        chain.push(holder);
    }
    let before_last = chain.len().saturating_sub(1);
    chain.iter().take(before_last).all(|holder| !holder.is_last_only).then_some(chain)
}

/// Any order that differs from block to block.
fn near_id(id: BlockId, group: &SiteGroup<'_>) -> u64 {
    group.holders.first().map_or(0, |holder| number(holder.node.0) ^ number(id.0))
}

fn number(bytes: [u8; 32]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

/// Each site sends as much as its line is worth of all that is to be passed on; so often it is not the last. A site where nobody passes
/// anything on is always the last; there is no chain through two of them.
fn last_of(id: BlockId, groups: &[SiteGroup<'_>]) -> Option<usize> {
    let mut lame = groups.iter().enumerate().filter(|(_, group)| !group.passes_on()).map(|(place, _)| place);
    if let Some(place) = lame.next() {
        return lame.next().is_none().then_some(place);
    }
    let all: u64 = groups.iter().map(|group| group.uplink).sum();
    let hops = groups.len().saturating_sub(1) as u64;
    let spare = |group: &SiteGroup<'_>| all.saturating_sub(group.uplink.saturating_mul(hops));
    let total: u64 = groups.iter().map(spare).sum();
    let drawn = number(id.0).rotate_left(32).checked_rem(total).unwrap_or(0);
    let mut ends = groups.iter().scan(0, |end, group| {
        *end += spare(group);
        Some(*end)
    });
    ends.position(|end| drawn < end).or_else(|| groups.len().checked_sub(1))
}

/// A block on its way along a chain, as its writer hears of it.
#[derive(Debug)]
pub(super) struct BlockChain {
    /// When it was sent to the first, in monotonic milliseconds.
    began: u64,
    hops: Vec<ChainHop>,
}

#[derive(Clone, Copy, Debug)]
struct ChainHop {
    node: NodeId,
    /// The question that is open with it.
    request: RequestId,
    state: HopState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HopState {
    /// It has not answered.
    Waiting,
    /// It had the block at this time, whatever became of it there.
    Answered(u64),
    /// Nothing comes to it along the chain: it is asked directly now, or not at all.
    Left,
}

/// Whom a chain does not reach any more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct BrokenChain {
    /// They are to be asked, and sent the block, directly.
    pub left: Vec<NodeId>,
    /// Those that had the block, were there, and did not pass it on.
    pub failed: Vec<NodeId>,
}

impl BlockChain {
    /// `hops`: in the order of the chain, each with the number of the question to it.
    pub fn new(began: u64, hops: impl IntoIterator<Item = (NodeId, RequestId)>) -> Self {
        let hop = |(node, request)| ChainHop { node, request, state: HopState::Waiting };
        let hops: Vec<ChainHop> = hops.into_iter().map(hop).collect();
        debug_assert!((2..=RELAY_HOLDERS_MAX + 1).contains(&hops.len()), "as many as a message names");
        Self { began, hops }
    }

    /// Questions that are answered to this node although others bring the block.
    pub fn relayed(&self) -> impl Iterator<Item = (NodeId, RequestId)> + use<'_> {
        self.hops.iter().skip(1).map(|hop| (hop.node, hop.request))
    }

    /// Somebody's answer has not come, and nobody asks it directly.
    pub fn is_open(&self) -> bool {
        self.hops.iter().skip(1).any(|hop| hop.state == HopState::Waiting)
    }

    /// It said what became of the block there.
    pub fn on_answer(&mut self, node: NodeId, now: u64) {
        self.set(node, HopState::Answered(now));
    }

    /// Nothing more comes to it this way: its question is lost, or what it answered does not count. Whether it was waited for.
    pub fn on_lost(&mut self, node: NodeId) -> bool {
        self.set(node, HopState::Left)
    }

    /// `from` did not send it on to those whose questions these are. Only who comes before them can say so. Who is left.
    pub fn on_not_relayed(&mut self, from: NodeId, requests: &[RequestId]) -> BrokenChain {
        let Some(place) = self.hops.iter().position(|hop| hop.node == from) else { return BrokenChain::default() };
        let mut left = Vec::new();
        for hop in self.hops.iter_mut().skip(place + 1).filter(|hop| requests.contains(&hop.request)) {
            if hop.state == HopState::Waiting {
                hop.state = HopState::Left;
                left.push(hop.node);
            }
        }
        let failed = if left.is_empty() { Vec::new() } else { vec![from] };
        BrokenChain { left, failed }
    }

    /// Whom the block does not reach any more at this time: the one before it got nothing, is gone, or has had it for too long.
    /// Who does not respond itself is waited for by nobody, and stays as it is.
    pub fn broken(&mut self, now: u64, is_there: impl Fn(NodeId) -> bool) -> BrokenChain {
        let answers = self.hops.iter().filter_map(|hop| match hop.state {
            HopState::Answered(at) => Some(at),
            _ => None,
        });
        let took = answers.min().map_or(0, |first| first.saturating_sub(self.began));
        debug_assert!(now >= self.began, "a chain begins before it breaks");
        let patience = RELAYED_MS_MIN + RELAYED_FACTOR * took;
        let mut broken = BrokenChain::default();
        for place in 1..self.hops.len() {
            let (before, hop) = (self.hops[place - 1], self.hops[place]);
            if hop.state != HopState::Waiting || !is_there(hop.node) {
                continue;
            }
            let is_left = match before.state {
                HopState::Left => true,
                HopState::Waiting => !is_there(before.node),
                HopState::Answered(_) if !is_there(before.node) => true,
                HopState::Answered(at) => {
                    let is_late = now.saturating_sub(at) >= patience;
                    broken.failed.extend(is_late.then_some(before.node));
                    is_late
                }
            };
            if is_left {
                self.hops[place].state = HopState::Left;
                broken.left.push(hop.node);
            }
        }
        broken
    }

    /// Whether it was waited for.
    fn set(&mut self, node: NodeId, state: HopState) -> bool {
        let Some(hop) = self.hops.iter_mut().find(|hop| hop.node == node) else { return false };
        let waited = hop.state == HopState::Waiting;
        // What was left is asked directly, which is not taken back.
        if waited {
            hop.state = state;
        }
        waited
    }
}

#[cfg(test)]
mod tests;
