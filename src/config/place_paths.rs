//! Completes the paths in a file of settings, before they are read: `~/`, and paths that are relative to the file.

use std::path::Path;
use toml::Value;

/// What paths in a file are completed with.
pub(super) struct PathStart<'a> {
    /// The home directory, if it is known.
    pub(super) home: Option<&'a Path>,
    /// The directory of the file, if its paths are relative to that.
    pub(super) directory: Option<&'a Path>,
}

impl PathStart<'_> {
    /// `value` with every text in it completed.
    ///
    /// # Errors
    /// What is wrong with a text, and what to write instead.
    pub(super) fn complete(&self, value: &Value) -> Result<Value, String> {
        match value {
            Value::String(text) => self.complete_text(text).map(Value::String),
            Value::Array(values) => {
                let values = values.iter().map(|value| self.complete(value));
                values.collect::<Result<_, _>>().map(Value::Array)
            }
            other => Ok(other.clone()),
        }
    }

    fn complete_text(&self, text: &str) -> Result<String, String> {
        let (start, rest) = match (text.strip_prefix("~/"), self.directory) {
            (Some(rest), _) => {
                let home = self.home;
                let home = home.ok_or("no home directory is known; write the whole path")?;
                (home, rest)
            }
            (None, Some(directory)) if !text.is_empty() => (directory, text),
            _ => return Ok(text.to_owned()),
        };
        let path = start.join(rest);
        let path = path.to_str().map(str::to_owned);
        path.ok_or_else(|| format!("{start:?} is not UTF-8; write the whole path"))
    }
}

#[cfg(test)]
mod tests {
    use super::PathStart;
    use std::path::Path;

    #[test]
    fn only_the_start_of_a_path_is_completed() {
        let home = Some(Path::new("/home/me"));
        let start = |directory| PathStart { home, directory };
        let users = |text: &str| start(None).complete_text(text).unwrap();
        for (text, expected) in [
            ("~/a", "/home/me/a"),
            ("~", "~"),
            ("~you/a", "~you/a"),
            ("a/~/b", "a/~/b"),
            ("/a", "/a"),
            ("", ""),
        ] {
            assert_eq!(users(text), expected);
        }
        let checkouts = start(Some(Path::new("/src")));
        assert_eq!(checkouts.complete_text("a/b").unwrap(), "/src/a/b");
        assert_eq!(checkouts.complete_text("/a").unwrap(), "/a");
        assert_eq!(checkouts.complete_text("~/a").unwrap(), "/home/me/a");
        let homeless = PathStart {
            home: None,
            directory: None,
        };
        assert!(homeless.complete_text("~/a").is_err());
    }
}
