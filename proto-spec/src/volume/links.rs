//! Payloads name children by index into the header's links, never by id: what a payload uses is what holders see.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::header::{BlockLink, BlockRef, LinkClass};
use crate::codec::FormatError;
use crate::ids::{BlockId, Key};
use crate::message::Redundancy;

/// A [`BlockRef`] as a payload writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IndexedLink {
    /// Which of the header's links.
    pub link: u32,
    /// The block's key.
    pub key: Key,
}

/// What a use of a reference asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkUsage {
    pub class: LinkClass,
    /// Replicas that differ from the rule of the pool.
    pub copies: Option<u8>,
}

impl LinkUsage {
    pub const fn of(class: LinkClass) -> Self {
        Self { class, copies: None }
    }

    /// A file's tree: a single chunk has no links, a manifest has.
    pub const fn file(depth: u8) -> Self {
        Self::of(if depth == 0 { LinkClass::Leaf } else { LinkClass::Tree })
    }
}

/// Collects the links of a payload in the order of their first use.
pub(super) struct LinkCollector {
    copies: u8,
    links: Vec<BlockLink>,
    known: BTreeMap<BlockId, u32>,
}

impl LinkCollector {
    pub fn new(copies: u8) -> Self {
        Self { copies, links: Vec::new(), known: BTreeMap::new() }
    }

    pub fn add(&mut self, at: BlockRef, usage: LinkUsage) -> IndexedLink {
        let redundancy = Redundancy::Replicas(usage.copies.unwrap_or(self.copies));
        let next = u32::try_from(self.links.len()).expect("fewer links than bytes in a block");
        let link = *self.known.entry(at.id).or_insert(next);
        if link == next {
            self.links.push(BlockLink { id: at.id, class: usage.class, redundancy });
        } else {
            let known = &mut self.links[link as usize];
            known.redundancy = known.redundancy.max(redundancy);
        }
        IndexedLink { link, key: at.key }
    }

    pub fn finish(self) -> Vec<BlockLink> {
        self.links
    }
}

/// Turns indices back into references. spec 02-block §3: "A link that the payload does not use, an index beyond the
/// links, a first use out of order, and a use that does not fit the link's class MUST be refused."
pub(super) struct LinkResolver<'a> {
    links: &'a [BlockLink],
    used: usize,
}

impl<'a> LinkResolver<'a> {
    pub fn new(links: &'a [BlockLink]) -> Self {
        Self { links, used: 0 }
    }

    pub fn resolve(&mut self, from: IndexedLink, usage: LinkUsage) -> Result<BlockRef, FormatError> {
        let at = from.link as usize;
        let link = self.links.get(at).filter(|_| at <= self.used).ok_or(WRONG_LINK)?;
        if at == self.used {
            self.used += 1;
        }
        let fits = link.class == usage.class || (link.class == LinkClass::Stripe && usage.class == LinkClass::Leaf);
        if fits { Ok(BlockRef { id: link.id, key: from.key }) } else { Err(WRONG_LINK) }
    }

    pub fn finish(self) -> Result<(), FormatError> {
        if self.used == self.links.len() { Ok(()) } else { Err(WRONG_LINK) }
    }
}

const WRONG_LINK: FormatError =
    FormatError::OutOfBounds { what: "a link: unused, missing, out of order or of another class" };
