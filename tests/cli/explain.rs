//! `pcache explain` where there is little to explain, and where the cache is not as it should be.

use crate::home::Home;
use pcache_nvcc::journal::Compile;
use rustix::process::geteuid;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

const OTHER_USER: u32 = 65534;

/// A compile of long ago.
fn note(home: &Home, level: &str) {
    let text = format!(
        r#"{{"v":1,"start":1600000000000000,"wall":2000000,"pid":7,"directory":"/src","sources":["a.cu"],"level":"{level}"}}"#
    );
    let compile = Compile::from_text(&text).unwrap();
    home.store().note(&compile.to_text()).unwrap();
}

#[track_caller]
fn refused(home: &Home, arguments: &[&str], status: i32) -> String {
    let output = home.run(arguments);
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    said.replace(home.path().to_str().unwrap(), "~")
}

#[test]
fn nothing_can_be_asked_for_no_times() {
    let home = Home::new();
    note(&home, "miss");
    for arguments in [
        &["explain", "--last", "0"][..],
        &["verify", "--recompile", "0"],
    ] {
        let said = refused(&home, arguments, 2);
        assert!(said.contains("expected a number from 1"), "{said}");
    }
    assert!(home.text(&["explain", "--last", "9"]).starts_with("miss"));
}

#[test]
fn cache_that_is_not_there_is_one_with_which_nothing_was_compiled() {
    let said = refused(&Home::new(), &["explain"], 1);
    insta::assert_snapshot!(said, @r#"pcache: there is no cache at "~/.cache/pcache-nvcc": nothing was compiled with it yet"#);
}

#[test]
fn result_that_was_cleared_since_is_said_to_be_gone() {
    let home = Home::new();
    home.store().put(b"key", b"value").unwrap();
    note(&home, "miss");
    let before = home.text(&["explain"]);
    assert!(!before.contains("pcache clear"), "{before}");
    home.text(&["clear"]);
    let after = home.text(&["explain"]);
    assert!(
        after.contains("  `pcache clear` removed the result at "),
        "{after}"
    );
    assert!(
        after.contains(": the next compile makes it again\n"),
        "{after}"
    );
    // It had no result.
    note(&home, "bypass");
    let passed = home.text(&["explain"]);
    assert!(!passed.contains("pcache clear"), "{passed}");
}

/// Runs a request as a user who may read the home and write nowhere in it.
fn without_rights(home: &Home, arguments: &[&str]) -> Output {
    let home_path = home.path().to_str().unwrap();
    let set = |program: &str, value: &str| {
        let changed = Command::new(program)
            .args(["-R", value, home_path])
            .status();
        assert!(changed.unwrap().success());
    };
    set("chmod", "a=rX");
    let mut command = home.command(arguments);
    if geteuid().is_root() {
        set("chown", &OTHER_USER.to_string());
        command.uid(OTHER_USER).gid(OTHER_USER);
    }
    let output = command.output().unwrap();
    set("chmod", "u=rwX,go=");
    output
}

#[test]
fn cache_that_cannot_be_written_is_mentioned_with_the_way_out() {
    let home = Home::new();
    home.store().put(b"key", b"value").unwrap();
    note(&home, "miss");
    assert!(!home.text(&["explain"]).contains("hint"));
    let hint = format!(
        "hint: nothing can be stored in the cache: cannot write in {:?}: Permission denied",
        home.cache()
    );
    for request in ["explain", "stats"] {
        let output = without_rights(&home, &[request]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains(&hint), "{said}");
        assert!(said.contains("pcache doctor says what to do"), "{said}");
    }
    // To only read it is what the user wants.
    let config = home.path().join(".config/pcache");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), "readonly = true\n").unwrap();
    let output = without_rights(&home, &["explain"]);
    assert!(!String::from_utf8(output.stdout).unwrap().contains("hint"));
    fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
}
