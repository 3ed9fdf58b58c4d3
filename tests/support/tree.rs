//! What a folder holds: relative paths, kinds, modes and bytes; the difference between two
//! moments, and the way back. Knows nothing of compilers.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// One name in a folder.
#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    /// A plain file: permission bits and content.
    File {
        /// The low twelve bits of its mode.
        mode: u32,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// A symbolic link and what it says.
    Link(PathBuf),
    /// A folder.
    Dir,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { mode, bytes } => write!(f, "file {mode:o} of {} bytes", bytes.len()),
            Self::Link(target) => write!(f, "link to {}", target.display()),
            Self::Dir => write!(f, "dir"),
        }
    }
}

/// All that lies below one folder, by relative path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<PathBuf, Node>);

impl Tree {
    /// Reads everything below `root`.
    pub fn read(root: &Path) -> Self {
        let mut nodes = BTreeMap::new();
        read_into(root, Path::new(""), &mut nodes)
            .unwrap_or_else(|e| panic!("reading {}: {e}", root.display()));
        Self(nodes)
    }

    /// What is new or different here, compared with `before`.
    pub fn since(&self, before: &Self) -> Self {
        let changed = self
            .0
            .iter()
            .filter(|(path, node)| before.0.get(*path) != Some(*node));
        Self(changed.map(|(p, n)| (p.clone(), n.clone())).collect())
    }

    /// Makes `root` hold this tree again: removes what came, puts back what changed.
    pub fn restore(&self, root: &Path) {
        let now = Self::read(root);
        for path in now
            .0
            .keys()
            .rev()
            .filter(|path| !self.0.contains_key(*path))
        {
            remove(&root.join(path));
        }
        for (path, node) in self
            .0
            .iter()
            .filter(|(path, node)| now.0.get(*path) != Some(*node))
        {
            let path = root.join(path);
            match node {
                Node::File { mode, bytes } => {
                    remove(&path);
                    fs::write(&path, bytes).expect("put a file back");
                    fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).expect("chmod");
                }
                Node::Link(target) => {
                    remove(&path);
                    symlink(target, &path).expect("put a link back");
                }
                Node::Dir => fs::create_dir_all(&path).expect("put a folder back"),
            }
        }
    }

    /// The content of the file at `path`.
    #[track_caller]
    pub fn bytes(&self, path: impl AsRef<Path>) -> &[u8] {
        match self.0.get(path.as_ref()) {
            Some(Node::File { bytes, .. }) => bytes,
            other => panic!(
                "{} is {other:?}, among {:?}",
                path.as_ref().display(),
                self.names()
            ),
        }
    }

    /// The permission bits of the file at `path`.
    #[track_caller]
    pub fn mode(&self, path: impl AsRef<Path>) -> u32 {
        match self.0.get(path.as_ref()) {
            Some(Node::File { mode, .. }) => *mode,
            other => panic!(
                "{} is {other:?}, among {:?}",
                path.as_ref().display(),
                self.names()
            ),
        }
    }

    /// Every relative path, sorted.
    pub fn names(&self) -> Vec<String> {
        self.0
            .keys()
            .map(|p| p.to_string_lossy().into_owned())
            .collect()
    }

    /// Every way in which `other` differs from this tree, one a line; empty when equal.
    pub fn differences(&self, other: &Self) -> String {
        let mut text = String::new();
        for path in self
            .0
            .keys()
            .chain(other.0.keys().filter(|p| !self.0.contains_key(*p)))
        {
            let (here, there) = (self.0.get(path), other.0.get(path));
            if here == there {
                continue;
            }
            let _ = writeln!(text, "  {}: {here:?} against {there:?}", path.display());
            if let (Some(Node::File { bytes: a, .. }), Some(Node::File { bytes: b, .. })) =
                (here, there)
            {
                text.push_str(&first_difference(a, b));
            }
        }
        text
    }
}

fn first_difference(a: &[u8], b: &[u8]) -> String {
    let Some(at) = (0..a.len().max(b.len())).find(|&i| a.get(i) != b.get(i)) else {
        return String::new();
    };
    let around = |bytes: &[u8]| {
        let from = at.saturating_sub(32).min(bytes.len());
        bytes[from..(at + 64).min(bytes.len())]
            .escape_ascii()
            .to_string()
    };
    format!(
        "    first at byte {at}:\n      {}\n      {}\n",
        around(a),
        around(b)
    )
}

fn read_into(root: &Path, rel: &Path, nodes: &mut BTreeMap<PathBuf, Node>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(rel))? {
        let entry = entry?;
        let rel = rel.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            nodes.insert(rel.clone(), Node::Dir);
            read_into(root, &rel, nodes)?;
        } else if kind.is_symlink() {
            nodes.insert(rel, Node::Link(fs::read_link(entry.path())?));
        } else {
            let mode = entry.metadata()?.permissions().mode() & 0o7777;
            nodes.insert(
                rel,
                Node::File {
                    mode,
                    bytes: fs::read(entry.path())?,
                },
            );
        }
    }
    Ok(())
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).expect("remove a folder"),
        Ok(_) => fs::remove_file(path).expect("remove a file"),
        Err(_) => {}
    }
}
