//! Functions: whose they are, how long, and what they assert.

use std::collections::BTreeMap;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, Ident, ImplItemFn, Item, ItemFn, ItemImpl, Macro, Signature, TraitItemFn, Type};

use super::source::{SourceFile, attributes, is_test};

/// One function with a body.
pub struct FunctionFacts {
    pub file: String,
    pub name: String,
    /// The type whose method it is.
    pub owner: Option<String>,
    /// From its first to its last line, both counted.
    pub lines: usize,
    pub assertions: usize,
}

/// Production functions of some files.
pub fn functions<'a>(files: impl IntoIterator<Item = &'a SourceFile>) -> Vec<FunctionFacts> {
    let mut found = Vec::new();
    for file in files.into_iter().filter(|file| !file.is_test()) {
        FunctionCollector { file: &file.name, owner: None, found: &mut found, open: Vec::new() }.visit_file(&file.tree);
    }
    found
}

/// The type with most methods, with all its functions.
pub fn largest_type(functions: &[FunctionFacts]) -> (String, Vec<&FunctionFacts>) {
    let mut by_owner: BTreeMap<&str, Vec<&FunctionFacts>> = BTreeMap::new();
    for function in functions {
        if let Some(owner) = &function.owner {
            by_owner.entry(owner).or_default().push(function);
        }
    }
    let largest = by_owner.into_iter().max_by_key(|(_, methods)| methods.len());
    largest.map_or_else(Default::default, |(name, methods)| (name.to_owned(), methods))
}

struct FunctionCollector<'a> {
    file: &'a str,
    owner: Option<String>,
    found: &'a mut Vec<FunctionFacts>,
    /// Places in `found` of the functions that surround what is visited.
    open: Vec<usize>,
}

impl FunctionCollector<'_> {
    fn begin(&mut self, signature: &Signature, body: &Block) {
        let lines = body.span().end().line - signature.span().start().line + 1;
        self.open.push(self.found.len());
        let (file, name) = (self.file.to_owned(), signature.ident.to_string());
        self.found.push(FunctionFacts { file, name, owner: self.owner.clone(), lines, assertions: 0 });
    }

    fn within(&mut self, owner: Option<String>, visit: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.owner, owner);
        visit(self);
        self.owner = before;
    }
}

impl<'ast> Visit<'ast> for FunctionCollector<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.begin(&item.sig, &item.block);
        self.within(None, |collector| visit::visit_item_fn(collector, item));
        self.open.pop();
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if is_test(&item.attrs) {
            return;
        }
        self.begin(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
        self.open.pop();
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(body) = &item.default {
            self.begin(&item.sig, body);
            visit::visit_trait_item_fn(self, item);
            self.open.pop();
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let owner = type_name(&item.self_ty).map(Ident::to_string);
        self.within(owner, |collector| visit::visit_item_impl(collector, item));
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let name = call.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        if name.starts_with("assert") || name.starts_with("debug_assert") {
            for open in &self.open {
                self.found[*open].assertions += 1;
            }
        }
    }
}

fn type_name(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        Type::Reference(reference) => type_name(&reference.elem),
        _ => None,
    }
}

#[test]
fn functions_are_found_with_owner_length_and_assertions() {
    let text = "struct S;\nimpl S {\n    fn a(&self) {\n        assert!(true);\n    }\n    fn b() { debug_assert_eq!(1, 1); }\n}\n\
                fn free() {}\n#[cfg(test)]\nmod tests { fn t() {} }\ntrait T { fn needed(); fn given() {} }\n";
    let files = [SourceFile::parse("x/src/a.rs", text)];
    let functions = functions(&files);
    let shown: Vec<_> =
        functions.iter().map(|f| (f.name.as_str(), f.owner.as_deref(), f.lines, f.assertions)).collect();
    assert_eq!(shown, [("a", Some("S"), 3, 1), ("b", Some("S"), 1, 1), ("free", None, 1, 0), ("given", None, 1, 0)]);
    assert_eq!(largest_type(&functions).1.len(), 2);
}
