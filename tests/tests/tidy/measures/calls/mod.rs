//! Which file calls methods and functions of which other file.
//!
//! The compiler's types are not at hand, so a receiver's type is followed through fields, parameters, patterns and return
//! types; containers count as what they contain. Where that ends, a method name that one file defines is taken for it.

mod index;
mod infer;
mod result;
mod samples;

pub use result::CallGraph;

use super::modules::ModuleTree;

use self::index::MethodIndex;
use self::infer::BodyReader;

/// The calls among production files below `folder`.
pub fn call_graph(tree: &ModuleTree, folder: &str) -> CallGraph {
    let index = MethodIndex::of(tree, folder);
    let mut calls = CallGraph::default();
    for module in index.modules() {
        for body in index.bodies(module) {
            BodyReader::new(&index, &body, &mut calls).read(&body);
        }
    }
    calls
}
