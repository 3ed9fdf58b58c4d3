//! What single command lines are read as: reasons for a bypass, fields of a job, and which
//! differences reach the key.

use super::samples::{read_args, words};
use pcache_nvcc::cmdline::{CommandLine, Job, Mode, read};
use pcache_nvcc::outcome::{Bypass, BypassReason};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

fn split(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

#[track_caller]
fn job(line: &str) -> Job {
    read_args(&split(line)).unwrap_or_else(|bypass| panic!("{line}: {bypass:?}"))
}

#[track_caller]
fn refused(line: &str, reason: BypassReason) -> Bypass {
    let bypass = read_args(&split(line)).expect_err(line);
    assert_eq!(bypass.reason, reason, "{line}: {bypass:?}");
    bypass
}

#[test]
fn requests_that_are_no_compile_are_bypassed_with_their_reason() {
    use BypassReason as R;
    for (line, reason) in [
        ("--version", R::Information),
        ("-V", R::Information),
        ("--help", R::Information),
        ("--list-gpu-arch", R::Information),
        ("-code-ls", R::Information),
        ("-E a.cu", R::Preprocess),
        ("-M a.cu b.cu", R::Dependencies),
        ("-M -MM a.cu", R::Dependencies),
        ("-M -MD a.cu -c", R::Dependencies),
        ("-M a.ptx", R::LinkOnly),
        ("-MD -MMD a.cu -c", R::Dependencies),
        ("--dryrun -c a.cu", R::Dryrun),
        ("-v2 -c a.cu", R::Verbose),
        ("-run a.cu", R::Run),
        ("-clean -c a.cu", R::Clean),
        ("--time=t.csv -c a.cu", R::Timing),
        ("-fdevice-time-trace x -c a.cu", R::Timing),
        ("-c -O3", R::NoInput),
        ("-c -x cu -", R::Stdin),
        ("-c -x cu /dev/stdin", R::Stdin),
        ("-o app a.o b.a libc.so", R::LinkOnly),
        ("-dlink a.ptx b.o", R::LinkOnly),
        ("-lib a.o -o b.a", R::LinkOnly),
        ("-c a.o", R::LinkOnly),
        ("-c a.cu -foo", R::UnknownOption),
        ("-c a.cu --std", R::BadArguments),
        ("-c a.cu @x.rsp", R::BadArguments),
        ("-c a.cu -o x -o", R::BadArguments),
        ("-c a.cu b.cu -o x", R::BadArguments),
        ("-c a.cu -t4k", R::BadArguments),
        ("-c a.cu -t1 -t2", R::BadArguments),
        ("-c a.cu --keep --keep-dir a --keep-dir b", R::BadArguments),
        ("-c a.cu -MF x", R::BadArguments),
        ("-tilecubin a.cu", R::UnsupportedMode),
        ("-hls gen-lcs -c a.cu", R::UnsupportedMode),
        ("-c -x c++ a.h.gch", R::Precompiled),
        ("-c a.cu -include x.gch", R::Precompiled),
        ("-c a.cu -Xcompiler -include-pch,x", R::Precompiled),
        ("-c a.cu -Xcudafe --create_pch=x", R::Precompiled),
        ("-c a.cu -forward-unknown-opts --pch", R::Precompiled),
        ("-c a.cu -Xcompiler -fplugin=x.so", R::HostOption),
        ("-c a.cu -Xcompiler '-MD'", R::HostOption),
        (
            "-c a.cu -forward-unknown-to-host-compiler --coverage",
            R::HostOption,
        ),
        ("-c a.cu -Xcompiler -Wp\\,-MD\\,x", R::HostOption),
        ("-c a.cu -Xptxas -o=x", R::ToolOption),
        ("-c a.cu -Xptxas --apply-controls,x", R::ToolOption),
        ("-c a.cu --apply-controls x", R::ToolOption),
        ("-c a.cu --cicc-prefix time", R::ToolOption),
        ("-c a.cu -DA=$HOME", R::ShellExpansion),
        ("-c a.cu -DA=`ls`", R::ShellExpansion),
        ("-c a.cu -Xcompiler -DA=*", R::ShellExpansion),
        ("-c a.cu -Xcompiler -DX='ab", R::ShellExpansion),
        ("-c $x.cu", R::ShellExpansion),
        ("-c a.cu -I `ls`", R::ShellExpansion),
        ("-c a.cu -diag-suppress 1;2", R::ShellExpansion),
        ("-c a.cu -ccbin $CXX", R::ShellExpansion),
        ("a.cu -Xcompiler -Wl\\,-Map=x", R::HostOption),
    ] {
        refused(line, reason);
    }
}

#[test]
fn the_earliest_stage_asked_for_is_the_mode() {
    for (line, mode) in [
        ("a.cu", Mode::Program),
        ("-link a.cu", Mode::Program),
        ("-c a.cu", Mode::Object),
        ("-c -M a.cu", Mode::Rules),
        ("-MM -ptx a.cu", Mode::Rules),
        ("-dc a.cu", Mode::Object),
        ("-dw a.cu", Mode::Object),
        ("-c -ptx a.cu", Mode::Ptx),
        ("-cubin -ptx a.cu", Mode::Ptx),
        ("-cubin -c a.cu", Mode::Cubin),
        ("-fatbin a.cu", Mode::Fatbin),
        ("-fatbin -dlink a.cu", Mode::DeviceLink),
        ("-optix-ir -ptx a.cu", Mode::OptixIr),
        ("-dlto -ltoir a.cu", Mode::Ltoir),
        ("-cuda -c a.cu", Mode::CudaSource),
        ("-lib -c a.cu", Mode::Object),
        ("-lib a.cu", Mode::Library),
        ("-dlink a.cu", Mode::DeviceLink),
    ] {
        assert_eq!(job(line).mode, mode, "{line}");
    }
}

#[test]
fn a_job_tells_where_everything_goes() {
    let all = job(
        "-c a.cu -o x -o y.o -odir d -MMD -MP -MT t,u -MF f --keep --keep-dir k -t4 -ccbin g++",
    );
    assert_eq!(all.inputs, words(&["a.cu"]));
    assert_eq!(all.output.as_deref(), Some(OsStr::new("y.o")));
    assert_eq!(all.output_directory.as_deref(), Some(OsStr::new("d")));
    assert_eq!(all.keep.as_deref(), Some(OsStr::new("k")));
    assert_eq!(all.threads.as_deref(), Some(OsStr::new("4")));
    assert_eq!(all.ccbin.as_deref(), Some(OsStr::new("g++")));
    let rules = all.dependencies.expect("rules");
    assert!(rules.phony && !rules.system);
    assert_eq!(rules.targets, words(&["t,u"]));
    assert_eq!(rules.file.as_deref(), Some(OsStr::new("f")));

    assert_eq!(job("-c a.cu --keep-dir k").keep, None);
    assert_eq!(
        job("-c a.cu -save-temps").keep.as_deref(),
        Some(OsStr::new("."))
    );
    assert_eq!(job("-c a.cu").dependencies, None);
}

#[test]
fn an_argument_names_the_host_compiler_before_the_environment() {
    let read = |args: &str| {
        let args = split(args);
        let line = CommandLine {
            args: &args,
            ccbin: Some(OsStr::new("clang")),
            ..CommandLine::default()
        };
        read(&line, &mut |_: &Path| {
            Err(io::Error::from(io::ErrorKind::NotFound))
        })
        .expect("a job")
    };
    assert_eq!(read("-c a.cu").ccbin.as_deref(), Some(OsStr::new("clang")));
    assert_eq!(
        read("-c a.cu -ccbin gcc").ccbin.as_deref(),
        Some(OsStr::new("gcc"))
    );
    assert_eq!(
        read("-c a.cu").canonical(),
        job("-c a.cu -ccbin=clang").canonical()
    );
}

#[track_caller]
fn same(one: &str, other: &str) {
    assert_eq!(
        job(one).canonical(),
        job(other).canonical(),
        "{one}\n{other}"
    );
}

#[track_caller]
fn differ(one: &str, other: &str) {
    assert_ne!(
        job(one).canonical(),
        job(other).canonical(),
        "{one}\n{other}"
    );
}

#[test]
fn names_of_outputs_and_scheduling_stay_out_of_the_key() {
    for other in [
        "-c a.cu -o x.o",
        "-c a.cu -odir d",
        "-c a.cu -MD -MF f -MT t -MP",
        "-c a.cu --keep --keep-dir k",
        "-c a.cu -t0",
        "-c a.cu -objtemp",
        "-c -c a.cu",
    ] {
        same("-c a.cu", other);
    }
}

#[test]
fn what_changes_the_output_or_the_messages_reaches_the_key() {
    for other in [
        "-c b.cu",
        "-dc a.cu",
        "-ptx a.cu",
        "-c a.cu -O3",
        "-c a.cu -DA",
        "-c a.cu -IA",
        "-c a.cu -Xptxas -v",
        "-c a.cu -split-compile=2",
        "-c a.cu -ccbin g++",
        "-c a.cu -res-usage",
        "-c a.cu -jobserver",
        // nvcc warns of the redefinition.
        "-c a.cu -o x -o y",
    ] {
        differ("-c a.cu", other);
    }
    differ("-c a.cu -DA -UA", "-c a.cu -UA -DA");
    differ("-c a.cu -I/a -I/b", "-c a.cu -I/b -I/a");
    differ("-c a.cu -O2 -O3", "-c a.cu -O3");
    differ("-c a.cu -O0 -O3 -O0", "-c a.cu -O0 -O0");
    differ("-c a.cu -DA", "-c a.cu -UA");
    differ("-c a.cu -Xcompiler -w", "-c a.cu -Xptxas -w");
    differ(
        "-c a.cu -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90",
        "-c a.cu -gencode arch=compute_90,code=sm_90 -gencode arch=compute_80,code=sm_80",
    );
}

#[test]
fn architectures_spelled_differently_are_the_same() {
    same("-c a.cu -arch sm_80", "-c a.cu -arch=sm_80");
    same("-c a.cu -arch sm_80", "-c a.cu --gpu-architecture=sm_80");
    same("-c a.cu -arch sm_80 -O3", "-O 3 -arch sm_80 a.cu -c");
}
