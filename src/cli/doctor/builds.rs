//! What a CMake build directory has been configured to do with nvcc. Reads its cache and nothing else.

use super::findings::{Findings, Severity};
use super::launchers::cache_in;
use crate::cli::env::Env;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

const ABOUT: &str = "build";

/// Entries of CMake's cache that put a program in front of nvcc or behind it.
const ENTRIES: [&str; 5] = [
    "CMAKE_CUDA_COMPILER_LAUNCHER",
    "CMAKE_CUDA_COMPILER",
    "CMAKE_CUDA_HOST_COMPILER",
    "CUDA_NVCC_EXECUTABLE",
    "CUDA_HOST_COMPILER",
];

pub(super) fn examine(build: Option<&Path>, env: &Env<'_>, findings: &mut Findings) {
    let directory = build.unwrap_or(Path::new("."));
    let text = match fs::read(directory.join("CMakeCache.txt")) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            if build.is_some() {
                let text = format!("no CMakeCache.txt can be read in {directory:?}: {error}");
                let advice = "name a directory that CMake has configured";
                findings.advise(Severity::Error, ABOUT, text, advice);
            }
            return;
        }
    };
    let path = (env.var)("PATH").unwrap_or_default();
    examine_text(&text, &path, findings);
}

fn examine_text(text: &str, path: &OsString, findings: &mut Findings) {
    let entries = entries(text);
    let value = |name: &str| entries.get(name).copied().unwrap_or_default();
    let is_clean = !advise_against_caches(&value, path, findings);
    let ours = [
        "CMAKE_CUDA_COMPILER_LAUNCHER",
        "CMAKE_CUDA_COMPILER",
        "CUDA_NVCC_EXECUTABLE",
    ];
    let ours = ours.into_iter().find(|name| leads_to_us(value(name)));
    let has_cuda = ["CMAKE_CUDA_COMPILER", "CUDA_NVCC_EXECUTABLE"].map(value) != ["", ""];
    match ours {
        Some(name) if is_clean => findings.ok(ABOUT, format!("{name} is pcache-nvcc")),
        None if !has_cuda => findings.note(ABOUT, "CMake has not enabled CUDA in it"),
        _ if !is_clean => {}
        _ => findings.advise(
            Severity::Warning,
            ABOUT,
            "nothing in CMakeCache.txt leads to pcache-nvcc",
            "configure again with -DCMAKE_CUDA_COMPILER_LAUNCHER=pcache-nvcc",
        ),
    }
}

/// Advises against other caches that the `value` of an entry puts around nvcc; whether there is one.
fn advise_against_caches<'t>(
    value: &impl Fn(&str) -> &'t str,
    path: &OsString,
    findings: &mut Findings,
) -> bool {
    let mut has_cache = false;
    for name in ENTRIES {
        if let Some(cache) = cache_in(value(name), path) {
            has_cache = true;
            let text = format!(
                "{name}={} puts {cache} around nvcc or behind it",
                value(name)
            );
            let advice =
                format!("configure again with -D{name}= for pcache-nvcc or the compiler itself");
            findings.advise(Severity::Warning, ABOUT, text, &advice);
        }
    }
    let found = ["GGML_CCACHE_FOUND", "GGML_SCCACHE_FOUND"].map(value);
    let is_found = |place: &&str| !place.is_empty() && !place.ends_with("NOTFOUND");
    if is_on(value("GGML_CCACHE"))
        && let Some(cache) = found.into_iter().find(is_found)
    {
        has_cache = true;
        let text =
            format!("GGML_CCACHE is on and has found {cache}, which it puts around every compile");
        findings.advise(
            Severity::Warning,
            ABOUT,
            text,
            "configure again with -DGGML_CCACHE=OFF",
        );
    }
    let found = ["CCACHE_PROGRAM", "CCACHE_FOUND"].map(value);
    if is_on(value("USE_CCACHE"))
        && let Some(cache) = found.into_iter().find(is_found)
    {
        has_cache = true;
        let text = format!("USE_CCACHE is on and has found {cache}");
        findings.advise(
            Severity::Warning,
            ABOUT,
            text,
            "configure again with -DUSE_CCACHE=OFF",
        );
    }
    has_cache
}

/// Whether a value names pcache-nvcc, or a link to it.
fn leads_to_us(value: &str) -> bool {
    value.split(';').any(|word| {
        let real = fs::canonicalize(word).unwrap_or_else(|_| word.into());
        real.file_name() == Some("pcache-nvcc".as_ref())
    })
}

/// `NAME:TYPE=VALUE`, with quotes around names that need them.
fn entries(text: &str) -> HashMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with(['#', '/']));
    let split = lines.filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let (name, _) = name.split_once(':')?;
        Some((name.trim_matches('"'), value))
    });
    split.collect()
}

/// What CMake takes for true.
fn is_on(value: &str) -> bool {
    ["ON", "1", "YES", "TRUE", "Y"].contains(&value.to_ascii_uppercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::{Findings, Severity, examine_text};
    use std::ffi::OsString;

    /// Levels and texts for a cache with these lines.
    fn findings(text: &str) -> Vec<(Severity, String)> {
        let mut findings = Findings::default();
        examine_text(text, &OsString::new(), &mut findings);
        findings
            .0
            .into_iter()
            .map(|found| (found.level, found.text))
            .collect()
    }

    #[test]
    fn build_that_uses_pcache_is_fine() {
        let text = "# comment\n//Doc\nCMAKE_CUDA_COMPILER_LAUNCHER:STRING=pcache-nvcc\nGGML_CCACHE:BOOL=OFF\n";
        let found = findings(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, Severity::Ok);
    }

    #[test]
    fn second_cache_in_the_build_is_found() {
        let text = "CMAKE_CUDA_COMPILER_LAUNCHER:STRING=sccache;pcache-nvcc\n";
        let found = findings(text);
        assert_eq!(found[0].0, Severity::Warning);
        assert!(found[0].1.contains("puts sccache around nvcc"), "{found:?}");
        let text = "CMAKE_CUDA_COMPILER_LAUNCHER:STRING=pcache-nvcc\nGGML_CCACHE:BOOL=ON\n\
                    GGML_CCACHE_FOUND:FILEPATH=/usr/bin/ccache\n";
        let found = findings(text);
        assert_eq!(found.len(), 1);
        assert!(
            found[0]
                .1
                .starts_with("GGML_CCACHE is on and has found /usr/bin/ccache")
        );
        let text = text.replace("/usr/bin/ccache", "GGML_CCACHE_FOUND-NOTFOUND");
        assert_eq!(findings(&text)[0].0, Severity::Ok);
    }

    #[test]
    fn build_that_does_not_use_pcache_is_told() {
        let found = findings("CMAKE_CUDA_COMPILER:FILEPATH=/usr/local/cuda/bin/nvcc\n");
        assert_eq!(found[0].0, Severity::Warning);
        assert!(found[0].1.contains("nothing in CMakeCache.txt"));
        let found = findings("CMAKE_CXX_COMPILER:FILEPATH=/usr/bin/c++\n");
        assert_eq!((found.len(), found[0].0), (1, Severity::Note));
    }
}
