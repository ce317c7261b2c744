//! Which file names what of which other file.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Item, ItemUse, Macro, Path};

use super::graph::ArrowGraph;
use super::modules::{ImportedName, ModuleId, ModuleTree, PathTarget, imported_names, is_public};
use super::source::{attributes, is_test};

/// Arrows of `use` lines and of paths in the code. What only declares and re-exports names nothing.
pub fn import_graph(tree: &ModuleTree) -> ArrowGraph {
    let mut graph = ArrowGraph::default();
    for module in 0..tree.modules.len() {
        let mut collector = PathCollector { tree, module, graph: &mut graph, line: 0 };
        for item in &tree.modules[module].items {
            // An import for tests in production code belongs to them.
            if tree.modules[module].is_test || !is_test(attributes(item)) {
                collector.visit_item(item);
            }
        }
    }
    graph
}

struct PathCollector<'a> {
    tree: &'a ModuleTree,
    module: ModuleId,
    graph: &'a mut ArrowGraph,
    line: usize,
}

impl PathCollector<'_> {
    fn name(&mut self, path: &[String]) {
        if let Some(PathTarget::Item { module, .. }) = self.tree.resolve(self.module, path) {
            let (from, to) = (self.tree.node(self.module), self.tree.node(module));
            let line = self.line;
            self.graph.add(&from, &to, || format!("{from}:{line} {}", path.join("::")));
        }
    }

    /// Paths in what a macro is given, as the compiler would find them after expanding it.
    fn name_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 || path.is_empty() => path.push(ident.to_string()),
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(ident) => {
                    self.name(&path);
                    path = vec![ident.to_string()];
                }
                TokenTree::Group(group) => {
                    self.name(&path);
                    path.clear();
                    self.name_tokens(group.stream());
                }
                _ => {
                    self.name(&path);
                    path.clear();
                }
            }
            colons = 0;
        }
        self.name(&path);
    }
}

impl<'ast> Visit<'ast> for PathCollector<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) || self.tree.modules[self.module].is_test {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.line = item.span().start().line;
        if is_public(&item.vis) {
            return;
        }
        for ImportedName { path, is_glob, .. } in imported_names(&item.tree) {
            if !is_glob {
                self.name(&path);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.line = path.span().start().line;
        if path.leading_colon.is_none() {
            self.name(&path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit::visit_macro(self, call);
        self.line = call.span().start().line;
        self.name_tokens(call.tokens.clone());
    }
}
