//! Files and functions stay short.

use crate::tree::{files, root};
use std::fs;
use std::path::Path;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

const MOST_LINES_OF_A_FILE: usize = 500;
const MOST_LINES_OF_A_FUNCTION: usize = 60;

/// Data tables, which may be longer.
const TABLES: [&str; 1] = ["src/cmdline/options.rs"];

#[test]
fn files_are_short() {
    let mut long = Vec::new();
    for path in ["src", "tests"]
        .into_iter()
        .flat_map(|dir| files(dir, "rs"))
    {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let lines = text.lines().count();
        let is_table = TABLES.iter().any(|table| path == Path::new(table));
        if lines > MOST_LINES_OF_A_FILE && !is_table {
            long.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert!(
        long.is_empty(),
        "over {MOST_LINES_OF_A_FILE} lines:\n{}",
        long.join("\n")
    );
}

/// The functions of a file with their lengths.
#[derive(Default)]
struct Functions(Vec<(String, usize, usize)>);

impl Functions {
    fn add(&mut self, name: &syn::Ident, block: &syn::Block) {
        let (start, end) = (name.span().start().line, block.span().end().line);
        self.0.push((name.to_string(), start, end + 1 - start));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig.ident, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig.ident, &item.block);
        visit::visit_impl_item_fn(self, item);
    }
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for path in files("src", "rs") {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let mut functions = Functions::default();
        functions.visit_file(&syn::parse_file(&text).unwrap());
        for (name, line, lines) in functions.0 {
            if lines > MOST_LINES_OF_A_FUNCTION {
                long.push(format!("{}:{line}: {name} has {lines}", path.display()));
            }
        }
    }
    let most = MOST_LINES_OF_A_FUNCTION;
    assert!(long.is_empty(), "over {most} lines:\n{}", long.join("\n"));
}
