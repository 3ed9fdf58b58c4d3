//! Host compilers that are more than one file: programs and scripts in front of a compiler, and drivers that
//! find their parts, specs and configuration files along a search path. Change one thing that no source and
//! no command line shows, build again, compare with nvcc.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::support::trap::rebuild_and_compare;
use crate::support::workspace::Workspace;

/// Flags that no pass shows: only the host compile's own object does.
pub const UNSEEN: [&str; 2] = ["-fno-stack-protector", "-finstrument-functions"];

/// A unit in whose object the host compiler's flags show.
pub fn unit() -> Workspace {
    Workspace::with(
        "unit.cu",
        "#ifndef VALUE\n#define VALUE 1\n#endif\n\
         __global__ void external(int *p) { *p = VALUE; }\nint host(int a) { return a + VALUE; }\n",
    )
}

pub fn args(ccbin: &Path) -> Vec<String> {
    let ccbin = format!("-ccbin={}", ccbin.display());
    ["-c", "unit.cu", "-o", "unit.o", &ccbin]
        .map(str::to_owned)
        .into()
}

/// How the build after a changed one is answered.
#[derive(Clone, Copy)]
pub enum Again {
    /// By direct mode.
    HitsDirectly,
    /// In any way: tools that are younger than 2 s are not remembered, and clang has no direct mode.
    Hits,
}

/// Builds with `ccbin` before and after `change`, which must show as it does with nvcc. The next build hits.
#[track_caller]
pub fn change_shows(
    ws: &mut Workspace,
    ccbin: &Path,
    expected: Again,
    change: impl FnOnce(&mut Workspace),
) {
    let args = args(ccbin);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    if matches!(expected, Again::HitsDirectly) {
        settle(ccbin);
    }
    let rebuilt = rebuild_and_compare(ws, &args, change);
    let again = ws.build(&args);
    again.same_as(&rebuilt.changed);
    match expected {
        Again::HitsDirectly => again.hits_directly(1),
        Again::Hits => again.hits(1),
    };
}

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

/// Waits until a compiler that the test made is old enough to be remembered.
pub fn settle(ccbin: &Path) {
    let Ok(written) = ccbin.symlink_metadata().and_then(|file| file.modified()) else {
        return;
    };
    let old_enough = written + Duration::from_millis(2100);
    if let Ok(rest) = old_enough.duration_since(SystemTime::now()) {
        thread::sleep(rest);
    }
}

/// A C program in the workspace that starts a compiler.
fn program(ws: &Workspace, name: &str, text: &str) -> PathBuf {
    let source = ws.write(&format!("{name}.c"), text);
    let built = ws.path(name);
    let mut gcc = Command::new("gcc");
    let status = gcc
        .args(["-o".as_ref(), built.as_os_str(), source.as_os_str()])
        .status();
    assert!(status.expect("run gcc").success(), "gcc {name}.c");
    fs::remove_file(source).expect("remove the source");
    built
}

/// Starts g++ with what `FLAGS` says in front of the arguments.
const LAUNCHER: &str = r#"
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char **args = malloc((argc + 2) * sizeof *args);
    args[0] = "g++";
    args[1] = getenv("FLAGS") ? getenv("FLAGS") : "-g0";
    for (int i = 1; i <= argc; i++) args[i + 1] = argv[i];
    execv("/usr/bin/g++", args);
    return 127;
}
"#;

/// A program that passes on to GCC's own part, whose object or text shows that it ran.
pub fn part(ws: &Workspace, place: &Path, real: &Path, flag: &str) {
    let text = LAUNCHER.replace("/usr/bin/g++", &real.display().to_string());
    let text = text.replace(
        "getenv(\"FLAGS\") ? getenv(\"FLAGS\") : \"-g0\"",
        &format!("\"{flag}\""),
    );
    let built = program(ws, "part", &text);
    fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
    fs::rename(built, place).expect("put the part in its place");
}

#[test]
fn flags_that_a_launching_program_takes_from_a_variable_are_a_miss() {
    let mut ws = unit();
    let launcher = program(&ws, "launcher", LAUNCHER);
    change_shows(&mut ws, &launcher, Again::HitsDirectly, |ws| {
        ws.set_env("FLAGS", UNSEEN[1])
    });
}

#[test]
fn what_openmpis_wrapper_is_told_is_a_miss() {
    let mpicxx = Path::new("mpicxx");
    type Change = fn(&mut Workspace);
    let change: [(&str, Change); 4] = [
        ("flags", |ws| ws.set_env("OMPI_CXXFLAGS", UNSEEN[1])),
        ("preprocessor flags", |ws| {
            ws.set_env("OMPI_CPPFLAGS", "-DVALUE=2")
        }),
        ("compiler", |ws| {
            let other = ws.script(
                "other",
                "#!/bin/sh\nexec g++ -finstrument-functions \"$@\"\n",
            );
            ws.set_env("OMPI_CXX", other);
        }),
        ("data file", |ws| {
            let data = ws.path("prefix/share/openmpi/mpicxx-wrapper-data.txt");
            let text = fs::read_to_string(&data).expect("the wrapper's data");
            let flags = text.replace("compiler_flags=", "compiler_flags=-finstrument-functions ");
            fs::write(&data, flags).expect("edit the wrapper's data");
        }),
    ];
    for (what, change) in change {
        let mut ws = unit();
        let data = ws.path("prefix/share/openmpi");
        fs::create_dir_all(&data).expect("a folder");
        for name in ["mpicxx-wrapper-data.txt", "help-opal-wrapper.txt"] {
            let from = Path::new("/usr/share/openmpi").join(name);
            fs::copy(&from, data.join(name)).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
        }
        ws.set_env("OPAL_DATADIR", ws.path("prefix/share"));
        eprintln!("the wrapper's {what}");
        change_shows(&mut ws, mpicxx, Again::HitsDirectly, change);
    }
}

#[test]
fn compiler_that_ccache_is_told_to_use_is_a_miss() {
    let mut ws = unit();
    let ccache = which("ccache");
    let link = ws.side("ccache-links").join("g++");
    symlink(ccache, &link).expect("a link to ccache");
    let other = ws.script(
        "other",
        "#!/bin/sh\nexec g++ -finstrument-functions \"$@\"\n",
    );
    ws.set_env("CCACHE_DIR", ws.side("ccache"));
    change_shows(&mut ws, &link, Again::HitsDirectly, |ws| {
        ws.set_env("CCACHE_COMPILER", other)
    });
}

pub fn which(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|dir| dir.join(name));
    places
        .find(|place| place.is_file())
        .unwrap_or_else(|| panic!("no {name} on PATH; install it"))
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
