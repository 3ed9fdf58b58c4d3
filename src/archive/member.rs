//! The names of members: paths below the root of a cache.

use crate::store::{Name, Tree};

/// The path of a file.
pub(super) fn path_of(tree: Tree, name: Name) -> String {
    format!("{}/{name}", tree.path())
}

/// The file with this path. `None` unless it is spelled exactly as [`path_of`] spells it, so that no other path can
/// come out of an archive.
pub(super) fn file_at(path: &[u8]) -> Option<(Tree, Name)> {
    let path = std::str::from_utf8(path).ok()?;
    Tree::ALL.into_iter().find_map(|tree| {
        let digits = path.strip_prefix(tree.path())?.strip_prefix('/')?;
        let (shard, rest) = digits.split_once('/')?;
        let mut name = [0; 32];
        let (first, others) = name.split_at_mut(1);
        hex::decode_to_slice(shard, first).ok()?;
        hex::decode_to_slice(rest, others).ok()?;
        let name = Name(name);
        // Upper-case digits are hexadecimal too.
        (path_of(tree, name) == path).then_some((tree, name))
    })
}

#[cfg(test)]
mod tests {
    use super::{Name, Tree, file_at, path_of};

    #[test]
    fn paths_are_read_back() {
        for tree in Tree::ALL {
            let name = Name::of(b"key");
            let path = path_of(tree, name);
            assert_eq!(file_at(path.as_bytes()), Some((tree, name)));
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
