//! A digest of preprocessed text that does not depend on where roots are: in line markers, names below a root stand
//! below the root's name.

use super::markers::{closing_quote, in_raw_strings, marker};
use crate::key::{Digest, Roots};
use memchr::{memchr, memrchr};
use sha2::{Digest as _, Sha256};

/// SHA-256 of `text`, with the names in its line markers below those of `roots`. If a raw string has a line that may be
/// taken for a marker, the text is digested as it is.
pub fn placeless_digest(text: &[u8], roots: &Roots) -> Digest {
    let mut places = Vec::new();
    roots.mentioned(text, &mut |at| {
        places.push(at);
        false
    });
    if !places.is_empty() && in_raw_strings(text) {
        places.clear();
    }
    places.sort_unstable();
    let mut hasher = Sha256::new();
    let mut hashed = 0;
    for at in places {
        // The root of another mention has been replaced together with this one.
        if at < hashed || !begins_name(text, at) {
            continue;
        }
        let name = &text[at..];
        let name = &name[..closing_quote(name).unwrap_or(0)];
        let Some(short) = roots.shorten(name) else {
            continue;
        };
        hasher.update(&text[hashed..at]);
        hasher.update(&short);
        hashed = at + name.len();
    }
    hasher.update(&text[hashed..]);
    hasher.finalize().into()
}

/// Whether the name of a line marker begins at `at`.
fn begins_name(text: &[u8], at: usize) -> bool {
    let start = memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
    let end = memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length);
    let found = marker(&text[start..end]);
    found.is_some_and(|marker| {
        let name = marker.escaped.as_ptr();
        std::ptr::eq(name, text[at..].as_ptr())
    })
}

#[cfg(test)]
mod tests {
    use super::placeless_digest;
    use crate::key::{RootName, Roots};
    use std::path::Path;

    fn digest(base: &str, text: &str) -> [u8; 32] {
        let mut roots = Roots::default();
        roots.add(RootName::Base, Path::new(base), None);
        roots.add(RootName::Toolkit, Path::new("/cuda"), None);
        placeless_digest(text.replace("{base}", base).as_bytes(), &roots)
    }

    #[test]
    fn names_in_markers_move_with_their_roots() {
        let text = "# 1 \"{base}/u.cu\"\n# 1 \"/cuda/h.h\" 1 3\nint x;\n# 2 \"{base}/u.cu\" 2\n";
        assert_eq!(digest("/a/x", text), digest("/b/long", text));
        assert_eq!(digest("/a/x", text), digest("/a/x", text));
        for other in [
            "# 1 \"{base}/v.cu\"\n# 1 \"/cuda/h.h\" 1 3\nint x;\n# 2 \"{base}/v.cu\" 2\n",
            "# 1 \"{base}/u.cu\"\n# 1 \"/cuda/h.h\" 1 3\nint y;\n# 2 \"{base}/u.cu\" 2\n",
        ] {
            assert_ne!(digest("/a/x", text), digest("/a/x", other));
        }
    }

    #[test]
    fn mentions_outside_of_markers_stay() {
        for text in [
            "const char *name = \"{base}/u.cu\";\n",
            "# 1 \"x{base}/u.cu\"\n",
            "auto text = R\"(\n# 1 \"{base}/u.cu\"\n)\";\n",
            "#pragma message \"{base}\"\n",
        ] {
            assert_ne!(digest("/a/x", text), digest("/b/x", text), "{text}");
        }
    }
}
