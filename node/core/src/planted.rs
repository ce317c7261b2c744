//! Bugs on purpose. A checker that never found one may be asleep, so each of these is planted in turn and has to be found.
//!
//! Only the test that does so builds with the feature `planted`, in a target folder of its own. Without it [`is`] is a
//! constant `false`, and the code behind it is not there.

/// A bug that systems of this kind have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// A holder confirms a block when it asks its disk to write it.
    AckBeforeDurable = 1,
    /// Each disk of the writer's own server counts as a copy.
    CountDisks,
    /// Peers are looked at in the order of a hash map.
    HashOrder,
    /// Of several versions of a name a merge keeps one.
    DropVersion,
    /// What lies in a moved folder keeps its old dots only.
    OldDots,
    /// A writer goes on with its numbers after an old disk image was restored.
    ReuseNumbers,
    /// A read goes by the heads that the read before it went by.
    OlderHeads,
    /// A holder whose index is being rebuilt says that it has nothing.
    NoneForNotYet,
    /// A silent holder is waited for.
    WaitForSilent,
    /// A last copy is not served unless a majority of the holders is there.
    MajorityRead,
    /// Bytes are used without a look at their hash.
    NoHashCheck,
    /// `have?` is answered without the durable renewal.
    NoRenewal,
    /// Silence is measured on the wall clock.
    WallSilence,
    /// A crash takes what was appended and confirmed last.
    ForgetAppended,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::AckBeforeDurable,
        Self::CountDisks,
        Self::HashOrder,
        Self::DropVersion,
        Self::OldDots,
        Self::ReuseNumbers,
        Self::OlderHeads,
        Self::NoneForNotYet,
        Self::WaitForSilent,
        Self::MajorityRead,
        Self::NoHashCheck,
        Self::NoRenewal,
        Self::WallSilence,
        Self::ForgetAppended,
    ];
}

#[cfg(feature = "planted")]
static PLANTED: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Plants this bug in every engine of the process, or takes it out again.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u8), std::sync::atomic::Ordering::Relaxed);
}

/// Whether this bug is planted.
#[cfg(feature = "planted")]
pub fn is(bug: Bug) -> bool {
    PLANTED.load(std::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// No bug is planted in this build.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is(_: Bug) -> bool {
    false
}
