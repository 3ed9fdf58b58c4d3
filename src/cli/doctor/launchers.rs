//! Other compiler caches that would wrap the same compiles: on PATH under a compiler's name, in the
//! variables that build systems read, or found by build systems that look for them.
//!
//! Two caches in a row cost both lookups and gain nothing, and those that see part of nvcc's work only
//! can serve stale objects where nvcc would not.

use super::findings::{Findings, Severity};
use super::toolchain::Compilers;
use crate::cli::env::Env;
use crate::explain::flags;
use crate::toolchain::look_up;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

const ABOUT: &str = "launchers";

/// Programs that go in front of compilers, by their names.
const CACHES: [&str; 7] = [
    "ccache",
    "sccache",
    "buildcache",
    "cachepot",
    "kache",
    "distcc",
    "icecc",
];

/// Compilers that distributions put links to caches in the place of.
const COMPILERS: [&str; 6] = ["gcc", "g++", "cc", "c++", "clang", "clang++"];

/// As much of a script as is looked at.
const SCRIPT: u64 = 4096;

/// Variables that name nvcc, or a launcher of it, and who reads them.
const NVCC_VARIABLES: [(&str, &str); 6] = [
    ("CMAKE_CUDA_COMPILER_LAUNCHER", "CMake"),
    ("CUDACXX", "CMake"),
    ("NVCC", "Makefiles and cargo build scripts"),
    ("PYTORCH_NVCC", "PyTorch extensions"),
    ("CUDA_NVCC_EXECUTABLE", "FindCUDA"),
    ("PCACHE_NVCC", "pcache-nvcc"),
];

/// Variables that name the host compiler of nvcc, or flags that can, and who reads them.
const HOST_VARIABLES: [(&str, &str); 6] = [
    ("CUDAHOSTCXX", "CMake"),
    ("NVCC_CCBIN", "nvcc"),
    ("NVCC_PREPEND_FLAGS", "nvcc"),
    ("NVCC_APPEND_FLAGS", "nvcc"),
    ("CC", "PyTorch extensions, which hand it to nvcc as -ccbin"),
    ("CUDA_HOST_COMPILER", "FindCUDA"),
];

pub(super) fn examine(env: &Env<'_>, compilers: Option<&Compilers>, findings: &mut Findings) {
    let before = findings.0.len();
    let path = (env.var)("PATH").unwrap_or_default();
    examine_path(&path, findings);
    examine_compilers(compilers, findings);
    examine_variables(env, &path, findings);
    let is_clean = findings.0.len() == before;
    examine_found(&path, findings);
    if is_clean {
        findings.ok(ABOUT, "no other cache is in front of nvcc or behind it");
    }
}

/// Names on PATH that are a cache in disguise.
fn examine_path(path: &OsString, findings: &mut Findings) {
    for name in COMPILERS.into_iter().chain(["nvcc"]) {
        let Some(place) = look_up(name.as_ref(), path) else {
            continue;
        };
        let Some(cache) = disguise(&place) else {
            continue;
        };
        let text = format!("{name} on PATH is {cache} ({})", place.display());
        let advice = match name {
            "nvcc" => "take its directory off PATH, or put that of pcache-nvcc's link before it",
            _ => {
                "nvcc runs the host compiler for each pass, so that each would go through both: take \
                 the directory off PATH, or name the compiler itself with -ccbin"
            }
        };
        findings.advise(Severity::Warning, ABOUT, text, advice);
    }
}

/// What was really found to be nvcc and its host compiler.
fn examine_compilers(compilers: Option<&Compilers>, findings: &mut Findings) {
    let Some(compilers) = compilers else { return };
    if let Some(cache) = disguise(&compilers.nvcc) {
        let text = format!(
            "the nvcc that pcache-nvcc runs is {cache} ({})",
            compilers.nvcc.display()
        );
        findings.advise(
            Severity::Warning,
            ABOUT,
            text,
            "set PCACHE_NVCC to the nvcc of the toolkit",
        );
    }
    let Some(toolchain) = &compilers.toolchain else {
        return;
    };
    let mut known = toolchain.roles.iter().zip(&toolchain.tools);
    let host = known.find(|((role, _), _)| role == "host");
    if let Some((_, host)) = host
        && let Some(cache) = disguise(host)
    {
        let text = format!("nvcc's host compiler is {cache} ({})", host.display());
        findings.advise(
            Severity::Warning,
            ABOUT,
            text,
            "name the compiler itself with -ccbin",
        );
    }
}

fn examine_variables(env: &Env<'_>, path: &OsString, findings: &mut Findings) {
    let value = |name: &str| {
        let value = (env.var)(name)?;
        value.into_string().ok().filter(|value| !value.is_empty())
    };
    let shown = |value: &str| flags(value.as_bytes());
    let around = ("around nvcc", "pcache-nvcc");
    let behind = ("between nvcc and its host compiler", "the compiler itself");
    let rows = NVCC_VARIABLES.iter().map(|row| (row, around));
    let rows = rows.chain(HOST_VARIABLES.iter().map(|row| (row, behind)));
    for ((name, reader), (place, instead)) in rows {
        let Some(value) = value(name) else { continue };
        if let Some(cache) = cache_in(&value, path) {
            let value = shown(&value);
            let text = format!("{name}={value} puts {cache} {place} (read by {reader})");
            let advice = format!("unset it, or let it name {instead}");
            findings.advise(Severity::Warning, ABOUT, text, &advice);
        }
    }
    for name in ["CMAKE_C_COMPILER_LAUNCHER", "CMAKE_CXX_COMPILER_LAUNCHER"] {
        let Some(value) = value(name) else { continue };
        if value.contains("pcache-nvcc") {
            let text = format!("{name}={value}: pcache-nvcc would take a host compiler for nvcc");
            let advice = "set CMAKE_CUDA_COMPILER_LAUNCHER alone";
            findings.advise(Severity::Error, ABOUT, text, advice);
        } else if cache_in(&value, path).is_some() {
            let text = format!("{name}={value}: for C and C++ alone, which is fine");
            findings.note(ABOUT, text);
        }
    }
    if let Some(value) = value("CMAKE_ARGS")
        && let Some(cache) = cache_in_definitions(&value, path)
    {
        let text = format!("CMAKE_ARGS={value} puts {cache} around nvcc");
        findings.advise(Severity::Warning, ABOUT, text, "take it out there");
    }
}

/// Build systems that use a cache unasked once there is one.
fn examine_found(path: &OsString, findings: &mut Findings) {
    let found = ["ccache", "sccache"]
        .into_iter()
        .filter(|name| look_up(name.as_ref(), path).is_some());
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return;
    }
    let text = format!(
        "{} on PATH: llama.cpp (GGML_CCACHE), PyTorch (USE_CCACHE) and vLLM put it around nvcc unasked",
        found.join(" and ")
    );
    let advice = "build them with -DGGML_CCACHE=OFF, USE_CCACHE=0, or without it on PATH; pcache doctor \
                  BUILD_DIR tells what a build does";
    findings.advise(Severity::Note, ABOUT, text, advice);
}

/// The cache that a command line, a list of CMake's or flags name or lead to.
pub(super) fn cache_in(text: &str, path: &OsString) -> Option<&'static str> {
    let words = text.split(|c: char| c.is_whitespace() || ";=,\"'".contains(c));
    words.filter(|word| !word.is_empty()).find_map(|word| {
        let by_name = cache_called(Path::new(word));
        by_name.or_else(|| disguise(&look_up(word.as_ref(), path)?))
    })
}

/// The same in `-DNAME=VALUE` for the names that matter to nvcc.
fn cache_in_definitions(text: &str, path: &OsString) -> Option<&'static str> {
    text.split_whitespace().find_map(|word| {
        let (name, value) = word.strip_prefix("-D")?.split_once('=')?;
        let name = name.split(':').next()?;
        let is_ours = ["CMAKE_CUDA_COMPILER_LAUNCHER", "CMAKE_CUDA_HOST_COMPILER"].contains(&name);
        is_ours.then(|| cache_in(value, path))?
    })
}

/// The cache that the program at `place` is: by its name behind links, or in the text of a script.
pub(super) fn disguise(place: &Path) -> Option<&'static str> {
    let real = fs::canonicalize(place).unwrap_or_else(|_| PathBuf::from(place));
    cache_called(&real).or_else(|| {
        let mut text = Vec::new();
        let file = File::open(&real).ok()?;
        file.take(SCRIPT).read_to_end(&mut text).ok()?;
        let text = text
            .starts_with(b"#!")
            .then(|| String::from_utf8_lossy(&text))?;
        // Comments say what a script is not, too.
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        let words =
            lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"'=;".contains(c)));
        words.map(Path::new).find_map(cache_called)
    })
}

fn cache_called(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".exe").unwrap_or(name);
    CACHES.into_iter().find(|cache| name == *cache)
}

#[cfg(test)]
mod tests {
    use super::{cache_in, cache_in_definitions, disguise};
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn caches_are_found_in_command_lines_lists_and_flags() {
        let path = OsString::new();
        let found = |text| cache_in(text, &path);
        assert_eq!(found("ccache nvcc"), Some("ccache"));
        assert_eq!(found("/opt/bin/sccache;pcache-nvcc"), Some("sccache"));
        assert_eq!(found("-O3 -ccbin=/usr/bin/ccache"), Some("ccache"));
        assert_eq!(found("/opt/ccache/bin/nvcc"), None, "a directory's name");
        assert_eq!(found("pcache-nvcc"), None);
        let args = "-DCMAKE_CUDA_COMPILER_LAUNCHER:STRING=ccache -DX=1";
        assert_eq!(cache_in_definitions(args, &path), Some("ccache"));
        let args = "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache";
        assert_eq!(cache_in_definitions(args, &path), None);
    }

    #[test]
    fn links_and_scripts_are_seen_through() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let script = |name: &str, text: &str| {
            fs::write(at(name), text).unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).unwrap();
        };
        script("ccache", "\x7fELF");
        script("gcc-12", "\x7fELF");
        symlink(at("ccache"), at("gcc")).unwrap();
        symlink(at("gcc-12"), at("cc")).unwrap();
        script(
            "g++",
            "#!/bin/sh\n# not distcc\nexec sccache /usr/bin/g++ \"$@\"\n",
        );
        script(
            "c++",
            "#!/bin/sh\n# no ccache here\nexec /usr/bin/c++ \"$@\"\n",
        );
        assert_eq!(disguise(&at("gcc")), Some("ccache"));
        assert_eq!(disguise(&at("cc")), None);
        assert_eq!(disguise(&at("g++")), Some("sccache"));
        assert_eq!(disguise(&at("c++")), None);
        assert_eq!(cache_in("gcc", &dir.path().into()), Some("ccache"));
    }
}
