//! What this node does for other members.

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{
    AttachedBlock, CapabilityReply, FactsAck, FetchOutcome, FetchReply, FetchRequest, HaveReply, HaveRequest,
    HeadsReply, HeadsRequest, HeldBlock, IDS_MAX, ListBlocksReply, ListBlocksRequest, Message, Possession, RequestId,
    StoreOutcome, StoreReply, StoreRequest,
};

use fsdfs_proto::record::RecordInfo;

use super::peers::Purpose;
use super::{Engine, Reason, disk};
use crate::facts::MemberStatus;
use crate::planted::{self, Bug};
use crate::seam::{BlockPayload, DiskRequest, Effect, ReadDone, WriteDone};
use fsdfs_proto::identity::Role;

impl Engine {
    pub(super) fn message(&mut self, from: NodeId, message: Message, payload: BlockPayload, out: &mut Vec<Effect>) {
        if self.expelled(from) || !self.peers.get(&from).is_some_and(|peer| peer.up) {
            return;
        }
        if payload != BlockPayload::None {
            self.block_moved(from);
        }
        self.heard(from, out);
        match message {
            Message::Ping(number) => out.push(Effect::Send { to: from, message: Message::Pong(number), block: None }),
            Message::Pong(number) => self.ponged(from, number),
            Message::Digests(digests) => self.digests(from, &digests, out),
            Message::Summary(summary) => self.summary(from, &summary, out),
            Message::Facts(facts) => self.facts_came(from, facts.request, &facts.facts, out),
            Message::FactsAck(ack) => {
                let outcome = if ack.durable { StoreOutcome::Stored } else { StoreOutcome::Failed };
                self.store_answered(from, ack.request, outcome, out);
            }
            Message::Want(want) => self.wanted(from, &want.ids, out),
            Message::Have(have) => self.have(from, have, out),
            Message::HaveReply(reply) => self.have_answered(from, &reply, out),
            Message::Store(store) => self.store(from, &store, payload, out),
            Message::StoreReply(reply) => self.store_answered(from, reply.request, reply.outcome, out),
            Message::Fetch(FetchRequest { request, id }) => {
                out.push(disk(DiskRequest::Read { id }, Reason::ServeFetch { to: from, request, id }));
            }
            Message::FetchReply(reply) => {
                if let Some(Purpose::Get(id)) = self.answered(from, reply.request) {
                    self.fetched(id, from, &reply, payload, out);
                }
            }
            Message::Heads(heads) => self.serve_heads(from, &heads, out),
            Message::HeadsReply(reply) => self.heads_came(from, &reply, out),
            Message::Capability(ask) => self.serve_capability(from, ask.request, ask.volume, out),
            Message::CapabilityReply(reply) => self.capability_came(from, &reply, out),
            Message::ListBlocks(ListBlocksRequest { request, after }) => {
                let list = DiskRequest::List { after, max: IDS_MAX };
                out.push(disk(list, Reason::ServeRecords { to: from, request }));
            }
            Message::ListBlocksReply(reply) => {
                if let Some(Purpose::Survey(op)) = self.answered(from, reply.request) {
                    self.surveyed(op, from, &reply.records, out);
                }
            }
            // Asked only by versions that repair and collect; this one has nothing to say to them yet.
            Message::Ranges(_) | Message::RangesReply(_) | Message::Prove(_) | Message::ProveReply(_) => {}
            Message::Audit(_) | Message::AuditReply(_) => {}
        }
    }

    fn have(&mut self, from: NodeId, have: HaveRequest, out: &mut Vec<Effect>) {
        self.compare_maps(from, have.map, out);
        let renew = (have.renew && !planted::is(Bug::NoRenewal)).then_some(have.redundancy);
        let request = DiskRequest::Have { ids: have.ids, renew };
        out.push(disk(request, Reason::ServeHave { to: from, request: have.request }));
    }

    pub(super) fn serve_have(
        &mut self,
        to: NodeId,
        request: RequestId,
        answers: Vec<Possession>,
        out: &mut Vec<Effect>,
    ) {
        let says = |answer| match answer {
            Possession::NotYet if planted::is(Bug::NoneForNotYet) => Possession::No,
            other => other,
        };
        let answers = answers.into_iter().map(says).collect();
        out.push(Effect::Send { to, message: Message::HaveReply(HaveReply { request, answers }), block: None });
    }

    fn have_answered(&mut self, from: NodeId, reply: &HaveReply, out: &mut Vec<Effect>) {
        match self.answered(from, reply.request) {
            Some(Purpose::PutProbe(put)) => self.put_probed(put, from, &reply.answers, out),
            Some(Purpose::Locate { op, ids }) => self.located(op, from, &ids, &reply.answers, out),
            Some(Purpose::DebtHave { redundancy, ids }) => {
                self.debts_answered(from, redundancy, &ids, &reply.answers, out)
            }
            Some(Purpose::TopUpHave { ids }) => self.topup_answered(from, &ids, &reply.answers, out),
            _ => {}
        }
    }

    fn store(&mut self, from: NodeId, store: &StoreRequest, payload: BlockPayload, out: &mut Vec<Effect>) {
        self.compare_maps(from, store.map, out);
        let request = store.request;
        match payload {
            BlockPayload::Block(block) if block.id() == store.block.id => {
                let first_seen = self.now.wall.saturating_sub(store.age_ms);
                let copies = super::put::copies_of(store.redundancy);
                let disk_id = self.view.order(block.id(), copies).iter().find(|h| h.node == self.me).map(|h| h.disk);
                let (redundancy, charged_to) = (store.redundancy, store.charged_to);
                let write = DiskRequest::Write { block, redundancy, first_seen, charged_to, disk: disk_id };
                out.push(disk(write, Reason::ServeStore { to: from, request }));
                if planted::is(Bug::AckBeforeDurable) {
                    self.serve_store(from, request, WriteDone::New, out);
                }
            }
            _ => {
                let reply = StoreReply { request, outcome: StoreOutcome::WrongBytes };
                out.push(Effect::Send { to: from, message: Message::StoreReply(reply), block: None });
            }
        }
    }

    pub(super) fn serve_store(&mut self, to: NodeId, request: RequestId, done: WriteDone, out: &mut Vec<Effect>) {
        let outcome = match done {
            // Two live nodes of one identity would count as one server while being none of them for sure.
            _ if self.boot.twin => StoreOutcome::Failed,
            WriteDone::New | WriteDone::Already => StoreOutcome::Stored,
            WriteDone::Full => StoreOutcome::Full,
            WriteDone::Failed => StoreOutcome::Failed,
        };
        out.push(Effect::Send { to, message: Message::StoreReply(StoreReply { request, outcome }), block: None });
    }

    fn store_answered(&mut self, from: NodeId, request: RequestId, outcome: StoreOutcome, out: &mut Vec<Effect>) {
        match self.answered(from, request) {
            Some(Purpose::PutStore(put)) => self.put_stored(put, from, outcome, out),
            Some(Purpose::TopUpStore { id }) => self.topup_stored(from, id, outcome, out),
            _ => {}
        }
    }

    pub(super) fn serve_fetch(
        &mut self,
        to: NodeId,
        request: RequestId,
        id: BlockId,
        done: ReadDone,
        out: &mut Vec<Effect>,
    ) {
        if done == ReadDone::Damaged {
            self.heal(id, out);
        }
        let (outcome, block) = match done {
            ReadDone::Found(block) => (FetchOutcome::Found, Some(block)),
            ReadDone::No => (FetchOutcome::No, None),
            ReadDone::NotYet => (FetchOutcome::NotYet, None),
            ReadDone::Damaged | ReadDone::Failed => (FetchOutcome::Damaged, None),
        };
        let attached = block.as_ref().map(AttachedBlock::from);
        let message = Message::FetchReply(FetchReply { request, outcome, block: attached });
        out.push(Effect::Send { to, message, block });
    }

    fn serve_heads(&mut self, from: NodeId, heads: &HeadsRequest, out: &mut Vec<Effect>) {
        let standing = self.facts.heads(heads.volume);
        let unknown = standing.iter().filter(|head| heads.known.binary_search(&head.id()).is_err());
        let facts: Vec<_> = unknown.map(|head| fsdfs_proto::identity::Fact::from(head.clone()).raw()).collect();
        // More than one message holds is left to the exchange of facts.
        let facts = fsdfs_proto::message::fact_parts(&facts).into_iter().next().unwrap_or_default();
        let reply = HeadsReply { request: heads.request, finished: self.ready(), facts };
        out.push(Effect::Send { to: from, message: Message::HeadsReply(reply), block: None });
    }

    fn serve_capability(
        &mut self,
        from: NodeId,
        request: RequestId,
        volume: fsdfs_proto::ids::VolumeId,
        out: &mut Vec<Effect>,
    ) {
        let member = self.facts.members().get(&from);
        let may = member.is_some_and(|member| member.role == Role::Full && member.status == MemberStatus::Member);
        // Private volumes travel only by an explicit share; the pool's own is every full member's.
        let capability =
            (may && volume == self.pool.volume()).then(|| self.capabilities.get(&volume).cloned()).flatten();
        let reply = CapabilityReply { request, capability };
        out.push(Effect::Send { to: from, message: Message::CapabilityReply(reply), block: None });
    }

    pub(super) fn serve_facts(&mut self, to: NodeId, request: RequestId, durable: bool, out: &mut Vec<Effect>) {
        let durable = durable && !self.boot.twin;
        out.push(Effect::Send { to, message: Message::FactsAck(FactsAck { request, durable }), block: None });
    }
}

pub(super) fn serve_records(to: NodeId, request: RequestId, infos: &[RecordInfo], out: &mut Vec<Effect>) {
    let records = infos.iter().map(|info| HeldBlock { id: info.id, len: info.len }).collect();
    let message = Message::ListBlocksReply(ListBlocksReply { request, records });
    out.push(Effect::Send { to, message, block: None });
}
