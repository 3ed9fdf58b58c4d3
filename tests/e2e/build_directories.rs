//! Several directories of one checkout: build directories, of which each may link its own objects, and directories with
//! sources of the same name.

use std::fs;

use crate::places::{arguments, checkouts};
use crate::support::workspace::Workspace;

#[test]
fn two_directories_of_one_checkout_link() {
    let ws = Workspace::new();
    fs::create_dir(ws.path(".git")).expect("a checkout");
    two_directories_link(ws);
}

#[test]
fn two_directories_without_a_checkout_link() {
    two_directories_link(Workspace::new());
}

/// Two sources of the same name and content, in two directories, go into one link.
#[track_caller]
fn two_directories_link(mut ws: Workspace) {
    let text = "namespace { __global__ void k(int *p) { *p = 1; } __device__ int state; }\n\
        static void run() { k<<<1, 1>>>(nullptr); }\nnamespace { struct Run { Run() { run(); } } here; }\n";
    for folder in ["first", "second"] {
        ws.write(&format!("{folder}/unit.cu"), text);
        ws.cd(folder);
        ws.run(ws.ours(&["-dc", "unit.cu", "-o", "unit.o"]))
            .succeeds();
    }
    ws.cd(".");
    ws.write("main.cu", "int main() { return 0; }\n");
    let args = [
        "main.cu",
        "first/unit.o",
        "second/unit.o",
        "-rdc=true",
        "-o",
        "main",
    ];
    ws.run(ws.theirs(&args)).succeeds();
}

/// One source is compiled in two directories, and both objects go into one link.
#[test]
fn two_outputs_of_one_source_link() {
    let text = "namespace { __global__ void k(int *p) { *p = 1; } __device__ int state; }\n\
        static void run() { k<<<1, 1>>>(nullptr); }\nnamespace { struct Run { Run() { run(); } } here; }\n";
    for is_checkout in [true, false] {
        let mut ws = Workspace::new();
        let source = ws.write("src/unit.cu", text);
        ws.write("main.cu", "int main() { return 0; }\n");
        if is_checkout {
            fs::create_dir(ws.path(".git")).expect("a checkout");
        }
        let source = source.to_str().expect("a UTF-8 path");
        for folder in ["first", "second/below"] {
            fs::create_dir_all(ws.path(folder)).expect("a folder");
            ws.cd(folder);
            ws.run(ws.ours(&["-dc", source, "-o", "unit.o"])).succeeds();
        }
        ws.cd(".");
        let objects = ["first/unit.o", "second/below/unit.o"];
        let args = [&["main.cu", "-rdc=true", "-o", "main"][..], &objects].concat();
        ws.run(ws.theirs(&args)).succeeds();
    }
}

/// A checkout has several build directories, of which one lies elsewhere.
#[test]
fn another_build_directory_of_one_checkout_hits_directly() {
    let mut ws = checkouts();
    let args = [
        "-c",
        "{base}/src/unit.cu",
        "-I{base}/include",
        "-o",
        "unit.o",
        "-MD",
        "-MF",
        "unit.d",
    ];
    let words = arguments(&ws, "one", &args);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    for (number, folder) in ["one/build", "one/build/debug", "elsewhere"]
        .into_iter()
        .enumerate()
    {
        fs::create_dir_all(ws.path(folder)).expect("a folder");
        ws.cd(folder);
        let outcome = ws.build(&words);
        outcome.same_as(&ws.kept(&words));
        if number > 0 {
            outcome.hits_directly(1);
        }
    }
}

/// A map of the checkout's path leaves the build directory's name in debug information.
#[test]
fn a_mapped_build_directory_is_in_its_own_object() {
    let mut ws = checkouts();
    let folders = ["one/build-one", "one/build-two", "other/checkout/build-two"];
    for folder in folders {
        let (place, name) = folder.rsplit_once('/').expect("a folder of a place");
        fs::create_dir_all(ws.path(folder)).expect("a folder");
        ws.cd(folder);
        let args = [
            "-c",
            "{base}/src/unit.cu",
            "-I{base}/include",
            "-o",
            "unit.o",
            "-g",
            "-Xcompiler",
            "-ffile-prefix-map={base}=.",
        ];
        let words = arguments(&ws, place, &args);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        ws.run(ws.ours(&words)).succeeds();
        let object = fs::read(ws.path(&format!("{folder}/unit.o"))).expect("an object");
        let holds = |text: &[u8]| object.windows(text.len()).any(|part| part == text);
        for other in ["build-one", "build-two"] {
            assert_eq!(
                holds(format!("./{other}\0").as_bytes()),
                other == name,
                "{folder}"
            );
        }
    }
}
