//! Directories that machines mount.

use crate::{LARGE, code, connect};
use pcache_nvcc::remote::backend::RemoteBackend;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

fn directory() -> (TempDir, PathBuf, Box<dyn RemoteBackend>) {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("share");
    fs::create_dir(&root).unwrap();
    let backend = connect(&format!("file://{}", root.display()));
    (dir, root, backend)
}

#[test]
fn value_is_a_file_of_its_name_and_nothing_else_is_left() {
    let (_dir, root, backend) = directory();
    backend.put("main/ac/0123", b"value").unwrap();
    backend.put("main/ac/0123", b"other").unwrap();
    assert_eq!(fs::read(root.join("main/ac/0123")).unwrap(), b"other");
    assert_eq!(fs::read_dir(root.join("main/ac")).unwrap().count(), 1);
}

#[test]
fn missing_root_is_unreachable_and_not_created() {
    let (_dir, root, backend) = directory();
    fs::remove_dir(&root).unwrap();
    assert_eq!(code(&backend.probe()), "unreachable");
    assert_eq!(code(&backend.get("main/ac/0", LARGE)), "unreachable");
    assert_eq!(code(&backend.has("main/ac/0")), "unreachable");
    assert_eq!(code(&backend.put("main/ac/0", b"x")), "unreachable");
    assert!(!root.exists());
    fs::create_dir(&root).unwrap();
    assert_eq!(backend.put("main/ac/0", b"x"), Ok(()));
}

#[test]
fn links_below_the_root_are_followed_neither_for_reading_nor_for_writing() {
    let (dir, root, backend) = directory();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("0"), "outside").unwrap();
    fs::create_dir(root.join("main")).unwrap();
    symlink(&outside, root.join("main/ac")).unwrap();
    assert_eq!(code(&backend.get("main/ac/0", LARGE)), "garbled");
    assert_eq!(code(&backend.put("main/ac/0", b"x")), "garbled");
    assert_eq!(code(&backend.put("main/ac/1", b"x")), "garbled");
    assert_eq!(fs::read(outside.join("0")).unwrap(), b"outside");
    assert!(!outside.join("1").exists());
    // A link in place of a value is replaced, not followed.
    symlink(outside.join("0"), root.join("main/link")).unwrap();
    assert_eq!(code(&backend.get("main/link", LARGE)), "garbled");
    backend.put("main/link", b"x").unwrap();
    assert_eq!(fs::read(outside.join("0")).unwrap(), b"outside");
    assert_eq!(backend.get("main/link", LARGE), Ok(Some(b"x".to_vec())));
}

#[test]
fn root_itself_may_be_a_link() {
    let (dir, root, _) = directory();
    symlink(&root, dir.path().join("link")).unwrap();
    let backend = connect(&format!("file://{}/link", dir.path().display()));
    backend.put("main/ac/0", b"x").unwrap();
    assert!(root.join("main/ac/0").exists());
}

#[test]
fn pipes_and_directories_are_no_values_and_do_not_block() {
    let (_dir, root, backend) = directory();
    let made = Command::new("mkfifo").arg(root.join("pipe")).status();
    assert!(made.unwrap().success());
    fs::create_dir_all(root.join("main/ac")).unwrap();
    assert_eq!(code(&backend.get("pipe", LARGE)), "garbled");
    assert_eq!(code(&backend.get("main/ac", LARGE)), "garbled");
    assert_eq!(code(&backend.has("main/ac")), "garbled");
    // A value where a directory belongs.
    backend.put("main/value", b"x").unwrap();
    assert_eq!(backend.get("main/value/below", LARGE), Ok(None));
    assert_eq!(code(&backend.put("main/value/below", b"x")), "garbled");
}

#[test]
fn share_that_only_others_may_write_is_denied() {
    if rustix::process::geteuid().is_root() {
        // No mode stops root, so the directory is of a kind that does.
        let backend = connect("file:///proc/self");
        assert!(matches!(
            code(&backend.put("value", b"x")),
            "denied" | "server" | "unreachable"
        ));
        return;
    }
    let (_dir, root, backend) = directory();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o555)).unwrap();
    assert_eq!(code(&backend.put("main/ac/0", b"x")), "denied");
}
