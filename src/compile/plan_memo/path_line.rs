//! The line of a dry run that sets PATH for the tools. Plans are stored without its value, so that one serves under
//! every PATH along which the same programs are found.

use crate::compile::run::mentions::{mentions, replaced};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

const LINE: &[u8] = b"#$ PATH=";

/// Replaces the value. nvcc prints no NUL.
const PLACE: &[u8] = b"\0path\0";

/// `text` without the value of PATH. `None` if PATH is not set exactly once, to `search`.
pub(crate) fn remove(text: &[u8], search: &OsStr) -> Option<Vec<u8>> {
    let mut values = text
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.strip_prefix(LINE));
    let is_only = values.next() == Some(search.as_bytes()) && values.next().is_none();
    (is_only && !mentions(text, PLACE))
        .then(|| replaced(text, &whole_line(search.as_bytes()), &whole_line(PLACE)))
}

/// The inverse of [`remove`], for the PATH of now.
pub(crate) fn insert(text: &[u8], search: &OsStr) -> Vec<u8> {
    replaced(text, &whole_line(PLACE), &whole_line(search.as_bytes()))
}

fn whole_line(value: &[u8]) -> Vec<u8> {
    [LINE, value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::{insert, remove};
    use std::ffi::OsStr;

    const TEXT: &[u8] = b"#$ TOP=/cuda\n#$ PATH=/cuda/bin:/a\n#$ gcc -I/cuda/bin:/a x\n";

    #[test]
    fn plan_of_one_path_is_read_under_another() {
        let stored = remove(TEXT, OsStr::new("/cuda/bin:/a")).unwrap();
        assert_eq!(insert(&stored, OsStr::new("/cuda/bin:/a")), TEXT);
        let under_another = insert(&stored, OsStr::new("/cuda/bin:/new:/a"));
        assert_eq!(
            under_another,
            b"#$ TOP=/cuda\n#$ PATH=/cuda/bin:/new:/a\n#$ gcc -I/cuda/bin:/a x\n"
        );
    }

    #[test]
    fn plan_with_another_path_or_two_or_none_is_not_stored() {
        let search = OsStr::new("/cuda/bin:/a");
        for text in [
            &b"#$ PATH=/cuda/bin:/b\n#$ gcc x\n"[..],
            b"#$ PATH=/cuda/bin:/a\n#$ PATH=/cuda/bin:/a\n",
            b"#$ PATH=/cuda/bin:/a\n#$ PATH=/b\n",
            b"#$ gcc PATH=/cuda/bin:/a\n",
            b"#$ PATH=/cuda/bin:/a\n#$ gcc \0path\0\n",
            b"",
        ] {
            assert_eq!(remove(text, search), None);
        }
    }
}
