//! Top-up: completing what was put before friends joined, while holders were away, or elsewhere than it belongs.
//!
//! A walk goes through this node's records and asks the live wanted holders of each whether they have it (a yes renews
//! its lease). Of those that hold a block, the highest-ranked wanted one sends it to the wanted ones that lack it, a node
//! that is not wanted for it last of all. Whoever is not first leaves it to the one before, which may not know that
//! anything is missing (only this node's link to the other may have broken); so it walks again a little later, and then
//! it is the second's turn, and so on. Nothing is deleted. A walk is cheap where nothing is missing: ids only.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::record::RecordInfo;

use super::put::copies_of;
use crate::limits::UNDER_REPLICATED_MAX;

mod ask;
mod send;

/// The walk, if one is under way, and what is due after it.
#[derive(Default)]
pub(super) struct TopUp {
    due: Due,
    walk: Option<Walk>,
    /// Blocks sent since the start.
    pub sent: u64,
    /// Pause before an unfinished walk is repeated.
    retry_ms: u64,
    /// Blocks this node put or looked at that lack copies on the servers that should have them, at most [`UNDER_REPLICATED_MAX`],
    /// and how many copies fewer than asked for there are anywhere, as far as known.
    short: BTreeMap<BlockId, usize>,
    /// Copies beyond those asked for, fewest and most, of the blocks that walks looked at and that lack none.
    spare: Option<(usize, usize)>,
    /// How many better-placed holders have had their turn before this node's next walk.
    turn: usize,
}

/// Which peers' holdings are to be checked by the next walk.
#[derive(Default)]
enum Due {
    #[default]
    Nobody,
    Some(BTreeSet<NodeId>),
    Everybody,
}

impl Due {
    fn add(&mut self, node: NodeId) {
        match self {
            Self::Everybody => {}
            Self::Some(peers) => {
                peers.insert(node);
            }
            Self::Nobody => *self = Self::Some(BTreeSet::from([node])),
        }
    }
}

#[derive(Default)]
struct Walk {
    /// Only records these peers are wanted for, or that this node is not wanted for; none = all.
    peers: Option<BTreeSet<NodeId>>,
    after: Option<BlockId>,
    at_end: bool,
    records: BTreeMap<BlockId, Record>,
    /// Questions not answered yet.
    asking: BTreeMap<NodeId, BTreeSet<BlockId>>,
    /// Blocks to be read and sent to these.
    sends: VecDeque<BlockId>,
    reading: usize,
    /// Blocks sent and not yet confirmed by all.
    sending: BTreeMap<BlockId, Sending>,
    /// No bytes before this time: the rate limit.
    pause_until: u64,
    /// Something could not be finished: the walk is repeated.
    unfinished: bool,
    /// Lack blocks that were left to better-placed holders.
    left_to_others: BTreeSet<NodeId>,
}

struct Record {
    info: RecordInfo,
    wanted: Vec<NodeId>,
    /// Wanted ones without room, as their cards say. They may have it all the same.
    full: Vec<NodeId>,
    /// Next in order, as many as are full.
    stand_ins: Vec<NodeId>,
    have: BTreeSet<NodeId>,
    lack: BTreeSet<NodeId>,
    open: usize,
}

struct Sending {
    /// Those that have not answered.
    to: BTreeSet<NodeId>,
    record: Record,
}

/// What is known of a record's copies.
enum Copies {
    /// A wanted holder has none, and all together so many fewer than asked for.
    Lacking(usize),
    Complete {
        spare: usize,
    },
}

impl Record {
    fn asked(&self) -> usize {
        self.info.redundancies.iter().map(|redundancy| usize::from(copies_of(*redundancy))).max().unwrap_or(1)
    }

    /// When all answers are in. This node has a copy, wanted or not.
    fn copies(&self, me: NodeId) -> Copies {
        let (asked, there) = (self.asked(), self.have.len() + 1);
        if self.placed(me) < asked {
            Copies::Lacking(asked.saturating_sub(there))
        } else {
            Copies::Complete { spare: there.saturating_sub(asked) }
        }
    }

    /// Copies at wanted servers and stand-ins.
    fn placed(&self, me: NodeId) -> usize {
        self.have.len() + usize::from(self.wanted.contains(&me) || self.stand_ins.contains(&me))
    }

    /// When all answers are in: of those who lack it, those it is to be sent to. Wanted ones with room, and stand-ins for
    /// what is missing beyond that.
    fn choose(&mut self, me: NodeId) {
        let wanted = self.wanted.iter().filter(|node| self.lack.contains(*node) && !self.full.contains(*node));
        let mut chosen: BTreeSet<NodeId> = wanted.copied().collect();
        let missing = self.asked().saturating_sub(self.placed(me) + chosen.len());
        chosen.extend(self.stand_ins.iter().filter(|node| self.lack.contains(*node)).take(missing));
        self.lack = chosen;
    }
}

impl TopUp {
    /// A walk is under way or due: what is short of copies is not all known yet.
    pub fn is_running(&self) -> bool {
        self.walk.is_some() || !matches!(self.due, Due::Nobody)
    }

    /// Blocks known to be short of copies.
    pub fn pending(&self) -> u64 {
        let sending = self.walk.as_ref().map_or(0, |walk| walk.sends.len() + walk.reading + walk.sending.len());
        self.short.len().max(sending) as u64
    }

    pub fn is_short(&self, id: BlockId) -> bool {
        self.short.contains_key(&id)
    }

    /// A block this node holds lacks copies where they should be, or has them now; and how many fewer there are.
    pub fn note(&mut self, id: BlockId, missing: Option<usize>) {
        match missing {
            None => drop(self.short.remove(&id)),
            Some(missing) if self.short.len() < UNDER_REPLICATED_MAX || self.short.contains_key(&id) => {
                self.short.insert(id, missing);
            }
            Some(_) => {}
        }
    }

    /// Copies less those asked for, over the blocks on this node that were put or compared since the start: fewest and most.
    pub fn margin(&self) -> Option<(i64, i64)> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let short = self.short.values().map(|missing| -number(*missing));
        let spare = self.spare.iter().flat_map(|(least, most)| [number(*least), number(*most)]);
        let all = || short.clone().chain(spare.clone());
        all().min().zip(all().max())
    }

    fn note_copies(&mut self, id: BlockId, copies: &Copies) {
        match *copies {
            Copies::Lacking(missing) => self.note(id, Some(missing)),
            Copies::Complete { spare } => self.note_complete(id, spare),
        }
    }

    /// A put of a block that this node keeps ended with so many copies.
    pub fn note_put(&mut self, id: BlockId, copies: usize, wanted: usize) {
        match wanted.checked_sub(copies) {
            Some(missing) if missing > 0 => self.note(id, Some(missing)),
            _ => self.note_complete(id, copies.saturating_sub(wanted)),
        }
    }

    fn note_complete(&mut self, id: BlockId, spare: usize) {
        self.note(id, None);
        self.note_spare(spare);
    }

    fn note_spare(&mut self, spare: usize) {
        let (least, most) = self.spare.unwrap_or((spare, spare));
        self.spare = Some((least.min(spare), most.max(spare)));
    }
}
