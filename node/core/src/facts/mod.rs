//! Everything small that all members keep: statements, cards, heartbeats, heads of volumes (spec 01-identity).
//!
//! What a [`FactSet`] *means* - who is a member, who is revoked, which rules hold - is computed from the whole set whenever it
//! is asked for, so it depends neither on the order in which facts came nor on a clock. Facts give way only to newer ones that
//! supersede them, to the word of a key with a rank, and, where members say more than they may, to those that come before them
//! in one order that is the same everywhere (`accounts`, `settle`). Whether a statement *counts* is for `DerivedState`.
//!
//! ```
//! use ed25519_dalek::SigningKey;
//! use fsdfs_core::facts::FactSet;
//! use fsdfs_proto::identity::{Fact, founder_cert, pool_of};
//! use fsdfs_proto::ids::NodeId;
//!
//! let root = SigningKey::from_bytes(&[1; 32]);
//! let founder = NodeId(SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes());
//! let mut facts = FactSet::new(pool_of(&root));
//! facts.insert(Fact::from(founder_cert(pool_of(&root), &root, founder)));
//! assert!(facts.members().contains_key(&founder));
//! ```

mod accounts;
mod allowance;
mod authority;
mod branches;
mod classify;
mod derived;
mod digest;
mod electorate;
mod graph;
mod heads;
mod insert;
mod judge;
mod kept;
mod member;
mod query;
mod revocation;
mod roots;
mod set;
mod settle;
mod verify;
mod waiting;
mod writers;

#[cfg(test)]
pub(crate) mod tests;

pub use allowance::FactAllowance;
pub use branches::BranchId;
pub use fsdfs_proto::identity::GateRefusal;
pub use heads::current_heads;
pub use insert::InsertOutcome;
pub use member::{AdmissionVerdict, MemberInfo, MemberStatus, TicketRedemption};
pub use revocation::RevocationPlan;
pub use set::FactSet;
pub use verify::{WrongSignature, open_logged};
