//! The promise: what was answered holds.
//!
//! * A confirmed copy is durable on the server named, at the moment of the answer.
//! * Acknowledged content is part of what the node shows from then on, also after its restart.
//! * While every node is connected to every other, none shows less than what was acknowledged before.
//! * A node that is connected to one that acknowledged a write shows it, or says that what it shows may be incomplete; a
//!   gossip round after the writer was told at the latest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use fsdfs_core::limits::GOSSIP_MS;
use fsdfs_core::seam::{Copies, EditReply, OpId, PutOutcome};
use fsdfs_proto::ids::{BlockId, NodeId, PublicKey, Writer};
use fsdfs_proto::message::Possession;
use fsdfs_proto::volume::VersionVector;

use crate::checkers::history::{HeadState, VolumeHistory};
use crate::checkers::storage::StorageModel;
use crate::users::file::WriteNumber;
use crate::world::MachineId;
use crate::world::observed::{LeaseAnswer, WorkingStore};
use crate::world::queue::{MS, Micros, S};

/// What was promised so far.
#[derive(Debug, Default)]
pub struct PromiseChecker {
    /// Writes that were acknowledged.
    acked: BTreeSet<WriteNumber>,
    /// When connections, processes or the network last changed.
    disturbed: Micros,
    /// When the disks of a machine last lost something.
    disks_changed: BTreeMap<MachineId, Micros>,
    /// What each machine has acknowledged or shown.
    floor: BTreeMap<MachineId, VersionVector>,
    /// What was acknowledged since all have been connected to all.
    calm: VersionVector,
    /// Commands under way.
    begun: BTreeMap<OpId, CommandStart>,
    /// Writes that one machine confirmed, and no other.
    alone: BTreeMap<WriteNumber, MachineId>,
    /// Under which incarnations each machine writes.
    writers: BTreeMap<MachineId, BTreeSet<Writer>>,
    /// What each machine acknowledged of its own writes, and when, the oldest first.
    own: BTreeMap<MachineId, VecDeque<(Micros, VersionVector)>>,
    /// All holders of a block may be away for hours: a head that needs it is left out, and the answer says that there may be newer
    /// changes.
    pub may_withhold: bool,
}

/// A gossip round.
const ROUND: Micros = GOSSIP_MS * MS;
/// After a change of connections nodes learn from each other's cards what they understand.
const INTRODUCED: Micros = 3 * ROUND;
/// Acknowledgements further back are kept as one: no query takes longer.
const REMEMBERED: Micros = 100 * S;

/// What held when a command was given. What is confirmed while it runs it may or may not see.
#[derive(Clone, Debug)]
struct CommandStart {
    since: Micros,
    floor: VersionVector,
    calm: VersionVector,
}

/// An answer to an edit.
#[derive(Clone, Copy, Debug)]
pub struct AnsweredEdit<'a> {
    /// By which machine.
    pub machine: MachineId,
    /// To which command.
    pub op: OpId,
    /// What it wrote; 0 if it wrote no content.
    pub number: WriteNumber,
    /// The answer.
    pub reply: &'a EditReply,
    /// The key of the epoch in which the machine is.
    pub write_key: Option<PublicKey>,
    /// Whether every node is connected to every other at this moment.
    pub all_connected: bool,
}

/// A tree that was shown.
#[derive(Clone, Copy, Debug)]
pub struct AnsweredQuery<'a> {
    /// By which machine.
    pub machine: MachineId,
    /// To which command.
    pub op: OpId,
    /// What it was read from.
    pub shown: Option<&'a VersionVector>,
    /// What honest members did of it; none if all are.
    pub honest: Option<&'a VersionVector>,
    /// It says that there may be newer changes.
    pub maybe_stale: bool,
    /// It says that a member acknowledged what it does not show.
    pub maybe_incomplete: bool,
    /// Machines that run and that it is connected to.
    pub connected: &'a [MachineId],
}

impl PromiseChecker {
    /// A machine's job made a commit under this incarnation.
    pub fn writes_as(&mut self, machine: MachineId, writer: Writer) {
        self.writers.entry(machine).or_default().insert(writer);
    }

    /// Connections, processes or the network change.
    pub fn disturbed(&mut self, at: Micros) {
        self.disturbed = at;
        self.calm = VersionVector::default();
    }

    /// Disks of a machine lost something.
    pub fn disks_changed(&mut self, at: Micros, machine: MachineId) {
        self.disks_changed.insert(machine, at);
    }

    /// Its memory is what it was some time ago.
    pub fn image_restored(&mut self, machine: MachineId) {
        self.floor.remove(&machine);
        self.own.remove(&machine);
    }

    /// Writes that were confirmed by this machine alone, and that no other heard of, are not promised any more.
    pub fn machine_lost(&mut self, lost: MachineId, storage: &StorageModel, history: &VolumeHistory) {
        let others = storage.machines().filter(|other| *other != lost);
        let states: Vec<Rc<HeadState>> =
            others.flat_map(|other| history.states(storage.heads_logged(other))).map(|(_, state)| state).collect();
        let alone = &self.alone;
        let known = |write: &WriteNumber| states.iter().any(|state| state.includes(*write));
        self.acked.retain(|write| alone.get(write) != Some(&lost) || known(write));
    }

    /// A user gave a command.
    pub fn command_sent(&mut self, at: Micros, machine: MachineId, op: OpId) {
        let floor = self.floor.get(&machine).cloned().unwrap_or_default();
        self.begun.insert(op, CommandStart { since: at, floor, calm: self.calm.clone() });
    }

    /// No answer will come, or one that promises nothing.
    pub fn command_ended(&mut self, op: OpId) {
        self.begun.remove(&op);
    }

    /// Whether some disk lost something since this command was given.
    pub fn lost_something_since(&self, op: OpId) -> bool {
        let since = self.begun.get(&op).map_or(0, |begun| begun.since);
        self.disks_changed.values().any(|at| *at >= since)
    }

    /// A block was confirmed: every server named has it, each counted once.
    pub fn put_answered(
        &mut self,
        op: OpId,
        block: BlockId,
        outcome: &PutOutcome,
        storage: &StorageModel,
    ) -> Vec<String> {
        let Some(CommandStart { since, .. }) = self.begun.remove(&op) else { return Vec::new() };
        let Some((copies, mut wrong)) = promised(outcome) else { return Vec::new() };
        let lacks = |server: &&NodeId| !self.any_of(**server, since, storage, |id| storage.believes(id, block));
        let text =
            |server: &NodeId| format!("{} was confirmed for {}, which does not have it", block.short(), server.short());
        wrong.extend(copies.servers.iter().filter(lacks).map(text));
        wrong
    }

    /// An edit was confirmed.
    pub fn edit_answered(
        &mut self,
        at: Micros,
        edit: AnsweredEdit<'_>,
        storage: &StorageModel,
        history: &VolumeHistory,
    ) -> Vec<String> {
        let AnsweredEdit { machine, op, number, reply, write_key, all_connected } = edit;
        let Some(CommandStart { since, .. }) = self.begun.remove(&op) else { return Vec::new() };
        let Some((copies, mut wrong)) = promised(&reply.outcome) else { return Vec::new() };
        if !reply.edits.iter().all(Result::is_ok) {
            return wrong;
        }
        let states = history.states(storage.heads_logged(machine));
        if number != 0 && !history.vanished(number) {
            self.acked.insert(number);
            if copies.servers == [storage.node_of(machine)] {
                self.alone.insert(number, machine);
            }
            wrong.extend(self.head_is_durable(edit, since, copies, storage, history));
            wrong.extend(self.tree_is_durable(number, since, copies, storage, &states));
        }
        let seen = goes_by(states.iter().map(|(_, state)| &**state), number, write_key);
        // What members that lie did may be shown for a while and then not.
        let seen = history.honest(&seen);
        if since > self.disturbed && all_connected {
            self.calm.add_all(&seen);
        }
        self.note_own(at, machine, &seen);
        self.floor.entry(machine).or_default().add_all(&seen);
        wrong
    }

    /// Of what its heads include: what it wrote itself.
    fn note_own(&mut self, at: Micros, machine: MachineId, seen: &VersionVector) {
        let Some(writers) = self.writers.get(&machine) else { return };
        let mut own = VersionVector::default();
        seen.dots().iter().filter(|dot| writers.contains(&dot.writer)).for_each(|dot| own.add(*dot));
        let acked = self.own.entry(machine).or_default();
        acked.push_back((at, own));
        while let [(_, oldest), (next, _), ..] = acked.make_contiguous()
            && *next + REMEMBERED < at
        {
            let oldest = oldest.clone();
            acked.pop_front();
            acked.front_mut().expect("there were two").1.add_all(&oldest);
        }
    }

    /// The node that answers, and as many servers as were counted, have a head that includes the write. The answer names
    /// the servers of whatever part of the commit has the fewest copies; those of the head may be others.
    fn head_is_durable(
        &self,
        edit: AnsweredEdit<'_>,
        since: Micros,
        copies: &Copies,
        storage: &StorageModel,
        history: &VolumeHistory,
    ) -> Option<String> {
        let AnsweredEdit { machine, number, .. } = edit;
        let includes =
            |id: MachineId| history.states(storage.heads_logged(id)).iter().any(|(_, state)| state.includes(number));
        let having: BTreeSet<NodeId> =
            storage.nodes().into_iter().filter(|node| self.any_of(*node, since, storage, includes)).collect();
        let (own, needed) = (storage.node_of(machine), copies.servers.len());
        let lacks = !having.contains(&own) || having.len() < needed;
        lacks.then(|| format!("write {number} was confirmed, but heads on {having:?} include it: {needed} are needed"))
    }

    /// What the commit added to the tree lies on as many servers as were counted.
    fn tree_is_durable(
        &self,
        number: WriteNumber,
        since: Micros,
        copies: &Copies,
        storage: &StorageModel,
        states: &[(BlockId, Rc<HeadState>)],
    ) -> Vec<String> {
        let including = states.iter().filter(|(_, state)| state.includes(number));
        let Some((_, first)) = including.min_by_key(|(_, state)| state.reached()) else { return Vec::new() };
        if self.disks_changed.values().any(|at| *at >= since) {
            return Vec::new();
        }
        let counted = copies.servers.len();
        let too_few = |block: &BlockId| {
            // What those say who lie is nobody's fault but theirs.
            let held = storage.believers(*block).len() + storage.liars();
            (held < counted)
                .then(|| format!("{} of the tree of write {number} is on {held} servers, not {counted}", block.short()))
        };
        first.made.iter().filter_map(too_few).collect()
    }

    /// A tree was shown: never less than before, while all are connected never less than was acknowledged, and never without
    /// a word less than a connected node acknowledged.
    pub fn query_answered(&mut self, query: AnsweredQuery<'_>) -> Option<String> {
        let AnsweredQuery { machine, op, shown, honest, maybe_stale, maybe_incomplete, connected } = query;
        let begun = self.begun.remove(&op)?;
        let Some(shown) = shown else { return Some(format!("node {machine} showed a tree without reading one")) };
        // What members that lie did may be shown for a while and then not. It counts for what it includes, though: later incarnations
        // of theirs stand for those under which they wrote before they lied.
        self.floor.entry(machine).or_default().add_all(honest.unwrap_or(shown));
        if self.may_withhold && maybe_stale {
            return None;
        }
        if !shown.covers_all(&begun.floor) {
            let lacks = lacking(shown, &begun.floor);
            return Some(format!("node {machine} shows less than it acknowledged or showed before: {lacks}"));
        }
        if maybe_incomplete {
            return None;
        }
        if self.disturbed < begun.since && !shown.covers_all(&begun.calm) {
            let stale = if maybe_stale { " (and says maybe)" } else { "" };
            let lacks = lacking(shown, &begun.calm);
            return Some(format!(
                "node {machine} shows less than was acknowledged, and all are connected{stale}: {lacks}"
            ));
        }
        let withheld =
            |writer: &&MachineId| !shown.covers_all(&self.own_until(**writer, begun.since.saturating_sub(ROUND)));
        let calm = self.disturbed + INTRODUCED < begun.since;
        let writer = connected.iter().filter(|_| calm).find(withheld)?;
        Some(format!(
            "node {machine} shows less than node {writer}, to which it is connected, acknowledged, and says nothing"
        ))
    }

    /// What a machine had acknowledged of its own writes by then.
    fn own_until(&self, machine: MachineId, at: Micros) -> VersionVector {
        let mut seen = VersionVector::default();
        let acked = self.own.get(&machine).into_iter().flatten().take_while(|(acked, _)| *acked <= at);
        acked.for_each(|(_, own)| seen.add_all(own));
        seen
    }

    /// A block was not found: then no machine within reach has it.
    pub fn get_answered(
        &mut self,
        (machine, op): (MachineId, OpId),
        block: BlockId,
        found: bool,
        in_reach: &[WorkingStore],
        storage: &StorageModel,
    ) -> Option<String> {
        let CommandStart { since, .. } = self.begun.remove(&op)?;
        if found || self.disturbed >= since {
            return None;
        }
        let has = |store: &&WorkingStore| store.index_ready < since && storage.holds(store.machine, block);
        let id = in_reach.iter().find(has)?.machine;
        Some(format!("node {machine} does not find {}, which node {id} has", block.short()))
    }

    /// Whether that holds for a machine of this node, or one lost data since.
    fn any_of(&self, node: NodeId, since: Micros, storage: &StorageModel, holds: impl Fn(MachineId) -> bool) -> bool {
        let lost = |id: MachineId| self.disks_changed.get(&id).is_some_and(|at| *at >= since);
        storage.machines_of(node).any(|id| lost(id) || storage.lies(id) || holds(id))
    }

    /// Writes that were acknowledged, and that a state neither shows nor removed.
    pub fn lost_writes(&self, state: &HeadState) -> Vec<WriteNumber> {
        self.acked.iter().copied().filter(|write| !state.includes(*write)).collect()
    }
}

/// What a machine goes by that has these heads in its log and confirms this write. Heads of an epoch that has ended may have come
/// after the next one began without them; then they are not shown until their writers have brought them into it.
fn goes_by<'a>(
    logged: impl Iterator<Item = &'a HeadState>,
    number: WriteNumber,
    write_key: Option<PublicKey>,
) -> VersionVector {
    let mut seen = VersionVector::default();
    let stands = |state: &&HeadState| state.signer == write_key || (number != 0 && state.includes(number));
    logged.filter(stands).for_each(|state| seen.add_all(&state.seen));
    seen
}

/// Operations that are not shown, some of them.
fn lacking(shown: &VersionVector, wanted: &VersionVector) -> String {
    let lacks = wanted.dots().iter().filter(|dot| !shown.covers(**dot)).take(3);
    let texts: Vec<String> =
        lacks.map(|dot| format!("{:?} up to {}, not {}", dot.writer, shown.get(dot.writer), dot.seq)).collect();
    texts.join(", ")
}

/// A node says which blocks it has: these leases are durably renewed.
pub fn wrong_lease(machine: MachineId, answers: &[LeaseAnswer]) -> Option<String> {
    answers.iter().find_map(|answer| {
        let what = match answer.said {
            Possession::Yes if answer.lapses => "says that it has a block and did not renew its lease",
            Possession::No if answer.readable => "says that it lacks a block, and has it",
            _ => return None,
        };
        Some(format!("node {machine} {what}: {}", answer.block.short()))
    })
}

/// The copies that an outcome counts, and what it says against itself. `None` if nothing was promised.
fn promised(outcome: &PutOutcome) -> Option<(&Copies, Vec<String>)> {
    let (copies, stored) = match outcome {
        PutOutcome::Stored(copies) => (copies, true),
        PutOutcome::Degraded(copies) => (copies, false),
        PutOutcome::Refused(_) => return None,
    };
    let distinct: BTreeSet<&NodeId> = copies.servers.iter().collect();
    let count = copies.servers.len();
    let fits = distinct.len() == count && stored == (count >= usize::from(copies.target)) && (stored || count > 0);
    let wrong = if fits { Vec::new() } else { vec![format!("an outcome contradicts itself: {outcome:?}")] };
    Some((copies, wrong))
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::volume::Dot;

    use super::*;
    use crate::world::observed::CopyState;

    const BLOCK: BlockId = BlockId([9; 32]);

    fn server(id: u8) -> NodeId {
        NodeId([id; 32])
    }

    fn storage() -> StorageModel {
        let mut storage = StorageModel::default();
        (0..3).for_each(|id| storage.machine_added(id, server(id as u8), id, false));
        storage
    }

    fn stored(servers: &[u8], target: u8) -> PutOutcome {
        PutOutcome::Stored(Copies {
            servers: servers.iter().copied().map(server).collect(),
            target,
            ..Copies::default()
        })
    }

    fn put(storage: &StorageModel, outcome: &PutOutcome) -> Vec<String> {
        let mut checker = PromiseChecker::default();
        checker.command_sent(10, 0, 1);
        checker.put_answered(1, BLOCK, outcome, storage)
    }

    fn seen(seq: u64) -> VersionVector {
        let mut seen = VersionVector::default();
        seen.add(Dot { writer: Writer([1; 16]), seq });
        seen
    }

    #[test]
    fn a_confirmed_copy_is_on_the_server_named() {
        let mut storage = storage();
        storage.copy_changed(0, BLOCK, CopyState::Intact);
        storage.copy_changed(1, BLOCK, CopyState::Damaged);
        assert!(put(&storage, &stored(&[0, 1], 2)).is_empty(), "it cannot know that its record has rotted");
        assert_eq!(put(&storage, &stored(&[0, 2], 2)).len(), 1);
    }

    #[test]
    fn disks_that_lost_data_meanwhile_excuse_the_server() {
        let mut checker = PromiseChecker::default();
        checker.command_sent(10, 0, 1);
        checker.disks_changed(12, 2);
        assert!(checker.put_answered(1, BLOCK, &stored(&[2], 1), &storage()).is_empty());
    }

    #[test]
    fn a_server_counts_once_and_stored_means_enough() {
        let mut storage = storage();
        storage.copy_changed(0, BLOCK, CopyState::Intact);
        assert_eq!(put(&storage, &stored(&[0, 0], 2)).len(), 1);
        assert_eq!(put(&storage, &stored(&[0], 3)).len(), 1);
    }

    #[test]
    fn a_node_never_shows_less_than_it_showed_before() {
        let mut checker = PromiseChecker::default();
        let mut show = |op, seq| {
            checker.command_sent(op, 0, op);
            checker.query_answered(shown(0, op, &seen(seq)))
        };
        assert_eq!((show(1, 1), show(2, 1)), (None, None));
        assert!(show(3, 0).is_some_and(|what| what.contains("less than it acknowledged")));
    }

    #[test]
    fn who_confirms_a_write_goes_by_heads_of_its_epoch_and_by_what_it_confirms() {
        let (ended, current) = (Some(PublicKey([1; 32])), Some(PublicKey([2; 32])));
        let state = |signer, seq, shown: &[WriteNumber]| {
            let removed = shown.iter().copied().collect();
            HeadState { signer, seen: seen(seq), removed, ..HeadState::default() }
        };
        let late = state(ended, 7, &[]);
        let own = state(current, 3, &[9]);
        assert_eq!(goes_by([&late, &own].into_iter(), 9, current), seen(3), "it came when its epoch had ended");
        assert_eq!(goes_by([&late, &own].into_iter(), 0, current), seen(3));
        assert_eq!(goes_by([&late].into_iter(), 0, ended), seen(7));
        let confirmed = state(ended, 8, &[9]);
        assert_eq!(goes_by([&confirmed, &own].into_iter(), 9, current), seen(8), "it says itself that this is durable");
    }

    fn shown(machine: MachineId, op: OpId, shown: &VersionVector) -> AnsweredQuery<'_> {
        let (maybe_stale, maybe_incomplete, connected) = (false, false, &[1][..]);
        AnsweredQuery { machine, op, shown: Some(shown), honest: None, maybe_stale, maybe_incomplete, connected }
    }

    #[test]
    fn what_a_connected_node_acknowledged_is_shown_or_said_to_be_missing_after_a_round() {
        let acked_at = 100 * S;
        let show = |since, seq, maybe_incomplete| {
            let mut checker = PromiseChecker::default();
            checker.writes_as(1, Writer([1; 16]));
            checker.note_own(acked_at, 1, &seen(2));
            checker.command_sent(since, 0, 1);
            checker.query_answered(AnsweredQuery { maybe_incomplete, ..shown(0, 1, &seen(seq)) })
        };
        assert_eq!(show(acked_at + ROUND - 1, 1, false), None, "it need not know yet");
        assert!(show(acked_at + ROUND, 1, false).is_some_and(|what| what.contains("says nothing")));
        assert_eq!((show(acked_at + ROUND, 1, true), show(acked_at + ROUND, 2, false)), (None, None));
    }

    #[test]
    fn a_block_within_reach_is_found() {
        let mut storage = storage();
        storage.copy_changed(1, BLOCK, CopyState::Intact);
        let get = |index_ready| {
            let mut checker = PromiseChecker::default();
            checker.command_sent(10, 0, 1);
            checker.get_answered((0, 1), BLOCK, false, &[WorkingStore { machine: 1, index_ready }], &storage)
        };
        assert!(get(0).is_some());
        assert_eq!(get(11), None, "its index was still being rebuilt");
    }

    #[test]
    fn a_lease_that_was_confirmed_was_renewed() {
        let answer = |said, lapses, readable| wrong_lease(0, &[LeaseAnswer { block: BLOCK, said, lapses, readable }]);
        assert!(answer(Possession::Yes, true, true).is_some() && answer(Possession::No, false, true).is_some());
        assert!(answer(Possession::Yes, false, true).is_none() && answer(Possession::NotYet, false, true).is_none());
    }
}
