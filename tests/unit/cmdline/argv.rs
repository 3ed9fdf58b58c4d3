//! Every recorded command line of real builds: what is made of it, as one line each.

use pcache_nvcc::cmdline::{CommandLine, Job, read};
use pcache_nvcc::outcome::{Bypass, BypassReason};
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn recordings() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/argv");
    let entries = fs::read_dir(folder).expect("recorded command lines");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

/// The option files that the recordings name are gone; these are contents of their kinds.
fn open(path: &Path) -> io::Result<Vec<u8>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let text = match name.as_ref() {
        "includes_CUDA.rsp" => "-I/src/inc -isystem /usr/local/cuda/include\n",
        "deviceObjects1" | "deviceObjects1.rsp" => "a.cu.o b.cu.o\n",
        _ if name.starts_with("deviceLinkLibs") => " -lcudadevrt -lcudart_static -lrt\n",
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "no such option file",
            ));
        }
    };
    Ok(text.as_bytes().to_vec())
}

fn read_line(line: &str) -> Result<Job, Bypass> {
    let argv: Vec<String> = serde_json::from_str(line).expect("an array of strings");
    let args: Vec<OsString> = argv.into_iter().skip(1).map(OsString::from).collect();
    let line = CommandLine {
        args: &args,
        ..CommandLine::default()
    };
    read(&line, &mut open)
}

fn summary(outcome: &Result<Job, Bypass>) -> String {
    match outcome {
        Err(bypass) => format!("{} {}", bypass.reason.code(), bypass.detail),
        Ok(job) => {
            let mut text = format!("{:?} {:?}", job.mode, job.inputs);
            for (label, value) in [
                ("-o", &job.output),
                ("-odir", &job.output_directory),
                ("-ccbin", &job.ccbin),
                ("-t", &job.threads),
                ("--keep", &job.keep),
            ] {
                if let Some(value) = value {
                    let _ = write!(text, " {label} {}", value.to_string_lossy());
                }
            }
            if let Some(rules) = &job.dependencies {
                let _ = write!(text, " {rules:?}");
            }
            text
        }
    }
}

#[test]
fn every_recorded_command_line_has_its_recorded_meaning() {
    let mut text = String::new();
    for path in recordings() {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let _ = writeln!(text, "== {name}");
        for line in fs::read_to_string(&path).expect("a recording").lines() {
            let _ = writeln!(text, "{}", summary(&read_line(line)));
        }
    }
    insta::assert_snapshot!("argv", text.trim_end());
}

/// Requests about nvcc, probes, links and dependency scans are not for a cache. Everything else that
/// real builds ask for must be.
#[test]
fn no_recorded_compile_is_bypassed_without_a_known_reason() {
    for path in recordings() {
        for line in fs::read_to_string(&path).expect("a recording").lines() {
            let Err(bypass) = read_line(line) else {
                continue;
            };
            let known = matches!(
                bypass.reason,
                BypassReason::Information
                    | BypassReason::Verbose
                    | BypassReason::LinkOnly
                    | BypassReason::Dependencies
                    | BypassReason::Preprocess
            );
            // cc-rs tries host flags on nvcc to see them refused, ggml asks gcc for its
            // version, and LightGBM's find module runs `nvcc ""`.
            let probe = [
                "-?",
                "-ffunction-sections",
                "--version prints the version",
                "-dumpfullversion dumps the compiler's state",
                "an empty argument",
                "__cmake_determine_cuda",
            ]
            .contains(&bypass.detail.as_str());
            assert!(known || probe, "{}: {line}\n{bypass:?}", path.display());
        }
    }
}

#[test]
fn an_option_file_that_cannot_be_read_is_a_bypass() {
    let line = r#"["nvcc", "-c", "a.cu", "--options-file", "gone.rsp"]"#;
    let bypass = read_line(line).expect_err("a bypass");
    assert_eq!(bypass.reason, BypassReason::OptionFile);
    assert_eq!(bypass.detail, "gone.rsp: no such option file");
}
