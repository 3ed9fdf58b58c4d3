//! Change one thing outside the sources: environment, option files, host compiler, toolkit,
//! driver. Build again, compare with nvcc.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::toolkit::Toolkit;
use crate::support::trap::rebuild_and_compare;
use crate::support::workspace::{Workspace, make_executable};

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o"];

/// A unit whose VALUE is 1 unless something outside says otherwise.
fn unit() -> Workspace {
    Workspace::with(
        "unit.cu",
        "#ifndef VALUE\n#define VALUE 1\n#endif\n\
         __global__ void external(int *p) { *p = VALUE; }\nint host() { return VALUE; }\n",
    )
}

#[test]
fn prepended_flags_are_a_miss() {
    let mut ws = unit();
    let rebuilt = rebuild_and_compare(&mut ws, ARGS, |ws| {
        ws.set_env("NVCC_PREPEND_FLAGS", "-DVALUE=2")
    });
    rebuilt.changed.misses(1);
    ws.unset_env("NVCC_PREPEND_FLAGS");
    ws.build(ARGS).hits(1).same_as(&rebuilt.first);
}

#[test]
fn appended_flags_are_a_miss() {
    let mut ws = unit();
    rebuild_and_compare(&mut ws, ARGS, |ws| {
        ws.set_env("NVCC_APPEND_FLAGS", "-DVALUE=2")
    });
}

#[test]
fn changed_environment_flags_are_a_miss() {
    let mut ws = unit();
    ws.set_env("NVCC_APPEND_FLAGS", "-DVALUE=2");
    rebuild_and_compare(&mut ws, ARGS, |ws| {
        ws.set_env("NVCC_APPEND_FLAGS", "-DVALUE=3")
    });
}

#[test]
fn arch_from_the_environment_reaches_ptx_and_cubins() {
    for kind in ["-ptx", "-cubin"] {
        let mut ws = unit();
        ws.set_env("NVCC_APPEND_FLAGS", "-arch=sm_80");
        rebuild_and_compare(&mut ws, &[kind, "unit.cu", "-o", "out"], |ws| {
            ws.set_env("NVCC_APPEND_FLAGS", "-arch=sm_90");
        });
    }
}

#[test]
fn output_kind_from_the_environment_is_respected() {
    let mut ws = unit();
    ws.set_env("NVCC_PREPEND_FLAGS", "-ptx");
    let args = ["unit.cu", "-o", "out"];
    ws.build(&args).misses(1).same_as(&ws.kept(&args));
    ws.build(&args).hits(1).same_as(&ws.kept(&args));
}

#[test]
fn ptx_only_arch_that_changes_is_a_miss() {
    let ws = unit();
    let args = |arch| [ARGS, &["-gencode", arch]].concat();
    let first = ws.build(&args("arch=compute_80,code=compute_80"));
    first.misses(1);
    let newer = args("arch=compute_90,code=compute_90");
    ws.build(&newer)
        .misses(1)
        .same_as(&ws.kept(&newer))
        .differs_from(&first);
    let real = args("arch=compute_90,code=sm_90");
    ws.build(&real).misses(1).same_as(&ws.kept(&real));
}

#[test]
fn joined_option_file_edit_is_a_miss() {
    let mut ws = unit();
    ws.write("flags.rsp", "-DVALUE=1\n");
    let args = [ARGS, &["-optf=flags.rsp"]].concat();
    rebuild_and_compare(&mut ws, &args, |ws| ws.edit("flags.rsp", "=1", "=2"));
}

#[test]
fn nested_option_file_edit_is_a_miss() {
    let mut ws = unit();
    ws.write("outer.rsp", "--options-file inner.rsp\n");
    ws.write("inner.rsp", "-D VALUE=1 -Xcompiler \"-fPIC\"\n");
    let args = [ARGS, &["--options-file", "outer.rsp"]].concat();
    rebuild_and_compare(&mut ws, &args, |ws| ws.edit("inner.rsp", "=1", "=2"));
}

#[test]
fn option_file_with_the_same_meaning_is_a_hit() {
    let ws = unit();
    ws.write("flags.rsp", "-DVALUE=2\n");
    let first = ws.build(&[ARGS, &["-DVALUE=2"]].concat());
    first.misses(1);
    ws.build(&[ARGS, &["-optf", "flags.rsp"]].concat())
        .hits(1)
        .same_as(&first);
}

#[test]
fn host_compiler_script_edit_is_a_miss() {
    let mut ws = unit();
    let script = ws.script("my-g++", "#!/bin/sh\nexec g++ -DVALUE=1 \"$@\"\n");
    let ccbin = format!("-ccbin={}", script.display());
    let args = [ARGS, &[&ccbin]].concat();
    rebuild_and_compare(&mut ws, &args, |ws| ws.edit("my-g++", "VALUE=1", "VALUE=2"));
}

/// 12.4 does not read NVCC_CCBIN: there it must change nothing.
fn knows_nvcc_ccbin(ws: &mut Workspace) -> bool {
    ws.set_env("NVCC_CCBIN", "/no/such/folder/g++");
    let asked = ws.plain(&["--dryrun", "-c", "unit.cu"]);
    let knows = asked.status != 0 || asked.err().contains("/no/such/folder");
    if !knows {
        ws.build(ARGS).misses(1);
        ws.unset_env("NVCC_CCBIN");
        ws.build(ARGS).hits(1);
    }
    ws.unset_env("NVCC_CCBIN");
    knows
}

#[test]
fn host_compiler_folder_is_respected() {
    let mut ws = unit();
    for (dir, value) in [("one", 1), ("two", 2)] {
        let text = format!("#!/bin/sh\nexec /usr/bin/g++ -DVALUE={value} \"$@\"\n");
        for name in ["g++", "gcc"] {
            ws.script(
                &format!("{dir}/{name}"),
                &text.replace("bin/g++", &format!("bin/{name}")),
            );
        }
    }
    if knows_nvcc_ccbin(&mut ws) {
        ws.set_env("NVCC_CCBIN", ws.path("one"));
        rebuild_and_compare(&mut ws, ARGS, |ws| ws.set_env("NVCC_CCBIN", ws.path("two")));
    }
}

#[test]
fn host_compiler_of_the_environment_is_a_miss() {
    let mut ws = unit();
    let script = ws.script("my-g++", "#!/bin/sh\nexec g++ -DVALUE=5 \"$@\"\n");
    if knows_nvcc_ccbin(&mut ws) {
        rebuild_and_compare(&mut ws, ARGS, |ws| ws.set_env("NVCC_CCBIN", &script));
    }
}

#[test]
fn host_compiler_found_first_in_path_is_a_miss() {
    let mut ws = unit();
    let bin = ws.side("bin");
    rebuild_and_compare(&mut ws, ARGS, |ws| {
        for name in ["g++", "gcc"] {
            let text = format!("#!/bin/sh\nexec /usr/bin/{name} -DVALUE=7 \"$@\"\n");
            fs::write(bin.join(name), text).expect("a script");
            make_executable(&bin.join(name));
        }
        ws.set_path(&[&bin, &Toolkit::get().bin()]);
    });
}

/// A toolkit of links to the real one, with its own nvcc and nvcc.profile.
pub fn toolkit_of_links(ws: &Workspace) -> PathBuf {
    let real = Toolkit::get().root();
    let farm = ws.side("toolkit");
    let link_all = |from: &PathBuf, to: &PathBuf| {
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).expect("a toolkit folder") {
            let entry = entry.expect("an entry");
            let to = to.join(entry.file_name());
            if !to.exists() {
                symlink(entry.path(), to).expect("a link");
            }
        }
    };
    let bin = farm.join("bin");
    fs::create_dir_all(&bin).expect("a folder");
    for own in ["nvcc", "nvcc.profile"] {
        fs::copy(real.join("bin").join(own), bin.join(own)).expect("a copy");
    }
    link_all(&real.join("bin"), &bin);
    link_all(&real.to_path_buf(), &farm);
    farm
}

/// A GCC of links to the one on PATH, with a driver of its own, so that it looks for headers beside
/// itself: the driver, and the first folder that it looks in.
pub fn gcc_of_links(ws: &Workspace) -> (PathBuf, PathBuf) {
    let real = which::which("gcc").expect("gcc on PATH");
    let driver = real.canonicalize().expect("a driver");
    let prefix = driver.ancestors().nth(2).expect("a folder above bin/");
    let asked = Command::new(&real).arg("-print-file-name=include").output();
    let headers = String::from_utf8(asked.expect("gcc answers").stdout).expect("UTF-8");
    let headers = PathBuf::from(headers.trim_end());
    let parts = headers.parent().expect("a folder");
    let farm = ws.side("gcc");
    let own = farm.join(parts.strip_prefix(prefix).expect("parts below the prefix"));
    let link_all = |from: &Path, to: &Path| {
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).expect("a folder of gcc's") {
            let entry = entry.expect("an entry");
            let to = to.join(entry.file_name());
            if !to.exists() {
                symlink(entry.path(), to).expect("a link");
            }
        }
    };
    link_all(&headers, &own.join("include"));
    link_all(parts, &own);
    symlink(prefix.join("include"), farm.join("include")).expect("a link");
    fs::create_dir(farm.join("bin")).expect("a folder");
    fs::copy(&driver, farm.join("bin/gcc")).expect("a copy");
    (farm.join("bin/gcc"), own.join("include"))
}

/// nvcc looks for headers in `targets/` beside its `bin/` as soon as there is such a folder.
#[test]
fn targets_that_appear_beside_nvcc_are_a_miss() {
    let mut ws = Workspace::with(
        "unit.cu",
        "#ifndef VALUE\n#define VALUE 1\n#endif\n__global__ void k(int *p) { *p = VALUE; }\n",
    );
    let farm = toolkit_of_links(&ws);
    ws.use_nvcc(farm.join("bin/nvcc"));
    ws.set_path(&[&farm.join("bin")]);
    // As in the profiles of NVIDIA's installers.
    let profile = farm.join("bin/nvcc.profile");
    let text = fs::read_to_string(&profile).expect("a profile");
    let text = text.replace("$(TOP)/include\"", "$(TOP)/$(_TARGET_DIR_)/include\"");
    fs::write(&profile, text).expect("a profile");
    // Old enough for the toolchain to be remembered.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let args = ["-c", "unit.cu"];
    let first = ws.build(&args);
    ws.build(&args).hits_directly(1).same_as(&first);
    let include = farm.join("targets/x86_64-linux/include");
    fs::create_dir_all(&include).expect("a folder");
    let real = Toolkit::get().root().join("include");
    let wrapped = format!(
        "#define VALUE 2\n#include \"{}/cuda_runtime.h\"\n",
        real.display()
    );
    fs::write(include.join("cuda_runtime.h"), wrapped).expect("a header");
    for entry in fs::read_dir(&real).expect("headers") {
        let entry = entry.expect("an entry");
        let to = include.join(entry.file_name());
        if !to.exists() {
            symlink(entry.path(), to).expect("a link");
        }
    }
    let changed = ws.build(&args);
    changed.does_not_hit_directly().same_as(&ws.kept(&args));
    changed.differs_from(&first);
    fs::remove_dir_all(farm.join("targets")).expect("removed");
    ws.build(&args).same_as(&first);
}

#[test]
fn edited_nvcc_profile_is_a_miss() {
    let mut ws = unit();
    let profile = toolkit_of_links(&ws).join("bin/nvcc.profile");
    ws.use_nvcc(profile.with_file_name("nvcc"));
    rebuild_and_compare(&mut ws, ARGS, |_| {
        let text = fs::read_to_string(&profile).expect("the profile");
        fs::write(&profile, text + "\nINCLUDES += -DVALUE=2 $(_SPACE_)\n").expect("edit it");
    });
}

#[test]
fn replaced_cuda_tool_is_a_miss() {
    let mut ws = unit();
    let bin = toolkit_of_links(&ws).join("bin");
    ws.use_nvcc(bin.join("nvcc"));
    rebuild_and_compare(&mut ws, ARGS, |_| {
        let real = Toolkit::get().bin().join("ptxas");
        fs::remove_file(bin.join("ptxas")).expect("remove the link");
        let script = format!("#!/bin/sh\nexec {} -O0 \"$@\"\n", real.display());
        fs::write(bin.join("ptxas"), script).expect("a script");
        make_executable(&bin.join("ptxas"));
    });
}

/// A folder that holds a driver of this version, for LD_LIBRARY_PATH.
pub fn driver(ws: &Workspace, version: &str) -> PathBuf {
    let dir = ws.side(&format!("driver-{version}"));
    fs::write(dir.join(format!("libcuda.so.{version}")), "").expect("a driver");
    symlink(format!("libcuda.so.{version}"), dir.join("libcuda.so.1")).expect("a link");
    dir
}

#[test]
fn another_driver_is_a_miss() {
    let mut ws = unit();
    let (old, new) = (driver(&ws, "999.1"), driver(&ws, "999.2"));
    let first = ws.build(ARGS);
    first.misses(1);
    for dir in [old, new] {
        ws.set_env("LD_LIBRARY_PATH", &dir);
        ws.build(ARGS).misses(1).same_as(&first);
        ws.build(ARGS).hits(1).same_as(&first);
    }
    ws.unset_env("LD_LIBRARY_PATH");
    ws.build(ARGS).hits(1).same_as(&first);
}

#[test]
fn driver_that_the_setting_names_is_that_of_every_machine() {
    let mut ws = unit();
    let (old, new) = (driver(&ws, "999.1"), driver(&ws, "999.2"));
    ws.set_env("PCACHE_DRIVER", "999.2");
    let first = ws.build(ARGS);
    first.misses(1);
    for dir in [&old, &new] {
        ws.set_env("LD_LIBRARY_PATH", dir);
        ws.build(ARGS).hits_directly(1).same_as(&first);
    }
    ws.set_env("PCACHE_DRIVER", "none");
    ws.build(ARGS).misses(1).same_as(&first);
    if !Path::new("/proc/driver/nvidia/version").exists() {
        // The result of a machine that detects this driver is the same result.
        ws.set_env("PCACHE_DRIVER", "auto");
        ws.build(ARGS).hits_directly(1).same_as(&first);
    }
}

#[test]
fn driver_that_the_setting_names_is_looked_for_nowhere() {
    let mut ws = unit();
    let dir = ws.side("pipe");
    // Reading it would wait for a writer, for ever.
    let made = Command::new("mkfifo")
        .arg(dir.join("libcuda.so.1"))
        .status();
    assert!(made.expect("run mkfifo").success());
    ws.set_env("LD_LIBRARY_PATH", &dir);
    ws.set_env("PCACHE_DRIVER", "999.1");
    ws.build(ARGS).misses(1);
    ws.build(ARGS).hits_directly(1);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn include_folders_of_the_environment_are_respected() {
    for name in ["CPATH", "CPLUS_INCLUDE_PATH"] {
        let mut ws = Workspace::with(
            "unit.cu",
            "#include <value.h>\n__global__ void external(int *p) { *p = VALUE; }\n",
        );
        ws.write("one/value.h", "#define VALUE 1\n");
        ws.write("two/value.h", "#define VALUE 2\n");
        ws.set_env(name, "one");
        let rebuilt = rebuild_and_compare(&mut ws, ARGS, |ws| ws.set_env(name, "two"));
        ws.set_env(name, "one");
        ws.build(ARGS).hits(1).same_as(&rebuilt.first);
        ws.edit("one/value.h", "1", "3");
        ws.build(ARGS).misses(1).same_as(&ws.kept(ARGS));
    }
}

#[test]
fn another_locale_gets_its_own_words() {
    let mut ws = Workspace::with("unit.cu", "static int unused() { return 1; }\n");
    let args = [ARGS, &["-Xcompiler", "-Wall"]].concat();
    for locale in ["C", "C.UTF-8", "C"] {
        ws.set_env("LC_ALL", locale);
        ws.build(&args).succeeds().same_as(&ws.kept(&args));
    }
}

#[test]
fn code_for_the_machine_at_hand_is_cached() {
    let ws = unit();
    let args = [ARGS, &["-Xcompiler", "-march=native"]].concat();
    ws.build(&args).misses(1).same_as(&ws.kept(&args));
    ws.build(&args).hits(1).same_as(&ws.kept(&args));
}

#[test]
fn unrelated_variables_do_not_matter() {
    let mut ws = unit();
    ws.build(ARGS).misses(1);
    for (name, value) in [
        ("MAKEFLAGS", "-j4"),
        ("PWD", "/elsewhere"),
        ("USER", "somebody"),
    ] {
        ws.set_env(name, value);
    }
    ws.set_env("TMPDIR", ws.side("other tmp"));
    ws.build(ARGS).hits(1);
}

#[test]
fn a_folder_with_blanks_and_quotes_works() {
    let mut ws = Workspace::new();
    ws.cd("a folder's name");
    ws.write(
        "a folder's name/a unit.cu",
        "__global__ void external(int *p) { *p = 1; }\n",
    );
    let args = [
        "-c",
        "a unit.cu",
        "-o",
        "an object.o",
        "-DTEXT=\"a b\"",
        "-MD",
    ];
    let theirs = ws.kept(&args);
    ws.build(&args).same_as(&theirs);
    ws.build(&args).same_as(&theirs);
}
