//! Surveys: which blocks lie where, page by page from every member, so that what a change would move can be counted.
//!
//! Block ids are hashes, so the first records of every member in id order are a fair sample of the pool's blocks, and the
//! same one at each member. A pool of few blocks is listed whole.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{FEATURES_LIST_BLOCKS, HeldBlock, IDS_MAX, ListBlocksRequest, Message};
use fsdfs_proto::record::RecordInfo;

use super::peers::Purpose;
use super::timers::Timer;
use super::{Engine, Reason, disk, reply};
use crate::limits::{INVENTORY_MS, INVENTORY_RECORDS, INVENTORY_RECORDS_OF_ONE};
use crate::report::{Inventory, NodeInventory};
use crate::seam::{DiskRequest, Effect, OpId, Refusal, Reply};

/// A survey under way.
pub(super) struct Surveying {
    heard: BTreeMap<NodeId, Heard>,
    /// Members with a page due.
    waiting: BTreeSet<NodeId>,
    /// Records asked of each member.
    most: usize,
}

#[derive(Default)]
struct Heard {
    blocks: Vec<HeldBlock>,
    all: bool,
}

impl Heard {
    fn last(&self) -> Option<BlockId> {
        self.blocks.last().map(|held| held.id)
    }

    /// Takes in a page, if it begins behind the last id.
    fn add(&mut self, page: &[HeldBlock]) -> bool {
        let last = self.last();
        let follows = page.first().is_none_or(|first| last.is_none_or(|last| last < first.id));
        if follows {
            self.all = page.len() < IDS_MAX;
            self.blocks.extend(page);
        }
        follows
    }
}

impl Engine {
    pub(super) fn survey(&mut self, op: OpId, out: &mut Vec<Effect>) {
        if !self.ready() {
            return out.push(reply(op, Reply::Refused(Refusal::NotYet)));
        }
        let members: Vec<NodeId> =
            self.up_peers().into_iter().filter(|node| self.usable(*node) && self.tells_records(*node)).collect();
        let most = (INVENTORY_RECORDS / (members.len() + 1)).clamp(IDS_MAX, INVENTORY_RECORDS_OF_ONE);
        let waiting = members.iter().copied().chain([self.me]).collect();
        self.surveys.insert(op, Surveying { heard: BTreeMap::new(), waiting, most });
        self.timers.set(self.now.mono + INVENTORY_MS, Timer::Survey(op));
        self.survey_page(op, self.me, None, out);
        for node in members {
            self.survey_page(op, node, None, out);
        }
    }

    fn tells_records(&self, node: NodeId) -> bool {
        let card = self.facts.members().get(&node).and_then(|member| member.card.as_ref());
        !self.expelled(node) && card.is_some_and(|card| card.value().features >= FEATURES_LIST_BLOCKS)
    }

    fn survey_page(&mut self, op: OpId, of: NodeId, after: Option<BlockId>, out: &mut Vec<Effect>) {
        if of == self.me {
            return out.push(disk(DiskRequest::List { after, max: IDS_MAX }, Reason::SurveyOwn(op)));
        }
        let records = |request| Message::ListBlocks(ListBlocksRequest { request, after });
        self.ask(of, Purpose::Survey(op), records, None, out);
    }

    pub(super) fn surveyed_own(&mut self, op: OpId, records: &[RecordInfo], out: &mut Vec<Effect>) {
        let records: Vec<HeldBlock> = records.iter().map(|info| HeldBlock { id: info.id, len: info.len }).collect();
        self.surveyed(op, self.me, &records, out);
    }

    /// A page came: the next one, if there is more to ask for.
    pub(super) fn surveyed(&mut self, op: OpId, from: NodeId, page: &[HeldBlock], out: &mut Vec<Effect>) {
        let Some(survey) = self.surveys.get_mut(&op) else { return };
        let heard = survey.heard.entry(from).or_default();
        if !heard.add(page) {
            // A list with a fault of its sender's is none.
            survey.heard.remove(&from);
            return self.survey_without(op, from, out);
        }
        if heard.all || heard.blocks.len() >= survey.most {
            return self.survey_without(op, from, out);
        }
        let after = heard.last();
        self.survey_page(op, from, after, out);
    }

    /// Nothing more is to come from this member.
    pub(super) fn survey_without(&mut self, op: OpId, node: NodeId, out: &mut Vec<Effect>) {
        let Some(survey) = self.surveys.get_mut(&op) else { return };
        survey.waiting.remove(&node);
        if survey.waiting.is_empty() {
            self.survey_ends(op, out);
        }
    }

    pub(super) fn survey_ends(&mut self, op: OpId, out: &mut Vec<Effect>) {
        let Some(survey) = self.surveys.remove(&op) else { return };
        let holding = |(node, Heard { blocks, all })| NodeInventory { node, blocks, all };
        let holdings: Vec<NodeInventory> = survey.heard.into_iter().map(holding).collect();
        let is_silent = |node: &NodeId| holdings.iter().all(|holding| holding.node != *node);
        let stores = self.view.servers().iter().filter(|server| !server.disks.is_empty()).map(|server| server.id);
        let silent = stores.filter(is_silent).collect();
        let rules = self.facts.rules();
        let (copies, weight_max, view) = (rules.copies, rules.weight_gib_max, self.view.clone());
        out.push(reply(op, Reply::Inventory(Box::new(Inventory { copies, weight_max, view, holdings, silent }))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(first: u8, count: usize) -> Vec<HeldBlock> {
        let id = |number: usize| {
            BlockId([&[first][..], &(number as u64).to_be_bytes(), &[0; 23]].concat().try_into().expect("32"))
        };
        (0..count).map(|number| HeldBlock { id: id(number), len: 1 }).collect()
    }

    #[test]
    fn a_list_goes_on_behind_its_last_id() {
        let mut heard = Heard::default();
        assert!(heard.add(&page(1, IDS_MAX)) && !heard.all);
        assert!(!heard.add(&page(1, IDS_MAX)), "the first page once more");
        assert!(heard.add(&page(2, 3)) && heard.all);
        assert_eq!(heard.blocks.len(), IDS_MAX + 3);
        assert!(Heard::default().add(&[]), "nothing is a list, too");
    }
}
