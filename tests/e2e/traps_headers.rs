//! Headers that were not there: one appears earlier in the search order, a `__has_include`
//! changes its answer, a missing folder comes to be. Compared with nvcc each time.

use std::fs;

use crate::support::trap::rebuild_and_compare;
use crate::support::workspace::Workspace;

const UNIT: &str = "#include <value.h>\n__global__ void external(int *p) { *p = VALUE; }\n";

/// A unit whose header lies in the second of two folders.
fn two_folders() -> (Workspace, Vec<&'static str>) {
    let ws = Workspace::with("unit.cu", UNIT);
    ws.write("first/.keep", "");
    ws.write("second/value.h", "#define VALUE 1\n");
    (
        ws,
        vec!["-c", "unit.cu", "-o", "unit.o", "-Ifirst", "-I", "second"],
    )
}

fn put_in_first(ws: &mut Workspace) {
    ws.write("first/value.h", "#define VALUE 2\n");
}

#[test]
fn header_that_appears_earlier_in_the_path_is_a_miss() {
    let (mut ws, args) = two_folders();
    let rebuilt = rebuild_and_compare(&mut ws, &args, put_in_first);
    rebuilt.changed.misses(1);
    ws.remove("first/value.h");
    ws.build(&args).hits(1).same_as(&rebuilt.first);
}

#[test]
fn unrelated_file_in_an_earlier_folder_is_still_a_hit() {
    let (ws, args) = two_folders();
    ws.build(&args).misses(1);
    ws.write("first/unrelated.h", "#define VALUE 3\n");
    ws.build(&args).hits(1);
}

#[test]
fn header_that_appears_in_a_folder_that_did_not_exist_is_a_miss() {
    let (mut ws, args) = two_folders();
    fs::remove_dir_all(ws.path("first")).expect("remove first");
    rebuild_and_compare(&mut ws, &args, put_in_first);
}

#[test]
fn header_that_appears_in_an_earlier_system_folder_is_a_miss() {
    let (mut ws, _) = two_folders();
    let args = [
        "-c",
        "unit.cu",
        "-o",
        "unit.o",
        "-isystem",
        "first",
        "-isystem=second",
    ];
    rebuild_and_compare(&mut ws, &args, put_in_first);
}

#[test]
fn header_that_appears_in_a_folder_named_by_cpath_is_a_miss() {
    let (mut ws, _) = two_folders();
    ws.set_env("CPATH", "first:second");
    let args = ["-c", "unit.cu", "-o", "unit.o"];
    rebuild_and_compare(&mut ws, &args, put_in_first);
}

#[test]
fn header_that_appears_in_a_folder_of_the_environment_is_a_miss() {
    let (mut ws, _) = two_folders();
    fs::remove_dir_all(ws.path("first")).expect("remove first");
    ws.set_env("CPLUS_INCLUDE_PATH", "first:second");
    let args = ["-c", "unit.cu", "-o", "unit.o"];
    rebuild_and_compare(&mut ws, &args, put_in_first);
}

#[test]
fn header_that_appears_in_a_folder_passed_to_the_host_compiler_is_a_miss() {
    let (mut ws, _) = two_folders();
    let args = [
        "-c",
        "unit.cu",
        "-o",
        "unit.o",
        "-Xcompiler",
        "-iquote,first",
        "-Isecond",
    ];
    ws.edit("unit.cu", "<value.h>", "\"value.h\"");
    rebuild_and_compare(&mut ws, &args, put_in_first);
}

#[test]
fn header_that_appears_beside_the_source_is_a_miss() {
    let (mut ws, args) = two_folders();
    ws.edit("unit.cu", "<value.h>", "\"value.h\"");
    rebuild_and_compare(&mut ws, &args, |ws| {
        drop(ws.write("value.h", "#define VALUE 2\n"))
    });
}

#[test]
fn header_that_appears_beside_its_includer_is_a_miss() {
    let (mut ws, args) = two_folders();
    ws.write("second/value.h", "#include \"deep.h\"\n");
    ws.write("deep/deep.h", "#define VALUE 1\n");
    let args = [&args[..], &["-Ideep"]].concat();
    rebuild_and_compare(&mut ws, &args, |ws| {
        drop(ws.write("second/deep.h", "#define VALUE 2\n"))
    });
}

#[test]
fn header_with_folders_in_its_name_that_appears_earlier_is_a_miss() {
    let (mut ws, args) = two_folders();
    ws.write("unit.cu", UNIT.replace("value.h", "lib/sub/value.h"));
    ws.write("second/lib/sub/value.h", "#define VALUE 1\n");
    rebuild_and_compare(&mut ws, &args, |ws| {
        ws.write("first/lib/sub/value.h", "#define VALUE 2\n");
    });
}

#[test]
fn standard_header_that_is_shadowed_later_is_a_miss() {
    let (mut ws, args) = two_folders();
    ws.edit(
        "unit.cu",
        "<value.h>",
        "<cassert>\n#define VALUE sizeof(int)",
    );
    rebuild_and_compare(&mut ws, &args, |ws| {
        ws.write(
            "first/cassert",
            "static const char shadow[] = \"a marker\";\n\
            const char *marker() { return shadow; }\n",
        );
    });
}

#[test]
fn removed_header_fails_as_with_nvcc() {
    let (ws, args) = two_folders();
    ws.build(&args).misses(1);
    ws.remove("second/value.h");
    ws.build(&args).same_as(&ws.plain(&args));
    assert_ne!(ws.plain(&args).status, 0);
    ws.write("second/value.h", "#define VALUE 1\n");
    ws.build(&args).hits(1);
}

#[test]
fn has_include_that_becomes_true_is_a_miss() {
    for name in ["<extra.h>", "\"extra.h\"", "<extra/deep.h>"] {
        let (mut ws, args) = two_folders();
        let path = name.trim_matches(['<', '>', '"']);
        ws.write(
            "second/value.h",
            format!("#if __has_include({name})\n#define VALUE 2\n#else\n#define VALUE 1\n#endif\n"),
        );
        rebuild_and_compare(&mut ws, &args, |ws| {
            drop(ws.write(&format!("first/{path}"), ""))
        });
    }
}

#[test]
fn has_include_that_becomes_false_is_a_miss() {
    let (mut ws, args) = two_folders();
    ws.write("first/extra.h", "");
    ws.write(
        "second/value.h",
        "#define VALUE (__has_include(<extra.h>) + 1)\n",
    );
    ws.edit(
        "unit.cu",
        "*p = VALUE",
        "*p =\n#if __has_include(<extra.h>)\n 2\n#else\n 3\n#endif\n",
    );
    rebuild_and_compare(&mut ws, &args, |ws| ws.remove("first/extra.h"));
}

#[test]
fn has_include_of_a_name_made_by_macros_is_watched() {
    for asks in [
        "#define NAME <extra.h>\n#if __has_include(NAME)\n",
        "#define NAME(x) #x\n#if __has_include(NAME(extra.h))\n",
        "#define AGAIN(x) #x\n#define NAME(x) AGAIN(x)\n#if __has_include(NAME(extra.h))\n",
        "#define PASTE(x) __has_##x\n#if PASTE(include)(<extra.h>)\n",
    ] {
        let (ws, args) = two_folders();
        let asks = format!("{asks}#define VALUE 2\n#else\n#define VALUE 1\n#endif\n");
        ws.write("second/value.h", asks);
        let first = ws.build(&args);
        first.succeeds().same_as(&ws.kept(&args));
        ws.build(&args).hits_directly(1).same_as(&first);
        ws.write("first/extra.h", "");
        ws.build(&args)
            .succeeds()
            .same_as(&ws.kept(&args))
            .differs_from(&first);
    }
}

/// The name of the header that is looked for is a time, which changes with no file.
#[test]
fn has_include_of_a_time_is_no_direct_hit() {
    let (ws, args) = two_folders();
    ws.write(
        "second/value.h",
        "#if __has_include(__TIME__)\n#endif\n#define VALUE 1\n",
    );
    let first = ws.build(&args);
    ws.build(&args)
        .hits(1)
        .does_not_hit_directly()
        .same_as(&first);
}

#[test]
fn next_header_that_appears_in_between_is_a_miss() {
    let (mut ws, args) = two_folders();
    ws.write("first/value.h", "#include_next <value.h>\n");
    ws.write("third/value.h", "#define VALUE 1\n");
    ws.remove("second/value.h");
    let args = [&args[..], &["-Ithird"]].concat();
    rebuild_and_compare(&mut ws, &args, |ws| {
        ws.write("second/value.h", "#define VALUE 2\n");
    });
}

#[test]
fn order_of_include_folders_counts() {
    let (mut ws, args) = two_folders();
    put_in_first(&mut ws);
    let first = ws.build(&args);
    first.misses(1);
    let swapped = ["-c", "unit.cu", "-o", "unit.o", "-Isecond", "-Ifirst"];
    ws.build(&swapped)
        .misses(1)
        .same_as(&ws.kept(&swapped))
        .differs_from(&first);
}

#[test]
fn relative_include_folder_in_another_current_folder_is_a_miss() {
    let mut ws = Workspace::new();
    for (dir, value) in [("one", 1), ("two", 2)] {
        ws.write(
            &format!("{dir}/inc/value.h"),
            format!("#define VALUE {value}\n"),
        );
    }
    let source = ws.write("unit.cu", UNIT);
    let source = source.to_str().expect("a UTF-8 path");
    let args = ["-c", source, "-Iinc", "-o", "unit.o"];
    ws.cd("one");
    let first = ws.build(&args);
    first.misses(1);
    ws.build(&args).hits(1);
    ws.cd("two");
    let second = ws.build(&args);
    second.misses(1).same_as(&ws.kept(&args));
    assert_ne!(
        first.outputs.bytes("one/unit.o"),
        second.outputs.bytes("two/unit.o")
    );
}

/// A header that passes on to the real one, and shows itself only where nothing is left to
/// preprocess: in the last host compile.
fn shadow_of(header: &str, text: &str) -> String {
    format!(
        "#include_next <{header}>\n\
         #if !defined(__CUDACC__) && !defined(SHADOWED)\n#define SHADOWED\n\
         static const char marker[] __attribute__((used)) = \"{text}\";\n#endif\n"
    )
}

#[test]
fn host_runtime_header_that_appears_earlier_is_a_miss() {
    for header in ["crt/host_runtime.h", "fatbinary_section.h"] {
        let (mut ws, args) = two_folders();
        rebuild_and_compare(&mut ws, &args, |ws| {
            ws.write(&format!("first/{header}"), shadow_of(header, "a marker"));
        });
    }
}

#[test]
fn edit_of_a_shadowing_host_runtime_header_is_a_miss() {
    let (mut ws, args) = two_folders();
    let header = "crt/host_runtime.h";
    ws.write(&format!("first/{header}"), shadow_of(header, "marker one"));
    rebuild_and_compare(&mut ws, &args, |ws| {
        ws.edit(&format!("first/{header}"), "marker one", "marker two");
    });
}
