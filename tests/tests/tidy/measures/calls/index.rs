//! Types, fields, methods and functions of a folder.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Block, Fields, FnArg, ImplItem, Item, Path, ReturnType, Signature, TraitItem, Type};

use crate::tidy::measures::modules::{ModuleId, ModuleTree, PathTarget};
use crate::tidy::measures::source::is_test;

/// A type by the module that defines it and its name.
pub type TypeKey = (ModuleId, String);

/// Types of the folder that a type is made of. The container around them is forgotten.
pub type Mention = BTreeSet<TypeKey>;

/// What can be called in the folder, and what it is called on.
pub struct MethodIndex<'a> {
    pub tree: &'a ModuleTree,
    folder: String,
    /// What each field of a type, or of a variant of it, mentions.
    fields: BTreeMap<TypeKey, BTreeMap<String, Mention>>,
    aliases: BTreeMap<TypeKey, (ModuleId, Type)>,
    methods: BTreeMap<String, Vec<Callable>>,
    functions: BTreeMap<TypeKey, Callable>,
}

/// A method or function.
pub struct Callable {
    /// The type whose method it is.
    pub owner: Option<TypeKey>,
    pub file: String,
    pub returns: Mention,
}

/// A function with a body.
pub struct FunctionBody<'a> {
    pub module: ModuleId,
    pub owner: Option<TypeKey>,
    pub signature: &'a Signature,
    pub block: &'a Block,
}

impl<'a> MethodIndex<'a> {
    pub fn of(tree: &'a ModuleTree, folder: &str) -> Self {
        let (fields, aliases, methods, functions) = Default::default();
        let mut index = Self { tree, folder: folder.to_owned(), fields, aliases, methods, functions };
        index.name_types();
        index.fill_fields();
        index.fill_methods();
        index
    }

    /// Production modules of the folder.
    pub fn modules(&self) -> impl Iterator<Item = ModuleId> {
        let inside = |id: &ModuleId| {
            let module = &self.tree.modules[*id];
            !module.is_test && module.file.starts_with(&self.folder)
        };
        (0..self.tree.modules.len()).filter(inside)
    }

    fn items(&self) -> Vec<(ModuleId, &'a Item)> {
        let tree = self.tree;
        self.modules().flat_map(|module| tree.modules[module].production().map(move |item| (module, item))).collect()
    }

    fn name_types(&mut self) {
        for (module, item) in self.items() {
            match item {
                Item::Struct(item) => drop(self.fields.insert((module, item.ident.to_string()), BTreeMap::new())),
                Item::Enum(item) => drop(self.fields.insert((module, item.ident.to_string()), BTreeMap::new())),
                Item::Trait(item) => drop(self.fields.insert((module, item.ident.to_string()), BTreeMap::new())),
                Item::Type(item) => {
                    self.aliases.insert((module, item.ident.to_string()), (module, (*item.ty).clone()));
                }
                _ => {}
            }
        }
    }

    fn fill_fields(&mut self) {
        for (module, item) in self.items() {
            match item {
                Item::Struct(item) => self.add_fields(module, &item.ident.to_string(), "", &item.fields),
                Item::Enum(item) => {
                    for variant in &item.variants {
                        let prefix = format!("{}::", variant.ident);
                        self.add_fields(module, &item.ident.to_string(), &prefix, &variant.fields);
                    }
                }
                _ => {}
            }
        }
    }

    fn add_fields(&mut self, module: ModuleId, name: &str, prefix: &str, fields: &Fields) {
        let key = (module, name.to_owned());
        for (number, field) in fields.iter().enumerate() {
            let name = field.ident.as_ref().map_or_else(|| number.to_string(), ToString::to_string);
            let mention = self.mention(module, Some(&key), &field.ty);
            self.fields.get_mut(&key).expect("all types are named first").insert(format!("{prefix}{name}"), mention);
        }
    }

    fn fill_methods(&mut self) {
        for (module, item) in self.items() {
            let file = self.tree.modules[module].file.clone();
            match item {
                Item::Fn(item) => {
                    let returns = self.returned(module, None, &item.sig);
                    let key = (module, item.sig.ident.to_string());
                    self.functions.insert(key, Callable { owner: None, file, returns });
                }
                Item::Impl(item) => {
                    let owner = self.owner(module, &item.self_ty);
                    for signature in item.items.iter().filter_map(impl_signature) {
                        self.add_method(module, owner.clone(), &file, signature);
                    }
                }
                Item::Trait(item) => {
                    let owner = Some((module, item.ident.to_string()));
                    for inner in &item.items {
                        if let TraitItem::Fn(function) = inner {
                            self.add_method(module, owner.clone(), &file, &function.sig);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn add_method(&mut self, module: ModuleId, owner: Option<TypeKey>, file: &str, signature: &Signature) {
        let returns = self.returned(module, owner.as_ref(), signature);
        let callable = Callable { owner, file: file.to_owned(), returns };
        self.methods.entry(signature.ident.to_string()).or_default().push(callable);
    }

    fn returned(&self, module: ModuleId, owner: Option<&TypeKey>, signature: &Signature) -> Mention {
        match &signature.output {
            ReturnType::Default => Mention::new(),
            ReturnType::Type(_, ty) => self.mention(module, owner, ty),
        }
    }

    /// The type that an `impl` is for, if it is one of the folder.
    pub fn owner(&self, module: ModuleId, ty: &Type) -> Option<TypeKey> {
        let outer = match ty {
            Type::Path(path) => self.type_of(module, &path.path),
            Type::Reference(reference) => self.owner(module, &reference.elem),
            _ => None,
        };
        outer.filter(|key| self.fields.contains_key(key))
    }

    /// The type that a path names, or whose variant or function it names.
    pub fn type_of(&self, module: ModuleId, path: &Path) -> Option<TypeKey> {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        match self.tree.resolve(module, &segments)? {
            PathTarget::Item { module, name, .. } => Some((module, name)),
            PathTarget::Module(_) => None,
        }
    }

    /// All types of the folder that stand in a type.
    pub fn mention(&self, module: ModuleId, owner: Option<&TypeKey>, ty: &Type) -> Mention {
        let mut collector = MentionCollector { index: self, module, owner, found: Mention::new(), depth: 0 };
        collector.visit_type(ty);
        collector.found
    }

    pub fn field(&self, of: &TypeKey, name: &str) -> Option<&Mention> {
        self.fields.get(of)?.get(name)
    }

    pub fn is_type(&self, key: &TypeKey) -> bool {
        self.fields.contains_key(key)
    }

    pub fn methods(&self, name: &str) -> &[Callable] {
        self.methods.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn function(&self, key: &TypeKey) -> Option<&Callable> {
        self.functions.get(key)
    }

    /// Functions and methods of a module that have a body and are not there for tests.
    pub fn bodies(&self, module: ModuleId) -> Vec<FunctionBody<'a>> {
        let tree = self.tree;
        let mut bodies = Vec::new();
        for item in tree.modules[module].production() {
            match item {
                Item::Fn(item) => {
                    bodies.push(FunctionBody { module, owner: None, signature: &item.sig, block: &item.block });
                }
                Item::Impl(item) => {
                    let owner = self.owner(module, &item.self_ty);
                    for inner in &item.items {
                        if let ImplItem::Fn(function) = inner
                            && !is_test(&function.attrs)
                        {
                            let (owner, signature) = (owner.clone(), &function.sig);
                            bodies.push(FunctionBody { module, owner, signature, block: &function.block });
                        }
                    }
                }
                _ => {}
            }
        }
        bodies
    }
}

fn impl_signature(item: &ImplItem) -> Option<&Signature> {
    match item {
        ImplItem::Fn(function) if !is_test(&function.attrs) => Some(&function.sig),
        _ => None,
    }
}

/// The types of a parameter list, with their names.
pub fn typed_parameters(signature: &Signature) -> impl Iterator<Item = &syn::PatType> {
    signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    })
}

struct MentionCollector<'a, 'b> {
    index: &'b MethodIndex<'a>,
    module: ModuleId,
    owner: Option<&'b TypeKey>,
    found: Mention,
    depth: usize,
}

/// An alias of an alias of an alias is no longer followed.
const ALIAS_DEPTH_MAX: usize = 3;

impl<'ast> Visit<'ast> for MentionCollector<'_, '_> {
    fn visit_path(&mut self, path: &'ast Path) {
        if path.is_ident("Self") {
            self.found.extend(self.owner.cloned());
        } else if let Some(key) = self.index.type_of(self.module, path) {
            if self.index.fields.contains_key(&key) {
                self.found.insert(key);
            } else if let Some((module, ty)) = self.index.aliases.get(&key)
                && self.depth < ALIAS_DEPTH_MAX
            {
                let (module, before) = (*module, self.module);
                self.depth += 1;
                self.module = module;
                self.visit_type(ty);
                self.module = before;
                self.depth -= 1;
            }
        }
        visit::visit_path(self, path);
    }
}
