//! Derives everything that a result depends on from NVRTC's observed file accesses. NVRTC is
//! deterministic: if every file that it opened has the same content, and every path that it probed
//! exists or is missing as before, it probes the same paths again and finds the same.
//! Examines the disk after the compile.

use super::key::shown_name;
use super::locality::{self, Given};
use super::log::renames_lines;
use super::pasted::Pieces;
use super::program::{FileAccess, Program};
use super::relation::relate;
use crate::includes::lookups::{Lookups, NotStored};
use crate::includes::path_set::PathSet;
use crate::includes::probe::{Probe, Probed};
use memchr::memmem;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The working directory of a compile, and its arguments.
#[derive(Clone, Copy)]
pub(super) struct CompilePlace<'a> {
    /// The working directory, in both its spellings.
    pub directories: &'a [PathBuf; 2],
    pub program: &'a Program,
    /// Its options, and its name expressions.
    pub given: Given<'a>,
}

/// Placeholder for the program's directory in a path set that serves any directory. No path of a compile contains it.
const BESIDE: &str = "\u{1}beside the program";

/// The dependencies of a compile.
pub(super) struct ObservedReads {
    /// All dependencies, for this directory.
    pub here: Lookups,
    /// Dependencies that hold in any directory; `None` if the result depends on where it was compiled.
    pub anywhere: Option<Lookups>,
    /// Whether the program's name cannot be told from other text in a log.
    pub renames_lines: bool,
}

/// The accesses of a compile, sorted by how they depend on the program's directory.
struct Sorted {
    /// Accesses that would be the same for a program in any directory.
    fixed: Lookups,
    /// Names that are missing in the program's directory.
    beside: Lookups,
    /// The same names, with [`BESIDE`] in place of the program's directory.
    moving: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Paths that NVRTC probes in every compile, as they are in this directory.
    local: Lookups,
    /// Existing files with the path of a header that was passed in memory.
    stand_ins: BTreeSet<PathBuf>,
    /// Missing paths that NVRTC probes in every compile, and how often it probed them.
    implied: BTreeMap<PathBuf, u32>,
    /// The path of the program, if a file is there.
    program: Option<PathBuf>,
    is_anywhere: bool,
    probe: Probe,
}

/// Whether a text of a compile may use `__has_include`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FileQuestions {
    Possible,
    Impossible,
}

impl CompilePlace<'_> {
    /// Derives the dependencies from the accesses that were `seen`.
    ///
    /// # Errors
    /// Accesses are missing in `seen`, or a dependency cannot be described.
    pub(super) fn follow(&self, seen: &[FileAccess]) -> Result<ObservedReads, NotStored> {
        let mut sorted = Sorted {
            fixed: Lookups::default(),
            beside: Lookups::default(),
            moving: BTreeMap::new(),
            local: Lookups::default(),
            stand_ins: BTreeSet::new(),
            implied: BTreeMap::new(),
            program: None,
            is_anywhere: true,
            probe: Probe::default(),
        };
        check_answers(seen)?;
        let own = self.own();
        // NVRTC probes the program's own path in every compile. Without that access, the others were not seen either.
        let was_observed = self.sort(seen, &own, &mut sorted)?;
        if !was_observed && locality::reads_files(self.program) {
            return Err("what NVRTC reads was not observed".to_owned());
        }
        let Lookups { files, present, .. } = &mut sorted.fixed;
        present.retain(|path| !files.contains(path));
        let texts = read(files)?;
        let headers = texts.iter().map(Vec::as_slice);
        let pieces = self.pieces(headers.clone());
        if let Some(word) = locality::pasted_time(&pieces) {
            let word = String::from_utf8_lossy(word);
            return Err(format!("{word} may be pasted"));
        }
        let all_texts = locality::all_texts(self.program, &self.given).chain(headers.clone());
        let questions = if locality::asks_for_files(all_texts, &pieces) {
            FileQuestions::Possible
        } else {
            FileQuestions::Impossible
        };
        self.note_implied(&mut sorted, questions)?;
        sorted.is_anywhere &=
            !locality::headers_tell_names(self.program, &self.given, headers.clone(), &pieces);
        let mut texts_in_files = locality::texts(self.program).chain(headers);
        let renames_lines = texts_in_files.any(|text| renames_lines(text, self.program));
        sorted.finish(&texts, renames_lines)
    }

    /// The pieces from which macros may paste names together.
    fn pieces<'t>(&'t self, headers: impl Iterator<Item = &'t [u8]>) -> Pieces<'t> {
        let texts = locality::texts(self.program).chain(headers);
        let expressions = self.given.expressions.iter().map(Vec::as_slice);
        Pieces::of(texts, self.given.options.macros(), expressions)
    }

    /// Whether a file exists at the path of a header that was passed in memory: NVRTC takes every header that is a
    /// link to that file for the one in memory.
    pub(super) fn has_stand_ins(&self) -> bool {
        let passed = self.passed();
        passed.iter().any(|place| place.is_file())
    }

    /// Adds the paths that NVRTC probes in every compile, if the result depends on them: paths of headers in memory, if
    /// it read files that it compares with them; the path of the program, if `__has_include` may lead to it; and
    /// paths that it probed more than once, as 12.0 does when `__has_include` names headers in memory.
    fn note_implied(&self, sorted: &mut Sorted, questions: FileQuestions) -> Result<(), NotStored> {
        let asks = questions == FileQuestions::Possible;
        let passed = self.passed();
        let own = self.own();
        let beside = self.beside();
        let compares_files = !sorted.fixed.files.is_empty();
        for (place, looks) in std::mem::take(&mut sorted.implied) {
            let below = beside.as_ref().filter(|_| own.contains(&place));
            let below = below.and_then(|beside| place.strip_prefix(beside).ok());
            let access = FileAccess::Absent(place.clone());
            if let (true, Some(below)) = (asks && looks == 1, below) {
                sorted.note_beside(below, &access)?;
                continue;
            }
            let is_asked = asks && (looks > 1 || own.contains(&place));
            sorted.is_anywhere &= !is_asked;
            if is_asked || compares_files && passed.contains(&place) {
                note(&mut sorted.local, &mut sorted.probe, &access)?;
            }
        }
        if let (true, Some(place)) = (asks, sorted.program.take()) {
            sorted.is_anywhere = false;
            note(
                &mut sorted.local,
                &mut sorted.probe,
                &FileAccess::Looked(place),
            )?;
        }
        Ok(())
    }

    /// The paths of the headers that were passed in memory.
    fn passed(&self) -> BTreeSet<PathBuf> {
        let names = self.program.headers.iter();
        let names = names.map(|header| OsStr::from_bytes(&header.name));
        let places =
            names.flat_map(|name| self.directories.iter().map(move |path| path.join(name)));
        places.map(|place| plain(&place)).collect()
    }

    /// Sorts accesses. Returns whether the program's `own` path is among them.
    fn sort(
        &self,
        seen: &[FileAccess],
        own: &BTreeSet<PathBuf>,
        sorted: &mut Sorted,
    ) -> Result<bool, NotStored> {
        let implied = self.implied();
        let base = own.iter().next_back().and_then(|path| path.file_name());
        let beside = self.beside();
        let by_source = locality::looks_beside(&self.program.source);
        // Headers in memory count as files of the working directory, so their includes are searched for there.
        let headers = &self.program.headers;
        let by_headers = headers
            .iter()
            .any(|header| locality::looks_beside(&header.source));
        let directories = self.directories.iter().filter(|_| !headers.is_empty());
        let around = own.iter().filter_map(|own| own.parent());
        let around: Vec<_> = around.chain(directories.map(PathBuf::as_path)).collect();
        let searched = self.searched();
        let ours = memmem::Finder::new(BESIDE);
        let mut was_observed = false;
        for access in seen {
            let (FileAccess::Opened(path) | FileAccess::Absent(path) | FileAccess::Looked(path)) =
                access;
            if ours.find(path.as_os_str().as_bytes()).is_some() {
                return Err(format!("{} has a name of ours", path.display()));
            }
            let place = plain(&self.directories[0].join(path));
            was_observed |= own.contains(&place);
            let is_opened = matches!(access, FileAccess::Opened(_));
            // Most results do not depend on these; `note_implied` decides later.
            if implied.contains(&place) && !is_opened {
                sorted.note_look(place, access, own)?;
                continue;
            }
            sorted.is_anywhere &= !(is_opened && place.file_name() == base);
            let reached = reached(&place, &searched);
            let below = beside.as_ref().and_then(|dir| place.strip_prefix(dir).ok());
            let below = below.filter(|_| by_source && !by_headers && reached == Reached::Not);
            match (below, access) {
                (Some(below), FileAccess::Absent(_)) => sorted.note_beside(below, access)?,
                _ => {
                    let is_around = around.iter().any(|near| place.starts_with(near));
                    sorted.is_anywhere &= reached == Reached::Alike && !is_around;
                    note(&mut sorted.fixed, &mut sorted.probe, access)?;
                }
            }
        }
        Ok(was_observed)
    }

    /// The program's directory; `None` if the working directory matters and has two spellings.
    fn beside(&self) -> Option<PathBuf> {
        let own = self.own();
        let parent = own.first()?.parent()?.to_owned();
        (own.len() == 1).then_some(parent)
    }

    /// A path set with this program's directory in place of [`BESIDE`].
    pub(super) fn resolve<'s>(&self, set: &'s PathSet) -> Option<Cow<'s, PathSet>> {
        if set.names(BESIDE) {
            Some(Cow::Owned(set.with(BESIDE, &self.beside()?)))
        } else {
            Some(Cow::Borrowed(set))
        }
    }

    /// The path of the program, in each spelling of the working directory. NVRTC probes it although it has the text.
    fn own(&self) -> BTreeSet<PathBuf> {
        let name = shown_name(self.program);
        let places = self.directories.iter().map(|path| plain(&path.join(name)));
        places.collect()
    }

    /// Paths that NVRTC probes in every compile, only to find out which files are the same.
    fn implied(&self) -> BTreeSet<PathBuf> {
        let own = self.own();
        let parents = own.iter().filter_map(|path| path.parent());
        let mut places: BTreeSet<_> = parents.map(Path::to_owned).collect();
        places.extend(own);
        places.extend(self.passed());
        let internal: [&[u8]; 3] = [b"", b"__nv_nvrtc_builtin_header.h", b"__nv_name_map"];
        for name in internal {
            let name = OsStr::from_bytes(name);
            places.extend(self.directories.iter().map(|path| plain(&path.join(name))));
        }
        places
    }

    /// The directories of `-I` as searches spell them, and whether each is the same from every working directory.
    fn searched(&self) -> Vec<(PathBuf, bool)> {
        let spelled = |include: &PathBuf| {
            let places = self.directories.iter().map(|path| path.join(include));
            let is_alike = include.is_absolute();
            places.map(|place| (plain(&place), is_alike)).collect()
        };
        let directories: Vec<Vec<_>> = self.given.options.includes.iter().map(spelled).collect();
        directories.concat()
    }
}

/// The texts of `files`. Fails if one of them uses a macro for the time.
fn read(files: &BTreeSet<PathBuf>) -> Result<Vec<Vec<u8>>, NotStored> {
    let read = |path: &PathBuf| {
        let failed = |error| format!("{}: {error}", path.display());
        let text = fs::read(path).map_err(failed)?;
        if locality::asks_for_time(&text) {
            let path = path.display();
            return Err(format!("{path} mentions the time of the compile"));
        }
        Ok(text)
    };
    files.iter().map(read).collect()
}

/// Checks that no path appeared or vanished between two accesses.
fn check_answers(seen: &[FileAccess]) -> Result<(), NotStored> {
    let mut answers: HashMap<&Path, bool> = HashMap::new();
    for access in seen {
        let (path, is_there) = match access {
            FileAccess::Opened(path) | FileAccess::Looked(path) => (path, true),
            FileAccess::Absent(path) => (path, false),
        };
        let before = *answers.entry(path).or_insert(is_there);
        // A directory exists for `stat`, but opening it as a file fails.
        if before != is_there && !path.is_dir() {
            return Err(format!(
                "{} came or went during the compile",
                path.display()
            ));
        }
    }
    Ok(())
}

/// How a search through the directories `searched` reaches a path.
fn reached(place: &Path, searched: &[(PathBuf, bool)]) -> Reached {
    let mut below = searched.iter().filter(|(path, _)| place.starts_with(path));
    match below.next() {
        None => Reached::Not,
        Some((_, true)) if below.all(|(_, is_alike)| *is_alike) => Reached::Alike,
        Some(_) => Reached::FromHere,
    }
}

/// How a search reaches a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    Not,
    /// From every working directory.
    Alike,
    /// Only from this working directory.
    FromHere,
}

impl Sorted {
    /// Adds a missing path `below` the program's directory.
    fn note_beside(&mut self, below: &Path, access: &FileAccess) -> Result<(), NotStored> {
        note(&mut self.beside, &mut self.probe, access)?;
        let directory = below.parent().unwrap_or(Path::new(""));
        let name = below.file_name().map(PathBuf::from);
        let directory = if directory.as_os_str().is_empty() {
            PathBuf::from(BESIDE)
        } else {
            Path::new(BESIDE).join(directory)
        };
        self.moving.entry(directory).or_default().extend(name);
        // A directory or file that is in the way here may be absent beside a program in another directory.
        self.is_anywhere &= self.beside.directories.is_empty() && self.beside.present.is_empty();
        Ok(())
    }

    /// Adds an access to a path that NVRTC probes in every compile to find out whether it is the same file or directory
    /// as another.
    fn note_look(
        &mut self,
        place: PathBuf,
        access: &FileAccess,
        own: &BTreeSet<PathBuf>,
    ) -> Result<(), NotStored> {
        if matches!(access, FileAccess::Absent(_)) {
            *self.implied.entry(place).or_default() += 1;
        } else if place.is_dir() {
            note(&mut self.local, &mut self.probe, access)?;
        } else if own.contains(&place) {
            // The program's file may well exist: NVRTC never takes an included file for it.
            self.program = Some(place);
        } else {
            self.is_anywhere = false;
            note(&mut self.local, &mut self.probe, access)?;
            self.stand_ins.extend(self.local.present.iter().cloned());
        }
        Ok(())
    }

    fn finish(self, texts: &[Vec<u8>], renames_lines: bool) -> Result<ObservedReads, NotStored> {
        let mut here = self.fixed.clone();
        for near in [self.beside, self.local] {
            here.present.extend(near.present);
            here.directories.extend(near.directories);
            for (directory, names) in near.absent {
                here.absent.entry(directory).or_default().extend(names);
            }
        }
        here.present.retain(|path| !here.files.contains(path));
        let mut anywhere = self.fixed;
        anywhere.absent.extend(self.moving);
        relate(&mut here, texts, &self.stand_ins)?;
        relate(&mut anywhere, texts, &BTreeSet::new())?;
        Ok(ObservedReads {
            here,
            anywhere: self.is_anywhere.then_some(anywhere),
            renames_lines,
        })
    }
}

/// Adds one access to `lookups`. Fails if the disk shows something else now.
fn note(lookups: &mut Lookups, probe: &mut Probe, access: &FileAccess) -> Result<(), NotStored> {
    let mut look = |path: &Path| {
        let probed = probe.look(path);
        probed.map_err(|error| format!("{}: {error}", path.display()))
    };
    match access {
        FileAccess::Opened(path) => drop(lookups.files.insert(path.clone())),
        FileAccess::Looked(path) => match look(path)? {
            Probed::File => drop(lookups.present.insert(path.clone())),
            Probed::Directory => drop(lookups.directories.insert(path.clone())),
            Probed::Nothing { .. } | Probed::Blocked { .. } => {
                return Err(format!("{} went during the compile", path.display()));
            }
        },
        FileAccess::Absent(path) => match look(path)? {
            Probed::Nothing { directory, missing } => {
                lookups.absent.entry(directory).or_default().insert(missing);
            }
            Probed::Blocked { by } => drop(lookups.present.insert(by)),
            // A directory with the name of a header cannot be opened, which looks like a missing file.
            Probed::Directory => drop(lookups.directories.insert(path.clone())),
            Probed::File => return Err(format!("{} appeared during the compile", path.display())),
        },
    }
    Ok(())
}

/// `path` without its `.` components; `..` stays.
fn plain(path: &Path) -> PathBuf {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.collect()
}
