//! Which roots a unit's result shows: those whose paths reached a text or a file other than by a line marker, and
//! those that an option lets in. A result that shows none is the same wherever its roots are.
//! `docs/design/keys.md#roots` says why.

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::preprocess;
use crate::compile::request::facts::RequestFacts;
use crate::includes::markers::{Origin, marker, unescape};
use crate::key::{RootName, RootSet, Roots};
use crate::plan::FileKind;
use memchr::{memchr, memmem, memrchr};
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// Functions that compilers replace by the name of the file, which stands in line markers.
const FILE_BUILTINS: [&[u8]; 3] = [
    b"__builtin_FILE",
    b"__builtin_source_location",
    b"source_location",
];

/// Options of nvcc with which device code holds absolute paths, in forms that are compressed later.
const SHOWING: [&str; 7] = [
    "device-debug",
    "dlink-time-opt",
    "generate-line-info",
    "gen-opt-lto",
    "lto",
    "ltoir",
    "source-in-ptx",
];

/// Options of nvcc whose values reach no output of a unit by themselves: directories to search and macros, whose effect
/// the passes show, and options of links.
const SILENT: [&str; 10] = [
    "archive-options",
    "compiler-bindir",
    "compiler-options",
    "define-macro",
    "include-path",
    "library-path",
    "linker-options",
    "pre-include",
    "system-include",
    "undefine-macro",
];

/// Beginnings of options of the host compiler with which outputs hold paths in a form that is not looked for.
const HIDING: [&[u8]; 6] = [
    b"--coverage",
    b"-fauto-profile",
    b"-fcoverage",
    b"-fdebug-compilation-dir",
    b"-fprofile",
    b"-ftest-coverage",
];

/// Beginnings of options of the host compiler whose value is a directory or a file to read.
const READING: [&[u8]; 4] = [b"-B", b"-I", b"-L", b"-i"];

/// The roots that the options of an invocation let into its results.
pub(crate) fn of_options(facts: &RequestFacts, roots: &Roots) -> RootSet {
    let mut shown = RootSet::default();
    for (name, values) in &facts.job {
        if SHOWING.contains(name) {
            return RootSet::all();
        }
        for value in values {
            let is_lto = name.starts_with("gen") || name.starts_with("gpu");
            if is_lto && memmem::find(value, b"lto_").is_some() {
                return RootSet::all();
            }
            if *name == "compiler-options" {
                shown = shown.and(of_host_option(value, roots));
            } else if !SILENT.contains(name) {
                shown = shown.and(roots.mentioned(value, &mut |_| true));
            }
        }
    }
    shown
}

/// The roots that a host option lets in. `value` has the letter that the job puts before it, and may be a list.
fn of_host_option(value: &[u8], roots: &Roots) -> RootSet {
    let words = value
        .get(1..)
        .unwrap_or_default()
        .split(|byte| *byte == b',');
    words.fold(RootSet::default(), |shown, word| {
        let is_read = READING.iter().any(|option| word.starts_with(option));
        let named = if is_read || prefix_map(word).is_some() {
            RootSet::default()
        } else {
            roots.mentioned(word, &mut |_| true)
        };
        shown.and(named).and(of_host_word(word, roots))
    })
}

/// The roots that an argument of the host compiler hides in an output.
fn of_host_word(word: &[u8], roots: &Roots) -> RootSet {
    if HIDING.iter().any(|option| word.starts_with(option)) {
        return RootSet::all();
    }
    // What is above a root would be replaced in the root's own path, of which the rest is left.
    prefix_map(word).map_or_else(RootSet::default, |replaced| roots.that_begin_with(replaced))
}

/// What an option such as `-ffile-prefix-map=OLD=NEW` replaces.
fn prefix_map(word: &[u8]) -> Option<&[u8]> {
    let at = memmem::find(word, b"-prefix-map=")?;
    word[at + 12..].split(|byte| *byte == b'=').next()
}

/// The roots that a unit's passes, the compiler's own commands and the files between the passes and the outputs show.
/// All of them if one cannot be read.
pub(crate) fn of_passes(work: &UnitContext<'_>) -> RootSet {
    let words = work.host.arguments.iter().flatten();
    let mut shown = words.fold(RootSet::default(), |shown, word| {
        shown.and(of_host_word(word.as_bytes(), work.roots))
    });
    for (_, stage) in work.passes.stages(work.plan, work.unit) {
        match preprocess::text(work, stage) {
            Ok(text) => shown = shown.and(of_text(&text, work.roots)),
            Err(_) => return RootSet::all(),
        }
    }
    shown
}

/// The roots that the files between the passes and the outputs show. Outputs may hold these files compressed.
pub(crate) fn of_stages(work: &UnitContext<'_>) -> RootSet {
    let mut shown = RootSet::default();
    let stages = work.unit.stages.iter().map(|number| work.stage(*number));
    let files = stages.flat_map(|stage| stage.writes.iter().copied());
    for file in files.filter(|file| work.plan.file(*file).kind == FileKind::Temp) {
        let path = work.commands.workspace.locate(work.plan, file);
        // A stage whose result is in the store may have left no file.
        let Ok(bytes) = fs::read(&path) else { continue };
        shown = shown.and(of_text(&bytes, work.roots));
        if path.extension().is_some_and(|suffix| suffix == "ptx") {
            shown = shown.and(work.roots.mentioned_as_numbers(&bytes));
        }
    }
    shown
}

/// The roots that a text shows other than by line markers.
fn of_text(text: &[u8], roots: &Roots) -> RootSet {
    let line_at = |at: usize| {
        let start = memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
        let end = memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length);
        &text[start..end]
    };
    if asks_for_files(text, roots) {
        return roots.mentioned(text, &mut |_| true);
    }
    roots.mentioned(text, &mut |at| marker(line_at(at)).is_none())
}

/// Whether code of a user asks for the name of its file. Toolkits and libraries do so in default arguments; where such
/// a name is used, it stands in an output.
fn asks_for_files(text: &[u8], roots: &Roots) -> bool {
    FILE_BUILTINS.iter().any(|word| {
        let mut places = memmem::find_iter(text, word);
        places.any(|at| !is_of_library(&text[..at], roots))
    })
}

/// Whether the file in which `before` ends is a system header or one of the toolkit.
fn is_of_library(mut before: &[u8], roots: &Roots) -> bool {
    loop {
        let start = memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        if let Some(marker) = marker(&before[start..]) {
            let root = roots.root_of(&unescape(marker.escaped));
            return marker.origin == Origin::System || root == Some(RootName::Toolkit);
        }
        match start.checked_sub(1) {
            Some(end) => before = &before[..end],
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{of_host_option, of_text};
    use crate::key::{RootName, RootSet, Roots};
    use std::path::Path;

    fn roots() -> Roots {
        let mut roots = Roots::default();
        roots.add(RootName::Base, Path::new("/a/x"), None);
        roots.add(RootName::Toolkit, Path::new("/cuda"), None);
        roots
    }

    fn names(set: RootSet) -> Vec<&'static str> {
        set.names().map(RootName::text).collect()
    }

    #[test]
    fn line_markers_show_nothing_unless_code_asks_for_its_file() {
        let of = |text: &str| names(of_text(text.as_bytes(), &roots()));
        let marked = "# 1 \"/a/x/u.cu\"\n# 1 \"/cuda/include/h.h\" 1\n";
        assert!(of(marked).is_empty());
        assert!(of(&format!("{marked}auto f = __builtin_FILE();\n")).is_empty());
        assert_eq!(
            of(&format!("{marked}# 2 \"/a/x/u.cu\" 2\n__builtin_FILE()")),
            ["{base}", "{toolkit}"]
        );
        assert_eq!(of("x = \"/a/x/u.cu\";"), ["{base}"]);
        assert_eq!(of("#pragma message \"/cuda/x\"\n"), ["{toolkit}"]);
    }

    #[test]
    fn options_that_hide_paths_are_known() {
        let of = |value: &str| names(of_host_option(value.as_bytes(), &roots()));
        for silent in [
            "X-I/a/x/include,-O2",
            "X-ffile-prefix-map=/a/x=.",
            "X-ffile-prefix-map=/a/x/build=.",
            "X-fmacro-prefix-map=/b=.",
            "X-g",
        ] {
            assert!(of(silent).is_empty(), "{silent}");
        }
        assert_eq!(of("X-O2,-ffile-prefix-map=/a=."), ["{base}"]);
        assert_eq!(of("X-fplugin=/a/x/p.so"), ["{base}"]);
        assert_eq!(of("X--coverage").len(), 4);
    }
}
