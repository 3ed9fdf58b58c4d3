//! Plans are whole: each stage is run by itself, in an odd order, in a keep directory that holds nothing
//! but what the plan says it reads, and everything comes out as `nvcc --keep` makes it.

use super::nvcc::{self, Toolkit, run};
use pcache_nvcc::plan::{FileId, FileKind, Plan, PlanFile, Resolve, Tool};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const DEVICE: &str = "#include <cstdio>\n__device__ int shared(int x);\n\
    static __global__ void k(int *p) { *p = sizeof(\"NAME\"); }\nint NAME() { k<<<1, 1>>>(nullptr); return 1; }\n";

/// The files of a directory, by name.
fn listing(dir: &Path) -> BTreeSet<OsString> {
    let entries = std::fs::read_dir(dir).expect("the directory can be listed");
    entries
        .map(|entry| entry.expect("an entry").file_name())
        .collect()
}

struct Runner<'a> {
    dir: &'a Path,
    plan: &'a Plan,
}

impl Runner<'_> {
    /// Where a file is kept between stages: temporary ones aside, the others in their place.
    fn kept(&self, id: FileId) -> PathBuf {
        let file = self.plan.file(id);
        match file.kind {
            FileKind::Temp => self.dir.join("kept").join(&file.path),
            FileKind::Output | FileKind::Input => self.dir.join(&file.path),
        }
    }

    /// The last stage in the plan that has all it needs: never nvcc's own order.
    fn all(&self) {
        let mut left: BTreeSet<usize> = (0..self.plan.stages.len()).collect();
        while !left.is_empty() {
            let written_later = |id: &FileId, stage: usize| {
                let mut others = left.iter().filter(|&&other| other != stage);
                // Those that append to one file keep their order.
                let appends = self.plan.stages[stage].writes.contains(id);
                others.any(|&other| {
                    self.plan.stages[other].writes.contains(id) && !(appends && other > stage)
                })
            };
            let ready = |stage: &&usize| {
                let reads = &self.plan.stages[**stage].reads;
                !reads.iter().any(|read| written_later(read, **stage))
            };
            let next = *left.iter().rev().find(ready).expect("some stage is ready");
            left.remove(&next);
            self.one(next);
        }
    }

    fn one(&self, index: usize) {
        let stage = &self.plan.stages[index];
        if stage.tool == Tool::Remove {
            return;
        }
        let work = self.dir.join("W");
        std::fs::create_dir(&work).expect("the keep directory can be made");
        let mut expected = BTreeSet::new();
        let temp = |id: &&FileId| self.plan.file(**id).kind == FileKind::Temp;
        for id in stage.reads.iter().filter(temp) {
            let name = &self.plan.file(*id).path;
            std::fs::copy(self.kept(*id), work.join(name)).expect("what is read is there");
            expected.insert(name.clone());
        }
        let path_of = &mut |id: FileId| match self.plan.file(id).kind {
            FileKind::Temp => Path::new("W")
                .join(&self.plan.file(id).path)
                .into_os_string(),
            FileKind::Output | FileKind::Input => self.plan.file(id).path.clone(),
        };
        let args: Vec<OsString> = stage
            .args
            .iter()
            .map(|arg| self.plan.render(arg, path_of))
            .collect();
        let program = match &stage.resolve {
            Resolve::Named => stage.program.clone(),
            Resolve::PrintProgName(name) => {
                let flag = format!("-print-prog-name={}", name.to_string_lossy());
                let printed = run(self.dir, &self.plan.env, &stage.program, [flag]).stdout;
                String::from_utf8(printed)
                    .expect("a name")
                    .trim_end()
                    .into()
            }
        };
        run(self.dir, &self.plan.env, &program, args);
        for id in stage.writes.iter().filter(temp) {
            let name = &self.plan.file(*id).path;
            std::fs::copy(work.join(name), self.kept(*id)).expect("what is written is there");
            expected.insert(name.clone());
        }
        assert_eq!(
            listing(&work),
            expected,
            "{:?} touches what the plan says",
            stage.tool
        );
        std::fs::remove_dir_all(&work).expect("the keep directory can be removed");
    }
}

/// Runs nvcc, then the plan, and compares every file.
#[track_caller]
fn comes_out_the_same(args: &[&str]) {
    let toolkit = Toolkit::find();
    let dir = nvcc::directory();
    let dir = dir.path();
    for name in ["first", "second", "third"] {
        let text = DEVICE.replace("NAME", name);
        std::fs::write(dir.join(format!("{name}.cu")), text).expect("sources can be written");
    }
    std::fs::write(
        dir.join("main.cpp"),
        "int first(); int main() { return first(); }\n",
    )
    .expect("so too");
    std::fs::create_dir(dir.join("W")).expect("made");
    let plan = Plan::parse(&toolkit.dryrun(dir, args), Path::new("W")).expect("it is understood");
    let mut kept = vec!["--keep", "--keep-dir", "W"];
    kept.extend(args);
    toolkit.nvcc(dir, &kept);
    std::fs::rename(dir.join("W"), dir.join("real")).expect("renamed");
    std::fs::create_dir(dir.join("kept")).expect("made");
    let outputs: Vec<PathBuf> = plan
        .files
        .iter()
        .filter(|file| file.kind == FileKind::Output)
        .map(|file| dir.join(&file.path))
        .collect();
    assert!(!outputs.is_empty());
    for output in &outputs {
        let mut aside = output.clone().into_os_string();
        aside.push(".real");
        std::fs::rename(output, aside).expect("nvcc made every output");
    }
    for id in plan.units.iter().filter_map(|unit| unit.module_id) {
        let name = &plan.file(id).path;
        let (real, kept) = (dir.join("real").join(name), dir.join("kept").join(name));
        // cicc leaves none behind when it writes nothing but PTX.
        let text = std::fs::read(real).unwrap_or_else(|_| b"_01234567_8_first_cu_id".to_vec());
        std::fs::write(kept, text).expect("written");
    }
    Runner { dir, plan: &plan }.all();
    let read = |path: &Path| std::fs::read(path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let given = |path: &OsString| {
        Path::new(path)
            .extension()
            .is_some_and(|s| s == "module_id")
    };
    let temp = |file: &&PlanFile| file.kind == FileKind::Temp && !given(&file.path);
    for file in plan.files.iter().filter(temp) {
        let (ours, real) = (
            dir.join("kept").join(&file.path),
            dir.join("real").join(&file.path),
        );
        assert!(read(&ours) == read(&real), "{:?} differs", file.path);
    }
    for output in &outputs {
        let mut real = output.clone().into_os_string();
        real.push(".real");
        // ar notes no times here, and nothing else does either.
        assert!(read(output) == read(Path::new(&real)), "{output:?} differs");
    }
}

#[test]
fn an_object_for_two_archs() {
    comes_out_the_same(&[
        "-c",
        "first.cu",
        "-gencode",
        "arch=compute_80,code=sm_80",
        "-gencode",
        "arch=compute_90,code=[sm_90,compute_90]",
        "-gencode",
        "arch=compute_100,code=compute_100",
        "-lineinfo",
    ]);
}

#[test]
fn a_program_of_relocatable_objects_for_two_archs() {
    comes_out_the_same(&[
        "-rdc=true",
        "first.cu",
        "second.cu",
        "main.cpp",
        "-o",
        "prog",
        "-gencode",
        "arch=compute_80,code=sm_80",
        "-gencode",
        "arch=compute_90,code=sm_90",
    ]);
}

#[test]
fn a_library() {
    comes_out_the_same(&["--lib", "first.cu", "main.cpp", "-o", "x.a"]);
}

#[test]
fn device_only_outputs() {
    comes_out_the_same(&["-ptx", "first.cu", "second.cu"]);
    comes_out_the_same(&["-fatbin", "first.cu", "-arch=sm_80"]);
    comes_out_the_same(&["-cubin", "first.cu", "-arch=sm_80", "-G", "-g"]);
}

#[test]
fn objects_with_link_time_code_and_depfiles() {
    comes_out_the_same(&[
        "-dc",
        "-dlto",
        "-arch=sm_80",
        "first.cu",
        "second.cu",
        "-MMD",
    ]);
}

#[test]
fn a_preprocessed_host_file() {
    comes_out_the_same(&["-cuda", "third.cu", "-arch=sm_80"]);
}

#[test]
fn a_device_link_of_sources() {
    comes_out_the_same(&[
        "-dlink",
        "first.cu",
        "second.cu",
        "-arch=sm_80",
        "-o",
        "d.o",
    ]);
}
