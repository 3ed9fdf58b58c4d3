//! What GCC's and clang's own drivers find along their search paths: specs and configuration files, compilers proper
//! and assemblers. Change one thing that no command line shows, build again, compare with nvcc.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::host_compilers::{Again, UNSEEN, args, change_shows, part, unit, which};
use crate::support::workspace::{Workspace, make_executable};

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

const MARK: &str = "--defsym=marker=1";

/// Where a part appears, its name, and what it adds.
const PARTS: [(&str, &str, &str); 5] = [
    ("COMPILER_PATH", "as", MARK),
    ("COMPILER_PATH", "cc1plus", "-finstrument-functions"),
    ("COMPILER_PATH", "x86_64-linux-gnu-as", MARK),
    ("beside", "as", MARK),
    ("tools", "as", MARK),
];

#[test]
fn assembler_that_appears_earlier_is_a_miss() {
    parts_count(&PARTS[..1]);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn part_of_the_compiler_that_appears_earlier_is_a_miss() {
    parts_count(&PARTS[1..]);
}

/// GCC passes over a file that it may not execute.
#[test]
fn assembler_that_becomes_a_program_is_a_miss() {
    for becomes in ["program", "found behind"] {
        eprintln!("{becomes}");
        let mut ws = unit();
        let (first, second) = (ws.side("first"), ws.side("second"));
        let place = first.join("as");
        part(&ws, &place, &which("as"), MARK);
        fs::set_permissions(&place, Permissions::from_mode(0o644)).expect("no program");
        let path = format!("{}:{}", first.display(), second.display());
        ws.set_env("COMPILER_PATH", path);
        change_shows(&mut ws, Path::new("g++"), Again::Hits, |ws| match becomes {
            "program" => {
                fs::set_permissions(&place, Permissions::from_mode(0o755)).expect("a program")
            }
            _ => part(ws, &second.join("as"), &which("as"), MARK),
        });
    }
}

fn parts_count(members: &[(&str, &str, &str)]) {
    let assembler = which("as");
    for &(where_, name, flag) in members {
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

/// A copy of clang's driver in a folder of its own, where a configuration file can be put beside it.
pub fn copied_clang(ws: &Workspace) -> PathBuf {
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
    driver
}

#[test]
fn configuration_file_of_clang_is_a_miss() {
    let mut ws = unit();
    let driver = copied_clang(&ws);
    let settings = driver.with_extension("cfg");
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
