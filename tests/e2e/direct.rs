//! Direct mode: what it answers without starting a process, what it must not answer, and that its
//! answers are nvcc's.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use crate::support::counters::Counters;
use crate::support::outcome::Outcome;
use crate::support::workspace::{Workspace, program};

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o", "-Ifirst", "-Isecond"];
pub const UNIT: &str = "#include <value.h>\n__global__ void external(int *p) { *p = VALUE; }\n";

/// A unit whose header lies in the second of two folders, built once.
pub fn built() -> (Workspace, Outcome) {
    let ws = Workspace::with("unit.cu", UNIT);
    ws.write("first/.keep", "");
    ws.write("second/value.h", "#define VALUE 1\n");
    let first = ws.build(ARGS);
    first.misses(1).same_as(&ws.kept(ARGS));
    (ws, first)
}

fn touch(ws: &Workspace, rel: &str, days: u64) {
    let file = File::options().write(true).open(ws.path(rel));
    let time = SystemTime::now() - Duration::from_secs(days * 86_400);
    file.and_then(|file| file.set_modified(time))
        .unwrap_or_else(|e| panic!("touching {rel}: {e}"));
}

#[test]
fn second_build_is_a_direct_hit() {
    let (ws, first) = built();
    ws.build(ARGS).hits_directly(1).same_as(&first);
}

#[test]
fn host_compiler_that_appears_earlier_in_path_is_no_direct_hit() {
    let mut ws = Workspace::with("unit.cu", UNIT);
    ws.write("second/value.h", "#define VALUE 1\n");
    let early = ws.path("early");
    fs::create_dir(&early).expect("a folder");
    let toolkit = ws.real_nvcc().parent().expect("a folder").to_owned();
    ws.set_path(&[&early, &toolkit]);
    let first = ws.build(ARGS);
    // Old enough for what is known of a folder to be remembered by its times.
    sleep(Duration::from_millis(2500));
    for _ in 0..2 {
        ws.build(ARGS).hits_directly(1).same_as(&first);
    }
    ws.script(
        "early/gcc",
        "#!/bin/sh\nexec /usr/bin/gcc -DUNUSED \"$@\"\n",
    );
    ws.build(ARGS)
        .does_not_hit_directly()
        .same_as(&ws.kept(ARGS));
    ws.remove("early/gcc");
    ws.build(ARGS).hits_directly(1).same_as(&first);
}

#[test]
fn closed_streams_are_no_place_for_what_is_printed() {
    let (ws, _) = built();
    ws.edit("unit.cu", "VALUE; }", "VALUE; }\n#warning told\n");
    let first = ws.build(ARGS);
    first.same_as(&ws.kept(ARGS));
    assert!(
        String::from_utf8_lossy(&first.stderr).contains("told"),
        "{first:?}"
    );
    ws.build(ARGS).hits_directly(1).same_as(&first);
    let table = ws.root().join("cache/digests");
    let head = |path: &Path| fs::read(path).expect("a table")[..32].to_vec();
    let (counted, before) = (ws.counters(), head(&table));
    ws.write("unit.o", "");
    let closed = |streams: &str| {
        let mut shell = ws.command("/bin/sh");
        let script = format!("exec \"$0\" \"$@\" {streams}");
        shell.arg("-c").arg(script).arg(program("pcache-nvcc"));
        shell.args(ARGS).env_remove("PCACHE_LOG");
        let status = shell.status().expect("a shell");
        assert!(status.success(), "{streams}: {status}");
        assert!(!ws.read("unit.o").is_empty(), "{streams}");
        // Nothing was printed into the files that were opened first.
        assert_eq!(head(&table), before, "{streams}");
    };
    for streams in ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        closed(streams);
    }
    let since = ws.counters().since(&counted);
    assert_eq!(since.direct_hits, 5, "{since:?}");
    ws.remove("unit.o");
    ws.build(ARGS).hits_directly(1).same_as(&first);
}

#[test]
fn several_sources_are_one_direct_hit_each() {
    let (ws, _) = built();
    ws.write("other.cu", UNIT.replace("external", "other"));
    let args = ["-c", "unit.cu", "other.cu", "-Isecond"];
    let first = ws.build(&args);
    // The directory that is not searched now had no part in the first unit.
    first
        .counts(&Counters {
            hits: 1,
            misses: 1,
            ..Counters::default()
        })
        .same_as(&ws.kept(&args));
    ws.build(&args).hits_directly(2).same_as(&first);
    ws.edit("other.cu", "= VALUE", "= VALUE + 1");
    let mixed = ws.build(&args);
    mixed.same_as(&ws.kept(&args));
    assert_eq!((mixed.counted.direct_hits, mixed.counted.misses), (1, 1));
    ws.build(&args).hits_directly(2).same_as(&ws.kept(&args));
}

#[test]
fn touched_files_are_a_direct_hit() {
    let (ws, first) = built();
    for days in [0, 1000] {
        touch(&ws, "unit.cu", days);
        touch(&ws, "second/value.h", days);
        ws.build(ARGS).hits_directly(1).same_as(&first);
    }
}

#[test]
fn header_generated_anew_with_the_same_content_is_a_direct_hit() {
    let (ws, first) = built();
    ws.remove("second/value.h");
    ws.write("second/value.h", "#define VALUE 1\n");
    ws.build(ARGS).hits_directly(1).same_as(&first);
}

#[test]
fn unrelated_file_in_an_earlier_folder_is_a_direct_hit() {
    let (ws, first) = built();
    ws.write("first/unrelated.h", "");
    ws.build(ARGS).hits_directly(1).same_as(&first);
}

#[test]
fn header_that_appears_earlier_is_no_direct_hit_until_it_is_gone() {
    let (ws, first) = built();
    for (name, text) in [
        ("value.h", "#define VALUE 2\n"),
        // gcc includes it unasked, wherever it finds it first.
        (
            "stdc-predef.h",
            "#define VALUE 2\n#undef VALUE\nint predefined;\n",
        ),
    ] {
        ws.write(&format!("first/{name}"), text);
        let changed = ws.build(ARGS);
        changed.does_not_hit_directly().same_as(&ws.kept(ARGS));
        changed.differs_from(&first);
        ws.remove(&format!("first/{name}"));
        ws.build(ARGS).hits_directly(1).same_as(&first);
    }
}

#[test]
#[ignore = "long: scripts/test-long"]
fn has_include_name_that_appears_is_no_direct_hit() {
    for asked in [
        "#if __has_include(<extra.h>)\n",
        "#define ASK(x) __has_include(x)\n#if ASK(<extra.h>)\n",
        "#define ASK(x) __has_include(<x>)\n#if ASK(extra.h)\n",
        "#define ASK __has_include(\"extra.h\")\n#if ASK\n",
        "#define NAME(x) #x\n#if __has_include(NAME(extra.h))\n",
        "#define PASTE(x) __has_##x\n#if PASTE(include)(<extra.h>)\n",
    ] {
        let (ws, _) = built();
        let text = format!("{asked}#define VALUE 2\n#else\n#define VALUE 1\n#endif\n");
        ws.write("second/value.h", text);
        let first = ws.build(ARGS);
        ws.build(ARGS).hits(1).same_as(&first);
        ws.write("second/extra.h", "");
        let changed = ws.build(ARGS);
        changed.does_not_hit_directly().same_as(&ws.kept(ARGS));
        changed.differs_from(&first);
        ws.remove("second/extra.h");
        ws.build(ARGS).hits(1).same_as(&first);
    }
}

#[test]
fn edited_header_and_its_old_content_are_direct_hits_both() {
    let (ws, first) = built();
    ws.edit("second/value.h", "1", "2");
    let second = ws.build(ARGS);
    second
        .misses(1)
        .same_as(&ws.kept(ARGS))
        .differs_from(&first);
    for _ in 0..2 {
        ws.edit("second/value.h", "2", "1");
        ws.build(ARGS).hits_directly(1).same_as(&first);
        ws.edit("second/value.h", "1", "2");
        ws.build(ARGS).hits_directly(1).same_as(&second);
    }
}

#[test]
fn branches_with_other_headers_are_direct_hits_after_their_first_build() {
    let (ws, _) = built();
    ws.write("first/more.h", "#define MORE 5\n");
    let other = UNIT.replace("VALUE;", "MORE;").replace("value.h", "more.h");
    let branches = [
        UNIT,
        &other,
        "__global__ void external(int *p) { *p = 9; }\n",
    ];
    let built: Vec<_> = branches
        .iter()
        .map(|text| {
            ws.write("unit.cu", text);
            ws.build(ARGS)
        })
        .collect();
    for _ in 0..2 {
        for (text, built) in branches.iter().zip(&built) {
            ws.write("unit.cu", text);
            ws.build(ARGS).hits_directly(1).same_as(built);
        }
    }
}

#[test]
fn header_that_cannot_be_read_fails_as_with_nvcc() {
    let (ws, first) = built();
    let header = ws.path("second/value.h");
    let spoilers: [fn(&std::path::Path); 3] = [
        |header| fs::create_dir(header).expect("a folder"),
        |header| symlink("value.h", header).expect("a loop of links"),
        |header| symlink("nowhere", header).expect("a link that leads nowhere"),
    ];
    for spoil in spoilers {
        ws.remove("second/value.h");
        spoil(&header);
        let failed = ws.build(ARGS);
        failed.same_as(&ws.plain(ARGS)).does_not_hit_directly();
        assert_ne!(failed.status, 0);
        if header.is_dir() {
            fs::remove_dir(&header).expect("remove the folder");
        } else {
            ws.remove("second/value.h");
        }
        ws.write("second/value.h", "#define VALUE 1\n");
        ws.build(ARGS).hits_directly(1).same_as(&first);
    }
}

#[test]
fn precompiled_header_that_appears_is_no_direct_hit() {
    let ws = Workspace::with(
        "unit.cpp",
        "#include \"value.h\"\nint host() { return VALUE; }\n",
    );
    ws.write("value.h", "#define VALUE 1\n");
    let args = ["-c", "unit.cpp", "-o", "unit.o"];
    let first = ws.build(&args);
    first.misses(1);
    ws.build(&args).hits_directly(1).same_as(&first);
    ws.write("value.h.gch", "");
    ws.build(&args)
        .does_not_hit_directly()
        .same_as(&ws.kept(&args));
    ws.remove("value.h.gch");
    ws.build(&args).hits_directly(1).same_as(&first);
}

#[test]
fn output_of_the_same_name_elsewhere_is_a_direct_hit() {
    let (ws, first) = built();
    let args = [
        "-c",
        "unit.cu",
        "-o",
        "second/unit.o",
        "-Ifirst",
        "-Isecond",
    ];
    let other = ws.build(&args);
    other.hits_directly(1);
    assert_eq!(
        other.outputs.bytes("second/unit.o"),
        first.outputs.bytes("unit.o")
    );
    // ptxas writes the name of a cubin into it.
    for kind in ["-c", "-cubin"] {
        let args = [kind, "unit.cu", "-o", "second/other", "-Ifirst", "-Isecond"];
        let theirs = ws.kept(&args);
        ws.build(&args).does_not_hit_directly().same_as(&theirs);
        ws.build(&args).hits_directly(1).same_as(&theirs);
    }
}

#[test]
#[ignore = "long: scripts/test-long"]
fn depfiles_of_other_names_and_targets_are_right() {
    let (ws, _) = built();
    for more in [
        &["-MD"][..],
        &["-MD", "-MF", "first/unit.d"],
        &["-MD", "-MF", "unit.dep", "-MT", "a target"],
        &["-MMD", "-MP"],
        &["-MD", "-MT", "second/unit.o"],
    ] {
        let args = [ARGS, more].concat();
        let theirs = ws.kept(&args);
        ws.build(&args).hits(1).same_as(&theirs);
        ws.build(&args).hits_directly(1).same_as(&theirs);
    }
}

/// nvcc tells its tools the real path of a source: another one is another compile, whatever is in it.
#[test]
fn source_behind_a_link_that_leads_elsewhere_is_no_direct_hit() {
    let ws = Workspace::new();
    for dir in ["one", "two"] {
        ws.write(
            &format!("{dir}/unit.cu"),
            "__global__ void kernel(int *p) { *p = 1; }\n",
        );
    }
    let link = ws.path("link");
    let args = ["-c", "link/unit.cu", "-o", "unit.o", "-lineinfo"];
    symlink("one", &link).expect("a link");
    ws.build(&args).misses(1);
    ws.build(&args).hits_directly(1);
    fs::remove_file(&link).expect("removed");
    symlink("two", &link).expect("a link");
    ws.build(&args)
        .does_not_hit_directly()
        .same_as(&ws.kept(&args));
    // The place itself becomes a link: its spelling stays.
    let args = ["-c", "one/unit.cu", "-o", "unit.o", "-lineinfo"];
    ws.build(&args).misses(1);
    ws.build(&args).hits_directly(1);
    fs::remove_dir_all(ws.path("one")).expect("removed");
    symlink("two", ws.path("one")).expect("a link");
    ws.build(&args)
        .does_not_hit_directly()
        .same_as(&ws.kept(&args));
}

#[test]
fn kept_files_are_put_back_directly() {
    let (ws, _) = built();
    ws.write("kept/.keep", "");
    let args = [ARGS, &["--keep", "--keep-dir", "kept"]].concat();
    let first = ws.build(&args);
    let again = ws.build(&args);
    again.hits_directly(1).same_as(&first);
    assert!(
        again.outputs.names().len() > 5,
        "{:?}",
        again.outputs.names()
    );
}

#[test]
fn diagnostics_are_replayed_directly() {
    let (ws, _) = built();
    ws.edit("unit.cu", "#include", "#warning look here\n#include");
    let first = ws.build(ARGS);
    first.misses(1).same_as(&ws.kept(ARGS));
    assert!(first.err().contains("look here"));
    ws.build(ARGS).hits_directly(1).same_as(&first);
}

#[test]
fn setting_turns_direct_mode_off() {
    let (mut ws, first) = built();
    ws.set_env("PCACHE_DIRECT", "0");
    ws.build(ARGS)
        .hits(1)
        .does_not_hit_directly()
        .same_as(&first);
    ws.unset_env("PCACHE_DIRECT");
    ws.build(ARGS).hits_directly(1).same_as(&first);
}

#[test]
fn variables_that_steer_nvcc_are_no_direct_hit() {
    let (mut ws, first) = built();
    let script = ws.script("my-g++", "#!/bin/sh\nexec g++ -DOTHER \"$@\"\n");
    for (name, value) in [
        ("NVCC_APPEND_FLAGS", "-DOTHER"),
        ("NVCC_PREPEND_FLAGS", "-lineinfo"),
        ("NVCC_CCBIN", script.to_str().expect("a UTF-8 path")),
        ("PTXAS_FLAGS", "-O0"),
        ("INCLUDES", "-Ifirst"),
        ("CPATH", "first"),
    ] {
        ws.set_env(name, value);
        ws.build(ARGS)
            .does_not_hit_directly()
            .same_as(&ws.kept(ARGS));
        ws.unset_env(name);
        ws.build(ARGS).hits_directly(1).same_as(&first);
    }
}

#[test]
fn another_working_folder_is_no_direct_hit() {
    let (mut ws, _) = built();
    ws.write("elsewhere/unit.cu", UNIT);
    ws.write("elsewhere/second/value.h", "#define VALUE 7\n");
    ws.cd("elsewhere");
    let args = ["-c", "unit.cu", "-o", "unit.o", "-Ifirst", "-Isecond"];
    ws.build(&args)
        .does_not_hit_directly()
        .same_as(&ws.kept(&args));
    ws.build(&args).hits_directly(1).same_as(&ws.kept(&args));
}

#[test]
fn option_file_is_read_before_a_direct_hit() {
    let (ws, first) = built();
    ws.write("flags.rsp", "-Ifirst -Isecond\n");
    let args = ["-c", "unit.cu", "-o", "unit.o", "-optf", "flags.rsp"];
    ws.build(&args).hits_directly(1).same_as(&first);
    ws.write("flags.rsp", "-Ifirst -Isecond -DOTHER=1 -DVALUE=1\n");
    ws.build(&args)
        .does_not_hit_directly()
        .same_as(&ws.kept(&args));
}

#[test]
#[ignore = "long: scripts/test-long"]
fn folder_in_the_place_of_a_file_is_no_direct_hit() {
    for more in [&[][..], &["-w"]] {
        let (ws, _) = built();
        fs::remove_dir_all(ws.path("first")).expect("remove first");
        ws.write("first", "a file");
        let args = [ARGS, more].concat();
        let first = ws.build(&args);
        ws.build(&args).hits(1).same_as(&first);
        ws.remove("first");
        ws.write("first/value.h", "#define VALUE 2\n");
        let changed = ws.build(&args);
        changed.does_not_hit_directly().same_as(&ws.kept(&args));
        changed.differs_from(&first);
    }
}

#[test]
fn header_named_by_a_macro_that_appears_earlier_is_no_direct_hit() {
    let (ws, _) = built();
    // Beside the source, where the brackets do not look.
    ws.write("value.h", "#define VALUE 3\n");
    ws.edit(
        "unit.cu",
        "#include <value.h>",
        "#define NAME <value.h>\n#include NAME",
    );
    let first = ws.build(ARGS);
    ws.build(ARGS).hits_directly(1).same_as(&first);
    ws.write("first/value.h", "#define VALUE 2\n");
    let changed = ws.build(ARGS);
    changed.does_not_hit_directly().same_as(&ws.kept(ARGS));
    changed.differs_from(&first);
}
