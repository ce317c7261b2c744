//! What this node thinks of one holder, and which of its copies it may be asked to prove.

use fsdfs_proto::ids::{BlockId, Digest, Key};

use crate::limits::{
    AUDIT_AGAIN_MS, AUDIT_FIRST_MS, AUDIT_PERIOD_MS, AUDIT_PROMISE_MS, AUDIT_SAMPLE_MS, AUDIT_SUBJECTS_MAX,
    AUDIT_UNCLEAR_MS, AUDIT_VALID_MS,
};

/// Failures among the last eight audits from which on a holder is not believed. One bad sector is one failure; whoever keeps nothing
/// fails all. Kept on the way back, too: six of eight have to succeed.
const FAILURES_MIN: u32 = 3;
/// Audits in a row without a clear answer that count as one failure: a disk that hangs, or the way out of one that is empty.
const UNCLEAR_MAX: u8 = 3;

/// See the module. Times are monotonic milliseconds.
#[derive(Debug, Default)]
pub(super) struct AuditedHolder {
    /// A fair sample of what it said that it has, at most [`AUDIT_SUBJECTS_MAX`].
    subjects: Vec<AuditSubject>,
    /// What it said since `sampled_since`.
    claims: u64,
    sampled_since: u64,
    /// An audit of it was begun: the next one waits.
    pub under_way: bool,
    /// Not before this time.
    pub next_at: u64,
    /// When it last proved a copy.
    proven_at: Option<u64>,
    /// The last eight outcomes, the last one lowest; 1 is a failure.
    failures: u8,
    /// Without a clear answer since the last outcome.
    unclear: u8,
}

/// A block that a holder said to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AuditSubject {
    pub id: BlockId,
    /// When it said so.
    pub since: u64,
    /// Question and answer, made while the bytes were at hand; none: this node has a copy to make them from.
    pub prepared: Option<(Key, Digest)>,
}

/// What came of an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuditVerdict {
    /// The bytes could be had.
    Proven,
    /// It does not have what it said to have, or made an answer up.
    Failed,
    /// It could not say, or says itself that this copy is damaged.
    Unclear,
    /// It did not answer, though it is there.
    Unanswered,
}

impl AuditedHolder {
    /// First heard of now.
    pub fn new(now: u64) -> Self {
        Self { next_at: now + AUDIT_FIRST_MS, ..Self::default() }
    }

    /// One more block of which it said that it has it. Which place of the sample it is to take, if any; `draw` draws below a bound.
    pub fn place_of_claim(&mut self, now: u64, draw: impl FnOnce(u64) -> u64) -> Option<usize> {
        if now >= self.sampled_since + AUDIT_SAMPLE_MS {
            (self.claims, self.sampled_since) = (0, now);
        }
        self.claims += 1;
        let room = self.subjects.len() < AUDIT_SUBJECTS_MAX;
        let place = if room { self.subjects.len() } else { usize::try_from(draw(self.claims)).unwrap_or(usize::MAX) };
        (place < AUDIT_SUBJECTS_MAX).then_some(place)
    }

    /// Takes it into the sample.
    pub fn put(&mut self, place: usize, subject: AuditSubject) {
        match self.subjects.get_mut(place) {
            Some(before) => *before = subject,
            None => self.subjects.push(subject),
        }
        debug_assert!(self.subjects.len() <= AUDIT_SUBJECTS_MAX, "the sample is bounded");
    }

    pub fn has_subjects(&self) -> bool {
        !self.subjects.is_empty()
    }

    /// One of the sample. A question that was prepared is asked once; of blocks that this node has the last one stays.
    pub fn take_subject(&mut self, draw: impl FnOnce(usize) -> usize) -> Option<AuditSubject> {
        let place = Some(self.subjects.len()).filter(|len| *len > 0).map(draw)?;
        let last = self.subjects.len() == 1 && self.subjects[place].prepared.is_none();
        if last { self.subjects.get(place).cloned() } else { Some(self.subjects.swap_remove(place)) }
    }

    /// It said some time ago that it has this. A no that was on its way already is no broken word: a question and an answer may
    /// cross each other, and no question is open for longer than this.
    pub fn has_promised(&self, id: BlockId, now: u64) -> bool {
        self.subjects.iter().any(|subject| subject.id == id && now >= subject.since + AUDIT_PROMISE_MS)
    }

    /// This node has no copy of it any more: it cannot ask about it.
    pub fn drop_subject(&mut self, id: BlockId) {
        self.subjects.retain(|subject| subject.id != id);
    }

    /// Whether it proved a copy lately, or did once and there was nothing more to ask it.
    pub fn is_proven(&self, now: u64) -> bool {
        self.proven_at.is_some_and(|at| self.subjects.is_empty() || now < at + AUDIT_VALID_MS)
    }

    /// It said that it keeps something, and has not proved anything lately.
    pub fn is_unproven(&self, now: u64) -> bool {
        self.claims > 0 && !self.is_proven(now)
    }

    pub fn is_distrusted(&self) -> bool {
        self.failures.count_ones() >= FAILURES_MIN
    }

    /// Bytes of a block came from it.
    pub fn note_bytes(&mut self, now: u64) {
        if !self.is_distrusted() {
            self.proven_at = Some(now);
        }
    }

    /// Counts an outcome, and says when the next audit is due. What a holder said before it turned out to lack a block is no claim any
    /// more: a disk may have been replaced, and that is one failure, not as many as there were blocks. Whether it is to be
    /// asked anew what it has; of whoever is not believed anyway that is done only when nothing is left to audit.
    pub fn judge(&mut self, now: u64, verdict: AuditVerdict) -> bool {
        self.under_way = false;
        let believed = !self.is_distrusted();
        let is_unclear = matches!(verdict, AuditVerdict::Unclear | AuditVerdict::Unanswered);
        self.unclear = if is_unclear { self.unclear + 1 } else { 0 };
        let gives_up = self.unclear >= UNCLEAR_MAX;
        let failed = verdict == AuditVerdict::Failed || gives_up;
        if failed || verdict == AuditVerdict::Proven {
            self.failures = (self.failures << 1) | u8::from(failed);
            self.unclear = 0;
        }
        if verdict == AuditVerdict::Proven {
            self.proven_at = Some(now);
        }
        if failed && believed {
            self.subjects.clear();
        }
        self.next_at = now
            + match verdict {
                // A disk that is busy gets time, and who never proved anything gets less of it.
                AuditVerdict::Unanswered if self.proven_at.is_none() => AUDIT_AGAIN_MS,
                AuditVerdict::Unclear | AuditVerdict::Unanswered => AUDIT_UNCLEAR_MS,
                AuditVerdict::Failed if !believed => AUDIT_UNCLEAR_MS,
                _ if self.failures != 0 => AUDIT_AGAIN_MS,
                _ => AUDIT_PERIOD_MS,
            };
        failed && self.subjects.is_empty() || believed == self.is_distrusted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AuditVerdict::{Failed, Proven, Unanswered, Unclear};

    fn subject(number: u8) -> AuditSubject {
        AuditSubject { id: BlockId([number; 32]), since: 0, prepared: None }
    }

    fn after(verdicts: &[AuditVerdict]) -> AuditedHolder {
        let mut holder = AuditedHolder { claims: 1, ..AuditedHolder::default() };
        for verdict in verdicts {
            holder.judge(10, *verdict);
        }
        holder
    }

    #[test]
    fn one_bad_block_is_no_liar_and_three_are() {
        assert!(!after(&[Failed, Proven, Failed]).is_distrusted());
        assert!(after(&[Failed, Proven, Failed, Failed]).is_distrusted());
    }

    #[test]
    fn whoever_was_not_believed_is_believed_again_when_it_has_what_it_says() {
        let mut holder = after(&[Failed; 8]);
        let mut proofs = 0;
        while holder.is_distrusted() {
            holder.judge(10, Proven);
            proofs += 1;
        }
        assert_eq!(proofs, 6);
        assert_eq!(holder.next_at, 10 + AUDIT_AGAIN_MS, "looked at closely until nothing is left of it");
    }

    #[test]
    fn whoever_is_not_believed_is_not_compared_with_after_each_failure() {
        let mut holder = after(&[]);
        let compared: Vec<bool> = (0..3).map(|_| holder.judge(10, Failed)).collect();
        assert_eq!(compared, [true, true, true]);
        holder.put(0, subject(1));
        assert!(!holder.judge(10, Failed) && holder.has_subjects());
        holder.drop_subject(subject(1).id);
        assert!(holder.judge(10, Failed), "there is nothing left to ask it");
        assert_eq!(holder.next_at, 10 + AUDIT_UNCLEAR_MS);
        let compared: Vec<bool> = (0..7).map(|_| holder.judge(10, Proven)).collect();
        assert_eq!(compared, [false, false, false, false, false, true, false]);
    }

    #[test]
    fn no_clear_answer_is_no_failure_until_it_is_a_habit() {
        assert!(!after(&[Unclear; 8]).is_distrusted());
        assert!(after(&[Unclear; 9]).is_distrusted());
        assert!(!after(&[Unclear, Unclear, Proven].repeat(9)).is_distrusted());
    }

    #[test]
    fn whoever_never_answers_is_found_out_sooner_than_whoever_once_did() {
        assert_eq!(after(&[Unanswered]).next_at, 10 + AUDIT_AGAIN_MS);
        assert_eq!(after(&[Proven, Unanswered]).next_at, 10 + AUDIT_UNCLEAR_MS);
        assert!(after(&[Unanswered; 9]).is_distrusted());
    }

    #[test]
    fn a_proof_holds_for_a_while_or_as_long_as_there_is_nothing_to_ask() {
        let mut holder = after(&[]);
        assert!(holder.is_unproven(10) && !after(&[Failed]).is_proven(10));
        holder.judge(10, Proven);
        assert!(holder.is_proven(9 * AUDIT_VALID_MS));
        holder.put(0, subject(1));
        assert!(holder.is_proven(9 + AUDIT_VALID_MS) && !holder.is_proven(10 + AUDIT_VALID_MS));
    }

    #[test]
    fn the_sample_is_bounded_and_each_claim_has_the_same_chance() {
        let mut holder = AuditedHolder::default();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut late = 0;
        for number in 0..4 * AUDIT_SUBJECTS_MAX as u64 {
            if let Some(place) = holder.place_of_claim(0, |bound| rng.u64(..bound)) {
                holder.put(place, subject(number as u8));
            }
        }
        for subject in &holder.subjects {
            late += usize::from(usize::from(subject.id.0[0]) >= 2 * AUDIT_SUBJECTS_MAX);
        }
        assert_eq!(holder.subjects.len(), AUDIT_SUBJECTS_MAX);
        assert!((2..AUDIT_SUBJECTS_MAX - 1).contains(&late), "{late}");
    }

    #[test]
    fn the_last_block_that_is_here_can_be_asked_about_again_and_a_prepared_question_cannot() {
        let mut holder = AuditedHolder::default();
        holder.put(0, subject(1));
        assert_eq!((holder.take_subject(|_| 0), holder.take_subject(|_| 0)), (Some(subject(1)), Some(subject(1))));
        let prepared = AuditSubject { prepared: Some((Key([1; 32]), Digest([2; 32]))), ..subject(2) };
        holder.put(0, prepared.clone());
        assert_eq!((holder.take_subject(|_| 0), holder.take_subject(|_| 0)), (Some(prepared), None));
    }
}
