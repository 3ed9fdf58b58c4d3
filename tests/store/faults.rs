//! The file-stream store on broken ground: full disks, missing rights, planted links, flipped bits. An
//! operation reports an error or a miss; nothing wrong is served, and nothing elsewhere is touched.
//! Some tests are this program again, in a name space with mounts of its own or as another user.

use crate::again::{ROOT, mounting, name_of, passes, root};
use pcache_nvcc::stats::Counter;
use pcache_nvcc::store::{Artefact, FileStore, Name, StoreError};
use std::env;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const PLENTY: u64 = 1 << 30;
const NOBODY: u32 = 65534;

fn entry_path(root: &Path, key: &[u8]) -> PathBuf {
    root.join(format!("entries/{}", Name::of(key)))
}

fn record_path(root: &Path, key: &[u8]) -> PathBuf {
    root.join(format!("manifests/results/{}", Name::of(key)))
}

fn errors(store: &FileStore) -> u64 {
    store.stats().snapshot().get(Counter::Error)
}

fn kind_of<T: std::fmt::Debug>(refused: Result<T, StoreError>) -> ErrorKind {
    match refused.unwrap_err() {
        StoreError::Io { error, .. } => error.kind(),
        other => panic!("{other}"),
    }
}

/// Runs the test `name` of this program again, on a file system of its own that is mounted with these options.
fn mounted(name: &str, options: &str) {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o {options} tmpfs \"${ROOT}\" && exec \"$0\" \"$@\"");
    passes(mounting(&["sh", "-c", &script]), name, dir.path());
}

/// Puts until the store refuses; how many went in, and the refusal.
fn fill(store: &FileStore, value: &[u8]) -> (u32, StoreError) {
    for n in 0..10_000u32 {
        if let Err(refused) = store.put(&n.to_le_bytes(), value) {
            return (n, refused);
        }
    }
    panic!("10000 puts and no end");
}

/// What must hold after `stored` puts of `value` and a refusal.
fn is_sound_after_refusal(root: &Path, store: &FileStore, stored: u32, value: &[u8]) {
    assert!(stored > 0);
    for n in 0..stored {
        assert_eq!(store.get(&n.to_le_bytes()).unwrap().unwrap(), value);
    }
    assert_eq!(store.get(&stored.to_le_bytes()).unwrap(), None);
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0);
    let counted = store.stats().store_size().unwrap();
    assert_eq!(counted, store.recount().unwrap());
}

#[test]
fn full_disk_refuses_puts_and_serves_the_rest() {
    let Some(root) = root() else {
        return mounted(
            name_of(full_disk_refuses_puts_and_serves_the_rest),
            "size=256k,mode=700",
        );
    };
    let store = FileStore::open(&root, PLENTY).unwrap();
    let value = [7; 10_000];
    let (stored, refused) = fill(&store, &value);
    let said = refused.to_string();
    assert!(
        said.contains("free space, or lower PCACHE_MAX_SIZE"),
        "{said}"
    );
    is_sound_after_refusal(&root, &store, stored, &value);
    assert_eq!(
        kind_of(store.put_artefact(&[1; 50_000])),
        ErrorKind::StorageFull
    );
    assert_eq!(
        kind_of(store.put_record(b"r", &[1; 50_000])),
        ErrorKind::StorageFull
    );
    assert_eq!(store.get_record(b"r").unwrap(), None);
    // Compressed, and still more than fits.
    let noise = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 & 0x3f);
    let noise: Vec<u8> = noise.collect();
    assert_eq!(
        kind_of(store.put_intermediate(&noise)),
        ErrorKind::StorageFull
    );
    let lost = store.get_artefact(&Artefact::of(&noise)).unwrap();
    assert_eq!(lost, None);
    assert!(store.remove(&0u32.to_le_bytes()).unwrap());
    store.put(b"fits", &value).unwrap();
    // A cache that is begun on a disk without a free byte.
    fs::write(root.join("filler"), vec![0; 1 << 20]).unwrap_err();
    if let Ok(new) = FileStore::open(&root.join("new"), PLENTY) {
        assert_eq!(new.get(b"key").unwrap(), None);
        assert_eq!(kind_of(new.put(b"key", &value)), ErrorKind::StorageFull);
        assert_eq!(new.get(b"key").unwrap(), None);
    }
}

#[test]
fn limit_on_file_sizes_refuses_puts_and_serves_the_rest() {
    let Some(root) = root() else {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        // Without the trap, the signal would end the process at the first write.
        let script = "trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\"";
        command
            .args(["-c", script])
            .arg(env::current_exe().unwrap());
        let name = name_of(limit_on_file_sizes_refuses_puts_and_serves_the_rest);
        return passes(command, name, dir.path());
    };
    let store = FileStore::open(&root, PLENTY).unwrap();
    store.put(&0u32.to_le_bytes(), b"small").unwrap();
    let large = vec![1; 100_000];
    assert_eq!(kind_of(store.put(b"key", &large)), ErrorKind::FileTooLarge);
    assert_eq!(kind_of(store.put_artefact(&large)), ErrorKind::FileTooLarge);
    is_sound_after_refusal(&root, &store, 1, b"small");
}

#[test]
fn read_only_mount_serves_and_reports_what_it_cannot_do() {
    let Some(root) = root() else {
        return mounted(
            name_of(read_only_mount_serves_and_reports_what_it_cannot_do),
            "size=1m,mode=700",
        );
    };
    let store = FileStore::open(&root, PLENTY).unwrap();
    store.put(b"key", b"value").unwrap();
    let artefact = store.put_artefact(b"object").unwrap();
    store.put_record(b"key", b"record").unwrap();
    drop(store);
    let mut remount = Command::new("mount");
    let remount = remount.args(["-o", "remount,ro"]).arg(&root);
    assert!(remount.status().unwrap().success());
    for cap in [PLENTY, 1] {
        let store = FileStore::open(&root, cap).unwrap();
        assert_eq!(store.get(b"key").unwrap().unwrap(), b"value");
        assert_eq!(store.get_artefact(&artefact).unwrap().unwrap(), b"object");
        assert_eq!(store.get_record(b"key").unwrap().unwrap(), b"record");
        assert_eq!(store.len().unwrap(), 2);
        assert_eq!(store.bytes().unwrap(), 5 + 6 + 87 + 6);
        let read_only = ErrorKind::ReadOnlyFilesystem;
        assert_eq!(kind_of(store.put(b"b", b"1")), read_only);
        assert_eq!(kind_of(store.remove(b"key")), read_only);
        assert_eq!(kind_of(store.clear()), read_only);
        assert_eq!(
            store.put_artefact(b"object").unwrap(),
            artefact,
            "it is there"
        );
    }
}

#[test]
fn order_of_reading_is_kept_on_a_mount_without_access_times() {
    let Some(root) = root() else {
        let name = name_of(order_of_reading_is_kept_on_a_mount_without_access_times);
        return mounted(name, "size=1m,noatime,mode=700");
    };
    let store = FileStore::open(&root, 100).unwrap();
    for key in [b"a", b"b", b"c"] {
        store.put(key, &[0; 30]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    store.get(b"a").unwrap().unwrap();
    store.put(b"d", &[0; 30]).unwrap();
    assert_eq!(store.get(b"b").unwrap(), None);
    assert!(store.get(b"a").unwrap().is_some());
}

#[test]
fn missing_rights_are_reported() {
    let name = name_of(missing_rights_are_reported);
    let Some(root) = root() else {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        if rustix::process::geteuid().is_root() {
            // Nothing is forbidden to root.
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            command.uid(NOBODY).gid(NOBODY);
        }
        return passes(command, name, dir.path());
    };
    let store = FileStore::open(&root, PLENTY).unwrap();
    store.put(b"key", b"value").unwrap();
    let artefact = store.put_artefact(b"object").unwrap();
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let denied = ErrorKind::PermissionDenied;

    let path = entry_path(&root, b"key");
    set(&path, 0);
    assert_eq!(kind_of(store.get(b"key")), denied);
    assert!(
        store
            .get(b"key")
            .unwrap_err()
            .to_string()
            .contains("owner and mode")
    );
    store.put(b"key", b"new").unwrap();
    assert_eq!(
        store.get(b"key").unwrap().unwrap(),
        b"new",
        "a put mends it"
    );

    let shard = entry_path(&root, &artefact.key());
    let shard = shard.parent().unwrap();
    set(shard, 0o500);
    assert_eq!(store.get_artefact(&artefact).unwrap().unwrap(), b"object");
    assert_eq!(kind_of(store.remove(&artefact.key())), denied);
    assert_eq!(kind_of(store.clear()), denied);
    assert_eq!(store.get(b"key").unwrap(), None, "all others are cleared");
    set(shard, 0);
    assert_eq!(kind_of(store.get_artefact(&artefact)), denied);
    assert_eq!(kind_of(store.len()), denied);
    assert_eq!(kind_of(store.recount()), denied);
    set(shard, 0o700);
    set(&root.join("tmp"), 0o500);
    assert_eq!(kind_of(store.put(b"b", b"1")), denied);
    set(&root.join("tmp"), 0o700);
    store.put(b"b", b"1").unwrap();
    assert_eq!(store.stats().store_size(), Some(store.recount().unwrap()));
}

#[test]
fn file_of_another_owner_is_served_and_replaced() {
    let name = name_of(file_of_another_owner_is_served_and_replaced);
    let Some(root) = root() else {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        let store = FileStore::open(dir.path(), PLENTY).unwrap();
        store.put(b"key", b"value").unwrap();
        let shard = entry_path(dir.path(), b"key");
        let shard = shard.parent().unwrap().to_owned();
        drop(store);
        if rustix::process::geteuid().is_root() {
            for path in [
                dir.path(),
                &dir.path().join("entries"),
                &shard,
                &dir.path().join("tmp"),
            ] {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
            fs::set_permissions(
                entry_path(dir.path(), b"key"),
                Permissions::from_mode(0o644),
            )
            .unwrap();
            command.uid(NOBODY).gid(NOBODY);
        }
        return passes(command, name, dir.path());
    };
    // The counters are the other's as well.
    let store = FileStore::open(&root, PLENTY).unwrap();
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"value");
    store.put(b"key", b"mine").unwrap();
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"mine");
    assert!(store.remove(b"key").unwrap());
}

#[test]
fn links_in_the_place_of_shards_lead_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), 1000).unwrap();
    let artefact = Artefact::of(b"object");
    store.put_record(b"other", b"1").unwrap();
    for path in [
        entry_path(dir.path(), &artefact.key()),
        record_path(dir.path(), b"key"),
    ] {
        let (shard, name) = (path.parent().unwrap(), path.file_name().unwrap());
        fs::create_dir_all(shard.parent().unwrap()).unwrap();
        symlink(elsewhere.path(), shard).unwrap();
        fs::write(elsewhere.path().join(name), b"object").unwrap();
    }
    assert!(store.get_artefact(&artefact).is_err());
    assert!(store.get_record(b"key").is_err());
    assert!(store.remove(&artefact.key()).is_err());
    assert_eq!(store.len().unwrap(), 0);
    assert_eq!(store.recount().unwrap().records, 1);
    store.put(b"large", &[0; 990]).unwrap();
    store.clear().unwrap();
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    // A put moves the link itself aside.
    store.put_artefact(b"object").unwrap();
    store.put_record(b"key", b"value").unwrap();
    assert_eq!(store.get_artefact(&artefact).unwrap().unwrap(), b"object");
    assert_eq!(store.get_record(b"key").unwrap().unwrap(), b"value");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 2);
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 2);
}

/// Every name below a directory, sorted.
fn names_below(place: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![place.to_owned()];
    while let Some(place) = left.pop() {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.clone());
            left.extend(path.is_dir().then_some(path));
        }
    }
    found.sort();
    found
}

#[test]
fn links_planted_while_the_store_is_open_lead_nowhere() {
    for planted in ["entries", "tmp", "locks", "manifests", "intermediates"] {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path(), 100).unwrap();
        store.put(b"key", &[1; 60]).unwrap();
        store.put_record(b"key", b"").unwrap();
        let _ = fs::rename(dir.path().join(planted), dir.path().join("gone"));
        // As another cache has them, and beside it.
        for shard in 0..=u8::MAX {
            let results = elsewhere.path().join("results");
            for place in [elsewhere.path(), results.as_path()] {
                let shard = place.join(format!("{shard:02x}"));
                fs::create_dir_all(&shard).unwrap();
                fs::write(shard.join("thesis"), "years of work").unwrap();
            }
        }
        let before = names_below(elsewhere.path());
        symlink(elsewhere.path(), dir.path().join(planted)).unwrap();
        let _ = store.put(b"b", &[2; 60]);
        let _ = store.put_record(b"b", b"");
        let _ = (store.get(b"key"), store.get_record(b"key"), store.clear());
        assert_eq!(names_below(elsewhere.path()), before, "{planted}");
    }
}

#[test]
fn flipped_bits_of_artefacts_and_records_are_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    let artefact = store.put_artefact(b"some object code").unwrap();
    store.put_record(b"key", b"a record").unwrap();
    let (entry, record) = (
        entry_path(dir.path(), &artefact.key()),
        record_path(dir.path(), b"key"),
    );
    let mut noticed = 0;
    for path in [&entry, &record] {
        let good = fs::read(path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(path, &bad).unwrap();
            if path == &entry {
                assert_eq!(store.get_artefact(&artefact).unwrap(), None, "bit {bit}");
            } else {
                assert_eq!(store.get_record(b"key").unwrap(), None, "bit {bit}");
            }
            assert!(!path.exists());
            noticed += 1;
        }
    }
    assert_eq!(errors(&store), noticed);
}

#[test]
fn flipped_bits_of_pages_harm_nothing_that_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let store = FileStore::open(root, 10_000).unwrap();
    let artefact = store.put_artefact(b"object").unwrap();
    store.put_record(b"key", b"value").unwrap();
    drop(store);
    let held = usize::from(Name::of(&artefact.key()).0[0]);
    // Every bit of the headers and of the store's words; of the rows, which are alike: that of the
    // artefact and that of unfinished files. With PCACHE_TEST_ALL_BITS, every bit of both pages.
    let all_bits = std::env::var_os("PCACHE_TEST_ALL_BITS").is_some();
    let rows = [held, 256].map(|row| 16 + 4 * row..20 + 4 * row);
    let words = (0..4).chain(rows.into_iter().flatten());
    let cases = (0..2)
        .chain(36..38)
        .map(|word| ("counters", word))
        .chain(words.map(|word| ("shards", word)));
    let every = (0..512)
        .map(|word| ("counters", word))
        .chain((0..1536).map(|word| ("shards", word)));
    let cases: Vec<_> = if all_bits {
        every.collect()
    } else {
        cases.collect()
    };
    for (page, word) in cases {
        let path = root.join(page);
        let good = fs::read(&path).unwrap();
        for bit in word * 64..word * 64 + 64 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bad).unwrap();
            let store = FileStore::open(root, 10_000).unwrap();
            assert_eq!(
                store.get_record(b"key").unwrap().unwrap(),
                b"value",
                "{page} bit {bit}"
            );
            store.put(b"other", b"1").unwrap();
            let served = store.get_artefact(&artefact).unwrap();
            assert_eq!(served.as_deref(), Some(&b"object"[..]), "{page} bit {bit}");
            if bit % 16 != 15 {
                continue;
            }
            let found = store.recount().unwrap();
            assert_eq!((found.entries, found.records), (2, 1), "{page} bit {bit}");
            assert_eq!(store.stats().store_size(), Some(found), "{page} bit {bit}");
        }
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn directories_that_vanish_at_any_moment_are_a_miss_or_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    for vanishes in ["entries", "manifests", "tmp", "locks", "counters", "shards"] {
        store.put(b"key", b"value").unwrap();
        store.put_record(b"key", b"value").unwrap();
        let path = dir.path().join(vanishes);
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        for served in [
            store.get(b"key").unwrap(),
            store.get_record(b"key").unwrap(),
        ] {
            assert!(served.is_none_or(|value| value == b"value"));
        }
        store.clear().unwrap();
        assert!(store.is_empty().unwrap());
    }
    assert_eq!(errors(&store), 0);
}

#[test]
fn what_is_in_the_way_is_moved_aside_and_never_followed() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("thesis"), "years of work").unwrap();
    let plant: [fn(&Path, &Path); 4] = [
        |record, _| fs::create_dir_all(record).unwrap(),
        |record, _| fs::create_dir_all(record.join("full")).unwrap(),
        |record, _| {
            fs::create_dir_all(record.parent().unwrap().parent().unwrap()).unwrap();
            fs::write(record.parent().unwrap(), "").unwrap();
        },
        |record, elsewhere| {
            fs::create_dir_all(record.parent().unwrap().parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(elsewhere, record.parent().unwrap()).unwrap();
        },
    ];
    for plant in plant {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path(), PLENTY).unwrap();
        plant(&record_path(dir.path(), b"key"), elsewhere.path());
        store.put_record(b"key", b"record").unwrap();
        assert_eq!(store.get_record(b"key").unwrap().unwrap(), b"record");
        let aside = fs::read_dir(dir.path().join("tmp")).unwrap();
        let aside = aside.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(aside.filter(|name| name.starts_with("strange-")).count(), 1);
        store.collect(&mut |_, _, _| {}).unwrap();
        store.clear().unwrap();
    }
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}
