//! `pcache init`: the rights of a cache that a group shares, keys, and what is refused before anything is made.

use crate::home::Home;
use rustix::process::getgid;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// What `pcache init` gives with `arguments`.
fn init(home: &Home, arguments: &[&str]) -> Output {
    home.run(&[&["init"], arguments].concat())
}

fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn shared_cache_is_the_groups_and_its_key_the_signers() {
    let home = Home::new();
    let parent = home.cache().parent().unwrap().to_owned();
    fs::create_dir_all(&parent).unwrap();
    let group = getgid().as_raw().to_string();
    set_mode(&parent, 0o700);
    let closed = complaint(&init(&home, &["--shared", "4294967294"]));
    assert!(closed.contains("could not reach"), "{closed}");
    assert!(!home.cache().exists());
    set_mode(home.path(), 0o755);
    set_mode(&parent, 0o755);
    let made = init(&home, &["--shared", &group]);
    assert!(made.status.success(), "{made:?}");
    let text = String::from_utf8(made.stdout).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    for (name, expected) in [("", 0o2770), ("signing", 0o750), ("signing/key", 0o640)] {
        assert_eq!(mode(&home.cache().join(name)), expected, "{name}");
    }
    let again = complaint(&init(&home, &["--shared", &group]));
    assert!(again.contains("is not empty"), "{again}");
}

#[test]
fn key_alone_is_made_once_for_its_owner() {
    let home = Home::new();
    let path = home.path().join("key");
    let named = path.display().to_string();
    assert!(init(&home, &["--key", &named]).status.success());
    assert_eq!(mode(&path), 0o600);
    let before = fs::read(&path).unwrap();
    assert!(complaint(&init(&home, &["--key", &named])).contains("cannot write the key"));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(!home.cache().exists());
}
