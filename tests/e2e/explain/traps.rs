//! The rest of the traps that `tests/e2e/traps_*.rs` hold against nvcc, as explanations of each.

use std::fs::File;
use std::time::{Duration, SystemTime};

use insta::assert_snapshot;

use super::{ARGS, TWO, change, change_to, two_folders, unit};
use crate::support::workspace::Workspace;

/// Puts another header into the first of two folders.
fn put_in_first(ws: &mut Workspace) {
    ws.write("first/value.h", "#define VALUE 2\n");
}

#[test]
fn an_edit_for_the_second_arch_alone_is_named() {
    let text = "__global__ void k(int *p) {\n#if __CUDA_ARCH__ == 800\n  *p = 1;\n#endif\n}\n";
    let mut ws = Workspace::with("unit.cu", text);
    let archs = [
        "-gencode=arch=compute_75,code=sm_75",
        "-gencode=arch=compute_80,code=sm_80",
    ];
    let args = [ARGS, &archs].concat();
    let edit = |ws: &mut Workspace| ws.edit("unit.cu", "*p = 1", "*p = 2");
    assert_snapshot!(change(&mut ws, &args, edit), @"
    miss: unit.cu → unit.o
        source unit.cu: 5649ac293321 → e8e169ba66b2
    ");
}

#[test]
fn another_arch_is_named() {
    let first = "-gencode=arch=compute_75,code=sm_75";
    let one = [ARGS, &[first]].concat();
    let two = [ARGS, &[first, "-gencode=arch=compute_80,code=sm_80"]].concat();
    assert_snapshot!(change_to(&mut unit(), &one, &two, |_| {}), @"
    miss: unit.cu → unit.o
        flag --generate-code: none → arch=compute_80,code=[sm_80]
    ");
    let real = [ARGS, &["-gencode=arch=compute_75,code=compute_75"]].concat();
    assert_snapshot!(change_to(&mut unit(), &one, &real, |_| {}), @"
    miss: unit.cu → unit.o
        flag --generate-code: arch=compute_75,code=[sm_75] → arch=compute_75,code=[compute_75]
    ");
}

#[test]
fn headers_that_appear_in_other_earlier_folders_are_named() {
    let system = [ARGS, &["-isystem", "first", "-isystem=second"]].concat();
    assert_snapshot!(change(&mut two_folders(), &system, put_in_first), @"
    miss: unit.cu → unit.o
        appeared: first/value.h (in the place of second/value.h; included by unit.cu)
    ");

    let mut ws = two_folders();
    ws.set_env("CPLUS_INCLUDE_PATH", "first:second");
    assert_snapshot!(change(&mut ws, ARGS, put_in_first), @"
    miss: unit.cu → unit.o
        appeared: first/value.h (in the place of second/value.h; included by unit.cu)
    ");

    let mut ws = two_folders();
    ws.edit("unit.cu", "<value.h>", "\"value.h\"");
    let quoted = [ARGS, &["-Xcompiler", "-iquote,first", "-Isecond"]].concat();
    assert_snapshot!(change(&mut ws, &quoted, put_in_first), @"
    miss: unit.cu → unit.o
        appeared: first/value.h (in the place of second/value.h; included by unit.cu)
    ");
}

#[test]
fn a_header_that_appears_beside_its_includer_is_named() {
    let mut ws = two_folders();
    ws.write("second/value.h", "#include \"deep.h\"\n");
    ws.write("deep/deep.h", "#define VALUE 1\n");
    let args = [TWO, &["-Ideep"]].concat();
    let put = |ws: &mut Workspace| drop(ws.write("second/deep.h", "#define VALUE 2\n"));
    assert_snapshot!(change(&mut ws, &args, put), @"
    miss: unit.cu → unit.o
        appeared: second/deep.h (in the place of deep/deep.h; included by second/value.h, by unit.cu)
    ");
}

#[test]
fn a_header_with_folders_in_its_name_is_named() {
    let mut ws = two_folders();
    ws.edit("unit.cu", "value.h", "lib/sub/value.h");
    ws.write("second/lib/sub/value.h", "#define VALUE 1\n");
    let put = |ws: &mut Workspace| drop(ws.write("first/lib/sub/value.h", "#define VALUE 2\n"));
    assert_snapshot!(change(&mut ws, TWO, put), @"
    miss: unit.cu → unit.o
        appeared: first/lib/sub/value.h (in the place of second/lib/sub/value.h; included by unit.cu)
    ");
}

#[test]
fn a_standard_header_that_is_shadowed_is_named() {
    let mut ws = two_folders();
    ws.edit(
        "unit.cu",
        "<value.h>",
        "<cassert>\n#define VALUE sizeof(int)",
    );
    let shadow = "static const char shadow[] = \"a marker\";\n";
    let put = |ws: &mut Workspace| drop(ws.write("first/cassert", shadow));
    let told = change(&mut ws, TWO, put);
    // The one in its place is the host compiler's own.
    let (said, place) = told.split_once(" (in the place of /").expect("its place");
    assert_snapshot!(said, @"
    miss: unit.cu → unit.o
        appeared: first/cassert
    ");
    assert!(place.ends_with("/cassert; included by unit.cu)"), "{told}");
}

#[test]
fn an_answer_about_a_name_made_by_macros_is_named() {
    let mut ws = two_folders();
    let asks = "#define NAME <extra.h>\n#if __has_include(NAME)\n#define VALUE 2\n#else\n#define VALUE 1\n#endif\n";
    ws.write("second/value.h", asks);
    let put = |ws: &mut Workspace| drop(ws.write("first/extra.h", ""));
    assert_snapshot!(change(&mut ws, TWO, put), @"
    miss: unit.cu → unit.o
        appeared: first/extra.h
    ");
}

#[test]
fn a_nested_option_file_is_named_by_its_flags() {
    let mut ws = unit();
    ws.write("outer.rsp", "--options-file inner.rsp\n");
    ws.write("inner.rsp", "-D X=1 -Xcompiler \"-fPIC\"\n");
    let args = [ARGS, &["--options-file", "outer.rsp"]].concat();
    assert_snapshot!(change(&mut ws, &args, |ws| ws.edit("inner.rsp", "=1", "=2")), @"
    miss: unit.cu → unit.o
        flag --define-macro: -DX=1 → -DX=2
    ");
}

#[test]
fn the_arch_of_a_cubin_from_the_environment_is_named() {
    let mut ws = unit();
    ws.set_env("NVCC_APPEND_FLAGS", "-arch=sm_80");
    let args = ["-cubin", "unit.cu", "-o", "unit.cubin"];
    let set = |ws: &mut Workspace| ws.set_env("NVCC_APPEND_FLAGS", "-arch=sm_90");
    assert_snapshot!(change(&mut ws, &args, set), @"
    miss: unit.cu → unit.cubin
        flag --gpu-architecture: sm_80 → sm_90 (from NVCC_APPEND_FLAGS)
    ");
}

#[test]
fn a_binary_that_a_header_includes_is_told() {
    let mut ws = unit();
    let header = "#define VALUE 1\n#define BLOB \".incbin\"\n\
        asm(\".section .rodata\\n\" BLOB \" \\\"blob.bin\\\"\\n.text\\n\");\n";
    ws.write("value.h", header);
    ws.write("blob.bin", "first blob");
    let edit = |ws: &mut Workspace| drop(ws.write("blob.bin", "other blob"));
    assert_snapshot!(change(&mut ws, ARGS, edit), @"
    miss: unit.cu → unit.o
        header blob.bin: 1959cd83e102 → dd29cbf4ea7d
    ");
}

#[test]
fn the_time_stamp_of_the_source_is_told() {
    let touch = |ws: &Workspace, days: u64| {
        let file = File::options().write(true).open(ws.path("unit.cu"));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
        let set = file.expect("the source").set_modified(time);
        set.expect("set its time");
    };
    let mut ws = Workspace::with("unit.cu", "const char *when() { return __TIMESTAMP__; }\n");
    touch(&ws, 10_000);
    assert_snapshot!(change(&mut ws, ARGS, |ws| touch(ws, 11_000)), @"
    miss: unit.cu → unit.o
        text: passes (the text after preprocessing differs, though no file does)
      a source tells the time of a file
    ");
}

#[test]
fn a_date_that_is_set_for_the_compile_is_named() {
    let mut ws = Workspace::with(
        "unit.cu",
        "const char *when() { return __DATE__ __TIME__; }\n",
    );
    ws.set_env("SOURCE_DATE_EPOCH", "100000000");
    let set = |ws: &mut Workspace| ws.set_env("SOURCE_DATE_EPOCH", "200000000");
    assert_snapshot!(change(&mut ws, ARGS, set), @"
    miss: unit.cu → unit.o
        environment variable SOURCE_DATE_EPOCH: 100000000 → 200000000
    ");
}

#[test]
fn a_precompiled_header_that_appears_is_named() {
    let mut ws = Workspace::with(
        "unit.cpp",
        "#include \"value.h\"\nint host() { return VALUE; }\n",
    );
    ws.write("value.h", "#define VALUE 1\n");
    let args = ["-c", "unit.cpp", "-o", "unit.o"];
    let put = |ws: &mut Workspace| drop(ws.write("value.h.gch", ""));
    assert_snapshot!(super::without_former(&change(&mut ws, &args, put)), @"
    passed to nvcc: unit.cpp → unit.o
      makes or uses a precompiled header
      value.h.gch
    ");
}

#[test]
fn another_folder_for_kept_files_and_outputs_is_named() {
    let keep = |folder: &'static str| [ARGS, &["--keep", "--keep-dir", folder]].concat();
    let mut ws = unit();
    ws.write("one/.keep", "");
    ws.write("two/.keep", "");
    let told = change_to(&mut ws, &keep("one"), &keep("two"), |_| {});
    assert_snapshot!(super::without_former(&told), @"
    miss: unit.cu → unit.o
        output: --keep-dir: one → two
    ");
    let place = |folder: &'static str| ["-c", "unit.cu", "-odir", folder];
    let told = change_to(&mut ws, &place("one"), &place("two"), |_| {});
    assert_snapshot!(super::without_former(&told), @"
    preprocessed hit: unit.cu → two/unit.o
        output: --output-directory: one → two
    ");
}
