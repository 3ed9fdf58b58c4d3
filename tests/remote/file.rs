//! Directories that machines mount.

use crate::again::{ROOT, mounting, name_of, passes, root};
use crate::{LARGE, code, connect};
use pcache_nvcc::remote::backend::RemoteBackend;
use std::fs;
use std::os::unix::fs::symlink;
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
fn full_share_is_full_and_read_only_share_is_denied() {
    let Some(root) = root() else {
        let dir = TempDir::new().unwrap();
        let script =
            format!("mount -t tmpfs -o size=256k,mode=700 tmpfs \"${ROOT}\" && exec \"$0\" \"$@\"");
        let name = name_of(full_share_is_full_and_read_only_share_is_denied);
        return passes(mounting(&["sh", "-c", &script]), name, dir.path());
    };
    let backend = connect(&format!("file://{}", root.display()));
    backend.put("main/ac/0", b"value").unwrap();
    assert_eq!(code(&backend.put("main/ac/1", &[7; 500_000])), "full");
    assert_eq!(code(&backend.put("main/ac/0", &[7; 500_000])), "full");
    assert_eq!(backend.has("main/ac/1"), Ok(false));
    assert_eq!(backend.get("main/ac/0", LARGE), Ok(Some(b"value".to_vec())));
    // The part that was written is gone.
    assert_eq!(backend.put("main/ac/2", &[7; 100_000]), Ok(()));
    let mut remount = Command::new("mount");
    let done = remount.args(["-o", "remount,ro"]).arg(&root).status();
    assert!(done.unwrap().success());
    assert_eq!(code(&backend.put("main/ac/3", b"value")), "denied");
    assert_eq!(backend.has("main/ac/2"), Ok(true));
}
