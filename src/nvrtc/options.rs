//! NVRTC's command line: a table of its options and their effects on the cache. Pure.
//!
//! Found by trying each form with NVRTC 12.0 to 13.5: a long name needs two dashes and a short one a
//! single dash; a value follows `=`, and most options take the next argument too; `-D`, `-I` and `-U` also take it
//! attached. An option that is not in the table is a bypass, never a guess.

use crate::key::Sink;
use crate::outcome::NvrtcReason;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// How an option takes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NvrtcArity {
    Flag,
    /// `--name=value`, or the next argument.
    Value,
    /// Only `--name=value`: without `=`, NVRTC refuses the option or the value.
    Joined,
    /// Those of [`NvrtcArity::Value`], and `-Xvalue`.
    Attached,
}

/// The effect of an option on the cache, besides being part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NvrtcEffect {
    Plain,
    /// The value is a directory that is searched for headers.
    Include,
    /// The result contains the whole name of the program or the working directory.
    Names,
    /// The result also contains the times of files.
    Times,
    /// The value is passed to ptxas.
    Ptxas,
    /// The compile is not cached.
    Bypass(NvrtcReason),
}

/// One option: its long name, its short name, how it takes a value, its effect.
type NvrtcOptionRow = (&'static str, &'static str, NvrtcArity, NvrtcEffect);

const PRECOMPILED: NvrtcEffect = NvrtcEffect::Bypass(NvrtcReason::Precompiled);
const TIMING: NvrtcEffect = NvrtcEffect::Bypass(NvrtcReason::Timing);
const FILES: NvrtcEffect = NvrtcEffect::Bypass(NvrtcReason::Files);
/// The output of the option is also in later logs ([`super::process`]).
const LEAKING: NvrtcEffect = NvrtcEffect::Bypass(NvrtcReason::Process);

/// Every known option, sorted by its long name.
#[rustfmt::skip] // one row per line
const TABLE: &[NvrtcOptionRow] = &[
    ("Ofast-compile", "Ofc", NvrtcArity::Value, NvrtcEffect::Plain),
    ("Wconversion", "Wconversion", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("Wreorder", "Wreorder", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("brief-diagnostics", "brief-diag", NvrtcArity::Value, NvrtcEffect::Plain),
    ("builtin-initializer-list", "builtin-initializer-list", NvrtcArity::Value, NvrtcEffect::Plain),
    ("builtin-move-forward", "builtin-move-forward", NvrtcArity::Value, NvrtcEffect::Plain),
    ("create-pch", "create-pch", NvrtcArity::Value, PRECOMPILED),
    ("default-tile", "default-tile", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("define-macro", "D", NvrtcArity::Attached, NvrtcEffect::Plain),
    ("device-as-default-execution-space", "default-device", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("device-c", "dc", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("device-debug", "G", NvrtcArity::Flag, NvrtcEffect::Times),
    ("device-float128", "device-float128", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("device-int128", "device-int128", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("device-stack-protector", "device-stack-protector", NvrtcArity::Value, NvrtcEffect::Plain),
    ("device-w", "dw", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("diag-error", "diag-error", NvrtcArity::Value, NvrtcEffect::Plain),
    ("diag-suppress", "diag-suppress", NvrtcArity::Value, NvrtcEffect::Plain),
    ("diag-warn", "diag-warn", NvrtcArity::Value, NvrtcEffect::Plain),
    ("diagnose-implicit-tile-var", "diagnose-implicit-tile-var", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("disable-warnings", "w", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("display-error-number", "err-no", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("dlink-time-opt", "dlto", NvrtcArity::Flag, NvrtcEffect::Names),
    ("dopt", "dopt", NvrtcArity::Value, NvrtcEffect::Plain),
    ("enable-tile", "enable-tile", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("extensible-whole-program", "ewp", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("extra-device-vectorization", "extra-device-vectorization", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("fdevice-syntax-only", "fdevice-syntax-only", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("fdevice-time-trace", "fdevice-time-trace", NvrtcArity::Value, TIMING),
    ("ffinite-math-only", "ffinite-math-only", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("fmad", "fmad", NvrtcArity::Value, NvrtcEffect::Plain),
    ("fmax-errors", "fmax-errors", NvrtcArity::Value, NvrtcEffect::Plain),
    ("fno-signed-zeros", "fno-signed-zeros", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("frandom-seed", "frandom-seed", NvrtcArity::Joined, NvrtcEffect::Plain),
    ("ftz", "ftz", NvrtcArity::Value, NvrtcEffect::Plain),
    ("gen-opt-lto", "gen-opt-lto", NvrtcArity::Flag, NvrtcEffect::Names),
    ("generate-line-info", "lineinfo", NvrtcArity::Flag, NvrtcEffect::Times),
    ("gpu-architecture", "arch", NvrtcArity::Value, NvrtcEffect::Plain),
    ("include-path", "I", NvrtcArity::Attached, NvrtcEffect::Include),
    ("instantiate-templates-in-pch", "instantiate-templates-in-pch", NvrtcArity::Value, PRECOMPILED),
    ("jump-table-density", "jtd", NvrtcArity::Value, NvrtcEffect::Plain),
    ("maxrregcount", "maxrregcount", NvrtcArity::Value, NvrtcEffect::Plain),
    ("minimal", "minimal", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("modify-stack-limit", "modify-stack-limit", NvrtcArity::Value, NvrtcEffect::Plain),
    ("no-cache", "no-cache", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("no-display-error-number", "no-err-no", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("no-source-include", "no-source-include", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("optimization-info", "opt-info", NvrtcArity::Joined, LEAKING),
    ("optix-ir", "optix-ir", NvrtcArity::Flag, NvrtcEffect::Names),
    ("pch", "pch", NvrtcArity::Flag, PRECOMPILED),
    ("pch-dir", "pch-dir", NvrtcArity::Value, PRECOMPILED),
    ("pch-messages", "pch-messages", NvrtcArity::Value, PRECOMPILED),
    ("pch-verbose", "pch-verbose", NvrtcArity::Value, PRECOMPILED),
    ("pre-include", "include", NvrtcArity::Value, NvrtcEffect::Names),
    ("prec-div", "prec-div", NvrtcArity::Value, NvrtcEffect::Plain),
    ("prec-sqrt", "prec-sqrt", NvrtcArity::Value, NvrtcEffect::Plain),
    ("ptxas-options", "Xptxas", NvrtcArity::Value, NvrtcEffect::Ptxas),
    ("relocatable-device-code", "rdc", NvrtcArity::Value, NvrtcEffect::Plain),
    ("restrict", "restrict", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("simt-only", "simt-only", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("split-compile", "split-compile", NvrtcArity::Value, NvrtcEffect::Plain),
    ("std", "std", NvrtcArity::Joined, NvrtcEffect::Plain),
    ("tile-only", "tile-only", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("tile-preview", "tile-preview", NvrtcArity::Value, NvrtcEffect::Plain),
    ("time", "time", NvrtcArity::Value, TIMING),
    ("undefine-macro", "U", NvrtcArity::Attached, NvrtcEffect::Plain),
    ("use-bundled-headers", "use-bundled-headers", NvrtcArity::Value, FILES),
    ("use-pch", "use-pch", NvrtcArity::Value, PRECOMPILED),
    ("use_fast_math", "use_fast_math", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("utf-8", "utf-8", NvrtcArity::Flag, NvrtcEffect::Plain),
    ("version-ident", "version-ident", NvrtcArity::Value, NvrtcEffect::Plain),
    ("warning-as-error", "Werror", NvrtcArity::Value, NvrtcEffect::Plain),
];

/// Options of ptxas that do not prevent caching: whole words, and below, prefixes before a value.
const PTXAS_WORDS: &[&[u8]] = &[
    b"--disable-warnings",
    b"--verbose",
    b"--warn-on-double-precision-use",
    b"--warn-on-local-memory-usage",
    b"--warn-on-spills",
    b"-O0",
    b"-O1",
    b"-O2",
    b"-O3",
    b"-O4",
    b"-v",
    b"-w",
    b"-warn-double-usage",
    b"-warn-lmem-usage",
    b"-warn-spills",
];
const PTXAS_VALUES: &[&[u8]] = &[
    b"--def-load-cache=",
    b"--def-store-cache=",
    b"--fmad=",
    b"--maxrregcount=",
    b"--opt-level=",
    b"-dlcm=",
    b"-dscm=",
    b"-fmad=",
    b"-maxrregcount=",
];

/// Why a compile with an option is not cached, and the option.
pub(super) type Refusal = (NvrtcReason, Vec<u8>);

/// The options of one compile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// Long name and value, in order.
    all: Vec<(&'static str, Option<Vec<u8>>)>,
    /// The directories of `-I`, in order.
    pub includes: Vec<PathBuf>,
    /// Whether the result contains the program's whole name or the working directory.
    pub tells_names: bool,
    /// Whether the result contains the times of files.
    pub tells_times: bool,
}

impl Options {
    /// Reads `arguments`, and after them the words of `NVRTC_APPEND_FLAGS` in `appended`.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub(super) fn read(arguments: &[Vec<u8>], appended: Option<&[u8]>) -> Result<Self, Refusal> {
        let mut options = Self::default();
        options.add_all(arguments)?;
        if let Some(text) = appended {
            let quotes = |byte: &u8| matches!(byte, b'"' | b'\'' | b'\\');
            if text.iter().any(quotes) {
                return Err((NvrtcReason::Environment, b"NVRTC_APPEND_FLAGS".to_vec()));
            }
            let words = text.split(u8::is_ascii_whitespace);
            let words = words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec);
            options.add_all(&words.collect::<Vec<_>>())?;
        }
        Ok(options)
    }

    fn add_all(&mut self, arguments: &[Vec<u8>]) -> Result<(), Refusal> {
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let unknown = || (NvrtcReason::UnknownOption, argument.clone());
            // A macro's value with a newline may contain directives.
            if argument.contains(&b'\n') {
                return Err(unknown());
            }
            let (row, value) = find(argument).ok_or_else(unknown)?;
            let value = match (row.2, value) {
                (NvrtcArity::Flag, value) => value,
                (_, Some(value)) => Some(value),
                (NvrtcArity::Joined, None) => return Err(unknown()),
                // An argument that looks like another option may be read as one.
                (_, None) => {
                    let next = arguments.next().ok_or_else(unknown)?;
                    let is_option = next.starts_with(b"-") && row.3 != NvrtcEffect::Ptxas;
                    let is_certain = !is_option && !next.contains(&b'\n');
                    Some(is_certain.then_some(next.as_slice()).ok_or_else(unknown)?)
                }
            };
            self.add(row, value, argument)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        row: &NvrtcOptionRow,
        value: Option<&[u8]>,
        argument: &[u8],
    ) -> Result<(), Refusal> {
        match row.3 {
            NvrtcEffect::Plain => {}
            NvrtcEffect::Include => {
                let directory = OsStr::from_bytes(value.unwrap_or_default());
                self.includes.push(directory.into());
            }
            NvrtcEffect::Names => self.tells_names = true,
            NvrtcEffect::Times => {
                self.tells_names = true;
                self.tells_times = true;
            }
            NvrtcEffect::Ptxas if value.is_some_and(is_known_to_ptxas) => {}
            NvrtcEffect::Ptxas => return Err((NvrtcReason::UnknownOption, argument.to_vec())),
            NvrtcEffect::Bypass(reason) => return Err((reason, argument.to_vec())),
        }
        self.all.push((row.0, value.map(<[u8]>::to_vec)));
        Ok(())
    }

    /// The values of all options, including the definitions of macros.
    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.all.iter().filter_map(|(_, value)| value.as_deref())
    }

    /// The macros that options define, as `NAME=value`.
    pub(super) fn macros(&self) -> impl Iterator<Item = &[u8]> {
        let macros = self.all.iter().filter(|(name, _)| *name == "define-macro");
        macros.filter_map(|(_, value)| value.as_deref())
    }

    /// Writes the field `job`, in the same format as the other keys.
    pub(super) fn write(&self, sink: &mut impl Sink) {
        let count = |value: &Option<Vec<u8>>| 2 + usize::from(value.is_some());
        let counts = self.all.iter().map(|(_, value)| count(value));
        sink.field("job", counts.sum());
        for (name, value) in &self.all {
            sink.value(name.as_bytes());
            sink.value(&u64::from(value.is_some()).to_le_bytes());
            if let Some(value) = value {
                sink.value(value);
            }
        }
    }
}

/// The row of the option in `argument`, and the value in the argument.
fn find(argument: &[u8]) -> Option<(&'static NvrtcOptionRow, Option<&[u8]>)> {
    let equals = argument.iter().position(|&byte| byte == b'=');
    let (name, value) = match equals {
        Some(at) => (&argument[..at], Some(&argument[at + 1..])),
        None => (argument, None),
    };
    let is_named = |row: &&NvrtcOptionRow| match name.strip_prefix(b"--") {
        Some(long) => row.0.as_bytes() == long,
        None => name.strip_prefix(b"-") == Some(row.1.as_bytes()) && row.2 != NvrtcArity::Attached,
    };
    if let Some(row) = TABLE.iter().find(is_named) {
        let is_flag_with_value = row.2 == NvrtcArity::Flag && value.is_some();
        return (!is_flag_with_value).then_some((row, value));
    }
    let attached = TABLE.iter().filter(|row| row.2 == NvrtcArity::Attached);
    let mut attached = attached.map(|row| (row, argument.strip_prefix(b"-")));
    attached.find_map(|(row, rest)| {
        let rest = rest?.strip_prefix(row.1.as_bytes())?;
        Some((row, (!rest.is_empty()).then_some(rest)))
    })
}

fn is_known_to_ptxas(value: &[u8]) -> bool {
    let mut words = value.split(|&byte| byte == b',');
    words.all(|word| {
        let has_value = PTXAS_VALUES.iter().any(|start| word.starts_with(start));
        PTXAS_WORDS.contains(&word) || has_value
    })
}

#[cfg(test)]
mod tests {
    use super::{NvrtcArity, NvrtcEffect, Options, TABLE};
    use crate::outcome::NvrtcReason;
    use std::path::PathBuf;

    fn read(arguments: &[&str]) -> Result<Options, NvrtcReason> {
        let arguments: Vec<_> = arguments
            .iter()
            .map(|one| one.as_bytes().to_vec())
            .collect();
        Options::read(&arguments, None).map_err(|(reason, _)| reason)
    }

    #[test]
    fn the_table_is_sorted_and_names_each_option_once() {
        assert!(TABLE.is_sorted_by(|one, other| one.0 < other.0));
        let mut shorts: Vec<_> = TABLE.iter().map(|row| row.1).collect();
        shorts.sort_unstable();
        assert!(shorts.is_sorted_by(|one, other| one < other));
    }

    #[test]
    fn spellings_of_one_meaning_are_one() {
        for [one, other] in [
            [&["-arch=sm_90"][..], &["--gpu-architecture", "sm_90"][..]],
            [&["-arch", "sm_90"], &["--gpu-architecture=sm_90"]],
            [&["-DX=1"], &["--define-macro=X=1"]],
            [&["-D", "X"], &["-DX"]],
            [&["-I/a b"], &["--include-path", "/a b"]],
            [&["-lineinfo"], &["--generate-line-info"]],
            [&["-Xptxas", "-v,-O2"], &["--ptxas-options=-v,-O2"]],
        ] {
            assert_eq!(read(one), read(other), "{one:?}");
            assert!(read(one).is_ok(), "{one:?}");
        }
        assert_ne!(read(&["-DA", "-DB"]), read(&["-DB", "-DA"]));
        assert_ne!(read(&["-DA"]), read(&["-UA"]));
    }

    #[test]
    fn what_is_not_certain_is_refused() {
        let unknown = Err(NvrtcReason::UnknownOption);
        for arguments in [
            &["--nope"][..],
            &["arch=sm_90"],
            &["--arch=sm_90"],
            &["-gpu-architecture=sm_90"],
            &["-lineinfo=true"],
            &["-arch"],
            &["-dopt", "-lineinfo"],
            &[""],
            &[" -lineinfo"],
            &["-Xptxas", "-v,--output-file=x"],
            &["@file"],
            &["-std", "c++17"],
            &["--std", "c++17"],
            &["--frandom-seed", "5"],
            &["-opt-info", "inline"],
            &["-DX=1\n#line 5"],
            &["-D", "X=1\n#line 5"],
        ] {
            assert_eq!(read(arguments), unknown, "{arguments:?}");
        }
        assert_eq!(read(&["--pch"]), Err(NvrtcReason::Precompiled));
        assert_eq!(read(&["-use-pch=x"]), Err(NvrtcReason::Precompiled));
        assert_eq!(read(&["--time", "-"]), Err(NvrtcReason::UnknownOption));
        assert_eq!(read(&["--time=-"]), Err(NvrtcReason::Timing));
        assert_eq!(read(&["--use-bundled-headers=d"]), Err(NvrtcReason::Files));
    }

    #[test]
    fn effects_are_noticed_in_the_environment_too() {
        let appended = |text: &str| Options::read(&[], Some(text.as_bytes()));
        assert!(appended(" -lineinfo -DX ").unwrap().tells_times);
        let (reason, _) = appended("-DX=\"1\"").unwrap_err();
        assert_eq!(reason, NvrtcReason::Environment);
        assert_eq!(appended("--pch").unwrap_err().0, NvrtcReason::Precompiled);
        let options = read(&["-I/x", "-Irel"]).unwrap();
        assert_eq!(options.includes, [PathBuf::from("/x"), "rel".into()]);
        assert!(!options.tells_names);
    }

    #[test]
    fn what_bypasses_says_so_whatever_its_value() {
        for (long, short, arity, effect) in TABLE {
            if let NvrtcEffect::Bypass(reason) = effect {
                let value = if *arity == NvrtcArity::Flag { "" } else { "=x" };
                assert_eq!(read(&[&format!("--{long}{value}")]), Err(*reason));
                assert_eq!(read(&[&format!("-{short}{value}")]), Err(*reason));
            }
        }
    }
}
