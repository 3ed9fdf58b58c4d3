//! What nvcc does with an input file, by its suffix. One table decides between compiling and linking.

use super::mode::Mode;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What an input is to nvcc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something is compiled from it.
    Compiled,
    /// Device code that is assembled or packed, but only linked with `-dlink`.
    Device,
    /// It is handed to a linker.
    Linked,
    /// A precompiled header.
    Precompiled,
    /// Standard input.
    Stdin,
    /// nvcc does not know what to do with it.
    Unknown,
}

/// Suffixes in byte order; nvcc looks at the case. `.cu.cpp.ii`, its own output, is only linked.
const SUFFIXES: &[(&str, Kind)] = &[
    (".S", Kind::Compiled),
    (".a", Kind::Linked),
    (".c", Kind::Compiled),
    (".cc", Kind::Compiled),
    (".cpp", Kind::Compiled),
    (".cu", Kind::Compiled),
    (".cu.cpp.ii", Kind::Linked),
    (".cubin", Kind::Device),
    (".cup", Kind::Compiled),
    (".cxx", Kind::Compiled),
    (".fatbin", Kind::Device),
    (".gch", Kind::Precompiled),
    (".gpu", Kind::Device),
    (".i", Kind::Compiled),
    (".ii", Kind::Compiled),
    (".lib", Kind::Linked),
    (".ltoir", Kind::Device),
    (".o", Kind::Linked),
    (".obj", Kind::Linked),
    (".pch", Kind::Precompiled),
    (".ptx", Kind::Device),
    (".res", Kind::Linked),
    (".s", Kind::Compiled),
    (".so", Kind::Linked),
];

/// What `input` is. With `-x` every file is a source, whatever its name.
pub(super) fn kind(input: &OsStr, language: Option<&OsStr>) -> Kind {
    let path = input.as_bytes();
    if matches!(
        path,
        b"-" | b"/dev/stdin" | b"/dev/fd/0" | b"/proc/self/fd/0"
    ) {
        return Kind::Stdin;
    }
    // The longest suffix wins.
    let found = SUFFIXES
        .iter()
        .filter(|(suffix, _)| path.ends_with(suffix.as_bytes()))
        .max_by_key(|(suffix, _)| suffix.len());
    match found {
        Some((_, Kind::Precompiled)) => Kind::Precompiled,
        _ if language.is_some() => Kind::Compiled,
        Some((_, kind)) => *kind,
        None => Kind::Unknown,
    }
}

/// Whether `mode` makes something new out of an input of this kind, rather than linking it.
pub(super) fn is_compiled(kind: Kind, mode: Mode) -> bool {
    match kind {
        Kind::Compiled => true,
        Kind::Device => mode != Mode::DeviceLink,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, SUFFIXES, kind};
    use std::ffi::OsStr;

    #[test]
    fn suffixes_are_sorted_and_unique() {
        assert!(SUFFIXES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[track_caller]
    fn is(input: &str, language: Option<&str>, expected: Kind) {
        assert_eq!(
            kind(OsStr::new(input), language.map(OsStr::new)),
            expected,
            "{input}"
        );
    }

    #[test]
    fn the_longest_suffix_or_the_language_decides() {
        is("a/b.cu", None, Kind::Compiled);
        is("b.cu.cpp.ii", None, Kind::Linked);
        is("b.cpp.ii", None, Kind::Compiled);
        is("b.so.1", None, Kind::Unknown);
        is("b.CU", None, Kind::Unknown);
        is("b.CU", Some("cu"), Kind::Compiled);
        is("b.o", Some("cu"), Kind::Compiled);
        is("-", Some("cu"), Kind::Stdin);
        is("a.h.gch", Some("c++"), Kind::Precompiled);
    }
}
