//! Floor 5, space: which copies no state needs any more, and their end.
//!
//! Every holder collects for itself. It walks all trees by the links that every holder can see ([`walk`]), from the states that it
//! keeps ([`roots`]), and then judges its own copies ([`judge`]). Nobody is asked to delete anything, so a member that lies
//! can make others keep garbage, and nothing else. Why no counts of references: they drift; this is a function of what is there.
//!
//! Promise: a copy is deleted only after two complete marks, a grace apart, that began after it was last put or asked for and found no
//! state that needs it; with a clock that others confirm; and after all members that are not gone were heard since. Of a volume of
//! which a block with links is missing nothing is deleted.

mod collector;
mod judge;
mod ledger;
mod parts;
mod roots;
mod walk;

pub(super) use self::collector::Collector;
pub(super) use self::parts::CollectorParts;
