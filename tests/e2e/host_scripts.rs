//! Scripts in front of a host compiler, which may do anything. Change one thing that no source and no command line
//! shows, build again, compare with nvcc.

use std::os::unix::fs::symlink;

use crate::host_compilers::{Again, UNSEEN, args, change_shows, part, settle, unit, which};
use crate::support::workspace::Workspace;

/// Builds with `args` twice before `change` and once after it, which must show as it does with nvcc, whether the first
/// result was stored or not.
#[track_caller]
fn never_stale(ws: &mut Workspace, args: &[&str], change: impl FnOnce(&mut Workspace)) {
    let first = ws.build(args);
    first.succeeds();
    ws.build(args).same_as(&first);
    change(ws);
    let changed = ws.build(args);
    changed.same_as(&ws.kept(args)).differs_from(&first);
}

#[test]
fn flags_that_a_script_takes_from_elsewhere_are_a_miss() {
    const SCRIPTS: [&str; 5] = [
        "#!/bin/sh\nexec g++ $FLAGS \"$@\"\n",
        "#!/bin/sh\n. \"${0%/*}/flags\"\nexec g++ $SOURCED \"$@\"\n",
        "#!/bin/sh\nexec \"${0%/*}/inner\" \"$@\"\n",
        "#!/bin/bash\n. \"${0%/*}/flags\"\nexec -a g++ /usr/bin/g++ $SOURCED \"$@\"\n",
        "#!/bin/sh\nexec g++ $(cat \"${0%/*}/list\") \"$@\"\n",
    ];
    for script in SCRIPTS {
        let mut ws = unit();
        let wrapper = ws.script("wrapper", script);
        ws.script("inner", "#!/bin/sh\nexec g++ $FLAGS \"$@\"\n");
        ws.write("flags", "SOURCED=-fno-stack-protector\n");
        ws.write("list", "-fno-stack-protector\n");
        ws.set_env("FLAGS", UNSEEN[0]);
        eprintln!("{script}");
        change_shows(&mut ws, &wrapper, Again::HitsDirectly, |ws| {
            ws.set_env("FLAGS", UNSEEN[1]);
            ws.write("flags", "SOURCED=-finstrument-functions\n");
            ws.write("list", "-finstrument-functions\n");
        });
    }
}

#[test]
fn headers_that_a_script_finds_by_variables_of_its_own_are_a_miss() {
    let mut ws = Workspace::with(
        "unit.cu",
        "#include <value.h>\n__global__ void external(int *p) { *p = VALUE; }\nint host() { return VALUE; }\n",
    );
    ws.write("one/value.h", "#define VALUE 1\n");
    ws.write("two/value.h", "#define VALUE 2\n");
    ws.write("settings", "export CPATH=\"${0%/*}/one\"\n");
    let script = "#!/bin/sh\n. \"${0%/*}/settings\"\nexec g++ \"$@\"\n";
    let wrapper = ws.script("wrapper", script);
    change_shows(&mut ws, &wrapper, Again::HitsDirectly, |ws| {
        ws.edit("settings", "one", "two")
    });
}

/// Nothing judges what a program in front of clang adds.
#[test]
fn compiler_that_a_script_chooses_anew_is_nvccs_own_affair() {
    let mut ws = unit();
    let wrapper = ws.script("wrapper", "#!/bin/sh\nexec ${CHOSEN:-g++} \"$@\"\n");
    let args = args(&wrapper);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let first = ws.build(&args);
    first.misses(1);
    ws.set_env("CHOSEN", "clang++");
    let changed = ws.build(&args);
    changed.succeeds().differs_from(&first);
    assert_eq!(changed.counted.fallbacks.get("toolchain"), Some(&1));
}

/// nvcc hands macros to its preprocessings alone.
#[test]
fn macros_that_a_script_looks_at_are_in_its_questions() {
    for (looks_at, args) in [("*DEBUG*", "-DDEBUG"), ("*forced.h*", "-include=forced.h")] {
        let mut ws = unit();
        ws.write("forced.h", "");
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in {looks_at}) exec g++ $FLAGS \"$@\";; esac\nexec g++ \"$@\"\n"
        );
        let wrapper = ws.script("wrapper", &script);
        settle(&wrapper);
        let ccbin = format!("-ccbin={}", wrapper.display());
        let all = ["-c", "unit.cu", "-o", "unit.o", &ccbin, args];
        ws.set_env("FLAGS", "-DVALUE=5");
        eprintln!("{args}");
        never_stale(&mut ws, &all, |ws| ws.set_env("FLAGS", "-DVALUE=7"));
    }
}

#[test]
fn assembler_on_a_path_of_a_scripts_own_is_a_miss() {
    let mut ws = unit();
    let place = ws.side("tools").join("as");
    part(&ws, &place, &which("as"), "--defsym=one=1");
    let script = format!(
        "#!/bin/sh\nPATH={}:$PATH\nexport PATH\nexec /usr/bin/g++ \"$@\"\n",
        place.parent().expect("a folder").display()
    );
    let wrapper = ws.script("wrapper", &script);
    change_shows(&mut ws, &wrapper, Again::Hits, |ws| {
        part(ws, &place, &which("as"), "--defsym=two=1");
    });
}

#[test]
fn variables_of_a_script_are_a_miss_and_another_directory_is_not_stored() {
    let mut ws = Workspace::with(
        "unit.cu",
        "__global__ void external(int *p) { *p = 1; }\nconst char *date() { return __DATE__; }\n",
    );
    ws.write("epoch", "100000000");
    ws.set_env("SOURCE_DATE_EPOCH", "100000000");
    let script = "#!/bin/sh\nexport SOURCE_DATE_EPOCH=$(cat \"${0%/*}/epoch\")\nexec g++ \"$@\"\n";
    let wrapper = ws.script("wrapper", script);
    change_shows(&mut ws, &wrapper, Again::Hits, |ws| {
        drop(ws.write("epoch", "200000000"))
    });
    let ws = unit();
    let wrapper = ws.script("wrapper", "#!/bin/sh\ncd /\nexec g++ \"$@\"\n");
    let source = ws.path("unit.cu").display().to_string();
    let ccbin = format!("-ccbin={}", wrapper.display());
    for _ in 0..2 {
        ws.build(&["-c", &source, "-o", "unit.o", &ccbin]).misses(1);
    }
}

/// What the tables of host options do not know to be harmless is nvcc's own affair, also where a script adds it.
#[test]
fn flags_of_a_script_that_may_read_or_write_files_go_to_nvcc() {
    for flags in [
        "-Wa,@/dev/null",
        "--coverage",
        "-gsplit-dwarf",
        "-fplugin=/no/such.so",
    ] {
        let ws = Workspace::with(
            "host.cpp",
            "int host(int a) { return a > 3 ? a * 2 : a; }\n",
        );
        let script = format!("#!/bin/sh\nexec g++ \"$@\" {flags}\n");
        let wrapper = ws.script("wrapper", &script);
        let ccbin = format!("-ccbin={}", wrapper.display());
        let args = ["-c", "host.cpp", "-o", "host.o", &ccbin];
        let built = ws.build(&args);
        eprintln!("{flags}");
        let theirs = ws.plain(&args);
        // What coverage is counted in has a number of its own each time.
        assert_eq!(built.outputs.names(), theirs.outputs.names());
        built.says_the_same_as(&theirs);
        assert_eq!(
            built.counted.hits + built.counted.misses,
            0,
            "{flags} was cached"
        );
    }
}

#[test]
fn wrapper_that_does_not_tell_what_it_runs_is_nvccs_own_affair() {
    let ws = unit();
    let script =
        "#!/bin/sh\nfor arg; do [ \"$arg\" = '-wrapper' ] && exit 0; done\nexec g++ \"$@\"\n";
    let wrapper = ws.script("wrapper", script);
    let args = args(&wrapper);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let built = ws.build(&args);
    built.succeeds();
    assert_eq!(built.counted.fallbacks.get("toolchain"), Some(&1));
}

/// A wrapper whose first line does what it does by the file `state`, which holds `one` and later `two`.
fn state_shows(what: &str, line: &str, source: &str, flags: &[&str]) {
    eprintln!("{what}");
    let text = "enum { one = 1, two = 2 };\n#ifndef VALUE\n#include <value.h>\n#endif\nint f() { return VALUE; }\n\
        #ifdef __CUDACC__\n__global__ void external(int *p) { *p = VALUE; }\n#endif\n";
    let mut ws = Workspace::with(source, text);
    for (directory, value) in [("one", 1), ("two", 2)] {
        ws.write(
            &format!("{directory}/value.h"),
            format!("#define VALUE {value}\n"),
        );
    }
    for state in ["one", "two"] {
        let link = ws.root().join(format!("{state}-link"));
        symlink(ws.path(""), link).expect("a link to the work folder");
    }
    ws.set_env("LC_ALL", "C.UTF-8");
    ws.write("state", "one");
    let script = format!("#!/bin/sh\nstate=$(cat \"${{0%/*}}/state\")\n{line}\nexec g++ \"$@\"\n");
    let wrapper = ws.script("wrapper", &script);
    settle(&wrapper);
    let ccbin = format!("-ccbin={}", wrapper.display());
    let args = [&["-c", source, "-o", "a.o", &ccbin], flags].concat();
    never_stale(&mut ws, &args, |ws| drop(ws.write("state", "two")));
}

#[test]
fn what_a_script_does_for_some_of_its_calls_is_a_miss() {
    let only_if = |condition: &str| format!("{condition} && set -- -DVALUE=$state \"$@\"");
    let in_utf8 = "case $LC_ALL in *UTF-8) true;; *) false;; esac";
    for (what, line, source, flags) in [
        (
            "with a pipe",
            "case \" $* \" in *\" -E \"*) ;; *\" -pipe \"*) [ $state = one ] || set -- -O2 \"$@\";; esac",
            "a.cpp",
            &["-Xcompiler", "-pipe", "-DVALUE=one"][..],
        ),
        (
            "started by nvcc",
            &only_if("[ -n \"$NVVMIR_LIBRARY_DIR\" ]"),
            "a.cpp",
            &[],
        ),
        ("in a locale", &only_if(in_utf8), "a.cpp", &[]),
        (
            "for preprocessings",
            "case \" $* \" in *\" -E \"*) export CPATH=\"${0%/*}/$state\";; esac",
            "a.cu",
            &[],
        ),
        (
            "in a directory by another name",
            "cd -L \"$(dirname \"$0\")/../$state-link\"",
            "a.cpp",
            &["-g", "-DVALUE=one"],
        ),
    ] {
        state_shows(what, line, source, flags);
    }
}

/// What is defined, and where headers are looked for, is what a pass shows of the compile.
#[test]
fn what_a_script_adds_for_compiles_alone_is_not_stored() {
    for (what, line, text) in [
        (
            "a directory",
            "case \" $* \" in *\" -E \"*) set -- -Ione \"$@\";; *) set -- -Ithree -Ione \"$@\";; esac",
            "#include <value.h>\nint f() { return VALUE; }\n",
        ),
        (
            "a macro",
            "case \" $* \" in *\" -E \"*) ;; *) set -- -DASKS \"$@\";; esac",
            "#ifdef ASKS\n#if __has_include(\"three/value.h\")\nint g;\n#endif\n#endif\nint f;\n",
        ),
        (
            "the job's directories in another order",
            "case \" $* \" in *\" -E \"*) set -- -Ione -Ithree \"$@\";; *) set -- -Ithree -Ione \"$@\";; esac",
            "#include <value.h>\nint f() { return VALUE; }\n",
        ),
        (
            "an instruction set",
            "case \" $* \" in *\" -E \"*) ;; *) set -- -mavx2 \"$@\";; esac",
            "#ifdef __AVX2__\n#if __has_include(\"three/value.h\")\nint g;\n#endif\n#endif\nint f;\n",
        ),
        (
            "a variable",
            "case \" $* \" in *\" -E \"*) export CPATH=one;; *) export CPATH=three:one;; esac",
            "#include <value.h>\nint f() { return VALUE; }\n",
        ),
    ] {
        eprintln!("{what}");
        let mut ws = Workspace::with("a.cpp", text);
        ws.write("one/value.h", "#define VALUE 1\n");
        ws.write("three/other.h", "");
        let script = format!("#!/bin/sh\n{line}\nexec g++ \"$@\"\n");
        let wrapper = ws.script("wrapper", &script);
        settle(&wrapper);
        let ccbin = format!("-ccbin={}", wrapper.display());
        let args = ["-c", "a.cpp", "-o", "a.o", &ccbin];
        never_stale(&mut ws, &args, |ws| {
            drop(ws.write("three/value.h", "#define VALUE 3\n"))
        });
    }
}

/// The stages have dependencies written, which nvcc does not ask for.
#[test]
fn script_that_looks_at_what_only_we_ask_for_is_nvccs_own_affair() {
    let ws = Workspace::with(
        "a.cpp",
        "#ifndef X\n#define X 1\n#endif\nint f() { return X; }\n",
    );
    let script =
        "#!/bin/sh\ncase \" $* \" in *\" -MD \"*) set -- -DX=2 \"$@\";; esac\nexec g++ \"$@\"\n";
    let wrapper = ws.script("wrapper", script);
    let ccbin = format!("-ccbin={}", wrapper.display());
    let args = ["-c", "a.cpp", "-o", "a.o", &ccbin];
    let built = ws.build(&args);
    built.same_as(&ws.kept(&args));
    assert_eq!(built.counted.fallbacks.get("toolchain"), Some(&1));
}

#[test]
fn pipe_between_compiler_and_assembler_hits_directly() {
    let ws = unit();
    let wrapper = ws.script("wrapper", "#!/bin/sh\nexec g++ \"$@\"\n");
    settle(&wrapper);
    let mut all: Vec<_> = args(&wrapper);
    all.extend(["-Xcompiler".to_owned(), "-pipe,-fPIC,-Wall".to_owned()]);
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let first = ws.build(&all);
    first.misses(1).same_as(&ws.kept(&all));
    ws.build(&all).hits_directly(1).same_as(&first);
}

#[test]
fn compiler_that_a_script_finds_along_another_path_is_a_miss() {
    let mut ws = unit();
    let wrapper = ws.script("wrapper", "#!/bin/sh\nexec g++ \"$@\"\n");
    let other = "#!/bin/sh\nexec /usr/bin/g++ -finstrument-functions \"$@\"\n";
    let other = ws.script("other/g++", other);
    settle(&other);
    let nvcc = ws.real_nvcc().parent().expect("a folder").to_owned();
    let args = args(&wrapper);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let paths = [vec![], vec![other.parent().expect("a folder")]];
    for turn in 0..3 {
        for (number, first) in paths.iter().enumerate() {
            ws.set_path(&[&first[..], &[&nvcc]].concat());
            eprintln!("turn {turn}, path {number}");
            ws.build(&args).same_as(&ws.kept(&args));
        }
    }
    ws.build(&args).hits_directly(1);
}

#[test]
fn libraries_that_a_script_loads_are_not_stored() {
    for value in ["'/no/$LIB/such.so'", "'/no/such.so'"] {
        let ws = unit();
        let script = format!("#!/bin/sh\nexport LD_LIBRARY_PATH={value}\nexec g++ \"$@\"\n");
        let wrapper = ws.script("wrapper", &script);
        let args = args(&wrapper);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        for _ in 0..2 {
            ws.build(&args).misses(1).same_as(&ws.kept(&args));
        }
    }
}
