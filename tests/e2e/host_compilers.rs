//! Programs in front of a host compiler: launchers, OpenMPI's wrapper, ccache. Change one thing that no source and no
//! command line shows, build again, compare with nvcc. `host_scripts` and `host_parts` begin with the helpers here.

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
    /// In any way: tools that are younger than 2 s are not remembered.
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
