//! `pcache export`, and `pcache import` of what it has written.

use crate::archive::members;
use crate::cache::{DAY, age, furnish, place};
use crate::home::Home;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

fn archive(home: &Home) -> PathBuf {
    home.path().join("cache.tar.zst")
}

fn export(home: &Home) -> Vec<u8> {
    let file = archive(home);
    home.text(&["export", file.to_str().unwrap()]);
    fs::read(file).unwrap()
}

#[test]
fn members_are_sorted_files_of_the_cache_and_nothing_else() {
    let home = Home::new();
    let (store, cubin, text) = furnish(&home);
    // A plan, and what else a cache holds.
    store.put_record(b"plan", b"[]\n#$ _SPACE_=\n").unwrap();
    store.note("{}").unwrap();
    fs::write(home.cache().join("tmp/entry-1-0-1"), "half").unwrap();
    fs::create_dir_all(home.cache().join("manifests/toolchains")).unwrap();
    fs::write(home.cache().join("manifests/toolchains/aa.json"), "{}").unwrap();
    let said = home.text(&["export", archive(&home).to_str().unwrap()]);
    assert!(
        said.starts_with("exported 2 entries, 1 records (5.3 KiB) to \"~/cache.tar.zst\" ("),
        "{said}"
    );
    let mut expected = vec![
        place(&home, "entries", &cubin.key()),
        place(&home, "entries", &text.key()),
        place(&home, "manifests/results", b"unit"),
    ];
    expected.sort();
    let members = members(&archive(&home));
    let paths = members
        .iter()
        .map(|member| home.cache().join(str::from_utf8(&member.path).unwrap()));
    assert_eq!(paths.collect::<Vec<_>>(), expected);
    for (member, path) in members.iter().zip(&expected) {
        assert_eq!(member.bytes, fs::read(path).unwrap());
    }
    let mode = fs::metadata(archive(&home)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "command lines are in it");
    let left = fs::read_dir(home.path()).unwrap().count();
    assert_eq!(left, 2, "the cache and the archive");
}

#[test]
fn equal_caches_give_equal_bytes() {
    let home = Home::new();
    let (store, ..) = furnish(&home);
    for n in 0..50u8 {
        store.put_artefact(&[n; 300]).unwrap();
        store.put_internal(&[n; 3000]).unwrap();
        store.put_record(&[n], b"{}").unwrap();
    }
    let first = export(&home);
    let times = fs::metadata(place(&home, "manifests/results", &[7])).unwrap();
    assert_eq!(export(&home), first);
    let again = fs::metadata(place(&home, "manifests/results", &[7])).unwrap();
    assert_eq!(
        times.accessed().unwrap(),
        again.accessed().unwrap(),
        "an export is no use"
    );

    let other = Home::new();
    let report = other.json(&["import", "--json", archive(&home).to_str().unwrap()]);
    let list = home.json(&["list", "--json"]);
    let expected = json!({ "entries": 102, "records": 51, "bytes": list["bytes"], "present": 0,
        "refused": { "unproven": 0, "too_large": 0, "distrusted": 0, "steering": 0 } });
    assert_eq!(report, expected);
    assert_eq!(export(&other), first);
    assert_eq!(
        other.store().bytes().unwrap(),
        list["bytes"].as_u64().unwrap(),
        "they are counted"
    );
    assert_eq!(other.json(&["verify", "--json"])["whole"], 153);
    let report = other.json(&["import", "--json", archive(&home).to_str().unwrap()]);
    assert_eq!(
        (&report["entries"], &report["present"]),
        (&json!(0), &json!(153))
    );
}

#[test]
fn only_what_was_used_since_then_is_exported() {
    let home = Home::new();
    let (_, cubin, _) = furnish(&home);
    age(&place(&home, "entries", &cubin.key()), DAY);
    let file = archive(&home);
    let report = home.json(&[
        "export",
        "--json",
        "--used-since",
        "2h",
        file.to_str().unwrap(),
    ]);
    assert_eq!(
        (&report["entries"], &report["records"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(members(&file).len(), 2);
}

#[test]
fn damaged_records_are_left_out_and_damaged_entries_are_not_taken() {
    let home = Home::new();
    let (store, cubin, _) = furnish(&home);
    store.put_record(b"other", b"{}").unwrap();
    for path in [
        place(&home, "manifests/results", b"other"),
        place(&home, "entries", &cubin.key()),
    ] {
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let file = archive(&home);
    let report = home.json(&["export", "--json", file.to_str().unwrap()]);
    assert_eq!(
        (&report["records"], &report["left_out"]),
        (&json!(1), &json!(1))
    );
    let other = Home::new();
    let said = other.text(&["import", file.to_str().unwrap()]);
    insta::assert_snapshot!(said, @"
    imported 1 entries, 1 records (458 B); already there: 0; refused: 1
    1 are damaged, or their content does not prove their names
    ");
}

#[test]
fn archive_goes_through_pipes() {
    let home = Home::new();
    furnish(&home);
    let bytes = export(&home);
    let output = home.run(&["export", "-"]);
    assert!(output.status.success() && output.stderr.is_empty());
    assert_eq!(output.stdout, bytes);
    let other = Home::new();
    let mut child = other
        .command(&["import", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"imported 2 entries, 1 records"));
    let refused = home.run(&["export", "--json", "-"]);
    assert_eq!(refused.status.code(), Some(1));
    // Half an archive is no success.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = home.command(&["export", "-"]);
    let output = command.stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn file_is_whole_or_as_it_was() {
    let home = Home::new();
    let absent = home.run(&["export", archive(&home).to_str().unwrap()]);
    assert_eq!(absent.status.code(), Some(1));
    assert!(!home.cache().exists() && !archive(&home).exists());
    furnish(&home);
    fs::write(archive(&home), "old").unwrap();
    let link = home.path().join("link");
    std::os::unix::fs::symlink(archive(&home), &link).unwrap();
    home.text(&["export", link.to_str().unwrap()]);
    assert!(link.is_symlink());
    assert_eq!(members(&archive(&home)).len(), 3);
    for place in ["missing/file", "", ".", ".cache"] {
        let path = home.path().join(place);
        let output = home.run(&["export", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{place}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("cannot write") && said.contains(path.to_str().unwrap()),
            "{said}"
        );
    }
    let device = home.run(&["export", "/dev/null"]);
    assert_eq!(device.status.code(), Some(1));
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    // A full disk.
    let mut command = home.command(&["export", "-"]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn records_are_believed_as_readers_believe_them() {
    let home = Home::new();
    let key = home.path().join("key");
    home.text(&["init", "--key", key.to_str().unwrap()]);
    let with_key = |home: &Home, arguments: &[&str], key: &PathBuf| -> Value {
        let mut command = home.command(arguments);
        let output = command.env("PCACHE_KEY", key).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    furnish(&home);
    let (plain, signed) = (archive(&home), home.path().join("signed.tar.zst"));
    let plain = plain.to_str().unwrap();
    let signed = signed.to_str().unwrap();
    export(&home);
    // Unsigned records in a cache with a key: a reader would pass over them, and they must not be signed anew.
    let other = Home::new();
    let report = with_key(&other, &["import", "--json", plain], &key);
    assert_eq!(
        (&report["entries"], &report["records"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(report["refused"]["distrusted"], 1);

    // Signed ones, for readers with that key, another, and none.
    let signer = Home::new();
    let (config, _) = pcache_nvcc::config::Config::load(&|name| match name {
        "PCACHE_DIR" => Some(signer.cache().into()),
        "PCACHE_KEY" => Some(key.clone().into()),
        _ => None,
    });
    let store = pcache_nvcc::store::FileStore::from_config(&config).unwrap();
    store.put_record(b"unit", b"{}").unwrap();
    assert_eq!(signer.json(&["export", "--json", signed])["records"], 1);
    let report = with_key(&other, &["import", "--json", signed], &key);
    assert_eq!(report["records"], 1);
    let stranger = home.path().join("other-key");
    home.text(&["init", "--key", stranger.to_str().unwrap()]);
    let third = Home::new();
    let report = with_key(&third, &["import", "--json", signed], &stranger);
    assert_eq!(report["refused"]["distrusted"], 1);
    let report = third.json(&["import", "--json", signed]);
    assert_eq!(report["refused"]["distrusted"], 1);
    // Where others can write and no key is at hand, nothing is believed, so nothing is taken.
    fs::set_permissions(third.cache(), Permissions::from_mode(0o777)).unwrap();
    let mut command = third.command(&["import", plain]);
    command.env("PCACHE_PRIVATE_DIR", "/proc/none");
    assert_eq!(command.output().unwrap().status.code(), Some(1));
}
