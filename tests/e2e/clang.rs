//! Direct mode with clang as the host compiler: what it answers, what it must not answer, and that its answers are nvcc's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::host_compilers::settle;
use crate::host_parts::copied_clang;
use crate::places::{Compared, build_in_both, checkouts};
use crate::support::outcome::Outcome;
use crate::support::workspace::Workspace;

const ARGS: &[&str] = &[
    "-ccbin", "clang++", "-c", "unit.cu", "-o", "unit.o", "-Ifirst", "-Isecond", "-include",
    "forced.h",
];

/// A unit whose header lies in the second of two folders, built once.
fn built() -> (Workspace, Outcome) {
    let ws = Workspace::with(
        "unit.cu",
        "#include <value.h>\n#if __has_include(\"more.h\")\n#define MORE 1\n#else\n#define MORE 0\n#endif\n\
         __global__ void external(int *p) { *p = VALUE + FORCED; }\nint host() { return VALUE + MORE; }\n",
    );
    ws.write("first/.keep", "");
    ws.write("second/value.h", "#pragma once\n#define VALUE 1\n");
    ws.write("forced.h", "#define FORCED 1\n");
    let first = ws.build(ARGS);
    first.misses(1).same_as(&ws.kept(ARGS));
    (ws, first)
}

#[test]
fn second_build_with_clang_is_a_direct_hit() {
    let (ws, first) = built();
    ws.build(ARGS).hits_directly(1).same_as(&first);
    // Nothing is compiled for the host.
    let ptx = [ARGS, &["-ptx"]].concat();
    let ptx: Vec<_> = ptx.into_iter().filter(|arg| *arg != "-c").collect();
    let first = ws.build(&ptx);
    first.misses(1).same_as(&ws.kept(&ptx));
    ws.build(&ptx).hits_directly(1).same_as(&first);
}

#[test]
fn host_source_compiled_by_clang_is_a_direct_hit() {
    let ws = Workspace::with(
        "host.cpp",
        "#include \"own.h\"\nint host() { return OWN; }\n",
    );
    ws.write("own.h", "#define OWN 1\n");
    let args = ["-ccbin", "clang++", "-c", "host.cpp", "-o", "host.o"];
    let first = ws.build(&args);
    first.misses(1).same_as(&ws.kept(&args));
    ws.build(&args).hits_directly(1).same_as(&first);
    ws.write("own.h", "#define OWN 2\n");
    ws.build(&args)
        .does_not_hit_directly()
        .same_as(&ws.kept(&args))
        .differs_from(&first);
}

#[test]
fn edits_show_with_clang_until_they_are_undone() {
    let (ws, first) = built();
    for (name, text, before) in [
        (
            "second/value.h",
            "#define VALUE 2\n",
            Some("#pragma once\n#define VALUE 1\n"),
        ),
        ("forced.h", "#define FORCED 2\n", Some("#define FORCED 1\n")),
        ("first/value.h", "#define VALUE 3\n", None),
        ("first/forced.h", "#define FORCED 3\n", None),
        ("more.h", "", None),
        ("second/more.h", "", None),
    ] {
        ws.write(name, text);
        let changed = ws.build(ARGS);
        changed.same_as(&ws.kept(ARGS));
        if name != "first/forced.h" {
            changed.does_not_hit_directly().differs_from(&first);
        }
        match before {
            Some(text) => drop(ws.write(name, text)),
            None => ws.remove(name),
        }
        ws.build(ARGS).hits_directly(1).same_as(&first);
    }
}

/// Clang takes `forced.h.pch` or `forced.h.gch` for `forced.h`, be they as bad as here.
#[test]
fn precompiled_header_beside_a_forced_one_is_no_direct_hit() {
    let (ws, first) = built();
    for name in ["forced.h.pch", "forced.h.gch"] {
        ws.write(name, "");
        ws.build(ARGS)
            .does_not_hit_directly()
            .same_as(&ws.kept(ARGS))
            .differs_from(&first);
        ws.remove(name);
        ws.build(ARGS).hits_directly(1).same_as(&first);
    }
}

#[test]
fn computed_name_of_a_header_is_followed_with_clang() {
    let (ws, _) = built();
    ws.edit(
        "unit.cu",
        "#include <value.h>",
        "#define NAME <value.h>\n#include NAME",
    );
    let first = ws.build(ARGS);
    first.misses(1).same_as(&ws.kept(ARGS));
    ws.build(ARGS).hits_directly(1).same_as(&first);
    ws.write("first/value.h", "#define VALUE 7\n");
    ws.build(ARGS)
        .does_not_hit_directly()
        .same_as(&ws.kept(ARGS))
        .differs_from(&first);
}

/// Clang knows a file by its inode, and prints one of its names.
#[test]
fn link_that_becomes_a_copy_is_no_direct_hit_with_clang() {
    let ws = Workspace::with(
        "unit.cu",
        "#include \"one.h\"\n#include \"two.h\"\n__global__ void external(int *p) { *p = COUNT; }\n",
    );
    ws.write("one.h", "#pragma once\n#ifdef COUNT\n#undef COUNT\n#define COUNT 2\n#else\n#define COUNT 1\n#endif\n");
    fs::hard_link(ws.path("one.h"), ws.path("two.h")).expect("a link");
    let args = ["-ccbin", "clang++", "-c", "unit.cu", "-o", "unit.o"];
    let first = ws.build(&args);
    first.misses(1).same_as(&ws.kept(&args));
    ws.build(&args).hits_directly(1).same_as(&first);
    let text = ws.read("one.h");
    ws.remove("two.h");
    ws.write("two.h", text);
    // What nvcc gives is remembered by the contents of all files.
    ws.write("copied", "");
    ws.build(&args)
        .does_not_hit_directly()
        .same_as(&ws.kept(&args))
        .differs_from(&first);
}

#[test]
fn time_is_no_direct_hit_with_clang_whatever_the_epoch() {
    let mut ws = Workspace::with(
        "unit.cu",
        "__device__ const char *date = __DATE__;\n__global__ void external(const char **p) { *p = date; }\n",
    );
    let output = Command::new("date").arg("+%s").output().expect("the time");
    let seconds = String::from_utf8(output.stdout).expect("a number");
    ws.set_env("SOURCE_DATE_EPOCH", seconds.trim());
    let args = ["-ccbin", "clang++", "-c", "unit.cu", "-o", "unit.o"];
    for _ in 0..2 {
        ws.build(&args).does_not_hit_directly();
    }
}

const OWN_VALUE: &str =
    "#ifndef VALUE\n#define VALUE 1\n#endif\n__global__ void external(int *p) { *p = VALUE; }\n";

#[test]
fn configuration_file_of_clang_is_no_direct_hit() {
    let ws = Workspace::with("unit.cu", OWN_VALUE);
    let driver = copied_clang(&ws);
    settle(&driver);
    let ccbin = format!("-ccbin={}", driver.display());
    let args = ["-c", "unit.cu", "-o", "unit.o", &ccbin];
    let first = ws.build(&args);
    first.misses(1).same_as(&ws.kept(&args));
    ws.build(&args).hits_directly(1).same_as(&first);
    let settings = driver.with_extension("cfg");
    fs::write(&settings, "-DVALUE=2\n").expect("a configuration file");
    ws.build(&args)
        .does_not_hit_directly()
        .same_as(&ws.kept(&args))
        .differs_from(&first);
    fs::remove_file(settings).expect("no configuration file");
    ws.build(&args).hits_directly(1).same_as(&first);
}

/// Puts links to everything in `from` into the folder `to`.
fn link_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        symlink(entry.path(), to.join(entry.file_name())).expect("a link");
    }
}

/// Clang takes the headers of the latest GCC that it finds.
#[test]
fn gcc_that_is_installed_later_is_no_direct_hit_with_clang() {
    let ws = Workspace::with("unit.cu", &format!("#include <found.h>\n{OWN_VALUE}"));
    let ask = |what: &str| {
        let output = Command::new("g++").arg(what).output().expect("run g++");
        String::from_utf8(output.stdout)
            .expect("a word")
            .trim()
            .to_owned()
    };
    let (version, target) = (ask("-dumpversion"), ask("-dumpmachine"));
    let root = ws.side("gcc");
    let install = |number: &str, value: &str| {
        for place in [
            "include/c++/{}".to_owned(),
            format!("include/{target}/c++/{{}}"),
            format!("lib/gcc/{target}/{{}}"),
        ] {
            let [from, to] = [&version, number].map(|number| place.replace("{}", number));
            link_all(&Path::new("/usr").join(from), &root.join(to));
        }
        let header = root.join("include/c++").join(number).join("found.h");
        fs::write(header, value).expect("a header");
    };
    install(&version, "#define VALUE 2\n");
    let toolchain = format!("-Xcompiler=--gcc-toolchain={}", root.display());
    let args = [
        "-ccbin=clang++",
        "-c",
        "unit.cu",
        "-o",
        "unit.o",
        &toolchain,
    ];
    let first = ws.build(&args);
    first.misses(1).same_as(&ws.kept(&args));
    ws.build(&args).hits_directly(1).same_as(&first);
    install("99", "#define VALUE 3\n");
    ws.build(&args)
        .does_not_hit_directly()
        .same_as(&ws.kept(&args))
        .differs_from(&first);
}

/// Clang packs the letters of strings in its bitcode, where no search finds a path.
#[test]
fn bitcode_that_names_its_place_is_compiled_in_each() {
    let mut ws = checkouts();
    let args = [
        "-ccbin",
        "clang++",
        "-Xcompiler=-flto",
        "-c",
        "{base}/src/named.cu",
        "-o",
        "unit.o",
    ];
    for hits in [0, 1] {
        let counted = build_in_both(&mut ws, &args, Compared::WithNothing);
        assert_eq!(counted.direct_hits, hits, "{counted:?}");
    }
}
