//! What the options of one get ask for.

use crate::local::write::{ModeMask, OverwritePolicy};
use crate::verbs::get::budget::GetBudget;

/// What holds for all that is fetched.
#[derive(Clone, Copy, Debug)]
pub struct GetRules {
    pub existing: OverwritePolicy,
    pub mask: ModeMask,
    pub budget: GetBudget,
}
