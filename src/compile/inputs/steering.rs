//! Which arguments of the host compiler steer it: neither macros nor included files do.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// The arguments but for macros and included files, which steer neither the search for headers nor the
/// driver, and for what would silence the answer.
pub(crate) fn steering(args: &[OsString]) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let bytes = arg.as_bytes();
        if included(bytes) == Some(b"") || bytes == b"-D" || bytes == b"-U" {
            rest.next();
        } else if included(bytes).is_none() && !is_macro(bytes) && bytes != b"-w" {
            kept.push(arg.clone());
        }
    }
    kept
}

fn is_macro(arg: &[u8]) -> bool {
    arg.starts_with(b"-D") || arg.starts_with(b"-U")
}

/// What follows `-include` and its kin within the same argument.
pub(crate) fn included(arg: &[u8]) -> Option<&[u8]> {
    const SPELLINGS: [&[u8]; 4] = [b"--include", b"--imacros", b"-include", b"-imacros"];
    let joined = SPELLINGS
        .iter()
        .find_map(|spelling| arg.strip_prefix(*spelling))?;
    let is_other = joined.starts_with(b"-");
    (!is_other).then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::steering;
    use std::ffi::OsString;

    fn args(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn macros_and_included_names_steer_nothing() {
        let kept = steering(&args(
            "-E -w -DX -D Y -UZ -include a -includeb -Ix -isystem y --include-directory z",
        ));
        assert_eq!(kept, args("-E -Ix -isystem y --include-directory z"));
    }
}
