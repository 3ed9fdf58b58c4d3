//! One cache, two places: another checkout, working directory, toolkit prefix, locale or home. What nvcc would give
//! anywhere is a hit, and equals what nvcc gives there; no output, message or depfile names another place.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::support::counters::Counters;
use crate::support::outcome::Outcome;
use crate::support::workspace::Workspace;
use crate::traps_environment::toolkit_of_links;

/// The checkouts, whose paths have other lengths.
pub(crate) const PLACES: [&str; 2] = ["one", "other/checkout"];

const UNIT: &str = "#include <value.h>\n#include <vector>\n\
    __global__ void external(int *p) { *p = VALUE; }\nstd::vector<int> host() { return {VALUE}; }\n";

/// Two equal checkouts.
pub(crate) fn checkouts() -> Workspace {
    let ws = Workspace::new();
    for place in PLACES {
        let file = |name: &str, text: &str| drop(ws.write(&format!("{place}/{name}"), text));
        fs::create_dir_all(ws.path(place).join(".git")).expect("a checkout");
        fs::create_dir_all(ws.path(place).join("build")).expect("a folder");
        file("src/unit.cu", UNIT);
        file("include/value.h", "#define VALUE 1\n");
        file("src/second.cu", &UNIT.replace("external", "second"));
        file(
            "src/asserting.cu",
            "#include <cassert>\n__global__ void external(int *p) { assert(*p > 0); }\n",
        );
        file(
            "src/named.cu",
            "extern \"C\" const char *file() { return __FILE__; }\n__global__ void external(int *p) { *p = 1; }\n",
        );
        file(
            "src/asking.cu",
            "extern \"C\" const char *file() { return __builtin_FILE(); }\n\
             __global__ void external(int *p) { *p = __builtin_FILE()[3]; }\n",
        );
        file(
            "src/warning.cu",
            "#warning about me\n__global__ void external(int *p) { *p = 1; }\n",
        );
        file(
            "src/internal.cu",
            "namespace { __global__ void k(int *p) { *p = 1; } }\nvoid run() { k<<<1, 1>>>(nullptr); }\n",
        );
    }
    ws
}

/// The arguments with `{base}` replaced by the place's path.
pub(crate) fn arguments(ws: &Workspace, place: &str, args: &[&str]) -> Vec<String> {
    let base = ws.path(place).canonicalize().expect("a place");
    let base = base.to_str().expect("a UTF-8 path");
    args.iter().map(|arg| arg.replace("{base}", base)).collect()
}

/// What a build is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    WithNvcc,
    /// Nothing: the object holds the module id, or debug information with the names of intermediate files
    /// (`debug.rs`).
    WithNothing,
}

/// Builds in the build folder of each place, and compares with nvcc there. Returns what the second place counted.
#[track_caller]
pub(crate) fn build_in_both(ws: &mut Workspace, args: &[&str], compared: Compared) -> Counters {
    let mut counted = Counters::default();
    for place in PLACES {
        ws.cd(&format!("{place}/build"));
        let words = arguments(ws, place, args);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let outcome = ws.build(&words);
        if compared == Compared::WithNvcc {
            outcome.same_as(&ws.kept(&words));
        }
        names_no_other_place(ws, place, &outcome);
        counted = outcome.counted;
    }
    ws.cd(".");
    counted
}

/// Checks that nothing that a build left or printed in `place` holds the path of another one.
#[track_caller]
pub(crate) fn names_no_other_place(ws: &Workspace, place: &str, outcome: &Outcome) {
    let others = PLACES.iter().filter(|other| **other != place);
    for other in others {
        let path = ws.path(other);
        let path = path.as_os_str().as_bytes();
        let holds = |bytes: &[u8]| bytes.windows(path.len()).any(|part| part == path);
        assert!(!holds(&outcome.stderr) && !holds(&outcome.stdout));
        let build = ws.path(place).join("build");
        for entry in fs::read_dir(build).expect("a folder").flatten() {
            let bytes = fs::read(entry.path()).expect("an output");
            assert!(!holds(&bytes), "{} names {other}", entry.path().display());
        }
    }
}

const CMAKE: [&str; 11] = [
    "-I{base}/include",
    "-MD",
    "-MT",
    "unit.o",
    "-MF",
    "unit.d",
    "-x",
    "cu",
    "-c",
    "{base}/src/unit.cu",
    "-o",
];

/// Make rules on standard output name the headers of the place where they are asked for.
#[test]
fn another_checkout_has_rules_of_its_own() {
    let mut ws = checkouts();
    let rules = ["-M", "{base}/src/unit.cu", "-I{base}/include"];
    let counted = build_in_both(&mut ws, &rules, Compared::WithNvcc);
    assert_eq!((counted.direct_hits, counted.misses), (1, 0));
}

#[test]
fn another_checkout_hits_directly() {
    let mut ws = checkouts();
    let relative = ["-c", "../src/unit.cu", "-I../include", "-o", "unit.o"];
    let absolute = [
        "-c",
        "{base}/src/unit.cu",
        "-I{base}/include",
        "-o",
        "{base}/build/unit.o",
    ];
    let named = [
        "-DHERE=\"{base}\"",
        "-c",
        "../src/unit.cu",
        "-I../include",
        "-o",
        "unit.o",
    ];
    let cmake = [&CMAKE[..], &["{base}/build/unit.o"]].concat();
    let mapped = [
        "-g",
        "-Xcompiler",
        "-ffile-prefix-map={base}=.",
        "-c",
        "{base}/src/unit.cu",
        "-I{base}/include",
        "-o",
        "unit.o",
    ];
    let relocatable = [
        "-dc",
        "{base}/src/unit.cu",
        "-I{base}/include",
        "-o",
        "unit.o",
    ];
    let ptx = [
        "-ptx",
        "{base}/src/unit.cu",
        "-I{base}/include",
        "-o",
        "unit.ptx",
    ];
    for (args, compared) in [
        (&relative[..], Compared::WithNvcc),
        (&absolute, Compared::WithNvcc),
        (&named, Compared::WithNvcc),
        (&cmake, Compared::WithNvcc),
        (&mapped, Compared::WithNothing),
        (&relocatable, Compared::WithNothing),
        (&ptx, Compared::WithNvcc),
    ] {
        let counted = build_in_both(&mut ws, args, compared);
        assert_eq!(counted.direct_hits, 1, "{args:?}: {counted:?}");
    }
}

#[test]
fn what_names_its_place_is_compiled_in_each() {
    let mut ws = checkouts();
    for args in [
        &["-c", "{base}/src/asserting.cu", "-o", "unit.o"][..],
        &["-c", "{base}/src/named.cu", "-o", "unit.o"],
        &["-c", "{base}/src/asking.cu", "-o", "unit.o"],
        &["-fatbin", "{base}/src/asking.cu", "-o", "unit.fatbin"],
        &["-c", "{base}/src/warning.cu", "-o", "unit.o"],
        &[
            "-lineinfo",
            "-c",
            "../src/unit.cu",
            "-I../include",
            "-o",
            "unit.o",
        ],
        &["-g", "-c", "../src/unit.cu", "-I../include", "-o", "unit.o"],
        &["-G", "-c", "../src/unit.cu", "-I../include", "-o", "unit.o"],
    ] {
        let has_debug_information = ["-g", "-G", "-lineinfo"].contains(&args[0]);
        let compared = if has_debug_information {
            Compared::WithNothing
        } else {
            Compared::WithNvcc
        };
        let counted = build_in_both(&mut ws, args, compared);
        assert_eq!(counted.misses, 1, "{args:?}: {counted:?}");
        // Each place has a result of its own then.
        let counted = build_in_both(&mut ws, args, compared);
        assert_eq!(counted.direct_hits, 1, "{args:?}: {counted:?}");
    }
}

#[test]
fn relative_names_hide_the_place_of_assertions() {
    let mut ws = checkouts();
    for args in [
        ["-c", "../src/asserting.cu", "-o", "unit.o"],
        ["-c", "../src/named.cu", "-o", "unit.o"],
        ["-c", "../src/asking.cu", "-o", "unit.o"],
        ["-c", "../src/warning.cu", "-o", "unit.o"],
        ["-c", "../src/internal.cu", "-o", "unit.o"],
    ] {
        let compared = if args[1].contains("internal") {
            Compared::WithNothing
        } else {
            Compared::WithNvcc
        };
        let counted = build_in_both(&mut ws, &args, compared);
        assert_eq!(counted.direct_hits, 1, "{args:?}: {counted:?}");
    }
}

#[test]
fn an_edit_in_one_checkout_is_none_in_the_other() {
    let mut ws = checkouts();
    let args = [
        "-c",
        "{base}/src/unit.cu",
        "-I{base}/include",
        "-o",
        "unit.o",
    ];
    build_in_both(&mut ws, &args, Compared::WithNvcc);
    ws.write(
        &format!("{}/include/value.h", PLACES[1]),
        "#define VALUE 2\n",
    );
    assert_eq!(build_in_both(&mut ws, &args, Compared::WithNvcc).misses, 1);
    ws.write(&format!("{}/src/value.h", PLACES[0]), "#define VALUE 3\n");
    assert_eq!(
        build_in_both(&mut ws, &args, Compared::WithNvcc).direct_hits,
        1
    );
}

#[test]
fn a_source_that_names_a_checkout_leads_there() {
    let mut ws = checkouts();
    let header = ws.path(PLACES[0]).join("include/value.h");
    let text = UNIT.replace("<value.h>", &format!("\"{}\"", header.display()));
    for place in PLACES {
        ws.write(&format!("{place}/src/unit.cu"), &text);
    }
    ws.write(
        &format!("{}/include/value.h", PLACES[1]),
        "#define VALUE 9\n",
    );
    build_in_both(
        &mut ws,
        &["-c", "../src/unit.cu", "-o", "unit.o"],
        Compared::WithNvcc,
    );
    fs::write(&header, "#define VALUE 4\n").expect("a header");
    build_in_both(
        &mut ws,
        &["-c", "../src/unit.cu", "-o", "unit.o"],
        Compared::WithNvcc,
    );
}

#[test]
fn another_directory_without_a_checkout_hits_directly() {
    let mut ws = Workspace::new();
    let mut last = None;
    for folder in ["first", "second/below"] {
        ws.write(&format!("{folder}/unit.cu"), UNIT);
        ws.write(&format!("{folder}/value.h"), "#define VALUE 1\n");
        ws.cd(folder);
        let args = ["-c", "unit.cu", "-I.", "-o", "unit.o"];
        let outcome = ws.build(&args);
        outcome.same_as(&ws.kept(&args));
        last = Some(outcome);
    }
    last.expect("two builds").hits_directly(1);
}

#[test]
fn a_worktree_hits_directly() {
    let mut ws = Workspace::new();
    ws.write("main/unit.cu", UNIT);
    ws.write("main/value.h", "#define VALUE 1\n");
    let git = |ws: &Workspace, args: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x@example.org"]);
        let output = git.current_dir(ws.path("main")).args(args).output();
        let output = output.expect("git");
        assert!(output.status.success(), "{output:?}");
    };
    git(&ws, &["init", "-q"]);
    git(&ws, &["add", "."]);
    git(&ws, &["commit", "-q", "-m", "one"]);
    git(&ws, &["worktree", "add", "-q", "../tree"]);
    for (place, direct_hits) in [("main", 0), ("tree", 1)] {
        ws.cd(place);
        let unit = ws.path(place).join("unit.cu");
        let include = format!("-I{}", ws.path(place).display());
        let args = [
            "-c",
            unit.to_str().expect("UTF-8"),
            &include,
            "-o",
            "unit.o",
        ];
        let outcome = ws.build(&args);
        outcome.same_as(&ws.kept(&args));
        assert_eq!(outcome.counted.direct_hits, direct_hits, "{place}");
    }
}

#[test]
fn another_toolkit_prefix_locale_and_home_hit_directly() {
    let mut ws = Workspace::with("unit.cu", UNIT);
    ws.write("value.h", "#define VALUE 1\n");
    let args = ["-c", "unit.cu", "-I.", "-o", "unit.o"];
    let first = ws.build(&args);
    for (name, value) in [
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("LC_ALL", "no_such_language"),
        ("HOME", "/tmp"),
        ("USER", "other"),
        ("CUDA_VISIBLE_DEVICES", "1"),
        ("SOURCE_DATE_EPOCH", "1700000000"),
        ("GCC_COLORS", ""),
        ("CPATH", ""),
    ] {
        ws.set_env(name, value);
        ws.build(&args).hits_directly(1).same_as(&first);
        ws.unset_env(name);
    }
    let toolkit = toolkit_of_links(&ws);
    ws.use_nvcc(toolkit.join("bin/nvcc"));
    ws.build(&args).hits_directly(1).same_as(&ws.kept(&args));
}

#[test]
fn messages_are_those_of_the_locale() {
    let text = "static int unused() { return 1; }\n__global__ void external(int *p) { *p = 1; }\n";
    let mut ws = Workspace::with("unit.cu", text);
    let args = ["-c", "unit.cu", "-o", "unit.o", "-Xcompiler", "-Wall"];
    for (locale, direct_hits) in [
        ("C", 0),
        ("C.UTF-8", 0),
        ("C", 1),
        ("POSIX", 1),
        ("C.UTF-8", 1),
    ] {
        ws.set_env("LC_ALL", locale);
        let outcome = ws.build(&args);
        outcome.same_as(&ws.kept(&args));
        assert_eq!(outcome.counted.direct_hits, direct_hits, "{locale}");
    }
}

#[test]
fn another_checkout_hits_after_preprocessing() {
    let mut ws = checkouts();
    ws.set_env("PCACHE_DIRECT", "0");
    for (args, compared) in [
        (
            &["-c", "../src/unit.cu", "-I../include", "-o", "unit.o"][..],
            Compared::WithNvcc,
        ),
        (
            &[
                "-c",
                "{base}/src/unit.cu",
                "-I{base}/include",
                "-o",
                "unit.o",
            ],
            Compared::WithNvcc,
        ),
        (
            &["-c", "{base}/src/internal.cu", "-o", "unit.o"],
            Compared::WithNothing,
        ),
    ] {
        let counted = build_in_both(&mut ws, args, compared);
        assert_eq!(counted.hits, 1, "{args:?}: {counted:?}");
    }
    // A macro that nothing uses.
    let bare = [
        "-DHERE={base}",
        "-c",
        "../src/unit.cu",
        "-I../include",
        "-o",
        "unit.o",
    ];
    let counted = build_in_both(&mut ws, &bare, Compared::WithNvcc);
    assert_eq!(counted.hits, 1, "{counted:?}");
    for args in [
        ["-c", "{base}/src/asserting.cu", "-o", "unit.o"],
        ["-c", "{base}/src/asking.cu", "-o", "unit.o"],
        ["-c", "{base}/src/warning.cu", "-o", "unit.o"],
    ] {
        let counted = build_in_both(&mut ws, &args, Compared::WithNvcc);
        assert_eq!(counted.misses, 1, "{args:?}: {counted:?}");
        let counted = build_in_both(&mut ws, &args, Compared::WithNvcc);
        assert_eq!(counted.hits, 1, "{args:?}: {counted:?}");
    }
}

#[test]
fn modules_have_the_same_id_in_every_checkout() {
    let mut ws = checkouts();
    let mut objects = Vec::new();
    for place in PLACES {
        ws.cd(&format!("{place}/build"));
        ws.new_cache();
        let args = ["-c", "{base}/src/internal.cu", "-o", "unit.o"];
        let words = arguments(&ws, place, &args);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        ws.run(ws.ours(&words)).misses(1);
        objects.push(fs::read(ws.path(place).join("build/unit.o")).expect("an object"));
    }
    assert_eq!(objects[0], objects[1]);
}
