//! Who knows whom, and who knows each other.

use std::collections::{BTreeMap, BTreeSet};

/// Arrows between files, each with a place where it comes from.
#[derive(Default)]
pub struct ArrowGraph {
    arrows: BTreeMap<(String, String), String>,
}

impl ArrowGraph {
    /// An arrow from one file to another; the first place that shows it is kept.
    pub fn add(&mut self, from: &str, to: &str, place: impl FnOnce() -> String) {
        if from != to {
            self.arrows.entry((from.to_owned(), to.to_owned())).or_insert_with(place);
        }
    }

    /// Without the arrows from a part to the head of a folder around it.
    pub fn without_heads(&self) -> Self {
        let kept = self.arrows.iter().filter(|((from, to), _)| !is_head(to, from));
        Self { arrows: kept.map(|(arrow, place)| (arrow.clone(), place.clone())).collect() }
    }

    /// From, to and place.
    pub fn arrows(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.arrows.iter().map(|((from, to), place)| (from.as_str(), to.as_str(), place.as_str()))
    }

    /// Sets of files that all reach each other.
    pub fn rings(&self) -> Vec<BTreeSet<&str>> {
        let files: BTreeSet<&str> = self.arrows().map(|(from, ..)| from).collect();
        let reached: BTreeMap<&str, BTreeSet<&str>> = files.iter().map(|file| (*file, self.reached(file))).collect();
        let mut rings: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
        for (file, forth) in &reached {
            let back = |other: &&str| reached.get(other).is_some_and(|reached| reached.contains(file));
            rings.insert(forth.iter().copied().filter(back).collect());
        }
        rings.retain(|ring| ring.len() > 1);
        rings.into_iter().collect()
    }

    /// What a file reaches; itself only through others.
    fn reached<'a>(&'a self, file: &'a str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut next = vec![file];
        while let Some(from) = next.pop() {
            let start = (from.to_owned(), String::new());
            let here = self.arrows.range(start..).take_while(|((at, _), _)| at == from);
            next.extend(here.map(|((_, to), _)| to.as_str()).filter(|to| reached.insert(*to)));
        }
        reached
    }

    /// A ring as a sentence, and the arrows within.
    pub fn describe(&self, ring: &BTreeSet<&str>) -> Vec<String> {
        let within = self.arrows().filter(|(from, to, _)| ring.contains(from) && ring.contains(to));
        let head = format!("{} files: {}", ring.len(), ring.iter().copied().collect::<Vec<_>>().join(" "));
        let arrows = within.map(|(_, to, place)| format!("    {place} -> {to}"));
        std::iter::once(head).chain(arrows).collect()
    }
}

/// `a/mod.rs`, `a.rs`, `lib.rs` and `main.rs` are heads of what stands below them.
fn is_head(head: &str, of: &str) -> bool {
    let folder = match head.rsplit_once('/') {
        Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder,
        _ => head.trim_end_matches(".rs"),
    };
    of.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[test]
fn heads_are_known() {
    assert!(
        is_head("a/net/mod.rs", "a/net/b.rs")
            && is_head("a/net.rs", "a/net/b/c.rs")
            && is_head("a/src/lib.rs", "a/src/b.rs")
    );
    assert!(!is_head("a/net/b.rs", "a/net/c.rs") && !is_head("a/net.rs", "a/network/b.rs"));
}

#[test]
fn rings_are_found() {
    let mut graph = ArrowGraph::default();
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("d", "d"), ("e", "f"), ("f", "g"), ("g", "e")] {
        graph.add(from, to, || from.to_owned());
    }
    assert_eq!(graph.rings(), [BTreeSet::from(["b", "c"]), BTreeSet::from(["e", "f", "g"])]);
}
