//! Floor 2, what everybody knows: facts as they come, comparing them, who is there, this node's card, keys.

mod beats;
mod card;
mod card_pace;
mod gossip;
mod grants;
mod keys;
mod liveness;
mod log_pace;
mod outbox;
mod presence;
mod sync;

pub(super) use card::OwnCard;
pub(super) use gossip::Gossip;
pub(super) use keys::KeyRing;
pub(super) use liveness::Liveness;
pub(super) use log_pace::worth_logging;
pub(super) use presence::PresenceWatch;
pub(super) use sync::FactSync;
