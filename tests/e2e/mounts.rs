//! Mounts while a compile runs. A mount changes no time of a file, so that only the mount table can tell.
//! Each test is this program again, in a name space with mounts of its own.

use std::env;
use std::fs;
use std::process::{Command, Stdio};

use crate::support::poll;
use crate::support::toolkit::Toolkit;
use crate::support::workspace::{Workspace, make_executable};
use crate::traps_environment::toolkit_of_links;

const INSIDE: &str = "PCACHE_TEST_MOUNTS";
const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o"];

/// Whether this is the process that may mount. Where it is not, it starts one for `test`: root's, or
/// anybody's where user name spaces are allowed. Where they are not, the test fails.
fn may_mount(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.arg("--mount").arg(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--include-ignored"]);
    command.env(INSIDE, "1").stdout(Stdio::null());
    let status = command.status().expect("unshare");
    assert!(status.success(), "{test} failed in its own process");
    false
}

/// A unit whose cudafe++ runs `change` first, once.
fn unit(change: &str, include: &str) -> Workspace {
    let text = format!(
        "#include {include}\n__global__ void k(int *p) {{ *p = VALUE; }}\nint v() {{ return VALUE; }}\n"
    );
    let mut ws = Workspace::with("unit.cu", &text);
    ws.write("inc/value.h", "#define VALUE 1\n");
    ws.write("other/value.h", "#define VALUE 2\n");
    let bin = toolkit_of_links(&ws).join("bin");
    let real = Toolkit::get().bin().join("cudafe++");
    let tool = bin.join("cudafe++");
    fs::remove_file(&tool).expect("remove the real one");
    let script = format!(
        "#!/bin/sh\nif rm ../flag 2>/dev/null; then sleep 0.05; {change}; fi\nexec {} \"$@\"\n",
        real.display()
    );
    fs::write(&tool, script).expect("a script");
    make_executable(&tool);
    ws.use_nvcc(bin.join("nvcc"));
    ws
}

/// What is mounted and unmounted between the passes and the end: before, during, after, and how the unit includes.
type Case = (&'static str, &'static str, &'static str, &'static str);

const CASES: [Case; 5] = [
    (
        "",
        "mount --bind other/value.h inc/value.h",
        "umount inc/value.h",
        "\"inc/value.h\"",
    ),
    ("", "mount --bind other inc", "umount inc", "<value.h>"),
    (
        "mount --bind other inc",
        "umount inc",
        "",
        "\"inc/value.h\"",
    ),
    (
        "mkdir a b; mount --bind inc a; mount --bind other b; ln -s a/value.h v.h",
        "mount --bind b a",
        "umount a; umount a; umount b",
        "\"v.h\"",
    ),
    (
        "",
        "mount -t tmpfs none inc; echo '#define VALUE 2' > inc/value.h; touch -d 2001-01-01 inc/value.h inc",
        "umount inc",
        "<value.h>",
    ),
];

#[test]
fn what_was_mounted_during_a_compile_is_not_remembered() {
    if may_mount("mounts::what_was_mounted_during_a_compile_is_not_remembered") {
        during(&CASES[0]);
    }
}

#[test]
#[ignore = "long: scripts/test-long"]
fn what_was_mounted_in_other_ways_during_a_compile_is_not_remembered() {
    if may_mount("mounts::what_was_mounted_in_other_ways_during_a_compile_is_not_remembered") {
        CASES[1..].iter().for_each(during);
    }
}

/// The result is of the old files, and is not to be found by the new ones.
fn during((before, change, after, include): &Case) {
    let ws = unit(change, include);
    let shell = |line: &str| {
        let mut command = ws.command("sh");
        command.args(["-ec", line]);
        ws.run(command).succeeds();
    };
    shell(before);
    let args = [ARGS, &["-Iinc"]].concat();
    // A toolkit that was made just now is not trusted at once.
    poll::until("a direct hit", || {
        (ws.build(&args).counted.direct_hits > 0).then_some(())
    });
    ws.edit("unit.cu", "int v()", "int w()");
    let flag = ws.root().join("flag");
    fs::write(&flag, "").expect("a flag");
    ws.run(ws.ours(&args)).succeeds().does_not_hit_directly();
    assert!(!flag.exists(), "cudafe++ never ran");
    ws.remove("unit.o");
    let changed = ws.build(&args);
    changed.does_not_hit_directly().same_as(&ws.kept(&args));
    shell(after);
}

/// A host source is read twice: by its pass, and by the compile.
#[test]
fn a_mount_between_pass_and_compile_is_no_result_of_the_pass() {
    if !may_mount("mounts::a_mount_between_pass_and_compile_is_no_result_of_the_pass") {
        return;
    }
    let ws = Workspace::with(
        "a.cpp",
        "#include \"inc/value.h\"\nint v() { return VALUE; }\n",
    );
    ws.write("inc/value.h", "#define VALUE 1\n");
    ws.write("other/value.h", "#define VALUE 2\n");
    ws.script(
        "compiler",
        "#!/bin/sh\ncase \" $* \" in *\" -E \"*) ;; *\" -c \"*) \
         if rm ../flag 2>/dev/null; then mount --bind other inc; fi ;; esac\nexec g++ \"$@\"\n",
    );
    let args = ["-ccbin", "./compiler", "-c", "a.cpp", "-o", "a.o"];
    // The toolkit is known before.
    ws.build(&args).succeeds();
    ws.edit("a.cpp", "int v", "int w");
    let flag = ws.root().join("flag");
    fs::write(&flag, "").expect("a flag");
    ws.run(ws.ours(&args)).succeeds();
    assert!(!flag.exists(), "the compiler never ran");
    let mut unmount = ws.command("umount");
    unmount.arg("inc");
    ws.run(unmount).succeeds();
    ws.remove("a.o");
    ws.build(&args).misses(1).same_as(&ws.kept(&args));
}

/// Mounts that were there before are no trouble.
#[test]
fn what_was_mounted_before_is_remembered() {
    if !may_mount("mounts::what_was_mounted_before_is_remembered") {
        return;
    }
    let ws = unit("true", "\"inc/value.h\"");
    let mut mount = ws.command("mount");
    mount.args(["--bind", "other", "inc"]);
    ws.run(mount).succeeds();
    ws.build(ARGS).misses(1);
    poll::until("a direct hit", || {
        (ws.build(ARGS).counted.direct_hits > 0).then_some(())
    });
    let mut unmount = ws.command("umount");
    unmount.arg("inc");
    ws.run(unmount).succeeds();
    ws.build(ARGS).same_as(&ws.kept(ARGS));
}
