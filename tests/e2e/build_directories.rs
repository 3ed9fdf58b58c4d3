//! Several directories of one checkout: build directories, of which each may link its own objects, and directories with
//! sources of the same name.

use std::fs;
use std::os::unix::fs::symlink;

use crate::places::{PLACES, arguments, checkouts};
use crate::support::workspace::Workspace;

/// Defines nothing for other objects.
const INTERNAL: &str = "namespace { __global__ void k(int *p) { *p = 1; } __device__ int state; }\n\
    static void run() { k<<<1, 1>>>(nullptr); }\nnamespace { struct Run { Run() { run(); } } here; }\n";

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
    for folder in ["first", "second"] {
        ws.write(&format!("{folder}/unit.cu"), INTERNAL);
        ws.cd(folder);
        ws.run(ws.ours(&["-dc", "unit.cu", "-o", "unit.o"]))
            .succeeds();
    }
    links(&mut ws, &["first", "second"]);
}

/// One source is compiled in two directories, and both objects go into one link.
#[test]
fn two_outputs_of_one_source_link() {
    for is_checkout in [true, false] {
        let mut ws = Workspace::new();
        let source = ws.write("src/unit.cu", INTERNAL);
        if is_checkout {
            fs::create_dir(ws.path(".git")).expect("a checkout");
        }
        let source = source.to_str().expect("a UTF-8 path");
        for folder in ["first", "second/below"] {
            fs::create_dir_all(ws.path(folder)).expect("a folder");
            ws.cd(folder);
            ws.run(ws.ours(&["-dc", source, "-o", "unit.o"])).succeeds();
        }
        links(&mut ws, &["first", "second/below"]);
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

/// Each build directory has generated a header of the same name.
#[test]
fn a_generated_header_is_that_of_its_build_directory() {
    let mut ws = checkouts();
    let words = arguments(
        &ws,
        "one",
        &["-c", "{base}/src/unit.cu", "-Igenerated", "-o", "unit.o"],
    );
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let folders = ["one/build", "one/build/debug", "elsewhere"];
    for (value, folder) in folders.iter().enumerate() {
        ws.write(
            &format!("{folder}/generated/value.h"),
            format!("#define VALUE {value}\n"),
        );
    }
    for hits in [0, 1] {
        for folder in folders {
            ws.cd(folder);
            let outcome = ws.build(&words);
            outcome.same_as(&ws.kept(&words));
            assert_eq!(outcome.counted.direct_hits, hits, "{folder}");
        }
    }
    // The same header as in the first directory, and one that is absent.
    ws.write("elsewhere/generated/value.h", "#define VALUE 0\n");
    ws.cd("elsewhere");
    ws.build(&words).same_as(&ws.kept(&words)).hits_directly(1);
    ws.remove("elsewhere/generated/value.h");
    assert_ne!(ws.build(&words).status, 0);
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
        let outcome = ws.run(ws.ours(&words));
        outcome.succeeds();
        // The last one has the same place below its checkout as the one before.
        assert_eq!(outcome.counted.direct_hits, u64::from(place == PLACES[1]));
        let object = fs::read(ws.path(folder).join("unit.o")).expect("an object");
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

/// Code makes the names of its symbols from the name of a file, so that both objects can go into one link.
#[test]
fn modules_that_differ_in_the_name_of_a_file_link() {
    let mut ws = Workspace::new();
    fs::create_dir(ws.path(".git")).expect("a checkout");
    let source = ws.write(
        "src/unit.cu",
        "#include \"length.h\"\n\
         template <int> void host(); template <> void host<LENGTH>() {}\n\
         template <int> __global__ void k(int *p); template <> __global__ void k<LENGTH>(int *p) { *p = 1; }\n",
    );
    let source = source.to_str().expect("a UTF-8 path");
    let folders = ["first", "second"];
    for folder in folders {
        let text = "static constexpr int LENGTH = __builtin_strlen(__builtin_FILE());\n";
        ws.write(&format!("{folder}/length.h"), text);
        ws.cd(folder);
        let include = format!("-I{}", ws.path(folder).display());
        let outcome = ws.run(ws.ours(&["-dc", source, &include, "-o", "unit.o"]));
        outcome.succeeds().misses(1);
    }
    links(&mut ws, &folders);
}

/// The working directory is a link that is led elsewhere between two compiles.
#[test]
fn outputs_below_a_link_to_several_directories_link() {
    let mut ws = Workspace::new();
    let source = ws.write("src/unit.cu", INTERNAL);
    let source = source.to_str().expect("a UTF-8 path");
    let folders = ["first", "second"];
    let link = ws.path("current");
    for folder in folders {
        fs::create_dir(ws.path(folder)).expect("a folder");
        let _ = fs::remove_file(&link);
        symlink(folder, &link).expect("a link");
        ws.cd("current");
        let mut command = ws.ours(&["-dc", source, "-o", "unit.o"]);
        command.env("PWD", &link);
        ws.run(command).succeeds();
    }
    links(&mut ws, &folders);
}

/// Links the objects in the folders with a main program.
#[track_caller]
fn links(ws: &mut Workspace, folders: &[&str]) {
    ws.cd(".");
    ws.write("main.cu", "int main() { return 0; }\n");
    let mut command = ws.theirs(&["main.cu", "-rdc=true", "-o", "main"]);
    command.args(folders.iter().map(|folder| format!("{folder}/unit.o")));
    ws.run(command).succeeds();
}

/// A path that is made of pieces, or of two lines, leads to one build directory from all of them.
#[test]
fn an_absolute_path_in_pieces_leads_to_one_place() {
    for is_spliced in [false, true] {
        let mut ws = checkouts();
        let base = ws.path("one").canonicalize().expect("a place");
        let (head, tail) = base.to_str().expect("a UTF-8 path").split_at(6);
        let text = if is_spliced {
            format!("#include \"{head}\\\n{tail}/build/value.h\"\nint value = VALUE;\n")
        } else {
            format!(
                "asm(\".data\\n.globl value\\nvalue: .incbin \\\"{head}\" \"{tail}/build/value.h\\\"\\n.text\");\n"
            )
        };
        ws.write("one/src/unit.cpp", text);
        for folder in ["one/build", "one/other"] {
            ws.write(&format!("{folder}/value.h"), "#define VALUE 1\n");
        }
        let words = arguments(&ws, "one", &["-c", "{base}/src/unit.cpp", "-o", "unit.o"]);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        ws.cd("one/build");
        ws.build(&words).succeeds();
        ws.write("one/build/value.h", "#define VALUE 2\n");
        ws.cd("one/other");
        ws.build(&words).same_as(&ws.kept(&words));
    }
}
