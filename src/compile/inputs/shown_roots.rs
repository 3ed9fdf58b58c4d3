//! Which roots a unit's result shows: those whose paths reached a text or a file other than by a line marker, and
//! those that an option lets in. A result that shows none is the same wherever its roots are.
//! `docs/design/keys.md#roots` says why.

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::preprocess;
use crate::compile::request::facts::RequestFacts;
use crate::compile::request::roots::prefix_map;
use crate::includes::shown::of_text;
use crate::key::{RootSet, Roots};
use crate::plan::FileKind;
use memchr::memmem;
use std::fs;
use std::os::unix::ffi::OsStrExt;

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

/// Beginnings of options of the host compiler with which outputs depend on paths in a way that is not looked for.
const HIDING: [&[u8]; 8] = [
    b"--coverage",
    b"-fauto-profile",
    // Takes the path to a relative name for part of that name.
    b"-fcanon-prefix-map",
    b"-fcoverage",
    b"-fdebug-compilation-dir",
    // Compares parts of the names of files.
    b"-finstrument-functions-exclude-file-list",
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

#[cfg(test)]
mod tests {
    use super::of_host_option;
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
        for hiding in [
            "X-fcanon-prefix-map",
            "X-finstrument-functions-exclude-file-list=a",
        ] {
            assert_eq!(of(hiding).len(), 4, "{hiding}");
        }
        assert_eq!(of("X--coverage").len(), 4);
    }
}
