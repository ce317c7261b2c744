//! Bugs on purpose, done by changing what goes into an engine and what comes out of it. A checker that never found a bug may
//! be asleep, so each of these is switched on in turn, and has to be found.

use std::collections::BTreeMap;

use fsdfs_core::tree::QueryJob;
use fsdfs_proto::identity::Head;
use fsdfs_proto::signed::Signed;

use super::net::MachineId;

/// A bug that systems of this kind have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeededBug {
    /// A store confirms a block when it is asked to write it.
    AckBeforeDurable,
    /// Messages to several peers go out in the order of a hash map.
    HashOrder,
    /// A read goes by heads that have been replaced.
    OlderHeads,
    /// A holder whose index is being rebuilt says that it has nothing.
    NoneForNotYet,
    /// A block is not given out unless a majority of its holders is connected.
    MajorityRead,
    /// A store hands out bytes without a look at their checksum.
    NoHashCheck,
    /// `have?` is answered without the durable renewal.
    NoRenewal,
    /// A crash takes what was appended and confirmed last.
    ForgetAppended,
}

impl SeededBug {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::AckBeforeDurable,
        Self::HashOrder,
        Self::OlderHeads,
        Self::NoneForNotYet,
        Self::MajorityRead,
        Self::NoHashCheck,
        Self::NoRenewal,
        Self::ForgetAppended,
    ];
}

/// The bug of a world, and what it needs.
#[derive(Debug, Default)]
pub(super) struct Tampering {
    pub bug: Option<SeededBug>,
    /// Heads that the last query on each machine went by, and those that it went by before they changed.
    heads: BTreeMap<MachineId, [Vec<Signed<Head>>; 2]>,
}

impl Tampering {
    pub fn take_older_heads(&mut self, machine: MachineId, job: &mut QueryJob) {
        let [current, before] = self.heads.entry(machine).or_default();
        if *current != job.heads {
            *before = std::mem::replace(current, job.heads.clone());
        }
        if !before.is_empty() {
            job.heads.clone_from(before);
        }
    }

    /// A process knows nothing of the queries before its start.
    pub fn started(&mut self, machine: MachineId) {
        self.heads.remove(&machine);
    }
}
