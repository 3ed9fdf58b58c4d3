//! A store in a directory in which others can write: the rights of what is made there, what lies elsewhere, and
//! what is believed of files that others have moved. What other users do is in scripts/neighbours, which needs root.

use pcache_nvcc::config::Config;
use pcache_nvcc::store::{Artefact, Backend, FileStore, KeyRefusal, Name, Privacy, StoreError};
use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory that a group shares, and one in which the user's own files are.
struct Shared {
    cache: TempDir,
    private: TempDir,
}

impl Shared {
    fn new() -> Self {
        let cache = tempfile::tempdir().unwrap();
        set_mode(cache.path(), 0o2770);
        let private = tempfile::tempdir().unwrap();
        Self { cache, private }
    }

    fn config(&self, settings: &[(&str, &str)]) -> Config {
        let (config, _) = Config::load(&|name| match name {
            "PCACHE_DIR" => Some(self.cache.path().into()),
            "PCACHE_PRIVATE_DIR" => Some(self.private.path().into()),
            _ => {
                let found = settings.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).into())
            }
        });
        config
    }

    fn open(&self) -> FileStore {
        FileStore::from_config(&self.config(&[])).unwrap()
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// The one record below `root`.
fn only_record(root: &Path) -> PathBuf {
    let mut found = vec![root.join("manifests/results")];
    while let Some(path) = found.pop() {
        if path.is_file() {
            return path;
        }
        found.extend(
            fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().path()),
        );
    }
    panic!("no record below {root:?}");
}

#[test]
fn shared_root_makes_shared_files() {
    let shared = Shared::new();
    let store = FileStore::from_config(&shared.config(&[("PCACHE_MAX_SIZE", "200")])).unwrap();
    let root = shared.cache.path();
    store.put(b"a", &[0; 60]).unwrap();
    store.put_record(b"a", b"").unwrap();
    let shard = format!("entries/{}", &Name::of(b"a").to_string()[..2]);
    store.put(b"a", &[0; 60]).unwrap();
    for made in ["entries", "manifests", "manifests/results", "tmp", &shard] {
        assert_eq!(mode(&root.join(made)), 0o2770, "{made}");
    }
    for made in ["counters", "shards"] {
        assert_eq!(mode(&root.join(made)), 0o660, "{made}");
    }
    // What one user has made, others replace and do not change.
    let entry = root.join(format!("entries/{}", Name::of(b"a")));
    assert_eq!(mode(&entry), 0o640);
}

#[test]
fn what_steers_lies_where_no_other_user_can_write() {
    let shared = Shared::new();
    let store = shared.open();
    store.put_order(b"a", b"steers").unwrap();
    assert_eq!(store.get_order(b"a").unwrap().unwrap(), b"steers");
    store.note("{\"v\":1}").unwrap();
    assert_eq!(store.noted().unwrap(), ["{\"v\":1}"]);
    store.put_record(b"a", b"").unwrap();
    let own = store.own_dir().unwrap();
    assert!(own.starts_with(shared.private.path()));
    for (made, expected) in [("", 0o700), ("key", 0o600), ("manifests/results", 0o700)] {
        assert_eq!(mode(&own.join(made)), expected, "{made}");
    }
    assert!(own.join("journal").is_dir());
    for made in ["journal", "locks", "key"] {
        assert!(!shared.cache.path().join(made).exists(), "{made}");
    }
}

#[test]
fn private_cache_has_no_files_for_others() {
    let own = tempfile::tempdir().unwrap();
    set_mode(own.path(), 0o700);
    let store = FileStore::open(own.path(), 100).unwrap();
    store.put(b"a", b"1").unwrap();
    let entry = own.path().join(format!("entries/{}", Name::of(b"a")));
    assert_eq!(mode(&entry) & 0o077, 0);
}

#[test]
fn what_a_user_remembers_elsewhere_is_written_for_a_cache_that_is_only_read() {
    let shared = Shared::new();
    drop(shared.open());
    let others = Shared {
        private: tempfile::tempdir().unwrap(),
        ..shared
    };
    let config = others.config(&[("PCACHE_READONLY", "1")]);
    assert_eq!(FileStore::reading(&config).unwrap().own_dir(), None);
    let reader = FileStore::from_config(&config).unwrap();
    assert!(reader.may_change_own() && reader.own_dir().unwrap().is_dir());
    reader.note("{\"v\":1}").unwrap();
    assert_eq!(reader.noted().unwrap(), ["{\"v\":1}"]);
}

/// A member who can write in the cache can have another one's compile store chosen bytes, such as a message of a
/// compiler, and move the file that holds them to any other name. The file still belongs to the victim.
#[test]
fn stored_bytes_that_others_move_to_another_name_are_not_believed() {
    let shared = Shared::new();
    let store = shared.open();
    store.put_order(b"plan", b"runs their program").unwrap();
    let own = store.own_dir().unwrap().to_owned();
    let order = only_record(&own);
    let (name, bytes) = (order.strip_prefix(&own).unwrap(), fs::read(&order).unwrap());
    fs::remove_file(&order).unwrap();
    let artefact = store.put_artefact(&bytes).unwrap();
    let entries = shared.cache.path().join("entries");
    let stored = entries.join(Name::of(&artefact.key()).to_string());
    let planted = shared.cache.path().join(name);
    fs::create_dir_all(planted.parent().unwrap()).unwrap();
    fs::rename(&stored, &planted).unwrap();
    assert_eq!(shared.open().get_order(b"plan").unwrap(), None);
    // In the place of a result it has no signature.
    store.put_record(b"unit", b"gives their object").unwrap();
    let results = shared.cache.path().join("manifests/results");
    fs::remove_file(&planted).unwrap();
    let record = only_record(shared.cache.path());
    assert!(record.starts_with(&results));
    fs::write(&record, &bytes).unwrap();
    assert_eq!(shared.open().get_record(b"unit").unwrap(), None);
    let artefact = Artefact::of(&bytes);
    assert_eq!(store.get_artefact(&artefact).unwrap(), None);
}

/// A value without a record has no signature, and the owner of its file says nothing here.
#[test]
fn values_that_nothing_verifies_are_not_believed_where_others_can_write() {
    let shared = Shared::new();
    let store = shared.open();
    let planted = store.put_artefact(b"chosen bytes").unwrap();
    let entries = shared.cache.path().join("entries");
    let place = entries.join(Name::of(b"value").to_string());
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    let moved = entries.join(Name::of(&planted.key()).to_string());
    fs::rename(moved, place).unwrap();
    assert_eq!(store.get(b"value").unwrap(), None);
    let made = store.get_or_insert_with(b"value", || Ok::<_, Infallible>(b"made".to_vec()));
    assert_eq!(made.unwrap(), b"made");
}

#[test]
fn where_no_key_can_be_nothing_is_stored_and_the_error_says_so() {
    let shared = Shared::new();
    set_mode(shared.private.path(), 0o770);
    assert!(matches!(
        Privacy::of(shared.private.path()),
        Privacy::OfOthers(_)
    ));
    let store = shared.open();
    assert_eq!(store.own_dir(), None);
    for refused in [
        store.put_record(b"a", b"").unwrap_err(),
        store.put_artefact(b"a").unwrap_err(),
    ] {
        assert!(matches!(refused, StoreError::NoKey { .. }), "{refused}");
        assert!(refused.to_string().contains("PCACHE_PRIVATE_DIR"));
    }
    // Where there is nothing yet, a compile makes it.
    let new = shared.private.path().join("new");
    assert!(matches!(Privacy::examined(&new), Privacy::Private));
    let relative = Privacy::of(Path::new("relative"));
    assert!(matches!(relative, Privacy::Unusable(_)));
}

#[test]
fn key_that_is_named_by_a_relative_path_is_refused() {
    let config = Shared::new().config(&[("PCACHE_KEY", "key")]);
    let refused = FileStore::from_config(&config).unwrap_err().to_string();
    assert!(refused.contains("not an absolute path"), "{refused}");
}

#[test]
fn reason_why_a_key_is_not_used_is_known() {
    let shared = Shared::new();
    let signing = shared.cache.path().join("signing");
    fs::create_dir(&signing).unwrap();
    let why = || match shared.open().refused_key() {
        Some(KeyRefusal::Unsafe(why)) => why.clone(),
        other => panic!("{other:?}"),
    };
    set_mode(&signing, 0o770);
    assert!(why().contains("directory"));
    set_mode(&signing, 0o750);
    let key = signing.join("key");
    fs::write(&key, "no key\n").unwrap();
    set_mode(&key, 0o660);
    assert!(why().contains("mode is 660"));
    set_mode(&key, 0o640);
    assert!(why().contains("no key"));
    fs::remove_dir_all(&signing).unwrap();
    assert_eq!(shared.open().refused_key(), None);
}
