//! What lies in and beside the working directory: read as a whole, shown, and changed path by path.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    File(Vec<u8>),
    Link(PathBuf),
    Directory,
}

/// The tree as text.
pub fn picture() -> String {
    let mut text = String::new();
    for (path, node) in read_tree() {
        text += &match node {
            Node::File(bytes) => {
                format!("== {}\n{}", path.display(), String::from_utf8_lossy(&bytes))
            }
            Node::Link(target) => format!("== {} -> {}\n", path.display(), target.display()),
            Node::Directory => format!("== {}/\n", path.display()),
        };
    }
    text
}

/// Every header that can be opened, and the source.
pub fn files() -> Vec<PathBuf> {
    let tree = read_tree();
    tree.into_iter()
        .filter(|(_, node)| !matches!(node, Node::Directory))
        .map(|(path, _)| path)
        .collect()
}

/// Every directory.
pub fn directories() -> Vec<PathBuf> {
    let tree = read_tree().into_iter();
    let below = tree.filter(|(_, node)| matches!(node, Node::Directory));
    let below = below.map(|(path, _)| path);
    below.chain([".", "../out"].map(PathBuf::from)).collect()
}

pub fn read_tree() -> BTreeMap<PathBuf, Node> {
    let mut tree = BTreeMap::new();
    for root in [".", "../out"] {
        read_into(Path::new(root), &mut tree);
    }
    tree
}

pub fn read_into(directory: &Path, tree: &mut BTreeMap<PathBuf, Node>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries {
        let entry = entry.unwrap();
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            read_into(&path, tree);
            tree.insert(path, Node::Directory);
        } else if kind.is_symlink() {
            tree.insert(path.clone(), Node::Link(fs::read_link(path).unwrap()));
        } else {
            tree.insert(path.clone(), Node::File(fs::read(path).unwrap()));
        }
    }
}

pub fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap())?;
    fs::write(path, text)
}

pub fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

pub fn stamp(path: &Path, time: SystemTime) -> io::Result<()> {
    fs::File::options()
        .write(true)
        .open(path)?
        .set_modified(time)
}

/// Makes the tree `wanted` of what is there, as far as that is possible.
pub fn restore(wanted: &BTreeMap<PathBuf, Node>) {
    let now = read_tree();
    let changed = now.keys().rev();
    for path in changed.filter(|path| wanted.get(*path) != now.get(*path)) {
        let _ = remove(path);
    }
    let missing = wanted.iter();
    for (path, node) in missing.filter(|(path, node)| now.get(*path) != Some(*node)) {
        let _ = match node {
            Node::File(bytes) => write(path, bytes),
            Node::Link(target) => symlink(target, path),
            Node::Directory => fs::create_dir_all(path),
        };
    }
}

/// Whether another path leads to the same bytes.
pub fn has_copy(path: &Path) -> bool {
    let bytes = fs::read(path).ok();
    let same = |other: &&PathBuf| fs::read(other).ok() == bytes;
    files().iter().filter(same).count() > 1
}

pub fn describe(what: &str, path: &Path, done: io::Result<()>) -> String {
    match done {
        Ok(()) => format!("{what} {}", path.display()),
        Err(error) => format!("(in vain) {what} {}: {error}", path.display()),
    }
}
