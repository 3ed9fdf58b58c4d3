//! Judges, by tables, whether options of the linker and the CUDA tools have effects beyond the stage's own files.
//!
//! For the tools whose results are stored (cudafe++, cicc, ptxas, fatbinary) the tables list the
//! harmless options; any other option may do anything. Linkers always run, so all files that they
//! write are written; their tables list the options that would break the command.

use super::options::Judge;

/// Beginnings of linker options that write additional files or read them.
const LINKER: &[(&str, &str)] = &[
    ("@", "reads an option file"),
    ("--Map", "writes a map"),
    ("--dependency-file", "writes make rules"),
    ("--out-implib", "writes an import library"),
    ("--plugin", "loads a plugin"),
    ("-Map", "writes a map"),
    ("-o", "names another output"),
    ("-plugin", "loads a plugin"),
];

/// cudafe++ options that only change diagnostics, by their beginnings.
const CUDAFE: &[&str] = &[
    "--brief_diagnostics",
    "--display_error_number",
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

/// Beginnings of such options, which are followed by message numbers or a count.
const CUDAFE_BEGINNINGS: &[&str] = &["--diag_", "--error_limit"];

/// ptxas options that only change the cubin or the messages, by their long and short names.
const PTXAS: &[&str] = &[
    "--32",
    "--64",
    "--Ofast-compile",
    "--allow-expensive-optimizations",
    "--compile-only",
    "--compiler-annotations",
    "--def-load-cache",
    "--def-store-cache",
    "--device-debug",
    "--device-function-maxrregcount",
    "--device-stack-protector",
    "--disable-optimizer-constants",
    "--disable-warnings",
    "--dont-merge-basicblocks",
    "--enable-func-clone-sc",
    "--entry",
    "--extensible-whole-program",
    "--fmad",
    "--force-load-cache",
    "--force-store-cache",
    "--g-tensor-memory-access-check",
    "--generate-line-info",
    "--gno-fabric-access-check",
    "--gno-tensor-memory-access-check",
    "--gpu-name",
    "--legacy-bar-warp-wide-behavior",
    "--machine",
    "--make-errors-visible-at-exit",
    "--maxntid",
    "--maxrregcount",
    "--minnctapersm",
    "--opt-level",
    "--optimize-float-atomics",
    "--override-directive-values",
    "--position-independent-code",
    "--preserve-relocs",
    "--register-usage-level",
    "--return-at-end",
    "--sp-bounds-check",
    "--split-compile",
    "--suppress-async-bulk-multicast-advisory-warning",
    "--suppress-debug-info",
    "--suppress-double-demote-warning",
    "--suppress-position-independent-code-warning",
    "--suppress-sparse-mma-advisory-info",
    "--suppress-stack-size-warning",
    "--verbose",
    "--warn-on-double-precision-use",
    "--warn-on-local-memory-usage",
    "--warn-on-spills",
    "--warning-as-error",
    "-32",
    "-64",
    "-O",
    "-Ofc",
    "-Werror",
    "-allow-expensive-optimizations",
    "-annotate",
    "-arch",
    "-c",
    "-device-stack-protector",
    "-disable-optimizer-consts",
    "-dlcm",
    "-dscm",
    "-e",
    "-enable-func-clone-sc",
    "-ewp",
    "-flcm",
    "-fmad",
    "-fscm",
    "-func-maxrregcount",
    "-g",
    "-g-tmem-access-check",
    "-gno-fabric-access-check",
    "-gno-tmem-access-check",
    "-legacy-bar-warp-wide-behavior",
    "-lineinfo",
    "-m",
    "-make-errors-visible-at-exit",
    "-maxntid",
    "-maxrregcount",
    "-minnctapersm",
    "-no-bb-merge",
    "-opt-fp-atomics",
    "-opt-level",
    "-override-directive-values",
    "-pic",
    "-preserve-relocs",
    "-regUsageLevel",
    "-ret-end",
    "-sp-bounds-check",
    "-split-compile",
    "-suppress-async-bulk-multicast-advisory-warning",
    "-suppress-debug-info",
    "-suppress-double-demote-warning",
    "-suppress-position-independent-code-warning",
    "-suppress-sparse-mma-advisory-info",
    "-suppress-stack-size-warning",
    "-v",
    "-w",
    "-warn-double-usage",
    "-warn-lmem-usage",
    "-warn-spills",
];

/// Options of fatbinary that are harmless.
const FATBINARY: &[&str] = &[
    "--32",
    "--64",
    "--compress",
    "--compress-all",
    "--compress-mode",
    "--concat",
    "--debug",
    "--ident",
    "--no-asm",
    "-32",
    "-64",
    "-compress",
    "-compress-all",
    "-compress-mode",
    "-concat",
    "-g",
    "-ident",
    "-no-asm",
    "-no-compress",
    "-w",
];

/// Parts of the names of nvlink options that read, write or time something.
const TELLING: &[&str] = &[
    "controls", "create", "dep", "dump", "fatbin", "file", "image", "input", "keep", "optf",
    "output", "path", "print", "report", "save", "stats", "time", "trace", "uidx",
];

/// Whole names of nvlink options that read or write something.
const SHORT_TELLING: &[&str] = &["-ias", "-o", "-ghls"];

/// The verdict on one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EffectVerdict {
    Harmless,
    /// It uses a precompiled header.
    Precompiled,
    /// It has this effect beyond the output.
    Harmful(&'static str),
}

/// Whether `word` gives the host linker effects beyond its output.
pub(super) fn linker(word: &[u8]) -> EffectVerdict {
    let mut rows = LINKER.iter();
    let row = rows.find(|(start, _)| word.starts_with(start.as_bytes()));
    row.map_or(EffectVerdict::Harmless, |(_, effect)| {
        EffectVerdict::Harmful(effect)
    })
}

/// Whether `word` gives cudafe++ effects beyond its output.
fn cudafe(word: &[u8]) -> EffectVerdict {
    let text = String::from_utf8_lossy(word);
    if text.contains("pch") {
        return EffectVerdict::Precompiled;
    }
    let is_value = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_,".contains(&b));
    let mut beginnings = CUDAFE_BEGINNINGS.iter();
    if is_value
        || CUDAFE.contains(&text.as_ref())
        || beginnings.any(|start| text.starts_with(start))
    {
        return EffectVerdict::Harmless;
    }
    EffectVerdict::Harmful("is not known to be harmless to cudafe++")
}

/// Whether `word` gives ptxas effects beyond its output.
pub(super) fn ptxas(word: &[u8]) -> EffectVerdict {
    match word.strip_prefix(b"-O") {
        Some(level) if level.iter().all(u8::is_ascii_digit) => EffectVerdict::Harmless,
        _ => known(PTXAS, word, "is not known to be harmless to ptxas"),
    }
}

/// Whether `word` gives fatbinary effects beyond its output.
fn fatbinary(word: &[u8]) -> EffectVerdict {
    known(FATBINARY, word, "is not known to be harmless to fatbinary")
}

/// The function that judges words for the tool `judge`.
pub(super) fn of(judge: Judge) -> fn(&[u8]) -> EffectVerdict {
    match judge {
        Judge::Cudafe => cudafe,
        Judge::Ptxas => ptxas,
        Judge::Fatbinary => fatbinary,
        Judge::Nvlink => nvlink,
        Judge::Undocumented => undocumented,
    }
}

/// Refuses every word for a tool whose options are not documented, such as cicc.
fn undocumented(_word: &[u8]) -> EffectVerdict {
    EffectVerdict::Harmful("is for a tool whose options are not documented")
}

/// Harmless if `word` is one of the options in `table`, perhaps with a value, or a value that names no file.
/// `otherwise` is the effect of any other word.
fn known(table: &[&str], word: &[u8], otherwise: &'static str) -> EffectVerdict {
    let text = String::from_utf8_lossy(word);
    let (name, value) = text.split_once('=').unwrap_or((&text, ""));
    let is_plain = |value: &str| !value.contains(['/', '.', '@']);
    let is_known = if name.starts_with('-') {
        table.contains(&name) && is_plain(value)
    } else {
        is_plain(&text)
    };
    if is_known {
        EffectVerdict::Harmless
    } else {
        EffectVerdict::Harmful(otherwise)
    }
}

/// Whether `word` gives nvlink effects beyond its output.
fn nvlink(word: &[u8]) -> EffectVerdict {
    let text = String::from_utf8_lossy(word);
    let name = text.split('=').next().unwrap_or_default();
    // A word that is not an option is a file, unless it looks like a number or a choice.
    let has_effects = if name.starts_with('-') {
        SHORT_TELLING.contains(&name) || TELLING.iter().any(|piece| name.contains(piece))
    } else {
        name.starts_with('@') || name.contains('/') || name.contains('.')
    };
    if has_effects {
        EffectVerdict::Harmful("reads, writes or times something")
    } else {
        EffectVerdict::Harmless
    }
}

#[cfg(test)]
mod tests {
    use super::{
        EffectVerdict, FATBINARY, LINKER, PTXAS, cudafe, fatbinary, linker, nvlink, ptxas,
        undocumented,
    };

    #[test]
    fn tables_are_unique_and_sorted() {
        for (at, row) in LINKER.iter().enumerate() {
            let mut before = LINKER[..at].iter();
            assert!(before.all(|other| other.0 != row.0), "{} twice", row.0);
        }
        for table in [PTXAS, FATBINARY] {
            assert!(table.is_sorted_by(|one, other| one < other));
        }
    }

    type Judge = fn(&[u8]) -> EffectVerdict;

    #[track_caller]
    fn harmless(judge: Judge, words: &[&str]) {
        for word in words {
            assert_eq!(judge(word.as_bytes()), EffectVerdict::Harmless, "{word}");
        }
    }

    #[track_caller]
    fn harmful(judge: Judge, words: &[&str]) {
        for word in words {
            let verdict = judge(word.as_bytes());
            assert!(
                matches!(verdict, EffectVerdict::Harmful(_)),
                "{word}: {verdict:?}"
            );
        }
    }

    #[test]
    fn options_that_only_change_the_object_are_harmless() {
        let words = [
            "-v",
            "-O3",
            "--opt-level=2",
            "--warn-on-spills",
            "-dlcm=ca",
            "3",
            "--allow-expensive-optimizations",
            "true",
            "-split-compile",
            "-maxrregcount=32",
            "-regUsageLevel=5",
        ];
        harmless(ptxas, &words);
        harmless(fatbinary, &["-compress-all", "--compress-mode=size"]);
        harmless(nvlink, &["-v", "--suppress-stack-size-warning"]);
        let words = ["--diag_suppress=1", "--diag_error", "1,2"];
        harmless(cudafe, &words);
        harmless(cudafe, &["--display_error_number"]);
        harmless(linker, &["-z", "now", "-rpath", "/x"]);
    }

    #[test]
    fn options_with_effects_beyond_the_object_are_harmful() {
        let files = ["-o", "--output-file=x", "-optf", "-ias", "x.txt"];
        for judge in [ptxas, fatbinary, nvlink, undocumented] {
            harmful(judge, &files);
            harmful(
                judge,
                &["--apply-controls", "@x", "/x", "--fdevice-time-trace"],
            );
        }
        for judge in [ptxas, fatbinary, undocumented] {
            harmful(judge, &["--new-in-a-later-version", "-new", "-v=a/b"]);
        }
        harmful(
            undocumented,
            &["-profuse", "-covinfo", "--source-in-ptx", "-g"],
        );
        harmful(fatbinary, &["--create=x", "--image3=x", "-fatbin=x"]);
        harmful(cudafe, &["--list", "--xref=x", "-o", "x.cpp"]);
        harmful(linker, &["-Map=x", "-o", "@x"]);
    }

    #[test]
    fn precompiled_headers_are_told_apart() {
        assert_eq!(cudafe(b"--create_pch"), EffectVerdict::Precompiled);
    }
}
