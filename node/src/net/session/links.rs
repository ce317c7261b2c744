//! Which connection is in use with each peer, and whether another one goes on where it ends.
//!
//! Promise: both nodes of a pair choose alike. The one that leads gives numbers and offers a hand-over; the other agrees to it
//! if it uses the same connection. Only what both wrote on the new connection moves what is under way; anything else is a cut,
//! which both take for an end and a beginning (spec 04-wire, "The connection with the greatest number is the one in use").

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fsdfs_proto::ids::NodeId;

/// While a hand-over is so young, another connection to the peer waits: two at once would be chosen in another order by each
/// side. One that takes longer may lead to nothing.
const ONE_AT_A_TIME: Duration = Duration::from_secs(2);

/// What becomes of a connection whose streams are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takeover {
    /// One with a greater number is in use.
    Refused,
    /// What was before, if anything, ends; this one begins.
    Cut,
    /// What is under way moves to it.
    Drain,
}

/// A hand-over to the peer has begun a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandoverUnderWay;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct LinkTable(Mutex<BTreeMap<NodeId, LinkState>>);

#[derive(Debug, Default)]
struct LinkState {
    /// The number of the connection in use.
    current: Option<u64>,
    /// Since when the one before it has been running dry.
    draining: Option<Instant>,
    /// A connection that is to go on where the current one ends, and since when its streams open.
    offered: Option<(u64, Instant)>,
    /// Nothing comes over the current one: what is under way there is lost, and not waited for.
    is_silent: bool,
}

impl LinkTable {
    /// Of the node that leads: the connection that a new one with this number goes on, or 0.
    pub fn offer(&self, node: NodeId, number: u64, now: Instant) -> Result<u64, HandoverUnderWay> {
        let mut links = self.lock();
        let Some(link) = links.get_mut(&node) else { return Ok(0) };
        let Some(current) = link.current else { return Ok(0) };
        let since = link.draining.max(link.offered.map(|(_, since)| since));
        if since.is_some_and(|since| now.duration_since(since) < ONE_AT_A_TIME) {
            return Err(HandoverUnderWay);
        }
        if since.is_some() || link.is_silent {
            return Ok(0);
        }
        link.offered = Some((number, now));
        Ok(current)
    }

    /// Of the other node: what it answers to such an offer.
    pub fn agree(&self, node: NodeId, number: u64, goes_on: u64, now: Instant) -> u64 {
        let mut links = self.lock();
        let Some(link) = links.get_mut(&node) else { return 0 };
        let is_meant = goes_on != 0 && link.current == Some(goes_on);
        if !is_meant || link.draining.is_some() || link.is_silent {
            return 0;
        }
        link.offered = Some((number, now));
        goes_on
    }

    /// The connection with this number ended before it was of use.
    pub fn withdraw(&self, node: NodeId, number: u64) {
        if let Some(link) = self.lock().get_mut(&node) {
            link.offered.take_if(|(offered, _)| *offered == number);
        }
    }

    /// Its streams are open, and both sides wrote that it goes on there; 0 if they did not.
    pub fn take_over(&self, node: NodeId, number: u64, goes_on: u64, now: Instant) -> Takeover {
        let mut links = self.lock();
        let link = links.entry(node).or_default();
        if link.current.is_some_and(|current| current > number) {
            return Takeover::Refused;
        }
        let drains = goes_on != 0 && link.current == Some(goes_on) && link.draining.is_none();
        link.offered.take_if(|(offered, _)| *offered <= number);
        (link.current, link.is_silent) = (Some(number), false);
        link.draining = drains.then_some(now);
        if drains { Takeover::Drain } else { Takeover::Cut }
    }

    /// What was under way on the connection before has arrived.
    pub fn drained(&self, node: NodeId) {
        if let Some(link) = self.lock().get_mut(&node) {
            link.draining = None;
        }
    }

    /// Nothing is in use any more, if it was this one.
    pub fn ended(&self, node: NodeId, number: u64) {
        let mut links = self.lock();
        if links.get(&node).is_some_and(|link| link.current == Some(number)) {
            links.remove(&node);
        }
    }

    /// That a stream of the connection in use ends now is no end of the connection.
    pub fn is_moving(&self, node: NodeId) -> bool {
        self.lock().get(&node).is_some_and(|link| link.draining.is_some() || link.offered.is_some())
    }

    /// Whether anything comes over the connection in use.
    pub fn note_silence(&self, node: NodeId, is_silent: bool) {
        if let Some(link) = self.lock().get_mut(&node) {
            link.is_silent = is_silent;
        }
    }

    /// Whether there are connections in use, and nothing comes over any of them.
    pub fn are_silent(&self) -> bool {
        let links = self.lock();
        let mut in_use = links.values().filter(|link| link.current.is_some()).peekable();
        in_use.peek().is_some() && in_use.all(|link| link.is_silent)
    }

    /// The one in use.
    pub fn number(&self, node: NodeId) -> Option<u64> {
        self.lock().get(&node)?.current
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, LinkState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
