//! `pcache config`: what it shows, and what it does to the configuration file.

use crate::home::Home;
use pcache_nvcc::config::SETTINGS;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

fn file(home: &Home) -> PathBuf {
    home.path().join(".config/pcache/config.toml")
}

fn write(home: &Home, text: &str) {
    fs::create_dir_all(file(home).parent().unwrap()).unwrap();
    fs::write(file(home), text).unwrap();
}

/// What a request that is refused says.
#[track_caller]
fn refused(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    said.replace(home.path().to_str().unwrap(), "~")
}

#[test]
fn every_setting_can_be_set_read_and_unset() {
    let home = Home::new();
    let samples = [
        ("dir", "/fast/cache"),
        ("max_size", "40G"),
        ("policy", "ttl:14d"),
        ("compress", "all:12"),
        ("nvcc", "/opt/cuda/bin/nvcc"),
        ("driver", "595.71.05"),
        ("disable", "true"),
        ("readonly", "true"),
        ("trust", "owner"),
        ("key", "/etc/pcache/key"),
        ("private_dir", "/home/me/private"),
        ("direct", "false"),
        ("stages", "false"),
        ("semantic", "false"),
        ("nvrtc", "false"),
        ("base_dir", "/home/me/src"),
        ("namespace", "release"),
        ("extra_files", "/etc/a:b"),
        ("recache", "true"),
        ("recheck", "0.1%"),
        ("wait", "60"),
        (
            "remote",
            "redis://cache:6379 read-only namespace=pr-12,main",
        ),
        ("remote_wait", "500"),
        ("sign_key", "/etc/pcache/sign"),
        (
            "trusted_keys",
            "farm-1:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        ),
        ("jobs", "8"),
        ("max_files", "200000"),
        ("log", "/tmp/pcache.log"),
    ];
    for row in SETTINGS {
        let sample = samples.iter().find(|(key, _)| *key == row.key);
        let (key, value) = sample.unwrap_or_else(|| panic!("a sample for {}", row.key));
        assert_eq!(home.text(&["config", "set", key, value]), "");
        assert_eq!(home.text(&["config", "get", key]), format!("{value}\n"));
    }
    let report = home.json(&["config", "--json"]);
    assert_eq!(report["problems"].as_array().unwrap().len(), 0);
    for row in report["settings"].as_array().unwrap() {
        assert_eq!(row["source"], "file", "{row}");
    }
    for row in SETTINGS {
        home.text(&["config", "unset", row.key]);
    }
    assert_eq!(fs::read_to_string(file(&home)).unwrap(), "");
}

#[test]
fn changes_tell_as_json_what_is_in_force() {
    let home = Home::new();
    let set = home.json(&["config", "set", "jobs", "7", "--json"]);
    assert_eq!(
        (&set["name"], &set["value"], &set["source"]),
        (&"jobs".into(), &"7".into(), &"file".into())
    );
    let unset = home.json(&["config", "unset", "jobs", "--json"]);
    assert_eq!(unset["source"], "default");
}

#[test]
fn comments_order_and_mode_of_the_file_stay() {
    let home = Home::new();
    let text = "# mine\njobs = 4   # as many as fit\n\n# room\nmax_size = '2G'\n";
    write(&home, text);
    fs::set_permissions(file(&home), fs::Permissions::from_mode(0o640)).unwrap();
    home.text(&["config", "set", "jobs", "cores"]);
    home.text(&["config", "set", "readonly", "yes"]);
    insta::assert_snapshot!(fs::read_to_string(file(&home)).unwrap(), @r#"
    # mine
    jobs = "cores"   # as many as fit

    # room
    max_size = '2G'
    readonly = true
    "#);
    let mode = fs::metadata(file(&home)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn file_that_is_a_link_stays_one() {
    let home = Home::new();
    let real = home.path().join("dotfiles.toml");
    fs::write(&real, "jobs = 2\n").unwrap();
    fs::create_dir_all(file(&home).parent().unwrap()).unwrap();
    symlink(&real, file(&home)).unwrap();
    home.text(&["config", "set", "jobs", "3"]);
    assert_eq!(fs::read_to_string(&real).unwrap(), "jobs = 3\n");
    assert!(file(&home).is_symlink());
}

#[test]
fn names_that_do_not_exist_are_refused_with_the_nearest() {
    let home = Home::new();
    insta::assert_snapshot!(refused(&home, &["config", "set", "max-size", "1G"]), @r#"pcache: there is no setting "max-size"; did you mean max_size?"#);
    insta::assert_snapshot!(refused(&home, &["config", "get", "redonly"]), @r#"pcache: there is no setting "redonly"; did you mean readonly?"#);
    insta::assert_snapshot!(refused(&home, &["config", "unset", "speed"]), @r#"pcache: there is no setting "speed"; `pcache config` lists all"#);
    assert!(!file(&home).exists());
}

#[test]
fn values_that_cannot_be_used_are_refused_in_the_settings_own_words() {
    let home = Home::new();
    insta::assert_snapshot!(refused(&home, &["config", "set", "max_size", "10X"]), @"pcache: max_size = 10X: not a size; write a number with K, M, G or T, such as 10G");
    insta::assert_snapshot!(refused(&home, &["config", "set", "dir", "cache"]), @"pcache: dir = cache: not an absolute path; begin it with /");
    insta::assert_snapshot!(refused(&home, &["config", "set", "nvcc", ""]), @"pcache: nvcc = : no path; unset it instead");
    write(&home, "jobs = \n");
    let said = refused(&home, &["config", "set", "jobs", "1"]);
    assert!(
        said.contains("cannot change \"~/.config/pcache/config.toml\": it is not TOML"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(file(&home)).unwrap(), "jobs = \n");
    assert!(refused(&home, &["config", "get", "nvcc"]).contains("nvcc is not set"));
    write(&home, "");
    assert!(refused(&home, &["config", "unset", "jobs"]).contains("jobs is not set in the file"));
}

#[test]
fn variable_that_overrides_what_was_set_is_mentioned() {
    let home = Home::new();
    let mut command = home.command(&["config", "set", "jobs", "3"]);
    let output = command.env("PCACHE_JOBS", "5").output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        "pcache: PCACHE_JOBS in the environment overrides the file\n"
    );
    assert_eq!(home.text(&["config", "get", "jobs"]), "3\n");
    assert_eq!(
        home.json(&["config", "get", "jobs", "--json"])["source"],
        "file"
    );
}

#[test]
fn show_is_what_comes_without_a_word() {
    let home = Home::new();
    assert_eq!(home.text(&["config", "show"]), home.text(&["config"]));
    assert_eq!(
        home.json(&["config", "show", "--json"]),
        home.json(&["config", "--json"])
    );
}

#[test]
fn file_of_a_checkout_is_shown_as_the_source_and_its_override_is_mentioned() {
    let home = Home::new();
    let checkout = home.path().join("src");
    fs::create_dir(&checkout).unwrap();
    fs::write(checkout.join(".pcache.toml"), "direct = false\n").unwrap();
    write(&home, "direct = true\n");
    let output = home
        .command(&["config", "get", "direct", "--json"])
        .current_dir(&checkout)
        .output()
        .unwrap();
    let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let path = checkout.join(".pcache.toml").display().to_string();
    assert_eq!(
        (&row["value"], &row["source"]),
        (&"false".into(), &"file".into())
    );
    assert_eq!(row["path"], path.as_str());

    let output = home
        .command(&["config", "set", "direct", "true"])
        .current_dir(&checkout)
        .output()
        .unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, format!("pcache: {path} overrides the file\n"));
    assert_eq!(home.text(&["config", "get", "direct"]), "true\n");
}

#[test]
fn variables_that_no_setting_has_are_listed() {
    let home = Home::new();
    let mut command = home.command(&["config"]);
    command
        .env("PCACHE_READ_ONLY", "1")
        .env("PCACHE_SPEED", "9");
    let shown = String::from_utf8(command.output().unwrap().stdout).unwrap();
    for expected in [
        "problem: PCACHE_READ_ONLY: no program reads it; did you mean PCACHE_READONLY?\n",
        "problem: PCACHE_SPEED: no program reads it; unset it; pcache config lists all settings\n",
    ] {
        assert!(shown.contains(expected), "{shown}");
    }
}
