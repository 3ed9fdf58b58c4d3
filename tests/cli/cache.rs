//! `pcache` at work on a cache: list, clear, gc, verify.

use crate::home::Home;
use pcache_nvcc::store::{Artefact, FileStore, Name};
use serde_json::{Value, json};
use std::fs::{self, FileTimes};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

pub const DAY: Duration = Duration::from_secs(86_400);

pub fn place(home: &Home, tree: &str, key: &[u8]) -> PathBuf {
    home.cache().join(tree).join(Name::of(key).to_string())
}

/// Stores as many values of 1 KiB, each as old as `ago` says.
pub fn fill(home: &Home, count: u8, ago: impl Fn(u8) -> Duration) {
    let store = home.store();
    for n in 0..count {
        store.put(&[n], &[n; 1024]).unwrap();
        age(&place(home, "entries", &[n]), ago(n));
    }
}

/// Lets a file look as if it was last written and read `ago`.
pub fn age(path: &PathBuf, ago: Duration) {
    let then = SystemTime::now() - ago;
    let times = FileTimes::new().set_accessed(then).set_modified(then);
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_times(times)
        .unwrap();
}

/// A cubin, a text, and a result that names both.
pub fn furnish(home: &Home) -> (FileStore, Artefact, Artefact) {
    let store = home.store();
    let mut cubin = b"\x7fELF\x02\x01\x01".to_vec();
    cubin.resize(18, 0);
    cubin.extend(190u16.to_le_bytes());
    cubin.resize(5000, 1);
    let cubin = store.put_artefact(&cubin).unwrap();
    let text = store.put_artefact(b"warning: unused\n").unwrap();
    let record = json!({
        "schema": 1,
        "outputs": [{"command": 5, "artefact": cubin}],
        "kept": [],
        "streams": [{"command": 0, "stdout": null, "stderr": text}],
        "sources": [{"path": "/src/kernel.cu", "sha256": "00"}],
        "milliseconds": 5,
    });
    store
        .put_record(b"unit", record.to_string().as_bytes())
        .unwrap();
    (store, cubin, text)
}

pub fn classes(report: &Value) -> Vec<&str> {
    let entries = report["entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["class"].as_str().unwrap())
        .collect()
}

#[test]
fn list_of_no_cache_makes_none() {
    let home = Home::new();
    assert_eq!(
        home.text(&["list"]),
        "there is no cache at \"~/.cache/pcache-nvcc\"\n"
    );
    assert_eq!(
        home.json(&["list", "--json"]),
        json!({"files": 0, "bytes": 0, "entries": []})
    );
    assert!(!home.cache().exists());
}

#[test]
fn list_shows_class_size_age_and_names() {
    let home = Home::new();
    let (_, cubin, text) = furnish(&home);
    age(&place(&home, "entries", &cubin.key()), 3 * DAY);
    age(&place(&home, "entries", &text.key()), 2 * DAY);
    let report = home.json(&["list", "--json"]);
    assert_eq!(
        classes(&report),
        ["cubin", "result", "text"],
        "the largest first"
    );
    assert_eq!(report["files"], 3);
    let first = &report["entries"][0];
    assert_eq!(first["name"], Name::of(&cubin.key()).to_string());
    assert_eq!(
        (&first["kind"], &first["bytes"]),
        (&json!("entry"), &json!(5000))
    );
    assert_eq!(first["age"].as_u64().unwrap() / 86_400, 3);
    assert_eq!(first["uses"], Value::Null, "lru counts none");
    assert_eq!(report["entries"][1]["file"], "/src/kernel.cu");

    let report = home.json(&["list", "--json", "--sort", "used"]);
    assert_eq!(classes(&report), ["cubin", "text", "result"]);
    let report = home.json(&["list", "--json", "--sort", "class", "--limit", "1"]);
    assert_eq!(
        (classes(&report), &report["files"]),
        (vec!["cubin"], &json!(3))
    );

    let table = home.text(&["list", "--limit", "2"]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(
        lines[1].starts_with("cubin            4.9 KiB      3d      3d     -  "),
        "{table}"
    );
    assert!(lines[2].ends_with("  /src/kernel.cu"), "{table}");
    assert!(
        lines[3].starts_with("3 files, ")
            && lines[3].ends_with("; 2 are shown, --all shows the rest")
    );
}

#[test]
fn listing_is_no_use_of_what_is_listed() {
    let home = Home::new();
    let (_, cubin, _) = furnish(&home);
    let path = place(&home, "entries", &cubin.key());
    age(&path, 3 * DAY);
    let before = fs::metadata(&path).unwrap().accessed().unwrap();
    home.text(&["list"]);
    home.text(&["verify"]);
    assert_eq!(fs::metadata(&path).unwrap().accessed().unwrap(), before);
}

#[test]
fn uses_are_shown_under_the_policy_that_counts_them() {
    let home = Home::new();
    let store = home.store().with_policy(pcache_nvcc::store::Policy::Lfu);
    let artefact = store.put_artefact(b"text").unwrap();
    for _ in 0..3 {
        store.get_artefact(&artefact).unwrap();
    }
    let mut command = home.command(&["list", "--json"]);
    let output = command.env("PCACHE_POLICY", "lfu").output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    // The look of the put before it writes finds nothing and counts nothing.
    assert_eq!(report["entries"][0]["uses"], 4);
}

#[test]
fn clear_takes_what_was_not_used_for_long() {
    let home = Home::new();
    let (store, cubin, text) = furnish(&home);
    age(&place(&home, "entries", &cubin.key()), 3 * DAY);
    fs::write(home.cache().join("digests"), [0; 100]).unwrap();
    let listed = home.json(&["list", "--json", "--older-than", "2d"]);
    assert_eq!(
        classes(&listed),
        ["cubin"],
        "list shows what clear would take"
    );
    let report = home.json(&["clear", "--json", "--older-than", "2d"]);
    assert_eq!(
        (&report["files"], &report["bytes"]),
        (&json!(1), &json!(5000))
    );
    assert_eq!(store.get_artefact(&cubin).unwrap(), None);
    assert!(store.get_artefact(&text).unwrap().is_some());
    assert!(
        home.cache().join("digests").exists(),
        "a part was asked for"
    );
}

#[test]
fn clear_takes_what_matches_by_class_or_by_a_name_in_a_record() {
    let home = Home::new();
    let (store, cubin, text) = furnish(&home);
    // The cubin has another use.
    let other = json!({"flag": "-o", "artefact": cubin});
    let other = json!({"outputs": [other], "sources": [], "source": "/src/other.cu"});
    store
        .put_record(b"stage", other.to_string().as_bytes())
        .unwrap();
    for (glob, taken) in [
        ("*.cuh", 0),
        ("kernel.?u", 2),
        ("/src/k*", 0),
        ("[ct]u*", 1),
    ] {
        let listed = home.json(&["list", "--json", "--matching", glob]);
        assert_eq!(listed["files"], taken, "{glob}");
        let report = home.json(&["clear", "--json", "--matching", glob]);
        assert_eq!(report["files"], taken, "{glob}");
    }
    assert_eq!(store.get_record(b"unit").unwrap(), None);
    assert_eq!(
        store.get_artefact(&text).unwrap(),
        None,
        "nothing else names it"
    );
    assert_eq!(store.get_artefact(&cubin).unwrap(), None);
    let report = home.json(&["clear", "--json", "--matching", "/src/*"]);
    assert_eq!(report["files"], 1, "by what it was made of");
    assert_eq!(store.get_record(b"stage").unwrap(), None);
    let refused = home.run(&["clear", "--matching", "[x"]);
    assert_eq!(refused.status.code(), Some(2));
    let refused = home.run(&["clear", "--older-than", "long"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn clear_takes_digests_toolchains_and_logs_of_uses_too_and_leaves_counters_and_locks() {
    let home = Home::new();
    furnish(&home);
    let cache = home.cache();
    fs::write(cache.join("digests"), [0; 100]).unwrap();
    for file in ["manifests/toolchains/aa.json", "uses/ab", "locks/flights"] {
        fs::create_dir_all(cache.join(file).parent().unwrap()).unwrap();
        fs::write(cache.join(file), [0; 10]).unwrap();
    }
    let held: u64 = home.json(&["list", "--json"])["bytes"].as_u64().unwrap();
    let report = home.json(&["clear", "--json"]);
    assert_eq!(
        (&report["files"], &report["bytes"]),
        (&json!(3), &json!(held + 110))
    );
    for gone in ["digests", "manifests/toolchains/aa.json", "uses/ab"] {
        assert!(!cache.join(gone).exists(), "{gone}");
    }
    for stays in ["counters", "shards", "locks/flights"] {
        assert!(cache.join(stays).exists(), "{stays}");
    }
}

#[test]
fn gc_brings_the_cache_under_its_cap_and_says_what_went() {
    let home = Home::new();
    let store = home.store();
    fill(&home, 20, |n| Duration::from_secs(3600 - u64::from(n)));
    let dead = home.cache().join("tmp/entry-1-0-1");
    fs::write(&dead, [0; 300]).unwrap();
    age(&dead, DAY);
    fs::create_dir_all(home.cache().join("manifests/toolchains")).unwrap();
    fs::write(home.cache().join("manifests/toolchains/aa.json"), "{}").unwrap();
    let mut command = home.command(&["gc", "--json"]);
    let output = command.env("PCACHE_MAX_SIZE", "10K").output().unwrap();
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!({
        "before_bytes": 20 * 1024, "after_bytes": 9 * 1024, "max_bytes": 10 * 1024,
        "expired": {"files": 0, "bytes": 0}, "evicted": {"files": 11, "bytes": 11 * 1024},
        "swept_bytes": 300, "toolchains": {"files": 1, "bytes": 2}
    });
    assert_eq!(report, expected);
    assert!(store.get(&[10]).unwrap().is_none() && store.get(&[11]).unwrap().is_some());
    assert_eq!(home.json(&["stats", "--json"])["store"]["evicted"], 11);
}

#[test]
fn gc_removes_what_has_expired() {
    let home = Home::new();
    let store = home.store();
    store.put(b"old", b"value").unwrap();
    store.put(b"new", b"value").unwrap();
    age(&place(&home, "entries", b"old"), 2 * DAY);
    let mut command = home.command(&["gc"]);
    let output = command.env("PCACHE_POLICY", "ttl:1d").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    insta::assert_snapshot!(said, @r"
    expired                      1 files, 5 B
    evicted                      0 files, 0 B
    stale toolchains             0 files, 0 B
    crashed processes          0 B
    size                10 B before, 5 B now, of 10.0 GiB
    ");
    assert!(store.get(b"new").unwrap().is_some());
}

#[test]
fn read_only_caches_are_listed_and_verified_and_not_changed() {
    let home = Home::new();
    furnish(&home);
    let damaged = place(&home, "manifests/results", b"unit");
    fs::write(&damaged, "nonsense").unwrap();
    for (arguments, status) in [
        (&["list"][..], 0),
        (&["verify"], 4),
        (&["gc"], 1),
        (&["clear", "--older-than", "1s"], 1),
    ] {
        let mut command = home.command(arguments);
        let output = command.env("PCACHE_READONLY", "1").output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
    }
    assert!(damaged.exists());
}

#[test]
fn verify_finds_and_removes_every_kind_of_damage() {
    let home = Home::new();
    let (store, cubin, text) = furnish(&home);
    store.put_record(b"other", b"{\"schema\":1}").unwrap();
    store.put(b"another program's", b"value").unwrap();
    let report = home.json(&["verify", "--json"]);
    assert_eq!(report["whole"], 4);
    assert_eq!(
        (&report["damaged"], &report["unproven"]),
        (&json!([]), &json!(1))
    );

    let flip = |path: &PathBuf| {
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    };
    flip(&place(&home, "entries", &cubin.key()));
    flip(&place(&home, "manifests/results", b"other"));
    fs::remove_file(place(&home, "entries", &text.key())).unwrap();
    let kept = home.run(&["verify", "--keep", "--json"]);
    assert_eq!(kept.status.code(), Some(4), "they are still there");
    let output = home.run(&["verify", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let damaged = report["damaged"].as_array().unwrap();
    assert_eq!((damaged.len(), &report["removed"]), (2, &json!(2)));
    // Of the two that the result names one is gone, and one was damaged.
    assert_eq!(
        (&report["missing"], &report["whole"]),
        (&json!(2), &json!(1))
    );
    assert!(!place(&home, "entries", &cubin.key()).exists());
    assert!(store.get(b"another program's").unwrap().is_some());
    let report = home.json(&["verify", "--json"]);
    assert_eq!(report["damaged"], json!([]));
}

#[test]
fn verify_and_list_read_nothing_that_is_larger_than_it_can_be() {
    let home = Home::new();
    let (store, cubin, _) = furnish(&home);
    store.put_record(b"other", b"{\"schema\":1}").unwrap();
    // Sparse: a terabyte that takes no place on the disk, and would take a terabyte of memory.
    for path in [
        place(&home, "entries", &cubin.key()),
        place(&home, "manifests/results", b"other"),
    ] {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_len(1 << 40).unwrap();
    }
    let listed = home.text(&["list"]);
    assert!(listed.contains("damaged"), "{listed}");
    let output = home.run(&["verify", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["unreadable"], json!([]));
    assert_eq!(report["damaged"].as_array().unwrap().len(), 2);
    assert_eq!(report["removed"], 2);
}

#[test]
fn verify_refuses_a_record_in_anothers_place() {
    let home = Home::new();
    let (store, ..) = furnish(&home);
    store.put_record(b"other", b"{}").unwrap();
    let (one, other) = (
        place(&home, "manifests/results", b"unit"),
        place(&home, "manifests/results", b"other"),
    );
    fs::copy(one, &other).unwrap();
    assert_eq!(home.run(&["verify"]).status.code(), Some(3));
    assert!(!other.exists());
}

#[test]
fn verify_and_gc_beside_writers_find_no_damage() {
    let home = Home::new();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..3u32 {
            let (home, stop) = (&home, &stop);
            scope.spawn(move || {
                let store = FileStore::open(&home.cache(), 200_000).unwrap();
                let mut turn = writer;
                while !stop.load(Ordering::Relaxed) {
                    turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let size = 100 + (turn >> 20) as usize;
                    let artefact = store.put_artefact(&vec![turn as u8; size]).unwrap();
                    let value = json!({"outputs": [{"artefact": artefact}], "milliseconds": turn});
                    let key = (turn % 50).to_le_bytes();
                    store
                        .put_record(&key, value.to_string().as_bytes())
                        .unwrap();
                }
            });
        }
        let looks: Vec<_> = (0..6)
            .map(|turn| {
                let arguments = [["verify", "--json"], ["gc", "--json"]][turn % 2];
                let mut command = home.command(&arguments);
                let output = command.env("PCACHE_MAX_SIZE", "200000").output().unwrap();
                (
                    output.status.code(),
                    serde_json::from_slice::<Value>(&output.stdout),
                )
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        for (status, report) in looks {
            let report = report.unwrap();
            assert_eq!(status, Some(0), "{report:#}");
            assert_eq!(report.get("unproven").unwrap_or(&json!(0)), 0);
        }
    });
    // What gc counts anew while others write may be counted twice, until it counts anew without them.
    home.json(&["gc", "--json"]);
    let listed = home.json(&["list", "--json"]);
    assert_eq!(listed["bytes"], home.store().bytes().unwrap());
}

#[test]
fn commands_of_a_cache_that_others_can_write_are_not_run() {
    let home = Home::new();
    home.store().put_record(b"key", b"{}").unwrap();
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(home.cache(), open).unwrap();
    let output = home.run(&["verify", "--recompile", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("other users can write"), "{text}");
}
