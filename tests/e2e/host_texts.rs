//! The text that cudafe++ writes for the host compiler: the cache knows it by its digest, and makes it again where
//! something reads it.

use std::fs;

use crate::stages::from_nothing;
use crate::support::stages::staged;
use crate::support::tree::{Node, Tree};
use crate::support::workspace::Workspace;

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o", "-arch=sm_80"];
const UNIT: &str = "#include <vector>\n__global__ void external(int *p) {\n#ifdef __CUDA_ARCH__\n    *p = 1 + 1;\n\
    #endif\n}\nint host(std::vector<int> &v) { v.push_back(1); return v.size(); }\n";

/// How large the largest file in the cache is, of entries and records.
fn largest(ws: &Workspace) -> usize {
    let sizes = ["entries", "manifests", "intermediates"].map(|part| {
        let tree = Tree::read(&ws.root().join("cache").join(part));
        let nodes = tree.0.into_values();
        let sizes = nodes.map(|node| match node {
            Node::File { bytes, .. } => bytes.len(),
            _ => 0,
        });
        sizes.max().unwrap_or_default()
    });
    sizes.into_iter().max().unwrap_or_default()
}

#[test]
fn a_device_edit_needs_no_text() {
    let ws = Workspace::with("unit.cu", UNIT);
    ws.build(ARGS).misses(1);
    assert!(largest(&ws) < 100_000, "{}", largest(&ws));
    ws.edit("unit.cu", "1 + 1", "1 + 2");
    let built = staged(&ws, || ws.build(ARGS));
    let host = [("cudafe", 1), ("host_compile", 1)];
    let device = [("cicc", 1), ("ptxas", 1), ("fatbinary", 1)];
    built.expect(&host, &device).same_as(&ws.kept(ARGS));
}

#[test]
fn another_option_of_the_host_compiler_makes_the_text_again() {
    let mut ws = Workspace::with("unit.cu", UNIT);
    ws.build(ARGS).misses(1);
    let args = [ARGS, &["-Xcompiler", "-fno-plt"]].concat();
    let built = staged(&ws, || ws.build(&args));
    let device = [("cicc", 1), ("ptxas", 1), ("fatbinary", 1)];
    let host = [("cudafe", 1), ("host_compile", 1)];
    built.expect(&device, &host).same_as(&ws.kept(&args));
    built.outcome.same_as(&from_nothing(&mut ws, &args));
}

#[test]
fn a_host_compile_that_the_cache_has_lost_runs_with_a_new_text() {
    let ws = Workspace::with("unit.cu", UNIT);
    ws.build(ARGS).misses(1);
    // The records stay, and with them the note that the text is compiled.
    for tree in ["entries", "intermediates/entries"] {
        fs::remove_dir_all(ws.root().join("cache").join(tree)).expect("the entries");
    }
    ws.edit("unit.cu", "1 + 1", "1 + 2");
    ws.build(ARGS).misses(1).same_as(&ws.kept(ARGS));
    ws.build(ARGS).hits_directly(1);
}

#[test]
fn a_text_whose_assembly_reads_files_is_stored() {
    let ws = Workspace::with(
        "unit.cu",
        &format!("{UNIT}asm(\".section .rodata\\n.incbin \\\"data.bin\\\"\\n.text\");\n"),
    );
    ws.write("data.bin", "one");
    ws.build(ARGS).misses(1);
    ws.edit("unit.cu", "1 + 1", "1 + 2");
    ws.build(ARGS).misses(1).same_as(&ws.kept(ARGS));
    ws.build(ARGS).hits(1);
    ws.edit("data.bin", "one", "two");
    ws.build(ARGS).misses(1).same_as(&ws.kept(ARGS));
}
