//! What the loader's variables bring into the tools: `LD_PRELOAD`, `LD_AUDIT` and `LD_LIBRARY_PATH`. A library that
//! reaches a tool is a part of it; one that reaches none changes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::workspace::Workspace;

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o"];

fn unit() -> Workspace {
    Workspace::with("unit.cu", "__global__ void external(int *p) { *p = 1; }\n")
}

/// A library with `symbol` in it, as an auditor too.
fn library(ws: &Workspace, place: &Path, symbol: &str) {
    let text = format!(
        "unsigned la_version(unsigned v) {{ return v; }}\nint {symbol}(void) {{ return 1; }}\n"
    );
    let source = ws.write("library.c", text);
    fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
    let built = ws.path("library.so");
    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-fPIC", "-o"])
        .arg(&built)
        .arg(&source);
    assert!(gcc.status().expect("run gcc").success(), "gcc -shared");
    // As a package manager replaces it: a new file.
    fs::rename(&built, place).expect("put the library in its place");
    fs::remove_file(source).expect("remove the source");
}

/// A library that the assembler loads, in a folder of its own.
fn assemblers_library() -> PathBuf {
    let listed = Command::new("ldd")
        .arg("/usr/bin/as")
        .output()
        .expect("run ldd");
    let listed = String::from_utf8(listed.stdout).expect("text");
    let line = listed.lines().find(|line| line.contains("libz.so"));
    let path = line.and_then(|line| line.split_whitespace().nth(2));
    PathBuf::from(path.expect("an assembler that loads libz"))
}

#[test]
fn library_that_is_loaded_into_every_tool_counts_by_its_content() {
    for variable in ["LD_PRELOAD", "LD_AUDIT"] {
        let mut ws = unit();
        ws.build(ARGS).misses(1);
        let place = ws.side("libraries").join("libmark.so");
        library(&ws, &place, "one");
        ws.set_env(variable, &place);
        eprintln!("{variable}");
        ws.build(ARGS).misses(1);
        ws.build(ARGS).hits(1);
        library(&ws, &place, "two");
        ws.build(ARGS).misses(1);
        library(&ws, &place, "one");
        ws.build(ARGS).hits(1);
        ws.unset_env(variable);
        ws.build(ARGS).hits_directly(1);
    }
}

#[test]
fn search_path_for_libraries_counts_where_a_tool_finds_one_there() {
    let mut ws = unit();
    let first = ws.build(ARGS);
    first.misses(1);
    let directory = ws.side("libraries");
    ws.set_env("LD_LIBRARY_PATH", &directory);
    ws.build(ARGS).hits(1).same_as(&first);
    fs::write(directory.join("libother.so.1"), "of no concern").expect("a file");
    ws.build(ARGS).hits(1).same_as(&first);
    let theirs = assemblers_library();
    let place = directory.join(theirs.file_name().expect("a name"));
    fs::copy(&theirs, &place).expect("copy the library");
    ws.build(ARGS).misses(1).same_as(&first);
    ws.build(ARGS).hits(1);
    // The loader does not mind what stands behind the library's own bytes.
    let mut bytes = fs::read(&theirs).expect("the library");
    bytes.extend(b"another build");
    fs::write(&place, bytes).expect("another library");
    ws.build(ARGS).misses(1).same_as(&first);
    fs::remove_file(&place).expect("remove the library");
    ws.build(ARGS).hits(1).same_as(&first);
    let variant = directory.join("glibc-hwcaps/x86-64-v2");
    fs::create_dir_all(&variant).expect("a folder");
    fs::copy(&theirs, variant.join(theirs.file_name().expect("a name"))).expect("copy the library");
    ws.build(ARGS).same_as(&first);
}

/// The loader passes over libraries of another class, without a word.
#[test]
fn library_that_the_loader_passes_over_counts_once_it_is_taken() {
    let mut ws = unit();
    let theirs = assemblers_library();
    let name = theirs.file_name().expect("a name");
    let of_32_bits = |bytes: &[u8]| [&b"\x7fELF\x01"[..], &bytes[5..]].concat();
    let bytes = fs::read(&theirs).expect("the library");
    for (number, variable) in ["LD_LIBRARY_PATH", "LD_PRELOAD"].into_iter().enumerate() {
        // Another content for each, so that neither is found again.
        let bytes = [&bytes[..], &vec![b'x'; number]].concat();
        let directory = ws.side(variable);
        let place = directory.join(name);
        fs::write(&place, of_32_bits(&bytes)).expect("a library that is passed over");
        let value = match variable {
            "LD_PRELOAD" => &place,
            _ => &directory,
        };
        ws.set_env(variable, value);
        ws.build(ARGS).misses(1);
        ws.build(ARGS).hits(1);
        fs::write(&place, &bytes).expect("the library");
        ws.build(ARGS).misses(1);
        ws.set_env(variable, "");
    }
}

#[test]
fn search_path_that_is_relative_is_looked_at_from_each_directory() {
    let mut ws = unit();
    ws.set_env("LD_LIBRARY_PATH", "libraries:");
    ws.build(ARGS).misses(1);
    ws.build(ARGS).hits(1);
    let theirs = assemblers_library();
    fs::create_dir(ws.path("libraries")).expect("a folder");
    fs::copy(
        &theirs,
        ws.path("libraries")
            .join(theirs.file_name().expect("a name")),
    )
    .expect("copy the library");
    ws.build(ARGS).misses(1);
}

#[test]
fn preload_that_appears_later_is_a_miss_in_each_directory() {
    let mut ws = unit();
    let place = ws.side("libraries").join("libmark.so");
    ws.set_env("LD_PRELOAD", &place);
    ws.build(ARGS).misses(1);
    library(&ws, &place, "one");
    ws.build(ARGS).misses(1);
    ws.set_env("LD_PRELOAD", "./libmark.so");
    library(&ws, &ws.path("libmark.so"), "two");
    ws.build(ARGS).misses(1);
    ws.write(
        "sub/unit.cu",
        "__global__ void external(int *p) { *p = 1; }\n",
    );
    ws.cd("sub");
    library(&ws, &ws.path("sub/libmark.so"), "three");
    ws.build(ARGS).misses(1);
    library(&ws, &ws.path("sub/libmark.so"), "four");
    ws.build(ARGS).misses(1);
}
