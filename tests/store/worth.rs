//! What is cheap to make again is evicted before what is dear; what was just stored is not evicted; limits on bytes and
//! on files hold.

use crate::noise::noise;
use pcache_nvcc::store::{Adoption, Artefact, FileStore, Name, OfferedFile, Policy, Tree, Worth};
use std::path::Path;

const KIB: usize = 1024;

const POLICIES: [Policy; 4] = [
    Policy::Lru,
    Policy::Fifo,
    Policy::Lfu,
    Policy::Random { seed: 1 },
];

fn open(root: &Path, max: usize) -> FileStore {
    FileStore::open(root, max as u64).unwrap()
}

fn bytes(store: &FileStore) -> usize {
    store.recount().unwrap().bytes as usize
}

fn holds(store: &FileStore, artefact: &Artefact) -> bool {
    store.get_artefact(artefact).unwrap().is_some()
}

#[test]
fn an_artefact_is_found_whatever_it_is_worth() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 1 << 30);
    let content = noise(1, 5000);
    let artefact = store.put_intermediate(&content).unwrap();
    let [as_result, as_intermediate] = ["entries", "intermediates/entries"].map(|tree| {
        dir.path()
            .join(tree)
            .join(Name::of(&artefact.key()).to_string())
    });
    assert!(as_intermediate.exists() && !as_result.exists());
    assert!(holds(&store, &artefact));
    // As a result too, it must not be lost with the intermediates.
    store.put_artefact(&content).unwrap();
    assert!(as_result.exists());
    std::fs::remove_file(as_intermediate).unwrap();
    assert!(holds(&store, &artefact));
    assert_eq!(store.put_intermediate(&content).unwrap(), artefact);
    assert_eq!(store.recount().unwrap().entries, 1);
}

#[test]
fn results_outlive_the_intermediates_that_made_them() {
    for policy in POLICIES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), 200 * KIB).with_policy(policy);
        let mut results = Vec::new();
        for unit in 0..10_u8 {
            store.put_record(&[unit], &noise(unit.into(), 500)).unwrap();
            results.push(
                store
                    .put_artefact(&noise(1000 + u64::from(unit), 4 * KIB))
                    .unwrap(),
            );
            for part in 0..8 {
                let seed = u64::from(unit) * 10 + part;
                store
                    .put_intermediate(&noise(2000 + seed, 6 * KIB))
                    .unwrap();
            }
        }
        assert!(bytes(&store) <= 200 * KIB);
        assert!(
            results.iter().all(|result| holds(&store, result)),
            "{policy:?}"
        );
        assert!((0..10).all(|unit| store.get_record(&[unit]).unwrap().is_some()));
    }
}

#[test]
fn a_full_store_of_results_takes_new_intermediates() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 200 * KIB);
    for seed in 0..100 {
        store.put_artefact(&noise(seed, 4 * KIB)).unwrap();
    }
    let new: Vec<_> = (0..5)
        .map(|seed| store.put_intermediate(&noise(500 + seed, 4 * KIB)).unwrap())
        .collect();
    assert!(new.iter().all(|artefact| holds(&store, artefact)));
}

#[test]
fn a_value_of_nearly_the_size_limit_is_kept() {
    for policy in POLICIES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), 200 * KIB).with_policy(policy);
        for seed in 0..40 {
            store.put_artefact(&noise(seed, 4 * KIB)).unwrap();
        }
        let large = store.put_artefact(&noise(99, 199 * KIB)).unwrap();
        assert!(holds(&store, &large), "{policy:?}");
        assert!(bytes(&store) <= 200 * KIB);
        let small = store.put_artefact(&noise(100, 8 * KIB)).unwrap();
        assert!(holds(&store, &small) && bytes(&store) <= 200 * KIB);
    }
}

#[test]
fn a_large_value_never_takes_the_store_beyond_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 400 * KIB);
    for seed in 0..200 {
        store.put_artefact(&noise(seed, 3 * KIB)).unwrap();
    }
    // The first listing by another process would see what is there between the writing and the eviction.
    store.make_room(100 * KIB as u64, Worth::Result).unwrap();
    assert!(bytes(&store) <= 300 * KIB);
    store.put_artefact(&noise(999, 100 * KIB)).unwrap();
    assert!(bytes(&store) <= 400 * KIB);
}

#[test]
fn the_number_of_files_is_limited() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 1 << 30).with_max_files(50);
    let mut last = None;
    for seed in 0..200_u64 {
        store.put_record(&seed.to_le_bytes(), b"a record").unwrap();
        last = Some(store.put_artefact(&noise(seed, 100)).unwrap());
        assert!(store.stats().store_size().unwrap().files() <= 50);
    }
    let held = store.recount().unwrap();
    assert!((40..=50).contains(&held.files()), "{held:?}");
    assert!(holds(&store, &last.unwrap()));
    assert!(store.get_record(&199_u64.to_le_bytes()).unwrap().is_some());
    assert!(store.get_record(&0_u64.to_le_bytes()).unwrap().is_none());
}

#[test]
fn a_limit_of_few_files_holds() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 1 << 30).with_max_files(3);
    for seed in 0..20 {
        let last = store.put_artefact(&noise(seed, 100)).unwrap();
        assert!(holds(&store, &last));
        assert!(store.recount().unwrap().files() <= 3);
    }
}

#[test]
fn a_large_intermediate_evicts_no_result() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 1000 * KIB);
    let result = store.put_artefact(&noise(1, 600 * KIB)).unwrap();
    let small: Vec<_> = (10..20)
        .map(|seed| store.put_intermediate(&noise(seed, 20 * KIB)).unwrap())
        .collect();
    let large = store.put_intermediate(&noise(2, 210 * KIB)).unwrap();
    assert!(holds(&store, &result) && holds(&store, &large));
    assert!(!small.iter().all(|artefact| holds(&store, artefact)));
    assert!(bytes(&store) <= 1000 * KIB);
    // It could only stay instead of results.
    store.put_intermediate(&noise(3, 590 * KIB)).unwrap_err();
    assert!(holds(&store, &result) && holds(&store, &large));
}

#[test]
fn an_offered_intermediate_that_would_not_be_stored_is_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 100 * KIB);
    // More than a quarter of what an eviction leaves.
    let content = noise(1, 30 * KIB);
    let adopt = |tree| {
        let offered = OfferedFile {
            tree,
            name: Name::of(&Artefact::of(&content).key()),
            size: content.len() as u64,
            content: &mut &content[..],
        };
        store.adopt(offered, &|_| true).unwrap()
    };
    for tree in Tree::ALL {
        if tree.worth == Worth::Intermediate {
            assert_eq!(adopt(tree), Adoption::TooLarge);
        }
    }
    assert_eq!(bytes(&store), 0);
}
