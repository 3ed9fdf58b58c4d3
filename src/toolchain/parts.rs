//! The host compiler: its driver, its family, and the places in which GCC's driver looks for its parts (`cc1plus`,
//! `as`) and for specs files before it finds them. These places must stay empty for a toolchain to stay the same.

use super::error::ToolchainError;
use super::find::is_program;
use super::host::{HostCommands, HostDriver, HostFamily, Inquiry, SearchPlaces, ask_places};
use super::places::EmptyPlaces;
use crate::includes::digests::DigestTable;
use crate::includes::probe::Probe;
use crate::stat::CoarseTime;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

/// The programs that a driver starts. For the assembler, the target's name with `-as` is tried too.
pub(super) const PROGRAMS: [&str; 3] = ["cc1plus", "cc1", "as"];

/// The files, and the empty places, in the directories that a driver searches for its parts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Parts {
    /// Empty places that the driver searches before it finds a part.
    empty: EmptyPlaces,
    /// Specs files, each of which the driver reads, and their paths with links resolved.
    pub(super) specs: BTreeMap<PathBuf, PathBuf>,
    /// Whether a file that is not executable has the path of a part.
    hides_a_part: bool,
}

impl Parts {
    /// Examines every place in `places` and those that the compiler of `answer` was configured to search.
    ///
    /// # Errors
    /// A place cannot be examined.
    pub(super) fn find(places: &SearchPlaces, answer: &HostCommands) -> std::io::Result<Self> {
        let started = CoarseTime::now();
        let mut parts = Self::default();
        let mut probe = Probe::default();
        let configured = answer.specs.iter().flat_map(|target| with_versions(target));
        let searched = places.startup.iter().chain(&places.programs);
        let configured = configured.map(|directory| directory.join(""));
        for prefix in configured.chain(searched.cloned()) {
            let place = behind(&prefix, "specs".as_ref());
            if parts.empty.look(&mut probe, &place)? {
                let real = fs::canonicalize(&place)?;
                parts.specs.insert(place, real);
            }
        }
        for name in names(answer) {
            for prefix in &places.programs {
                let place = behind(prefix, &name);
                if parts.empty.look(&mut probe, &place)? {
                    if is_program(&place) {
                        break;
                    }
                    // GCC goes on to the next place now, but takes this file as soon as it is executable.
                    parts.hides_a_part = true;
                }
            }
        }
        parts.empty.record(started);
        Ok(parts)
    }

    /// Whether the empty places are still empty, and the path of each specs file leads to the same file.
    pub(super) fn hold(&self, table: &DigestTable) -> bool {
        let is_same = |(place, real): (&PathBuf, &PathBuf)| {
            fs::canonicalize(place).is_ok_and(|now| now == *real)
        };
        self.empty.hold(table) && self.specs.iter().all(is_same)
    }
}

/// The host compiler.
pub(super) struct Host {
    pub(super) family: HostFamily,
    pub(super) driver: HostDriver,
    /// The parts of GCC's own driver; empty for other drivers.
    pub(super) parts: Parts,
}

impl Host {
    /// Examines the host compiler at `place` by its answers to `-###` and `-print-search-dirs`. A program whose answer
    /// names no compiler is a wrapper of an unknown family.
    pub(super) fn examine(place: &Path, search: &OsStr) -> Result<Self, ToolchainError> {
        let failed = |source| ToolchainError::Run {
            program: place.into(),
            source,
        };
        let flags = ["-c", "-x", "c++"].map(OsString::from);
        let mut path = OsString::from("PATH=");
        path.push(search);
        // Both start before the first is waited for, so that they run in parallel.
        let children = [
            Inquiry::Commands.ask(place, &flags, &[path]),
            ask_places(place, search),
        ];
        let [commands, places] = children.map(|child| child.and_then(Child::wait_with_output));
        let (commands, places) = (commands.map_err(failed)?, places.map_err(failed)?);
        let mut host = Self {
            family: HostFamily::Other,
            driver: HostDriver::Wrapper,
            parts: Parts::default(),
        };
        let Some(answer) = HostCommands::parse(&commands.stderr) else {
            return Ok(host);
        };
        let content = fs::read(place).map_err(|source| ToolchainError::Read {
            path: place.into(),
            source,
        })?;
        host.family = answer.family;
        if answer.kind_of(place, &content) == HostDriver::Wrapper {
            return Ok(host);
        }
        match (host.family, SearchPlaces::parse(&places.stdout)) {
            (HostFamily::Gnu, Some(places)) => {
                host.parts = Parts::find(&places, &answer).map_err(failed)?;
                // Specs files may read variables and other files.
                if host.parts.specs.is_empty() && !host.parts.hides_a_part {
                    host.driver = HostDriver::Own;
                }
            }
            // The search places are not known, so it is asked in each compile, like a wrapper.
            (HostFamily::Gnu, None) => {}
            // Asked in each compile too, and at each direct hit.
            (HostFamily::Clang | HostFamily::Other, _) => host.driver = HostDriver::Own,
        }
        Ok(host)
    }
}

/// The path of `name` after a prefix of GCC's, which need not end with a slash.
fn behind(prefix: &Path, name: &OsStr) -> PathBuf {
    [prefix.as_os_str(), name]
        .into_iter()
        .collect::<OsString>()
        .into()
}

/// The names under which the driver searches for its programs.
fn names(answer: &HostCommands) -> BTreeSet<OsString> {
    let mut names: BTreeSet<_> = PROGRAMS.map(OsString::from).into();
    for target in answer.specs.iter().filter_map(|path| path.file_name()) {
        names.insert([target, OsStr::new("-as")].into_iter().collect());
    }
    names
}

/// The directory of a target, and the directory of each version of the compiler below it.
fn with_versions(target: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(target).into_iter().flatten().flatten();
    let mut directories: Vec<_> = entries.map(|entry| entry.path()).collect();
    directories.retain(|path| path.is_dir());
    directories.push(target.to_owned());
    directories
}

#[cfg(test)]
mod tests {
    use super::Parts;
    use crate::includes::digests::DigestTable;
    use crate::toolchain::{HostCommands, HostFamily, SearchPlaces};
    use std::fs;
    use std::path::{Path, PathBuf};

    fn answer(target: PathBuf) -> HostCommands {
        HostCommands {
            commands: Vec::new(),
            family: HostFamily::Gnu,
            started_as: None,
            read_specs: None,
            specs: vec![target],
        }
    }

    /// Directories `first` and `second` with a compiler proper in the second; `third` does not exist.
    fn places(root: &Path) -> SearchPlaces {
        let [first, second, third] = ["first", "second", "third"].map(|name| root.join(name));
        fs::create_dir(&first).unwrap();
        fs::create_dir(&second).unwrap();
        fs::create_dir_all(root.join("gcc/target/12")).unwrap();
        fs::write(second.join("cc1plus"), "").unwrap();
        let [first, second, third] = [first, second, third].map(|place| place.join(""));
        SearchPlaces {
            programs: vec![first.clone(), second, third.clone()],
            startup: vec![first, third],
        }
    }

    #[test]
    fn what_comes_before_a_part_or_is_a_specs_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let parts = Parts::find(&places(root), &answer(root.join("gcc/target"))).unwrap();
        let table = DigestTable::nowhere();
        assert!(parts.hold(&table) && parts.specs.is_empty());
        for place in [
            "first/cc1plus",
            "first/as",
            "second/target-as",
            "first/specs",
            "gcc/target/specs",
            "gcc/target/12/specs",
            "third",
        ] {
            fs::write(root.join(place), "").unwrap();
            assert!(!parts.hold(&table), "{place} appeared");
            fs::remove_file(root.join(place)).unwrap();
            assert!(parts.hold(&table), "{place} is gone again");
        }
        fs::write(root.join("first/other"), "").unwrap();
        assert!(parts.hold(&table), "of no concern");
    }

    #[test]
    fn specs_files_that_are_there_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let places = places(root);
        fs::write(root.join("first/specs"), "").unwrap();
        let parts = Parts::find(&places, &answer(root.join("gcc/target"))).unwrap();
        let place = root.join("first/specs");
        assert_eq!(parts.specs.keys().collect::<Vec<_>>(), [&place]);
        assert!(parts.hold(&DigestTable::nowhere()));
        fs::rename(&place, root.join("elsewhere")).unwrap();
        assert!(!parts.hold(&DigestTable::nowhere()), "gone");
    }
}
