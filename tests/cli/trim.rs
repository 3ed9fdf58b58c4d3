//! `pcache trim`: what stays was used since a moment, or fits.

use crate::cache::{DAY, age, fill, furnish, place};
use crate::home::Home;
use pcache_nvcc::store::FileStore;
use serde_json::{Value, json};
use std::fs::{self, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HOUR: Duration = Duration::from_secs(3600);

/// Lets a file look as if it was last read `ago`.
fn read(path: &Path, ago: Duration) {
    let file = fs::File::options().write(true).open(path).unwrap();
    let times = FileTimes::new().set_accessed(SystemTime::now() - ago);
    file.set_times(times).unwrap();
}

/// The record of a compile that began `ago` and took a second.
fn note_compile(store: &FileStore, output: &str, ago: Duration) {
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - ago;
    let compile = json!({ "v": 1, "start": start.as_micros() as u64, "wall": 1_000_000, "pid": 9,
        "directory": "/src", "output": output, "sources": ["a.cu"], "level": "miss" });
    store.note(&compile.to_string()).unwrap();
}

#[test]
fn what_was_read_or_written_since_then_stays() {
    let home = Home::new();
    let (store, cubin, text) = furnish(&home);
    let record = place(&home, "manifests/results", b"unit");
    let [cubin_file, text_file] = [&cubin, &text].map(|one| place(&home, "entries", &one.key()));
    for file in [&cubin_file, &text_file, &record] {
        age(file, DAY);
    }
    // One was read, one was written, and one was neither.
    read(&cubin_file, HOUR);
    store.put_record(b"new", b"{}").unwrap();
    let dead = home.cache().join("tmp/entry-1-0-1");
    fs::write(&dead, [0; 300]).unwrap();
    age(&dead, DAY);
    let report = home.json(&["trim", "--json", "--keep-used-since", "2h"]);
    let unused = &report["unused"];
    assert_eq!(unused["files"], 2);
    assert_eq!(report["swept_bytes"], 300);
    assert_eq!(
        (&report["evicted"]["files"], &report["max_bytes"]),
        (&json!(0), &Value::Null)
    );
    let after = report["after_bytes"].as_u64().unwrap();
    assert_eq!(
        report["before_bytes"].as_u64().unwrap() - after,
        unused["bytes"].as_u64().unwrap()
    );
    assert_eq!(home.json(&["list", "--json"])["bytes"], after);
    assert!(cubin_file.exists() && !text_file.exists() && !record.exists() && !dead.exists());
    assert!(store.get_record(b"new").unwrap().is_some());
    let report = home.json(&["trim", "--json", "--keep-used-since", "1m"]);
    assert_eq!(report["unused"]["files"], 1, "the cubin");
}

#[test]
fn as_much_as_fits_stays_to_the_byte() {
    let home = Home::new();
    let store = home.store();
    fill(&home, 20, |n| Duration::from_secs(3600 - u64::from(n)));
    let report = home.json(&["trim", "--json", "--max-size", "10K"]);
    let expected = json!({
        "before_bytes": 20 * 1024, "after_bytes": 10 * 1024, "max_bytes": 10 * 1024,
        "unused": {"files": 0, "bytes": 0}, "expired": {"files": 0, "bytes": 0},
        "evicted": {"files": 10, "bytes": 10 * 1024}, "swept_bytes": 0,
        "toolchains": {"files": 0, "bytes": 0}
    });
    assert_eq!(report, expected, "no tenth more than necessary");
    assert!(store.get(&[9]).unwrap().is_none() && store.get(&[10]).unwrap().is_some());
    let report = home.json(&["trim", "--json", "--max-size", "10239"]);
    assert_eq!(report["after_bytes"], 9 * 1024);
    assert_eq!(home.json(&["stats", "--json"])["store"]["evicted"], 11);
}

#[test]
fn both_bounds_hold_and_the_text_says_what_went() {
    let home = Home::new();
    fill(&home, 4, |n| {
        HOUR * (4 - u32::from(n)) - Duration::from_secs(60)
    });
    let said = home.text(&["trim", "--keep-used-since", "3h", "--max-size", "2K"]);
    insta::assert_snapshot!(said, @r"
    unused                       1 files, 1.0 KiB
    expired                      0 files, 0 B
    evicted                      1 files, 1.0 KiB
    stale toolchains             0 files, 0 B
    crashed processes          0 B
    size                4.0 KiB before, 2.0 KiB now
    ");
}

#[test]
fn last_build_begins_with_its_first_compile() {
    let home = Home::new();
    let store = home.store();
    let refused = home.run(&["trim", "--keep-used-since", "last-build"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("the journal has no build"), "{said}");
    note_compile(&store, "a.o", 3 * HOUR);
    note_compile(&store, "a.o", HOUR);
    note_compile(&store, "b.o", HOUR - Duration::from_secs(5));
    for (key, ago) in [(b"old", 2 * HOUR), (b"new", HOUR - Duration::from_secs(1))] {
        store.put(key, b"value").unwrap();
        age(&place(&home, "entries", key), ago);
    }
    home.text(&["trim", "--keep-used-since", "last-build"]);
    assert!(store.get(b"old").unwrap().is_none());
    assert!(store.get(b"new").unwrap().is_some());
}

#[test]
fn a_bound_is_required() {
    let home = Home::new();
    home.store();
    for arguments in [&["trim"][..], &["trim", "--json"]] {
        let refused = home.run(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(
            said.contains("<--keep-used-since <WHEN>|--max-size <SIZE>>"),
            "{said}"
        );
    }
    for wrong in [
        ["--keep-used-since", "long"],
        ["--max-size", "0"],
        ["--max-size", "much"],
    ] {
        let refused = home.run(&["trim", wrong[0], wrong[1]]);
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn no_cache_is_made_and_a_read_only_one_stays_as_it_is() {
    let home = Home::new();
    let said = home.text(&["trim", "--max-size", "1G"]);
    assert_eq!(said, "there is no cache at \"~/.cache/pcache-nvcc\"\n");
    assert!(!home.cache().exists());
    home.store().put(b"key", b"value").unwrap();
    let mut command = home.command(&["trim", "--max-size", "1"]);
    let output = command.env("PCACHE_READONLY", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(home.store().get(b"key").unwrap().is_some());
}

#[test]
fn own_records_of_a_shared_cache_are_trimmed_too() {
    let home = Home::new();
    let store = home.store();
    fs::set_permissions(home.cache(), Permissions::from_mode(0o777)).unwrap();
    drop(store);
    let (config, _) = pcache_nvcc::config::Config::load(&|name| match name {
        "HOME" => Some(home.path().into()),
        "PCACHE_DIR" => Some(home.cache().into()),
        "PCACHE_PRIVATE_DIR" => Some(home.path().join("private").into()),
        _ => None,
    });
    let store = FileStore::from_config(&config).unwrap();
    for key in [b"old", b"new"] {
        store.put_order(key, b"plan").unwrap();
    }
    let own = store.own_dir().expect("there is a private directory");
    let record = own.join("manifests/results");
    let old = record.join(pcache_nvcc::store::Name::of(b"old").to_string());
    age(&old, DAY);
    let mut command = home.command(&["trim", "--keep-used-since", "2h"]);
    command.env("PCACHE_PRIVATE_DIR", home.path().join("private"));
    assert!(command.output().unwrap().status.success());
    assert!(!old.exists());
    assert_eq!(
        store.get_order(b"new").unwrap().as_deref(),
        Some(&b"plan"[..])
    );
}

#[test]
fn a_moment_to_come_removes_nothing() {
    let home = Home::new();
    let (store, ..) = furnish(&home);
    let before = store.recount().unwrap();
    let refused = home.run(&["trim", "--keep-used-since", "2999-01-01T00:00"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("still to come"), "{said}");
    assert_eq!(store.recount().unwrap(), before);
}
