//! The names of members: paths below the root of a cache.

use crate::store::{EntryKind, Name};

/// The tree in which files of each kind lie.
const TREES: [(EntryKind, &str); 2] = [
    (EntryKind::Entry, "entries"),
    (EntryKind::Record, "manifests/results"),
];

/// The path of a file, if archives hold such files.
pub(super) fn path_of(kind: EntryKind, name: Name) -> Option<String> {
    let (_, tree) = TREES.iter().find(|(known, _)| *known == kind)?;
    Some(format!("{tree}/{name}"))
}

/// The file with this path. `None` unless it is spelled exactly as [`path_of`] spells it, so that no other path can
/// come out of an archive.
pub(super) fn file_at(path: &[u8]) -> Option<(EntryKind, Name)> {
    let path = std::str::from_utf8(path).ok()?;
    TREES.iter().find_map(|(kind, tree)| {
        let digits = path.strip_prefix(tree)?.strip_prefix('/')?;
        let (shard, rest) = digits.split_once('/')?;
        let mut name = [0; 32];
        let (first, others) = name.split_at_mut(1);
        hex::decode_to_slice(shard, first).ok()?;
        hex::decode_to_slice(rest, others).ok()?;
        let name = Name(name);
        // Upper-case digits are hexadecimal too.
        (path_of(*kind, name)? == path).then_some((*kind, name))
    })
}

#[cfg(test)]
mod tests {
    use super::{EntryKind, Name, file_at, path_of};

    #[test]
    fn paths_are_read_back() {
        for kind in [EntryKind::Entry, EntryKind::Record] {
            let name = Name::of(b"key");
            let path = path_of(kind, name).expect("archives hold it");
            assert_eq!(file_at(path.as_bytes()), Some((kind, name)));
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let name = format!("{}", Name::of(b"key"));
        let (shard, rest) = name.split_once('/').expect("a shard");
        let upper = rest.to_uppercase();
        for path in [
            String::new(),
            "entries".into(),
            format!("entries/{shard}"),
            format!("/entries/{name}"),
            format!("./entries/{name}"),
            format!("entries//{name}"),
            format!("entries/{name}/"),
            format!("entries/{name}\0"),
            format!("entries/{shard}{rest}"),
            format!("entries/{shard}/{upper}"),
            format!("entries/{shard}/{rest}0"),
            format!("entries/{shard}/{}", &rest[2..]),
            format!("entries/{shard}/../{name}"),
            format!("entries/../entries/{name}"),
            format!("manifests/{name}"),
            format!("manifests/toolchains/{name}"),
            format!("tmp/{name}"),
            "signing/key".into(),
            "counters".into(),
            format!("entries/{shard}/{}", "é".repeat(31)),
        ] {
            assert_eq!(file_at(path.as_bytes()), None, "{path:?}");
        }
        assert_eq!(file_at(b"entries/\xff/"), None);
    }
}
