//! Marks, judges, and hands the steps to the store: one page at a time, behind what users do.

use std::collections::{BTreeMap, VecDeque};

use fsdfs_proto::ids::{BlockId, DiskId};
use fsdfs_proto::volume::{BlockKind, header};

use super::judge::{JudgeTerms, Verdict};
use super::ledger::SpaceLedger;
use super::parts::CollectorParts;
use super::roots::roots;
use super::walk::{Reach, Walk, WalkItem};
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::timers::Timer;
use crate::engine::unneeded::CopyNeed;
use crate::facts::MemberStatus;
use crate::limits::{
    ALONE_RUNNING_HOURS, CLOCK_OFF_MS_MAX, COLLECT_DAY_BYTES_MIN, COLLECT_DAY_PART, COLLECT_PAGE, COLLECT_PAUSE_MS,
    DAY_HOURS, DENIED_NOTED_MAX, MARK_AGAIN_MS, MARK_FETCHES_MAX, MARK_LINKS, MARKS_PER_GRACE, MISSING_EMPTY_HOURS,
};
use crate::report::SpaceReport;
use crate::seam::{CollectStep, CollectToken, DiskRequest, GetOutcome, LinksDone, PlacedCopy, Waiter};

/// See [`super`].
#[derive(Default)]
pub(in crate::engine) struct Collector {
    step: CollectorStep,
    /// Of this mark; answers to an earlier one meet nothing.
    number: u64,
    /// Not begun again before, in monotonic milliseconds; none before the start.
    next_at: Option<u64>,
    denied: DeniedBlocks,
    day: DayBudget,
    /// As the last mark that ended found it.
    report: Option<SpaceReport>,
    freed_bytes: u64,
}

#[derive(Default)]
enum CollectorStep {
    #[default]
    Idle,
    Marking(Mark),
    Judging(Judging),
}

/// A walk under way.
struct Mark {
    walk: Walk,
    /// Wall milliseconds.
    began: u64,
    /// Asked of the store, in this order.
    asked: Vec<WalkItem>,
    /// Not here: to be had from others, and under way from them.
    wanted: VecDeque<WalkItem>,
    fetched: BTreeMap<BlockId, WalkItem>,
}

/// A walk that ended, and the copies.
struct Judging {
    walk: Walk,
    terms: JudgeTerms,
    /// Copies may be condemned and deleted; otherwise they are only counted.
    acts: bool,
    ledger: SpaceLedger,
    /// Of the page at hand.
    due: Vec<DueStep>,
    /// The copies after this one come next.
    after: Option<(DiskId, BlockId)>,
    is_last: bool,
    /// It waits for users.
    pauses: bool,
    /// Steps that the store was asked for, by disk.
    sent: BTreeMap<DiskId, Vec<DueStep>>,
}

/// A copy, and the step that it is due for.
#[derive(Clone, Copy, Debug)]
struct DueStep {
    disk: DiskId,
    id: BlockId,
    sequence: u64,
    bytes: u64,
    kind: Option<BlockKind>,
    step: CollectStep,
}

impl Collector {
    /// The next mark is due when all holders make theirs.
    pub fn begin(&mut self, cx: &mut Context) {
        let period = period_ms(cx);
        // By the wall, so that those who hold the same blocks judge them at about the same time. The two clocks do not run quite alike:
        // one that is due in a moment is this one.
        let rest = period - cx.now.wall % period;
        let due = cx.now.mono + if rest < period / 8 { rest + period } else { rest };
        self.next_at = Some(due);
        cx.timers.set(due, Timer::Collect);
    }

    /// Time went on.
    pub fn on_due(&mut self, parts: &mut CollectorParts<'_>) {
        match &self.step {
            CollectorStep::Idle if self.next_at.is_some_and(|at| parts.cx.now.mono >= at) => self.mark(parts),
            // The timer was set for something that is over.
            CollectorStep::Idle => self.next_at.into_iter().for_each(|at| parts.cx.timers.set(at, Timer::Collect)),
            CollectorStep::Marking(_) => self.go_on(parts),
            CollectorStep::Judging(Judging { pauses: true, .. }) => self.ask_copies(parts.cx),
            CollectorStep::Judging(_) => {}
        }
    }

    /// Begins a walk from what stands now.
    fn mark(&mut self, parts: &mut CollectorParts<'_>) {
        let cx = &mut *parts.cx;
        self.begin(cx);
        let is_idle = cx.disks.is_empty() || cx.repair_bytes_per_s == 0;
        if is_idle || !cx.ready() || cx.duplicate_identity {
            // Nothing is kept here, nothing may be fetched now, or what stands is not known.
            return;
        }
        self.number += 1;
        let key = std::array::from_fn(|_| cx.rng.u8(..));
        let walk = Walk::begin(key, &roots(cx, parts.heads, parts.floor));
        let (asked, wanted, fetched) = (Vec::new(), VecDeque::new(), BTreeMap::new());
        self.step = CollectorStep::Marking(Mark { walk, began: cx.now.wall, asked, wanted, fetched });
        self.go_on(parts);
    }

    /// The next links; when there are none the copies are judged.
    fn go_on(&mut self, parts: &mut CollectorParts<'_>) {
        let CollectorStep::Marking(mark) = &mut self.step else { return };
        let cx = &mut *parts.cx;
        if cx.repair_bytes_per_s == 0 && !mark.wanted.is_empty() {
            // Nothing may be fetched any more. What is known of links is remembered.
            return self.rest(cx, MARK_AGAIN_MS);
        }
        while mark.fetched.len() < MARK_FETCHES_MAX
            && let Some(item) = mark.wanted.pop_front()
        {
            if mark.walk.lacks_much(item.volume) {
                mark.walk.on_missing(&item, false);
                continue;
            }
            mark.fetched.insert(item.id, item);
            parts.gets.get(cx, item.id, Waiter::Collect(CollectToken::Block { number: self.number }));
        }
        // A node that has none of a tree would otherwise hold all of its ids in here; a walk is as short as the tree is deep.
        if !mark.asked.is_empty() || mark.wanted.len() >= MARK_LINKS {
            return;
        }
        let mut items = mark.walk.next(MARK_LINKS);
        while items.is_empty() && mark.fetched.is_empty() && mark.walk.go_on_with_earlier() {
            items = mark.walk.next(MARK_LINKS);
        }
        if !items.is_empty() {
            let ids = items.iter().map(|item| item.id).collect();
            mark.asked = items;
            return cx.disk(DiskRequest::Links { ids }, Waiter::Collect(CollectToken::Links { number: self.number }));
        }
        if mark.fetched.is_empty() {
            self.judge(parts);
        }
    }

    /// What blocks here need.
    pub fn on_links(&mut self, parts: &mut CollectorParts<'_>, number: u64, done: &[LinksDone]) {
        let CollectorStep::Marking(mark) = &mut self.step else { return };
        if number != self.number {
            return;
        }
        debug_assert_eq!(done.len(), mark.asked.len(), "one answer a question");
        for (item, done) in std::mem::take(&mut mark.asked).into_iter().zip(done) {
            match done {
                LinksDone::Known { links, .. } => mark.walk.on_links(&item, links),
                LinksDone::No => mark.wanted.push_back(item),
                LinksDone::NotYet => return self.rest(parts.cx, MARK_AGAIN_MS),
            }
        }
        match parts.cx.users_are_busy() {
            true => parts.cx.wake_in(COLLECT_PAUSE_MS, Timer::Collect),
            false => self.go_on(parts),
        }
    }

    /// A block with links came from another member, or did not. Its bytes are what its id says, so its links are, too.
    pub fn on_block(&mut self, parts: &mut CollectorParts<'_>, number: u64, id: BlockId, outcome: &GetOutcome) {
        let CollectorStep::Marking(mark) = &mut self.step else { return };
        if number != self.number {
            return;
        }
        let Some(item) = mark.fetched.remove(&id) else { return };
        let cx = &mut *parts.cx;
        match outcome {
            GetOutcome::Found(block) => {
                self.denied.0.remove(&id);
                // What is no block of a tree has no links.
                if let Ok(found) = header(block.bytes()) {
                    mark.walk.on_links(&item, &found.links);
                    let waiter = Waiter::Collect(CollectToken::Kept);
                    cx.disk(DiskRequest::KeepLinks { block: block.clone() }, waiter);
                }
            }
            GetOutcome::NotFound { nowhere, .. } => {
                // Of a state that others have forgotten they may have deleted this long ago.
                let counts_as_empty = match item.reach() {
                    Reach::Current => false,
                    Reach::History => *nowhere && self.denied.note(cx, id, number),
                    Reach::Floor => *nowhere,
                };
                mark.walk.on_missing(&item, counts_as_empty);
            }
        }
        self.go_on(parts);
    }

    /// The walk is over: the copies are judged by it.
    fn judge(&mut self, parts: &mut CollectorParts<'_>) {
        let CollectorStep::Marking(Mark { mut walk, began, .. }) = std::mem::take(&mut self.step) else { return };
        walk.seal();
        self.denied.keep_of(self.number);
        let heard = heard_of_all(parts);
        let cx = &mut *parts.cx;
        let terms = JudgeTerms { now: cx.now.wall, began, grace_ms: grace_ms(cx), heard };
        self.step = CollectorStep::Judging(Judging {
            walk,
            terms,
            acts: cx.collects && may_delete(cx),
            ledger: SpaceLedger::default(),
            due: Vec::new(),
            after: None,
            is_last: false,
            pauses: false,
            sent: BTreeMap::new(),
        });
        self.ask_copies(cx);
    }

    fn ask_copies(&mut self, cx: &mut Context) {
        let CollectorStep::Judging(judging) = &mut self.step else { return };
        judging.pauses = false;
        let waiter = Waiter::Collect(CollectToken::Copies { number: self.number });
        cx.disk(DiskRequest::Copies { after: judging.after, max: COLLECT_PAGE }, waiter);
    }

    /// The next copies; none: the disk cannot say yet.
    pub fn on_copies(&mut self, parts: &mut CollectorParts<'_>, number: u64, page: Option<&[PlacedCopy]>) {
        let CollectorStep::Judging(judging) = &mut self.step else { return };
        if number != self.number {
            return;
        }
        let cx = &mut *parts.cx;
        let Some(page) = page else { return self.rest(cx, MARK_AGAIN_MS) };
        debug_assert!(page.len() <= COLLECT_PAGE, "no more than was asked for");
        judging.after = page.last().map(|copy| (copy.disk, copy.copy.info.id));
        judging.is_last = page.len() < COLLECT_PAGE;
        for copy in page {
            let verdict = judging.terms.judge(&judging.walk, copy);
            judging.ledger.add(copy, verdict);
            if cx.collects {
                // Below what is missing much seems unneeded that is not: repair must not go by it.
                raise_need(cx, &judging.terms, (copy, verdict), judging.walk.missing().is_empty());
            }
            let step = match verdict {
                Verdict::Condemn => CollectStep::Condemn,
                Verdict::Delete => CollectStep::Delete,
                _ => continue,
            };
            let PlacedCopy { disk, sequence, kind, ref copy, .. } = *copy;
            judging.due.push(DueStep { disk, id: copy.info.id, sequence, bytes: copy.info.len.into(), kind, step });
        }
        if !judging.acts {
            judging.due.clear();
        }
        match judging.walk.missing().is_empty() || judging.due.is_empty() {
            true => self.carry_out(parts),
            false => {
                // Of which volume they are, for nothing goes of one that was not walked to its end.
                let ids = judging.due.iter().map(|due| due.id).collect();
                let waiter = Waiter::Collect(CollectToken::Volumes { number: self.number });
                cx.disk(DiskRequest::Links { ids }, waiter);
            }
        }
    }

    /// Of which volumes the copies are that are due.
    pub fn on_volumes(&mut self, parts: &mut CollectorParts<'_>, number: u64, done: &[LinksDone]) {
        let CollectorStep::Judging(judging) = &mut self.step else { return };
        if number != self.number {
            return;
        }
        debug_assert_eq!(done.len(), judging.due.len(), "one answer a question");
        let is_whole = |done: &LinksDone| match done {
            LinksDone::Known { volume, .. } => !judging.walk.missing().contains_key(volume),
            LinksDone::No | LinksDone::NotYet => false,
        };
        let due = judging.due.iter().zip(done).filter(|(_, done)| is_whole(done)).map(|(due, _)| *due).collect();
        judging.due = due;
        self.carry_out(parts);
    }

    /// The steps that are due on this page; then the next one.
    fn carry_out(&mut self, parts: &mut CollectorParts<'_>) {
        let CollectorStep::Judging(judging) = &mut self.step else { return };
        let cx = &mut *parts.cx;
        debug_assert!(judging.sent.is_empty(), "one page at a time");
        for due in std::mem::take(&mut judging.due) {
            if due.step == CollectStep::Condemn || self.day.takes(cx, &due) {
                judging.sent.entry(due.disk).or_default().push(due);
            }
        }
        for (disk, due) in &judging.sent {
            let copies = due.iter().map(|due| (due.id, due.sequence, due.step)).collect();
            let waiter = Waiter::Collect(CollectToken::Collected { number: self.number, disk: *disk });
            cx.disk(DiskRequest::Collect { disk: *disk, copies }, waiter);
        }
        if judging.sent.is_empty() {
            self.next_page(parts);
        }
    }

    /// Which steps were done; the others met a copy that is not what it was.
    pub fn on_collected(&mut self, parts: &mut CollectorParts<'_>, (number, disk): (u64, DiskId), done: &[bool]) {
        let CollectorStep::Judging(judging) = &mut self.step else { return };
        if number != self.number {
            return;
        }
        let Some(due) = judging.sent.remove(&disk) else { return };
        let gone = due.iter().zip(done).filter(|(due, done)| **done && due.step == CollectStep::Delete);
        self.freed_bytes += gone.map(|(due, _)| due.bytes).sum::<u64>();
        if judging.sent.is_empty() {
            self.next_page(parts);
        }
    }

    fn next_page(&mut self, parts: &mut CollectorParts<'_>) {
        let CollectorStep::Judging(judging) = &mut self.step else { return };
        let cx = &mut *parts.cx;
        if judging.is_last {
            return self.end(cx);
        }
        if cx.users_are_busy() {
            judging.pauses = true;
            return cx.wake_in(COLLECT_PAUSE_MS, Timer::Collect);
        }
        self.ask_copies(cx);
    }

    fn end(&mut self, cx: &mut Context) {
        let CollectorStep::Judging(judging) = std::mem::take(&mut self.step) else { return };
        cx.unneeded.forget_gone(|id| judging.walk.reach(id).is_some());
        // It may have taken longer than from one mark to the next.
        self.begin(cx);
        let report = judging.ledger.report(&judging.walk, judging.terms.began);
        self.report = Some(SpaceReport { freed_bytes: self.freed_bytes, collects: cx.collects, ..report });
    }

    /// What cannot be said now is looked at again soon.
    fn rest(&mut self, cx: &mut Context, ms: u64) {
        self.step = CollectorStep::Idle;
        self.next_at = Some(cx.now.mono + ms);
        cx.wake_in(ms, Timer::Collect);
    }

    /// What the last mark found.
    pub fn report(&self) -> Option<&SpaceReport> {
        self.report.as_ref()
    }
}

/// Blocks with links that all who may have them denied: since when, in monotonic milliseconds, and in which mark last.
#[derive(Debug, Default)]
struct DeniedBlocks(BTreeMap<BlockId, (u64, u64)>);

impl DeniedBlocks {
    /// It was denied in this mark. Whether it has been in all marks for so long that it is gone.
    fn note(&mut self, cx: &Context, id: BlockId, mark: u64) -> bool {
        if self.0.len() >= DENIED_NOTED_MAX && !self.0.contains_key(&id) {
            return false;
        }
        let (since, last) = self.0.entry(id).or_insert((cx.now.mono, mark));
        *last = mark;
        cx.now.mono.saturating_sub(*since) >= MISSING_EMPTY_HOURS * cx.params.hour_ms
    }

    /// A mark is over: of what it did not look for, or found, nobody knows any more since when it is gone.
    fn keep_of(&mut self, mark: u64) {
        self.0.retain(|_, (_, last)| *last == mark);
    }
}

/// What went of data and pieces of files lately: should a mark be wrong by a mistake of this program, somebody notices before all is gone.
#[derive(Debug, Default)]
struct DayBudget {
    /// Monotonic milliseconds.
    began: u64,
    bytes: u64,
}

impl DayBudget {
    /// Whether it may go today. Folders and states are not counted.
    fn takes(&mut self, cx: &Context, due: &DueStep) -> bool {
        if matches!(due.kind, Some(BlockKind::Directory | BlockKind::Commit)) {
            return true;
        }
        if cx.now.mono >= self.began + DAY_HOURS * cx.params.hour_ms {
            *self = Self { began: cx.now.mono, bytes: 0 };
        }
        let used: u64 = cx.disks.iter().map(|disk| disk.quota_bytes.saturating_sub(disk.room_bytes)).sum();
        let takes = self.bytes + due.bytes <= (used / COLLECT_DAY_PART).max(COLLECT_DAY_BYTES_MIN);
        self.bytes += if takes { due.bytes } else { 0 };
        takes
    }
}

/// Repair goes by it until the next mark. `is_whole`: what was not reached is not needed.
fn raise_need(cx: &mut Context, terms: &JudgeTerms, (copy, verdict): (&PlacedCopy, Verdict), is_whole: bool) {
    let info = &copy.copy.info;
    let need = match verdict {
        Verdict::Damaged => return,
        Verdict::Keep(Reach::Floor) => CopyNeed::Kept,
        // All holders know alike how old it is, and not when it was renewed.
        Verdict::Young if terms.is_old(copy) => CopyNeed::Kept,
        Verdict::Keep(_) | Verdict::Young | Verdict::Revive => CopyNeed::Needed,
        Verdict::Unheard | Verdict::Condemn | Verdict::Condemned | Verdict::Delete => CopyNeed::Unneeded,
    };
    if verdict == Verdict::Revive {
        // A lease that is renewed revives.
        let renew = info.redundancies.first().copied();
        let have = DiskRequest::Have { ids: vec![info.id], renew };
        cx.disk(have, Waiter::Collect(CollectToken::Kept));
    }
    if (is_whole || need == CopyNeed::Needed) && cx.unneeded.is_news(info.id, need) {
        cx.raise(Event::CopyJudged { info: info.clone(), need });
    }
}

fn grace_ms(cx: &Context) -> u64 {
    u64::from(cx.facts.rules().garbage_grace_hours).saturating_mul(cx.params.hour_ms)
}

fn period_ms(cx: &Context) -> u64 {
    (grace_ms(cx) / MARKS_PER_GRACE).max(1)
}

/// Whether steps may be taken now: by a member in good standing that knows what stands, with a clock that others confirm. Alone it goes
/// by how long it has run.
fn may_delete(cx: &Context) -> bool {
    let is_member = cx.facts.members().get(&cx.me).is_some_and(|me| me.status == MemberStatus::Member);
    let knows_time = match cx.clock_confirmed() {
        Some(off) => off.unsigned_abs() <= CLOCK_OFF_MS_MAX,
        None => cx.alone() && cx.now.mono.saturating_sub(cx.started) >= ALONE_RUNNING_HOURS * cx.params.hour_ms,
    };
    is_member && knows_time && cx.ready() && !cx.duplicate_identity
}

/// Wall milliseconds at which all members that are not gone had been heard, each with all it had acknowledged.
fn heard_of_all(parts: &CollectorParts<'_>) -> u64 {
    let counts = |status| matches!(status, MemberStatus::Member | MemberStatus::Guest);
    let members = parts.cx.facts.members().iter();
    let others = members.filter(|(node, member)| **node != parts.cx.me && counts(member.status));
    others.map(|(node, _)| parts.presence.heard_until(parts.cx, *node).unwrap_or_default()).min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
