use super::{SETTLING, Uploads};
use crate::config::Config;
use crate::includes::lookups::Lookups;
use crate::includes::path_set::{PathSet, list_with, read_list};
use crate::key::Roots;
use crate::remote::helper::reach::SearchReach;
use crate::remote::helper::serve::transfer;
use crate::remote::helper::transfer::{Sending, Transfer, WantedRecord};
use crate::remote::queue::Queue;
use crate::store::{Name, QueuedRecord, RecordId, Worth};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

const KEY: [u8; 32] = [7; 32];

/// A machine that has made a list with one path set, and shares what lies in `share`.
fn machine(home: &Path, share: &Path, header: &str) -> (Transfer, Uploads, PathSet) {
    let variable = |name: &str| match name {
        "HOME" => Some(home.into()),
        "PCACHE_DIR" => Some(home.join("cache").into()),
        "PCACHE_REMOTE" => Some(format!("file://{}", share.display()).into()),
        _ => None,
    };
    let (config, problems) = Config::load(&variable);
    assert!(problems.is_empty());
    let transfer = transfer(&config).unwrap();
    let lookups = Lookups {
        files: [PathBuf::from(header)].into(),
        ..Lookups::default()
    };
    let set = PathSet::new(&lookups, &Roots::default()).unwrap();
    let list = list_with(set.clone(), Vec::new()).unwrap();
    transfer.store.put_record(&KEY, &list).unwrap();
    let queue = Queue::at(home.join("queue"));
    let worth = Worth::Result;
    let record = QueuedRecord::Made(RecordId { worth, key: KEY });
    queue.add(&[record]).unwrap();
    (transfer, Uploads::of(queue), set)
}

/// A new directory.
fn made(parent: &Path, name: &str) -> PathBuf {
    let path = parent.join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

/// Where the share has its one value.
fn value(share: &Path) -> PathBuf {
    let mut values = fs::read_dir(share.join("main/ac")).unwrap();
    values.next().unwrap().unwrap().path()
}

/// Both machines read that there is no list; then one writes its own, and then the other.
#[test]
fn a_list_that_another_machine_replaced_at_the_same_moment_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| made(dir.path(), name);
    let share = path("share");
    let (first, uploads, set) = machine(&path("first"), &share, "/usr/include/a.h");
    let (other, others, other_set) =
        machine(&path("other"), &path("elsewhere"), "/usr/include/b.h");
    assert!(uploads.send_next(&first) && others.send_next(&other));
    fs::copy(value(&path("elsewhere")), value(&share)).unwrap();
    // It is not done before it has looked again.
    assert_eq!(uploads.waiting(), 1);
    assert!(!uploads.settle_next(&first, Instant::now() - SETTLING));
    let later = Instant::now() + 100 * SETTLING;
    assert!(uploads.settle_next(&first, later));
    assert_eq!(uploads.waiting(), 1);
    assert!(uploads.settle_next(&first, later));
    assert_eq!(uploads.waiting(), 0);
    let (third, _, _) = machine(&path("third"), &share, "/usr/include/c.h");
    let worth = Worth::Result;
    let id = RecordId { worth, key: KEY };
    let nowhere = SearchReach::default();
    third.fetch(WantedRecord::of(&id, &nowhere));
    let list = third.store.get_record(&KEY).unwrap().unwrap();
    let sets = read_list(&list).unwrap();
    assert_eq!(sets.len(), 3);
    assert!(sets.contains(&set) && sets.contains(&other_set));
}

/// A server that keeps nothing.
#[test]
fn a_list_is_not_written_forever() {
    let dir = tempfile::tempdir().unwrap();
    let (home, share) = (dir.path().join("home"), dir.path().join("share"));
    fs::create_dir_all(&home).unwrap();
    fs::create_dir_all(&share).unwrap();
    let (transfer, uploads, _) = machine(&home, &share, "/usr/include/a.h");
    assert!(uploads.send_next(&transfer));
    let mut rounds = 1;
    while uploads.waiting() > 0 {
        fs::remove_file(value(&share)).unwrap();
        assert!(uploads.settle_next(&transfer, Instant::now() + 100 * SETTLING));
        rounds += 1;
    }
    assert_eq!(rounds, 4);
}

/// A plan, a search order and questions to a compiler lie beside results, and say what runs. A server could offer some.
#[test]
fn what_a_list_names_is_only_stored_if_it_is_of_a_kind_that_machines_share() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| made(dir.path(), name);
    let share = path("share");
    let (sender, _, _) = machine(&path("sender"), &share, "/usr/include/a.h");
    let (reader, _, _) = machine(&path("reader"), &share, "/usr/include/a.h");
    let (worth, nowhere) = (Worth::Result, SearchReach::default());
    let records = [
        (&b"[]{}"[..], false),
        (b"[{\"program\":\"/tmp/evil\"}]", false),
        (b"{\"order\":[\"/tmp\"]}", false),
        (b"{\"program\":\"/tmp/evil\"}", false),
        (b"{\"depfiles\":[]}", true),
    ];
    for (number, (value, is_stored)) in (1..).zip(records) {
        let key = [number; 32];
        sender.store.put_record(&key, value).unwrap();
        let name = Name::of(&key);
        assert_eq!(
            sender.send(&QueuedRecord::Stored(worth, name)),
            Sending::Done
        );
        reader.fetch(WantedRecord::named(worth, name, &nowhere));
        let stored = reader.store.get_record(&key).unwrap();
        assert_eq!(
            stored.is_some(),
            is_stored,
            "{}",
            String::from_utf8_lossy(value)
        );
    }
}
