//! Finds out what is at a path, and at which component a path ends that leads nowhere. Remembers answers, because
//! thousands of names share a few directories; so a [`Probe`] must not outlive one check.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What is at a path, after following links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Probed {
    /// Anything that can be opened as a file.
    File,
    /// A directory, which no search takes for a header.
    Directory,
    /// Nothing: `missing` is not in the directory `directory`, which exists.
    Nothing {
        /// The nearest directory that exists, as the path spells it; empty for the working directory.
        directory: PathBuf,
        /// The first component that does not exist.
        missing: PathBuf,
    },
    /// Nothing, because a component that would have to be a directory is a file.
    Blocked { by: PathBuf },
}

/// Examines paths, and remembers the answers.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    known: HashMap<PathBuf, Probed>,
}

impl Probe {
    /// What is at `path`.
    ///
    /// # Errors
    /// The path cannot be examined: no permission, a loop of links, a link that leads nowhere.
    pub(crate) fn look(&mut self, path: &Path) -> io::Result<Probed> {
        if path.as_os_str().is_empty() {
            return Ok(Probed::Directory);
        }
        if let Some(probed) = self.known.get(path) {
            return Ok(probed.clone());
        }
        let probed = self.find(path)?;
        self.known.insert(path.to_owned(), probed.clone());
        Ok(probed)
    }

    fn find(&mut self, path: &Path) -> io::Result<Probed> {
        let (Some(parent), Some(name)) = (path.parent(), path.components().next_back()) else {
            return exists(path);
        };
        match self.look(parent)? {
            Probed::Directory => {}
            Probed::File => return Ok(Probed::Blocked { by: parent.into() }),
            nowhere => return Ok(nowhere),
        }
        match exists(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // A dangling link may lead somewhere later without a change in this directory.
                if fs::symlink_metadata(path).is_ok() {
                    return Err(io::Error::other("a link that leads nowhere"));
                }
                Ok(Probed::Nothing {
                    directory: parent.into(),
                    missing: name.as_os_str().into(),
                })
            }
            probed => probed,
        }
    }
}

fn exists(path: &Path) -> io::Result<Probed> {
    let metadata = fs::metadata(path)?;
    Ok(if metadata.is_dir() {
        Probed::Directory
    } else {
        Probed::File
    })
}

#[cfg(test)]
mod tests {
    use super::{Probe, Probed};
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_first_missing_component_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("a")).unwrap();
        fs::write(root.join("a/f"), "").unwrap();
        symlink("nowhere", root.join("l")).unwrap();
        let mut probe = Probe::default();
        let mut look = |path: &str| probe.look(&root.join(path));
        let nothing = |directory: &str, missing: &str| Probed::Nothing {
            directory: root.join(directory),
            missing: missing.into(),
        };
        assert_eq!(look("a").unwrap(), Probed::Directory);
        assert_eq!(look("a/f").unwrap(), Probed::File);
        assert_eq!(look("a/b/c/d.h").unwrap(), nothing("a", "b"));
        assert_eq!(look("a/b/e.h").unwrap(), nothing("a", "b"));
        assert_eq!(look("a/x.h").unwrap(), nothing("a", "x.h"));
        let blocked = Probed::Blocked {
            by: root.join("a/f"),
        };
        assert_eq!(look("a/f/x.h").unwrap(), blocked);
        assert!(look("l").is_err());
        assert!(look("l/x.h").is_err());
    }
}
