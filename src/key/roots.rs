//! Roots: directories that have names in keys and path sets, so that a result can be found from another checkout,
//! working directory or toolkit. A path below a root is stored as a mark, a letter for the root, and the rest.
//!
//! A text is changed only where a path begins; what a change leaves of a root's path is part of the key as it stands,
//! and ties the key to this place. `docs/design/keys.md#roots` has the rule and its proof. Pure.

use super::PathStarts;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The byte before the letter of a root. No path that names a root may hold it.
const MARK: u8 = 1;

/// The directories that can be roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RootName {
    /// The top of the checkout.
    Base,
    /// The working directory.
    Directory,
    /// The CUDA toolkit.
    Toolkit,
    /// The prefix in which the host compiler is installed.
    Host,
}

impl RootName {
    /// All roots, in the order in which they are preferred for one path.
    pub const ALL: [Self; 4] = [Self::Base, Self::Directory, Self::Toolkit, Self::Host];

    /// The name that users see.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Base => "{base}",
            Self::Directory => "{cwd}",
            Self::Toolkit => "{toolkit}",
            Self::Host => "{host}",
        }
    }

    /// Its letter for the real path, and that for another spelling.
    const fn letters(self) -> [u8; 2] {
        match self {
            Self::Base => *b"bB",
            Self::Directory => *b"cC",
            Self::Toolkit => *b"tT",
            Self::Host => *b"hH",
        }
    }
}

/// A set of roots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RootSet(u8);

impl RootSet {
    /// The set with another root.
    #[must_use]
    pub fn with(self, name: RootName) -> Self {
        Self(self.0 | 1 << name as u8)
    }

    /// The roots of both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The roots with these names for users. `None` if there is no such root.
    pub fn named<'n>(names: impl Iterator<Item = &'n str>) -> Option<Self> {
        let mut found = Self::default();
        for name in names {
            let mut roots = RootName::ALL.into_iter();
            found = found.with(roots.find(|root| root.text() == name)?);
        }
        Some(found)
    }

    /// All roots.
    pub fn all() -> Self {
        RootName::ALL.into_iter().fold(Self::default(), Self::with)
    }

    /// Whether a root is in the set.
    pub fn holds(self, name: RootName) -> bool {
        self.0 & (1 << name as u8) != 0
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roots of the set.
    pub fn names(self) -> impl Iterator<Item = RootName> {
        RootName::ALL
            .into_iter()
            .filter(move |name| self.holds(*name))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedRoot {
    name: RootName,
    letter: u8,
    path: Vec<u8>,
}

/// The roots of one invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots(Vec<NamedRoot>);

impl Roots {
    /// Adds a root at its real path and, if it is known by another one, at that. Leaves out paths that are not plain,
    /// and those of other roots.
    pub fn add(&mut self, name: RootName, real: &Path, spelled: Option<&Path>) {
        let paths = [Some(real), spelled].into_iter().zip(name.letters());
        for (path, letter) in paths {
            let Some(path) = path.map(|path| path.as_os_str().as_bytes()) else {
                continue;
            };
            if is_plain(path) && self.0.iter().all(|root| root.path != path) {
                let path = path.to_vec();
                self.0.push(NamedRoot { name, letter, path });
            }
        }
        // The deepest root of a path counts.
        self.0.sort_by_key(|root| Reverse(root.path.len()));
    }

    /// These roots without those of one name.
    #[must_use]
    pub fn without(&self, name: RootName) -> Self {
        let others = self.0.iter().filter(|root| root.name != name);
        Self(others.cloned().collect())
    }

    /// These roots without a working directory that lies below the base.
    #[must_use]
    pub fn with_directory_below_base(&self) -> Self {
        let is_below = |root: &&NamedRoot| {
            root.name == RootName::Directory && self.below_base(&root.path).is_some()
        };
        Self(
            self.0
                .iter()
                .filter(|root| !is_below(root))
                .cloned()
                .collect(),
        )
    }

    /// Whether there are no roots.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a text could be taken for a shortened one.
    pub fn is_ambiguous(text: &[u8]) -> bool {
        text.contains(&MARK)
    }

    /// The path with its root's letter, if it lies in one. `None` if it could be taken for such a path.
    pub fn shorten<'p>(&self, path: &'p [u8]) -> Option<Cow<'p, [u8]>> {
        if path.first() == Some(&MARK) && !self.is_empty() {
            return None;
        }
        Some(match self.at(path) {
            Some(root) => Cow::Owned(root.shorten(path)),
            None => Cow::Borrowed(path),
        })
    }

    /// A path below the base, with the base's letter even if it lies in a deeper root. `None` if it is not below the
    /// base.
    pub fn below_base(&self, path: &[u8]) -> Option<Vec<u8>> {
        let mut bases = self.0.iter().filter(|root| root.name == RootName::Base);
        let base = bases.find(|base| base.holds(path))?;
        Some(base.shorten(path))
    }

    /// What a short form has behind the letter of its root; `None` for a path without one.
    pub fn below_letter(short: &[u8]) -> Option<&[u8]> {
        match short {
            [MARK, _, rest @ ..] => Some(rest),
            _ => None,
        }
    }

    /// The path that [`Roots::shorten`] made `path` of, in `buffer` unless it has no root. `None` if the root is
    /// unknown here, or if the path lies in a root here and did not where it was stored.
    pub fn expand<'b>(&self, path: &'b [u8], buffer: &'b mut Vec<u8>) -> Option<&'b Path> {
        let [MARK, letter, rest @ ..] = path else {
            return self.at(path).is_none().then(|| to_path(path));
        };
        if self.is_empty() {
            return Some(to_path(path));
        }
        let root = self.0.iter().find(|root| root.letter == *letter)?;
        buffer.clear();
        buffer.extend_from_slice(&root.path);
        buffer.extend_from_slice(rest);
        Some(to_path(buffer))
    }

    /// `text` with the letter of its root in place of each path that begins where `starts` says, and the roots whose
    /// paths are left in it.
    pub fn shorten_text(&self, text: &[u8], starts: PathStarts) -> (Vec<u8>, RootSet) {
        let mut shortened = Vec::with_capacity(text.len());
        let mut left = RootSet::default();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            if rest[0] == b'/' {
                let root = self.at(rest).filter(|_| starts.may_begin(&text[..at]));
                if let Some(root) = root {
                    shortened.extend_from_slice(&[MARK, root.letter]);
                    at += root.path.len();
                    continue;
                }
                let roots = self.0.iter().filter(|root| rest.starts_with(&root.path));
                left = roots.fold(left, |left, root| left.with(root.name));
            }
            shortened.push(rest[0]);
            at += 1;
        }
        (shortened, left)
    }

    /// The text of a depfile, as [`Roots::shorten_text`] shortens it. `None` if it could not be told from another one
    /// afterwards.
    pub fn shorten_depfile(&self, text: &[u8]) -> Option<(Vec<u8>, RootSet)> {
        (!Self::is_ambiguous(text)).then(|| self.shorten_text(text, PathStarts::Blanks))
    }

    /// The text that [`Roots::shorten_text`] made `text` of. `None` if a root is unknown here.
    pub fn expand_text(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut expanded = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.iter().position(|&byte| byte == MARK) {
            expanded.extend_from_slice(&rest[..at]);
            let letter = rest.get(at + 1)?;
            let root = self.0.iter().find(|root| root.letter == *letter)?;
            expanded.extend_from_slice(&root.path);
            rest = &rest[at + 2..];
        }
        expanded.extend_from_slice(rest);
        Some(expanded)
    }

    /// The text that [`Roots::shorten_text`] made `text` of, with names that users understand in place of the paths.
    pub fn shown(text: &[u8]) -> Cow<'_, [u8]> {
        if !text.contains(&MARK) {
            return Cow::Borrowed(text);
        }
        let mut shown = Vec::with_capacity(text.len() + 16);
        let mut rest = text;
        while let Some(at) = rest.iter().position(|&byte| byte == MARK) {
            shown.extend_from_slice(&rest[..at]);
            let letter = rest.get(at + 1).copied().unwrap_or_default();
            let mut names = RootName::ALL.into_iter();
            let name = names.find(|name| name.letters().contains(&letter));
            shown.extend_from_slice(name.map_or("?", RootName::text).as_bytes());
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        shown.extend_from_slice(rest);
        Cow::Owned(shown)
    }

    /// The roots whose paths occur in `text` where `counts` says so, which is called with the position. Of two nested
    /// roots both count: the path may be that of a neighbour whose name begins in the same way.
    pub fn mentioned(&self, text: &[u8], counts: &mut dyn FnMut(usize) -> bool) -> RootSet {
        let mut mentioned = RootSet::default();
        for root in &self.0 {
            if memchr::memmem::find_iter(text, &root.path).any(&mut *counts) {
                mentioned = mentioned.with(root.name);
            }
        }
        mentioned
    }

    /// The roots whose paths occur in `text` as a list of their bytes, as PTX writes strings: `47, 97, 47`.
    pub fn mentioned_as_numbers(&self, text: &[u8]) -> RootSet {
        let mut mentioned = RootSet::default();
        for root in &self.0 {
            let numbers: Vec<_> = root.path.iter().map(u8::to_string).collect();
            if memchr::memmem::find(text, numbers.join(", ").as_bytes()).is_some() {
                mentioned = mentioned.with(root.name);
            }
        }
        mentioned
    }

    /// The roots whose paths begin with `text`, and are longer.
    pub fn that_begin_with(&self, text: &[u8]) -> RootSet {
        let longer =
            |root: &&NamedRoot| root.path.starts_with(text) && root.path.len() > text.len();
        let roots = self.0.iter().filter(longer);
        roots.fold(RootSet::default(), |found, root| found.with(root.name))
    }

    /// The root of `path`.
    pub fn root_of(&self, path: &[u8]) -> Option<RootName> {
        self.at(path).map(|root| root.name)
    }

    /// The paths of the roots in `set`, each preceded by its letter.
    pub fn paths(&self, set: RootSet) -> Vec<Vec<u8>> {
        let roots = self.0.iter().filter(|root| set.holds(root.name));
        let mut paths: Vec<_> = roots
            .map(|root| [&[root.letter], root.path.as_slice()].concat())
            .collect();
        paths.sort();
        paths
    }

    /// The deepest root of `path`.
    fn at(&self, path: &[u8]) -> Option<&NamedRoot> {
        self.0.iter().find(|root| root.holds(path))
    }
}

impl NamedRoot {
    fn holds(&self, path: &[u8]) -> bool {
        let rest = path.strip_prefix(self.path.as_slice());
        rest.is_some_and(|rest| !rest.first().is_some_and(|&byte| is_of_name(byte)))
    }

    /// A path that it holds, with its letter.
    fn shorten(&self, path: &[u8]) -> Vec<u8> {
        [&[MARK, self.letter], &path[self.path.len()..]].concat()
    }
}

/// Whether a directory can be a root: its path needs no quotes anywhere, and is not one of those in which systems
/// install everything.
fn is_plain(path: &[u8]) -> bool {
    const SYSTEM: [&[u8]; 4] = [b"/", b"/usr", b"/usr/local", b"/opt"];
    let is_plain = |byte: &u8| is_of_name(*byte) || *byte == b'/';
    path.starts_with(b"/") && path.iter().all(is_plain) && !SYSTEM.contains(&path)
}

/// Whether a byte needs no quotes in the name of a file.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'@')
}

fn to_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::{PathStarts, RootName, RootSet, Roots};
    use std::path::Path;

    fn roots(base: &str) -> Roots {
        let mut roots = Roots::default();
        roots.add(
            RootName::Toolkit,
            Path::new("/cuda-13"),
            Some(Path::new("/cuda")),
        );
        roots.add(RootName::Base, Path::new(base), None);
        roots.add(RootName::Directory, Path::new("/tmp/b"), None);
        roots.add(RootName::Host, Path::new("/usr"), None);
        roots
    }

    fn shorten(text: &str, starts: PathStarts) -> (String, RootSet) {
        let (text, left) = roots("/a/x").shorten_text(text.as_bytes(), starts);
        (
            String::from_utf8_lossy(&Roots::shown(&text)).into_owned(),
            left,
        )
    }

    #[test]
    fn paths_move_with_their_roots() {
        let (here, there) = (roots("/a/x"), roots("/b/long/y"));
        for (path, moved) in [
            ("/a/x", "/b/long/y"),
            ("/a/x/i/h.h", "/b/long/y/i/h.h"),
            ("/cuda/bin/../include/h.h", "/cuda/bin/../include/h.h"),
            ("/cuda-13/h.h", "/cuda-13/h.h"),
            ("/a/xy/h.h", "/a/xy/h.h"),
            ("../a/x/h.h", "../a/x/h.h"),
            ("/usr/include/h.h", "/usr/include/h.h"),
        ] {
            let short = here.shorten(path.as_bytes()).unwrap();
            let mut buffer = Vec::new();
            assert_eq!(here.expand(&short, &mut buffer), Some(Path::new(path)));
            assert_eq!(there.expand(&short, &mut buffer), Some(Path::new(moved)));
        }
    }

    #[test]
    fn a_path_that_was_in_no_root_must_not_be_in_one_now() {
        let mut buffer = Vec::new();
        assert_eq!(roots("/a/x").expand(b"/a/x/h.h", &mut buffer), None);
        assert_eq!(roots("/a/x").expand(b"\x01?/h.h", &mut buffer), None);
        assert_eq!(roots("/a/x").shorten(b"\x01b/h.h"), None);
    }

    #[test]
    fn texts_change_where_paths_begin_and_tell_what_is_left() {
        let none = RootSet::default();
        let base = none.with(RootName::Base);
        for (text, short, left) in [
            ("X-I/a/x/i", "X-I{base}/i", none),
            ("X-isystem,/a/x", "X-isystem,{base}", none),
            (
                "CPATH=/a/x/i:/tmp/b:/usr",
                "CPATH={base}/i:{cwd}:/usr",
                none,
            ),
            (
                "-ffile-prefix-map=/a/x=.",
                "-ffile-prefix-map={base}=.",
                none,
            ),
            ("X-Ifoo/a/x", "X-Ifoo/a/x", base),
            ("../..//a/x", "../..//a/x", base),
            ("/a/xy", "/a/xy", base),
            ("/cuda/bin/nvcc", "{toolkit}/bin/nvcc", none),
        ] {
            assert_eq!(
                shorten(text, PathStarts::Words),
                (short.to_owned(), left),
                "{text}"
            );
        }
        let (text, left) = shorten("DX=/a/x DY=\"/a/x/f\"", PathStarts::Strings);
        assert_eq!((text.as_str(), left), ("DX=/a/x DY=\"{base}/f\"", base));
        let (_, left) = shorten("DX='\"'/a/x", PathStarts::Strings);
        assert_eq!(left, base);
        let (text, left) = shorten("/a/x/u.o : /a/x/u.cu a\\ /a/x\n", PathStarts::Blanks);
        assert_eq!(
            (text.as_str(), left),
            ("{base}/u.o : {base}/u.cu a\\ /a/x\n", base)
        );
    }

    #[test]
    fn a_shortened_text_can_be_expanded() {
        let text = b"/a/x/u.o : /a/x/u.cu /cuda/h.h\n";
        let (short, _) = roots("/a/x").shorten_text(text, PathStarts::Blanks);
        assert_eq!(
            roots("/a/x").expand_text(&short).as_deref(),
            Some(&text[..])
        );
        assert_eq!(roots("/a/x").shorten_depfile(b"u.o : \x01b/h.h\n"), None);
        let moved = roots("/b").expand_text(&short).unwrap();
        assert_eq!(moved, b"/b/u.o : /b/u.cu /cuda/h.h\n");
    }

    #[test]
    fn of_nested_roots_both_are_mentioned() {
        let mut roots = roots("/a/x");
        roots.add(RootName::Host, Path::new("/a/x/gcc"), None);
        assert_eq!(roots.below_base(b"/a/x/gcc/h.h").unwrap(), b"\x01b/gcc/h.h");
        assert_eq!(roots.below_base(b"/a/xy/h.h"), None);
        let mut anywhere = |_| true;
        let of = |text: &str, counts: &mut dyn FnMut(usize) -> bool| {
            let mentioned = roots.mentioned(text.as_bytes(), counts);
            mentioned.names().map(RootName::text).collect::<Vec<_>>()
        };
        assert_eq!(of("see /a/x/i", &mut anywhere), ["{base}"]);
        assert_eq!(of("see/a/x/gcc-15", &mut anywhere), ["{base}", "{host}"]);
        assert!(of("see /a/x", &mut |_| false).is_empty());
    }
}
