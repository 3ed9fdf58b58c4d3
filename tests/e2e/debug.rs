//! `-g`: nvcc's own objects hold the path of its work folder, so equal bytes cannot be asked.
//! What is asked: the same bytes without the debug sections, and the same debug information
//! once that path is masked.

use std::process::Command;

use crate::modes::sources;
use crate::support::judge::{judge, module_ids};
use crate::support::tree::Tree;
use crate::support::workspace::Workspace;

/// First and second build are equal; with nvcc's own lines only the work folder's path differs.
#[track_caller]
fn agrees_but_for_the_work_folder(args: &[&str]) {
    agrees_in(&sources(), args);
}

#[track_caller]
fn agrees_in(ws: &Workspace, args: &[&str]) {
    let cold = ws.build(args);
    cold.misses(1);
    ws.build(args).hits(1).same_as(&cold);
    cold.says_the_same_as(&ws.kept(args));
    let judged = judge(ws, args, &module_ids(ws, args));
    let (ours, theirs) = (&cold.outputs, &judged.outputs);
    assert_eq!(ours.names(), theirs.names());
    assert_eq!(ours.mode("out.o"), theirs.mode("out.o"));
    let stripped = |tree: &Tree, name: &str| {
        let object = ws.write(name, tree.bytes("out.o"));
        let status = Command::new("objcopy")
            .arg("--strip-debug")
            .arg(object)
            .status();
        assert!(status.expect("run objcopy").success());
        let bytes = ws.read(name);
        ws.remove(name);
        bytes
    };
    assert!(
        stripped(ours, "x.o") == stripped(theirs, "x.o"),
        "more than debug sections differs"
    );
    assert_eq!(debug_info(ws, ours), debug_info(ws, theirs));
}

/// The DWARF of the host code, without offsets into string sections and with the folder of
/// `plain.cudafe1.cpp` masked.
fn debug_info(ws: &Workspace, tree: &Tree) -> Vec<String> {
    let object = ws.write("dump.o", tree.bytes("out.o"));
    let dump = Command::new("readelf")
        .args(["-W", "--debug-dump=info"])
        .arg(object)
        .output();
    ws.remove("dump.o");
    let dump = dump.expect("run readelf");
    let text = String::from_utf8_lossy(&dump.stdout);
    assert!(
        text.contains("plain.cudafe1.cpp"),
        "no debug information:\n{text}"
    );
    text.lines()
        .map(|line| {
            let line = match line.split_once("(offset: ") {
                Some((head, tail)) => {
                    format!(
                        "{head}{}",
                        tail.split_once(')').map_or("", |(_, rest)| rest)
                    )
                }
                None => line.to_owned(),
            };
            match line.rsplit_once(": ") {
                Some((head, path)) if path.trim_end().ends_with("/plain.cudafe1.cpp") => {
                    format!("{head}: W/plain.cudafe1.cpp")
                }
                _ => line,
            }
        })
        .collect()
}

#[test]
fn host_debug_objects_agree_but_for_the_work_folder() {
    agrees_but_for_the_work_folder(&["-g", "-c", "plain.cu", "-o", "out.o"]);
}

#[test]
fn host_and_device_debug_objects_agree_but_for_the_work_folder() {
    agrees_but_for_the_work_folder(&["-g", "-G", "-c", "plain.cu", "-o", "out.o"]);
}

#[test]
fn relocatable_debug_objects_agree_but_for_the_work_folder() {
    agrees_but_for_the_work_folder(&["-g", "-dc", "plain.cu", "-o", "out.o", "-arch=sm_80"]);
}

/// What a wrapper adds stands on no command line that is seen.
#[test]
#[ignore = "long: scripts/test-long"]
fn debug_information_that_only_the_host_compiler_asks_for_is_nvccs() {
    let args = ["-c", "plain.cu", "-o", "out.o", "-ccbin=./my-g++"];
    let ws = sources();
    ws.script("my-g++", "#!/bin/sh\nexec g++ -g \"$@\"\n");
    agrees_in(&ws, &args);
    let ws = sources();
    let source = ws.write(
        "wrapper.c",
        "#include <unistd.h>\nint main(int n, char **given) {\n  char *args[n + 2];\n  \
         args[0] = \"g++\"; args[1] = \"-g\";\n  for (int i = 1; i <= n; ++i) args[i + 1] = given[i];\n  \
         execvp(\"g++\", args);\n  return 1;\n}\n",
    );
    let program = ws.path("my-g++");
    let made = Command::new("gcc")
        .arg(source)
        .arg("-o")
        .arg(program)
        .status();
    assert!(made.expect("run gcc").success());
    agrees_in(&ws, &args);
}
