//! Records which paths of a compile lead to one file, and which to different files. NVRTC identifies files by device
//! and inode: it skips a header that it has already read under another name if the header asks to be read once or is
//! guarded, and it takes a file for a header that was passed in memory if that header's name is a link to the file.
//! `#include_next` compares directories in the same way. Examines the disk after the compile.

use crate::includes::lookups::{Lookups, NotStored};
use crate::stat::Stat;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

type Identity = (u64, u64);

/// Adds to `lookups` the pairs of paths that must stay one file or directory, and the paths that must stay different.
/// Considers their files, whose `texts` are in the same order, the files that were only probed, and the directories.
/// `stand_ins` are existing files with the path of a header that was passed in memory: no other file may become the
/// same as one of them.
///
/// # Errors
/// A file or directory has gone meanwhile.
pub(super) fn relate(
    lookups: &mut Lookups,
    texts: &[Vec<u8>],
    stand_ins: &BTreeSet<PathBuf>,
) -> Result<(), NotStored> {
    // The first path of each file.
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
    // Only files of equal content: files of different content cannot become one file without a change of content.
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
        // NVRTC did not read a header that it skipped, so nothing else confirms that it is unchanged.
        probed.insert(path.clone());
        if let Some(other) = first.get(&identity(path)?).filter(|other| *other != path) {
            same.insert((path.clone(), other.clone()));
        }
    }
    let mut first_directory: HashMap<Identity, &Path> = HashMap::new();
    for path in directories.iter() {
        match first_directory.get(&identity(path)?) {
            Some(other) => drop(same.insert((path.clone(), other.to_path_buf()))),
            None => drop(first_directory.insert(identity(path)?, path)),
        }
    }
    if first_directory.len() > 1 {
        distinct.extend(first_directory.into_values().map(Path::to_owned));
    }
    Ok(())
}

fn identity(path: &Path) -> Result<Identity, NotStored> {
    let metadata = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Stat::from(&metadata).identity())
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
