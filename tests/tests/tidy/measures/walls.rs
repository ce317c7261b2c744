//! Parts that know nothing of each other. What is found beyond a wall is a measure.

use std::collections::BTreeSet;

use super::budgets::{Budget, GATEWAY_WALL, LIBP2P_WALL, Measured, SEEDED_BUGS};
use super::modules::imported_names;
use super::source::SourceFile;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::Visit;
use syn::{File, ItemUse};

/// The only folders that name libp2p: another transport replaces them.
const LIBP2P: [&str; 2] = ["node/src/net/libp2p", "node/src/net/quic"];

/// Gateways see the client and what a gateway has to know of its surroundings.
const GATEWAYS: &str = "node/src/gateway";
const GATEWAY_MAY_NAME: [&str; 5] = ["client", "config", "gateway", "home", "metrics"];

pub fn measures(files: &[SourceFile]) -> Vec<Measured> {
    let node = || files.iter().filter(|file| file.name.starts_with("node/src/") && !file.is_test());
    let libp2p: Vec<String> = node().filter(|file| names_library(&file.tree)).map(|file| file.name.clone()).collect();
    let outside: Vec<String> =
        libp2p.into_iter().filter(|name| !LIBP2P.iter().any(|folder| name.starts_with(folder))).collect();
    let gateways: Vec<String> = node().filter(|file| file.name.starts_with(GATEWAYS)).flat_map(beyond_client).collect();
    let core = files.iter().filter(|file| file.name.starts_with("node/core/src/"));
    let seeded: Vec<String> = core.filter(|file| knows_seeded_bugs(&file.tree)).map(|file| file.name.clone()).collect();
    let measured = |budget: &'static Budget, places: Vec<String>| budget.measured(places.len() as f64, places);
    vec![measured(&LIBP2P_WALL, outside), measured(&GATEWAY_WALL, gateways), measured(&SEEDED_BUGS, seeded)]
}

/// As the first part of a path, which a module of that name (`self::libp2p`, `super::libp2p`) is not.
fn names_library(file: &File) -> bool {
    let mut found = false;
    scan(file.to_token_stream(), &mut |before, ident| found |= ident.starts_with("libp2p") && before == ' ');
    found && !declares_module(file)
}

fn declares_module(file: &File) -> bool {
    file.items.iter().any(|item| matches!(item, syn::Item::Mod(item) if item.ident == "libp2p"))
}

/// Each identifier and literal with what stands before it: `:` within a path.
fn scan(tokens: TokenStream, see: &mut impl FnMut(char, &str)) {
    let mut before = ' ';
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                see(before, &ident.to_string());
                before = ' ';
            }
            TokenTree::Punct(punct) => before = if punct.as_char() == ':' { ':' } else { ' ' },
            TokenTree::Group(group) => scan(group.stream(), see),
            TokenTree::Literal(literal) => {
                see(before, &literal.to_string());
                before = ' ';
            }
        }
    }
}

fn beyond_client(file: &SourceFile) -> Vec<String> {
    let mut imports = CrateImports::default();
    imports.visit_file(&file.tree);
    let beyond = imports.modules.into_iter().filter(|module| !GATEWAY_MAY_NAME.contains(&module.as_str()));
    beyond.map(|module| format!("{} names crate::{module}", file.name)).collect()
}

/// Modules of the own crate that a file names from its top.
#[derive(Default)]
struct CrateImports {
    modules: BTreeSet<String>,
}

impl CrateImports {
    fn add(&mut self, path: &[String]) {
        if let [first, module, ..] = path
            && first == "crate"
        {
            self.modules.insert(module.clone());
        }
    }
}

impl<'ast> Visit<'ast> for CrateImports {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        imported_names(&item.tree).iter().for_each(|imported| self.add(&imported.path));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(&path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>());
        syn::visit::visit_path(self, path);
    }
}

/// By a feature, a module or a function of that name.
fn knows_seeded_bugs(file: &File) -> bool {
    let mut found = false;
    let marks = ["planted", "seeded", "\"planted\"", "\"seeded\""];
    scan(file.to_token_stream(), &mut |_, word| found |= marks.contains(&word));
    found
}

#[test]
fn libraries_are_told_from_modules() {
    let names = |text: &str| names_library(&syn::parse_file(text).expect("a sample"));
    assert!(names("use libp2p::Swarm;") && names("fn f() { libp2p_tls::make() }"));
    assert!(!names("mod libp2p; use self::libp2p::Swarm;") && !names("use super::libp2p::Swarm;"));
    assert!(!names("use crate::net::libp2p;"));
}
