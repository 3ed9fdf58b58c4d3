//! Which names that a compile looked at lead to one file, and which to different ones. NVRTC tells files apart by device
//! and inode: it skips a header that it has read under another name if that asks to be read once, or is guarded, and
//! takes a header for one that was passed in memory if that one's name is a link to it. `#include_next` compares
//! directories in the same way. Looks at the disk when the compile is done.

use crate::includes::lookups::{Doubt, Lookups};
use crate::stat::Stat;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

type Identity = (u64, u64);

/// Puts into `lookups` what must stay so of their files, whose `texts` are in the same order, of the files that were
/// only looked at, and of the directories. `stand_ins` are places of what was passed in memory at which there is a
/// file: none of the others may become that one.
///
/// # Errors
/// Something has gone meanwhile.
pub(super) fn relate(
    lookups: &mut Lookups,
    texts: &[Vec<u8>],
    stand_ins: &BTreeSet<PathBuf>,
) -> Result<(), Doubt> {
    let mut first: HashMap<Identity, PathBuf> = HashMap::new();
    let mut equal: HashMap<&[u8], Vec<PathBuf>> = HashMap::new();
    let Lookups {
        files,
        present,
        directories,
        same,
        distinct,
        probed,
        ..
    } = lookups;
    for (path, text) in files.iter().zip(texts) {
        match first.entry(identity(path)?) {
            std::collections::hash_map::Entry::Occupied(other) => {
                same.insert((path.clone(), other.get().clone()));
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                equal.entry(text).or_default().push(path.clone());
                place.insert(path.clone());
            }
        }
    }
    // Files of different content cannot become one unseen.
    let copies = equal.into_values().filter(|paths| paths.len() > 1);
    distinct.extend(copies.flatten());
    for path in present.intersection(stand_ins) {
        let place = identity(path)?;
        if !first.contains_key(&place) {
            distinct.insert(path.clone());
            distinct.extend(first.values().cloned());
            first.insert(place, path.clone());
        }
    }
    for path in present.iter() {
        // What was skipped was not read, and nothing else tells that it is as it was.
        probed.insert(path.clone());
        if let Some(other) = first.get(&identity(path)?).filter(|other| *other != path) {
            same.insert((path.clone(), other.clone()));
        }
    }
    let mut known: HashMap<Identity, &Path> = HashMap::new();
    for path in directories.iter() {
        match known.get(&identity(path)?) {
            Some(other) => drop(same.insert((path.clone(), other.to_path_buf()))),
            None => drop(known.insert(identity(path)?, path)),
        }
    }
    if known.len() > 1 {
        distinct.extend(known.into_values().map(Path::to_owned));
    }
    Ok(())
}

fn identity(path: &Path) -> Result<Identity, Doubt> {
    let found = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Stat::from(&found).identity())
}

#[cfg(test)]
mod tests {
    use super::relate;
    use crate::includes::lookups::Lookups;
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn names_of_one_file_are_tied_and_equal_files_kept_apart() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, text) in [("a", "1"), ("b", "1"), ("c", "2"), ("p", "3")] {
            fs::write(at(name), text).unwrap();
        }
        symlink("a", at("link")).unwrap();
        fs::hard_link(at("c"), at("hard")).unwrap();
        fs::create_dir(at("d")).unwrap();
        symlink("d", at("e")).unwrap();
        let mut lookups = Lookups {
            files: ["a", "b", "c"].map(at).into(),
            present: ["hard", "link", "p"].map(at).into(),
            directories: [at("d"), at("e"), dir.path().to_owned()].into(),
            ..Lookups::default()
        };
        let texts = ["1", "1", "2"].map(|text| text.as_bytes().to_vec());
        let before = lookups.clone();
        relate(&mut lookups, &texts, &BTreeSet::new()).unwrap();
        let pairs = [("e", "d"), ("hard", "c"), ("link", "a")];
        assert_eq!(
            lookups.same,
            pairs.map(|(one, other)| (at(one), at(other))).into()
        );
        let apart = [dir.path().to_owned(), at("a"), at("b"), at("d")];
        assert_eq!(lookups.distinct, apart.into());
        assert_eq!(lookups.probed, before.present);

        let mut lookups = before;
        symlink("p", at("q")).unwrap();
        lookups.present.insert(at("q"));
        relate(&mut lookups, &texts, &[at("p")].into()).unwrap();
        assert!(lookups.same.contains(&(at("q"), at("p"))));
        let apart = ["a", "b", "c", "d", "p"].map(at).into_iter();
        let apart = apart.chain([dir.path().to_owned()]);
        assert_eq!(lookups.distinct, apart.collect());
    }
}
