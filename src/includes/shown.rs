//! Which roots a text between the sources and the outputs shows: those whose paths stand in it other than in line
//! markers, and those in line markers that code asks for.

use super::markers::{Origin, in_raw_strings, marker, unescape};
use crate::key::{RootName, RootSet, Roots};
use memchr::{memchr, memmem, memrchr};

/// Functions that compilers replace by the name of the file, which stands in line markers.
const FILE_BUILTINS: [&[u8]; 3] = [
    b"__builtin_FILE",
    b"__builtin_source_location",
    b"source_location",
];

/// Ends of the paths of system headers that mention these functions and only pass the name on: those of standard
/// libraries, and CCCL where it is not that of the toolkit.
const PASSING: [&[u8]; 2] = [b"/source_location", b"/cuda/std/__exception/cuda_error.h"];

/// The roots that a text shows other than by line markers.
pub fn of_text(text: &[u8], roots: &Roots) -> RootSet {
    let line_at = |at: usize| {
        let start = memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
        let end = memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length);
        &text[start..end]
    };
    let all = asks_for_files(text, roots) || in_raw_strings(text);
    roots.mentioned(text, &mut |at| all || marker(line_at(at)).is_none())
}

/// Whether code asks for the name of its file. The toolkit and standard libraries do so in default arguments; where such
/// a name is used, it stands in an output.
pub fn asks_for_files(text: &[u8], roots: &Roots) -> bool {
    FILE_BUILTINS.iter().any(|word| {
        let mut places = memmem::find_iter(text, word);
        places.any(|at| !is_of_library(&text[..at], roots))
    })
}

/// Whether the file in which `before` ends belongs to a library whose functions only pass the name of their caller's file
/// on. Others may calculate with it, also in default arguments; and where a macro of a system header is used, GCC marks
/// the user's own lines as those of one.
fn is_of_library(mut before: &[u8], roots: &Roots) -> bool {
    loop {
        let start = memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        if let Some(marker) = marker(&before[start..]) {
            let name = unescape(marker.escaped);
            let is_known = PASSING.iter().any(|end| name.ends_with(end));
            return marker.origin == Origin::System && is_known
                || roots.root_of(&name) == Some(RootName::Toolkit);
        }
        match start.checked_sub(1) {
            Some(end) => before = &before[..end],
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::of_text;
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
        for header in ["/usr/include/c++/12/source_location", "/cuda/include/h.h"] {
            let text = format!("{marked}# 1 \"{header}\" 1 3\nauto f = __builtin_FILE();\n");
            assert!(of(&text).is_empty(), "{header}");
        }
        for header in ["/a/x/u.cu", "/a/x/third/log.h", "/usr/include/log.h"] {
            let text = format!("{marked}# 1 \"{header}\" 1 3\nauto f = __builtin_FILE();\n");
            assert_eq!(of(&text), ["{base}", "{toolkit}"], "{header}");
        }
        assert_eq!(of("x = \"/a/x/u.cu\";"), ["{base}"]);
        assert_eq!(of("R\"(\n# 1 \"/a/x/u.cu\"\n)\""), ["{base}"]);
        assert_eq!(of("#pragma message \"/cuda/x\"\n"), ["{toolkit}"]);
    }
}
