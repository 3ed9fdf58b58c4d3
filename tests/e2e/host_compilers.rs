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
use crate::support::workspace::{Workspace, make_executable};

/// Flags that no pass shows: only the host compile's own object does.
const UNSEEN: [&str; 2] = ["-fno-stack-protector", "-finstrument-functions"];

/// A unit in whose object the host compiler's flags show.
fn unit() -> Workspace {
    Workspace::with(
        "unit.cu",
        "#ifndef VALUE\n#define VALUE 1\n#endif\n\
         __global__ void external(int *p) { *p = VALUE; }\nint host(int a) { return a + VALUE; }\n",
    )
}

fn args(ccbin: &Path) -> Vec<String> {
    let ccbin = format!("-ccbin={}", ccbin.display());
    ["-c", "unit.cu", "-o", "unit.o", &ccbin]
        .map(str::to_owned)
        .into()
}

/// How the build after a changed one is answered.
#[derive(Clone, Copy)]
enum Again {
    /// By direct mode.
    HitsDirectly,
    /// In any way: tools that are younger than 2 s are not remembered, and clang has no direct mode.
    Hits,
}

/// Builds with `ccbin` before and after `change`, which must show as it does with nvcc. The next build hits.
#[track_caller]
fn change_shows(
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

/// Waits until a compiler that the test made is old enough to be remembered.
fn settle(ccbin: &Path) {
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

fn which(name: &str) -> PathBuf {
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

#[test]
fn macros_that_a_script_looks_at_are_in_its_questions() {
    for (looks_at, args) in [("*DEBUG*", "-DDEBUG"), ("*forced.h*", "-include=forced.h")] {
        let mut ws = unit();
        ws.write("forced.h", "");
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in {looks_at}) exec g++ $FLAGS \"$@\";; esac\nexec g++ \"$@\"\n"
        );
        let wrapper = ws.script("wrapper", &script);
        let ccbin = format!("-ccbin={}", wrapper.display());
        let all = ["-c", "unit.cu", "-o", "unit.o", &ccbin, args];
        ws.set_env("FLAGS", "-DVALUE=5");
        eprintln!("{args}");
        rebuild_and_compare(&mut ws, &all, |ws| ws.set_env("FLAGS", "-DVALUE=7"));
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
fn wrapper_that_does_not_tell_what_it_runs_is_not_stored() {
    let ws = unit();
    let script = "#!/bin/sh\nfor arg; do [ \"$arg\" = '-###' ] && exit 0; done\nexec g++ \"$@\"\n";
    let wrapper = ws.script("wrapper", script);
    let args = args(&wrapper);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    for _ in 0..2 {
        ws.build(&args).misses(1).same_as(&ws.kept(&args));
    }
}

/// A GCC of the workspace's own: a copy of the driver, with links to its parts below `lib/gcc`.
fn own_gcc(ws: &Workspace) -> (PathBuf, PathBuf) {
    let asked = Command::new("g++").arg("-print-libgcc-file-name").output();
    let asked = String::from_utf8(asked.expect("run g++").stdout).expect("a path");
    let from = Path::new(asked.trim())
        .parent()
        .expect("its folder")
        .to_owned();
    let mut names = from
        .components()
        .rev()
        .map(|name| PathBuf::from(name.as_os_str()));
    let (version, target) = (
        names.next().expect("a version"),
        names.next().expect("a target"),
    );
    let root = ws.side("gcc");
    let lib = root.join("lib/gcc").join(target).join(version);
    fs::create_dir_all(&lib).expect("a folder");
    fs::create_dir_all(root.join("bin")).expect("a folder");
    for entry in fs::read_dir(&from).expect("GCC's parts") {
        let entry = entry.expect("a part");
        symlink(entry.path(), lib.join(entry.file_name())).expect("a link");
    }
    // The headers of C++ are looked for from here too.
    symlink("/usr/include", root.join("include")).expect("a link");
    for name in ["g++", "gcc"] {
        fs::copy(which(name), root.join("bin").join(name)).expect("copy the driver");
    }
    (root.join("bin/g++"), lib)
}

/// Adds a flag to every run of the compiler proper.
const SPECS: &str = "*cc1plus:\n+ -finstrument-functions\n\n";

#[test]
fn specs_file_that_appears_is_a_miss() {
    let places: [fn(&Path) -> PathBuf; 4] = [
        |lib| lib.join("specs"),
        |lib| lib.join("../../../../x86_64-linux-gnu/lib/x86_64-linux-gnu/12/specs"),
        |lib| lib.join("../../specs"),
        |lib| lib.join("../../../../x86_64-linux-gnu/lib/specs"),
    ];
    for place in places {
        let mut ws = unit();
        let (gcc, lib) = own_gcc(&ws);
        let place = place(&lib);
        eprintln!("{}", place.display());
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        change_shows(&mut ws, &gcc, Again::Hits, |_| {
            fs::write(place, SPECS).expect("a specs file")
        });
    }
}

#[test]
fn specs_file_that_is_edited_is_a_miss() {
    let mut ws = unit();
    let (gcc, lib) = own_gcc(&ws);
    let specs = lib.join("specs");
    fs::write(&specs, SPECS.replace("-finstrument-functions", UNSEEN[0])).expect("a specs file");
    change_shows(&mut ws, &gcc, Again::Hits, |_| {
        fs::write(&specs, SPECS).expect("a specs file")
    });
}

#[test]
fn variable_that_a_specs_file_asks_for_is_a_miss() {
    let mut ws = unit();
    let (gcc, lib) = own_gcc(&ws);
    let specs = "*cc1plus:\n+ -DVALUE=%:getenv(MY_VALUE 0)\n\n";
    fs::write(lib.join("specs"), specs).expect("a specs file");
    ws.set_env("MY_VALUE", "3");
    change_shows(&mut ws, &gcc, Again::Hits, |ws| ws.set_env("MY_VALUE", "8"));
}

#[test]
fn specs_file_below_a_directory_of_a_variable_is_a_miss() {
    for variable in ["GCC_EXEC_PREFIX", "LIBRARY_PATH"] {
        let mut ws = unit();
        let (gcc, lib) = own_gcc(&ws);
        let directory = match variable {
            "GCC_EXEC_PREFIX" => lib.join("../.."),
            _ => ws.side("libraries"),
        };
        let directory = directory.canonicalize().expect("a folder");
        ws.set_env(variable, format!("{}/", directory.display()));
        eprintln!("{variable}");
        change_shows(&mut ws, &gcc, Again::Hits, |_| {
            fs::write(directory.join("specs"), SPECS).expect("a specs file");
        });
    }
}

/// A program that passes on to GCC's own part, whose object or text shows that it ran.
fn part(ws: &Workspace, place: &Path, real: &Path, flag: &str) {
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
#[ignore = "long: scripts/test-long"]
fn part_of_the_compiler_that_appears_earlier_is_a_miss() {
    const MARK: &str = "--defsym=marker=1";
    let assembler = which("as");
    let members: [(&str, &str, &str); 5] = [
        ("COMPILER_PATH", "cc1plus", "-finstrument-functions"),
        ("COMPILER_PATH", "as", MARK),
        ("COMPILER_PATH", "x86_64-linux-gnu-as", MARK),
        ("beside", "as", MARK),
        ("tools", "as", MARK),
    ];
    for (where_, name, flag) in members {
        let mut ws = unit();
        let (gcc, lib) = own_gcc(&ws);
        let directory = match where_ {
            "COMPILER_PATH" => ws.side("parts"),
            "beside" => lib.clone(),
            _ => lib.join("../../../../x86_64-linux-gnu/bin"),
        };
        // A driver that was moved looks below itself first.
        let gcc = match where_ {
            "COMPILER_PATH" => PathBuf::from("g++"),
            _ => gcc,
        };
        if where_ == "COMPILER_PATH" {
            ws.set_env("COMPILER_PATH", &directory);
        }
        let real = match name {
            "cc1plus" => lib
                .join("cc1plus")
                .canonicalize()
                .expect("the compiler proper"),
            _ => assembler.clone(),
        };
        eprintln!("{name} in {where_}");
        change_shows(&mut ws, &gcc, Again::Hits, |ws| {
            part(ws, &directory.join(name), &real, flag)
        });
    }
}

#[test]
fn assembler_that_is_a_script_is_not_stored() {
    let mut ws = unit();
    let (gcc, lib) = own_gcc(&ws);
    let script = ws.script("as", "#!/bin/sh\nexec as $ASFLAGS \"$@\"\n");
    fs::rename(script, lib.join("as")).expect("put the assembler in its place");
    let args = args(&gcc);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let first = ws.build(&args);
    first.misses(1).same_as(&ws.kept(&args));
    ws.set_env("ASFLAGS", "--defsym=marker=1");
    ws.build(&args)
        .misses(1)
        .same_as(&ws.kept(&args))
        .differs_from(&first);
}

#[test]
fn configuration_file_of_clang_is_a_miss() {
    let mut ws = unit();
    let clang = which("clang++").canonicalize().expect("clang");
    let resources = Command::new(&clang).arg("-print-resource-dir").output();
    let resources = String::from_utf8(resources.expect("run clang").stdout).expect("a path");
    let resources = Path::new(resources.trim());
    let version = resources.file_name().expect("a version");
    let root = ws.side("clang");
    fs::create_dir_all(root.join("bin")).expect("a folder");
    fs::create_dir_all(root.join("lib/clang")).expect("a folder");
    symlink(resources, root.join("lib/clang").join(version)).expect("a link");
    let driver = root.join("bin/x86_64-linux-gnu-clang++");
    fs::copy(&clang, &driver).expect("copy the driver");
    make_executable(&driver);
    let settings = root.join("bin/x86_64-linux-gnu-clang++.cfg");
    change_shows(&mut ws, &driver, Again::Hits, |_| {
        fs::write(&settings, "-finstrument-functions\n").expect("a configuration file");
    });
    let args = args(&driver);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let before = ws.build(&args);
    fs::write(&settings, "-fno-stack-protector\n").expect("a configuration file");
    ws.build(&args)
        .same_as(&ws.kept(&args))
        .differs_from(&before);
}

#[test]
fn wrappers_of_a_kind_share_no_results_by_name() {
    // The same script text in two places that choose other flags by their own names.
    let ws = unit();
    let script =
        "#!/bin/sh\ncase $0 in *loud*) flag=-finstrument-functions;; esac\nexec g++ $flag \"$@\"\n";
    let (quiet, loud) = (ws.script("quiet", script), ws.script("loud", script));
    let built = [&quiet, &loud].map(|wrapper| {
        let args = args(wrapper);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let built = ws.build(&args);
        built.same_as(&ws.kept(&args));
        built
    });
    built[0].differs_from(&built[1]);
}
