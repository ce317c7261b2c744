//! Background machines: those that nobody calls. They hear what happens to blocks and act upon it, with the same puts, reads and
//! questions as everybody.
//!
//! Such a machine is a file of its own and one line in [`super::background_machines`]: it has no field, no route and no waiter
//! elsewhere. Its answers come home by a number of its own choice.

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Possession;

use super::{Gets, Puts};
use crate::engine::context::Context;
use crate::engine::event::PutReport;
use crate::seam::{BackgroundToken, GetOutcome, Waiter};

/// What such a machine may do. It promises nothing to others, so nothing waits for it.
pub(in crate::engine) trait Background: Send {
    /// A put has ended, whoever asked for it.
    fn on_put_ended(&mut self, parts: &mut BlockParts<'_>, put: &PutReport);

    /// A peer came up, or speaks again.
    fn on_back(&mut self, parts: &mut BlockParts<'_>, node: NodeId);

    /// What repair may send is another amount now.
    fn on_budget(&mut self, parts: &mut BlockParts<'_>);

    /// What this machine asked under `number` has come to its end: each question has exactly one.
    fn on_answer(&mut self, parts: &mut BlockParts<'_>, number: u64, answer: Answer<'_>);
}

/// The end of something that a background machine asked.
pub(in crate::engine) enum Answer<'a> {
    /// A peer said which blocks it has, in the order in which it was asked.
    Have(&'a [Possession]),
    /// No answer of the peer will come.
    Lost,
    /// A read.
    Block(GetOutcome),
    /// A put.
    Put,
}

/// The ways to act on this floor.
pub(in crate::engine) struct BlockParts<'a> {
    pub cx: &'a mut Context,
    pub gets: &'a mut Gets,
    pub puts: &'a mut Puts,
    /// Place in the list of the machine that is called.
    machine: usize,
}

impl BlockParts<'_> {
    /// Who waits for the answer that the machine knows by `number`.
    pub fn waiter(&self, number: u64) -> Waiter {
        Waiter::Background(BackgroundToken { machine: self.machine, number })
    }

    /// Whether the machine itself waits for this.
    pub fn is_own(&self, waiter: &Waiter) -> bool {
        matches!(waiter, Waiter::Background(token) if token.machine == self.machine)
    }
}

/// All of them.
pub(in crate::engine) struct BackgroundMachines(Vec<Box<dyn Background>>);

impl BackgroundMachines {
    /// Answers find a machine by its place in this list.
    pub fn new(machines: Vec<Box<dyn Background>>) -> Self {
        Self(machines)
    }

    /// Each of them hears of a put's end.
    pub fn on_put_ended(&mut self, (cx, gets, puts): (&mut Context, &mut Gets, &mut Puts), put: &PutReport) {
        for (machine, background) in self.0.iter_mut().enumerate() {
            background.on_put_ended(&mut BlockParts { cx, gets, puts, machine }, put);
        }
    }

    /// Each of them hears of a peer that speaks.
    pub fn on_back(&mut self, (cx, gets, puts): (&mut Context, &mut Gets, &mut Puts), node: NodeId) {
        for (machine, background) in self.0.iter_mut().enumerate() {
            background.on_back(&mut BlockParts { cx, gets, puts, machine }, node);
        }
    }

    /// Each of them hears of what repair may send.
    pub fn on_budget(&mut self, (cx, gets, puts): (&mut Context, &mut Gets, &mut Puts)) {
        for (machine, background) in self.0.iter_mut().enumerate() {
            background.on_budget(&mut BlockParts { cx, gets, puts, machine });
        }
    }

    /// The one that asked gets its answer.
    pub fn on_answer(
        &mut self,
        (cx, gets, puts): (&mut Context, &mut Gets, &mut Puts),
        token: BackgroundToken,
        answer: Answer<'_>,
    ) {
        let BackgroundToken { machine, number } = token;
        let background = &mut self.0[machine];
        background.on_answer(&mut BlockParts { cx, gets, puts, machine }, number, answer);
    }
}

#[cfg(test)]
pub(super) mod kit {
    use super::*;

    /// What a machine is handed that is tested alone.
    pub fn parts<'a>(cx: &'a mut Context, gets: &'a mut Gets, puts: &'a mut Puts) -> BlockParts<'a> {
        BlockParts { cx, gets, puts, machine: 0 }
    }
}
