//! Names of types: of how many words, and how often.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{Ident, ItemEnum, ItemStruct, ItemTrait, ItemType, ItemUnion};

use super::source::SourceFile;

/// Where each name is defined; associated types are not definitions.
#[derive(Default)]
pub struct TypeNames {
    defined: BTreeMap<String, Vec<String>>,
}

struct NameCollector<'a> {
    file: &'a str,
    names: &'a mut TypeNames,
}

impl TypeNames {
    pub fn of(files: &[SourceFile]) -> Self {
        let mut names = Self::default();
        for file in files {
            NameCollector { file: &file.name, names: &mut names }.visit_file(&file.tree);
        }
        names
    }

    fn definitions(&self) -> usize {
        self.defined.values().map(Vec::len).sum()
    }

    pub fn one_word_percent(&self) -> f64 {
        let one_word = self.defined.iter().filter(|(name, _)| words(name) == 1).map(|(_, places)| places.len());
        percent(one_word.sum(), self.definitions())
    }

    pub fn homonym_percent(&self) -> f64 {
        let several = self.defined.values().map(Vec::len).filter(|times| *times > 1);
        percent(several.sum(), self.definitions())
    }

    /// The crates by names of one word, the most first.
    pub fn one_word_places(&self) -> Vec<String> {
        let mut folders: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for (name, place) in
            self.defined.iter().flat_map(|(name, places)| places.iter().map(move |place| (name, place)))
        {
            let counts = folders.entry(place.split("/src/").next().unwrap_or(place).to_owned()).or_default();
            counts.0 += usize::from(words(name) == 1);
            counts.1 += 1;
        }
        let mut folders: Vec<_> = folders.into_iter().collect();
        folders.sort_by_key(|(_, (one, _))| std::cmp::Reverse(*one));
        folders.into_iter().map(|(folder, (one, all))| format!("{folder}: {one} of {all}")).collect()
    }

    /// The names with most definitions.
    pub fn homonym_places(&self) -> Vec<String> {
        let mut names: Vec<_> = self.defined.iter().filter(|(_, places)| places.len() > 1).collect();
        names.sort_by_key(|(_, places)| std::cmp::Reverse(places.len()));
        names.into_iter().map(|(name, places)| format!("{name}: {}", places.join(", "))).collect()
    }
}

impl NameCollector<'_> {
    fn define(&mut self, name: &Ident) {
        self.names.defined.entry(name.to_string()).or_default().push(self.file.to_owned());
    }
}

impl<'ast> Visit<'ast> for NameCollector<'_> {
    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.define(&item.ident);
    }

    fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
        self.define(&item.ident);
    }

    fn visit_item_union(&mut self, item: &'ast ItemUnion) {
        self.define(&item.ident);
    }

    fn visit_item_type(&mut self, item: &'ast ItemType) {
        self.define(&item.ident);
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.define(&item.ident);
        visit::visit_item_trait(self, item);
    }
}

/// Capitals begin words.
fn words(name: &str) -> usize {
    name.chars().filter(char::is_ascii_uppercase).count()
}

pub fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

#[test]
fn types_are_counted_by_their_names() {
    let text = "struct Put; enum PutOutcome {} mod a { type Put = u8; trait T { type Inner; } } fn f() { struct Put; }";
    let names = TypeNames::of(&[SourceFile::parse("x/src/a.rs", text)]);
    assert_eq!((names.definitions(), names.defined["Put"].len()), (5, 3));
    assert_eq!((names.one_word_percent(), names.homonym_percent()), (80.0, 60.0));
}
