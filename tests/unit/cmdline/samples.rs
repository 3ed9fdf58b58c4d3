//! The real nvcc for the tests of the command line, and samples of jobs. Part of several test
//! programs, each of which uses a part of it.

use pcache_nvcc::cmdline::{CommandLine, Job, read};
use pcache_nvcc::outcome::Bypass;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The nvcc under test. Its absence is a failure: without it, nothing of worth would be tested.
pub fn nvcc() -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cuda/13.2");
    let root = env::var_os("PCACHE_TEST_CUDA").map_or(fetched, PathBuf::from);
    let nvcc = root.join("bin/nvcc");
    if nvcc.exists() {
        return nvcc;
    }
    which::which("nvcc").unwrap_or_else(|_| {
        panic!(
            "no nvcc at {}, and none on PATH: run scripts/get-cuda, or set PCACHE_TEST_CUDA to a toolkit",
            nvcc.display()
        )
    })
}

/// What nvcc prints and how it ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    pub accepted: bool,
    pub lines: Vec<String>,
}

/// Runs nvcc with these arguments and one environment variable, in `directory`.
pub fn plan(directory: &Path, args: &[OsString], variable: Option<(&str, &OsStr)>) -> Plan {
    let mut command = Command::new(nvcc());
    command.current_dir(directory).args(args);
    for name in ["NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS", "NVCC_CCBIN"] {
        command.env_remove(name);
    }
    if let Some((name, value)) = variable {
        command.env(name, value);
    }
    let output = command.output().expect("nvcc runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    // nvcc tells of the variables themselves; what counts is what it makes of them.
    let told = |line: &&str| !line.starts_with("#$ NVCC_");
    Plan {
        accepted: output.status.success(),
        lines: text.lines().filter(told).map(str::to_owned).collect(),
    }
}

/// The dryrun of a command line as nvcc itself reads it.
pub fn dryrun(directory: &Path, args: &[OsString], variable: Option<(&str, &OsStr)>) -> Plan {
    let mut all = words(&["--dryrun", "--keep", "--keep-dir", "work"]);
    all.extend_from_slice(args);
    plan(directory, &all, variable)
}

/// The dryrun of a job that this crate has read.
pub fn dryrun_of(directory: &Path, job: &Job) -> Plan {
    plan(directory, &job.dryrun_args(Path::new("work")), None)
}

pub fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// Reads a command line whose option files lie in `directory`.
pub fn read_in(directory: &Path, line: &CommandLine) -> Result<Job, Bypass> {
    read(line, &mut |path: &Path| fs::read(directory.join(path)))
}

/// Reads arguments alone.
pub fn read_args(args: &[OsString]) -> Result<Job, Bypass> {
    let line = CommandLine {
        args,
        ..CommandLine::default()
    };
    read(&line, &mut |_: &Path| {
        Err(io::Error::from(io::ErrorKind::NotFound))
    })
}

/// Options by group: the order within a group counts, that of groups does not. Each option comes
/// in spellings of the same meaning.
pub const GROUPS: &[&[&[&[&str]]]] = &[
    &[&[&["-c"], &["--compile"]]],
    &[&[
        &["-std", "c++17"],
        &["-std=c++17"],
        &["--std", "c++17"],
        &["--std=c++17"],
    ]],
    &[&[
        &["-O3"],
        &["-O", "3"],
        &["-O=3"],
        &["--optimize=3"],
        &["-O3", "-O", "3"],
    ]],
    &[
        &[&["-DA"], &["-D", "A"], &["-D=A"], &["--define-macro=A"]],
        &[&["-UB"], &["--undefine-macro", "B"]],
        &[&["-DB=x\\,y"], &["-D", "B=x\\,y"]],
        &[
            &["-DC=\"s t\",D"],
            &["-DC=\"s t\"", "-DD"],
            &["-D", "C=\"s t\"", "-D", ",D,"],
        ],
    ],
    &[
        &[&["-I/one"], &["-I", "/one"], &["--include-path=/one"]],
        &[&["-I/two,/three"], &["-I/two", "-I=/three"]],
    ],
    &[&[
        &["-isystem=/four"],
        &["-isystem", "/four"],
        &["--system-include=/four"],
    ]],
    &[&[&["-include=x.h"], &["--pre-include", "x.h"]]],
    &[
        &[
            &["-gencode=arch=compute_80,code=sm_80"],
            &["--generate-code", "code=[sm_80],arch=compute_80"],
        ],
        &[
            &["-gencode", "arch=compute_90,code=[sm_90,compute_90]"],
            &["-gencode", "arch=compute_90,code=\"sm_90,compute_90\""],
        ],
    ],
    &[&[
        &["-rdc=true"],
        &["-rdc", "true"],
        &["--relocatable-device-code=true"],
    ]],
    &[&[
        &["-ftz=true"],
        &["--ftz", "true"],
        &["-ftz", "true", "-ftz=true"],
    ]],
    &[&[
        &["-lineinfo"],
        &["--generate-line-info"],
        &["-lineinfo", "-lineinfo"],
    ]],
    &[
        &[
            &["-Xcompiler", "-fPIC"],
            &["--compiler-options", "-fPIC"],
            &["-Xcompiler=,-fPIC"],
        ],
        &[
            &["-Xcompiler", "-Wall,-g"],
            &["-Xcompiler=-Wall", "-Xcompiler", "-g"],
        ],
    ],
    &[&[
        &["-Xptxas", "-v,-O2"],
        &["--ptxas-options=-v", "-Xptxas=-O2"],
    ]],
    &[&[
        &["-Xcudafe", "--diag_suppress=20012"],
        &["--cudafe-options=--diag_suppress=20012"],
    ]],
    &[&[
        &["-Xfatbin", "-compress-all"],
        &["--fatbin-options=-compress-all"],
    ]],
    &[&[
        &["-diag-suppress", "1,2"],
        &["-diag-suppress=1", "--diag-suppress=2"],
    ]],
    &[&[&["-diag-error", "3"], &["--diag-error=3"]]],
    &[&[&["--use_fast_math"], &["-use_fast_math"]]],
    &[&[&["--expt-relaxed-constexpr"], &["-expt-relaxed-constexpr"]]],
    &[&[
        &["-default-stream", "per-thread"],
        &["--default-stream=per-thread"],
    ]],
    &[&[&["-maxrregcount=32"], &["--maxrregcount", "32"]]],
    &[&[&["-w"], &["--disable-warnings"]]],
    &[&[&["-MD"], &["--generate-dependencies-with-compile"]]],
    &[&[&["-split-compile=2"], &["--split-compile", "2"]]],
    &[&[&["-g"], &["--debug"]]],
    &[&[&["-Werror", "all-warnings"], &["--Werror=all-warnings"]]],
    &[&[&["-x", "cu"], &["-x=cu"], &["--x", "cu"]]],
    &[&[&["-m64"]]],
    &[&[
        &["-forward-unknown-to-host-compiler"],
        &["--forward-unknown-to-host-compiler"],
    ]],
    &[&[&["-lfoo"], &["-l", "foo"], &["--library=foo"]]],
    &[&[&["a.cu"]]],
];

/// A sample of numbers that is the same on every run (an xorshift generator).
pub struct Sample(pub u64);

impl Sample {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// Two spellings of one meaning: some groups, in other orders and other words.
    pub fn pair(&mut self) -> (Vec<OsString>, Vec<OsString>) {
        let last = GROUPS.len() - 1;
        let mut chosen: Vec<usize> = (1..last).filter(|_| self.below(3) == 0).collect();
        chosen.extend([0, last]);
        let first = self.spell(&chosen);
        for at in (1..chosen.len()).rev() {
            let other = self.below(at + 1);
            chosen.swap(at, other);
        }
        (first, self.spell(&chosen))
    }

    fn spell(&mut self, groups: &[usize]) -> Vec<OsString> {
        let mut args = Vec::new();
        for option in groups.iter().flat_map(|group| GROUPS[*group]) {
            let spelling = option[self.below(option.len())];
            args.extend(words(spelling));
        }
        args
    }
}
