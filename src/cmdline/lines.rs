//! Which jobs observe more of their sources than tokens: lines, columns and comments. `docs/design/semantic.md`
//! says what follows for the other jobs. Options of nvcc are judged by their column in the option table, those of the
//! host compiler and of ptxas by their words.

use super::effects;
use super::job::{Arg, Job};
use super::observed::{Observed, Observes};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Beginnings of host compiler options that do not observe lines.
const SILENT: &[&str] = &[
    "-D", "-I", "-O", "-U", "-isystem", "-iquote", "-m", "-pthread", "-pipe", "-w",
];

/// Beginnings, after `-f` or `-fno-`, of options that do not observe lines.
const SILENT_FEATURES: &[&str] = &[
    "PIC",
    "PIE",
    "aligned-new",
    "associative-math",
    "common",
    "data-sections",
    "delete-null-pointer-checks",
    "diagnostics-color",
    "diagnostics-show-option",
    "exceptions",
    "fast-math",
    "finite-math-only",
    "function-sections",
    "inline",
    "math-errno",
    "omit-frame-pointer",
    "openmp",
    "permissive",
    "pic",
    "pie",
    "plt",
    "rtti",
    "signed-char",
    "signed-zeros",
    "sized-deallocation",
    "stack-protector",
    "strict-aliasing",
    "trapping-math",
    "tree-vectorize",
    "unroll-loops",
    "unsigned-char",
    "visibility",
    "wrapv",
];

/// Beginnings of warnings about comments and blanks.
const OF_BLANKS: &[&str] = &[
    "-Wimplicit-fallthrough",
    "-Wleading-whitespace",
    "-Wtrailing-whitespace",
];

/// Dialects with raw strings and digit separators, and without trigraphs that other dialects lack.
const DIALECTS: &[&str] = &[
    "c++14", "c++17", "c++20", "c++23", "c++2a", "c++2b", "gnu++14", "gnu++17", "gnu++20",
    "gnu++23", "gnu++2a", "gnu++2b",
];

impl Job {
    /// The first option that observes more of the sources than tokens, so that equal tokens are not enough for equal
    /// outputs.
    pub fn tells_lines(&self) -> Option<String> {
        let mut args = self.args.iter();
        args.find_map(|arg| (observed(arg) > Observed::Nothing).then(|| name(arg)))
    }

    /// What its options let a compile observe of sources besides their tokens.
    pub fn observed(&self) -> Observed {
        self.args.iter().map(observed).max().unwrap_or_default()
    }
}

impl Observes {
    /// What an option with this entry observes if its value is `value`.
    pub fn with(self, value: &OsStr) -> Observed {
        let bytes = value.as_bytes();
        match self {
            Self::Nothing => Observed::Nothing,
            Self::Lines => Observed::Lines,
            Self::Sizes => Observed::Sizes,
            Self::Text | Self::Everything => Observed::Text,
            Self::Dialect if is_known_dialect(bytes) => Observed::Nothing,
            Self::Architecture if memchr::memmem::find(bytes, b"lto").is_none() => {
                Observed::Nothing
            }
            Self::Dialect | Self::Architecture => Observed::Lines,
            Self::HostWords => host(bytes),
            Self::PtxasWords => ptxas(bytes),
        }
    }
}

fn observed(arg: &Arg) -> Observed {
    match arg {
        Arg::Input(_) => Observed::Nothing,
        Arg::Forwarded(word) => host(word.as_bytes()),
        Arg::Option { option, value } => option.observes.with(value.as_deref().unwrap_or_default()),
    }
}

/// The option as it is shown to users. An option of the host compiler is shown as the host compiler gets it.
fn name(arg: &Arg) -> String {
    match arg {
        Arg::Input(word) | Arg::Forwarded(word) => word.display().to_string(),
        Arg::Option { option, value } => match value {
            Some(value) if option.long == "compiler-options" => value.display().to_string(),
            Some(value) => format!("--{}={}", option.long, value.display()),
            None => format!("--{}", option.long),
        },
    }
}

/// What an option of the host compiler lets it observe. An unknown option is assumed to observe lines.
fn host(text: &[u8]) -> Observed {
    let starts = |start: &&str| text.starts_with(start.as_bytes());
    let feature = text
        .strip_prefix(b"-fno-")
        .or_else(|| text.strip_prefix(b"-f"));
    let is_silent = match (feature, text.strip_prefix(b"-std=")) {
        (_, Some(dialect)) => is_known_dialect(dialect),
        (Some(feature), _) => {
            let mut silent = SILENT_FEATURES.iter();
            silent.any(|start| feature.starts_with(start.as_bytes()))
        }
        // With a comma, the option passes others on to another program.
        _ if text.starts_with(b"-W") => !text.contains(&b',') && !OF_BLANKS.iter().any(starts),
        // The value of the preceding option.
        _ if !text.starts_with(b"-") => !text.starts_with(b"@"),
        _ => SILENT.iter().any(starts) && !text.starts_with(b"-mllvm"),
    };
    if is_silent {
        Observed::Nothing
    } else {
        Observed::Lines
    }
}

/// What an option of ptxas lets it observe: it reads PTX, and looks at the files that PTX names.
fn ptxas(text: &[u8]) -> Observed {
    let line_options = [
        &b"-g"[..],
        b"--device-debug",
        b"-lineinfo",
        b"--generate-line-info",
    ];
    let name = text.split(|&byte| byte == b'=').next().unwrap_or(text);
    let is_harmless = effects::ptxas(text) == effects::EffectVerdict::Harmless;
    if is_harmless && !line_options.contains(&name) {
        Observed::Nothing
    } else {
        Observed::Sizes
    }
}

/// Whether `name` is in [`DIALECTS`].
fn is_known_dialect(name: &[u8]) -> bool {
    DIALECTS.iter().any(|dialect| dialect.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use crate::cmdline::{CommandLine, read};
    use std::ffi::OsString;
    use std::io;

    fn told(line: &str) -> Option<String> {
        let args: Vec<_> = line.split(' ').map(OsString::from).collect();
        let line = CommandLine {
            args: &args,
            ..CommandLine::default()
        };
        let job = read(&line, &mut |_| Err(io::ErrorKind::NotFound.into()));
        job.unwrap_or_else(|bypass| panic!("{line:?}: {bypass:?}"))
            .tells_lines()
    }

    #[test]
    fn ordinary_compiles_tell_no_lines() {
        for line in [
            "-c a.cu -o a.o",
            "-c a.cu -std=c++17 -O3 -arch=sm_80 -Xptxas -v --expt-relaxed-constexpr",
            "-c a.cu -Xcompiler -fPIC,-Wall,-O3,-fopenmp -Xcompiler=-std=gnu++20",
            "-ptx a.cu",
            "-cubin -arch=sm_90 a.cu",
            "-dc a.cu -rdc=true -Xcudafe --diag_suppress=20012",
        ] {
            assert_eq!(told(line), None, "{line}");
        }
    }

    #[test]
    fn whatever_tells_lines_is_named() {
        for (line, name) in [
            ("-c a.cu -g", "--debug"),
            ("-c a.cu -G", "--device-debug"),
            ("-c a.cu -lineinfo", "--generate-line-info"),
            ("-ptx a.cu -lineinfo -src-in-ptx", "--generate-line-info"),
            ("-c a.cu -pg", "--profile"),
            ("-c a.cu --keep", "--keep"),
            ("-c a.cu -Xcompiler -g", "-g"),
            ("-c a.cu -Xcompiler -Wall,-ggdb3", "-ggdb3"),
            (
                "-c a.cu -Xcompiler -fsanitize=address",
                "-fsanitize=address",
            ),
            (
                "-c a.cu -Xcompiler -finstrument-functions",
                "-finstrument-functions",
            ),
            ("-c a.cu -Xcompiler -p", "-p"),
            ("-c a.cu -Xcompiler -flto", "-flto"),
            (
                "-c a.cu -Xcompiler -Wtrailing-whitespace",
                "-Wtrailing-whitespace",
            ),
            ("-c a.cu -std=c++11", "--std=c++11"),
            ("-c a.cu -Xcompiler -std=c++11", "-std=c++11"),
            ("-c a.cu -Xcompiler -trigraphs", "-trigraphs"),
            ("-dc a.cu -dlto", "--dlink-time-opt"),
            (
                "-dc a.cu -gencode=arch=compute_80,code=lto_80",
                "--generate-code=arch=compute_80,code=lto_80",
            ),
        ] {
            assert_eq!(told(line).as_deref(), Some(name), "{line}");
        }
    }
}
