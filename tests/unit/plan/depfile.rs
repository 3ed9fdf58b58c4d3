//! Depfiles that `includes::depfile` makes from a plan's passes against those that the real nvcc writes.
//!
//! Only gcc and nvcc itself run here: the passes of the plan, and nvcc's whole compile for comparison.

use super::nvcc::{self, Toolkit, run};
use pcache_nvcc::includes::depfile::{
    ListedHeaders, Phony, TargetOptions, dependencies, render, target,
};
use pcache_nvcc::includes::markers::{Origin, files};
use pcache_nvcc::plan::{FileKind, Plan, RulesTarget, Unit};
use std::ffi::OsStr;
use std::path::Path;

/// A directory with sources that include headers of all sorts of names.
fn sources() -> tempfile::TempDir {
    let dir = nvcc::directory();
    let put = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("it is in the directory")).expect("made");
        std::fs::write(path, text).expect("sources can be written");
    };
    let odd = [
        "a b.h",
        "h#$.h",
        "é.h",
        "b\\s.h",
        "q'q.h",
        "t\tt.h",
        "c:c.h",
        "p%*?[x].h",
        "two\\\\b.h",
    ];
    let mut includes = String::new();
    for name in odd {
        put(&format!("inc/{name}"), "");
        includes.push_str(&format!("#include \"{name}\"\n"));
    }
    put("inc/dev.h", "#include \"./host.h\"\n");
    put("inc/host.h", "#pragma once\n");
    put("inc/eighty.h", "");
    put("sys/s.h", "#include \"inner.h\"\n");
    put("sys/inner.h", "");
    let sided = "#ifdef __CUDA_ARCH__\n#include \"dev.h\"\n#else\n#include \"host.h\"\n#endif\n\
        #if __CUDA_ARCH__ == 800\n#include \"eighty.h\"\n#endif\n#include <s.h>\n#include \"sys/s.h\"\n";
    put(
        "a.cu",
        &format!("{includes}{sided}__global__ void k() {{}}\nint main() {{}}\n"),
    );
    put("b.cu", "#include \"host.h\"\n__global__ void kb() {}\n");
    put(
        "sub/a b.cu",
        "#include \"../inc/host.h\"\n__global__ void kb() {}\n",
    );
    put("c.cpp", &format!("{includes}#include <s.h>\nint c;\n"));
    put("d.c", "#include \"host.h\"\nint d;\n");
    put(
        "lines.cpp",
        "#line 1 \"one.h\"\n#line 2 \"two.h\"\n# 1 \"three.h\" 1 3\n# 1 \"dir/\" 1\n\
        #line 5 \"lines.cpp\"\nint l;\n# 1 \"q\\\"q.h\" 1\n",
    );
    std::fs::create_dir(dir.path().join("out")).expect("made");
    dir
}

/// Runs the passes of a unit, and gives their texts in the plan's order.
fn passes(dir: &Path, plan: &Plan, unit: &Unit) -> Vec<Vec<u8>> {
    let spelled = |id| match plan.file(id).kind {
        FileKind::Temp => Path::new("W").join(&plan.file(id).path).into_os_string(),
        FileKind::Output | FileKind::Input => plan.file(id).path.clone(),
    };
    let mut texts = Vec::new();
    for &pass in &unit.passes {
        let stage = &plan.stages[pass];
        let args = stage
            .args
            .iter()
            .map(|arg| plan.render(arg, &mut |id| spelled(id)));
        run(dir, &plan.env, &stage.program, args);
        let output = stage.output.expect("passes write a file");
        texts.push(std::fs::read(dir.join(spelled(output))).expect("the pass wrote its file"));
    }
    texts
}

/// Compares every depfile that `args` ask for.
#[track_caller]
fn agrees(args: &[&str]) {
    let toolkit = Toolkit::find();
    let dir = sources();
    let dir = dir.path();
    std::fs::create_dir(dir.join("W")).expect("made");
    let mut all = vec!["-Iinc", "-isystem", "sys", "-I."];
    all.extend(args);
    let value = |flag: &str| {
        let at = args.iter().rposition(|arg| *arg == flag)?;
        args.get(at + 1).map(OsStr::new)
    };
    let options = TargetOptions {
        named: value("-MT"),
        output: value("-o"),
        directory: value("-odir"),
    };
    let headers = if args.contains(&"-MMD") {
        ListedHeaders::User
    } else {
        ListedHeaders::All
    };
    let phony = if args.contains(&"-MP") {
        Phony::Targets
    } else {
        Phony::None
    };
    let dryrun = toolkit.dryrun(dir, &all);
    let plan = Plan::parse(&dryrun, Path::new("W")).expect("the dry run is understood");
    let mut made = std::collections::BTreeMap::new();
    for unit in &plan.units {
        let texts = passes(dir, &plan, unit);
        let source = &plan.file(unit.source).path;
        let list = dependencies(texts.iter().map(Vec::as_slice), source, headers);
        let list = list.expect("the markers are sound");
        let Some(RulesTarget::File(path)) = unit.rules.clone() else {
            panic!("every unit here has a depfile");
        };
        // A later source's replaces an earlier one's of the same name, as nvcc's does.
        made.insert(path, render(&[target(source, options)], &list, phony));
    }
    assert!(!made.is_empty());
    toolkit.nvcc(dir, &all);
    for (path, text) in made {
        let real = std::fs::read(dir.join(&path)).expect("nvcc wrote the depfile too");
        let (text, real) = (
            String::from_utf8_lossy(&text),
            String::from_utf8_lossy(&real),
        );
        assert_eq!(text, real, "{args:?}");
    }
}

#[test]
fn all_headers_of_all_passes_are_listed() {
    agrees(&["-c", "a.cu", "-MD"]);
}

#[test]
fn system_headers_are_left_out_unless_seen_otherwise_too() {
    agrees(&["-c", "./a.cu", "-MMD", "-o", "./out/../a.o"]);
}

#[test]
fn several_archs_have_their_say_in_order() {
    agrees(&[
        "-c",
        "a.cu",
        "-MMD",
        "-gencode",
        "arch=compute_90,code=sm_90",
        "-gencode",
        "arch=compute_80,code=[sm_80,compute_80]",
    ]);
}

#[test]
fn phony_targets_follow() {
    agrees(&[
        "-c",
        "a.cu",
        "-MMD",
        "-MP",
        "-MF",
        "out/x y.d",
        "-MT",
        "one",
        "-MT",
        "b$ r#",
    ]);
}

#[test]
fn a_source_with_blanks_has_them_escaped_and_its_target_not() {
    agrees(&["-c", "sub/a b.cu", "-MMD", "-MP", "-o", "out/a b.o"]);
}

#[test]
fn several_sources_have_a_depfile_each() {
    agrees(&["-dc", "a.cu", "b.cu", "c.cpp", "-MMD", "-odir", "out"]);
}

#[test]
fn the_last_source_wins_one_depfile() {
    agrees(&[
        "-c", "b.cu", "c.cpp", "-MMD", "-MF", "z.d", "-MT", "/t", "-odir", "out",
    ]);
}

#[test]
fn device_only_outputs_depend_as_objects() {
    for mode in ["-ptx", "-cubin", "-fatbin"] {
        agrees(&[mode, "b.cu", "-MMD"]);
    }
    agrees(&["-ptx", "a.cu", "-MD", "-o", "out/a.ptx"]);
}

#[test]
fn linked_outputs_are_the_target_when_named() {
    agrees(&["a.cu", "-MMD", "-o", "prog"]);
    agrees(&["a.cu", "-MMD"]);
    agrees(&["--lib", "b.cu", "d.c", "-MMD", "-o", "x.a"]);
}

#[test]
fn host_sources_have_the_same_format() {
    agrees(&["-c", "c.cpp", "-MD", "-MP"]);
    agrees(&["-c", "d.c", "-MMD"]);
}

#[test]
fn odd_markers_are_read_as_nvcc_reads_them() {
    agrees(&["-c", "lines.cpp", "-MMD", "-g"]);
    agrees(&["-c", "lines.cpp", "-MD", "-MP"]);
}

#[test]
fn files_of_a_pass_are_those_that_gcc_read() {
    let toolkit = Toolkit::find();
    let dir = sources();
    let dir = dir.path();
    std::fs::create_dir(dir.join("W")).expect("made");
    let dryrun = toolkit.dryrun(
        dir,
        &["-Iinc", "-isystem", "sys", "-I.", "-g", "-c", "a.cu"],
    );
    let plan = Plan::parse(&dryrun, Path::new("W")).expect("the dry run is understood");
    let texts = passes(dir, &plan, &plan.units[0]);
    for text in texts {
        let found = files(&text);
        assert_eq!(found[0].path, "a.cu");
        for file in &found {
            assert!(dir.join(&file.path).is_file(), "{file:?}");
        }
        let find = |path: &str| found.iter().find(|file| file.path == path);
        let origin = |path: &str| find(path).map(|file| file.origin);
        assert_eq!(
            origin("sys/s.h"),
            Some(Origin::User),
            "it is included both ways"
        );
        assert_eq!(origin("sys/inner.h"), Some(Origin::System));
        assert!(found.iter().any(|file| file.path == "inc/b\\s.h"));
    }
}
