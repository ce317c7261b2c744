//! Types of expressions, as far as calls need them.

use std::collections::BTreeMap;

use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Arm, Block, Expr, ExprCall, ExprClosure, ExprForLoop, ExprIf, ExprLet, ExprMatch, ExprMethodCall, ExprWhile, Item,
    Local, Macro, Member, Pat, Path, Stmt, Token,
};

use super::CallGraph;
use super::index::{Callable, FunctionBody, Mention, MethodIndex, TypeKey, typed_parameters};

/// Names of the standard library's containers and options: on something unknown they say nothing.
const EVERYDAY_NAMES: [&str; 30] = [
    "add", "all", "any", "clear", "clone", "contains", "drain", "entry", "extend", "filter", "find", "first", "get",
    "get_mut", "insert", "is_empty", "iter", "keys", "last", "len", "map", "new", "next", "pop", "push", "remove",
    "retain", "take", "update", "values",
];

/// What wraps a value without changing what is inside.
const WRAPPERS: [&str; 5] = ["Some", "Ok", "Err", "Box", "Arc"];

/// Follows one body and notes its calls. Unknown types are `None`, known ones of other crates are empty.
pub struct BodyReader<'a, 'b> {
    index: &'b MethodIndex<'a>,
    calls: &'b mut CallGraph,
    module: usize,
    owner: Option<TypeKey>,
    file: String,
    variables: BTreeMap<String, Option<Mention>>,
}

impl<'a, 'b> BodyReader<'a, 'b> {
    pub fn new(index: &'b MethodIndex<'a>, body: &FunctionBody<'_>, calls: &'b mut CallGraph) -> Self {
        let file = index.tree.modules[body.module].file.clone();
        let (module, owner) = (body.module, body.owner.clone());
        Self { index, calls, module, owner, file, variables: BTreeMap::new() }
    }

    pub fn read(&mut self, body: &FunctionBody<'_>) {
        let own = self.owner.clone().map(|owner| Mention::from([owner]));
        self.variables.insert("self".to_owned(), own);
        for parameter in typed_parameters(body.signature) {
            let mention = self.index.mention(self.module, self.owner.as_ref(), &parameter.ty);
            self.bind(&parameter.pat, Some(&mention));
        }
        self.visit_block(body.block);
    }

    fn scoped(&mut self, visit: impl FnOnce(&mut Self)) {
        let before = self.variables.clone();
        visit(self);
        self.variables = before;
    }

    fn bind(&mut self, pattern: &Pat, value: Option<&Mention>) {
        match pattern {
            Pat::Ident(ident) => {
                self.variables.insert(ident.ident.to_string(), value.cloned());
                if let Some((_, inner)) = &ident.subpat {
                    self.bind(inner, value);
                }
            }
            Pat::TupleStruct(inner) => {
                for (number, element) in inner.elems.iter().enumerate() {
                    let field = self.pattern_field(&inner.path, &number.to_string());
                    self.bind(element, field.as_ref().or(value));
                }
            }
            Pat::Struct(inner) => {
                for field in &inner.fields {
                    let mention = self.pattern_field(&inner.path, &member_name(&field.member));
                    self.bind(&field.pat, mention.as_ref().or(value));
                }
            }
            Pat::Type(inner) => {
                let mention = self.index.mention(self.module, self.owner.as_ref(), &inner.ty);
                let known = if mention.is_empty() { value } else { Some(&mention) };
                self.bind(&inner.pat, known);
            }
            Pat::Tuple(inner) => inner.elems.iter().for_each(|element| self.bind(element, value)),
            Pat::Slice(inner) => inner.elems.iter().for_each(|element| self.bind(element, value)),
            Pat::Or(inner) => inner.cases.iter().for_each(|case| self.bind(case, value)),
            Pat::Reference(inner) => self.bind(&inner.pat, value),
            Pat::Paren(inner) => self.bind(&inner.pat, value),
            Pat::Guard(inner) => self.bind(&inner.pat, value),
            _ => {}
        }
    }

    /// What a field of the struct or variant of a pattern mentions.
    fn pattern_field(&self, path: &Path, field: &str) -> Option<Mention> {
        let (key, variant) = self.typed_path(path)?;
        let name = variant.map_or_else(|| field.to_owned(), |variant| format!("{variant}::{field}"));
        self.index.field(&key, &name).cloned()
    }

    /// The type that a path names or begins with, and what follows it.
    fn typed_path(&self, path: &Path) -> Option<(TypeKey, Option<String>)> {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let key = match names.first().map(String::as_str) {
            Some("Self") => self.owner.clone()?,
            _ => self.index.type_of(self.module, path)?,
        };
        let rest = names.last().filter(|last| **last != key.1 && names.len() > 1).cloned();
        self.index.is_type(&key).then_some((key, rest))
    }

    fn infer(&self, expression: &Expr) -> Option<Mention> {
        match expression {
            Expr::Path(path) => self.infer_path(&path.path),
            Expr::Field(field) => self.infer_field(&self.infer(&field.base)?, &member_name(&field.member)),
            Expr::MethodCall(call) => self.infer_method(call),
            Expr::Call(call) => self.infer_call(call),
            Expr::Struct(literal) => self.typed_path(&literal.path).map(|(key, _)| Mention::from([key])),
            Expr::Reference(inner) => self.infer(&inner.expr),
            Expr::Paren(inner) => self.infer(&inner.expr),
            Expr::Group(inner) => self.infer(&inner.expr),
            Expr::Unary(inner) => self.infer(&inner.expr),
            Expr::Try(inner) => self.infer(&inner.expr),
            Expr::Index(inner) => self.infer(&inner.expr),
            Expr::Cast(_) | Expr::Lit(_) | Expr::Binary(_) => Some(Mention::new()),
            Expr::Block(inner) => self.infer_block(&inner.block),
            Expr::If(inner) => self.infer_block(&inner.then_branch),
            Expr::Match(inner) => inner.arms.iter().find_map(|arm| self.infer(&arm.body)),
            Expr::Tuple(inner) => {
                Some(inner.elems.iter().filter_map(|element| self.infer(element)).flatten().collect())
            }
            _ => None,
        }
    }

    fn infer_block(&self, block: &Block) -> Option<Mention> {
        match block.stmts.last()? {
            Stmt::Expr(expression, None) => self.infer(expression),
            _ => None,
        }
    }

    fn infer_path(&self, path: &Path) -> Option<Mention> {
        match path.get_ident() {
            Some(ident) => self.variables.get(&ident.to_string()).cloned().flatten(),
            None => self.typed_path(path).map(|(key, _)| Mention::from([key])),
        }
    }

    fn infer_field(&self, base: &Mention, name: &str) -> Option<Mention> {
        let fields: Vec<&Mention> = base.iter().filter_map(|key| self.index.field(key, name)).collect();
        // A number that is no field of ours belongs to a tuple of what is known.
        let in_tuple = name.starts_with(|letter: char| letter.is_ascii_digit());
        match fields.as_slice() {
            [] => in_tuple.then(|| base.clone()),
            fields => Some(fields.iter().flat_map(|mention| mention.iter().cloned()).collect()),
        }
    }

    fn infer_method(&self, call: &ExprMethodCall) -> Option<Mention> {
        let receiver = self.infer(&call.receiver);
        match self.called(receiver.as_ref(), &call.method.to_string()).as_slice() {
            // Of the standard library: what comes out of a container is what is in it.
            [] => receiver,
            called => Some(called.iter().flat_map(|callable| callable.returns.iter().cloned()).collect()),
        }
    }

    fn infer_call(&self, call: &ExprCall) -> Option<Mention> {
        let Expr::Path(function) = &*call.func else { return None };
        let last = function.path.segments.last()?.ident.to_string();
        if WRAPPERS.contains(&last.as_str()) || function.path.segments.first()?.ident == "mem" {
            return call.args.first().and_then(|argument| self.infer(argument));
        }
        if let Some(callable) = self.called_function(&function.path) {
            return Some(callable.returns.clone());
        }
        self.typed_path(&function.path).map(|(key, _)| Mention::from([key]))
    }

    /// Methods of the folder that a call may mean.
    fn called(&self, receiver: Option<&Mention>, name: &str) -> Vec<&'b Callable> {
        let all = self.index.methods(name);
        match receiver {
            Some(mention) => {
                all.iter().filter(|method| method.owner.as_ref().is_some_and(|key| mention.contains(key))).collect()
            }
            None if EVERYDAY_NAMES.contains(&name) => Vec::new(),
            None if all.iter().all(|method| method.file == all[0].file) => all.iter().take(1).collect(),
            None => Vec::new(),
        }
    }

    /// A function or associated function of the folder.
    fn called_function(&self, path: &Path) -> Option<&'b Callable> {
        if let Some((key, Some(name))) = self.typed_path(path) {
            return self.index.methods(&name).iter().find(|method| method.owner.as_ref() == Some(&key));
        }
        self.index.function(&self.index.type_of(self.module, path)?)
    }

    fn note(&mut self, to: &str, name: &str, line: usize) {
        let file = self.file.clone();
        self.calls.graph.add(&file, to, || format!("{file}:{line} {name}()"));
    }
}

impl<'ast> Visit<'ast> for BodyReader<'_, '_> {
    fn visit_item(&mut self, _: &'ast Item) {}

    fn visit_block(&mut self, block: &'ast Block) {
        self.scoped(|reader| visit::visit_block(reader, block));
    }

    fn visit_local(&mut self, local: &'ast Local) {
        visit::visit_local(self, local);
        let value = local.init.as_ref().and_then(|init| self.infer(&init.expr));
        self.bind(&local.pat, value.as_ref());
    }

    fn visit_expr_let(&mut self, condition: &'ast ExprLet) {
        visit::visit_expr_let(self, condition);
        let value = self.infer(&condition.expr);
        self.bind(&condition.pat, value.as_ref());
    }

    fn visit_expr_if(&mut self, branch: &'ast ExprIf) {
        self.scoped(|reader| visit::visit_expr_if(reader, branch));
    }

    fn visit_expr_while(&mut self, branch: &'ast ExprWhile) {
        self.scoped(|reader| visit::visit_expr_while(reader, branch));
    }

    fn visit_expr_for_loop(&mut self, rounds: &'ast ExprForLoop) {
        self.visit_expr(&rounds.expr);
        self.scoped(|reader| {
            let value = reader.infer(&rounds.expr);
            reader.bind(&rounds.pat, value.as_ref());
            reader.visit_block(&rounds.body);
        });
    }

    fn visit_expr_match(&mut self, choice: &'ast ExprMatch) {
        self.visit_expr(&choice.expr);
        let value = self.infer(&choice.expr);
        for Arm { pat, body, .. } in &choice.arms {
            self.scoped(|reader| {
                reader.bind(pat, value.as_ref());
                reader.visit_pat(pat);
                reader.visit_expr(body);
            });
        }
    }

    fn visit_expr_closure(&mut self, closure: &'ast ExprClosure) {
        self.scoped(|reader| {
            for input in &closure.inputs {
                if !matches!(input, Pat::Type(_)) {
                    reader.bind(input, None);
                } else {
                    reader.bind(input, Some(&Mention::new()));
                }
            }
            reader.visit_expr(&closure.body);
        });
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let (name, line) = (call.method.to_string(), call.method.span().start().line);
        let receiver = self.infer(&call.receiver);
        let called: Vec<String> =
            self.called(receiver.as_ref(), &name).iter().map(|method| method.file.clone()).collect();
        let unknown = receiver.is_none() && !EVERYDAY_NAMES.contains(&name.as_str());
        if called.is_empty() && unknown && !self.index.methods(&name).is_empty() {
            self.calls.unresolved.push(format!("{}:{line} {name}()", self.file));
        }
        for file in called {
            self.note(&file, &name, line);
        }
        self.visit_expr(&call.receiver);
        for argument in &call.args {
            if let Expr::Closure(closure) = argument {
                self.scoped(|reader| {
                    closure.inputs.iter().for_each(|input| reader.bind(input, receiver.as_ref()));
                    reader.visit_expr(&closure.body);
                });
            } else {
                self.visit_expr(argument);
            }
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(function) = &*call.func
            && let Some(file) = self.called_function(&function.path).map(|callable| callable.file.clone())
        {
            let name = function.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
            self.note(&file, &name, call.span().start().line);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        // A function that is handed on without being called here, e.g. to `map`.
        if path.path.segments.len() > 1
            && let Some(file) = self.called_function(&path.path).map(|callable| callable.file.clone())
        {
            let name = path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
            self.note(&file, &name, path.span().start().line);
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let arguments = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(call.tokens.clone());
        for argument in arguments.into_iter().flatten() {
            // The argument lives in this call only, so it is read by a reader of its own.
            let mut reader = BodyReader {
                index: self.index,
                calls: &mut *self.calls,
                module: self.module,
                owner: self.owner.clone(),
                file: self.file.clone(),
                variables: self.variables.clone(),
            };
            reader.visit_expr(&argument);
        }
    }
}

fn member_name(member: &Member) -> String {
    match member {
        Member::Named(name) => name.to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}
