//! Compares the arguments of a compiler proper with those of its driver, as far as they affect header search and
//! defined names. Pure.

use crate::cmdline::takes_value;
use crate::toolchain::HostFamily;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Stands for the debug prefix map that a stage gets.
pub(crate) const NO_MAP: &str = "-fdebug-prefix-map=/no/such=.";

/// Makes a preprocessor print its `#include` directives, and GCC expand macros in directives alone.
pub(crate) const SHOW_INCLUDES: [&str; 2] = ["-dI", "-fdirectives-only"];

/// Those of [`SHOW_INCLUDES`] that a compiler of `family` is given.
pub(crate) fn show_includes(family: HostFamily) -> &'static [&'static str] {
    match family {
        HostFamily::Gnu => &SHOW_INCLUDES,
        HostFamily::Clang | HostFamily::Other => &SHOW_INCLUDES[..1],
    }
}

/// The words of a command without the flags that are added to stages: for depfiles, for the debug prefix map, and
/// [`SHOW_INCLUDES`].
pub(crate) fn without_evidence(words: &[OsString]) -> Vec<OsString> {
    const VALUED: [&str; 5] = ["-MD", "-MF", "-MQ", "-MT", "--MD"];
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if VALUED.iter().any(|option| word == *option) {
            words.next();
        } else if word != NO_MAP && !SHOW_INCLUDES.iter().any(|option| word == *option) {
            kept.push(word.clone());
        }
    }
    kept
}

/// The differences between what a compiler proper gets and what the job gives, as far as they may decide where headers
/// are found and which names are defined. A pass shows what its compile reads only if both have the same additions.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Additions {
    pub words: Vec<OsString>,
    /// `NAME=value` of the variables that may decide it.
    pub variables: Vec<Vec<u8>>,
}

/// The differences between the `words` of a compiler proper and the `flags` of its driver: new words, each with
/// the number of words of its kind before it; words whose order has changed; and missing flags.
pub(crate) fn added_words(words: &[OsString], flags: &[OsString]) -> Vec<OsString> {
    let mut unmatched: Vec<_> = deciding(flags).into_iter().map(Some).collect();
    let mut reached: HashMap<Vec<u8>, (usize, usize)> = HashMap::new();
    let mut differences = Vec::new();
    for word in deciding(words) {
        let (last, count) = reached.entry(kind(&word)).or_default();
        let mut flags = unmatched.iter();
        match flags.position(|flag| flag.as_ref() == Some(&word)) {
            None => differences.push(tagged(&format!("new {count} "), &word)),
            Some(index) => {
                if index < *last {
                    differences.push(tagged("moved ", &word));
                }
                unmatched[index] = None;
                (*last, *count) = (index, *count + 1);
            }
        }
    }
    let missing = unmatched.into_iter().flatten();
    differences.extend(missing.map(|flag| tagged("missing ", &flag)));
    differences
}

fn tagged(tag: &str, word: &OsStr) -> OsString {
    [tag.as_ref(), word].into_iter().collect()
}

/// The kind of a word. Among words of one kind the order matters: definitions of one name, options with the same
/// letter.
fn kind(word: &OsStr) -> Vec<u8> {
    match word.as_bytes() {
        [b'-', b'D' | b'U', rest @ ..] => {
            let name = rest.split(|&byte| byte == b'=' || byte == b'(').next();
            [b"-D", name.unwrap_or_default()].concat()
        }
        bytes => bytes[..bytes.len().min(2)].to_vec(),
    }
}

/// The words that may decide where headers are found and which names are defined. Each is joined with its value,
/// which GCC's driver may split off.
fn deciding(words: &[OsString]) -> Vec<OsString> {
    /// Options with a value that GCC's driver gives to a compiler, but not, or not alike, to a preprocessor.
    const DRIVERS: [&str; 7] = [
        "-o",
        "-x",
        "-dumpbase",
        "-dumpbase-ext",
        "-dumpdir",
        "-auxbase",
        "-auxbase-strip",
    ];
    /// Such options without a value.
    const ALONE: [&str; 10] = [
        "-",
        "-E",
        "-S",
        "-c",
        "-pipe",
        "-quiet",
        "-version",
        "-fworking-directory",
        "-fpch-preprocess",
        "/dev/null",
    ];
    /// Beginnings of options that neither define a name nor affect the search for headers.
    const HARMLESS: [&str; 12] = [
        "-W",
        "-g",
        "-w",
        "-falign",
        "-fdata-sections",
        "-fdebug-prefix-map=",
        "-fdiagnostics",
        "-ffunction-sections",
        "-finstrument-functions",
        "-fmessage-length",
        "-frandom-seed=",
        "-fvisibility",
    ];
    let mut deciding = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if DRIVERS.contains(&text.as_ref()) {
            words.next();
        } else if takes_value(&text) {
            let mut option = word.clone();
            option.extend(words.next().cloned());
            deciding.push(option);
        } else if !ALONE.contains(&text.as_ref())
            && !HARMLESS.iter().any(|option| text.starts_with(option))
        {
            deciding.push(word.clone());
        }
    }
    deciding
}

#[cfg(test)]
mod tests {
    use super::added_words;
    use std::ffi::OsString;

    fn added(words: &str, flags: &str) -> String {
        let [words, flags] = [words, flags].map(|text| {
            let words = text.split_whitespace().map(OsString::from);
            words.collect::<Vec<_>>()
        });
        let found = added_words(&words, &flags);
        let found: Vec<_> = found.iter().map(|word| word.to_string_lossy()).collect();
        found.join("; ")
    }

    #[test]
    fn what_gccs_own_driver_does_with_flags_is_the_same_for_compile_and_pass() {
        let pass = added(
            "-E -quiet -I one -I two -imultiarch x -D _GNU_SOURCE -D A=1 -isystem three /dev/null -o - -m64 -std=c++17",
            "-DA=1 -E -x c++ -std=c++17 -Ione -I two -isystem three -m64",
        );
        let compile = added(
            "-quiet -I one -I two -imultiarch x -D _GNU_SOURCE -isystem three /dev/null -dumpbase null -m64 -g -std=c++17 -o /tmp/1.s",
            "-c -x c++ -std=c++17 -Ione -I two -isystem three -m64 -g -Wall",
        );
        assert_eq!(pass, compile);
        assert_eq!(pass, "new 0 -imultiarchx; new 0 -D_GNU_SOURCE");
    }

    #[test]
    fn additions_permutations_and_omissions_are_told() {
        for (words, expected) in [
            ("-I one -I two -D A", ""),
            ("-I two -I one -D A", "moved -Ione"),
            ("-I one -I two -I three -D A", "new 2 -Ithree"),
            ("-I three -I one -I two -D A", "new 0 -Ithree"),
            ("-I one -I two", "missing -DA"),
            ("-I one -I two -D A -U A", "new 1 -UA"),
            ("-I one -I two -U A -D A", "new 0 -UA"),
            ("-I one -I two -D A -mavx2", "new 0 -mavx2"),
            ("-I one -I two -D A -finstrument-functions -g0", ""),
        ] {
            assert_eq!(added(words, "-Ione -Itwo -DA"), expected, "{words}");
        }
    }
}
