//! Who belongs to the pool and what its members say (spec 01-identity).

mod absence;
mod armour;
mod capability;
pub mod chain;
mod fact;
mod issue;
mod root;
mod secret;
mod statement;
mod ticket;

pub use absence::{Absence, DAILY_SPANS_MAX, DailySpan};
pub use armour::{StringKind, TextError};
pub use capability::{Capability, CapabilityLevel};
pub use chain::{CHAIN_CERTS_MAX, FOUNDER_DEPTH, GateRefusal, may_issue, weight_limit};
pub use fact::{Fact, FactKind, KnownMark, RawFact};
pub use issue::{Invitation, consented, founder_cert, newcomer_cert, pool_of, ticket_cert};
pub use root::{Founding, ROOT_KEYS_MAX, RootFacts, SUCCESSION_KEEP_MAX, Succession, founding, root_key};
pub use secret::SecretKey;
pub use statement::*;
pub use ticket::{BOOTSTRAP_ADDRS_MAX, BOOTSTRAP_MAX, Ticket};

use crate::codec::{FormatError, bound};

/// A text for people: not empty, not too long, nothing that moves a terminal's cursor.
fn text(value: &str, most: usize, what: &'static str) -> Result<(), FormatError> {
    bound((1..=most).contains(&value.len()) && !value.chars().any(char::is_control), what)
}
