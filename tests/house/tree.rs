//! The source files of the library as `syn` reads them, without unit tests, and which file each name comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// One file below `src/`.
pub struct Source {
    /// `store::policy` for `src/store/policy.rs`; empty for `src/lib.rs`.
    pub module: String,
    /// The types that it defines.
    pub types: Vec<String>,
    /// What its code names; unit tests aside.
    pub used: Used,
}

/// All files of the library, by module.
pub struct Tree {
    pub sources: BTreeMap<String, Source>,
    /// For each module, what its names stand for.
    names: BTreeMap<String, BTreeMap<String, Target>>,
    /// For each module, the modules whose names it uses, with these names.
    pub imports: Imports,
}

/// For each module, the modules whose names it uses, with these names.
pub type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What a name stands for.
#[derive(Clone)]
enum Target {
    /// It is defined in the module.
    Here,
    /// It is another name for this path, whose first segment is `crate`.
    Alias(Vec<String>),
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file with the suffix `extension` below `dir` of the repository, as paths relative to it.
pub fn files(dir: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root().join(dir)];
    while let Some(dir) = left.pop() {
        let Ok(listing) = fs::read_dir(&dir) else {
            continue;
        };
        for path in listing.map(|child| child.unwrap().path()) {
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// What a file's code names.
#[derive(Default)]
pub struct Used {
    /// Paths in code and in imports.
    pub paths: Vec<Vec<String>>,
    pub methods: Vec<String>,
    pub macros: Vec<String>,
}

/// What the code of a file names.
fn used(file: &syn::File) -> Used {
    let mut paths = Paths::default();
    paths.visit_file(file);
    let Paths {
        found,
        methods,
        macros,
    } = paths;
    Used {
        paths: found,
        methods,
        macros,
    }
}

impl Tree {
    /// `src/`, without the programs; read once.
    pub fn get() -> &'static Self {
        static TREE: OnceLock<Tree> = OnceLock::new();
        TREE.get_or_init(Self::read)
    }

    fn read() -> Self {
        let (mut sources, mut names) = (BTreeMap::new(), BTreeMap::new());
        for path in files("src", "rs") {
            let inner = path.strip_prefix("src").unwrap().with_extension("");
            let mut parts: Vec<_> = inner.iter().map(|part| part.to_str().unwrap()).collect();
            if parts.last() == Some(&"mod") {
                parts.pop();
            }
            if parts.contains(&"tests") || ["bin", "main", "lib"].contains(&parts[0]) {
                continue;
            }
            let text = fs::read_to_string(root().join(&path)).unwrap();
            let mut file = syn::parse_file(&text).expect("a source file");
            file.items.retain(|item| !is_test(item));
            let module = parts.join("::");
            names.insert(module.clone(), names_in(&module, &file));
            let source = Source {
                module: module.clone(),
                types: types(&file),
                used: used(&file),
            };
            sources.insert(module, source);
        }
        assert!(!sources.is_empty());
        let mut this = Self {
            sources,
            names,
            imports: Imports::new(),
        };
        this.imports = this.find_imports();
        this
    }

    fn find_imports(&self) -> Imports {
        let mut imports = BTreeMap::new();
        for source in self.sources.values() {
            let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for path in &source.used.paths {
                let Some(path) = self.absolute(&source.module, path) else {
                    continue;
                };
                if let Some((module, name)) = self.definer(&path, 0) {
                    found.entry(module).or_default().insert(name);
                }
            }
            found.remove(&source.module);
            imports.insert(source.module.clone(), found);
        }
        imports
    }

    /// `path` as seen in `module`, from `crate` on; `None` if it does not lead into the library.
    fn absolute(&self, module: &str, path: &[String]) -> Option<Vec<String>> {
        let mut at: Vec<String> = module.split("::").map(str::to_owned).collect();
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" => {}
            "super" => {
                at.pop();
                let mut rest = rest;
                while rest.first().is_some_and(|name| name == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
                return Some([&at[..], rest].concat());
            }
            name => match self.names.get(module)?.get(name)? {
                Target::Alias(target) => return Some([&target[..], rest].concat()),
                Target::Here => at.push(name.to_owned()),
            },
        }
        Some([&at[..], rest].concat())
    }

    /// The module of the file that defines what `path` leads to, and its name there.
    fn definer(&self, path: &[String], depth: usize) -> Option<(String, String)> {
        if depth > 8 {
            return None;
        }
        let mut module = String::new();
        for (at, name) in path.iter().enumerate() {
            let child = match module.as_str() {
                "" => name.clone(),
                module => format!("{module}::{name}"),
            };
            if self.sources.contains_key(&child) {
                module = child;
                continue;
            }
            return match self.names.get(&module)?.get(name) {
                Some(Target::Alias(target)) => {
                    let path = [&target[..], &path[at + 1..]].concat();
                    self.definer(&path, depth + 1)
                }
                _ => Some((module, name.clone())),
            };
        }
        // A module itself: what is used of it is found where it is used.
        None
    }
}

/// The types that a file defines.
fn types(file: &syn::File) -> Vec<String> {
    let name = |item: &Item| match item {
        Item::Enum(item) => Some(item.ident.to_string()),
        Item::Struct(item) => Some(item.ident.to_string()),
        Item::Trait(item) => Some(item.ident.to_string()),
        Item::Type(item) => Some(item.ident.to_string()),
        Item::Union(item) => Some(item.ident.to_string()),
        _ => None,
    };
    file.items.iter().filter_map(name).collect()
}

/// What the names of a module's file stand for.
fn names_in(module: &str, file: &syn::File) -> BTreeMap<String, Target> {
    let mut names = BTreeMap::new();
    for item in &file.items {
        match item {
            Item::Use(item) => flatten(&item.tree, &mut Vec::new(), &mut |name, path| {
                if let Some(path) = lead(module, path) {
                    names.insert(name, Target::Alias(path));
                }
            }),
            Item::Mod(item) if item.content.is_none() => {
                let name = item.ident.to_string();
                let mut path: Vec<String> = module.split("::").map(str::to_owned).collect();
                path.push(name.clone());
                names.insert(name, Target::Alias(path));
            }
            item => {
                if let Some(name) = name_of(item) {
                    names.insert(name, Target::Here);
                }
            }
        }
    }
    names
}

/// A path of a `use`, from `crate` on; those of other crates are none. A first segment without `crate` may be a
/// child of this module.
fn lead(module: &str, path: &[String]) -> Option<Vec<String>> {
    let mut at: Vec<String> = module.split("::").map(str::to_owned).collect();
    let (first, mut rest) = path.split_first()?;
    match first.as_str() {
        "crate" => return Some(rest.to_vec()),
        "self" => {}
        "super" => {
            at.pop();
            while rest.first().is_some_and(|name| name == "super") {
                at.pop();
                rest = &rest[1..];
            }
        }
        "std" | "core" | "rustix" | "libc" | "sha2" | "serde" | "serde_json" | "clap"
        | "anyhow" => return None,
        _ => rest = path,
    }
    Some([&at[..], rest].concat())
}

fn flatten(tree: &UseTree, path: &mut Vec<String>, each: &mut impl FnMut(String, &[String])) {
    match tree {
        UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            flatten(&tree.tree, path, each);
            path.pop();
        }
        UseTree::Name(tree) if tree.ident == "self" => {
            let name = path.last().cloned().unwrap_or_default();
            each(name, path);
        }
        UseTree::Name(tree) => {
            path.push(tree.ident.to_string());
            each(tree.ident.to_string(), path);
            path.pop();
        }
        UseTree::Rename(tree) => {
            path.push(tree.ident.to_string());
            each(tree.rename.to_string(), path);
            path.pop();
        }
        UseTree::Group(tree) => tree.items.iter().for_each(|tree| flatten(tree, path, each)),
        UseTree::Glob(_) => {}
    }
}

fn name_of(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        Item::Mod(item) => item.ident.to_string(),
        _ => return None,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(item: &Item) -> bool {
    attributes(item).iter().any(|attribute| {
        let meta = &attribute.meta;
        meta.path().is_ident("cfg")
            && meta
                .require_list()
                .is_ok_and(|list| list.tokens.to_string().contains("test"))
    })
}

/// Every path of a file that may lead to another one. Re-exports say where names are, and use nothing.
#[derive(Default)]
struct Paths {
    found: Vec<Vec<String>>,
    methods: Vec<String>,
    macros: Vec<String>,
}

impl Visit<'_> for Paths {
    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        if matches!(item.vis, syn::Visibility::Inherited) {
            flatten(&item.tree, &mut Vec::new(), &mut |_, path| {
                self.found.push(path.to_vec())
            });
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let segments = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        self.found.push(segments.collect());
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &syn::ExprMethodCall) {
        self.methods.push(call.method.to_string());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, found: &syn::Macro) {
        let name = found.path.segments.last();
        self.macros.extend(name.map(|name| name.ident.to_string()));
        visit::visit_macro(self, found);
    }

    fn visit_attribute(&mut self, _: &Attribute) {}
}
