//! Whom an answer is handed to: the only place that knows which machine stands behind which [`Waiter`].

use std::collections::BTreeSet;

use fsdfs_proto::ids::{BlockId, DiskId, NodeId};
use fsdfs_proto::message::{Message, StoreOutcome};

use super::blocks::{Eviction, Repair};
use super::event::PutReport;
use super::machines::Engine;
use crate::report::Notice;
use crate::seam::{
    AssureToken, AuditToken, BlockPayload, CollectToken, CommitToken, CopyChange, DiskDone, DiskState, EvictToken,
    GetOutcome, GetToken, LocateToken, ProofToken, PutToken, QueryToken, RenewalToken, RepairToken, Reply, ServeToken,
    Waiter,
};
use crate::tree::{JobDone, TreeJob};

/// The answer to something this node asked.
pub(super) fn on_reply(engine: &mut Engine, from: NodeId, message: Message, payload: BlockPayload) {
    let cx = &mut engine.cx;
    let Some(waiter) = message.answers().and_then(|request| cx.answered(from, request)) else { return };
    match (waiter, message) {
        (Waiter::Put(PutToken::Probe(put)), Message::HaveReply(reply)) => {
            engine.puts.on_probe_reply(cx, put, from, &reply.answers);
        }
        (Waiter::Put(PutToken::Store(put)), Message::StoreReply(reply)) => {
            engine.puts.on_store_reply(cx, put, from, reply.outcome);
        }
        (Waiter::Put(PutToken::Store(put) | PutToken::Relayed(put)), Message::RelayedStoreReply(reply)) => {
            engine.puts.on_relayed_reply(cx, put, from, &reply);
        }
        (Waiter::Put(PutToken::Store(put)), Message::FactsAck(ack)) => {
            let outcome = if ack.durable { StoreOutcome::Stored } else { StoreOutcome::Failed };
            engine.puts.on_store_reply(cx, put, from, outcome);
        }
        (Waiter::Get(GetToken::Fetch(id)), Message::FetchReply(reply)) => {
            let compare = match &payload {
                BlockPayload::Block(block) if block.id() == id => engine.audits.on_bytes(cx, from),
                BlockPayload::None => false,
                BlockPayload::Wrong | BlockPayload::Block(_) => engine.audits.on_wrong_bytes(cx, from, id),
            };
            engine.gets.on_fetch_reply(cx, &mut engine.replication, (id, from), &reply, payload);
            compare_again(engine, from, compare);
        }
        (Waiter::Audit(AuditToken::Asked { id, expected }), Message::AuditReply(reply)) => {
            let compare = engine.audits.on_reply(cx, from, (id, expected), &reply);
            compare_again(engine, from, compare);
        }
        (Waiter::Repair(token @ RepairToken::Prints { .. }), Message::PrintsReply(reply)) => {
            engine.sync.compare_maps(cx, from, reply.map);
            engine.repair(|repair, parts| repair.on_prints(parts, from, token, &reply));
        }
        (Waiter::Repair(token @ RepairToken::Holdings { .. }), Message::HoldingsReply(reply)) => {
            engine.repair(|repair, parts| repair.on_holdings(parts, from, token, reply));
        }
        (Waiter::Repair(RepairToken::Offer { infos }), Message::OfferReply(reply)) => {
            engine.repair(|repair, parts| repair.on_offer_reply(parts, from, infos, &reply));
        }
        (Waiter::Repair(RepairToken::Pull(id)), Message::PullReply(reply)) => {
            let compare = match &payload {
                BlockPayload::Block(block) if block.id() == id => engine.audits.on_bytes(cx, from),
                BlockPayload::None => false,
                BlockPayload::Wrong | BlockPayload::Block(_) => engine.audits.on_wrong_bytes(cx, from, id),
            };
            engine.repair(|repair, parts| repair.on_pulled(parts, (id, from), &reply, payload));
            compare_again(engine, from, compare);
        }
        (Waiter::Renewal(RenewalToken::Peer { op, copies }), Message::HaveReply(reply)) => {
            engine.renewals.on_have(cx, (op, copies), from, &reply.answers);
        }
        (Waiter::Locate(LocateToken::Peer { op, ids }), Message::HaveReply(reply)) => {
            engine.locates.on_have(cx, op, from, &ids, &reply.answers);
        }
        (Waiter::Assure(AssureToken::Peer { op, ids }), Message::AssureReply(reply)) => {
            engine.assurances.on_reply(cx, op, from, &ids, &reply.copies);
        }
        (Waiter::Evict(token @ EvictToken::Proof { .. }), Message::ProveReply(reply)) => {
            engine.sync.compare_maps(cx, from, reply.map);
            engine.evict(|eviction, parts| eviction.on_proof(parts, &token, &reply));
        }
        (Waiter::Proof(ProofToken::Pull(op)), Message::PullReply(reply)) => {
            let compare = engine.proof(|proofs, parts| proofs.on_pulled(parts, (op, from), &reply, payload));
            compare_again(engine, from, compare);
        }
        (Waiter::Proof(ProofToken::Asked { op, expected }), Message::AuditReply(reply)) => {
            let compare = engine.proof(|proofs, parts| proofs.on_audited(parts, (op, from, expected), &reply));
            compare_again(engine, from, compare);
        }
        (Waiter::Inventory(op), Message::ListBlocksReply(reply)) => {
            engine.inventories.on_page(cx, op, from, &reply.records);
        }
        (Waiter::Heads(query), Message::HeadsReply(reply)) => {
            engine.queries.on_reply(cx, query, from, reply.finished);
        }
        (Waiter::Keys(volume), Message::CapabilityReply(reply)) => engine.key_ring.on_reply(cx, volume, &reply),
        (Waiter::Entitled(node), Message::EntitledReply(reply)) => {
            engine.key_ring.on_entitled(cx, from, node, reply.entitled);
        }
        // A peer answered something else than it was asked: no answer that can be used will come.
        (waiter, _) => on_lost(engine, from, waiter),
    }
}

/// A member compares, offers or pulls.
pub(super) fn on_repair_asked(engine: &mut Engine, from: NodeId, message: Message) {
    let cx = &mut engine.cx;
    match message {
        Message::Prints(asked) => {
            engine.sync.compare_maps(cx, from, asked.map);
            engine.repair(|repair, parts| repair.on_prints_asked(parts, from, &asked));
        }
        Message::Holdings(asked) => {
            engine.sync.compare_maps(cx, from, asked.map);
            engine.repair(|repair, parts| repair.on_holdings_asked(parts, from, asked));
        }
        Message::Offer(offer) => {
            engine.sync.compare_maps(cx, from, offer.map);
            Repair::on_offer(cx, from, offer);
        }
        Message::Pull(pull) => engine.repair.on_pull(cx, from, &pull),
        other => debug_assert!(false, "{other:?} is no question of repair"),
    }
}

/// Whoever asked this peer goes on without it, but takes a late answer.
pub(super) fn on_silent(engine: &mut Engine, node: NodeId, waiter: &Waiter) {
    let cx = &mut engine.cx;
    match waiter {
        Waiter::Put(PutToken::Probe(put) | PutToken::Store(put) | PutToken::Relayed(put)) => {
            engine.puts.advance(cx, *put);
        }
        Waiter::Get(GetToken::Fetch(id)) => engine.gets.ask_next(cx, &mut engine.replication, *id),
        Waiter::Repair(token) => engine.repair(|repair, parts| repair.on_peer_lost(parts, node, token)),
        Waiter::Heads(query) => engine.queries.on_silent(cx, *query, node),
        Waiter::Entitled(member) => engine.key_ring.on_entitled(cx, node, *member, false),
        Waiter::Inventory(op) => engine.inventories.on_silent(cx, *op, node),
        Waiter::Renewal(RenewalToken::Peer { op, copies }) => {
            engine.renewals.on_have(cx, (*op, *copies), node, &[]);
        }
        Waiter::Locate(LocateToken::Peer { op, .. }) => engine.locates.on_have(cx, *op, node, &[], &[]),
        Waiter::Assure(AssureToken::Peer { op, .. }) => engine.assurances.on_reply(cx, *op, node, &[], &[]),
        Waiter::Evict(EvictToken::Proof { .. }) => engine.evict(|eviction, parts| eviction.on_peer_lost(parts, node)),
        Waiter::Proof(ProofToken::Pull(op) | ProofToken::Asked { op, .. }) => {
            engine.proof(|proofs, parts| proofs.on_lost(parts, *op, node));
        }
        _ => {}
    }
}

/// No answer will come.
pub(super) fn on_lost(engine: &mut Engine, node: NodeId, waiter: Waiter) {
    let cx = &mut engine.cx;
    match waiter {
        Waiter::Put(PutToken::Probe(put) | PutToken::Store(put)) => engine.puts.on_failed(cx, put, node, None),
        Waiter::Put(PutToken::Relayed(put)) => engine.puts.on_relayed_lost(cx, put, node),
        Waiter::Get(GetToken::Fetch(id)) => engine.gets.on_lost(cx, &mut engine.replication, id, node),
        Waiter::Audit(AuditToken::Asked { .. }) => {
            let compare = engine.audits.on_lost(cx, node);
            compare_again(engine, node, compare);
        }
        other => on_silent(engine, node, &other),
    }
}

/// An audit found that what is thought of a holder's copies is wrong.
fn compare_again(engine: &mut Engine, holder: NodeId, compare: bool) {
    if compare {
        engine.repair(|repair, parts| repair.check_holder(parts, holder));
    }
}

/// Who keeps the books of copies hears of every put, whoever asked for it.
pub(super) fn note_put(engine: &mut Engine, put: &PutReport) {
    if let Some((id, _)) = put.block.filter(|_| put.mine) {
        engine.replication.note_put(id, put.durable, put.target);
    }
    engine.audits.on_put_ended(&mut engine.cx, put);
}

/// Then the one who asked is answered, when all that followed from it is done.
pub(super) fn answer_put(engine: &mut Engine, put: PutReport) {
    let id = put.block.map(|(id, _)| id);
    match (put.waiter, id) {
        (Waiter::Client(op), _) => engine.cx.reply(op, Reply::PutBlock(put.outcome)),
        (Waiter::Commit(CommitToken::Part(volume)), id) => {
            engine.commit(|commits, parts| commits.run(parts, volume).on_part_put(id, put.outcome));
        }
        (Waiter::Commit(CommitToken::Replicated(volume)), Some(id)) => {
            engine.commit(|commits, parts| commits.run(parts, volume).on_replicated(id, &put.outcome));
        }
        (Waiter::Nobody, _) => {}
        _ => debug_assert!(false, "puts are started by clients and commits"),
    }
}

/// A block came, or is nowhere, for one of those who asked for it.
pub(super) fn on_get_ended(engine: &mut Engine, waiter: &Waiter, id: BlockId, outcome: GetOutcome) {
    match *waiter {
        Waiter::Client(op) => engine.cx.reply(op, Reply::GetBlock(outcome)),
        Waiter::Commit(CommitToken::Block(volume)) => {
            engine.commit(|commits, parts| commits.run(parts, volume).on_block(id, outcome));
        }
        Waiter::Commit(CommitToken::Unreplicated(volume)) => {
            engine.commit(|commits, parts| commits.run(parts, volume).on_unreplicated_block(outcome));
        }
        Waiter::Collect(CollectToken::Block { number }) => {
            engine.collecting(|collector, parts| collector.on_block(parts, number, id, &outcome));
        }
        Waiter::Query(QueryToken::Block(query)) => {
            engine.tree_queries.on_block(&mut engine.cx, &mut engine.gets, query, id, outcome);
        }
        _ => debug_assert!(false, "blocks are asked for by clients, commits and queries"),
    }
}

/// The store answered. Each question has one kind of answer; another one would be a mistake of this program.
pub(super) fn on_disk_done(engine: &mut Engine, waiter: Waiter, done: DiskDone) {
    let (cx, log) = (&mut engine.cx, &mut engine.replication);
    match (waiter, done) {
        (Waiter::Put(PutToken::OwnProbe(put)), DiskDone::Have(answers)) => {
            engine.puts.on_own_probe(cx, put, &answers);
        }
        (Waiter::Put(PutToken::Keep(put)), DiskDone::Written(done)) => engine.puts.on_kept(cx, put, done),
        (Waiter::Put(PutToken::OwnWrite(put)), DiskDone::Written(done)) => engine.puts.on_own_write(cx, put, done),
        (Waiter::Get(GetToken::Own(id)), DiskDone::Read(done)) => engine.gets.on_own_read(cx, log, id, done),
        (Waiter::Get(GetToken::ReadRepair(id)), DiskDone::Written(done)) => {
            engine.gets.on_repaired(cx, log, id, done);
        }
        (Waiter::Audit(AuditToken::Own { of, id }), DiskDone::Read(done)) => {
            engine.audits.on_own_read(cx, (&mut engine.gets, log), (of, id), &done);
        }
        (Waiter::Audit(AuditToken::Answer { to, request, nonce, id }), DiskDone::Read(done)) => {
            engine.audits.on_read(cx, (&mut engine.gets, log), (to, request), (nonce, id), done);
        }
        (Waiter::Serve(ServeToken::Holdings { to, asked }), DiskDone::List(records)) => {
            engine.repair(|_, parts| Repair::answer_holdings(parts, to, &asked, &records));
        }
        (Waiter::Serve(ServeToken::Offer { to, request, items }), DiskDone::Have(here)) => {
            engine.repair(|repair, parts| repair.answer_offer(parts, (to, request), items, &here));
        }
        (Waiter::Serve(ServeToken::Pull { to, request, id }), DiskDone::Read(done)) => {
            if engine.repair.answer_pull(cx, (to, request), id, done) {
                engine.gets.read_repair(cx, log, id);
            }
        }
        (Waiter::Serve(token), done) => engine.server.on_disk_done(cx, &mut engine.gets, log, token, done),
        (Waiter::Rotation, DiskDone::Logged(durable)) => {
            engine.rotation.on_logged(cx, &mut engine.gossip, &mut engine.key_ring, durable);
        }
        (Waiter::Gossip(token), DiskDone::Logged(durable)) => engine.gossip.on_logged(cx, &token, durable),
        (Waiter::Commit(CommitToken::Logged(volume)), DiskDone::Logged(durable)) => {
            engine.commit(|commits, parts| commits.run(parts, volume).on_logged(durable));
        }
        (Waiter::Renewal(RenewalToken::Own { op, copies }), DiskDone::Have(answers)) => {
            let me = cx.me;
            engine.renewals.on_have(cx, (op, copies), me, &answers);
        }
        (Waiter::Locate(LocateToken::Own(op)), DiskDone::Have(answers)) => {
            engine.locates.on_own_have(cx, op, &answers);
        }
        (Waiter::Assure(AssureToken::Own(op)), DiskDone::Assured(copies)) => {
            engine.assurances.on_own(cx, op, &copies);
        }
        (Waiter::Evict(EvictToken::Counted { number }), DiskDone::Copies(page)) => {
            engine.evict(|eviction, parts| eviction.on_copies(parts, number, page.as_deref()));
        }
        (Waiter::Evict(EvictToken::Listed { number }), DiskDone::Segment(copies)) => {
            engine.evict(|eviction, parts| eviction.on_listed(parts, number, &copies));
        }
        (Waiter::Evict(EvictToken::Deleted), DiskDone::Deleted(is_deleted)) => {
            engine.evict(|eviction, parts| eviction.on_deleted(parts, is_deleted));
        }
        (Waiter::Evict(EvictToken::Answer { to, asked, map_changes }), DiskDone::Assured(copies)) => {
            engine.eviction.on_assured(cx, (to, map_changes), &asked, &copies);
        }
        (Waiter::Collect(token), done) => on_collect_done(engine, token, done),
        (Waiter::Proof(ProofToken::Own(op)), DiskDone::Read(done)) => {
            engine.proof(|proofs, parts| proofs.on_own_read(parts, op, done));
        }
        (Waiter::Inventory(op), DiskDone::List(records)) => engine.inventories.on_own_page(cx, op, &records),
        (Waiter::Repair(RepairToken::List { pass }), DiskDone::List(records)) => {
            engine.repair(|repair, parts| repair.on_listed(parts, pass, &records));
        }
        (Waiter::Repair(token), DiskDone::List(records)) => {
            engine.repair(|repair, parts| repair.on_own(parts, &token, records));
        }
        (Waiter::Repair(RepairToken::Written(id)), DiskDone::Written(done)) => {
            engine.repair(|repair, parts| repair.on_written(parts, id, done));
        }
        _ => debug_assert!(false, "the store answered another question than it was asked"),
    }
}

/// The store did something for collecting.
fn on_collect_done(engine: &mut Engine, token: CollectToken, done: DiskDone) {
    engine.collecting(|collector, parts| match (token, done) {
        (CollectToken::Links { number }, DiskDone::Links(done)) => collector.on_links(parts, number, &done),
        (CollectToken::Volumes { number }, DiskDone::Links(done)) => collector.on_volumes(parts, number, &done),
        (CollectToken::Copies { number }, DiskDone::Copies(page)) => {
            collector.on_copies(parts, number, page.as_deref());
        }
        (CollectToken::Collected { number, disk }, DiskDone::Collected(done)) => {
            collector.on_collected(parts, (number, disk), &done);
        }
        (CollectToken::Kept, DiskDone::LinksKept | DiskDone::Have(_)) => {}
        _ => debug_assert!(false, "the store answered another question than collecting asked"),
    });
}

/// Disks came, went, filled up, or started over.
pub(super) fn on_disks(engine: &mut Engine, disks: Vec<DiskState>) {
    let before = std::mem::take(&mut engine.cx.disks);
    let lost = before.iter().any(|before| disks.iter().all(|now| now.id != before.id));
    let working = |disks: &[DiskState]| -> BTreeSet<DiskId> {
        disks.iter().filter(|disk| disk.takes_blocks()).map(|disk| disk.id).collect()
    };
    let changed = working(&before) != working(&disks);
    engine.cx.disks = disks;
    if changed {
        // Nothing was said of what lies on a disk that came, or lay on one that went; and there is room for what was refused.
        engine.repair(Repair::count_again);
    }
    engine.evict(Eviction::look);
    engine.card.on_disks(&mut engine.cx, &before);
    if lost {
        engine.cx.notice(Notice::DiskLost);
    }
}

/// The store says what changed on its disks. What was found damaged there is replaced now, whoever came across it.
pub(super) fn on_copies(engine: &mut Engine, changes: &[CopyChange]) {
    for change in changes {
        engine.repair(|repair, parts| repair.on_changed(parts, change));
        if let Some(id) = change.id().filter(|_| change.is_damage()) {
            engine.gets.read_repair(&mut engine.cx, &mut engine.replication, id);
        }
    }
}

/// A job came home, with the blocks it used, the blocks it made, or the names of those it lacks.
pub(super) fn on_job_done(engine: &mut Engine, waiter: &Waiter, job: Box<TreeJob>, done: JobDone) {
    match *waiter {
        Waiter::Commit(CommitToken::Job(volume)) => {
            engine.commit(|commits, parts| commits.run(parts, volume).on_job_done(job, done));
        }
        Waiter::Query(QueryToken::Job(query)) => {
            let (cx, gets, heads) = (&mut engine.cx, &mut engine.gets, &mut engine.heads);
            engine.tree_queries.on_job_done(cx, gets, heads, query, (job, done));
        }
        _ => debug_assert!(false, "a job came back with a token no job was given"),
    }
}
