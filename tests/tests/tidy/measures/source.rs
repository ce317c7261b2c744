//! Rust sources as the compiler's grammar sees them.

use std::path::Path;
use std::str::FromStr;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::{Attribute, Item, Meta};

use crate::tidy::{files_ending, read, shown};

/// One parsed file.
pub struct SourceFile {
    /// Below the workspace.
    pub name: String,
    pub tree: syn::File,
    /// What each line is, without tests: the first line is number 0.
    pub lines: Vec<LineKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    Blank,
    Comment,
    Code,
    /// Code or comment of a test.
    Test,
}

impl SourceFile {
    pub fn parse(name: &str, text: &str) -> Self {
        let tree = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut lines = kinds(name, text);
        if is_test_path(name) {
            mark_tests(&mut lines, 1, usize::MAX);
        }
        for item in tree.items.iter().filter(|item| is_test(attributes(item))) {
            let span = item.span();
            mark_tests(&mut lines, span.start().line, span.end().line);
        }
        Self { name: name.to_owned(), tree, lines }
    }

    pub fn read(path: &Path) -> Self {
        Self::parse(&shown(path), &read(path))
    }

    pub fn count(&self, kind: LineKind) -> usize {
        self.lines.iter().filter(|line| **line == kind).count()
    }

    /// All of it is there for tests.
    pub fn is_test(&self) -> bool {
        is_test_path(&self.name)
    }
}

/// All Rust sources, those outside the workspace included.
pub fn all_sources() -> Vec<SourceFile> {
    files_ending(&[".rs"]).iter().map(|path| SourceFile::read(path)).collect()
}

fn is_test_path(name: &str) -> bool {
    let parts = || name.trim_end_matches(".rs").split('/');
    parts().any(|part| part == "testing" || part == "test_kit") || parts().skip(1).any(|part| part == "tests")
}

/// Says `#[cfg(test)]` or `#[test]`.
pub fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        Meta::NameValue(_) => false,
    })
}

pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Lines that no token touches are blank or comments; documentation counts as a comment.
fn kinds(name: &str, text: &str) -> Vec<LineKind> {
    let kind = |line: &str| if line.trim().is_empty() { LineKind::Blank } else { LineKind::Comment };
    let mut kinds: Vec<LineKind> = text.lines().map(kind).collect();
    let tokens = TokenStream::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    mark_code(&mut kinds, tokens);
    kinds
}

fn mark_code(kinds: &mut [LineKind], tokens: TokenStream) {
    for token in tokens {
        match token {
            TokenTree::Group(group) if !is_documentation(group.span()) => {
                mark_span(kinds, group.span_open());
                mark_code(kinds, group.stream());
                mark_span(kinds, group.span_close());
            }
            token if is_documentation(token.span()) => {}
            token => mark_span(kinds, token.span()),
        }
    }
}

/// The grammar sees a doc comment as an attribute whose tokens all have the comment's place.
fn is_documentation(span: Span) -> bool {
    span.source_text().is_some_and(|text| text.starts_with("//") || text.starts_with("/*"))
}

fn mark_span(kinds: &mut [LineKind], span: Span) {
    for line in span.start().line..=span.end().line {
        if let Some(kind) = kinds.get_mut(line - 1) {
            *kind = LineKind::Code;
        }
    }
}

fn mark_tests(lines: &mut [LineKind], first: usize, last: usize) {
    for kind in lines.iter_mut().take(last).skip(first - 1).filter(|kind| **kind != LineKind::Blank) {
        *kind = LineKind::Test;
    }
}

#[test]
fn lines_are_told_apart() {
    use LineKind::{Blank, Code, Comment, Test};
    let text = "//! Doc.\n\n// Why.\nfn f() { // beside\n    \"// text\n\"; }\n/// Doc.\nstruct S;\n#[cfg(test)]\nmod tests {\n    // x\n\n}\n";
    let file = SourceFile::parse("a/src/x.rs", text);
    assert_eq!(file.lines, [Comment, Blank, Comment, Code, Code, Code, Comment, Code, Test, Test, Test, Blank, Test]);
    assert!(SourceFile::parse("a/src/tests.rs", text).count(Code) == 0);
}
