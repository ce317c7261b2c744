//! Commits with the machines they work with, on a store and peers that answer as a test wants.

use bytes::Bytes;
use fsdfs_proto::identity::card_flag;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::{Message, Possession, StoreOutcome};
use fsdfs_proto::record::LogEntry;

use super::*;
use crate::engine::blocks::ReplicationLog;
use crate::engine::event::Event;
use crate::engine::test_kit::{connect, context, effects, events, pass, pool};
use crate::limits::{EDITS_QUEUED_MAX, STORES_UNDER_WAY_MAX};
use crate::seam::{
    DiskCondition, DiskRequest, Effect, GetOutcome, GetToken, PutToken, QueryToken, ReadDone, Token, WriteDone,
};
use crate::tree::{FileAttributes, FileContent, FileNode, TreeEdit};

mod epochs;
mod grouping;
mod poison;
mod unpublished;

/// Node `me` of three, connected to the others.
struct Bench {
    cx: Context,
    gossip: Gossip,
    liveness: Liveness,
    gets: Gets,
    puts: Puts,
    heads: LocalHeads,
    queries: HeadQueries,
    writer: Writer,
    commits: Commits,
    log: ReplicationLog,
    /// What this node's disk has.
    store: BlockMap,
    /// How peers answer what they are to keep.
    peers: StoreOutcome,
    /// Whether the log can be written.
    log_works: bool,
    /// Things of this kind are not carried out, but kept in `held`.
    hold: &'static str,
    held: Vec<Effect>,
    replies: Vec<(OpId, Reply)>,
    logged: Vec<LogEntry>,
    jobs: usize,
}

impl Bench {
    fn new(me: u8) -> Self {
        let mut cx = context(me, 3);
        // Or all would draw the same incarnation.
        cx.rng = fastrand::Rng::with_seed(me.into());
        (0..3).filter(|number| *number != me).for_each(|number| {
            connect(&mut cx, number);
        });
        Self {
            cx,
            gossip: Gossip::default(),
            liveness: Liveness::default(),
            gets: Gets::default(),
            puts: Puts::default(),
            heads: LocalHeads::default(),
            queries: HeadQueries::default(),
            writer: Writer::default(),
            commits: Commits::default(),
            log: ReplicationLog::default(),
            store: BlockMap::new(),
            peers: StoreOutcome::Stored,
            log_works: true,
            hold: "",
            held: Vec::new(),
            replies: Vec::new(),
            logged: Vec::new(),
            jobs: 0,
        }
    }

    fn commit<T>(&mut self, call: impl FnOnce(&mut Commits, &mut CommitParts<'_>) -> T) -> T {
        let mut parts = CommitParts {
            cx: &mut self.cx,
            gossip: &mut self.gossip,
            liveness: &self.liveness,
            gets: &mut self.gets,
            puts: &mut self.puts,
            heads: &mut self.heads,
            queries: &mut self.queries,
            writer: &mut self.writer,
        };
        call(&mut self.commits, &mut parts)
    }

    fn edit(&mut self, op: OpId, names: &[&'static str]) {
        let edits: Vec<TreeEdit> = names.iter().map(|name| folder(name)).collect();
        self.commits.edit(&mut self.cx, op, volume(), VolumeChange::from(edits));
    }

    /// What is queued becomes a commit, which goes as far as it can.
    fn begin(&mut self) {
        self.commit(|commits, parts| commits.begin(parts, volume()));
        self.run();
    }

    fn edited(&mut self, op: OpId, name: &'static str) -> EditReply {
        self.edit(op, &[name]);
        self.begin();
        self.reply(op)
    }

    fn reply(&mut self, op: OpId) -> EditReply {
        let at = self.replies.iter().position(|(of, _)| *of == op).expect("it was answered");
        match self.replies.remove(at).1 {
            Reply::Edit(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn run(&mut self) {
        loop {
            let (events, effects) = (events(&mut self.cx), effects(&mut self.cx));
            if events.is_empty() && effects.is_empty() {
                return;
            }
            events.into_iter().for_each(|event| self.on_event(event));
            effects.into_iter().for_each(|effect| self.carry_out(effect));
        }
    }

    fn release(&mut self) {
        self.hold = "";
        std::mem::take(&mut self.held).into_iter().for_each(|effect| self.carry_out(effect));
        self.run();
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::HeadsHeard { volume, heard, .. } => {
                self.commit(|commits, parts| commits.run(parts, volume).on_heads(heard));
            }
            Event::PutEnded(put) => {
                let id = put.block.map(|(id, _)| id);
                self.commit(|commits, parts| match put.waiter {
                    Waiter::Commit(CommitToken::Part(volume)) => {
                        commits.run(parts, volume).on_part_put(id, put.outcome);
                    }
                    Waiter::Commit(CommitToken::Replicated(volume)) => {
                        commits.run(parts, volume).on_replicated(id.expect("a block"), &put.outcome);
                    }
                    other => panic!("{other:?}"),
                });
            }
            Event::GetEnded { waiter, id, outcome } => self.commit(|commits, parts| match waiter {
                Waiter::Commit(CommitToken::Block(volume)) => commits.run(parts, volume).on_block(id, outcome),
                Waiter::Commit(CommitToken::Unreplicated(volume)) => {
                    commits.run(parts, volume).on_unreplicated_block(outcome);
                }
                other => panic!("{other:?}"),
            }),
            other => panic!("{other:?}"),
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        if !self.hold.is_empty() && kind(&effect) == self.hold {
            return self.held.push(effect);
        }
        match effect {
            Effect::Work { job, token: Token(Waiter::Commit(CommitToken::Job(volume))) } => {
                self.jobs += 1;
                let done = job.run();
                self.commit(|commits, parts| commits.run(parts, volume).on_job_done(job, done));
            }
            Effect::Disk { request, token: Token(waiter) } => self.on_disk(request, waiter),
            Effect::Send { to, message, .. } => self.on_message(to, &message),
            Effect::Reply { op, reply } => self.replies.push((op, reply)),
            _ => {}
        }
    }

    fn on_disk(&mut self, request: DiskRequest, waiter: Waiter) {
        match (request, waiter) {
            (DiskRequest::Log { entries }, Waiter::Commit(CommitToken::Logged(volume))) => {
                let durable = self.log_works;
                self.logged.extend(entries.into_iter().filter(|_| durable));
                self.commit(|commits, parts| commits.run(parts, volume).on_logged(durable));
            }
            (DiskRequest::Write { block, .. }, Waiter::Put(PutToken::OwnWrite(put))) => {
                self.store.insert(block.id(), block);
                self.puts.on_own_write(&mut self.cx, put, WriteDone::New);
            }
            (DiskRequest::Have { .. }, Waiter::Put(PutToken::OwnProbe(put))) => {
                self.puts.on_own_probe(&mut self.cx, put, &[Possession::Yes]);
            }
            (DiskRequest::Read { id }, Waiter::Get(GetToken::Own(_))) => {
                let done = self.store.get(&id).map_or(ReadDone::No, |block| ReadDone::Found(block.clone()));
                self.gets.on_own_read(&mut self.cx, &mut self.log, id, done);
            }
            other => panic!("{other:?}"),
        }
    }

    fn on_message(&mut self, to: NodeId, message: &Message) {
        let request = match message {
            Message::Store(store) => store.request,
            Message::Facts(facts) => facts.request,
            Message::Have(have) => have.request,
            Message::Heads(heads) => heads.request,
            Message::Fetch(fetch) => fetch.request,
            other => panic!("{other:?}"),
        };
        match self.cx.answered(to, request) {
            Some(Waiter::Put(PutToken::Store(put))) => {
                self.puts.on_store_reply(&mut self.cx, put, to, self.peers);
            }
            Some(Waiter::Put(PutToken::Probe(put))) => {
                self.puts.on_probe_reply(&mut self.cx, put, to, &[Possession::No]);
            }
            Some(Waiter::Heads(query)) => self.queries.on_reply(&mut self.cx, query, to, true),
            Some(Waiter::Get(GetToken::Fetch(id))) => {
                let reply = fsdfs_proto::message::FetchReply {
                    request,
                    outcome: fsdfs_proto::message::FetchOutcome::No,
                    block: None,
                };
                let none = crate::seam::BlockPayload::None;
                self.gets.on_fetch_reply(&mut self.cx, &mut self.log, (id, to), &reply, none);
            }
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }

    fn published(&self) -> usize {
        self.cx.facts.heads(volume()).len()
    }

    fn step(&mut self) -> &'static str {
        match self.commits.step(volume()) {
            None => "none",
            Some(CommitStep::Asking { .. }) => "asking",
            Some(CommitStep::Editing) => "editing",
            Some(CommitStep::Fetching { .. }) => "fetching",
            Some(CommitStep::Storing { .. }) => "storing",
            Some(CommitStep::Logging { .. }) => "logging",
            Some(CommitStep::Publishing { .. }) => "publishing",
        }
    }

    /// Takes in the head of another, and its blocks if it wants.
    fn hear(&mut self, other: &Self, blocks: bool) {
        for head in other.cx.facts.heads(volume()) {
            self.cx.facts.insert(head.clone().into());
            self.commits.on_head(&mut self.cx, &mut self.heads, &mut self.writer, &head);
        }
        self.cx.facts.drain_new();
        if blocks {
            self.store.extend(other.store.iter().map(|(id, block)| (*id, block.clone())));
        }
    }
}

fn kind(effect: &Effect) -> &'static str {
    match effect {
        Effect::Work { .. } => "job",
        Effect::Disk { request: DiskRequest::Log { .. }, .. } => "log",
        Effect::Disk { request: DiskRequest::Read { .. }, .. } => "read",
        Effect::Send { message: Message::Store(_), .. } => "store",
        Effect::Send { message: Message::Facts(facts), .. } if facts.request > 0 => "publish",
        Effect::Send { message: Message::Heads(_), .. } => "heads",
        _ => "other",
    }
}

fn volume() -> VolumeId {
    pool::pool_id().volume()
}

fn folder(name: &str) -> TreeEdit {
    TreeEdit::MakeDir {
        path: vec![Bytes::copy_from_slice(name.as_bytes())],
        attrs: None,
        xattrs: Vec::new(),
        fresh: false,
    }
}

#[track_caller]
fn check_refused(reply: &EditReply, refusal: Refusal) {
    assert_eq!(reply.outcome, PutOutcome::Refused(refusal));
}

#[test]
fn a_commit_is_answered_when_blocks_and_head_are_on_all_holders() {
    let mut bench = Bench::new(0);
    let reply = bench.edited(1, "a");
    assert!(matches!(&reply.outcome, PutOutcome::Stored(copies) if copies.servers.len() == 3), "{reply:?}");
    assert_eq!(reply.edits, [Ok(EditOutcome::Changed)]);
    assert_eq!((bench.published(), bench.heads.is_empty(), bench.step()), (1, true, "none"));
    assert!(matches!(bench.logged[..], [LogEntry::Own(_), LogEntry::Fact(_)]), "number and head in one write");
}

#[test]
fn a_commit_goes_through_its_steps_in_order_and_tells_nothing_before_the_last() {
    let mut bench = Bench::new(0);
    bench.edit(1, &["a"]);
    let holds =
        [("heads", "asking"), ("job", "editing"), ("store", "storing"), ("log", "logging"), ("publish", "publishing")];
    bench.hold = "heads";
    bench.begin();
    for (number, (hold, step)) in holds.iter().enumerate() {
        assert_eq!(bench.step(), *step);
        assert!(bench.replies.is_empty() && !bench.held.is_empty(), "{hold}");
        assert_eq!(bench.published() > 0, *step == "publishing", "known to all after it is logged");
        let next = holds.get(number + 1).map_or("", |(hold, _)| *hold);
        let held = std::mem::take(&mut bench.held);
        bench.hold = next;
        held.into_iter().for_each(|effect| bench.carry_out(effect));
        bench.run();
    }
    assert_eq!((bench.step(), bench.replies.len()), ("none", 1));
}

#[test]
fn what_comes_together_shares_a_commit() {
    let mut bench = Bench::new(0);
    bench.edit(1, &["a"]);
    bench.edit(2, &["b", "a"]);
    bench.edit(3, &[]);
    bench.begin();
    assert_eq!((bench.jobs, bench.published()), (1, 1));
    assert_eq!(bench.reply(1).edits, [Ok(EditOutcome::Changed)]);
    assert_eq!(bench.reply(2).edits, [Ok(EditOutcome::Changed), Ok(EditOutcome::Unchanged)]);
    assert_eq!(bench.reply(3).edits, []);
}

#[test]
fn what_comes_meanwhile_waits_for_the_next_commit() {
    let mut bench = Bench::new(0);
    bench.edit(1, &["a"]);
    bench.hold = "store";
    bench.begin();
    bench.edit(2, &["b"]);
    bench.begin();
    assert_eq!((bench.step(), bench.jobs), ("storing", 1), "one at a time");
    bench.release();
    assert_eq!(bench.replies.len(), 1);
    bench.begin();
    assert_eq!(bench.replies.len(), 2);
}

#[test]
fn an_edit_that_finds_all_as_it_wants_makes_no_head_but_its_answer_is_durable() {
    let mut bench = Bench::new(0);
    bench.edited(1, "a");
    let (head, logged) = (bench.cx.facts.heads(volume()), bench.logged.len());
    bench.hold = "publish";
    bench.edit(2, &["a"]);
    bench.begin();
    assert_eq!((bench.step(), bench.held.len()), ("publishing", 2), "the head that says so goes to its holders");
    bench.release();
    let reply = bench.reply(2);
    assert_eq!(reply.edits, [Ok(EditOutcome::Unchanged)]);
    assert_eq!((bench.cx.facts.heads(volume()), bench.logged.len()), (head, logged));
}

/// The ten folders of each of two hundred paths are a block each: all at once they were more than a connection holds, which
/// closed it.
#[test]
fn a_commit_of_many_deep_paths_sends_no_more_at_once_than_may_be_under_way() {
    let mut bench = Bench::new(0);
    let deep = |number: usize| {
        let mut path = vec![Bytes::from(format!("b{number}"))];
        path.resize(11, Bytes::from_static(b"x"));
        // Folders with equal contents would be one block.
        let content = Bytes::from(format!("run-{number}"));
        let attrs = FileAttributes { mode: 0o644, mtime_ns: 0 };
        let file = FileNode { attrs, size: content.len() as u64, content: FileContent::Inline(content) };
        path.push(Bytes::from_static(b"f"));
        TreeEdit::Put { path, file, xattrs: Vec::new() }
    };
    bench.commits.edit(&mut bench.cx, 1, volume(), (0..200).map(deep).collect::<Vec<_>>().into());
    bench.hold = "store";
    bench.begin();
    let (mut sent, mut most) = (0, 0);
    while bench.step() == "storing" {
        most = most.max(bench.held.len());
        sent += 1;
        // One answer, and whatever it lets go; then the next.
        let next = bench.held.remove(0);
        bench.hold = "";
        bench.carry_out(next);
        bench.hold = "store";
        bench.run();
    }
    assert!(sent > 2 * 2_000 && most <= 2 * STORES_UNDER_WAY_MAX, "{most} of {sent} at once");
    bench.release();
    assert!(matches!(&bench.reply(1).outcome, PutOutcome::Stored(copies) if copies.servers.len() == 3));
}

#[test]
fn a_refused_commit_begins_nothing_more() {
    let mut bench = Bench::new(0);
    bench.cx.disks.clear();
    (1..3).for_each(|number| bench.cx.peers.get_mut(pool::node(number)).expect("up").silent = true);
    let edits: Vec<TreeEdit> = (0..300).map(|number| folder(&number.to_string())).collect();
    bench.commits.edit(&mut bench.cx, 1, volume(), VolumeChange::from(edits));
    bench.begin();
    assert!(matches!(bench.reply(1).outcome, PutOutcome::Refused(_)));
    assert_eq!(bench.step(), "none");
}

#[test]
fn nothing_is_promised_when_the_log_fails() {
    let mut bench = Bench::new(0);
    bench.log_works = false;
    check_refused(&bench.edited(1, "a"), Refusal::HomeFailed);
    assert!(bench.published() == 0 && bench.heads.is_empty() && bench.gossip.log_behind);
    bench.log_works = true;
    assert_eq!(bench.edited(2, "a").edits, [Ok(EditOutcome::Changed)]);
}

#[test]
fn whoever_may_not_write_is_refused() {
    let refused = |change: &dyn Fn(&mut Bench)| {
        let mut bench = Bench::new(0);
        change(&mut bench);
        let reply = bench.edited(1, "a");
        assert_eq!((bench.jobs, bench.published(), bench.step()), (0, 0, "none"));
        reply
    };
    check_refused(&refused(&|bench| bench.cx.duplicate_identity = true), Refusal::DuplicateIdentity);
    check_refused(&refused(&|bench| bench.cx.keys.clear()), Refusal::NoKey);
    let off = |bench: &mut Bench| {
        for peer in bench.cx.peers.up() {
            bench.cx.peers.get_mut(peer).expect("up").clock_is_off(20 * 60_000, bench.cx.now);
        }
    };
    check_refused(&refused(&off), Refusal::ClockOff(20));
}

#[test]
fn a_newcomer_waits_for_a_comparison_of_facts_but_not_for_ever() {
    let mut bench = Bench::new(0);
    bench.cx.synced = false;
    bench.edit(1, &["a"]);
    bench.begin();
    assert_eq!((bench.step(), bench.replies.len()), ("none", 0));
    pass(&mut bench.cx, ALONE_MS);
    bench.begin();
    check_refused(&bench.reply(1), Refusal::NotYet);
}

#[test]
fn a_cancelled_edit_that_waits_does_not_happen_and_one_under_way_does_unseen() {
    let mut bench = Bench::new(0);
    bench.edit(1, &["a"]);
    bench.commits.cancel(1);
    bench.begin();
    assert_eq!((bench.jobs, bench.published()), (0, 0));
    bench.edit(2, &["a"]);
    bench.hold = "store";
    bench.begin();
    bench.commits.cancel(2);
    bench.release();
    assert_eq!((bench.published(), bench.replies.len()), (1, 0));
}

#[test]
fn a_full_queue_is_busy() {
    let mut bench = Bench::new(0);
    bench.commits.edit(&mut bench.cx, 1, volume(), vec![folder("a"); EDITS_QUEUED_MAX].into());
    bench.edit(2, &["b"]);
    bench.run();
    assert_eq!(bench.replies, [(2, Reply::Refused(Refusal::Busy))]);
}

#[test]
fn heads_that_stand_side_by_side_are_merged_with_what_is_fetched() {
    let (mut one, mut other) = (Bench::new(0), Bench::new(1));
    one.edited(1, "a");
    other.edited(1, "b");
    one.hear(&other, true);
    assert_eq!(one.published(), 2);
    one.hold = "read";
    assert!(one.commit(|commits, parts| commits.on_merge_due(parts, volume())));
    one.run();
    assert_eq!(one.step(), "fetching");
    one.release();
    assert_eq!((one.published(), one.step()), (1, "none"));
    assert!(!one.commit(|commits, parts| commits.on_merge_due(parts, volume())), "nothing is left to merge");
    let own = one.logged.iter().filter(|entry| matches!(entry, LogEntry::Own(_))).count();
    assert_eq!(own, 1, "a merge is nobody's operation");
}

#[test]
fn a_refused_commit_receives_nothing_late() {
    let (mut one, mut other) = (Bench::new(0), Bench::new(1));
    other.edited(1, "b");
    one.hear(&other, false);
    one.edit(1, &["a"]);
    one.hold = "read";
    one.begin();
    assert_eq!(one.step(), "fetching");
    one.release();
    let reply = one.reply(1);
    assert!(matches!(reply.outcome, PutOutcome::Refused(Refusal::Unreachable { .. })), "{reply:?}");
    for (id, block) in other.store.iter().map(|(id, block)| (*id, block.clone())) {
        one.commit(|commits, parts| commits.run(parts, volume()).on_block(id, GetOutcome::Found(block)));
    }
    one.commit(|commits, parts| commits.run(parts, volume()).on_part_put(None, PutOutcome::Refused(Refusal::Busy)));
    one.run();
    assert_eq!((one.step(), one.replies.len(), one.jobs), ("none", 0, 2), "the job said that it cannot do without");
}

#[test]
fn a_head_that_was_heard_is_edited_and_its_writers_stamp_is_not_undercut() {
    let (mut one, mut other) = (Bench::new(0), Bench::new(1));
    pass(&mut other.cx, 5_000);
    other.edited(1, "b");
    one.hear(&other, true);
    one.edited(1, "a");
    let time =
        |bench: &Bench| CommitView::of(&bench.cx.facts.heads(volume())[0].value().commit).expect("own").extra.time;
    assert_eq!(one.published(), 1);
    assert!(time(&one) > time(&other));
}

#[test]
fn a_query_of_heads_is_no_commits_business() {
    let waiter = Waiter::Query(QueryToken::Heads(1));
    let mut bench = Bench::new(0);
    bench.queries.start(&mut bench.cx, volume(), waiter.clone());
    bench.cx.peers.up().into_iter().for_each(|node| bench.queries.on_silent(&mut bench.cx, 1, node));
    let events = events(&mut bench.cx);
    let [Event::HeadsHeard { waiter: of, heard, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(*of == waiter && !heard.majority, "this node alone is no majority of three");
}

#[test]
fn a_full_pool_refuses_what_adds_and_takes_what_removes() {
    let mut bench = Bench::new(0);
    bench.edited(1, "a");
    bench.cx.disks[0].condition = DiskCondition::QuotaFull;
    for number in 1..3 {
        let full = pool::card(number, 2, &[(number, 100)], card_flag::READ_ONLY);
        bench.cx.facts.insert(full.into());
    }
    let remove = TreeEdit::Remove { path: vec![Bytes::from_static(b"a")], recursive: false };
    bench.edit(2, &["b"]);
    bench.commits.edit(&mut bench.cx, 3, volume(), vec![remove].into());
    bench.begin();
    assert_eq!(bench.reply(2).outcome, PutOutcome::Refused(Refusal::NoSpace));
    bench.begin();
    let removed = bench.reply(3);
    assert!(matches!(&removed.outcome, PutOutcome::Stored(copies) if copies.servers.len() == 3), "{removed:?}");
    assert_eq!(removed.edits, [Ok(EditOutcome::Changed)]);
}
