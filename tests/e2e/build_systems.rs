//! The three ways of use, with real CMake, Make and Ninja: as CMake's compiler launcher, as a link
//! called nvcc, and through FindCUDA. In each, a second clean build is all hits, and the programs
//! link and run.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::counters::Counters;
use crate::support::outcome::Outcome;
use crate::support::toolkit::Toolkit;
use crate::support::tools::tool;
use crate::support::tree::Tree;
use crate::support::workspace::{Workspace, program};

/// One way to build `fixtures/projects/tiny`.
struct Way {
    cmake: PathBuf,
    generator: &'static str,
    folder: &'static str,
    settings: Vec<OsString>,
}

impl Way {
    fn new(cmake: &str, generator: &'static str) -> Self {
        let make_program = match generator {
            "Ninja" => vec![setting("CMAKE_MAKE_PROGRAM", &tool("ninja"))],
            _ => Vec::new(),
        };
        Self {
            cmake: tool(cmake),
            generator,
            folder: ".",
            settings: make_program,
        }
    }

    fn with(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.settings.push(setting(name, value.as_ref()));
        self
    }

    /// Configures and builds in a new build folder; tells what the build alone counted, and
    /// what it left.
    #[track_caller]
    fn clean_build(&self, ws: &Workspace) -> (Outcome, Tree) {
        let build = ws.path("build");
        let _ = fs::remove_dir_all(&build);
        let mut configure = ws.command(&self.cmake);
        configure
            .arg("-S")
            .arg(ws.path(self.folder))
            .arg("-B")
            .arg(&build);
        configure.args(["-G", self.generator]).args(&self.settings);
        ws.run(configure).succeeds();
        let mut make = ws.command(&self.cmake);
        make.arg("--build").arg(&build).args(["--parallel", "2"]);
        let outcome = ws.run(make);
        outcome.succeeds();
        (outcome, Tree::read(&build))
    }

    /// Two clean builds: `units` misses, then `units` hits; beside them only what `besides` names.
    #[track_caller]
    fn builds_twice(&self, ws: &Workspace, units: u64, besides: &[&str]) {
        let (first, tree) = self.clean_build(ws);
        assert_eq!(
            (first.counted.misses, first.counted.hits),
            (units, 0),
            "{:?}",
            first.counted
        );
        only(&first.counted, besides);
        self.programs_run(ws);
        let (second, again) = self.clean_build(ws);
        assert_eq!(
            (second.counted.misses, second.counted.hits),
            (0, units),
            "{:?}",
            second.counted
        );
        only(&second.counted, besides);
        self.programs_run(ws);
        for name in tree.names() {
            // What is compiled must be the same; logs and caches of the build tool need not.
            if [".cu.o", ".ptx", ".cu.o.d"]
                .iter()
                .any(|end| name.ends_with(end))
            {
                assert!(tree.bytes(&name) == again.bytes(&name), "{name} differs");
            }
        }
        self.doctor_finds_us(ws);
    }

    /// `pcache doctor` reads from the build directory that it uses pcache-nvcc.
    #[track_caller]
    fn doctor_finds_us(&self, ws: &Workspace) {
        let mut command = ws.command(program("pcache"));
        command.arg("doctor").arg(ws.path("build"));
        let output = command.output().expect("pcache runs");
        let said = String::from_utf8(output.stdout).expect("text");
        let mut lines = said.lines();
        // Advice begins with an arrow.
        let is_about_the_build = |line: &&str| {
            let mut words = line.split_whitespace();
            words.next() != Some("→") && words.next() == Some("build")
        };
        let found = lines.find(is_about_the_build);
        let found = found.unwrap_or_else(|| panic!("a line about the build in {said}"));
        assert!(found.starts_with("ok "), "{said}");
    }

    #[track_caller]
    fn programs_run(&self, ws: &Workspace) {
        for (name, says) in [("plain", "plain 42\n"), ("rdc", "rdc\n")] {
            let ran = ws.run(ws.command(ws.path("build").join(name)));
            ran.succeeds();
            assert_eq!(ran.out(), says);
        }
    }
}

fn setting(name: &str, value: &Path) -> OsString {
    let mut text = OsString::from(format!("-D{name}="));
    text.push(value);
    text
}

#[track_caller]
fn only(counted: &Counters, besides: &[&str]) {
    let other: Vec<_> = counted
        .bypassed
        .keys()
        .filter(|r| !besides.contains(&&***r))
        .collect();
    assert!(other.is_empty(), "bypassed for {other:?}");
    assert!(
        counted.fallbacks.is_empty(),
        "fell back: {:?}",
        counted.fallbacks
    );
    assert_eq!(counted.errors, 0);
}

/// A workspace with a copy of the project.
fn project() -> Workspace {
    let ws = Workspace::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/projects/tiny");
    Tree::read(&from).restore(&ws.work());
    ws
}

/// CMake's own CUDA support with pcache-nvcc as launcher: nvcc is asked for directly.
fn launcher(cmake: &str, generator: &'static str) -> Way {
    Way::new(cmake, generator)
        .with("CMAKE_CUDA_COMPILER", Toolkit::get().nvcc())
        .with("CMAKE_CUDA_COMPILER_LAUNCHER", program("pcache-nvcc"))
        .with("CMAKE_CUDA_ARCHITECTURES", "80")
}

/// A folder with a link called nvcc to pcache-nvcc, first in PATH.
fn link_first_in_path(ws: &mut Workspace) -> PathBuf {
    let links = ws.side("links");
    symlink(program("pcache-nvcc"), links.join("nvcc")).expect("a link");
    ws.set_path(&[&links, &Toolkit::get().bin()]);
    links.join("nvcc")
}

#[test]
#[ignore = "long: scripts/test-long"]
fn cmake_3_launcher_with_make_builds_twice() {
    launcher("cmake-3.25", "Unix Makefiles").builds_twice(&project(), 6, &[]);
}

#[test]
fn cmake_4_launcher_with_ninja_builds_twice() {
    launcher("cmake-4", "Ninja").builds_twice(&project(), 6, &[]);
}

#[test]
fn cmake_4_launcher_in_front_of_the_link_builds_twice() {
    let mut ws = project();
    let nvcc = link_first_in_path(&mut ws);
    let way = launcher("cmake-4", "Ninja").with("CMAKE_CUDA_COMPILER", nvcc);
    way.builds_twice(&ws, 6, &["link_only"]);
}

/// Nothing but the mirror leads to the toolkit.
#[test]
#[ignore = "long: scripts/test-long"]
fn cmake_4_launcher_in_front_of_a_mirror_of_the_toolkit_builds_twice() {
    let mut ws = project();
    let mirror = ws.root().join("mirror");
    let mut init = ws.command(program("pcache"));
    init.args(["init", "--cuda-home"]).arg(&mirror);
    ws.run(init).succeeds();
    ws.set_path(&[]);
    let way = launcher("cmake-4", "Ninja").with("CMAKE_CUDA_COMPILER", mirror.join("bin/nvcc"));
    way.builds_twice(&ws, 6, &["link_only"]);
}

/// CMake's checks compile in directories with random names, to targets with random names.
#[test]
fn checks_of_cmake_are_hits_in_a_new_build_folder() {
    let mut ws = Workspace::with(
        "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.20)\nproject(checks LANGUAGES CUDA)\n\
         include(CheckSourceCompiles)\n\
         check_source_compiles(CUDA \"__global__ void k() {} int main() { k<<<1, 1>>>(); }\" WORKS)\n\
         if(NOT WORKS)\n  message(FATAL_ERROR \"it does not\")\nendif()\n",
    );
    let nvcc = link_first_in_path(&mut ws);
    let way = launcher("cmake-4", "Ninja").with("CMAKE_CUDA_COMPILER", nvcc);
    let configure = |build: &str| {
        let mut configure = ws.command(&way.cmake);
        configure
            .arg("-S")
            .arg(ws.path("."))
            .arg("-B")
            .arg(ws.path(build));
        configure.args(["-G", way.generator]).args(&way.settings);
        let configured = ws.run(configure);
        configured.succeeds();
        only(
            &configured.counted,
            // CMake asks for nvcc's folders by a command line that fails.
            &["information", "link_only", "bad_arguments"],
        );
        (configured.counted.hits, configured.counted.misses)
    };
    // One more to identify the compiler, with `-v`.
    assert_eq!(configure("one"), (0, 3));
    assert_eq!(configure("another/build"), (3, 0));
}

#[test]
#[ignore = "long: scripts/test-long"]
fn cmake_3_finds_the_link_first_in_path() {
    let mut ws = project();
    link_first_in_path(&mut ws);
    let way = Way::new("cmake-3.25", "Ninja").with("CMAKE_CUDA_ARCHITECTURES", "80");
    way.builds_twice(&ws, 6, &["link_only"]);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn cmake_4_with_the_link_as_its_compiler_builds_twice() {
    let mut ws = project();
    let nvcc = link_first_in_path(&mut ws);
    let way = Way::new("cmake-4", "Unix Makefiles")
        .with("CMAKE_CUDA_COMPILER", nvcc)
        .with("CMAKE_CUDA_ARCHITECTURES", "80-real");
    way.builds_twice(&ws, 6, &["link_only"]);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn cmake_with_our_own_name_as_its_compiler_builds_twice() {
    let way = Way::new("cmake-4", "Ninja")
        .with("CMAKE_CUDA_COMPILER", program("pcache-nvcc"))
        .with("CMAKE_CUDA_ARCHITECTURES", "80");
    way.builds_twice(&project(), 6, &["link_only"]);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn find_cuda_with_us_in_the_environment_builds_twice() {
    let mut ws = project();
    ws.set_env("CUDA_NVCC_EXECUTABLE", program("pcache-nvcc"));
    let mut way = Way::new("cmake-3.25", "Unix Makefiles")
        .with("CUDA_TOOLKIT_ROOT_DIR", Toolkit::get().root());
    way.folder = "findcuda";
    // Each compile has a unit, and the rules that FindCUDA asks for before it.
    way.builds_twice(&ws, 12, &["link_only"]);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn an_edit_in_a_cmake_project_recompiles_only_what_it_reaches() {
    let ws = project();
    let way = launcher("cmake-4", "Ninja");
    way.clean_build(&ws);
    ws.edit(
        "plain/include/shared.h",
        "#pragma once",
        "#pragma once\ninline int edited() { return 1; }",
    );
    let mut make = ws.command(&way.cmake);
    make.arg("--build").arg(ws.path("build"));
    let built = ws.run(make);
    built.succeeds();
    assert_eq!(
        (built.counted.misses, built.counted.hits),
        (2, 0),
        "{:?}",
        built.counted
    );
    way.programs_run(&ws);
}
