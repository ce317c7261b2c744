//! What the pool promised so far, and what it may therefore show.
//!
//! A content that was acknowledged must be there, under its name or as a conflict copy of it, unless a write or removal of that name that
//! was not over when it was begun may have taken it away. What that other operation answered does not matter for this: it may have
//! reached the pool although its caller was told of a failure. Which of two operations came first only nodes that saw both know; where
//! one node must have seen the other's result the model is stricter.

use std::collections::{BTreeMap, BTreeSet};

use super::content::ContentToken;

/// Counts beginnings and ends of operations.
pub type ModelTick = u64;

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationEnd {
    /// With so many copies.
    Acknowledged(u64),
    /// It may have been made or not, or may become visible later.
    Unknown,
    /// Nothing was changed for sure.
    Refused,
}

/// One write, wherever its content went since.
#[derive(Clone, Debug, Default)]
struct ModelItem {
    len: usize,
    begun: ModelTick,
    /// With how many copies.
    acknowledged: Option<u64>,
    /// Names under one of which it stands.
    places: BTreeSet<String>,
    /// Changes under way that may take it away.
    covering: usize,
    /// Some change may have taken it away.
    may_be_gone: bool,
    /// A change that saw it took it away.
    must_be_gone: bool,
    /// Stands as a conflict copy.
    aside: bool,
    /// Nodes that acknowledged or showed it.
    known_by: BTreeSet<usize>,
}

impl ModelItem {
    /// It stands at this name and nothing takes it away.
    fn is_sure(&self, path: &str) -> bool {
        self.is_sure_anywhere() && self.places.contains(path)
    }

    /// It stands where it is said to, and nothing takes it away.
    fn is_sure_anywhere(&self) -> bool {
        let stays = self.covering == 0 && !self.may_be_gone && !self.aside;
        stays && self.acknowledged.is_some() && self.places.len() == 1
    }

    /// Where it may stand when what is at, or below, one name got another.
    fn new_places(&self, from: &str, to: &str) -> BTreeSet<String> {
        self.places.iter().filter_map(|place| moved(place, from, to)).collect()
    }
}

/// Names that several callers write at the same time: what one write may take from another is open, but not all may be gone.
#[derive(Clone, Debug, Default)]
struct SharedFolder {
    removing: usize,
    removed: ModelTick,
    is_filled: bool,
}

/// A change under way.
#[derive(Clone, Debug)]
pub struct ModelChange {
    begun: ModelTick,
    node: usize,
    /// What it writes, if it writes.
    pub token: Option<ContentToken>,
    /// Takes away what stands there.
    covers: Option<String>,
    /// What stood there when it began; it may stand elsewhere when it ends.
    covered: BTreeSet<ContentToken>,
    moves: Option<ModelMove>,
    /// What its node surely knows to stand at the name: if it is acknowledged, this is gone.
    replaces: Option<ContentToken>,
}

/// What stands at a name, or below it, is to get another one.
#[derive(Clone, Debug)]
struct ModelMove {
    from: String,
    to: String,
    /// What may have stood there when it began, with the new names: while it is made they may be seen, and moved on.
    taken: Vec<(ContentToken, BTreeSet<String>)>,
    /// Of these, what surely stood there and its node knew: it does not stay where it was.
    known: BTreeSet<ContentToken>,
}

impl ModelChange {
    /// The node that was asked.
    pub fn node(&self) -> usize {
        self.node
    }
}

/// See the module.
#[derive(Default)]
pub struct ChaosModel {
    tick: ModelTick,
    next_token: ContentToken,
    items: BTreeMap<ContentToken, ModelItem>,
    /// Everything that may ever have stood at a name, with its length.
    ever: BTreeMap<String, BTreeMap<ContentToken, usize>>,
    /// Was nowhere when all nodes agreed: must not come back.
    dropped: BTreeSet<ContentToken>,
    shared: BTreeMap<String, SharedFolder>,
    locked: BTreeSet<String>,
    /// Changes under way through each node.
    under_way: BTreeMap<usize, usize>,
    /// A change has ended, since all nodes agreed, of which there may be no second copy. Its copy need not be on the node that
    /// was asked.
    is_single: bool,
    /// Of two versions that know nothing of each other the one with the later time keeps the name, whichever was written later.
    pub clocks_lie: bool,
}

impl ChaosModel {
    /// Contents of this run are told from those of others by the seed.
    pub fn new(seed: u64) -> Self {
        Self { next_token: seed << 32, ..Self::default() }
    }

    /// A name that callers do not wait for each other at.
    pub fn share(&mut self, path: &str) {
        self.shared.insert(path.to_owned(), SharedFolder::default());
    }

    /// Excludes other changes of these names; none if there is one under way.
    pub fn lock(&mut self, paths: &[&str]) -> Option<Vec<String>> {
        if paths.iter().any(|path| self.locked.contains(*path)) {
            return None;
        }
        let paths: Vec<String> =
            paths.iter().filter(|path| !self.shared.contains_key(**path)).map(|path| (*path).to_owned()).collect();
        self.locked.extend(paths.iter().cloned());
        Some(paths)
    }

    /// Lets others change them.
    pub fn unlock(&mut self, paths: &[String]) {
        for path in paths {
            self.locked.remove(path);
        }
    }

    fn next_tick(&mut self) -> ModelTick {
        self.tick += 1;
        self.tick
    }

    /// A change begins through this node. Returns when.
    fn begin(&mut self, node: usize) -> ModelTick {
        *self.under_way.entry(node).or_default() += 1;
        self.next_tick()
    }

    /// A node is asked to write `len` new bytes.
    pub fn begin_put(&mut self, node: usize, path: &str, len: usize) -> ModelChange {
        let replaces = self.shown_to(node, path);
        let begun = self.begin(node);
        let covered = self.cover(path);
        self.next_token += 1;
        let token = self.next_token;
        let item = ModelItem { len, begun, places: [path.to_owned()].into(), ..ModelItem::default() };
        self.items.insert(token, item);
        self.ever.entry(path.to_owned()).or_default().insert(token, len);
        ModelChange { begun, node, token: Some(token), covers: Some(path.to_owned()), covered, moves: None, replaces }
    }

    /// A node is asked to remove a file.
    pub fn begin_remove(&mut self, node: usize, path: &str) -> ModelChange {
        let replaces = self.shown_to(node, path);
        let begun = self.begin(node);
        let covered = self.cover(path);
        if let Some(shared) = self.shared.get_mut(path) {
            (shared.removing, shared.is_filled) = (shared.removing + 1, false);
        }
        ModelChange { begun, node, token: None, covers: Some(path.to_owned()), covered, moves: None, replaces }
    }

    /// A node is asked to give a file, or a folder with everything in it, another name.
    pub fn begin_move(&mut self, node: usize, from: &str, to: &str) -> ModelChange {
        let begun = self.begin(node);
        let covered = self.cover(to);
        let (mut taken, mut known) = (Vec::new(), BTreeSet::new());
        for (token, item) in &mut self.items {
            let new = item.new_places(from, to);
            if new.is_empty() {
                continue;
            }
            // A node that has not seen the newest version leaves it where it is, and so it does with what is shown beside it.
            if item.is_sure_anywhere() && item.known_by.contains(&node) {
                known.insert(*token);
            }
            item.covering += 1;
            let added = new.difference(&item.places).cloned().collect::<BTreeSet<_>>();
            item.places.extend(new);
            taken.push((*token, added));
        }
        self.may_move(from, to);
        let moves = Some(ModelMove { from: from.to_owned(), to: to.to_owned(), taken, known });
        ModelChange { begun, node, token: None, covers: Some(to.to_owned()), covered, moves, replaces: None }
    }

    fn cover(&mut self, path: &str) -> BTreeSet<ContentToken> {
        let there = self.items.iter_mut().filter(|(_, item)| item.places.contains(path));
        there.map(|(token, item)| (item.covering += 1, *token).1).collect()
    }

    /// The content that this node acknowledged or showed and that nothing took away since.
    fn shown_to(&self, node: usize, path: &str) -> Option<ContentToken> {
        let sure = self.items.iter().filter(|(_, item)| item.is_sure(path) && item.known_by.contains(&node));
        let (newest, shown) = sure.max_by_key(|(_, item)| item.begun)?;
        // One with a later time takes the name as soon as this node hears of it, and leaves this one as a conflict copy: with
        // wrong clocks any may, with right ones what was written after this one, which was moved here and kept its time.
        let is_later = |item: &ModelItem| self.clocks_lie || item.begun > shown.begun;
        let is_rival = |(token, item): (&ContentToken, &ModelItem)| {
            token != newest && item.places.contains(path) && !item.must_be_gone && is_later(item)
        };
        (!self.items.iter().any(is_rival)).then_some(*newest)
    }

    /// A change ended.
    pub fn end(&mut self, change: &ModelChange, end: OperationEnd) {
        let now = self.next_tick();
        if let Some(path) = &change.covers {
            self.end_cover(path, change, end);
        }
        self.end_move(change, end);
        if let Some(token) = change.token {
            self.end_write(token, change, end);
        }
        self.end_shared(change, end, now);
        if let Some(count) = self.under_way.get_mut(&change.node) {
            *count = count.saturating_sub(1);
        }
        self.is_single |= matches!(end, OperationEnd::Unknown | OperationEnd::Acknowledged(0..2));
    }

    /// Whether a change may be on this node's disk only: one that has ended, or one that it makes at this moment.
    pub fn may_hold_alone(&self, node: usize) -> bool {
        self.is_single || self.under_way.get(&node).is_some_and(|count| *count > 0)
    }

    fn end_cover(&mut self, path: &str, change: &ModelChange, end: OperationEnd) {
        let brings = |token: &ContentToken| match &change.moves {
            Some(moving) => moving.taken.iter().any(|(taken, _)| taken == token),
            None => change.token == Some(*token),
        };
        let hit = |token: &ContentToken, item: &ModelItem| {
            change.covered.contains(token) || item.places.contains(path) && !brings(token)
        };
        for (token, item) in self.items.iter_mut().filter(|(token, item)| hit(token, item)) {
            if change.covered.contains(token) {
                item.covering = item.covering.saturating_sub(1);
            }
            item.may_be_gone |= end != OperationEnd::Refused;
            // Two copies at least: one may have been lost with its disk, and the change with it.
            let is_safe = matches!(end, OperationEnd::Acknowledged(copies) if copies >= 2);
            // Neither is it moved now, nor was it meanwhile.
            let is_here = item.covering == 0 && item.places.len() == 1 && item.places.contains(path);
            item.must_be_gone |= is_safe && is_here && change.replaces == Some(*token);
        }
    }

    fn end_write(&mut self, token: ContentToken, change: &ModelChange, end: OperationEnd) {
        if end == OperationEnd::Refused {
            self.items.remove(&token);
            return;
        }
        let item = self.items.get_mut(&token).expect("inserted when it began");
        if let OperationEnd::Acknowledged(copies) = end {
            item.acknowledged = Some(copies);
            item.known_by.insert(change.node);
        }
    }

    fn end_move(&mut self, change: &ModelChange, end: OperationEnd) {
        let Some(moving) = &change.moves else { return };
        let ModelMove { from, to, .. } = moving;
        for (token, added) in &moving.taken {
            let Some(item) = self.items.get_mut(token) else { continue };
            item.covering = item.covering.saturating_sub(1);
            if end == OperationEnd::Refused {
                item.places.retain(|place| !added.contains(place));
            }
        }
        if end == OperationEnd::Refused {
            return;
        }
        self.may_move(from, to);
        let is_safe = matches!(end, OperationEnd::Acknowledged(copies) if copies >= 2);
        for (token, item) in &mut self.items {
            let new = item.new_places(from, to);
            if new.is_empty() {
                continue;
            }
            // Another move that was made meanwhile may have come before or after this one.
            let is_between_two = item.covering == 0 && item.places.len() == 2;
            if is_safe && is_between_two && moving.known.contains(token) {
                item.places.clear();
            }
            item.known_by = [change.node].into();
            // Moved by a node that had not seen its end, it stands under the new name again.
            item.must_be_gone = false;
            for place in new {
                self.ever.entry(place.clone()).or_default().insert(*token, item.len);
                item.places.insert(place);
            }
        }
    }

    /// A node that has not heard of a newer move takes along what stood there before it.
    fn may_move(&mut self, from: &str, to: &str) {
        let below = self.ever.iter().filter_map(|(path, writes)| Some((moved(path, from, to)?, writes.clone())));
        for (place, writes) in below.collect::<Vec<_>>() {
            self.ever.entry(place).or_default().extend(writes);
        }
    }

    fn end_shared(&mut self, change: &ModelChange, end: OperationEnd, now: ModelTick) {
        let Some(shared) = change.covers.as_ref().and_then(|path| self.shared.get_mut(path)) else { return };
        if change.token.is_none() {
            (shared.removing, shared.removed) = (shared.removing - 1, now);
        } else if matches!(end, OperationEnd::Acknowledged(_)) && shared.removing == 0 && shared.removed < change.begun
        {
            shared.is_filled = true;
        }
    }

    /// What a read of this name by this node must show at least.
    pub fn begin_read(&self, node: usize, path: &str) -> Option<ContentToken> {
        self.shown_to(node, path)
    }

    /// A read ended: with a content, or, `None`, with the answer that there is nothing. Tells what is wrong with that.
    pub fn end_read(
        &mut self,
        node: usize,
        path: &str,
        least: Option<ContentToken>,
        got: Option<ContentToken>,
    ) -> Result<(), String> {
        let least = least.filter(|token| self.items.get(token).is_some_and(|item| item.is_sure(path)));
        let Some(got) = got else {
            return match least {
                Some(least) => Err(format!("node{node} knows write {least} at {path} and says that there is nothing")),
                None => Ok(()),
            };
        };
        if !self.ever.get(path).is_some_and(|ever| ever.contains_key(&got)) {
            return Err(format!("node{node} shows write {got} at {path}, where it never was"));
        }
        if self.dropped.contains(&got) {
            return Err(format!("node{node} shows write {got} at {path}, which was gone everywhere"));
        }
        if let Some(least) = least
            && !self.clocks_lie
            && self.items.get(&got).is_none_or(|item| item.begun < self.items[&least].begun)
        {
            return Err(format!("node{node} knows write {least} at {path} and shows the older {got}"));
        }
        if let Some(item) = self.items.get_mut(&got) {
            item.known_by.insert(node);
        }
        Ok(())
    }

    /// Writes that may stand at a name, newest first, with their lengths.
    pub fn candidates(&self, path: &str) -> Vec<(ContentToken, usize)> {
        let ever = self.ever.get(path).into_iter().flatten();
        ever.rev().map(|(token, len)| (*token, *len)).collect()
    }

    /// A disk and everything on it is about to be lost: what had one copy only may be lost with it.
    pub fn lose_single_copies(&mut self) {
        for item in self.items.values_mut().filter(|item| item.acknowledged.is_none_or(|copies| copies < 2)) {
            item.may_be_gone = true;
        }
    }

    /// Compares with what all nodes agree on, given as (name, content), and goes on from there. Returns what is wrong.
    pub fn compare_with(&mut self, found: &[(String, ContentToken)], nodes: usize) -> Vec<String> {
        let mut wrong: Vec<String> = found.iter().filter_map(|(path, token)| self.intruder(path, *token)).collect();
        let mut stands: BTreeMap<ContentToken, BTreeSet<String>> = BTreeMap::new();
        for (path, token) in found {
            stands.entry(*token).or_default().insert(base(path).to_owned());
        }
        for (token, item) in &self.items {
            let is_there = stands.get(token).is_some_and(|places| !places.is_disjoint(&item.places));
            if item.acknowledged.is_some() && !item.may_be_gone && !is_there {
                wrong.push(format!("write {token} was acknowledged and is lost: {item:?}"));
            }
        }
        for (path, shared) in self.shared.iter().filter(|(_, shared)| shared.is_filled) {
            if !found.iter().any(|(there, _)| base(there) == path) {
                wrong.push(format!("nothing is left at {path}, which was written and not removed since: {shared:?}"));
            }
        }
        self.rest(&stands, found, nodes);
        wrong
    }

    fn intruder(&self, path: &str, token: ContentToken) -> Option<String> {
        if !self.ever.get(base(path)).is_some_and(|ever| ever.contains_key(&token)) {
            return Some(format!("write {token} stands at {path}, where it never was"));
        }
        if self.dropped.contains(&token) {
            return Some(format!("write {token} at {path} was gone everywhere and is back"));
        }
        let item = self.items.get(&token)?;
        item.must_be_gone.then(|| format!("write {token} at {path} was replaced or removed and is back: {item:?}"))
    }

    fn rest(
        &mut self,
        stands: &BTreeMap<ContentToken, BTreeSet<String>>,
        found: &[(String, ContentToken)],
        nodes: usize,
    ) {
        for token in std::mem::take(&mut self.items).into_keys().filter(|token| !stands.contains_key(token)) {
            self.dropped.insert(token);
        }
        for (token, places) in stands {
            let aside = !found.iter().any(|(path, there)| there == token && base(path) == path);
            let len = self.ever.values().find_map(|ever| ever.get(token)).copied().unwrap_or(0);
            let (acknowledged, known_by) = (Some(u64::MAX), (0..nodes).collect());
            let item = ModelItem { len, acknowledged, places: places.clone(), aside, known_by, ..ModelItem::default() };
            self.items.insert(*token, ModelItem { begun: *token, ..item });
        }
        self.tick = self.tick.max(self.next_token);
        self.is_single = false;
    }
}

/// The name that a conflict copy is one of.
fn base(path: &str) -> &str {
    path.split_once(" (conflict ").map_or(path, |(base, _)| base)
}

/// The new name of a place, if it is what is moved or lies below it.
fn moved(place: &str, from: &str, to: &str) -> Option<String> {
    let below = place.strip_prefix(from)?;
    (below.is_empty() || below.starts_with('/')).then(|| format!("{to}{below}"))
}

#[cfg(test)]
mod tests;
