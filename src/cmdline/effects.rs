//! Options of the host compiler, the linker and the CUDA tools that read or write more than the
//! stage's own files, as tables. Unaware of nvcc's options.
//!
//! Host options are many and mostly harmless, so the table names the harmful ones. cudafe++ has
//! few that people pass, so there the table names the harmless ones. The other tools' options are
//! judged by the words in their names: a tool that reads, writes or times says so.

/// How a row's text is compared with a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    /// The word is the text.
    Whole,
    /// The word begins with the text.
    Start,
}

use Match::{Start, Whole};

/// Host options that no cache should answer, each with its effect.
const HOST: &[(Match, &str, &str)] = &[
    (Start, "@", "reads an option file"),
    (Start, "-###", "prints commands"),
    (Whole, "--", "ends the options"),
    (Start, "--coverage", "writes coverage notes"),
    (Start, "--help", "prints help"),
    (
        Start,
        "--serialize-diagnostics",
        "writes diagnostics to a file",
    ),
    (Start, "--specs", "reads a specs file"),
    (Whole, "--version", "prints the version"),
    (Start, "-B", "finds the tools elsewhere"),
    (Whole, "-E", "stops after preprocessing"),
    (Start, "-H", "prints header names"),
    (Start, "-M", "writes make rules"),
    (
        Whole,
        "-P",
        "leaves out the line markers that name the headers",
    ),
    (Whole, "-Q", "prints statistics"),
    (Whole, "-S", "stops after compilation"),
    (Start, "-Wa,", "passes options to the assembler"),
    (Start, "-Wp,", "passes options to the preprocessor"),
    (Start, "-Xassembler", "passes options to the assembler"),
    (Start, "-Xclang", "passes options to clang's inner compiler"),
    (
        Start,
        "-Xpreprocessor",
        "passes options to the preprocessor",
    ),
    (Start, "-aux-info", "writes prototypes"),
    (Start, "-d", "dumps the compiler's state"),
    (Start, "-fauto-profile", "reads a profile"),
    (Start, "-fbranch-probabilities", "reads a profile"),
    (Start, "-fcallgraph-info", "writes a call graph"),
    (Start, "-fcompare-debug", "compiles twice and compares"),
    (Start, "-fcondition-coverage", "writes coverage notes"),
    (Start, "-fcoverage", "writes coverage notes"),
    (Start, "-fcrash-diagnostics", "writes crash reports"),
    (Start, "-fcs-profile", "reads or writes a profile"),
    (
        Start,
        "-fdiagnostics-add-output",
        "writes diagnostics to a file",
    ),
    (
        Start,
        "-fdiagnostics-format",
        "writes diagnostics to a file",
    ),
    (
        Start,
        "-fdiagnostics-set-output",
        "writes diagnostics to a file",
    ),
    (Start, "-fdump", "dumps the compiler's state"),
    (Start, "-fmem-report", "reports memory use"),
    (Start, "-fmodule", "reads or writes modules"),
    (Start, "-fopt-info", "writes an optimisation report"),
    (
        Start,
        "-foptimization-record",
        "writes an optimisation record",
    ),
    (Start, "-fpath-coverage", "writes coverage notes"),
    (Start, "-fplugin", "loads a plugin"),
    (Start, "-fpost-ipa-mem-report", "reports memory use"),
    (Start, "-fpre-ipa-mem-report", "reports memory use"),
    (Start, "-fprebuilt-module-path", "reads modules"),
    (Start, "-fproc-stat-report", "writes statistics"),
    (Start, "-fprofile", "reads or writes a profile"),
    (
        Start,
        "-fsave-optimization-record",
        "writes an optimisation record",
    ),
    (Start, "-fself-test", "runs the compiler's own tests"),
    (Start, "-fstack-usage", "writes stack sizes"),
    (Start, "-fthinlto-index", "reads an index"),
    (Start, "-ftest-coverage", "writes coverage notes"),
    (Start, "-ftime-report", "reports times"),
    (Start, "-ftime-trace", "writes a trace"),
    (
        Start,
        "-gen-cdb-fragment-path",
        "writes a compilation database",
    ),
    (
        Start,
        "-gsplit-dwarf",
        "writes debug information beside the object",
    ),
    (
        Start,
        "-imacros",
        "reads a header that leaves no trace in the output",
    ),
    (Start, "-mllvm", "passes options to LLVM"),
    (Start, "-no-integrated-cpp", "finds the tools elsewhere"),
    (Start, "-o", "names another output"),
    (Start, "-print-", "prints the compiler's settings"),
    (Start, "-save-stats", "writes statistics"),
    (Start, "-save-temps", "keeps intermediate files"),
    (Start, "-specs", "reads a specs file"),
    (Start, "-time", "reports times"),
    (Whole, "-v", "prints commands"),
    (Start, "-wrapper", "runs the tools through another program"),
    (Start, "-x", "sets the language"),
];

/// Assembler options that only change the object.
const ASSEMBLER: &[&str] = &[
    "-Wa,--noexecstack",
    "-Wa,--compress-debug-sections",
    "-Wa,--nocompress-debug-sections",
    "-Wa,--no-warn",
    "-Wa,-W",
    "-Wa,-mbig-obj",
];

/// Linker options that write files or read more of them.
const LINKER: &[(Match, &str, &str)] = &[
    (Start, "@", "reads an option file"),
    (Start, "--Map", "writes a map"),
    (Start, "--dependency-file", "writes make rules"),
    (Start, "--out-implib", "writes an import library"),
    (Start, "--plugin", "loads a plugin"),
    (Start, "-Map", "writes a map"),
    (Start, "-o", "names another output"),
    (Start, "-plugin", "loads a plugin"),
];

/// cudafe++ options that only change diagnostics, by their beginnings.
const CUDAFE: &[&str] = &[
    "--brief_diagnostics",
    "--diag_",
    "--display_error_number",
    "--error_limit",
    "--no_brief_diagnostics",
    "--no_display_error_number",
    "--no_warnings",
    "--no_wrap_diagnostics",
    "--promote_warnings",
    "--remarks",
    "--wrap_diagnostics",
    "-r",
    "-w",
];

/// Pieces of names by which CUDA tools' options tell that they read, write or time something.
const TELLING: &[&str] = &[
    "controls", "create", "dep", "dump", "fatbin", "file", "image", "input", "keep", "optf",
    "output", "path", "print", "report", "save", "stats", "time", "trace", "uidx",
];

/// Whole names of CUDA tools' options that read or write something.
const SHORT_TELLING: &[&str] = &["-ias", "-o", "-ghls"];

/// A verdict on one word: why it keeps the compile out of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Harmless,
    /// Uses a precompiled header.
    Precompiled,
    /// Has an effect beyond the output; what it does.
    Harmful(&'static str),
}

fn look_up(rows: &[(Match, &str, &'static str)], word: &[u8]) -> Verdict {
    let hit = rows.iter().find(|(kind, text, _)| match kind {
        Whole => word == text.as_bytes(),
        Start => word.starts_with(text.as_bytes()),
    });
    hit.map_or(Verdict::Harmless, |(_, _, effect)| Verdict::Harmful(effect))
}

/// What the host compiler would do beyond its output, given `word`.
pub(super) fn host(word: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(word);
    if text.starts_with("-include-pch")
        || text.starts_with("-fpch")
        || text.starts_with("--pch")
        || text.starts_with("-emit-pch")
        || (text.starts_with("-x") && text.ends_with("-header"))
        || text.ends_with(".gch")
        || text.ends_with(".pch")
        || text.ends_with("-header")
    {
        return Verdict::Precompiled;
    }
    if ASSEMBLER.iter().any(|known| *known == text) {
        return Verdict::Harmless;
    }
    if let Some(words) = text.strip_prefix("-Wl,") {
        let verdicts = words.split(',').map(|word| linker(word.as_bytes()));
        return verdicts
            .into_iter()
            .find(|v| *v != Verdict::Harmless)
            .unwrap_or(Verdict::Harmless);
    }
    // A list of sanitizer exceptions: -fsanitize-ignorelist=, -fsanitize-coverage-allowlist=, …
    if text.starts_with("-fsanitize-") && text.contains("list=") {
        return Verdict::Harmful("reads a list of exceptions");
    }
    look_up(HOST, word)
}

/// What the host linker would do beyond its output, given `word`.
pub(super) fn linker(word: &[u8]) -> Verdict {
    look_up(LINKER, word)
}

/// What cudafe++ would do beyond its output, given `word`.
pub(super) fn cudafe(word: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(word);
    if text.contains("pch") {
        return Verdict::Precompiled;
    }
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_,".contains(&b))
    };
    if plain(&text) || CUDAFE.iter().any(|known| text.starts_with(known)) {
        return Verdict::Harmless;
    }
    Verdict::Harmful("is not known to be harmless to cudafe++")
}

/// What a CUDA tool other than cudafe++ would do beyond its output, given `word`.
pub(super) fn tool(word: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(word);
    let name = text.split('=').next().unwrap_or_default();
    // A value that is no option is a file, unless it looks like a number or a choice.
    let telling = if name.starts_with('-') {
        SHORT_TELLING.contains(&name) || TELLING.iter().any(|piece| name.contains(piece))
    } else {
        name.starts_with('@') || name.contains('/') || name.contains('.')
    };
    match telling {
        true => Verdict::Harmful("reads, writes or times something"),
        false => Verdict::Harmless,
    }
}

#[cfg(test)]
mod tests {
    use super::{HOST, LINKER, Verdict, cudafe, host, linker, tool};

    #[test]
    fn tables_are_unique() {
        for rows in [HOST, LINKER] {
            for (at, row) in rows.iter().enumerate() {
                assert!(
                    rows[..at].iter().all(|other| other.1 != row.1),
                    "{} twice",
                    row.1
                );
            }
        }
    }

    type Judge = fn(&[u8]) -> Verdict;

    #[track_caller]
    fn harmless(judge: Judge, words: &[&str]) {
        for word in words {
            assert_eq!(judge(word.as_bytes()), Verdict::Harmless, "{word}");
        }
    }

    #[track_caller]
    fn harmful(judge: Judge, words: &[&str]) {
        for word in words {
            let verdict = judge(word.as_bytes());
            assert!(
                matches!(verdict, Verdict::Harmful(_)),
                "{word}: {verdict:?}"
            );
        }
    }

    #[test]
    fn options_that_only_change_the_object_are_harmless() {
        harmless(
            host,
            &[
                "-fPIC",
                "-Wall",
                "-O2",
                "-g",
                "-march=x86-64",
                "-fopenmp",
                "-DX=1",
                "-frandom-seed=1",
                "-Wa,--noexecstack",
                "-fvisibility=hidden",
                "-pthread",
                "-m64",
                "-fsanitize=address",
                "-Wno-unused",
                "-isystem",
                "/x",
                "-std=c++17",
                "-fdata-sections",
                "-fno-exceptions",
            ],
        );
        harmless(
            tool,
            &[
                "-v",
                "-O3",
                "--warn-on-spills",
                "-dlcm=ca",
                "-compress-all",
                "3",
            ],
        );
        harmless(
            tool,
            &[
                "--opt-level=2",
                "--allow-expensive-optimizations",
                "true",
                "-split-compile",
            ],
        );
        harmless(
            cudafe,
            &[
                "--diag_suppress=1",
                "--diag_error",
                "1,2",
                "--display_error_number",
            ],
        );
        harmless(host, &["-Wl,-z,now", "-Wl,--as-needed"]);
        harmless(linker, &["-z", "now", "-rpath", "/x"]);
    }

    #[test]
    fn options_with_effects_beyond_the_object_are_harmful() {
        harmful(
            host,
            &[
                "-fplugin=x.so",
                "-fprofile-use",
                "--coverage",
                "-ftest-coverage",
                "-specs=x",
                "-B/x",
                "-wrapper",
                "-save-temps=obj",
                "-dM",
                "-dumpdir",
                "-gsplit-dwarf",
                "-fstack-usage",
                "-MD",
                "-MF",
                "-Wp,-MD,x",
                "-Wa,-al",
                "-fopt-info-vec=x",
                "-fmodules-ts",
                "-E",
                "-S",
                "-ox",
                "-v",
                "@x",
                "-time",
                "-ftime-report",
                "-fsanitize-coverage-allowlist=x",
                "-Q",
            ],
        );
        harmful(
            tool,
            &[
                "-o",
                "--output-file=x",
                "-optf",
                "-ias",
                "--apply-controls",
                "x.txt",
            ],
        );
        harmful(
            tool,
            &[
                "--generate-dependencies-with-compile",
                "-fdevice-time-trace",
            ],
        );
        harmful(cudafe, &["--list", "--xref=x", "-o", "x.cpp"]);
        harmful(host, &["-Wl,-z,now,-Map=x", "-Wl,@x"]);
        harmful(linker, &["-Map=x", "-o", "@x"]);
    }

    #[test]
    fn precompiled_headers_are_told_apart() {
        assert_eq!(host(b"-include-pch"), Verdict::Precompiled);
        assert_eq!(host(b"-xc++-header"), Verdict::Precompiled);
        assert_eq!(host(b"c++-header"), Verdict::Precompiled);
        assert_eq!(host(b"x.h.gch"), Verdict::Precompiled);
        assert_eq!(cudafe(b"--create_pch"), Verdict::Precompiled);
    }
}
