//! The reader of calls, tried on small engines.

use std::collections::BTreeMap;

use crate::tidy::measures::modules::ModuleTree;
use crate::tidy::measures::source::SourceFile;

use super::{CallGraph, call_graph};

fn calls_of(files: &[(&str, &str)]) -> CallGraph {
    let parsed: Vec<SourceFile> = files.iter().map(|(name, text)| SourceFile::parse(name, text)).collect();
    let by_name = parsed.iter().map(|file| (file.name.clone(), file)).collect::<BTreeMap<_, _>>();
    call_graph(&ModuleTree::of("x/src/lib.rs", &by_name), "x/src/")
}

#[track_caller]
fn check(files: &[(&str, &str)], expected: &[(&str, &str)]) {
    let calls = calls_of(files);
    let short = |name: &str| name.trim_start_matches("x/src/").trim_end_matches(".rs").to_owned();
    let found: Vec<(String, String)> = calls.graph.arrows().map(|(from, to, _)| (short(from), short(to))).collect();
    let expected: Vec<(String, String)> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(found, expected);
}

const LIB: (&str, &str) = ("x/src/lib.rs", "mod a; mod b;");

#[test]
fn a_ring_of_methods_is_found_without_any_import() {
    let files = [
        ("x/src/lib.rs", "mod a; mod b; struct Engine;"),
        ("x/src/a.rs", "use crate::Engine; impl Engine { fn start(&mut self) { self.finish(); } }"),
        ("x/src/b.rs", "use crate::Engine; impl Engine { fn finish(&mut self) { if true { self.start() } } }"),
    ];
    let calls = calls_of(&files);
    assert_eq!(calls.graph.rings().len(), 1);
    check(&files, &[("a", "b"), ("b", "a")]);
}

#[test]
fn a_name_that_two_files_define_is_told_apart_by_the_type_of_the_field() {
    let b = "pub struct Peers { n: u8 } impl Peers { pub fn on_up(&mut self) {} }";
    let a = "use crate::b::Peers; pub struct Puts { peers: Peers, own: Own } struct Own;
             impl Own { fn on_up(&mut self) {} }
             impl Puts { fn on_down(&mut self) { self.own.on_up(); } }";
    check(&[LIB, ("x/src/a.rs", a), ("x/src/b.rs", b)], &[]);
    let other = a.replace("self.own.on_up()", "self.peers.on_up()");
    check(&[LIB, ("x/src/a.rs", &other), ("x/src/b.rs", b)], &[("a", "b")]);
}

#[test]
fn types_are_followed_through_parameters_containers_patterns_and_returns() {
    let b = "pub struct Peer; impl Peer { pub fn get(&self) {} pub fn other(&self) -> Peer { Peer } }";
    let body = |text: &str| format!("use crate::b::Peer; struct Own; impl Own {{ fn get(&self) {{}} }} {text}");
    for text in [
        "fn f(peer: &mut Peer) { peer.get() }",
        "struct S { peers: Vec<Peer> } impl S { fn f(&self) { for peer in &self.peers { peer.get() } } }",
        "struct S { peers: Vec<Peer> } impl S { fn f(&self) { let Some(x) = self.peers.first() else { return }; x.get() } }",
        "struct S { peers: Vec<Peer> } impl S { fn f(&self) { self.peers.iter().for_each(|peer| peer.get()) } }",
        "enum E { One { peer: Peer } } fn f(e: E) { match e { E::One { peer } => peer.get() } }",
        "fn f(x: Option<Peer>) { debug_assert!(x.is_some(), \"{}\", x.map(|x| x.get())) }",
        "type Many = Vec<Peer>; fn f(many: Many) { while let Some(one) = many.pop() { one.get() } }",
        "fn f() { let peer = Peer; let next = Peer::other(&peer); next.get() }",
    ] {
        check(&[LIB, ("x/src/a.rs", &body(text)), ("x/src/b.rs", b)], &[("a", "b")]);
    }
}

#[test]
fn containers_are_not_taken_for_types_of_the_same_method_names() {
    let a = "fn f(map: std::collections::BTreeMap<u8, u8>) { map.get(&1); let x = g(); x.get(); }";
    check(&[LIB, ("x/src/a.rs", a), ("x/src/b.rs", "pub struct P; impl P { fn get(&self) {} }")], &[]);
}

#[test]
fn tests_and_free_functions() {
    let a = "fn f() { crate::b::helper(); } #[cfg(test)] mod tests { fn t() { crate::b::other() } }";
    check(&[LIB, ("x/src/a.rs", a), ("x/src/b.rs", "pub fn helper() {} pub fn other() {}")], &[("a", "b")]);
    check(
        &[LIB, ("x/src/a.rs", "#[cfg(test)] mod tests { fn t() { crate::b::o() } }"), ("x/src/b.rs", "pub fn o() {}")],
        &[],
    );
}

#[test]
fn what_cannot_be_known_is_said() {
    let two = "pub struct P; impl P { fn go(&self) {} }";
    let calls = calls_of(&[
        ("x/src/lib.rs", "mod a; mod b; fn f() { unknown().go() }"),
        ("x/src/a.rs", two),
        ("x/src/b.rs", two),
    ]);
    assert_eq!(calls.unresolved, ["x/src/lib.rs:1 go()"]);
}
