//! The modules of a crate, and where a path leads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use syn::{Ident, Item, ItemMod, Lit, Meta, UseTree, Visibility};

use super::source::{SourceFile, attributes, is_test};

/// Place of a module in [`ModuleTree::modules`]; 0 is the crate.
pub type ModuleId = usize;

/// All modules of one library, program or test.
pub struct ModuleTree {
    pub modules: Vec<Module>,
}

pub struct Module {
    parent: Option<ModuleId>,
    /// The file that it is written in.
    pub file: String,
    /// It is there for tests only.
    pub is_test: bool,
    /// Its items without the modules below it.
    pub items: Vec<Item>,
    children: BTreeMap<String, ModuleId>,
    defined: BTreeSet<String>,
    bindings: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathTarget {
    Module(ModuleId),
    /// An item, with what follows its name in the path.
    Item {
        module: ModuleId,
        name: String,
        rest: Vec<String>,
    },
}

/// One name that a `use` brings in.
pub struct ImportedName {
    pub name: String,
    pub path: Vec<String>,
    pub is_glob: bool,
}

/// Longer chains of re-exports are a circle.
const RESOLVE_DEPTH_MAX: usize = 16;

impl ModuleTree {
    /// The tree below a root file, e.g. `src/lib.rs`; `files` by name.
    pub fn of(root: &str, files: &BTreeMap<String, &SourceFile>) -> Self {
        let mut tree = Self { modules: Vec::new() };
        let folder = Path::new(root).parent().expect("a file has a folder").to_owned();
        let items = files[root].tree.items.clone();
        tree.add(None, root, &folder, items, files[root].is_test(), files);
        tree
    }

    fn add(
        &mut self,
        parent: Option<ModuleId>,
        file: &str,
        folder: &Path,
        items: Vec<Item>,
        is_test: bool,
        files: &BTreeMap<String, &SourceFile>,
    ) -> ModuleId {
        let id = self.modules.len();
        let (inner, items): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| matches!(item, Item::Mod(_)));
        self.modules.push(Module::new(parent, file, items, is_test));
        for item in inner {
            if let Item::Mod(item) = item {
                self.add_child(id, item, folder, files);
            }
        }
        id
    }

    fn add_child(&mut self, parent: ModuleId, item: ItemMod, folder: &Path, files: &BTreeMap<String, &SourceFile>) {
        let name = item.ident.to_string();
        let marked = self.modules[parent].is_test || is_test(&item.attrs);
        let child = if let Some((_, items)) = item.content {
            let file = self.modules[parent].file.clone();
            self.add(Some(parent), &file, &folder.join(&name), items, marked, files)
        } else {
            let candidates = match path_attribute(&item) {
                Some(path) => vec![folder.join(path)],
                None => vec![folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")],
            };
            let found = candidates.iter().map(|path| normal(path)).find(|path| files.contains_key(path));
            let Some(file) = found else { panic!("{}: no file of module {name}", self.modules[parent].file) };
            let source = files[&file];
            let below =
                if file.ends_with("/mod.rs") { PathBuf::from(&file).with_file_name("") } else { folder.join(&name) };
            self.add(Some(parent), &file, &below, source.tree.items.clone(), marked || source.is_test(), files)
        };
        self.modules[parent].children.insert(name, child);
    }

    /// The file of a module in messages and graphs; tests within a file of production code are a file of their own.
    pub fn node(&self, module: ModuleId) -> String {
        let module = &self.modules[module];
        let inline = module.is_test
            && module
                .parent
                .is_some_and(|parent| self.modules[parent].file == module.file && !self.modules[parent].is_test);
        if inline { format!("{}#tests", module.file) } else { module.file.clone() }
    }

    /// Where a path leads that is written in a module; nowhere if it leaves the crate.
    pub fn resolve(&self, from: ModuleId, path: &[String]) -> Option<PathTarget> {
        self.resolve_within(from, path, 0)
    }

    fn resolve_within(&self, from: ModuleId, path: &[String], depth: usize) -> Option<PathTarget> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            _ if depth > RESOLVE_DEPTH_MAX => None,
            "crate" => self.walk(0, rest, depth),
            "self" => self.walk(from, rest, depth),
            "super" => self.walk_up(self.modules[from].parent?, rest, depth),
            _ => self.walk(from, path, depth),
        }
    }

    fn walk_up(&self, from: ModuleId, path: &[String], depth: usize) -> Option<PathTarget> {
        match path.split_first() {
            Some((first, rest)) if first == "super" => self.walk_up(self.modules[from].parent?, rest, depth),
            _ => self.walk(from, path, depth),
        }
    }

    fn walk(&self, from: ModuleId, path: &[String], depth: usize) -> Option<PathTarget> {
        let Some((name, rest)) = path.split_first() else { return Some(PathTarget::Module(from)) };
        let module = &self.modules[from];
        if let Some(child) = module.children.get(name) {
            return self.walk(*child, rest, depth);
        }
        if module.defined.contains(name) {
            return Some(PathTarget::Item { module: from, name: name.clone(), rest: rest.to_vec() });
        }
        if let Some(binding) = module.bindings.get(name) {
            let whole: Vec<String> = binding.iter().chain(rest).cloned().collect();
            return self.resolve_within(from, &whole, depth + 1);
        }
        module.globs.iter().find_map(|glob| match self.resolve_within(from, glob, depth + 1)? {
            PathTarget::Module(inner) if inner != from && depth < RESOLVE_DEPTH_MAX => {
                self.walk(inner, path, depth + 1)
            }
            _ => None,
        })
    }
}

impl Module {
    fn new(parent: Option<ModuleId>, file: &str, items: Vec<Item>, is_test: bool) -> Self {
        let defined = items.iter().filter_map(defined_name).map(Ident::to_string).collect();
        let (mut bindings, mut globs) = (BTreeMap::new(), Vec::new());
        for item in &items {
            let Item::Use(item) = item else { continue };
            for imported in imported_names(&item.tree) {
                if imported.is_glob {
                    globs.push(imported.path);
                } else {
                    bindings.insert(imported.name, imported.path);
                }
            }
        }
        let file = file.to_owned();
        Self { parent, file, is_test, items, children: BTreeMap::new(), defined, bindings, globs }
    }

    /// Items that are not there for tests only.
    pub fn production(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| !is_test(attributes(item)))
    }
}

/// All names of a `use`, with their whole paths.
pub fn imported_names(tree: &UseTree) -> Vec<ImportedName> {
    let mut names = Vec::new();
    collect_names(tree, &mut Vec::new(), &mut names);
    names
}

fn collect_names(tree: &UseTree, before: &mut Vec<String>, names: &mut Vec<ImportedName>) {
    let whole = |before: &[String], name: &Ident| {
        let own = (name != "self").then(|| name.to_string());
        before.iter().cloned().chain(own).collect::<Vec<_>>()
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            collect_names(&path.tree, before, names);
            before.pop();
        }
        UseTree::Name(name) => {
            let path = whole(before, &name.ident);
            let name = path.last().cloned().unwrap_or_default();
            names.push(ImportedName { name, path, is_glob: false });
        }
        UseTree::Rename(rename) => {
            let path = whole(before, &rename.ident);
            names.push(ImportedName { name: rename.rename.to_string(), path, is_glob: false });
        }
        UseTree::Glob(_) => names.push(ImportedName { name: "*".to_owned(), path: before.clone(), is_glob: true }),
        UseTree::Group(group) => group.items.iter().for_each(|tree| collect_names(tree, before, names)),
    }
}

/// Whether an item re-exports what it names instead of using it.
pub fn is_public(visibility: &Visibility) -> bool {
    !matches!(visibility, Visibility::Inherited)
}

fn defined_name(item: &Item) -> Option<&Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Macro(item) => item.ident.as_ref(),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        Item::Union(item) => Some(&item.ident),
        _ => None,
    }
}

/// `#[path = "x.rs"]`.
fn path_attribute(item: &ItemMod) -> Option<String> {
    item.attrs.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    })
}

/// Without `..`.
fn normal(path: &Path) -> String {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            part => parts.push(part.as_os_str().to_string_lossy().into_owned()),
        }
    }
    parts.join("/")
}
