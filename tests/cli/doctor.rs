//! `pcache doctor`: what it finds, what it advises, and its exit status. The toolkit is a script that
//! answers as nvcc does where no real one is asked for.

use crate::home::Home;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A home with a directory for programs, the only one on PATH.
struct Bench {
    home: Home,
    bin: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let home = Home::new();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_pcache-nvcc"), bin.join("pcache-nvcc")).unwrap();
        Self { home, bin }
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command(arguments);
        command.env("PATH", &self.bin).current_dir(&self.bin);
        command.env("TMPDIR", self.home.path());
        command
    }

    /// Findings with these variables, and the exit status.
    fn findings(&self, variables: &[(&str, &str)]) -> (Vec<Value>, i32) {
        let mut command = self.command(&["doctor", "--json"]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        let findings = report["findings"].as_array().unwrap().clone();
        let count = |level: &str| {
            findings
                .iter()
                .filter(|found| found["level"] == level)
                .count()
        };
        assert_eq!(report["errors"], count("error"));
        assert_eq!(report["warnings"], count("warning"));
        (findings, output.status.code().unwrap())
    }

    /// The one finding about something whose text contains `part`.
    #[track_caller]
    fn finding(&self, variables: &[(&str, &str)], about: &str, part: &str) -> Value {
        let (findings, _) = self.findings(variables);
        let is_it = |found: &&Value| {
            found["about"] == about && found["text"].as_str().unwrap().contains(part)
        };
        let mut found = findings.iter().filter(is_it);
        let (first, next) = (found.next(), found.next());
        assert!(next.is_none(), "{findings:#?}");
        first
            .unwrap_or_else(|| panic!("{part}: {findings:#?}"))
            .clone()
    }
}

#[track_caller]
fn is(found: &Value, level: &str, advice: &str) {
    assert_eq!(found["level"], level, "{found}");
    let said = found["advice"].as_str().unwrap_or_default();
    assert!(said.contains(advice), "{found}");
}

#[test]
fn missing_nvcc_is_an_error_with_the_place_that_was_looked_at() {
    let bench = Bench::new();
    let variables = [("PCACHE_NVCC", "/absent/nvcc")];
    let found = bench.finding(&variables, "nvcc", "no real nvcc found");
    is(&found, "error", "PCACHE_NVCC");
    assert!(found["text"].as_str().unwrap().contains("/absent/nvcc"));
    assert_eq!(bench.findings(&variables).1, 1);
}

#[test]
fn extra_file_that_is_missing_is_a_warning() {
    let found = Bench::new().finding(
        &[("PCACHE_EXTRA_FILES", "/absent/list")],
        "settings",
        "/absent/list",
    );
    is(&found, "warning", "take it out of the list");
}

#[test]
fn nvcc_that_prints_no_plan_is_an_error() {
    let bench = Bench::new();
    bench.script("nvcc", "echo no licence >&2; exit 1");
    is(
        &bench.finding(&[], "toolkit", "no licence"),
        "error",
        "nvcc --dryrun",
    );
}

#[test]
fn driver_version_that_is_set_is_said_with_where_it_is_set() {
    let bench = Bench::new();
    bench.script("nvcc", "exit 1");
    let variables = [("PCACHE_DRIVER", "595.71.05")];
    let part = "595.71.05, which driver is set to (environment)";
    is(&bench.finding(&variables, "driver", part), "ok", "");
    let found = bench.finding(&[], "driver", "");
    let advice = found["advice"].as_str().unwrap();
    assert!(advice.contains("set PCACHE_DRIVER to one value"), "{found}");
    assert!(["ok", "note"].contains(&found["level"].as_str().unwrap()));
}

#[test]
fn wrapper_that_is_not_on_path_is_found_beside_pcache() {
    let bench = Bench::new();
    fs::remove_file(bench.bin.join("pcache-nvcc")).unwrap();
    is(
        &bench.finding(&[], "pcache-nvcc", "is not on PATH"),
        "warning",
        "PATH",
    );
}

#[test]
fn link_to_ourselves_is_not_the_real_nvcc() {
    let bench = Bench::new();
    let link = bench.bin.join("nvcc");
    symlink(env!("CARGO_BIN_EXE_pcache-nvcc"), &link).unwrap();
    let variables = [("PCACHE_NVCC", link.to_str().unwrap())];
    is(
        &bench.finding(&variables, "nvcc", "pcache-nvcc itself"),
        "error",
        "toolkit",
    );
}

#[test]
fn other_caches_on_path_are_seen_through_links_and_scripts() {
    let bench = Bench::new();
    bench.script("ccache", "exit 0");
    symlink("ccache", bench.bin.join("g++")).unwrap();
    bench.script("nvcc", "exec sccache /usr/local/cuda/bin/nvcc \"$@\"");
    is(
        &bench.finding(&[], "launchers", "g++ on PATH is ccache"),
        "warning",
        "-ccbin",
    );
    is(
        &bench.finding(&[], "launchers", "nvcc on PATH is sccache"),
        "warning",
        "PATH",
    );
    is(
        &bench.finding(&[], "launchers", "the nvcc that pcache-nvcc runs"),
        "warning",
        "PCACHE_NVCC",
    );
    is(
        &bench.finding(&[], "launchers", "GGML_CCACHE"),
        "note",
        "USE_CCACHE=0",
    );
}

#[test]
fn other_caches_in_variables_are_found() {
    let bench = Bench::new();
    bench.script("distcc", "exit 0");
    symlink("distcc", bench.bin.join("hostcc")).unwrap();
    for (name, value, advice) in [
        (
            "CMAKE_CUDA_COMPILER_LAUNCHER",
            "ccache;pcache-nvcc",
            "pcache-nvcc",
        ),
        ("CUDACXX", "/usr/lib/ccache", "pcache-nvcc"),
        ("PYTORCH_NVCC", "ccache nvcc", "pcache-nvcc"),
        ("NVCC", "sccache nvcc", "pcache-nvcc"),
        ("CC", "sccache gcc", "the compiler itself"),
        ("CUDAHOSTCXX", "hostcc", "the compiler itself"),
        (
            "NVCC_PREPEND_FLAGS",
            "-O2 -ccbin hostcc",
            "the compiler itself",
        ),
        (
            "NVCC_APPEND_FLAGS",
            "--compiler-bindir=/usr/bin/ccache",
            "the compiler itself",
        ),
    ] {
        let found = bench.finding(
            &[(name, value)],
            "launchers",
            &format!("{name}={value} puts"),
        );
        is(&found, "warning", advice);
    }
    let args = "-DX=1 -DCMAKE_CUDA_COMPILER_LAUNCHER=sccache";
    is(
        &bench.finding(&[("CMAKE_ARGS", args)], "launchers", "puts sccache"),
        "warning",
        "",
    );
    let wrong = ("CMAKE_CXX_COMPILER_LAUNCHER", "pcache-nvcc");
    is(
        &bench.finding(&[wrong], "launchers", "take a host compiler"),
        "error",
        "CUDA_COMPILER",
    );
    let fine = [
        ("CMAKE_CUDA_COMPILER_LAUNCHER", "pcache-nvcc"),
        ("CMAKE_CXX_COMPILER_LAUNCHER", "ccache"),
        ("CC", "gcc"),
    ];
    is(
        &bench.finding(&fine, "launchers", "for C and C++ alone"),
        "note",
        "",
    );
}

#[test]
fn build_directory_is_looked_at() {
    let bench = Bench::new();
    let build = bench.home.path().join("build");
    fs::create_dir(&build).unwrap();
    let look = || {
        let mut command = bench.command(&["doctor", "--json", build.to_str().unwrap()]);
        let output = command.output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let found = findings.iter().find(|found| found["about"] == "build");
        found.unwrap().clone()
    };
    is(&look(), "error", "CMake has configured");
    fs::write(
        build.join("CMakeCache.txt"),
        "CMAKE_CUDA_COMPILER_LAUNCHER:STRING=sccache\n",
    )
    .unwrap();
    is(&look(), "warning", "-DCMAKE_CUDA_COMPILER_LAUNCHER");
    fs::write(
        build.join("CMakeCache.txt"),
        "CMAKE_CUDA_COMPILER_LAUNCHER:STRING=pcache-nvcc\n",
    )
    .unwrap();
    is(&look(), "ok", "");
}

#[test]
fn settings_that_no_program_reads_are_found_with_the_nearest() {
    let bench = Bench::new();
    let variables = [
        ("PCACHE_MAXSIZE", "1G"),
        ("PCACHE_FOO", "1"),
        ("PCACHE_JOBS", "2"),
    ];
    let found = bench.finding(&variables, "settings", "PCACHE_MAXSIZE is set");
    is(&found, "warning", "did you mean PCACHE_MAX_SIZE?");
    is(
        &bench.finding(&variables, "settings", "PCACHE_FOO is set"),
        "warning",
        "unset it",
    );
    let config = bench.home.path().join(".config/pcache");
    fs::create_dir_all(&config).unwrap();
    fs::write(
        config.join("config.toml"),
        "redonly = true\nwait = 'long'\n",
    )
    .unwrap();
    is(
        &bench.finding(&[], "settings", "did you mean readonly?"),
        "warning",
        "correct it",
    );
    is(
        &bench.finding(&[], "settings", "not a number of seconds"),
        "warning",
        "correct it",
    );
    is(
        &bench.finding(
            &[("PCACHE_DISABLE", "1")],
            "settings",
            "disable is set (environment)",
        ),
        "warning",
        "false",
    );
    is(
        &bench.finding(&[("PCACHE_STAGES", "0")], "settings", "stages is off"),
        "note",
        "",
    );
}

#[test]
fn log_that_cannot_be_written_is_a_warning() {
    let bench = Bench::new();
    let home = bench.home.path().display().to_string();
    for (path, why) in [
        (format!("{home}/absent/log"), "No such file"),
        (home.clone(), "directory"),
    ] {
        let found = bench.finding(&[("PCACHE_LOG", &path)], "settings", "nothing is logged");
        is(&found, "warning", "set PCACHE_LOG to a file");
        assert!(found["text"].as_str().unwrap().contains(why), "{found}");
    }
    let found = bench.finding(
        &[("PCACHE_LOG", "log")],
        "settings",
        "own working directory",
    );
    is(&found, "note", "full path");
    let fine = format!("{home}/log");
    let found = bench.finding(&[("PCACHE_LOG", &fine)], "settings", "recognised");
    is(&found, "ok", "");
    assert!(!Path::new(&fine).exists(), "looking at it makes no log");
}

#[test]
fn what_is_in_the_way_of_the_cache_is_an_error() {
    let bench = Bench::new();
    fs::write(bench.home.path().join("file"), "").unwrap();
    for dir in ["file", "file/below/it"] {
        let dir = bench.home.path().join(dir);
        let dir = dir.to_str().unwrap();
        let finding = bench.finding(&[("PCACHE_DIR", dir)], "cache", "is not a directory");
        is(&finding, "error", "set PCACHE_DIR to a directory");
    }
}

#[test]
fn cache_is_examined_and_left_as_it_was() {
    let bench = Bench::new();
    bench.finding(&[], "cache", "is not there yet");
    assert!(!bench.home.cache().exists());
    bench.home.store().put(b"key", &[0; 4096]).unwrap();
    let list = || {
        let mut names: Vec<OsString> = fs::read_dir(bench.home.cache())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = list();
    bench.finding(&[], "cache", "holds 4.0 KiB of 10.0 GiB");
    bench.finding(
        &[],
        "file system",
        "rename over a file, shared counters, byte-range locks, flock",
    );
    is(
        &bench.finding(
            &[("PCACHE_MAX_SIZE", "2K")],
            "cache",
            "holds 4.0 KiB of 2.0 KiB",
        ),
        "warning",
        "gc",
    );
    is(
        &bench.finding(&[("PCACHE_MAX_SIZE", "900000T")], "cache", "may still grow"),
        "warning",
        "lower",
    );
    assert_eq!(list(), before);
}

#[test]
fn whose_results_are_believed_is_said_with_the_way_out() {
    let bench = Bench::new();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let absent = "not there, and PCACHE_READONLY is set";
    is(
        &bench.finding(&[("PCACHE_READONLY", "1")], "cache", absent),
        "warning",
        "unset",
    );
    bench.home.store();
    is(
        &bench.finding(&[], "cache", "only you and root can write"),
        "ok",
        "",
    );
    let key = bench.home.cache().with_file_name("key");
    let named = key.display().to_string();
    let made = bench.command(&["init", "--key", &named]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let found = bench.finding(
        &[("PCACHE_KEY", &named)],
        "cache",
        "has signed are believed",
    );
    assert!(found["text"].as_str().unwrap().contains(&named), "{found}");
    mode(&key, 0o644);
    is(
        &bench.finding(&[("PCACHE_KEY", &named)], "cache", "its mode is 644"),
        "error",
        "fixed",
    );
    let cache = bench.home.cache();
    mode(&cache, 0o777);
    is(
        &bench.finding(&[], "cache", "others can write in it (mode 777)"),
        "error",
        "chmod",
    );
    let others = bench.finding(&[("PCACHE_TRUST", "owner")], "cache", "it has no key");
    is(&others, "error", "PCACHE_TRUST=owner counts only");
    is(
        &bench.finding(&[], "cache", "your own files are in"),
        "ok",
        "",
    );
    let place = cache.with_file_name("private");
    fs::create_dir(&place).unwrap();
    mode(&place, 0o777);
    let place = place.display().to_string();
    let settings = [("PCACHE_PRIVATE_DIR", place.as_str())];
    is(
        &bench.finding(&settings, "cache", "no result is believed or stored"),
        "error",
        "PCACHE_PRIVATE_DIR",
    );
    is(
        &bench.finding(&settings, "cache", "without own files"),
        "warning",
        "PCACHE_PRIVATE_DIR",
    );
    fs::create_dir(cache.join("signing")).unwrap();
    mode(&cache.join("signing"), 0o770);
    is(
        &bench.finding(&[], "cache", "others own its directory"),
        "error",
        "750",
    );
}

#[test]
fn work_directory_with_a_comma_is_an_error() {
    let bench = Bench::new();
    let comma = bench.home.path().join("a,b");
    fs::create_dir(&comma).unwrap();
    let found = bench.finding(
        &[("TMPDIR", comma.to_str().unwrap())],
        "TMPDIR",
        "has a comma",
    );
    is(&found, "error", "set TMPDIR");
    is(
        &bench.finding(&[("TMPDIR", "/absent")], "TMPDIR", "cannot write"),
        "error",
        "set TMPDIR",
    );
}

#[test]
fn table_has_an_arrow_before_each_advice_and_colours_on_no_pipe() {
    let bench = Bench::new();
    let mut command = bench.command(&["doctor"]);
    let output = command.env("PCACHE_FOO", "1").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("warning  settings        PCACHE_FOO is set, and no program reads it\n"),
        "{said}"
    );
    assert!(
        said.contains("\n                         → unset it; "),
        "{said}"
    );
    assert!(!said.contains('\x1b'));
}
