//! What `pcache init` sets up for builds: a link called nvcc, a mirror of the toolkit, and lines to paste for build
//! systems. Each with the real tools.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::outcome::Outcome;
use crate::support::toolkit::Toolkit;
use crate::support::tools::tool;
use crate::support::workspace::{Workspace, make_executable, program};

const KERNEL: &str = "#include <cuda_runtime.h>\n#include <cuda_fp16.h>\n\
                      __global__ void k(int *p) { *p = 1; }\n";
const ARGS: &[&str] = &["-c", "k.cu", "-o", "k.o"];

fn kernel() -> Workspace {
    Workspace::with("k.cu", "__global__ void k(int *p) { *p = 1; }\n")
}

fn init(ws: &Workspace, arguments: &[&str]) -> Output {
    let mut command = ws.command(program("pcache"));
    command.arg("init").args(arguments);
    command.output().expect("pcache runs")
}

/// What `pcache init` prints when it succeeds.
#[track_caller]
fn said(ws: &Workspace, arguments: &[&str]) -> String {
    let output = init(ws, arguments);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout).expect("text")
}

/// What `pcache init` complains of.
#[track_caller]
fn refused(ws: &Workspace, arguments: &[&str]) -> String {
    let output = init(ws, arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of the tests")
}

fn compile(ws: &Workspace, nvcc: impl AsRef<Path>, args: &[&str]) -> Outcome {
    let mut command = ws.command(nvcc.as_ref());
    command.args(args);
    ws.try_run(command)
}

#[test]
fn link_is_found_by_builds_once_its_directory_is_first_in_path() {
    let mut ws = kernel();
    ws.set_env("SHELL", "/bin/zsh");
    let links = ws.root().join("links");
    let first = said(&ws, &["--link", text(&links)]);
    let line = format!("export PATH={}:\"$PATH\"\n", links.display());
    assert!(
        first.contains("~/.zshrc") && first.ends_with(&line),
        "{first}"
    );
    let target = fs::read_link(links.join("nvcc")).expect("a link");
    assert_eq!(
        target,
        program("pcache-nvcc").canonicalize().expect("a file")
    );

    ws.set_path(&[&links, &Toolkit::get().bin()]);
    let again = said(&ws, &["--link", text(&links)]);
    assert!(
        again.contains("the first nvcc in PATH") && !again.contains("export"),
        "{again}"
    );
    // A shell finds it by its name, as builds do.
    let by_name = || {
        let mut command = ws.command("sh");
        command.args(["-c", "nvcc \"$@\"", "sh"]).args(ARGS);
        ws.try_run(command)
    };
    let made = by_name();
    made.misses(1).same_as(&ws.kept(ARGS));
    by_name().hits_directly(1).same_as(&made);
}

#[test]
fn link_takes_no_place_of_another_program_and_needs_an_nvcc_elsewhere() {
    let mut ws = kernel();
    let links = ws.side("links");
    let link = links.join("nvcc");
    let nvcc = ws.real_nvcc().to_owned();
    symlink(&nvcc, &link).expect("a link");
    let complaint = refused(&ws, &["--link", text(&links)]);
    assert!(
        complaint.contains("is no link to pcache-nvcc"),
        "{complaint}"
    );
    assert_eq!(fs::read_link(&link).expect("the link"), nvcc);
    let complaint = refused(&ws, &["--link", text(&Toolkit::get().bin())]);
    assert!(
        complaint.contains("is no link to pcache-nvcc"),
        "{complaint}"
    );

    fs::remove_file(&link).expect("removed");
    symlink("/moved/away/pcache-nvcc", &link).expect("a link");
    said(&ws, &["--link", text(&links)]);
    assert_ne!(
        fs::read_link(&link).expect("the link"),
        Path::new("/moved/away/pcache-nvcc")
    );
    ws.set_env("PCACHE_NVCC", text(&link));
    let complaint = refused(&ws, &["--link", text(&links)]);
    assert!(complaint.contains("pcache-nvcc itself"), "{complaint}");
}

/// A mirror of the toolkit, which nothing else in the environment leads to.
fn mirrored(ws: &mut Workspace) -> PathBuf {
    let mirror = ws.root().join("mirror");
    let lines = said(ws, &["--cuda-home", text(&mirror)]);
    let home = mirror.display();
    assert!(
        lines.contains(&format!("export CUDA_HOME={home} CUDA_PATH={home}")),
        "{lines}"
    );
    ws.set_path(&[]);
    mirror
}

#[test]
fn mirror_of_the_toolkit_compiles_by_its_own_nvcc_and_hits() {
    let mut ws = Workspace::with("k.cu", KERNEL);
    let theirs = compile(&ws, ws.real_nvcc(), &["--version"]);
    let mirror = mirrored(&mut ws);
    let nvcc = mirror.join("bin/nvcc");
    // By its path alone, then as builds find it.
    compile(&ws, &nvcc, &["--version"]).says_the_same_as(&theirs);
    let include = format!("-I{}", mirror.join("include").display());
    let args = [&[include.as_str()], ARGS].concat();
    let made = compile(&ws, &nvcc, &args);
    made.misses(1);
    compile(&ws, &nvcc, &args).hits_directly(1).same_as(&made);
    ws.set_env("CUDA_HOME", &mirror);
    let mut by_home = ws.command("sh");
    by_home.args([
        "-c",
        "\"$CUDA_HOME/bin/nvcc\" -I\"$CUDA_HOME/include\" \"$@\"",
        "sh",
    ]);
    by_home.args(ARGS);
    ws.try_run(by_home).hits_directly(1).same_as(&made);
    ws.build(&args).hits_directly(1).same_as(&made);
    // The mirror's toolkit is meant, whatever else is in PATH.
    let broken = ws.side("broken");
    fs::write(broken.join("nvcc"), "#!/bin/sh\nexit 77\n").expect("a script");
    make_executable(&broken.join("nvcc"));
    ws.set_path(&[&broken]);
    compile(&ws, &nvcc, &args).hits_directly(1).same_as(&made);
    assert!(mirror.join("bin/ptxas").exists() && mirror.join("nvvm/bin/cicc").exists());
}

#[test]
fn mirror_is_renewed_and_no_other_directory_becomes_one() {
    let mut ws = kernel();
    let mirror = mirrored(&mut ws);
    let nvcc = mirror.join("bin/nvcc");
    ws.set_env("PCACHE_NVCC", &mirror);
    symlink("/gone", mirror.join("bin/removed-tool")).expect("a link");
    fs::remove_file(mirror.join("bin/ptxas")).expect("removed");
    said(&ws, &["--cuda-home", text(&mirror)]);
    assert!(!mirror.join("bin/removed-tool").is_symlink());
    assert!(mirror.join("bin/ptxas").exists());
    compile(&ws, &nvcc, ARGS).misses(1);

    fs::write(mirror.join("bin/own"), "a file").expect("a file");
    let complaint = refused(&ws, &["--cuda-home", text(&mirror)]);
    assert!(complaint.contains("bin/own"), "{complaint}");
    for taken in [ws.work(), Toolkit::get().root().to_owned()] {
        refused(&ws, &["--cuda-home", text(&taken)]);
    }
    assert!(!Toolkit::get().bin().join("nvcc").is_symlink());
    let links = ws.side("others");
    symlink("/usr", links.join("usr")).expect("a link");
    let complaint = refused(&ws, &["--cuda-home", text(&links)]);
    assert!(complaint.contains("no mirror"), "{complaint}");
}

/// Two builds by a shell with `setting` before `commands`, which clean up first: the second one misses nothing.
#[track_caller]
fn builds_twice(ws: &Workspace, setting: &str, commands: &str, units: u64) {
    let build = || {
        let mut command = ws.command("sh");
        command.args(["-euc", &format!("{setting}\n{commands}")]);
        let outcome = ws.run(command);
        outcome.succeeds();
        outcome.counted
    };
    let first = build();
    assert!(first.misses >= units, "{first:?}");
    let second = build();
    assert_eq!(second.misses, 0, "{second:?}");
    assert!(second.hits >= units, "{second:?}");
    assert!(
        second.fallbacks.is_empty() && second.errors == 0,
        "{second:?}"
    );
}

#[test]
#[ignore = "long: scripts/test-long"]
fn printed_lines_work_with_cmake() {
    let mut ws = kernel();
    ws.write(
        "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.20)\nproject(lines LANGUAGES CUDA)\nadd_library(k OBJECT k.cu)\n",
    );
    let lines = said(&ws, &["--print", "cmake"]);
    ws.set_path(&[]);
    let commands = format!(
        "rm -rf build; {cmake} -G Ninja -DCMAKE_MAKE_PROGRAM={ninja} -DCMAKE_CUDA_ARCHITECTURES=80 -S . -B build\n\
         {cmake} --build build",
        cmake = tool("cmake-4").display(),
        ninja = tool("ninja").display(),
    );
    builds_twice(&ws, &lines, &commands, 1);
}

/// The lines for presets, with a unity build, whose one source is in the build directory and includes the others.
#[test]
#[ignore = "long: scripts/test-long"]
fn printed_lines_work_in_a_preset_of_cmake_with_a_unity_build() {
    let mut ws = kernel();
    ws.write("other.cu", "__global__ void other(int *p) { *p = 2; }\n");
    ws.write(
        "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.20)\nproject(lines LANGUAGES CUDA)\nadd_library(k STATIC k.cu other.cu)\n\
         set_target_properties(k PROPERTIES UNITY_BUILD ON)\n",
    );
    let lines = said(&ws, &["--print", "cmake"]);
    let variables: Vec<_> = lines
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .collect();
    let preset = format!(
        "{{\"version\": 3, \"configurePresets\": [{{\"name\": \"p\", \"generator\": \"Ninja\", \
         \"binaryDir\": \"${{sourceDir}}/build\", \"cacheVariables\": {{{}, \
         \"CMAKE_CUDA_ARCHITECTURES\": \"80\", \"CMAKE_MAKE_PROGRAM\": {:?}}}}}]}}",
        variables.join("\n"),
        tool("ninja")
    );
    ws.write("CMakePresets.json", preset);
    ws.set_path(&[]);
    let cmake = tool("cmake-4");
    let configure = format!("rm -rf build; {} --preset p", cmake.display());
    ws.run({
        let mut command = ws.command("sh");
        command.args(["-c", &configure]);
        command
    })
    .succeeds();
    let commands = format!("{} --build build --clean-first", cmake.display());
    builds_twice(&ws, "", &commands, 1);
    let objects = ws.path("build/CMakeFiles/k.dir");
    assert!(objects.join("Unity/unity_0_cu.cu.o").exists());
    assert!(!objects.join("k.cu.o").exists());
}

#[test]
fn printed_lines_work_with_make() {
    let mut ws = kernel();
    let lines = said(&ws, &["--print", "make"]);
    ws.write(
        "Makefile",
        format!("NVCC ?= nvcc\n{lines}k.o: k.cu\n\t$(NVCC) -c -o $@ $<\n"),
    );
    ws.set_path(&[]);
    builds_twice(&ws, "rm -f k.o", "make", 1);
    // The same on the command line, as the last of the lines says.
    ws.write("Makefile", "k.o: k.cu\n\t$(NVCC) -c -o $@ $<\n");
    let line = lines.lines().last().expect("lines");
    let line = line.split_once(": ").expect("a command line").1;
    ws.run({
        let mut command = ws.command("sh");
        command.args(["-c", &format!("rm -f k.o; {line}")]);
        command
    })
    .hits_directly(1);
}

#[test]
fn printed_lines_work_with_meson() {
    let mut ws = kernel();
    ws.write(
        "meson.build",
        "project('lines', ['cpp', 'cuda'])\nstatic_library('k', 'k.cu', cuda_args: ['-arch=sm_80'])\n",
    );
    ws.write("pcache.ini", said(&ws, &["--print", "meson"]));
    ws.set_path(&[tool("ninja").parent().expect("a directory")]);
    // Meson starts itself again, by the name of a file.
    let main = format!(
        "import sys\nsys.path.insert(0, {:?})\nfrom mesonbuild.mesonmain import main\nsys.exit(main())\n",
        tool("meson")
    );
    fs::write(ws.side("tools").join("meson.py"), main).expect("a script");
    // Debug information holds nvcc's names of intermediate files.
    let commands = "rm -rf build; python3 ../tools/meson.py setup --buildtype=release --native-file pcache.ini build\n\
                    ninja -C build";
    builds_twice(&ws, "", commands, 1);
}

#[test]
fn printed_lines_reach_build_scripts_of_cargo() {
    let mut ws = kernel();
    let lines = said(&ws, &["--print", "cargo"]);
    ws.write(".cargo/config.toml", lines);
    ws.write(
        "Cargo.toml",
        "[package]\nname = \"lines\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n",
    );
    ws.write("src/lib.rs", "");
    // As the crate cc does: NVCC is one program.
    ws.write(
        "build.rs",
        "fn main() {\n    let nvcc = std::env::var(\"NVCC\").unwrap();\n    \
         let done = std::process::Command::new(nvcc).args([\"-c\", \"k.cu\", \"-o\", \"k.o\"]).status().unwrap();\n    \
         assert!(done.success());\n}\n",
    );
    ws.set_path(&[]);
    let cargo = PathBuf::from(env::var_os("CARGO").expect("cargo runs the tests"));
    ws.set_env("RUSTC", cargo.with_file_name("rustc"));
    let commands = format!(
        "rm -rf target k.o; {} build --offline --quiet",
        cargo.display()
    );
    builds_twice(&ws, "", &commands, 1);
}

#[test]
fn lines_for_other_build_systems_name_what_is_here() {
    let ws = kernel();
    let (nvcc, us) = (ws.real_nvcc().to_owned(), program("pcache-nvcc"));
    let torch = said(&ws, &["--print", "torch"]);
    let home = Toolkit::get().root().display();
    for line in [
        format!("export CUDA_HOME={home}"),
        format!(
            "export PYTORCH_NVCC={}",
            us.canonicalize().expect("a file").display()
        ),
        format!("export PCACHE_NVCC={}", nvcc.display()),
    ] {
        assert!(
            torch.lines().any(|printed| printed == line),
            "{line} in\n{torch}"
        );
    }
    let mirror = ws.root().join("home/.local/share/pcache-nvcc/cuda");
    let bazel = said(&ws, &["--print", "bazel"]);
    let option = format!("build --repo_env=CUDA_PATH={}", mirror.display());
    assert!(bazel.lines().any(|line| line == option), "{bazel}");
    let xmake = said(&ws, &["--print", "xmake"]);
    // What it says to run once makes what the next line names.
    let line = xmake
        .lines()
        .find(|line| line.starts_with("pcache "))
        .expect("a command");
    let words: Vec<_> = line.split(' ').skip(2).collect();
    said(&ws, &words);
    assert!(mirror.join("bin/nvcc").is_symlink());
    let mut nowhere = Command::new(program("pcache"));
    nowhere
        .args(["init", "--print", "make"])
        .env_clear()
        .env("HOME", ws.root());
    let output = nowhere.output().expect("pcache runs");
    if !Path::new("/usr/local/cuda/bin/nvcc").exists() {
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
    }
}
