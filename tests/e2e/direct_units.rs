//! Units of real projects that direct mode must answer: copied headers, `native` in options and in names, directories
//! that get files during the build.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::direct::{UNIT, built};
use crate::support::counters::Counters;
use crate::support::trap::rebuild_and_compare;
use crate::support::workspace::Workspace;

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o"];

/// Sets the modification time of a file, in seconds and milliseconds after a fixed moment.
fn date(path: &Path, seconds: u64, milliseconds: u64) {
    let time = SystemTime::UNIX_EPOCH
        + Duration::from_secs(1_700_000_000 + seconds)
        + Duration::from_millis(milliseconds);
    let file = File::options().write(true).open(path);
    file.and_then(|file| file.set_modified(time))
        .unwrap_or_else(|error| panic!("touching {}: {error}", path.display()));
}

/// A unit that includes two equal headers, each of which counts how often it is read. `names` are what it includes.
fn unit_with_copies(names: [&str; 2]) -> Workspace {
    let ws = Workspace::with("names.h", "#define COPY \"two/count.h\"\n");
    let [one, other] = names;
    ws.write(
        "unit.cu",
        format!(
            "#include \"names.h\"\n#define READ 0\n#include {one}\n#include {other}\n\
             __global__ void external(int *p) {{ *p = READ; }}\n"
        ),
    );
    let header = "#pragma once\n#if READ == 0\n#undef READ\n#define READ 1\n#else\n#undef READ\n#define READ 2\n#endif\n";
    for folder in ["one", "two"] {
        ws.write(&format!("{folder}/count.h"), header);
    }
    ws
}

#[test]
fn copies_that_ask_to_be_read_once_are_direct_hits_while_their_times_stay_alike_or_not() {
    // The second name is written out, or computed by a macro, which leaves no trace if the header is not read.
    for other in ["\"two/count.h\"", "COPY"] {
        let mut ws = unit_with_copies(["\"one/count.h\"", other]);
        let (one, two) = (ws.path("one/count.h"), ws.path("two/count.h"));
        let mut last = None;
        for [seconds, milliseconds] in [[0, 0], [1, 0], [0, 300], [7, 1], [0, 999]] {
            date(&one, 0, 100);
            date(&two, seconds, milliseconds);
            // What nvcc gave for the same files with other times must not be taken for its answer.
            ws.set_env("TIMES", format!("{seconds} {milliseconds}"));
            let theirs = ws.kept(ARGS);
            ws.build(ARGS).same_as(&theirs);
            ws.build(ARGS).hits_directly(1).same_as(&theirs);
            let is_read_twice = seconds > 0;
            if let Some((was_read_twice, outcome)) = last.replace((is_read_twice, theirs)) {
                let (_, theirs) = last.as_ref().expect("set above");
                if was_read_twice == is_read_twice {
                    theirs.same_as(&outcome);
                } else {
                    theirs.differs_from(&outcome);
                }
            }
        }
        // A copy no more.
        fs::write(&two, "#undef READ\n#define READ 3\n").expect("a header");
        date(&two, 0, 0);
        ws.build(ARGS)
            .does_not_hit_directly()
            .same_as(&ws.kept(ARGS));
    }
}

#[test]
fn thrust_is_a_direct_hit() {
    let text =
        "#include <thrust/adjacent_difference.h>\n__global__ void external(int *p) { *p = 1; }\n";
    let ws = Workspace::with("unit.cu", text);
    let first = ws.build(ARGS);
    first.misses(1);
    ws.build(ARGS).hits_directly(1).same_as(&first);
}

#[test]
fn the_letters_native_in_a_name_do_not_matter() {
    let ws = Workspace::with(
        "native/unit.cu",
        "#include <value.h>\n__global__ void external(int *p) { *p = VALUE; }\n",
    );
    ws.write("alternative/value.h", "#define VALUE 1\n");
    let args = [
        "-c",
        "native/unit.cu",
        "-o",
        "unit.o",
        "-Ialternative",
        "-DNAME=native_x",
        "-DARCH=-march=native",
    ];
    let first = ws.build(&args);
    first.misses(1).same_as(&ws.kept(&args));
    ws.build(&args).hits_directly(1).same_as(&first);
}

#[test]
fn dollar_signs_in_names_of_folders_and_headers_are_direct_hits() {
    let mut ws = Workspace::with(
        "unit.cu",
        "#include <value$r.h>\n__global__ void external(int *p) { *p = VALUE + FIRST; }\n",
    );
    ws.write("in$r/value$r.h", "#define VALUE 1\n");
    ws.write("in$r/$first.h", "#define FIRST 1\n");
    // Where nvcc leaves a dollar sign to the shell, these are other folders and headers.
    ws.write("in/value$r.h", "#define VALUE 7\n");
    ws.write("in/.h", "#define FIRST 7\n");
    for option in ["-Iin$r", "-isystem=in$r"] {
        let args = [
            ARGS,
            &[option, "-include", "in$r/$first.h", "-MD", "-MF", "unit.d"],
        ]
        .concat();
        let rebuilt = rebuild_and_compare(&mut ws, &args, |ws| {
            ws.edit("in$r/value$r.h", "1", "2");
        });
        rebuilt.changed.misses(1);
        ws.set_env("r", "elsewhere");
        ws.build(&args)
            .hits_directly(1)
            .same_as(&rebuilt.changed)
            .same_as(&ws.kept(&args));
        ws.set_env("r", "");
        ws.edit("in$r/value$r.h", "2", "1");
    }
}

#[test]
fn code_for_the_machine_at_hand_is_a_direct_hit() {
    let ws = Workspace::with("unit.cu", "__global__ void external(int *p) { *p = 1; }\n");
    for options in [
        &["-Xcompiler", "-march=native"][..],
        &["-Xcompiler", "-O2,-mtune=native"],
        &["-arch=native"],
        &["--gpu-architecture", "native"],
    ] {
        let args = [ARGS, options].concat();
        let first = ws.build(&args);
        first.same_as(&ws.kept(&args));
        ws.build(&args).hits_directly(1).same_as(&first);
    }
}

#[test]
fn another_gpu_is_no_direct_hit() {
    let mut ws = Workspace::with("unit.cu", "__global__ void external(int *p) { *p = 1; }\n");
    let bin = crate::traps_environment::toolkit_of_links(&ws).join("bin");
    let query = bin.join("__nvcc_device_query");
    ws.use_nvcc(bin.join("nvcc"));
    let args = [ARGS, &["-arch=native"]].concat();
    let with_gpu = |arch: &str| {
        let _ = fs::remove_file(&query);
        fs::write(&query, format!("#!/bin/sh\nprintf '{arch}'\n")).expect("a query");
        crate::support::workspace::make_executable(&query);
        let theirs = ws.kept(&args);
        ws.build(&args).same_as(&theirs);
        ws.build(&args).hits_directly(1).same_as(&theirs);
        theirs
    };
    let first = with_gpu("80");
    with_gpu("90").differs_from(&first);
    with_gpu("80").same_as(&first);
}

#[test]
fn a_directory_that_gets_objects_during_the_build_is_searched_directly() {
    let mut ws = Workspace::with(
        "Makefile",
        "UNITS = $(patsubst %,unit%.o,1 2 3 4 5 6 7 8)\nall: $(UNITS)\n%.o: %.cu\n\t$(NVCC) -I. -c $< -o $@\n",
    );
    for number in 1..=8 {
        let text = format!(
            "#include <vector>\n#if __has_include(<tbb/tbb.h>)\n#error\n#endif\n\
             __global__ void external{number}(int *p) {{ *p = {number}; }}\n"
        );
        ws.write(&format!("unit{number}.cu"), text);
    }
    ws.set_env("NVCC", crate::support::workspace::program("pcache-nvcc"));
    for round in 0..2 {
        for number in 1..=8 {
            let _ = fs::remove_file(ws.path(format!("unit{number}.o")));
        }
        let mut make = ws.command("make");
        make.arg("-j4");
        let outcome = ws.run(make);
        outcome.succeeds();
        if round == 0 {
            outcome.misses(8);
        } else {
            outcome.hits_directly(8);
        }
    }
}

#[test]
fn options_that_the_preprocessor_consumes_cost_a_preprocessing_once() {
    let ws = Workspace::with(
        "unit.cu",
        "namespace { __global__ void k(int *p) { *p = 1; } }\nvoid run() { k<<<1, 1>>>(nullptr); }\n",
    );
    ws.write("pre.h", "#define UNSEEN 1\n");
    ws.build(ARGS).misses(1);
    for options in [
        &["-DUNUSED=1"][..],
        &["-DVERSION=\"2.0\"", "-UNEVER"],
        &["-Inowhere"],
        &["-isystem", "nowhere"],
        &["-D", "A", "-I", "."],
    ] {
        let args = [ARGS, options].concat();
        let first = ws.build(&args);
        first.hits(1).does_not_hit_directly();
        ws.build(&args).hits_directly(1).same_as(&first);
    }
    // A macro that is used is not only consumed.
    ws.edit("unit.cu", "*p = 1", "*p = VALUE");
    for value in ["-DVALUE=5", "-DVALUE=6"] {
        ws.build(&[ARGS, &[value]].concat()).misses(1);
    }
}

#[test]
fn directories_of_headers_of_the_host_compile_count_by_what_is_in_them() {
    let ws = Workspace::with("unit.cu", "__global__ void external(int *p) { *p = 1; }\n");
    ws.build(ARGS).misses(1);
    let args = [ARGS, &["-Ifirst"]].concat();
    ws.write(
        "first/crt/host_runtime.h",
        "#ifndef MORE\n#define MORE\nint more;\n#endif\n#include_next <crt/host_runtime.h>\n",
    );
    let theirs = ws.kept(&args);
    ws.build(&args).misses(1).same_as(&theirs);
    ws.build(&args).hits_directly(1).same_as(&theirs);
}

#[test]
fn a_header_from_the_future_is_a_direct_hit() {
    let ws = Workspace::with(
        "unit.cu",
        "#include \"value.h\"\n__global__ void external(int *p) { *p = VALUE; }\n",
    );
    ws.write("value.h", "#define VALUE 1\n");
    let ahead = SystemTime::now() + Duration::from_secs(3600);
    let file = File::options().write(true).open(ws.path("value.h"));
    file.and_then(|file| file.set_modified(ahead))
        .expect("a time");
    let first = ws.build(ARGS);
    first.misses(1).same_as(&ws.kept(ARGS));
    ws.build(ARGS).hits_directly(1).same_as(&first);
    ws.write("value.h", "#define VALUE 2\n");
    ws.build(ARGS).misses(1).same_as(&ws.kept(ARGS));
}

#[test]
fn two_spellings_of_relocatable_device_code_are_one_key() {
    let ws = Workspace::with("unit.cu", "__global__ void external(int *p) { *p = 1; }\n");
    let first = ws.build(&["-dc", "unit.cu", "-o", "unit.o"]);
    first.misses(1);
    ws.build(&["-c", "-rdc=true", "unit.cu", "-o", "unit.o"])
        .hits_directly(1)
        .same_as(&first);
}

#[test]
fn a_depfile_with_a_random_name_is_a_direct_hit() {
    let ws = Workspace::with("unit.cu", "__global__ void external(int *p) { *p = 1; }\n");
    let args = |depfile: &'static str, output: &'static str| {
        [
            "-MD", "-MT", "unit.o", "-MF", depfile, "-c", "unit.cu", "-o", output,
        ]
    };
    ws.build(&args("first.d", "unit.o"))
        .misses(1)
        .same_as(&ws.kept(&args("first.d", "unit.o")));
    for (depfile, output) in [("random.d", "unit.o"), ("other.d", "build/unit.o")] {
        fs::create_dir_all(ws.path("build")).expect("a folder");
        let args = args(depfile, output);
        ws.build(&args).hits_directly(1).same_as(&ws.kept(&args));
    }
}

#[test]
fn units_that_are_linked_are_direct_hits() {
    let (ws, _) = built();
    ws.write(
        "main.cu",
        "#include <value.h>\nint main() { return VALUE; }\n",
    );
    ws.write("other.cu", UNIT.replace("external", "other"));
    let args = ["main.cu", "-o", "main", "-Isecond"];
    ws.run(ws.ours(&args)).misses(1);
    for _ in 0..2 {
        ws.run(ws.ours(&args)).hits_directly(1);
        assert_eq!(ws.run(ws.command(ws.path("main"))).status, 1);
    }
    let args = ["main.cu", "other.cu", "-o", "main", "-Isecond"];
    ws.run(ws.ours(&args)).counts(&Counters {
        hits: 1,
        misses: 1,
        ..Counters::default()
    });
    ws.run(ws.ours(&args)).hits_directly(2);
    ws.edit("second/value.h", "1", "2");
    ws.run(ws.ours(&args)).misses(2);
    assert_eq!(ws.run(ws.command(ws.path("main"))).status, 2);
    ws.edit("main.cu", "VALUE; }", "VALUE + 1; }");
    let mixed = ws.run(ws.ours(&args));
    assert_eq!((mixed.counted.direct_hits, mixed.counted.misses), (1, 1));
    assert_eq!(ws.run(ws.command(ws.path("main"))).status, 3);
    ws.remove("main");
    let args = [
        "-lib", "main.cu", "other.cu", "-o", "lib.a", "-Isecond", "-MD",
    ];
    let first = ws.build(&args);
    first.succeeds();
    ws.build(&args).hits_directly(2);
}
