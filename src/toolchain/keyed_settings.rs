//! Settings that are part of every key. They stand beside the environment variables that reach every tool: whatever
//! has those in its key (units, stages, plans, direct mode, programs compiled at run time) has these too, and
//! `pcache explain` names them. Without them, keys are as they are without this.

use crate::config::Config;
use crate::includes::digests::{DigestError, DigestTable};
use std::path::PathBuf;

/// The settings.
#[derive(Clone, Copy, Debug)]
pub struct KeyedSettings<'a> {
    /// PCACHE_NAMESPACE; empty if there is none.
    pub namespace: &'a str,
    /// PCACHE_EXTRA_FILES.
    pub extra_files: &'a [PathBuf],
}

impl<'a> KeyedSettings<'a> {
    /// Those of `config`.
    pub fn of(config: &'a Config) -> Self {
        Self {
            namespace: &config.namespace.value,
            extra_files: &config.extra_files.value.0,
        }
    }

    /// `NAME=value` of each setting that has a value. The files' contents stand for them, so that a file may lie
    /// elsewhere on another machine. Costs nothing if there are none, and one system call for each file that `table`
    /// knows.
    ///
    /// # Errors
    /// A file cannot be read, is not a regular file, or changes all the time.
    pub fn assignments(&self, table: Option<&DigestTable>) -> Result<Vec<Vec<u8>>, DigestError> {
        let mut assignments = Vec::new();
        if !self.namespace.is_empty() {
            let namespace = slashless(self.namespace);
            assignments.push(format!("PCACHE_NAMESPACE={namespace}").into_bytes());
        }
        if !self.extra_files.is_empty() {
            let nowhere = DigestTable::nowhere();
            let table = table.unwrap_or(&nowhere);
            let digests = self.extra_files.iter().map(|path| {
                let digest = table.digest_of(path);
                digest.map(|(_, digest)| hex::encode(digest))
            });
            let digests = digests.collect::<Result<Vec<_>, _>>()?.join(" ");
            assignments.push(format!("PCACHE_EXTRA_FILES={digests}").into_bytes());
        }
        Ok(assignments)
    }
}

/// `name` with its slashes written otherwise. Keys replace the paths of roots by their names, so two namespaces that
/// are the paths of two checkouts would be one.
fn slashless(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    use super::KeyedSettings;
    use std::fs;
    use std::path::PathBuf;

    fn of(namespace: &str, extra_files: &[PathBuf]) -> Option<Vec<String>> {
        let settings = KeyedSettings {
            namespace,
            extra_files,
        };
        let assignments = settings.assignments(None).ok()?;
        let texts = assignments.into_iter().map(String::from_utf8);
        Some(texts.collect::<Result<_, _>>().unwrap())
    }

    #[test]
    fn nothing_is_added_without_settings() {
        assert_eq!(of("", &[]), Some(Vec::new()));
    }

    #[test]
    fn namespaces_differ_and_hold_no_path() {
        let named = |name| of(name, &[]).unwrap().remove(0);
        assert_eq!(named("release"), "PCACHE_NAMESPACE=release");
        assert_eq!(named("/a"), "PCACHE_NAMESPACE=%2Fa");
        assert_ne!(named("%2Fa"), named("/a"));
    }

    #[test]
    fn contents_and_order_of_files_count_and_names_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let (a, b, copy) = (file("a", "one"), file("b", "two"), file("c", "one"));
        let first = of("", &[a.clone(), b.clone()]).unwrap();
        assert_eq!(of("", &[copy, b.clone()]).unwrap(), first);
        assert_ne!(of("", &[b.clone(), a.clone()]).unwrap(), first);
        assert_ne!(of("", std::slice::from_ref(&a)).unwrap(), first);
        fs::write(&b, "three").unwrap();
        assert_ne!(of("", &[a, b]).unwrap(), first);
    }

    #[test]
    fn what_is_no_readable_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(of("", &[dir.path().join("absent")]), None);
        assert_eq!(of("", &[dir.path().to_owned()]), None);
    }
}
