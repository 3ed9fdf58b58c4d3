//! Values of macros and variables whose names say that they are secret: they stand in no file of the cache, in no
//! log, and in nothing that `pcache` prints. Results themselves are what nvcc makes of them, so that no source here
//! uses one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::host_compilers::settle;
use crate::support::tree::Tree;
use crate::support::workspace::{Workspace, program};

/// What every secret here begins with, in whatever place it stands.
const SECRET: &str = "hunter2abc";

const SOURCE: &str =
    "__global__ void external(int *p) { *p = 1; }\nint host(int a) { return a + 1; }\n";

/// One secret in each place that an ordinary compile has for macros.
const ARGS: &[&str] = &[
    "-c",
    "unit.cu",
    "-o",
    "unit.o",
    "-DDB_PASSWORD=hunter2abc1",
    "-D",
    "AUTH_HEADER=\"hunter2abc two words\"",
    "--define-macro=other=1,user_passwd=hunter2abc3",
    "-DMAKE_SECRET(x)=hunter2abc4",
    "-Xcompiler",
    "-DHOST_KEY=hunter2abc5",
    "-Xcompiler=-DPLAIN=1,-DHOST_TOKEN=hunter2abc6,-DLAST=1",
    "--options-file",
    "options",
];

fn scene() -> Workspace {
    let mut ws = Workspace::with("unit.cu", SOURCE);
    ws.write("options", "-DUSER_CREDENTIAL=hunter2abc7\n");
    ws.set_env("NVCC_APPEND_FLAGS", "-DAPI_TOKEN=hunter2abc8 -DN=1");
    ws.set_env("NVCC_PREPEND_FLAGS", "-DMONKEY=hunter2abc9");
    ws.set_env("GITHUB_TOKEN", "hunter2abc10");
    ws.set_env("PCACHE_LOG", ws.root().join("log"));
    ws
}

/// Whatever `pcache` says with these arguments, on both streams.
fn said(ws: &Workspace, arguments: &[&str]) -> String {
    let mut command = ws.command(program("pcache"));
    let output = command.args(arguments).output().expect("pcache runs");
    let bytes = [output.stdout, output.stderr].concat();
    String::from_utf8(bytes).expect("UTF-8")
}

fn holds(bytes: &[u8]) -> bool {
    bytes
        .windows(SECRET.len())
        .any(|found| found == SECRET.as_bytes())
}

/// Every file below `root` that has a secret in it, or in its name.
fn leaks(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        match fs::read_dir(&path) {
            Ok(children) => left.extend(children.map(|child| child.expect("a child").path())),
            Err(_) => {
                let text = fs::read(&path).expect("a file");
                found.extend(holds(&text).then(|| path.clone()));
            }
        }
        assert!(!holds(path.as_os_str().as_encoded_bytes()), "{path:?}");
    }
    found
}

#[track_caller]
fn nothing_leaks(ws: &Workspace) {
    let cache = ws.root().join("cache");
    assert!(
        Tree::read(&cache).names().len() > 5,
        "there is something to look at"
    );
    assert_eq!(leaks(&cache), [] as [PathBuf; 0]);
    let log = fs::read(ws.root().join("log")).expect("a log");
    assert!(!holds(&log), "{}", String::from_utf8_lossy(&log));
    for line in [
        "explain --last 50",
        "explain --last 50 --json",
        "list",
        "list --json",
        "trace",
        "report",
        "stats",
        "stats --json",
        "stats --since 1h",
        "stats --prometheus",
        "doctor",
        "doctor --json",
        "config",
        "config --json",
        "verify",
        "verify --json",
        "gc",
    ] {
        let arguments: Vec<_> = line.split(' ').collect();
        let said = said(ws, &arguments);
        assert!(
            !said.is_empty() && !holds(said.as_bytes()),
            "{line}: {said}"
        );
    }
}

#[test]
fn secret_values_are_in_no_file_and_no_output() {
    let ws = scene();
    ws.build(ARGS).misses(1);
    ws.build(ARGS).hits_directly(1);
    // A comment, a changed line, and a change that only adds a stage.
    ws.write("unit.cu", format!("{SOURCE}// comment\n"));
    ws.build(ARGS).hits(1);
    ws.write("unit.cu", SOURCE.replace("a + 1", "a + 2"));
    ws.build(ARGS).misses(1);
    nothing_leaks(&ws);
}

#[test]
fn secret_that_changes_is_a_miss_that_says_so_and_no_more() {
    let mut ws = scene();
    // The macros act on nothing, so an edit makes each compile a miss.
    let compile = |ws: &Workspace, args: &[&str], value: u32| {
        ws.write(
            "unit.cu",
            SOURCE.replace("*p = 1", &format!("*p = {value}")),
        );
        ws.build(args).misses(1);
    };
    compile(&ws, ARGS, 1);
    let mut changed = ARGS.to_vec();
    changed[4] = "-DDB_PASSWORD=hunter2abc-other";
    compile(&ws, &changed, 2);
    let told = said(&ws, &["explain"]);
    let line = "    flag --define-macro: -DDB_PASSWORD=… → -DDB_PASSWORD=… (the values differ; they are not kept)\n";
    assert!(told.contains(line), "{told}");
    assert_eq!(told.matches("    flag").count(), 1, "{told}");
    ws.set_env("NVCC_APPEND_FLAGS", "-DAPI_TOKEN=hunter2abc-new -DN=1");
    compile(&ws, &changed, 3);
    let told = said(&ws, &["explain"]);
    let line = "    flag --define-macro: -DAPI_TOKEN=… → -DAPI_TOKEN=… (from NVCC_APPEND_FLAGS; the values differ; they are not kept)\n";
    assert!(told.contains(line), "{told}");
    // Values of other names are told as ever, where they follow a secret too.
    ws.set_env("NVCC_APPEND_FLAGS", "-DAPI_TOKEN=hunter2abc-new -DN=2");
    compile(&ws, &changed, 4);
    let told = said(&ws, &["explain"]);
    let line = "    flag --define-macro: -DN=1 → -DN=2 (from NVCC_APPEND_FLAGS)\n";
    assert!(told.contains(line), "{told}");
    let mut fewer = changed.clone();
    fewer.remove(4);
    compile(&ws, &fewer, 5);
    let told = said(&ws, &["explain", "--json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let differences = told[0]["differences"].as_array().expect("differences");
    let is_told = |difference: &Value| difference["old"] == "-DDB_PASSWORD=…";
    assert!(differences.iter().any(is_told), "{told:#}");
    nothing_leaks(&ws);
}

#[test]
fn plans_that_hold_secrets_are_remembered_without_them() {
    let ws = scene();
    ws.build(ARGS).misses(1);
    ws.write("unit.cu", SOURCE.replace("a + 1", "a + 2"));
    ws.build(ARGS).misses(1);
    let log = fs::read_to_string(ws.root().join("log")).expect("a log");
    assert_eq!(log.matches("plan: remembered").count(), 1, "{log}");
    nothing_leaks(&ws);
}

#[test]
fn questions_to_a_program_in_front_of_gcc_hold_no_secrets() {
    let ws = scene();
    let wrapper = ws.script("wrapper", "#!/bin/sh\nexec g++ \"$@\"\n");
    settle(&wrapper);
    let ccbin = format!("-ccbin={}", wrapper.display());
    let args = [ARGS, &[&ccbin]].concat();
    ws.build(&args).misses(1);
    ws.build(&args).hits_directly(1);
    nothing_leaks(&ws);
}

#[test]
fn what_goes_to_nvcc_leaves_no_secret_either() {
    let mut ws = scene();
    // For the shell; refused by nvcc; an error in the source; a macro's value that looks like a source.
    for last in [
        &["-DAPI_KEY=$hunter2abc"][..],
        &["-DAPI_KEY=hunter2abc", "-arch=sm_1"],
        &["-Xcompiler", "-DAPI_KEY=hunter2abc,-fplugin=x"],
        &["-D", "API_KEY=hunter2abc.cu", "-E"],
        &["-DAPI_KEY=hunter2abc\tx", "-unknown"],
    ] {
        let _ = ws.build(&[ARGS, last].concat());
    }
    ws.write("unit.cu", "#error no\n");
    let _ = ws.build(ARGS);
    ws.set_env("PCACHE_DISABLE", "1");
    let _ = ws.build(ARGS);
    ws.unset_env("PCACHE_DISABLE");
    nothing_leaks(&ws);
}

#[test]
fn doctor_shows_flags_without_their_secrets() {
    let mut ws = scene();
    let cache = ws.script("ccache", "#!/bin/sh\nexec g++ \"$@\"\n");
    let flags = format!("-DAPI_TOKEN=hunter2abc -ccbin {}", cache.display());
    ws.set_env("NVCC_APPEND_FLAGS", &flags);
    ws.set_env(
        "CMAKE_ARGS",
        "-DAPI_TOKEN=hunter2abc -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache",
    );
    let told = said(&ws, &["doctor"]);
    assert!(
        told.contains("NVCC_APPEND_FLAGS=-DAPI_TOKEN=<hidden:"),
        "{told}"
    );
    assert!(told.contains("CMAKE_ARGS=-DAPI_TOKEN=<hidden:"), "{told}");
    assert!(
        told.contains("between nvcc and its host compiler"),
        "{told}"
    );
    assert!(!holds(told.as_bytes()), "{told}");
}

#[test]
fn samples_are_not_compiled_again_without_their_secrets() {
    let ws = scene();
    ws.build(ARGS).misses(1);
    let told = said(&ws, &["verify", "--recompile", "1", "--json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["recompiled"]["passed"], 1, "{told:#}");
}
