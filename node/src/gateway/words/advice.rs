//! What a plan advises.

use fsdfs_proto::control::{AdviceItem, AdviceReason};

/// What else a sentence depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdviceContext {
    /// Copies required, after the change.
    pub copies: u8,
    /// A change is being planned, not the pool as it is.
    pub is_change: bool,
}

/// An advice with its sentence.
pub(crate) fn advice(reason: AdviceReason, context: AdviceContext) -> AdviceItem {
    let is_informative = context.is_change && reason == AdviceReason::NoStorage;
    AdviceItem { text: text(&reason, context), action_needed: reason != AdviceReason::None && !is_informative, reason }
}

fn text(reason: &AdviceReason, context: AdviceContext) -> String {
    match reason {
        AdviceReason::OnlyCopies { can_hand_over: true } => {
            "It holds the only copies of some blocks: keep it running until 'fsdfs plan remove NAME' no longer says so."
                .into()
        }
        AdviceReason::OnlyCopies { can_hand_over: false } => {
            "It holds the only copies of some blocks, and no other member can take them: they are lost with it.".into()
        }
        AdviceReason::InventoryUnknown => {
            "It did not report its blocks: it may hold the only copies of some of them.".into()
        }
        AdviceReason::NoStorage => "It offers no storage, so nothing moves.".into(),
        AdviceReason::NoServer => {
            "No member with storage is left: invite one, or offer space in config.toml, first.".into()
        }
        AdviceReason::OverCapacity { missing_bytes } => {
            format!("What is stored exceeds the capacity: {} more are needed first.", super::size(*missing_bytes))
        }
        AdviceReason::TooFewServers { missing } => format!(
            "{} copies need {} with storage: invite {missing}.",
            context.copies,
            super::count((*missing).into(), "more member")
        ),
        AdviceReason::UnderReplicated { missing_copies } => format!(
            "Some blocks are {} short: keep all members up until 'fsdfs plan' no longer says so.",
            copies(*missing_copies)
        ),
        AdviceReason::MembersUnresponsive { missing_copies, names } => format!(
            "Without the copies on {}, which did not answer, some blocks are {} short: bring all missing members back.",
            names.join(", "),
            copies(*missing_copies)
        ),
        AdviceReason::TooFewSites { missing } => format!(
            "Some copies share a site and can fail together: {} with storage would prevent that.",
            super::count((*missing).into(), "more site")
        ),
        AdviceReason::StrandedSpace { at, stranded_bytes, needed_bytes } => format!(
            "{} of the offered space are stranded, as no other site matches {at}: {} more at other sites would make all of \
             it usable.",
            super::size(*stranded_bytes),
            super::size(*needed_bytes)
        ),
        AdviceReason::SingleCopy => "With one copy of every file, a member's failure loses what it holds.".into(),
        AdviceReason::NearlyFull { percent } => {
            format!("The pool is {percent} % full: offer more space, or invite a member with storage.")
        }
        AdviceReason::None if context.is_change => "No objection.".into(),
        AdviceReason::None => "Nothing to do.".into(),
        AdviceReason::Other => String::new(),
    }
}

fn copies(number: u8) -> String {
    if number == 1 { "1 copy".into() } else { format!("{number} copies") }
}
