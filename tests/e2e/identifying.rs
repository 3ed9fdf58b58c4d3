//! When the toolchain is identified anew: not under another PATH that leads to the same programs, as isolated builds of
//! Python packages have, each with a new folder in front; but as soon as a program in such a folder is found first.
//! And what a compile is served that has identified it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::toolkit::Toolkit;
use crate::support::workspace::{Workspace, make_executable};

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o"];

/// What a log says of a compile that has identified its toolchain.
const IDENTIFIED: &str = "toolchain: identified";

/// A unit that shows VALUE, and a log of what is decided.
fn unit() -> Workspace {
    let mut ws = Workspace::with(
        "unit.cu",
        "#ifndef VALUE\n#define VALUE 1\n#endif\n\
         __global__ void external(int *p) { *p = VALUE; }\nint host() { return VALUE; }\n",
    );
    let log = log(&ws);
    ws.set_env("PCACHE_LOG", log);
    ws
}

fn log(ws: &Workspace) -> PathBuf {
    ws.root().join("log")
}

/// Removes the log, and says whether one of its compiles has identified its toolchain.
#[track_caller]
fn has_identified(ws: &Workspace) -> bool {
    take_log(ws).contains(IDENTIFIED)
}

#[track_caller]
fn take_log(ws: &Workspace) -> String {
    let text = fs::read_to_string(log(ws)).expect("a log");
    fs::remove_file(log(ws)).expect("removed");
    text
}

/// Puts `folders` in front of a PATH that leads to the toolkit.
fn in_front(ws: &mut Workspace, folders: &[&Path]) {
    let bin = Toolkit::get().bin();
    ws.set_path(&[folders, &[&bin]].concat());
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("a script");
    make_executable(path);
}

#[test]
fn new_empty_folder_in_front_costs_a_look() {
    let mut ws = unit();
    let first = ws.build(ARGS);
    first.misses(1);
    take_log(&ws);
    for name in ["one", "two", "three"] {
        let folder = ws.side(name);
        in_front(&mut ws, &[&folder]);
        ws.build(ARGS).hits_directly(1).same_as(&first);
        assert!(!has_identified(&ws), "{name}");
    }
    // A folder that is not there, and one that is named twice.
    let (absent, one) = (ws.root().join("absent"), ws.side("one"));
    in_front(&mut ws, &[&absent, &one, &one]);
    ws.build(ARGS).hits_directly(1).same_as(&first);
    assert!(!has_identified(&ws));
    let memos = ws.root().join("cache/manifests/toolchains");
    assert_eq!(fs::read_dir(memos).expect("memos").count(), 1);
}

#[test]
fn plan_of_an_edited_source_is_remembered_under_a_new_path() {
    let mut ws = unit();
    ws.build(ARGS).misses(1);
    take_log(&ws);
    let folder = ws.side("folder");
    in_front(&mut ws, &[&folder]);
    ws.edit("unit.cu", "return VALUE", "return 2 * VALUE");
    ws.build(ARGS).misses(1).same_as(&ws.kept(ARGS));
    let log = take_log(&ws);
    assert!(log.contains("plan: remembered"), "{log}");
}

#[test]
fn program_in_a_folder_in_front_is_the_one_that_runs() {
    for (name, text) in [
        ("gcc", "exec /usr/bin/gcc -DVALUE=2 \"$@\""),
        ("as", "exec /usr/bin/as --defsym=added=1 \"$@\""),
    ] {
        let mut ws = unit();
        let first = ws.build(ARGS);
        first.misses(1);
        let folder = ws.side("folder");
        in_front(&mut ws, &[&folder]);
        ws.build(ARGS).hits_directly(1).same_as(&first);
        take_log(&ws);
        script(&folder.join(name), text);
        let changed = ws.build(ARGS);
        changed
            .succeeds()
            .same_as(&ws.kept(ARGS))
            .differs_from(&first);
        assert!(has_identified(&ws), "{name} appeared");
        ws.build(ARGS).same_as(&changed);
        // Under the former PATH the former programs are found, which are remembered still.
        in_front(&mut ws, &[]);
        take_log(&ws);
        ws.build(ARGS).hits_directly(1).same_as(&first);
        assert!(!has_identified(&ws), "{name} is elsewhere");
        in_front(&mut ws, &[&folder]);
        fs::remove_file(folder.join(name)).expect("removed");
        ws.build(ARGS).hits_directly(1).same_as(&first);
    }
}

#[test]
fn nvcc_in_a_folder_in_front_is_the_one_that_runs() {
    let mut ws = unit();
    let first = ws.build(ARGS);
    first.misses(1);
    let folder = ws.side("folder");
    in_front(&mut ws, &[&folder]);
    ws.build(ARGS).hits_directly(1).same_as(&first);
    let nvcc = ws.real_nvcc().display().to_string();
    script(
        &folder.join("nvcc"),
        &format!("exec {nvcc} -DVALUE=2 \"$@\""),
    );
    ws.build(ARGS).succeeds().differs_from(&first);
}

#[test]
fn tools_in_front_that_nvcc_would_not_find_change_nothing() {
    let mut ws = unit();
    let first = ws.build(ARGS);
    first.misses(1);
    let folder = ws.side("folder");
    // nvcc puts its own directories before PATH.
    for tool in ["cicc", "ptxas", "cudafe++", "fatbinary", "nvlink"] {
        script(&folder.join(tool), "exit 1");
    }
    in_front(&mut ws, &[&folder]);
    take_log(&ws);
    ws.build(ARGS).hits_directly(1).same_as(&first);
    assert!(!has_identified(&ws));
}

#[test]
fn program_in_front_of_the_host_compiler_may_look_along_path_for_anything() {
    let mut ws = unit();
    let [wrapper, one, two] = ["wrapper", "one", "two"].map(|name| ws.side(name));
    script(&wrapper.join("gcc"), "exec inner \"$@\"");
    script(&one.join("inner"), "exec /usr/bin/gcc -DVALUE=3 \"$@\"");
    script(&two.join("inner"), "exec /usr/bin/gcc -DVALUE=4 \"$@\"");
    in_front(&mut ws, &[&wrapper, &one]);
    let first = ws.build(ARGS);
    first.succeeds().same_as(&ws.kept(ARGS));
    in_front(&mut ws, &[&two, &wrapper, &one]);
    let second = ws.build(ARGS);
    second
        .succeeds()
        .same_as(&ws.kept(ARGS))
        .differs_from(&first);
    in_front(&mut ws, &[&wrapper, &one]);
    ws.build(ARGS).same_as(&first);
}

#[test]
fn compile_that_has_to_identify_its_toolchain_is_a_direct_hit() {
    let ws = unit();
    ws.write(
        "assert.cu",
        "#include <cassert>\n__global__ void k(int *p) { assert(*p); }\n",
    );
    ws.write(
        "unnamed.cu",
        "namespace { __global__ void k(int *p) { *p = 1; } }\nvoid run(int *p) { k<<<1, 1>>>(p); }\n",
    );
    let units =
        ["unit", "assert", "unnamed"].map(|name| [format!("{name}.cu"), format!("{name}.o")]);
    let build = |[source, object]: &[String; 2]| ws.build(&["-c", source, "-o", object]);
    let first = units.each_ref().map(build);
    take_log(&ws);
    for (unit, first) in units.iter().zip(&first) {
        // What a new container does not have.
        let cache = ws.root().join("cache");
        fs::remove_file(cache.join("digests")).expect("removed");
        fs::remove_dir_all(cache.join("manifests/toolchains")).expect("removed");
        build(unit).hits_directly(1).same_as(first);
        assert!(has_identified(&ws), "{unit:?}");
    }
}

#[test]
fn one_of_the_compiles_that_a_build_starts_identifies_the_toolchain() {
    let mut ws = unit();
    let cold = ws.root().join("cold");
    ws.set_env("PCACHE_DIR", cold);
    let side_by_side: Vec<_> = (0..6)
        .map(|number| {
            let output = format!("unit{number}.o");
            let mut command = ws.ours(&["-c", "unit.cu", "-o", &output]);
            command.spawn().expect("pcache-nvcc runs")
        })
        .collect();
    for mut compile in side_by_side {
        assert!(compile.wait().expect("an end").success());
    }
    let log = take_log(&ws);
    assert_eq!(log.matches(IDENTIFIED).count(), 1, "{log}");
}
