//! The process whose disk is cut: keeps a store busy and prints what it acknowledges, line by line.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};

use fsdfs_core::seam::{DiskDone, DiskRequest, Lease, WriteDone};
use fsdfs_node::store::Store;
use fsdfs_proto::ids::{NodeId, Signature};
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::receipt::BlockReceipt;

use crate::promise::{Ack, block, entry, open};

/// Requests under way: enough that commits have company.
const IN_FLIGHT: usize = 24;
/// Copies asked for with the write; renewals ask for more.
const COPIES: u8 = 2;

/// Writes until something fails. The first line comes before the store is opened, so that a cut can fall into that.
pub fn run(place: &Path, seed: u64) -> ExitCode {
    say("starting");
    let failed = match open(place) {
        Ok((store, _)) => WriterState::new(&store, seed).until_it_fails(),
        Err(error) => format!("{error:#}"),
    };
    say(&format!("failed: {failed}"));
    ExitCode::FAILURE
}

struct WriterState<'a> {
    store: &'a Store,
    rng: fastrand::Rng,
    done: Sender<Result<Ack, String>>,
    answers: Receiver<Result<Ack, String>>,
    /// Blocks of this run that are durable, with the copies they have been renewed for.
    durable: Vec<(u64, u8)>,
}

impl<'a> WriterState<'a> {
    fn new(store: &'a Store, seed: u64) -> Self {
        let (done, answers) = mpsc::channel();
        Self { store, rng: fastrand::Rng::with_seed(seed), done, answers, durable: Vec::new() }
    }

    fn until_it_fails(mut self) -> String {
        (0..IN_FLIGHT).for_each(|_| self.ask());
        loop {
            match self.answers.recv() {
                Ok(Ok(ack)) => {
                    say(&ack.to_string());
                    if let Ack::Block(number) = ack {
                        self.durable.push((number, COPIES));
                    }
                    self.ask();
                }
                Ok(Err(why)) => return why,
                Err(_) => return "the store is closed".into(),
            }
        }
    }

    /// One request more: mostly a block, sometimes a renewal or an entry of the log.
    fn ask(&mut self) {
        let number = self.rng.u64(..);
        let (ack, request) = match self.rng.u8(..8) {
            0 => (Ack::Log(number), DiskRequest::Log { entries: vec![entry(number)] }),
            1 | 2 if !self.durable.is_empty() => self.renewal(),
            _ => {
                let redundancy = Redundancy::Replicas(COPIES);
                let receipt = BlockReceipt { member: NodeId([2; 32]), signature: Signature([3; 64]) };
                let (block, disk, more) = (block(number), None, self.rng.bool());
                let write =
                    DiskRequest::Write { block, redundancy, first_seen: 1, lease: Lease::Now, receipt, disk, more };
                (Ack::Block(number), write)
            }
        };
        let done = self.done.clone();
        self.store.submit(request, move |answer| {
            let _ = done.send(if is_yes(&answer) { Ok(ack) } else { Err(format!("{ack} is {answer:?}")) });
        });
    }

    fn renewal(&mut self) -> (Ack, DiskRequest) {
        let place = self.rng.usize(..self.durable.len());
        let (number, copies) = &mut self.durable[place];
        *copies = copies.saturating_add(1);
        let request = DiskRequest::Have { ids: vec![block(*number).id()], renew: Some(Redundancy::Replicas(*copies)) };
        (Ack::Renewed(*number, *copies), request)
    }
}

fn is_yes(answer: &DiskDone) -> bool {
    match answer {
        DiskDone::Written(done) => matches!(done, WriteDone::New | WriteDone::Already),
        DiskDone::Have(answers) => answers.iter().all(|answer| *answer == Possession::Yes),
        DiskDone::Logged(durable) => *durable,
        _ => false,
    }
}

/// Whoever listens has gone if this fails, and then nobody is promised anything.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
