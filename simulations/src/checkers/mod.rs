//! What must hold, and what was found not to.
//!
//! Each checker is a machine of its own: it is told what was observed, keeps what it needs to judge the next observation, and
//! never sees the world.

pub mod ageing;
pub mod convergence;
pub mod copies;
pub mod deletion;
pub mod harm;
pub mod history;
pub mod honesty;
pub mod liveness;
pub mod presence;
pub mod promise;
pub mod removal;
pub mod safety;
pub mod storage;
pub mod thrift;

use std::fmt;

use fsdfs_core::tree::{JobDone, TreeError, TreeJob, TreeParams};
use fsdfs_proto::identity::{Fact, Head};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::VolumeKeys;

use self::ageing::AgeingChecker;
use self::deletion::NeededBlocks;
use self::harm::HarmChecker;
use self::history::VolumeHistory;
use self::honesty::HonestyChecker;
use self::liveness::LivenessChecker;
use self::presence::PresenceChecker;
use self::promise::{AnsweredEdit, AnsweredQuery, PromiseChecker, wrong_lease};
use self::removal::RemovalChecker;
use self::safety::{HeadOrigins, SafetyView};
use self::storage::StorageModel;
use self::thrift::ThriftChecker;
use crate::world::MachineId;
use crate::world::heads::commit_of;
use crate::world::observed::Observed;
use crate::world::queue::{MS, Micros, S};

/// Complaints that are kept; the same one is not repeated for ever.
const VIOLATIONS_MAX: usize = 20;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When it was noticed.
    pub at: Micros,
    /// Which checker noticed it: promise, convergence, liveness, presence, bounds, tree, harm, removal, deletion, replay, assertion.
    pub checker: &'static str,
    /// What.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} violated at {}.{:03} s: {}", self.checker, self.at / S, self.at % S / MS, self.what)
    }
}

/// All checkers, each told what concerns it.
pub struct Checkers {
    /// Found so far.
    pub violations: Vec<Violation>,
    /// Every tree of the volume, held against a model of its edits.
    pub history: VolumeHistory,
    /// What lies where.
    pub storage: StorageModel,
    /// What was promised.
    pub promises: PromiseChecker,
    /// Who waits for an answer.
    pub liveness: LivenessChecker,
    /// Who is called away.
    pub presence: PresenceChecker,
    /// Who lies.
    pub harm: HarmChecker,
    /// What gave way.
    pub removal: RemovalChecker,
    /// What states need.
    pub needed: NeededBlocks,
    /// What repair moves.
    pub thrift: ThriftChecker,
    /// What owners are told of copies.
    pub honesty: HonestyChecker,
    ageing: AgeingChecker,
    /// Whether what repair moves is judged.
    pub judges_repair: bool,
    /// Where heads were made.
    pub origins: HeadOrigins,
}

impl Checkers {
    /// Of a world in which nothing has happened.
    pub fn new(keys: VolumeKeys, params: TreeParams) -> Self {
        Self {
            violations: Vec::new(),
            history: VolumeHistory::new(keys, params),
            storage: StorageModel::default(),
            promises: PromiseChecker::default(),
            liveness: LivenessChecker::default(),
            presence: PresenceChecker::default(),
            harm: HarmChecker::default(),
            removal: RemovalChecker::default(),
            needed: NeededBlocks::default(),
            thrift: ThriftChecker::default(),
            honesty: HonestyChecker::default(),
            ageing: AgeingChecker::default(),
            judges_repair: false,
            origins: HeadOrigins::default(),
        }
    }

    /// Something must not be.
    pub fn fail(&mut self, at: Micros, checker: &'static str, what: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { at, checker, what });
        }
    }

    fn fail_all(&mut self, at: Micros, checker: &'static str, what: impl IntoIterator<Item = String>) {
        what.into_iter().for_each(|what| self.fail(at, checker, what));
    }

    /// What may be destroyed now.
    pub fn safety(&mut self, at: Micros) -> SafetyView<'_> {
        // What was on two machines until now counts as such, whatever is destroyed next.
        self.origins.note_replicated(&self.storage, &self.history);
        SafetyView { at, storage: &self.storage, history: &self.history, origins: &self.origins }
    }

    /// The member of a machine was removed: what it alone confirmed goes nowhere any more.
    pub fn member_removed(&mut self, machine: MachineId) {
        self.promises.machine_lost(machine, &self.storage, &self.history);
        self.thrift.removed(machine);
    }

    /// Takes in what was observed.
    pub fn observe(&mut self, at: Micros, observed: Observed) {
        if changes_who_is_up(&observed) {
            self.presence.disturbed(at);
            self.honesty.disturbed(at);
        }
        self.observe_machines(at, &observed);
        match observed {
            Observed::MachineAdded { machine, node, site, duplicate, .. } => {
                self.storage.machine_added(machine, node, site, duplicate);
                self.presence.machine_added(machine, node);
            }
            Observed::MachineLeftOut { machine } => self.storage.machine_gone(machine),
            Observed::MemberTurned { machine, node } => {
                self.harm.turned(machine, node);
                self.removal.disturbed(at, machine);
                self.liveness.member_turned();
                self.storage.member_turned(machine);
                self.promises.machine_lost(machine, &self.storage, &self.history);
                self.promises.disks_changed(at, machine);
                self.promises.disturbed(at);
            }
            Observed::MemberRevoked { .. } => {
                self.liveness.member_revoked(at);
                self.promises.disturbed(at);
            }
            Observed::HeadForged { head, blocks } => self.history.forged(&head, &blocks),
            Observed::MachineLost { machine } => {
                self.removal.disturbed(at, machine);
                self.storage.machine_gone(machine);
                self.promises.machine_lost(machine, &self.storage, &self.history);
                self.promises.disks_changed(at, machine);
            }
            Observed::NodeStarted { machine } | Observed::NodeCrashed { machine } => {
                self.liveness.restarted(machine);
                self.promises.disturbed(at);
            }
            Observed::NodeFrozen { machine } => {
                self.liveness.frozen(machine);
                self.promises.disturbed(at);
            }
            Observed::NodeThawed { machine } => {
                self.liveness.thawed(at, machine);
                self.promises.disturbed(at);
            }
            Observed::ConnectionsChanged => self.promises.disturbed(at),
            Observed::CopyChanged { machine, block, copy } => self.storage.copy_changed(machine, block, copy),
            Observed::CopyEvicted { machine, block, assigned } => {
                let wrong = self.removal.evicted_by(at, (machine, block), &assigned, &self.storage);
                self.fail_all(at, "removal", wrong);
            }
            Observed::CopyCollected { machine, block, members } => {
                let wrong = self.needed.on_collected(at, (machine, block), &members, (&self.storage, &self.history));
                self.fail_all(at, "deletion", wrong);
            }
            Observed::DisksReplaced { machine, copies } => {
                self.removal.disturbed(at, machine);
                self.storage.disks_replaced(machine, copies);
            }
            Observed::DisksDisturbed { machine } => {
                self.removal.disturbed(at, machine);
                self.promises.disks_changed(at, machine);
            }
            Observed::LogAppended { machine, entries } => self.storage.log_appended(machine, &entries),
            Observed::ImageRestored { machine, log } => {
                self.storage.log_replaced(machine, &log);
                self.promises.image_restored(machine);
            }
            Observed::FileSealed { number, root } => self.history.file_sealed(number, root),
            Observed::BlockSealed { block } => self.history.made(at, &block),
            Observed::JobRan { machine, job, done } => self.job_ran(at, machine, &job, &done),
            Observed::MachinesInTouch { .. } | Observed::ClockJumped => {}
            Observed::ConnectionOverflows { machine, to, waiting } => {
                let to = to.short();
                self.fail(at, "bounds", format!("{waiting:?} messages and blocks of node {machine} wait for {to}"));
            }
            Observed::NodeSpins { machine } => {
                let what = format!("node {machine} asks for a time that has passed, again and again");
                self.fail(at, "liveness", what);
            }
            other => self.observe_user(at, other),
        }
    }

    /// What those remember who judge repair.
    fn observe_machines(&mut self, at: Micros, observed: &Observed) {
        match observed {
            Observed::MachineAdded { node, site, weight, .. } => self.thrift.machine_added(*node, *site, *weight),
            Observed::MachineLost { machine }
            | Observed::MachineLeftOut { machine }
            | Observed::MemberTurned { machine, .. } => self.thrift.gone(*machine),
            Observed::NodeStarted { machine } => self.thrift.runs(at, *machine, true),
            Observed::NodeCrashed { machine } => self.thrift.runs(at, *machine, false),
            Observed::MachinesInTouch { groups } => self.thrift.in_touch(at, groups),
            Observed::DisksDisturbed { machine } => {
                self.thrift.disks_disturbed(at, *machine);
                self.honesty.disturbed(at);
            }
            Observed::ClockJumped => self.ageing.clock_jumped(),
            _ => {}
        }
    }

    /// What repair moved, and what is said of it.
    fn observe_repair(&mut self, at: Micros, observed: Observed) {
        match observed {
            Observed::BlockPulled(pull) => {
                let wrong = self.thrift.pulled(at, &pull).filter(|_| self.judges_repair);
                self.fail_all(at, "thrift", wrong);
            }
            Observed::CopyMade(made) => {
                let wrong = self.ageing.copy_made(&made).filter(|_| self.judges_repair);
                self.fail_all(at, "ageing", wrong);
            }
            Observed::AssuranceAnswered { op, found } => {
                let lost_since = self.promises.lost_something_since(op);
                self.promises.command_ended(op);
                self.liveness.command_ended(op);
                let wrong = self.honesty.assured(&found, lost_since, &self.storage);
                self.fail_all(at, "honest", wrong);
            }
            Observed::StatusAnswered { op, said } => {
                self.promises.command_ended(op);
                self.liveness.command_ended(op);
                let wrong = self.honesty.status(at, &said, (&self.storage, &self.history), &mut self.needed);
                self.fail_all(at, "honest", wrong);
            }
            other => unreachable!("handled with the users: {other:?}"),
        }
    }

    /// What users and their nodes say to each other.
    fn observe_user(&mut self, at: Micros, observed: Observed) {
        match observed {
            Observed::CommandSent { machine, op, operation } => {
                self.promises.command_sent(at, machine, op);
                self.liveness.command_sent(at, machine, op, operation);
            }
            Observed::MembersAnswered { machine, op, away, departed, in_touch } => {
                self.promises.command_ended(op);
                self.liveness.command_ended(op);
                let wrong = self.presence.answered(at, machine, (&away, &departed), &in_touch);
                self.fail_all(at, "presence", wrong);
            }
            Observed::CommandAborted { op } | Observed::ReportAnswered { op } => {
                self.promises.command_ended(op);
                self.liveness.command_ended(op);
            }
            Observed::PutAnswered { op, block, outcome } => {
                self.liveness.command_ended(op);
                let disturbed = self.promises.lost_something_since(op);
                let harm = self.harm.put_answered(block, &outcome, disturbed, &self.storage);
                self.fail_all(at, "harm", harm);
                let wrong = self.promises.put_answered(op, block, &outcome, &self.storage);
                self.fail_all(at, "promise", wrong);
            }
            Observed::EditAnswered { machine, op, number, reply, write_key, all_connected } => {
                self.liveness.command_ended(op);
                let edit = AnsweredEdit { machine, op, number, reply: &reply, write_key, all_connected };
                let wrong = self.promises.edit_answered(at, edit, &self.storage, &self.history);
                self.fail_all(at, "promise", wrong);
            }
            Observed::QueryAnswered { machine, op, shown, maybe_stale, maybe_incomplete, connected } => {
                self.liveness.command_ended(op);
                let honest = shown.as_ref().map(|shown| self.history.honest(shown));
                let (shown, honest, connected) = (shown.as_ref(), honest.as_ref(), &connected[..]);
                let query = AnsweredQuery { machine, op, shown, honest, maybe_stale, maybe_incomplete, connected };
                let wrong = self.promises.query_answered(query);
                self.fail_all(at, "promise", wrong);
            }
            Observed::PastAnswered { op, state, path, entries } => {
                self.promises.command_ended(op);
                self.liveness.command_ended(op);
                let wrong = self.history.past_shown(state, &path, entries.as_deref());
                self.fail_all(at, "history", wrong);
            }
            Observed::GetAnswered { machine, op, block, found, in_reach } => {
                self.liveness.command_ended(op);
                let wrong = self.promises.get_answered((machine, op), block, found, &in_reach, &self.storage);
                self.fail_all(at, "promise", wrong);
            }
            Observed::LeasesAnswered { machine, answers } => {
                self.fail_all(at, "promise", wrong_lease(machine, &answers));
            }
            Observed::BytesRead { len, number: None } => {
                self.fail(at, "promise", format!("{len} bytes were read that no write wrote"));
            }
            Observed::BytesRead { .. } => {}
            Observed::ReplyUnusable { checker, what } => self.fail(at, checker, what),
            other => self.observe_repair(at, other),
        }
    }

    /// A job ran: whatever it made is held against the model.
    fn job_ran(&mut self, at: Micros, machine: MachineId, job: &TreeJob, done: &JobDone) {
        let checked = match (job, done) {
            (TreeJob::Edit(job), JobDone::Edited { blocks, head: Some(head), outcomes }) => {
                self.promises.writes_as(machine, job.dot.0);
                self.head_made(machine, head);
                self.history.edited(at, job, blocks, head, outcomes)
            }
            (TreeJob::Edit(job), JobDone::Edited { head: None, .. }) => self.history.unchanged(job),
            (TreeJob::Merge(job), JobDone::Merged { blocks, head }) => {
                self.head_made(machine, head);
                self.history.merged_to(at, job, blocks, head)
            }
            // Its holders are away; whoever asked is told so.
            (_, JobDone::Failed(TreeError::Absent(..))) => Ok(()),
            (_, JobDone::Failed(error)) => Err(format!("a tree is not readable: {error:?}")),
            _ => Ok(()),
        };
        if let Err(what) = checked
            && !self.harm.lies(machine)
        {
            self.fail(at, "tree", format!("on node {machine}: {what}"));
        }
    }

    fn head_made(&mut self, machine: MachineId, head: &Signed<Head>) {
        let commit = commit_of(head);
        if !self.harm.lies(machine) {
            self.origins.head_made(machine, commit);
        }
        self.storage.head_made(Fact::from(head.clone()).raw(), commit);
    }
}

fn changes_who_is_up(observed: &Observed) -> bool {
    matches!(
        observed,
        Observed::MachineAdded { .. }
            | Observed::MachineLost { .. }
            | Observed::MemberTurned { .. }
            | Observed::MemberRevoked { .. }
            | Observed::NodeStarted { .. }
            | Observed::NodeCrashed { .. }
            | Observed::NodeFrozen { .. }
            | Observed::NodeThawed { .. }
            | Observed::ConnectionsChanged
    )
}
