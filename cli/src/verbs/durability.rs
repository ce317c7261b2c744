//! How durable what was written is, in one sentence.

use fsdfs_proto::control::{WriteOutcome, WriteReply};
use serde::Serialize;

use crate::outcome::ExitStatus;
use crate::program::ProgramName;
use crate::text::human;

/// The least of many writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Durability {
    /// The worst of all; none = nothing was written.
    pub outcome: Option<WriteOutcome>,
    /// Copies of the write with the fewest; none = nothing was written.
    pub copies: Option<u8>,
    /// Sites of the write with the fewest.
    pub sites: Option<u8>,
    /// Copies required.
    pub target_copies: u8,
    /// Writes with fewer copies than required.
    pub degraded: u64,
    /// Writes whose copies are only the word of their holders so far.
    pub unverified: u64,
}

impl Durability {
    /// Counts one more write.
    pub fn add(&mut self, written: &WriteReply) {
        let least = |so_far: Option<u8>, now: u8| Some(so_far.map_or(now, |so_far| so_far.min(now)));
        self.copies = least(self.copies, written.copies);
        self.sites = least(self.sites, written.sites);
        self.target_copies = self.target_copies.max(written.target_copies);
        self.unverified += u64::from(!written.verified);
        self.degraded += u64::from(written.outcome == WriteOutcome::Degraded);
        self.outcome = Some(if self.degraded > 0 { WriteOutcome::Degraded } else { WriteOutcome::Stored });
    }

    /// Copies and sites reached, or what is missing and that it will be completed.
    pub fn sentence(&self, program: &ProgramName) -> (String, ExitStatus) {
        let (Some(copies), Some(sites)) = (self.copies, self.sites) else {
            return ("nothing changed".into(), ExitStatus::Fine);
        };
        let on = format!(
            "{} on {}",
            human::count(copies.into(), "copy", "copies"),
            human::count(sites.into(), "site", "sites")
        );
        if self.degraded == 0 {
            let verified = if self.unverified == 0 { "" } else { "; not verified yet, which takes a moment" };
            return (on + verified, ExitStatus::Fine);
        }
        let missing = self.target_copies.saturating_sub(copies);
        let completed = "completed automatically when members with free space are up";
        let more = match missing {
            0 => format!("{on} so far; some are on fallback holders, {completed}"),
            _ => format!("{on} so far; {missing} of {} copies pending, {completed}", self.target_copies),
        };
        let invite = if copies <= 1 {
            format!("\n  invite another member: {}", program.command("invite"))
        } else {
            String::new()
        };
        (more + &invite, ExitStatus::Attention)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(outcome: WriteOutcome, copies: u8, sites: u8) -> WriteReply {
        WriteReply {
            outcome,
            copies,
            target_copies: 3,
            sites,
            bytes: 1,
            uploaded_bytes: 1,
            unchanged: false,
            verified: true,
        }
    }

    #[track_caller]
    fn check(writes: &[WriteReply], text: &str, verdict: ExitStatus) {
        let mut durability = Durability::default();
        writes.iter().for_each(|write| durability.add(write));
        let (said, judged) = durability.sentence(&ProgramName::for_tests());
        assert!(said.contains(text), "{said}");
        assert_eq!(judged, verdict);
    }

    #[test]
    fn sentences() {
        check(&[], "nothing changed", ExitStatus::Fine);
        check(&[written(WriteOutcome::Stored, 3, 2)], "3 copies on 2 sites", ExitStatus::Fine);
        let unverified = WriteReply { verified: false, ..written(WriteOutcome::Stored, 3, 2) };
        check(&[unverified], "3 copies on 2 sites; not verified yet", ExitStatus::Fine);
        let both = [written(WriteOutcome::Stored, 3, 3), written(WriteOutcome::Degraded, 2, 1)];
        check(
            &both,
            "2 copies on 1 site so far; 1 of 3 copies pending, completed automatically when",
            ExitStatus::Attention,
        );
        check(&[written(WriteOutcome::Degraded, 1, 1)], "invite another member: fsdfs invite", ExitStatus::Attention);
    }
}
