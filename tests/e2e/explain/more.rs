//! More single changes that `pcache explain` names: of depfiles, kept files, forced includes, headers
//! that shadow others, and what is beside the tools.

use std::fs;
use std::os::unix::fs::symlink;

use insta::assert_snapshot;

use super::{
    ARGS, TWO, change, change_to, explained, two_folders, unit, without_digests, without_former,
};
use crate::places::{PLACES, checkouts};
use crate::support::toolkit::Toolkit;
use crate::support::workspace::Workspace;
use crate::traps_environment::toolkit_of_links;

#[test]
fn options_of_depfiles_and_kept_files_are_named() {
    let phony = [ARGS, &["-MD", "-MT", "a", "-MP"]].concat();
    assert_snapshot!(without_former(&change_to(&mut unit(), &phony[..phony.len() - 1], &phony, |_| {})), @"
    preprocessed hit: unit.cu → unit.o
        output: --generate-dependency-targets: none → set
    ");
    let kept = [ARGS, &["--keep"]].concat();
    assert_snapshot!(change_to(&mut unit(), ARGS, &kept, |_| {}), @"
    miss: unit.cu → unit.o
        output: --keep: none → set
    ");
}

#[test]
fn a_result_of_another_checkout_that_names_it_is_compared() {
    let mut ws = checkouts();
    let args = [
        "-c",
        "../src/unit.cu",
        "-I../include",
        "-o",
        "unit.o",
        "-lineinfo",
    ];
    for place in PLACES {
        ws.cd(&format!("{place}/build"));
        ws.build(&args).misses(1);
    }
    assert_snapshot!(explained(&ws), @"
    miss: ../src/unit.cu → unit.o
        directory: $ROOT/work/one/build → $ROOT/work/other/checkout/build
    ");
}

#[test]
fn another_kind_of_output_is_named() {
    let after = ["-dc", "unit.cu", "-o", "unit.o"];
    assert_snapshot!(change_to(&mut unit(), ARGS, &after, |_| {}), @"
    miss: unit.cu → unit.o
        flag --relocatable-device-code: none → true
    ");
}

#[test]
fn forced_and_computed_includes_are_named() {
    let mut ws = unit();
    ws.edit("unit.cu", "\"value.h\"", "<cstddef>");
    let args = [ARGS, &["-include", "value.h"]].concat();
    assert_snapshot!(change(&mut ws, &args, |ws| ws.edit("value.h", "1", "2")), @"
    miss: unit.cu → unit.o
        header ./value.h: ac32a92f4af3 → 69973c572daa (included by unit.cu)
    ");
    let mut ws = unit();
    ws.edit("unit.cu", "\"value.h\"", "HEADER");
    let args = [ARGS, &["-DHEADER=\"value.h\""]].concat();
    assert_snapshot!(change(&mut ws, &args, |ws| ws.edit("value.h", "1", "2")), @"
    miss: unit.cu → unit.o
        header value.h: ac32a92f4af3 → 69973c572daa (included by unit.cu)
    ");
}

#[test]
fn the_next_header_in_between_is_named() {
    let mut ws = two_folders();
    ws.write("first/value.h", "#include_next <value.h>\n");
    ws.write("third/value.h", "#define VALUE 1\n");
    ws.remove("second/value.h");
    let args = [TWO, &["-Ithird"]].concat();
    let put = |ws: &mut Workspace| drop(ws.write("second/value.h", "#define VALUE 2\n"));
    assert_snapshot!(change(&mut ws, &args, put), @"
    miss: unit.cu → unit.o
        appeared: second/value.h (in the place of third/value.h; included by first/value.h, by unit.cu)
    ");
}

#[test]
fn a_header_of_the_last_host_compile_that_is_shadowed_is_named() {
    let mut ws = two_folders();
    let shadow = "#include_next <crt/host_runtime.h>\n";
    let put = |ws: &mut Workspace| drop(ws.write("first/crt/host_runtime.h", shadow));
    assert_snapshot!(change(&mut ws, TWO, put), @"
    miss: unit.cu → unit.o
        appeared: first/crt/host_runtime.h
    ");
}

#[test]
fn a_retargeted_link_to_a_header_is_its_change() {
    let mut ws = two_folders();
    ws.write("v1.h", "#define VALUE 1\n");
    ws.write("v2.h", "#define VALUE 2\n");
    let lead = |ws: &mut Workspace, to: &str| {
        ws.remove("second/value.h");
        symlink(ws.path(to), ws.path("second/value.h")).expect("a link");
    };
    lead(&mut ws, "v1.h");
    assert_snapshot!(change(&mut ws, TWO, |ws| lead(ws, "v2.h")), @"
    miss: unit.cu → unit.o
        header second/value.h: ac32a92f4af3 → 69973c572daa (included by unit.cu)
    ");
}

#[test]
fn the_same_text_elsewhere_is_another_source() {
    let mut ws = Workspace::with("one/unit.cu", "__global__ void k() {}\n");
    ws.write("two/unit.cu", "__global__ void k() {}\n");
    let args = |path: &'static str| ["-rdc=true", "-c", path, "-o", "unit.o"];
    let told = change_to(&mut ws, &args("one/unit.cu"), &args("two/unit.cu"), |_| {});
    assert_snapshot!(told, @"
    miss: two/unit.cu → unit.o
      it is the first compile of this source that the journal knows
    ");
    let told = change_to(&mut ws, &args("two/unit.cu"), &args("one/unit.cu"), |ws| {
        ws.edit("one/unit.cu", "k()", "l()");
    });
    assert_snapshot!(told, @"
    miss: one/unit.cu → unit.o
        source one/unit.cu: 5e13ab1f0361 → 306fe040f51d
    ");
}

#[test]
fn a_comment_that_a_message_quotes_is_told() {
    let mut ws = unit();
    let text = "#ifndef __CUDA_ARCH__\n#warning /* before */ look here\n#endif\n";
    ws.edit("unit.cu", "#include", &format!("{text}#include"));
    let edit = |ws: &mut Workspace| ws.edit("unit.cu", "before", "after");
    assert_snapshot!(change(&mut ws, ARGS, edit), @"
    miss: unit.cu → unit.o
        source unit.cu: 04e78258d03d → 16a93c176ae6
    ");
}

#[test]
fn the_host_compiler_of_the_environment_is_named() {
    let mut ws = unit();
    let script = ws.script("my-g++", "#!/bin/sh\nexec g++ -DX=5 \"$@\"\n");
    // 12.4 does not read the variable.
    ws.set_env("NVCC_CCBIN", "/no/such/folder/g++");
    let asked = ws.plain(&["--dryrun", "-c", "unit.cu"]);
    let is_read = asked.status != 0 || asked.err().contains("/no/such/folder");
    ws.unset_env("NVCC_CCBIN");
    let set = |ws: &mut Workspace| ws.set_env("NVCC_CCBIN", &script);
    ws.build(ARGS).misses(1);
    set(&mut ws);
    let changed = ws.build(ARGS);
    let told = without_digests(&explained(&ws));
    if is_read {
        changed.misses(1);
        assert_snapshot!(told, @"
        miss: unit.cu → unit.o
            environment variable NVCC_CCBIN: none → $ROOT/work/my-g++
        ");
    } else {
        changed.hits(1);
        let (told, result) = told.rsplit_once('\n').expect("three lines");
        assert_eq!(
            told,
            "preprocessed hit: unit.cu → unit.o\n    environment variable NVCC_CCBIN: none → $ROOT/work/my-g++"
        );
        assert!(
            result.contains("the result is that of the compile of"),
            "{result}"
        );
    }
}

#[test]
fn targets_beside_nvcc_are_named() {
    let mut ws = unit();
    let farm = toolkit_of_links(&ws);
    ws.use_nvcc(farm.join("bin/nvcc"));
    ws.set_path(&[&farm.join("bin")]);
    let _ = fs::remove_file(farm.join("targets"));
    let put = |_: &mut Workspace| {
        fs::create_dir_all(farm.join("targets/x86_64-linux")).expect("a folder");
        let include = Toolkit::get().root().join("include");
        symlink(include, farm.join("targets/x86_64-linux/include")).expect("a link");
    };
    assert_snapshot!(change(&mut ws, ARGS, put), @"
    miss: unit.cu → unit.o
        toolkit: targets (targets/ beside nvcc, which names its folders of headers, has changed)
    ");
}

/// Nearest is the state before the change, not the last compile.
#[test]
fn the_nearest_former_compile_is_compared() {
    let mut ws = unit();
    let other = [ARGS, &["-DX=1", "-O1", "-lineinfo"]].concat();
    ws.build(ARGS).misses(1);
    let edit = |ws: &mut Workspace| ws.edit("value.h", "1", "2");
    assert_snapshot!(change_to(&mut ws, &other, ARGS, edit), @"
    miss: unit.cu → unit.o
        header value.h: ac32a92f4af3 → 69973c572daa (included by unit.cu)
    ");
}

/// A comment that was edited before, at no cost, is not what a miss is for.
#[test]
fn edits_that_cost_nothing_are_not_named_later() {
    let mut ws = unit();
    ws.edit(
        "value.h",
        "#define VALUE 1",
        "#define VALUE 1 // one\nint more();",
    );
    ws.build(ARGS).misses(1);
    ws.edit("value.h", "// one", "// once");
    let hit = ws.build(ARGS);
    assert_eq!(hit.counted.semantic_hits, 1, "{:?}", hit.counted);
    ws.build(ARGS).hits_directly(1);
    let edit = |ws: &mut Workspace| ws.edit("unit.cu", "return 1", "return 2");
    edit(&mut ws);
    ws.build(ARGS).misses(1);
    let told = explained(&ws);
    assert!(
        told.starts_with("miss: unit.cu → unit.o\n    source unit.cu: "),
        "{told}"
    );
    assert_eq!(told.lines().count(), 2, "{told}");
}

#[test]
fn a_new_include_is_its_includers_change() {
    let mut ws = unit();
    let edit = |ws: &mut Workspace| {
        ws.write("more.h", "#include <vector>\n");
        ws.edit("value.h", "#define", "#include \"more.h\"\n#define");
    };
    assert_snapshot!(change(&mut ws, ARGS, edit), @"
    miss: unit.cu → unit.o
        header value.h: ac32a92f4af3 → 76bfb30ac79e (included by unit.cu)
    ");
}
