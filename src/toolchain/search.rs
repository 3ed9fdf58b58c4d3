//! nvcc's PATH for its tools, and what of the user's PATH an identified toolchain depends on.

use crate::text;
use memchr::memmem;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// How a toolchain depends on PATH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathUse {
    /// Programs are looked up in it: only the places where they are found matter.
    Lookups,
    /// A script, or a program in front of a tool, may do anything with its value.
    Value,
}

/// PATH as it was when a toolchain was identified.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ToolSearch {
    /// The user's PATH; empty if there was none.
    #[serde(with = "text")]
    pub(super) own: OsString,
    /// nvcc's PATH for its tools.
    #[serde(with = "text")]
    pub(super) tools: OsString,
    pub(super) path_use: PathUse,
}

impl ToolSearch {
    /// `Lookups` needs a `tools` that is the user's PATH with nvcc's own directories before it, and a profile that
    /// puts PATH into nothing else.
    pub(super) fn new(own: OsString, tools: OsString, profile: &[u8], path_use: PathUse) -> Self {
        let is_extended = is_plain(&own) && tools.as_bytes().ends_with(own.as_bytes());
        let is_expanded = memmem::find(profile, b"$(PATH)").is_some();
        Self {
            path_use: match path_use {
                PathUse::Lookups if is_extended && !is_expanded => PathUse::Lookups,
                _ => PathUse::Value,
            },
            own,
            tools,
        }
    }

    /// nvcc's PATH for its tools where the user's is `own`. `None` if the toolchain may be another one there, wherever
    /// programs are found.
    pub(super) fn under(&self, own: &OsStr) -> Option<OsString> {
        if own == self.own {
            return Some(self.tools.clone());
        }
        let before = self.tools.as_bytes().strip_suffix(self.own.as_bytes())?;
        let is_known = self.path_use == PathUse::Lookups && is_plain(own);
        is_known.then(|| OsString::from_vec([before, own.as_bytes()].concat()))
    }
}

/// Whether nvcc extends this PATH and prints it on one line. Without a PATH, programs are found by a default of the
/// system.
fn is_plain(own: &OsStr) -> bool {
    !own.is_empty() && !own.as_bytes().contains(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::{PathUse, ToolSearch};
    use std::ffi::OsStr;

    fn search(own: &str, tools: &str, profile: &str, path_use: PathUse) -> ToolSearch {
        ToolSearch::new(own.into(), tools.into(), profile.as_bytes(), path_use)
    }

    #[test]
    fn directories_of_nvcc_stay_before_another_path() {
        let known = search(
            "/a:/b",
            "/cuda/bin:/a:/b",
            "PATH += $(_HERE_):",
            PathUse::Lookups,
        );
        let under = |own: &str| known.under(OsStr::new(own));
        assert_eq!(under("/a:/b").unwrap(), "/cuda/bin:/a:/b");
        assert_eq!(under("/new:/a:/b").unwrap(), "/cuda/bin:/new:/a:/b");
        assert_eq!(under("/c").unwrap(), "/cuda/bin:/c");
        assert_eq!(under(""), None);
        assert_eq!(under("/a\n#$ PATH=/b"), None);
    }

    #[test]
    fn toolchain_that_may_do_anything_with_path_is_known_under_the_same_alone() {
        for known in [
            search("/a", "/cuda/bin:/a", "", PathUse::Value),
            search("/a", "/cuda/bin:/other", "", PathUse::Lookups),
            search("", "/cuda/bin:", "", PathUse::Lookups),
            search("/a\n/b", "/cuda/bin:/a\n/b", "", PathUse::Lookups),
            search("/a", "/cuda/bin:/a", "X = $(PATH)", PathUse::Lookups),
        ] {
            assert_eq!(known.path_use, PathUse::Value);
            assert_eq!(known.under(&known.own), Some(known.tools.clone()));
            assert_eq!(known.under(OsStr::new("/new:/a")), None, "{known:?}");
        }
    }
}
