//! `pcache import` of archives that were damaged, or made to do harm.

use crate::archive::{TarMember, compressed, members, tar};
use crate::cache::{furnish, place};
use crate::home::Home;
use crate::random::Random;
use pcache_nvcc::explain::FactsRecord;
use pcache_nvcc::store::{Artefact, Name};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use tar::EntryType;

/// A file that comes before the hostile one, and is kept.
fn honest() -> TarMember {
    entry(b"honest")
}

fn entry(bytes: &[u8]) -> TarMember {
    let name = Name::of(&Artefact::of(bytes).key());
    TarMember::file(&format!("entries/{name}"), bytes)
}

fn write(home: &Home, archive: &[u8]) -> PathBuf {
    let path = home.path().join("archive");
    fs::write(&path, archive).unwrap();
    path
}

fn import(home: &Home, archive: &[u8]) -> Output {
    let path = write(home, archive);
    home.run(&["import", "--json", path.to_str().unwrap()])
}

fn counts(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every file of the home directory.
fn files(home: &Home) -> BTreeSet<PathBuf> {
    fn below(path: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                below(&entry.path(), found);
            } else {
                found.insert(entry.path());
            }
        }
    }
    let mut found = BTreeSet::new();
    below(home.path(), &mut found);
    found
}

/// An archive whose second member is refused: the first stays, the error names the second, nothing else is written.
#[track_caller]
fn refuses(member: TarMember, named: &str) {
    let home = Home::new();
    drop(home.store());
    let before = files(&home);
    let output = import(
        &home,
        &compressed(&tar(&[honest(), member, entry(b"later")])),
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{named}: {said}");
    assert!(said.contains(named), "{named}: {said}");
    assert!(said.contains("archive"), "the file is named: {said}");
    assert_eq!(counts(&output)["entries"], 1);
    let mut expected = before;
    expected.insert(home.path().join("archive"));
    expected.insert(place(&home, "entries", &Artefact::of(b"honest").key()));
    assert_eq!(files(&home), expected, "{named}");
}

#[test]
fn names_that_no_file_of_a_cache_has_are_refused() {
    let name = Name::of(b"key").to_string();
    for path in [
        "../../outside".to_owned(),
        "/etc/outside".to_owned(),
        format!("entries/../../{name}"),
        format!("entries/{}", name.to_uppercase()),
        format!("entries/{name}0"),
        format!("./entries/{name}"),
        format!("manifests/toolchains/{name}"),
        "signing/key".to_owned(),
        "journal/0".to_owned(),
        "counters".to_owned(),
        "locks/evict".to_owned(),
    ] {
        refuses(TarMember::file(&path, b"evil"), &path);
    }
    let mut odd = TarMember::file("entries/x", b"evil");
    odd.path = b"entries/\x1b[2J\xff".to_vec();
    refuses(odd, r"\u{1b}[2J");
}

#[test]
fn links_and_devices_are_refused_even_under_names_of_files() {
    let path = format!("entries/{}", Name::of(b"key"));
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Directory,
        EntryType::Fifo,
        EntryType::Char,
        EntryType::GNUSparse,
        EntryType::GNULongName,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
    ] {
        let member = TarMember {
            kind,
            link: Some("/etc/passwd".to_owned()),
            ..TarMember::file(&path, b"")
        };
        refuses(member, &path);
    }
}

#[test]
fn content_that_does_not_prove_its_name_is_passed_over() {
    let home = Home::new();
    let (store, ..) = furnish(&home);
    store.put_internal(&[7; 5000]).unwrap();
    let good = home.path().join("good");
    home.text(&["export", good.to_str().unwrap()]);
    let good = members(&good);
    assert_eq!(good.len(), 4);
    for (at, member) in good.iter().enumerate() {
        for place in [0, member.bytes.len() / 2, member.bytes.len() - 1] {
            let mut bad = good.clone();
            bad[at].bytes[place] ^= 4;
            let other = Home::new();
            let output = import(&other, &compressed(&tar(&bad)));
            assert!(output.status.success());
            let counts = counts(&output);
            let refused = &counts["refused"];
            let refused =
                refused["unproven"].as_u64().unwrap() + refused["distrusted"].as_u64().unwrap();
            assert_eq!(refused, 1, "{at} {place}: {counts:#}");
            let taken = counts["entries"].as_u64().unwrap() + counts["records"].as_u64().unwrap();
            assert_eq!(taken, 3);
            let path = other.cache().join(str::from_utf8(&member.path).unwrap());
            assert!(!path.exists());
            assert_eq!(fs::read_dir(other.cache().join("tmp")).unwrap().count(), 0);
        }
    }
    // A whole file under another's name, and a record among the entries.
    let mut moved = good.clone();
    moved[0].path = good[1].path.clone();
    moved.remove(1);
    let record = good.last().unwrap();
    moved.push(TarMember::file(
        &format!("entries/{}", Name::of(b"unit")),
        &record.bytes,
    ));
    moved.push(TarMember::file(
        &format!("manifests/results/{}", Name::of(b"x")),
        &record.bytes,
    ));
    let output = import(&Home::new(), &compressed(&tar(&moved)));
    assert_eq!(counts(&output)["refused"]["unproven"], 3);
}

#[test]
fn records_that_steer_are_not_taken_though_their_checksums_hold() {
    let home = Home::new();
    let store = home.store();
    let plans: [&[u8]; 3] = [
        b"[]\n#$ evil\n",
        b"{\"order\":{\"quote\":[]},\"real\":[]}",
        b"[{\"inquiry\":\"Parts\",\"flags\":[\"-fplugin=evil.so\"],\"environment\":[]}]",
    ];
    let mut evil = Vec::new();
    for (n, plan) in plans.iter().enumerate() {
        let key = [n as u8];
        store.put_order(&key, plan).unwrap();
        let bytes = fs::read(place(&home, "manifests/results", &key)).unwrap();
        let path = format!("manifests/results/{}", Name::of(&key));
        evil.push(TarMember::file(&path, &bytes));
    }
    let other = Home::new();
    let output = import(&other, &compressed(&tar(&evil)));
    assert!(output.status.success());
    let expected = json!({ "unproven": 0, "too_large": 0, "distrusted": 0, "steering": 3 });
    assert_eq!(counts(&output)["refused"], expected);
    assert_eq!(other.json(&["list", "--json"])["files"], 0);
}

#[test]
fn facts_under_another_key_than_that_of_their_content_run_nothing() {
    let home = Home::new();
    let store = home.store();
    let (script, marker) = (home.path().join("nvcc"), home.path().join("ran"));
    fs::write(&script, format!("#!/bin/sh\n>{}\n", marker.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let facts = json!({ "schema": 2, "request": [["programs", [script]], ["directory", ["/", "/"]]],
        "job": [], "folded": {}, "command": ["-c", "a.cu"], "tools": [], "units": [], "exact": null,
        "files": [], "absent": {}, "present": [], "links": {} });
    let facts = FactsRecord::new(facts.to_string().into_bytes());
    store.put_record(b"unit", b"{}").unwrap();
    let compared = |key: &[u8]| {
        store.put_intermediate_record(key, &facts.bytes).unwrap();
        let unit = json!({ "source": "a.cu", "level": "miss", "key": hex::encode("unit") });
        let compile = json!({ "v": 1, "start": 1, "wall": 1, "pid": 1, "directory": "/",
            "output": "a.o", "sources": ["a.cu"], "level": "miss", "units": [unit],
            "facts": hex::encode(key) });
        store.note(&compile.to_string()).unwrap();
        let report = home.json(&["verify", "--json", "--recompile", "1"]);
        assert_eq!(report["recompiled"]["passed"], 1);
        marker.exists()
    };
    assert!(!compared(b"chosen by another user, or by chance"));
    home.text(&["clear"]);
    store.put_record(b"unit", b"{}").unwrap();
    assert!(compared(&facts.key), "what the journal names is run");
}

#[test]
fn cut_archive_keeps_what_came_before_and_says_where_it_stopped() {
    let noise: Vec<u8> = (0..200_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let members: Vec<_> = noise.chunks(50_000).map(entry).collect();
    let whole = compressed(&tar(&members));
    let home = Home::new();
    assert!(import(&home, &whole).status.success());
    let lengths = [0, 1, 3, 4, 10, 1000]
        .into_iter()
        .chain((1..12).map(|n| whole.len() / 12 * n))
        .chain((1..8).map(|n| whole.len() - n));
    for length in lengths {
        let home = Home::new();
        let output = import(&home, &whole[..length]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{length}");
        let taken = counts(&output)["entries"].as_u64().unwrap();
        if length < 1000 {
            assert!(
                said.contains("no archive of pcache export"),
                "{length}: {said}"
            );
        } else if length > whole.len() / 2 {
            assert!(taken > 0, "{length}: {said}");
            assert!(said.contains("member \"entries/"), "{length}: {said}");
        }
        assert_eq!(home.json(&["verify", "--json"])["whole"], taken);
        assert_eq!(fs::read_dir(home.cache().join("tmp")).unwrap().count(), 0);
        assert_eq!(
            home.json(&["list", "--json"])["bytes"],
            home.store().bytes().unwrap()
        );
    }
    // Cut between members, or before its end, and compressed again.
    let tar = tar(&members);
    for length in [0, 512, tar.len() / 3, tar.len() - 512, tar.len() - 1024] {
        let output = import(&Home::new(), &compressed(&tar[..length]));
        assert_eq!(output.status.code(), Some(1), "{length}");
    }
    // More zeros are no fault: some programs write whole records.
    let padded = [&tar[..], &[0; 9 * 1024]].concat();
    assert!(import(&Home::new(), &compressed(&padded)).status.success());
    for tail in [&b"more"[..], &whole] {
        let output = import(&Home::new(), &[&whole, tail].concat());
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn members_that_lie_about_their_size_are_noticed() {
    for size in [0, 5, 7, 600, 1 << 20, 1 << 33, u64::MAX / 2] {
        let liar = TarMember { size, ..honest() };
        let home = Home::new();
        let output = import(&home, &compressed(&tar(&[liar, entry(b"later")])));
        let counts = counts(&output);
        let honest = place(&home, "entries", &Artefact::of(b"honest").key());
        assert!(!honest.exists(), "{size}");
        let refused = counts["refused"]["unproven"].as_u64().unwrap()
            + counts["refused"]["too_large"].as_u64().unwrap();
        assert!(refused == 1 || output.status.code() == Some(1), "{size}");
        assert_eq!(
            fs::read_dir(home.cache().join("tmp")).map_or(0, Iterator::count),
            0
        );
    }
}

#[test]
fn bombs_take_neither_memory_nor_place() {
    /// A frame of very many zeros in little space.
    fn bomb(zeros: usize) -> Vec<u8> {
        zstd::bulk::compress(&vec![0; zeros], 19).unwrap()
    }
    let limited = |archive: &[u8]| {
        let home = Home::new();
        let path = write(&home, archive);
        // Of addresses; less than any of the members below takes.
        let line = format!(
            "ulimit -v 60000; exec {} import --json {}",
            env!("CARGO_BIN_EXE_pcache"),
            path.display()
        );
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &line]).env_clear();
        command
            .env("HOME", home.path())
            .env("PCACHE_MAX_SIZE", "80M");
        let output = command.output().unwrap();
        let report = serde_json::from_slice::<Value>(&output.stdout);
        let report = report.unwrap_or_else(|_| panic!("{output:?}"));
        (output.status.code(), report, home)
    };
    let name = Name::of(b"key");
    let zeros = vec![0; 70 << 20];
    // An entry that is as large as it says, and not what its name says.
    let member = TarMember::file(&format!("entries/{name}"), &zeros);
    let (status, report, home) = limited(&compressed(&tar(&[member, honest()])));
    assert_eq!(
        (status, &report["refused"]["unproven"]),
        (Some(0), &json!(1))
    );
    assert_eq!(home.json(&["list", "--json"])["files"], 1);
    // One that is larger than the cache, and a record that is larger than any.
    let member = TarMember::file(&format!("entries/{name}"), &vec![0; 81 << 20]);
    let record = TarMember::file(&format!("manifests/results/{name}"), &vec![0; 17 << 20]);
    let (status, report, _) = limited(&compressed(&tar(&[member, record, honest()])));
    assert_eq!(
        (status, &report["refused"]["too_large"]),
        (Some(0), &json!(2))
    );
    assert_eq!(report["entries"], 1);
    // Frames in the archive: of more than the cache takes, though named by what they hold, and of more than they say.
    let inner = bomb(81 << 20);
    let artefact = Artefact::of(&vec![0; 81 << 20]);
    let path = format!("entries/{}", Name::of(&artefact.packed_key()));
    let member = TarMember::file(&path, &inner);
    let (status, report, _) = limited(&compressed(&tar(&[member, honest()])));
    assert_eq!(
        (status, &report["refused"]["unproven"]),
        (Some(0), &json!(1))
    );
    // A record whose value is a bomb has a good checksum, and is damaged to every reader.
    let home = Home::new();
    let store = home.store();
    let value = bomb(70 << 20);
    store.put_record(b"bomb", b"{}").unwrap();
    drop(store);
    let header = format!(
        "pcache-nvcc record v2 {}\n",
        hex(&[&Name::of(b"bomb").0, &value])
    );
    let bytes = [header.as_bytes(), &value].concat();
    let path = format!("manifests/results/{}", Name::of(b"bomb"));
    let (status, report, _) = limited(&compressed(&tar(&[TarMember::file(&path, &bytes)])));
    assert_eq!(
        (status, &report["refused"]["unproven"]),
        (Some(0), &json!(1))
    );
    // An extension header, which other readers of tar hold in memory.
    let member = TarMember {
        kind: EntryType::GNULongName,
        ..TarMember::file("././@LongLink", &vec![b'a'; 80 << 20])
    };
    let (status, ..) = limited(&compressed(&tar(&[member])));
    assert_eq!(status, Some(1));
}

fn hex(parts: &[&[u8]]) -> String {
    let digest = Artefact::of(&parts.concat());
    digest.hex()
}

/// Makes the checksum of the header at `at` right, so that what else is wrong with it is looked at.
fn seal(tar: &mut [u8], at: usize) {
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(&tar[at..at + 512]);
    header.set_cksum();
    tar[at..at + 512].copy_from_slice(header.as_bytes());
}

#[test]
fn random_damage_puts_nothing_but_whole_files_in_place() {
    let home = Home::new();
    let (store, ..) = furnish(&home);
    store.put_internal(&[7; 5000]).unwrap();
    let good = home.path().join("good");
    home.text(&["export", good.to_str().unwrap()]);
    let members = members(&good);
    let whole = tar(&members);
    let mut headers = vec![0];
    for member in &members {
        let length = usize::try_from(member.size.next_multiple_of(512)).unwrap();
        headers.push(headers.last().unwrap() + 512 + length);
    }
    headers.pop();
    let mut random = Random(3);
    for round in 0..60 {
        let mut bad = whole.clone();
        for _ in 0..=random.below(3) {
            let header = *random.pick::<usize>(&headers);
            // Names, sizes and kinds are where it hurts.
            let place = match random.below(3) {
                0 => header + random.below(512),
                1 => header + 124 + random.below(33),
                _ => random.below(bad.len()),
            };
            bad[place] = *random.pick::<u8>(b"\0\x80\xff01757Lx/. ");
            if random.chance(80) {
                seal(&mut bad, header);
            }
        }
        let other = Home::new();
        let output = import(&other, &compressed(&bad));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{round}: {said}"
        );
        let taken = counts(&output);
        let taken = taken["entries"].as_u64().unwrap() + taken["records"].as_u64().unwrap();
        let verified = other.json(&["verify", "--json"]);
        assert_eq!(
            (&verified["whole"], &verified["unproven"]),
            (&json!(taken), &json!(0)),
            "{round}: {said}"
        );
        let known = |path: &&PathBuf| {
            let path = path.strip_prefix(other.cache()).unwrap_or(Path::new(""));
            let parts = path.iter().map(|part| part.to_str().unwrap().len());
            let parts: Vec<_> = parts.collect();
            path.starts_with("entries") && parts == [7, 2, 62]
                || path.starts_with("manifests/results") && parts == [9, 7, 2, 62]
        };
        let places = files(&other);
        assert_eq!(places.iter().filter(known).count() as u64, taken);
        // The archive, and the two pages of counters.
        assert_eq!(places.len() as u64, taken + 3, "{round}: {places:?}");
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    let home = Home::new();
    for bytes in [
        &b""[..],
        b"text",
        &compressed(b""),
        &compressed(b"text"),
        &compressed(&[7; 4096]),
        &tar(&[honest()]),
    ] {
        let output = import(&home, bytes);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("no archive of pcache export"), "{said}");
    }
    for path in ["/nonexistent/archive", "/"] {
        let output = home.run(&["import", path]);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains(path));
    }
    // One without members is an archive.
    assert!(import(&home, &compressed(&tar(&[]))).status.success());
}

#[test]
fn read_only_cache_takes_nothing() {
    let home = Home::new();
    drop(home.store());
    let path = write(&home, &compressed(&tar(&[honest()])));
    let mut command = home.command(&["import", path.to_str().unwrap()]);
    let output = command.env("PCACHE_READONLY", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot import into"), "{said}");
    assert_eq!(home.json(&["list", "--json"])["files"], 0);
}

#[test]
fn cache_stays_below_its_limit() {
    let home = Home::new();
    let members: Vec<_> = (0..40u8).map(|n| entry(&[n; 10_000])).collect();
    let path = write(&home, &compressed(&tar(&members)));
    let mut command = home.command(&["import", "--json", path.to_str().unwrap()]);
    let output = command.env("PCACHE_MAX_SIZE", "100K").output().unwrap();
    assert_eq!(counts(&output)["entries"], 40);
    let held = home.json(&["list", "--json"])["bytes"].as_u64().unwrap();
    assert!(held > 50_000 && held <= 100 << 10, "{held}");
}
