//! A list of files, with colons between them in a variable.

use super::value::{Scalar, SettingKind};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Files whose contents are part of every key. A relative path begins in the working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraFiles(pub Vec<PathBuf>);

const HINT: &str = "write a list of paths, such as [\"a.txt\", \"/b.txt\"]";

impl SettingKind for ExtraFiles {
    const KIND: &'static str = "paths with `:` between them; in TOML a path, or a list of paths";
    const HOLDS_PATHS: bool = true;
    const GUARDS: bool = true;

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let parts = text.as_bytes().split(|byte| *byte == b':');
        let paths = parts.filter(|part| !part.is_empty()).map(OsStr::from_bytes);
        Ok(Self(paths.map(PathBuf::from).collect()))
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let values = match value {
            toml::Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        let paths = values.iter().map(toml::Value::as_str);
        let paths: Option<Vec<_>> = paths.collect();
        let paths = paths.ok_or_else(|| format!("not a list of paths; {HINT}"))?;
        let paths = paths.into_iter().filter(|path| !path.is_empty());
        Ok(Self(paths.map(PathBuf::from).collect()))
    }

    fn show(&self) -> Option<String> {
        let paths: Vec<_> = self
            .0
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        (!paths.is_empty()).then(|| paths.join(":"))
    }

    fn to_toml(&self) -> Result<Scalar, String> {
        let paths = self.0.iter().map(|path| path.to_str().map(str::to_owned));
        let paths: Option<Vec<_>> = paths.collect();
        match paths.as_deref() {
            None => Err("not UTF-8, which the file must be; set the variable instead".into()),
            Some([]) => Err("no path; unset it instead".into()),
            Some(paths) => Ok(Scalar::Texts(paths.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ExtraFiles, SettingKind};
    use std::ffi::OsStr;
    use std::path::PathBuf;

    #[test]
    fn variables_have_colons_and_files_have_lists() {
        let paths = ["/a b", "c"].map(PathBuf::from).to_vec();
        let read = ExtraFiles::from_text(OsStr::new(":/a b::c")).unwrap();
        assert_eq!(read.0, paths);
        assert_eq!(read.show().as_deref(), Some("/a b:c"));
        let toml = |text: &str| {
            let table: toml::Table = text.parse().unwrap();
            ExtraFiles::from_toml(&table["x"]).map(|files| files.0)
        };
        assert_eq!(toml("x = ['/a b', '', 'c']"), Ok(paths));
        assert_eq!(toml("x = 'a:b'"), Ok(vec![PathBuf::from("a:b")]));
        assert_eq!(toml("x = []"), Ok(Vec::new()));
        assert!(toml("x = [1]").is_err() && toml("x = true").is_err());
    }
}
