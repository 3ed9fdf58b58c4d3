//! What nvcc does with an input file, by its suffix. One table distinguishes compiling from linking.

use super::mode::Mode;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// How nvcc treats an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputKind {
    /// It compiles the file.
    Compiled,
    /// It assembles or packs this device code; with `-dlink` it only links it.
    Device,
    /// It passes the file to a linker.
    Linked,
    /// The file is a precompiled header.
    Precompiled,
    Stdin,
    /// nvcc rejects the file.
    Unknown,
}

/// The suffixes in byte order. nvcc distinguishes upper and lower case. `.cu.cpp.ii`, its own output, is only linked.
const SUFFIXES: &[(&str, InputKind)] = &[
    (".S", InputKind::Compiled),
    (".a", InputKind::Linked),
    (".c", InputKind::Compiled),
    (".cc", InputKind::Compiled),
    (".cpp", InputKind::Compiled),
    (".cu", InputKind::Compiled),
    (".cu.cpp.ii", InputKind::Linked),
    (".cubin", InputKind::Device),
    (".cup", InputKind::Compiled),
    (".cxx", InputKind::Compiled),
    (".fatbin", InputKind::Device),
    (".gch", InputKind::Precompiled),
    (".gpu", InputKind::Device),
    (".i", InputKind::Compiled),
    (".ii", InputKind::Compiled),
    (".lib", InputKind::Linked),
    (".ltoir", InputKind::Device),
    (".o", InputKind::Linked),
    (".obj", InputKind::Linked),
    (".pch", InputKind::Precompiled),
    (".ptx", InputKind::Device),
    (".res", InputKind::Linked),
    (".s", InputKind::Compiled),
    (".so", InputKind::Linked),
];

/// The kind of `input`. With `-x` (`language`) every file is a source, whatever its name.
pub(super) fn kind(input: &OsStr, language: Option<&OsStr>) -> InputKind {
    let path = input.as_bytes();
    if matches!(
        path,
        b"-" | b"/dev/stdin" | b"/dev/fd/0" | b"/proc/self/fd/0"
    ) {
        return InputKind::Stdin;
    }
    // The longest suffix wins.
    let row = SUFFIXES
        .iter()
        .filter(|(suffix, _)| path.ends_with(suffix.as_bytes()))
        .max_by_key(|(suffix, _)| suffix.len());
    match row {
        Some((_, InputKind::Precompiled)) => InputKind::Precompiled,
        _ if language.is_some() => InputKind::Compiled,
        Some((_, kind)) => *kind,
        None => InputKind::Unknown,
    }
}

/// Whether nvcc compiles an input of this kind in `mode`, rather than linking it.
pub(super) fn is_compiled(kind: InputKind, mode: Mode) -> bool {
    match kind {
        InputKind::Compiled => true,
        InputKind::Device => !matches!(mode, Mode::DeviceLink | Mode::Rules),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{InputKind, SUFFIXES, kind};
    use std::ffi::OsStr;

    #[test]
    fn suffixes_are_sorted_and_unique() {
        assert!(SUFFIXES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[track_caller]
    fn is(input: &str, language: Option<&str>, expected: InputKind) {
        assert_eq!(
            kind(OsStr::new(input), language.map(OsStr::new)),
            expected,
            "{input}"
        );
    }

    #[test]
    fn the_longest_suffix_or_the_language_decides() {
        is("a/b.cu", None, InputKind::Compiled);
        is("b.cu.cpp.ii", None, InputKind::Linked);
        is("b.cpp.ii", None, InputKind::Compiled);
        is("b.so.1", None, InputKind::Unknown);
        is("b.CU", None, InputKind::Unknown);
        is("b.CU", Some("cu"), InputKind::Compiled);
        is("b.o", Some("cu"), InputKind::Compiled);
        is("-", Some("cu"), InputKind::Stdin);
        is("a.h.gch", Some("c++"), InputKind::Precompiled);
    }
}
