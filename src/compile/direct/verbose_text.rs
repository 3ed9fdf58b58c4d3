//! The stored form of messages. What GCC prints with `-v` is stored with paths below the names of roots, since CMake
//! checks compilers with `-v`, in directories with random names. Other messages are stored as they are: they quote
//! sources, and the CUDA compilers break their lines by the length of a path.

use crate::compile::run::printed::Printed;
use crate::key::{PathStarts, RootName, RootSet, Roots};

/// How the lines begin that GCC 9 to 15 prints with `-v`. A warning's first line begins with the name of a file or a
/// program.
const VERBOSE: [&[u8]; 20] = [
    b"\tcompiled by ",
    b" ",
    b"#include ",
    b"COLLECT_",
    b"COMPILER_PATH=",
    b"Compiler executable checksum: ",
    b"Configured with: ",
    b"End of search list.",
    b"GGC heuristics: ",
    b"GNU C",
    b"GNU assembler version ",
    b"LIBRARY_PATH=",
    b"OFFLOAD_TARGET_",
    b"Supported LTO compression algorithms: ",
    b"Target: ",
    b"Thread model: ",
    b"Using built-in specs.",
    b"\n",
    b"gcc version ",
    b"ignoring ",
];

/// Messages as they are stored.
pub(super) struct StoredMessages {
    pub printed: Printed,
    /// Whether paths in them stand below the names of roots.
    pub are_short: bool,
    /// The roots whose own paths they hold.
    pub roots: RootSet,
}

/// The stored form of `printed`.
pub(super) fn stored(printed: &Printed, roots: &Roots) -> StoredMessages {
    // GCC prints directories of the system too, which lie where they are wherever the host compiler is.
    let names = roots.without(RootName::Host);
    // A host compiler in a checkout need not move with it.
    let hosts = roots.paths(RootSet::default().with(RootName::Host));
    let is_apart = hosts
        .iter()
        .all(|letter_and_path| names.root_of(&letter_and_path[1..]).is_none());
    let are_short = is_apart && printed.texts().into_iter().all(is_verbose);
    let stored = |text: &Vec<u8>| {
        if are_short {
            names.shorten_text(text, PathStarts::Words).0
        } else {
            text.clone()
        }
    };
    let printed = Printed {
        stdout: stored(&printed.stdout),
        stderr: stored(&printed.stderr),
    };
    let texts = printed.texts().into_iter();
    StoredMessages {
        are_short,
        roots: texts.fold(RootSet::default(), |found, text| {
            found.and(roots.mentioned(text, &mut |_| true))
        }),
        printed,
    }
}

/// The messages of which `stored` were made, for these roots. `None` if a root that they name has no place here.
pub(super) fn present(stored: Printed, are_short: bool, roots: &Roots) -> Option<Printed> {
    if !are_short {
        return Some(stored);
    }
    Some(Printed {
        stdout: roots.expand_text(&stored.stdout)?,
        stderr: roots.expand_text(&stored.stderr)?,
    })
}

/// Whether GCC prints every line of `text` because of `-v`.
fn is_verbose(text: &[u8]) -> bool {
    let mut lines = text.split_inclusive(|&byte| byte == b'\n');
    !Roots::is_ambiguous(text)
        && lines.all(|line| VERBOSE.iter().any(|start| line.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use super::{present, stored};
    use crate::compile::run::printed::Printed;
    use crate::key::{RootName, RootSet, Roots};
    use std::path::Path;

    fn roots(base: &str) -> Roots {
        let mut roots = Roots::default();
        roots.add(RootName::Base, Path::new(base), None);
        roots.add(RootName::Host, Path::new("/opt/gcc"), None);
        roots
    }

    fn printed(stderr: &str) -> Printed {
        Printed {
            stdout: Vec::new(),
            stderr: stderr.into(),
        }
    }

    const VERBOSE: &str = "Using built-in specs.\nCOLLECT_GCC_OPTIONS='-v' '-I' '/a/x/i'\n \
        /opt/gcc/cc1plus -v -I /a/x/i /a/x/y.cu\n#include <...> search starts here:\n /a/x/i\nEnd of search list.\n\n";

    #[test]
    fn what_gcc_prints_with_v_names_the_place_that_it_is_shown_in() {
        let messages = stored(&printed(VERBOSE), &roots("/a/x"));
        assert!(messages.roots == RootSet::default().with(RootName::Host));
        let there = present(messages.printed, messages.are_short, &roots("/other"));
        assert_eq!(there, Some(printed(&VERBOSE.replace("/a/x", "/other"))));
    }

    #[test]
    fn messages_with_a_warning_are_stored_as_they_are() {
        for warning in [
            "/a/x/y.cu:1:1: warning: w\n    1 | /a/x\n",
            "In file included from /a/x/y.cu\n",
            "cc1plus: warning: /a/x\n",
            "y.cu(1): error\n",
            "\u{1}b\n",
        ] {
            let text = format!("{VERBOSE}{warning}");
            let messages = stored(&printed(&text), &roots("/a/x"));
            assert!(messages.roots.holds(RootName::Base), "{warning}");
            assert!(!messages.are_short, "{warning}");
            assert_eq!(messages.printed, printed(&text));
        }
    }

    #[test]
    fn a_host_compiler_in_the_checkout_ties_messages_to_their_place() {
        let mut roots = Roots::default();
        roots.add(RootName::Base, Path::new("/a/x"), None);
        roots.add(RootName::Host, Path::new("/a/x/env"), None);
        let messages = stored(&printed(" /a/x/env/bin/cc1plus -v\n"), &roots);
        assert!(!messages.are_short && messages.roots.holds(RootName::Host));
    }

    #[test]
    fn paths_that_only_begin_as_a_root_do_tie_messages_to_their_place() {
        for text in [" /a/xy\n", " -D/a/x\n"] {
            let messages = stored(&printed(text), &roots("/a/x"));
            assert!(messages.roots.holds(RootName::Base), "{text}");
        }
    }
}
