//! Selects the arguments of the host compiler that affect its search for headers or its driver. Macros and included
//! files do not.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// The arguments without macros and included files, and without `-w`, which would silence the answer.
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

/// The rest of an argument that begins with `-include` or its like; empty if the file is the next argument.
pub(crate) fn included(arg: &[u8]) -> Option<&[u8]> {
    const SPELLINGS: [&[u8]; 4] = [b"--include", b"--imacros", b"-include", b"-imacros"];
    let joined = SPELLINGS
        .iter()
        .find_map(|spelling| arg.strip_prefix(*spelling))?;
    // Such as --include-directory.
    let is_other_option = joined.starts_with(b"-");
    (!is_other_option).then_some(joined)
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
