//! The stored form of make rules: paths stand below the names of roots, and the target that `-MT` names is left out,
//! so that builds which compile the same under another target have the same text.

use crate::cmdline::Job;
use crate::includes::depfile::{self, TargetOptions};
use crate::key::{RootSet, Roots};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Why rules have no stored form.
pub(super) const NO_STORED_FORM: &str =
    "make rules for another target, or with a control character";

/// The stored form of the rules of `job`, and the roots whose paths are left in it. `None` if they are for another
/// target, or could not be told from others afterwards.
pub(super) fn stored(text: &[u8], job: &Job, roots: &Roots) -> Option<(Vec<u8>, RootSet)> {
    let target = named_target(job);
    let rest = text.strip_prefix(target.as_bytes())?;
    roots.shorten_depfile(rest)
}

/// The rules as nvcc would write them here. `None` if a root that they name has no place here.
pub(super) fn present(stored: &[u8], job: &Job, roots: &Roots) -> Option<Vec<u8>> {
    let text = roots.expand_text(stored)?;
    let target = named_target(job);
    Some([target.as_bytes(), &text].concat())
}

/// The target that `-MT` names; empty without it, since the source or `-o`, which are in the key, name it then.
fn named_target(job: &Job) -> OsString {
    let requested = job.dependencies.as_ref();
    let named = requested.and_then(|requested| requested.targets.last());
    let target = |named: &OsString| {
        let options = TargetOptions {
            named: Some(named),
            output: None,
            directory: job.output_directory.as_deref(),
        };
        depfile::target(OsStr::new(""), options)
    };
    named.map_or_else(OsString::new, target)
}
