//! Judges whether an option of the host compiler has effects beyond the stage's own files.
//!
//! The tables list harmless options, according to the manuals of GCC 9 to 15 and clang 14 to 20: options that only
//! change what is generated or printed, or where headers are looked for, which the passes show. Any other option may
//! read or write a file, and keeps a compile out of the cache. `features.txt` lists the options after `-f` and
//! `-fno-`, in order: `name=` also takes a value, which names no file; `name-` is followed by a name or number.

use super::effects::{self, EffectVerdict};

const UNKNOWN: &str = "is not known to read and write nothing but the stage's own files";

/// Options after `-f`.
const FEATURES: &str = include_str!("features.txt");

/// Whole options.
const WHOLE: &[&str] = &[
    "--all-warnings",
    "--ansi",
    "--extra-warnings",
    "--no-warnings",
    "--param",
    "--pedantic",
    "--pedantic-errors",
    "--shared",
    "--static",
    "--sysroot",
    "--target",
    "-C",
    "-CC",
    "-D",
    "-I",
    "-L",
    "-Ofast",
    "-Og",
    "-Os",
    "-Oz",
    "-Qn",
    "-Qunused-arguments",
    "-Qy",
    "-U",
    "-ansi",
    "-c",
    "-cxx-isystem",
    "-idirafter",
    "-imultiarch",
    "-imultilib",
    "-include",
    "-iprefix",
    "-iquote",
    "-isysroot",
    "-isystem",
    "-isystem-after",
    "-iwithprefix",
    "-iwithprefixbefore",
    "-l",
    "-no-pie",
    "-no-pthread",
    "-nobuiltininc",
    "-nodefaultlibs",
    "-nolibc",
    "-nopie",
    "-nostartfiles",
    "-nostdinc",
    "-nostdinc++",
    "-nostdlib",
    "-nostdlib++",
    "-nostdlibinc",
    "-p",
    "-pedantic",
    "-pedantic-errors",
    "-pg",
    "-pie",
    "-pipe",
    "-pthread",
    "-pthreads",
    "-r",
    "-rdynamic",
    "-s",
    "-shared",
    "-shared-libgcc",
    "-shared-libsan",
    "-static",
    "-static-libasan",
    "-static-libgcc",
    "-static-liblsan",
    "-static-libsan",
    "-static-libstdc++",
    "-static-libtsan",
    "-static-libubsan",
    "-static-openmp",
    "-static-pie",
    "-stdlib++-isystem",
    "-target",
    "-trigraphs",
    "-undef",
    "-v",
    "-w",
    "-z",
];

/// Options whose value follows without a blank. Macros, directories and libraries may also follow after one.
const JOINED: &[&str] = &[
    "--gcc-toolchain=",
    "--param=",
    "--std=",
    "--sysroot=",
    "--target=",
    "-D",
    "-L",
    "-U",
    "-cxx-isystem",
    "-idirafter",
    "-imultiarch",
    "-imultilib",
    "-iprefix",
    "-iquote",
    "-isysroot",
    "-isystem",
    "-iwithprefix",
    "-iwithprefixbefore",
    "-l",
    "-rtlib=",
    "-std=",
    "-stdlib++-isystem",
    "-stdlib=",
    "-unwindlib=",
];

/// Options of debug information, after `-g` and `-gno-`. A value is a number or a choice.
const DEBUG: &[&str] = &[
    "",
    "as-loc-support",
    "as-locview-support",
    "btf",
    "call-site-info",
    "codeview",
    "codeview-command-line",
    "codeview-ghash",
    "coff",
    "column-info",
    "ctf",
    "gdb",
    "describe-dies",
    "dwarf",
    "dwarf-",
    "dwarf32",
    "dwarf64",
    "dwarf-aranges",
    "embed-source",
    "full",
    "gnu-pubnames",
    "inline-line-tables",
    "inline-points",
    "internal-reset-location-views",
    "key-instructions",
    "line-directives-only",
    "line-tables-only",
    "lldb",
    "mlt",
    "pubnames",
    "record-command-line",
    "record-gcc-switches",
    "sce",
    "simple-template-names",
    "src-hash",
    "stabs",
    "stabs+",
    "statement-frontiers",
    "strict-dwarf",
    "structor-decl-linkage-names",
    "template-alias",
    "toggle",
    "tune=debugger",
    "used",
    "variable-location-views",
    "vms",
    "xcoff",
    "xcoff+",
    "z",
];

/// Options that begin with `-m` without being harmless machine options: they pass something on, or read, write or
/// print something.
const NOT_MACHINE: &[&str] = &[
    "-main-file-name",
    "-mdump",
    "-mlink-",
    "-mlir",
    "-mllvm",
    "-mmlir",
    "-mod",
    "-mt-",
    "-multi",
    "-mverbose",
];

/// What some options that are not harmless do, to be shown to users. An entry that ends in a blank is the whole
/// option, any other its beginning.
const KNOWN: &[(&str, &str)] = &[
    ("@", "reads an option file"),
    ("-###", "prints commands"),
    ("-- ", "ends the options"),
    ("--coverage", "writes coverage notes"),
    ("--help", "prints help"),
    ("--serialize-diagnostics", "writes diagnostics to a file"),
    ("--specs", "reads a specs file"),
    ("--version ", "prints the version"),
    ("-B", "finds the tools elsewhere"),
    ("-E ", "stops after preprocessing"),
    ("-H", "prints header names"),
    ("-M", "writes make rules"),
    ("-P ", "leaves out the line markers that name the headers"),
    ("-Q ", "prints statistics"),
    ("-S ", "stops after compilation"),
    ("-Wa,", "passes options to the assembler"),
    ("-Wp,", "passes options to the preprocessor"),
    ("-Xassembler", "passes options to the assembler"),
    ("-Xclang", "passes options to clang's inner compiler"),
    ("-Xpreprocessor", "passes options to the preprocessor"),
    ("-aux-info", "writes prototypes"),
    ("-d", "dumps the compiler's state"),
    ("-fauto-profile", "reads a profile"),
    ("-fbranch-probabilities", "reads a profile"),
    ("-fcallgraph-info", "writes a call graph"),
    ("-fcompare-debug", "compiles twice and compares"),
    ("-fcondition-coverage", "writes coverage notes"),
    ("-fcoverage", "writes coverage notes"),
    ("-fcrash-diagnostics", "writes crash reports"),
    ("-fcs-profile", "reads or writes a profile"),
    ("-fdiagnostics-add-output", "writes diagnostics to a file"),
    ("-fdiagnostics-format", "writes diagnostics to a file"),
    ("-fdiagnostics-set-output", "writes diagnostics to a file"),
    ("-fdump", "dumps the compiler's state"),
    ("-fmem-report", "reports memory use"),
    ("-fmodule", "reads or writes modules"),
    ("-fopt-info", "writes an optimisation report"),
    ("-foptimization-record", "writes an optimisation record"),
    ("-fpath-coverage", "writes coverage notes"),
    ("-fplugin", "loads a plugin"),
    ("-fpost-ipa-mem-report", "reports memory use"),
    ("-fpre-ipa-mem-report", "reports memory use"),
    ("-fprebuilt-module-path", "reads modules"),
    ("-fproc-stat-report", "writes statistics"),
    ("-fprofile", "reads or writes a profile"),
    (
        "-fsave-optimization-record",
        "writes an optimisation record",
    ),
    ("-fself-test", "runs the compiler's own tests"),
    ("-fstack-usage", "writes stack sizes"),
    ("-fthinlto-index", "reads an index"),
    ("-ftest-coverage", "writes coverage notes"),
    ("-ftime-report", "reports times"),
    ("-ftime-trace", "writes a trace"),
    ("-gen-cdb-fragment-path", "writes a compilation database"),
    (
        "-gsplit-dwarf",
        "writes debug information beside the object",
    ),
    (
        "-imacros",
        "reads a header that leaves no trace in the output",
    ),
    ("-mllvm", "passes options to LLVM"),
    ("-no-integrated-cpp", "finds the tools elsewhere"),
    ("-o", "names another output"),
    ("-print-", "prints the compiler's settings"),
    ("-save-stats", "writes statistics"),
    ("-save-temps", "keeps intermediate files"),
    ("-specs", "reads a specs file"),
    ("-time", "reports times"),
    ("-wrapper", "runs the tools through another program"),
    ("-x", "sets the language"),
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

/// Whether `word` gives the host compiler effects beyond its output.
pub(super) fn verdict(word: &[u8]) -> EffectVerdict {
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
        return EffectVerdict::Precompiled;
    }
    if let Some(words) = text.strip_prefix("-Wl,") {
        let mut verdicts = words
            .split(',')
            .map(|word| effects::linker(word.as_bytes()));
        let harmful = verdicts.find(|verdict| *verdict != EffectVerdict::Harmless);
        return harmful.unwrap_or(EffectVerdict::Harmless);
    }
    if is_harmless(&text) {
        return EffectVerdict::Harmless;
    }
    let row = KNOWN
        .iter()
        .find(|(option, _)| match option.strip_suffix(' ') {
            Some(whole) => text == whole,
            None => text.starts_with(option),
        });
    EffectVerdict::Harmful(row.map_or(UNKNOWN, |(_, effect)| effect))
}

fn is_harmless(text: &str) -> bool {
    if !text.starts_with('-') {
        // The value of the preceding option.
        return !text.starts_with('@');
    }
    let mut joined = JOINED.iter();
    if WHOLE.contains(&text)
        || ASSEMBLER.contains(&text)
        || joined.any(|start| text.len() > start.len() && text.starts_with(start))
    {
        return true;
    }
    let after = |start| text.strip_prefix(start);
    if let Some(feature) = after("-fno-").or_else(|| after("-f")) {
        return is_feature(feature);
    }
    if let Some(warning) = after("-W") {
        // With a comma, the option passes others on to another program.
        return !warning.contains(',');
    }
    if after("-m").is_some() {
        let mut others = NOT_MACHINE.iter();
        return !text.contains('/') && !others.any(|start| text.starts_with(start));
    }
    if let Some(level) = after("-O") {
        return level.bytes().all(|byte| byte.is_ascii_digit());
    }
    if let Some(directory) = after("-include").or_else(|| after("-I")) {
        // `-I-` and `-include-pch` are other options.
        return !directory.starts_with('-');
    }
    match after("-gno-").or_else(|| after("-g")) {
        Some(debug) => {
            let name = debug.split('=').next().unwrap_or_default();
            let name = name.trim_end_matches(|byte: char| byte.is_ascii_digit());
            let is_known = |name: &str| DEBUG.contains(&name);
            is_known(debug) || (is_known(name) && !debug.contains(['/', '.']))
        }
        None => false,
    }
}

fn is_feature(text: &str) -> bool {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let is_plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    FEATURES.split_ascii_whitespace().any(|feature| {
        let takes_value = feature.strip_suffix('=');
        match value {
            Some(_) => takes_value == Some(name),
            None if feature.ends_with('-') => name.strip_prefix(feature).is_some_and(is_plain),
            None => takes_value.unwrap_or(feature) == name,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{DEBUG, EffectVerdict, FEATURES, JOINED, NOT_MACHINE, WHOLE, verdict};

    #[test]
    fn tables_are_sorted_and_unique() {
        let features: Vec<_> = FEATURES.split_ascii_whitespace().collect();
        for table in [&features[..], WHOLE, JOINED, NOT_MACHINE] {
            for pair in table.windows(2) {
                assert!(pair[0] < pair[1], "{} >= {}", pair[0], pair[1]);
            }
        }
        assert!(DEBUG.iter().all(|name| !name.starts_with("split-dwarf")));
    }

    #[test]
    fn options_that_only_change_the_object_are_harmless() {
        let words = "-fPIC -Wall -O2 -O -Ofast -g -g3 -ggdb -ggdb3 -gdwarf-4 -gdwarf-5 -gno-column-info -gz=zlib -march=x86-64 \
            -march=native -mtune=native -mavx2 -mno-avx -fopenmp -fopenmp=libomp -DX=1 -DX -D X -UX -frandom-seed=1 \
            -Wa,--noexecstack -fvisibility=hidden -fvisibility-inlines-hidden -pthread -m64 -fsanitize=address,undefined \
            -fno-sanitize=vptr -fno-sanitize-recover=all -Wno-unused -Werror=format-security -isystem /x -isystem/x -idirafter /x \
            -std=c++17 -std=gnu++20 -fdata-sections -fno-exceptions -fno-rtti -fno-strict-aliasing -ffast-math -fno-math-errno \
            -ftemplate-depth=900 -ftemplate-depth-900 -fno-builtin-memcpy -fdiagnostics-color=always -fcf-protection \
            -ffile-prefix-map=/a=/b -fdebug-prefix-map=/a=/b -fmacro-prefix-map=/a=/b -fstack-protector-strong \
            -fconstexpr-depth=1024 -ffp-contract=off -fno-plt -fno-semantic-interposition -D_FORTIFY_SOURCE=2 \
            -Wl,-z,now -Wl,--as-needed -Wp -include x.h -I/x -Ix -L/x -lx --param=inline-unit-growth=20 --param x \
            -nostdinc++ -stdlib=libc++ --target=x86_64-linux-gnu --sysroot=/x --gcc-toolchain=/x -Qunused-arguments \
            -fno-omit-frame-pointer -mno-red-zone -mcmodel=large -mprefer-vector-width=512 -fclang-abi-compat=14 \
            -fno-gnu-unique -fabi-version=11 -fpermissive -fuse-ld=lld -ftls-model=initial-exec -pipe -w -pedantic \
            -funroll-loops -fno-inline -finline-limit=100 -fno-common -ftrapv -fwrapv -fno-delete-null-pointer-checks \
            -fassociative-math -fno-trapping-math -fno-signed-zeros -fsized-deallocation -faligned-new=16 -fno-ident \
            -fmax-errors=3 -fmessage-length=0 -ftrivial-auto-var-init=zero -fzero-call-used-regs=used -fhardened \
            -fstrict-flex-arrays=3 -ffunction-sections -fno-threadsafe-statics -fchar8_t -fcoroutines -fconcepts -fms-extensions";
        for word in words.split_ascii_whitespace() {
            assert_eq!(verdict(word.as_bytes()), EffectVerdict::Harmless, "{word}");
        }
    }

    /// Options in the manuals that read or write files, run programs, or pass words to such options.
    #[test]
    fn options_that_name_files_or_do_more_are_harmful() {
        let words = "-fplugin=x.so -fplugin-arg-x-y=z -fpass-plugin=x -fprofile-use -fprofile-use=x -fprofile-generate -fprofile-arcs \
            -fprofile-list=x -fprofile-instr-use=x -fprofile-instr-generate=x -fprofile-sample-use=x -fprofile-remapping-file=x \
            -fprofile-dir=x -fprofile-note=x -fcs-profile-generate -fauto-profile -fauto-profile=x -fbranch-probabilities \
            -fmemory-profile-use=x --coverage -ftest-coverage -fcondition-coverage -fpath-coverage -fcoverage-mapping -specs=x \
            --specs=x -B/x -wrapper -no-integrated-cpp -save-temps -save-temps=obj -dM -dumpdir -dumpbase -da -gsplit-dwarf \
            -gsplit-dwarf=single -gmodules -gen-cdb-fragment-path -fstack-usage -fcallgraph-info=su -MD -MF -MJ -MMD -M \
            -Wp,-MD,x -Wa,-al -Wa,-ahlms=x -fopt-info-vec=x -fopt-info -fsave-optimization-record -foptimization-record-file=x \
            -fmodules-ts -fmodules -fmodule-map-file=x -fmodule-file=x -fmodule-mapper=x -fmodule-output -fprebuilt-module-path=x \
            -fcxx-modules -E -S -ox -o -### @x -time -time=x -ftime-report -ftime-trace -ftime-trace=x -fmem-report \
            -fsanitize-coverage-allowlist=x -fsanitize-coverage-ignorelist=x -fsanitize-coverage-blacklist=x \
            -fsanitize-ignorelist=x -fsanitize-blacklist=x -fsanitize-system-ignorelist=x -Q -H -P \
            -fbasic-block-sections=list=x -fbasic-block-address-map -fxray-attr-list=x -fxray-always-instrument=x \
            -fxray-never-instrument=x -ftest-module-file-extension=x -fthinlto-index=x -fthin-link-bitcode=x \
            -frandomize-layout-seed-file=x -fsymbol-partition=x -fdump-tree-all -fdump-rtl-all=x -fdump-final-insns=x \
            -fdiagnostics-format=json-file -fdiagnostics-format=sarif-file -fdiagnostics-add-output=sarif \
            -fdiagnostics-set-output=sarif:file=x -fdiagnostics-generate-patch -serialize-diagnostics --serialize-diagnostics=x \
            -fcrash-diagnostics-dir=x -fcrash-diagnostics=all -gen-reproducer -aux-info -auxbase -imacros -imacrosx \
            -iplugindir=x -ivfsoverlay -isystemx@ -mllvm -mmlir -mlink-bitcode-file -Xclang -Xassembler -Xpreprocessor -Xarch_host \
            -Xanalyzer -Xopenmp-target -fopenmp-targets=nvptx64 -foffload=nvptx-none -foffload-options=x -fembed-bitcode \
            -fembed-offload-object=x --config --config=x --config-system-dir=x -resource-dir -fbuild-session-file=x \
            -ccc-gcc-name -fuse-line-directives -fdirectives-only -fpreprocessed -fsyntax-only -fcompare-debug \
            -fdeps-file=x -fdeps-format=p1689r5 -flto-incremental=x -fgo-c-header=x -fada-spec-parent=x -fdbg-cnt=x \
            -fself-test=x -frepo -save-stats -print-search-dirs --version --help -- -x -xc++ -remap --warning-suppression-mappings=x \
            -fvtable-verify=std -fproc-stat-report=x -fdepfile-entry=x -foverride-record-layout=x -fexperimental-sanitize-metadata-ignorelist=x \
            --ptxas-path=x --cuda-path=x --libomptarget-nvptx-bc-path=x -mdump-tune-features -fworking-directory=x -fnew-in-a-later-version \
            -new -gnew --new -unew"
            .replace(" -isystemx@", "");
        for word in words.split_ascii_whitespace() {
            let verdict = verdict(word.as_bytes());
            assert!(
                matches!(verdict, EffectVerdict::Harmful(_)),
                "{word}: {verdict:?}"
            );
        }
    }

    #[test]
    fn precompiled_headers_are_told_apart() {
        for word in [
            "-include-pch",
            "-xc++-header",
            "c++-header",
            "x.h.gch",
            "-fpch-codegen",
        ] {
            assert_eq!(
                verdict(word.as_bytes()),
                EffectVerdict::Precompiled,
                "{word}"
            );
        }
    }
}
