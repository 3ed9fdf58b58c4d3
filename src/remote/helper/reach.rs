//! Which files a path set of a server may name. A check of a set reads what it names, and the name of the value that is asked
//! for next follows from the contents; so a set must lead nowhere but to where the compile that asks looks itself.

use crate::includes::path_set::PathSet;
use crate::key::Roots;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Where systems install compilers and headers, apart from directories called `include` below `/usr`.
const SYSTEM: [&str; 8] = [
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/usr/lib/gcc",
    "/usr/lib/gcc-cross",
    "/usr/lib64/gcc",
    "/usr/lib/clang",
    "/usr/lib64/clang",
];

/// Where a set may look for what is present or absent, without reading it.
const LOOKED_AT: [&str; 5] = ["/usr", "/lib", "/lib64", "/include", "/sys-include"];

/// Where one compile looks, as far as its command line tells.
#[derive(Default)]
pub(super) struct SearchReach {
    directory: PathBuf,
    /// Its working directory, and what it names, without `.` and `..`.
    named: Vec<PathBuf>,
}

impl SearchReach {
    /// `named` are paths: first the working directory, then what may be relative to it.
    pub(super) fn of(named: &[Vec<u8>]) -> Self {
        let path = |bytes: &Vec<u8>| PathBuf::from(OsStr::from_bytes(bytes));
        let directory = named.first().map(path).unwrap_or_default();
        let named = named.iter().map(|name| plain(&directory.join(path(name))));
        // `/`, `/home` and `/etc` would allow too much.
        let named = named.filter(|path| path.components().count() > 2);
        Self {
            named: named.collect(),
            directory,
        }
    }

    /// Whether a path set leads to nothing else.
    pub(super) fn covers(&self, set: &PathSet) -> bool {
        set.stays_below(&|short| self.may_read(short), &|short| {
            self.may_look_at(short)
        })
    }

    fn may_read(&self, short: &[u8]) -> bool {
        if let Some(rest) = Roots::below_letter(short) {
            return is_inside(rest);
        }
        let path = self.absolute(short);
        let is_header = || {
            path.starts_with("/usr") && path.components().any(|part| part.as_os_str() == "include")
        };
        is_header()
            || SYSTEM.iter().any(|directory| path.starts_with(directory))
            || self.named.iter().any(|named| path.starts_with(named))
    }

    fn may_look_at(&self, short: &[u8]) -> bool {
        if self.may_read(short) {
            return true;
        }
        // The working directory is known under more than one name.
        let path = self.absolute(short);
        Roots::below_letter(short).is_none()
            && (LOOKED_AT
                .iter()
                .any(|directory| path.starts_with(directory))
                || self.named.iter().any(|named| named.starts_with(&path)))
    }

    fn absolute(&self, short: &[u8]) -> PathBuf {
        plain(&self.directory.join(OsStr::from_bytes(short)))
    }
}

/// Whether what follows a root's path leads nowhere but below the root.
fn is_inside(rest: &[u8]) -> bool {
    if !rest.is_empty() && !rest.starts_with(b"/") {
        return false;
    }
    let mut depth = 0_usize;
    for part in Path::new(OsStr::from_bytes(rest)).components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            _ => {}
        }
    }
    true
}

/// The path without `.` and `..`, as if no directory of it were a link.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{PathSet, SearchReach};
    use crate::includes::lookups::Lookups;
    use crate::key::{RootName, Roots};
    use std::path::{Path, PathBuf};

    /// Whether a compile in `/home/u/p/build`, of the checkout `/home/u/p`, takes a set that names a file.
    #[track_caller]
    fn check(file: &str, is_taken: bool) {
        let words = [
            "/home/u/p/build",
            "../include",
            "/home/deps/include",
            "/etc",
            "-O2",
        ];
        let reach = SearchReach::of(&words.map(|word| word.as_bytes().to_vec()));
        let mut roots = Roots::default();
        roots.add(RootName::Base, Path::new("/home/u/p"), None);
        for roots in [Roots::default(), roots] {
            let files = [PathBuf::from(file)].into();
            let lookups = Lookups {
                files,
                ..Lookups::default()
            };
            let set = PathSet::new(&lookups, &roots).expect("a set");
            assert_eq!(reach.covers(&set), is_taken, "{file}");
        }
    }

    #[test]
    fn a_set_may_name_what_the_compile_searches_and_headers_of_the_system() {
        for file in [
            "/home/u/p/build/made.h",
            "/home/u/p/include/a.h",
            "../include/b/c.h",
            "made.h",
            "/home/deps/include/d.h",
            "/usr/include/stdio.h",
            "/usr/lib/gcc/x86_64-linux-gnu/13/../../../../x86_64-linux-gnu/include/e.h",
            "/opt/mpi/include/mpi.h",
        ] {
            check(file, true);
        }
    }

    #[test]
    fn a_set_may_not_name_other_files() {
        for file in [
            "/etc/passwd",
            "/proc/self/environ",
            "/dev/zero",
            "/home/u/.ssh/id_ed25519",
            "/home/deps/secret",
            "/home/u/p/../.ssh/id_ed25519",
            "../../.ssh/id_ed25519",
            "/usr/include/../../etc/shadow",
            "/usr/lib/ssl/private/key.pem",
            "/home/u/password",
        ] {
            check(file, false);
        }
    }

    /// What such a set would lead to is decided where it is used: `/home/u/p` and what follows.
    #[test]
    fn a_root_is_no_beginning_of_another_name() {
        let mut roots = Roots::default();
        roots.add(RootName::Base, Path::new("/home/u/p"), None);
        let lookups = |file: &str| Lookups {
            files: [PathBuf::from(file)].into(),
            ..Lookups::default()
        };
        let set = PathSet::new(&lookups("/home/u/p/x"), &roots).expect("a set");
        let mut bytes = set.bytes().to_vec();
        let slash = bytes
            .iter()
            .position(|byte| *byte == b'/')
            .expect("a slash");
        bytes[slash] = b'q';
        let forged = PathSet::named(set.digest, bytes);
        assert!(SearchReach::default().covers(&set) && !SearchReach::default().covers(&forged));
    }

    #[test]
    fn what_must_be_absent_is_looked_for_there_too() {
        let reach = SearchReach::of(&[b"/home/u/p/build".to_vec(), b"/home/deps/include".to_vec()]);
        let absent = |directory: &str, name: &str| {
            let absent = [(PathBuf::from(directory), [PathBuf::from(name)].into())];
            let lookups = Lookups {
                absent: absent.into(),
                ..Lookups::default()
            };
            reach.covers(&PathSet::new(&lookups, &Roots::default()).expect("a set"))
        };
        assert!(absent("/usr/x86_64-linux-gnu", "include") && absent("/home", "deps"));
        assert!(absent("", "cub/cub.cuh") && absent("/home/deps/include", "a.h"));
        assert!(!absent("/etc", "a.h") && !absent("/home/u/p/build", "../../.ssh"));
    }
}
