//! Derives from the files that a compile read everything that its includes depend on: places where
//! a header could newly appear, other spellings of the same file, files that only
//! `__has_include` asked for. `docs/design/direct.md` says why nothing is missing.
//!
//! Examines the disk after the compile's passes.

mod copies;
mod file_names;
mod mentions;
mod precompiled;
mod questions;
mod reads;

use super::probe::{Probe, Probed};
use super::reached::ReachedNames;
use super::scan::{IncludeForm, Mentions, ScannedName};
use super::search::SearchOrder;
use copies::OnceContents;
use file_names::FileNames;
use mentions::AllMentions;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub use copies::FileCopy;
pub use reads::{NotStored, Preprocessor, Reads};

/// The header that GCC includes before all others if it is anywhere in the search order.
const UNASKED: &[u8] = b"stdc-predef.h";

/// Everything that the includes of a compile depend on. All paths are as a compiler would spell
/// them, relative ones to its working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// Files whose content must stay the same.
    pub files: BTreeSet<PathBuf>,
    /// Names that must stay absent, by directory.
    pub absent: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Paths that must stay directories, which no search takes for a header.
    pub directories: BTreeSet<PathBuf>,
    /// Paths that must stay files, with any content.
    pub present: BTreeSet<PathBuf>,
    /// Pairs of paths that must lead to the same directory.
    pub same: BTreeSet<(PathBuf, PathBuf)>,
    /// Search directories that must stay different directories: gcc drops the second name of one directory.
    pub distinct: BTreeSet<PathBuf>,
    /// Groups of equal files that ask to be read once; by clang, of any equal files.
    pub copies: Vec<Vec<FileCopy>>,
    /// Absolute names of headers, as macros or the joining of lines made them: no file needs to hold them as they are.
    /// `None` if they are unknown.
    pub absolute: Option<BTreeSet<PathBuf>>,
    /// Paths that were only probed on disk. Nothing in the text of a pass confirms the answer, so they
    /// must not have changed since the passes started.
    pub probed: BTreeSet<PathBuf>,
    /// Names that were only found absent on disk, by directory. They must not have come and gone since then either.
    pub asked: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

/// Runs the preprocessors again, for what the sources alone do not show.
pub struct Reruns<'r> {
    /// The names that they include. Is called if macros compute names.
    pub reached: &'r dyn Fn() -> Result<ReachedNames, NotStored>,
    /// The paths that they ask the system for, and whether something is there. Is called if macros may ask for headers
    /// whose names no source shows.
    pub asked: &'r dyn Fn() -> Result<BTreeMap<PathBuf, bool>, NotStored>,
}

impl Lookups {
    /// Follows every include of `reads` through each of `orders`.
    ///
    /// # Errors
    /// A source does something that a set of paths cannot describe, or a path cannot be examined.
    pub fn resolve(
        reads: &Reads,
        orders: &BTreeSet<SearchOrder>,
        reruns: &Reruns<'_>,
    ) -> Result<Self, NotStored> {
        let AllMentions {
            of: mentions,
            unseen,
        } = mentions::all(reads)?;
        let mut walk = Walk::new(reads, &mentions)?;
        // Only the preprocessor knows the computed name of a copy of a header that was read, or of a file that clang knows
        // by another name, which leaves no trace; and whether a name was absolute.
        let is_clang = reads.preprocessor == Preprocessor::Clang;
        let leaves_traces = !is_clang && walk.once.is_empty();
        walk.found.absolute = Some(BTreeSet::new());
        if mentions.iter().any(|(_, found)| found.computes_names) {
            match (reruns.reached)() {
                Ok(names) => walk.reached = Some(names),
                Err(_) if leaves_traces => walk.found.absolute = None,
                Err(reason) => return Err(reason),
            }
        }
        for order in orders {
            walk.enter(order)?;
            for (path, mentions) in &mentions {
                walk.follow_file(path, mentions)?;
            }
            for name in &reads.forced {
                let name = ScannedName {
                    form: IncludeForm::Quote,
                    text: name.clone(),
                };
                walk.follow_include(walk.beginning(), &name)?;
            }
            walk.follow_angle(UNASKED)?;
        }
        if let Some(reason) = unseen {
            walk.follow_asked(reason, reruns)?;
        }
        walk.found.files.extend(reads.sources.keys().cloned());
        walk.found.files.extend(reads.raw.iter().cloned());
        walk.add_precompiled()?;
        if is_clang {
            walk.add_precompiled_of_clang()?;
        }
        let Lookups { files, present, .. } = &mut walk.found;
        present.retain(|path| !files.contains(path));
        walk.found.copies = walk.once.copies(files, reads)?;
        Ok(walk.found)
    }
}

/// One search directory.
#[derive(Debug)]
struct SearchedDirectory {
    path: PathBuf,
    real: PathBuf,
    quotes_only: bool,
}

/// Follows names through one search order after another.
struct Walk<'a> {
    reads: &'a Reads,
    probe: Probe,
    /// Real paths of everything entered.
    real: HashSet<PathBuf>,
    /// The names of everything entered, if clang entered it.
    names: Option<FileNames>,
    /// Real directories by their spelling.
    real_directories: HashMap<PathBuf, PathBuf>,
    once: OnceContents,
    order: Vec<SearchedDirectory>,
    /// Names that were followed through the current order, and whether they were quoted.
    done: HashSet<(bool, Vec<u8>)>,
    /// The names that preprocessors looked for, if sources alone do not show them.
    reached: Option<ReachedNames>,
    found: Lookups,
}

impl<'a> Walk<'a> {
    fn new(reads: &'a Reads, mentions: &[(&Path, Mentions)]) -> Result<Self, NotStored> {
        let mut walk = Self {
            reads,
            probe: Probe::default(),
            real: HashSet::new(),
            names: None,
            real_directories: HashMap::new(),
            once: OnceContents::of(reads, mentions),
            order: Vec::new(),
            done: HashSet::new(),
            reached: None,
            found: Lookups::default(),
        };
        for path in reads.sources.keys() {
            let real = walk
                .real_path(path)
                .ok_or_else(|| format!("{}: gone", path.display()))?;
            walk.real.insert(real);
        }
        if reads.preprocessor == Preprocessor::Clang {
            let names = walk.names.insert(FileNames::default());
            reads.sources.keys().try_for_each(|path| names.add(path))?;
        }
        Ok(walk)
    }

    /// What the preprocessor puts before a quoted name where the includer's own path has no directory.
    fn beginning(&self) -> &'static [u8] {
        if self.names.is_some() { b"./" } else { b"" }
    }

    /// Makes `order` the current search order, and records what its directories depend on.
    fn enter(&mut self, order: &SearchOrder) -> Result<(), NotStored> {
        self.order.clear();
        self.done.clear();
        let quoted = order.quote.len();
        for (index, path) in order.directories().enumerate() {
            let real = self.same_directory(path)?;
            self.order.push(SearchedDirectory {
                path: path.clone(),
                real,
                quotes_only: index < quoted,
            });
        }
        let real = self.order.iter().map(|directory| directory.real.clone());
        self.found.distinct.extend(real);
        for path in &order.duplicates {
            self.same_directory(path)?;
        }
        for path in &order.missing {
            match self.look(path)? {
                Probed::Nothing { directory, missing } => self.note_absent(directory, missing),
                Probed::Blocked { by } => drop(self.found.present.insert(by)),
                Probed::File if self.names.is_some() => {
                    return Err(format!("{} may become a map of headers", path.display()));
                }
                Probed::File => drop(self.found.present.insert(path.clone())),
                Probed::Directory => {
                    return Err(format!("{} appeared during the compile", path.display()));
                }
            }
        }
        Ok(())
    }

    /// The real path of a search directory. Records that `path` must keep leading to it: gcc spells some
    /// headers by their real paths, and drops directories that are the same as others.
    fn same_directory(&mut self, path: &Path) -> Result<PathBuf, NotStored> {
        let real =
            fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if real != path {
            self.found.same.insert((path.to_owned(), real.clone()));
        }
        Ok(real)
    }

    fn follow_file(&mut self, path: &Path, mentions: &Mentions) -> Result<(), NotStored> {
        let own = match own_directory(path) {
            b"" => self.beginning(),
            own => own,
        };
        let in_snippet = path.as_os_str().is_empty();
        if !in_snippet {
            self.note_absolute(mentions.includes.iter());
            self.note_absolute(mentions.nexts.iter().chain(&mentions.asked));
        }
        for name in &mentions.includes {
            if in_snippet {
                self.follow_angle(&name.text)?;
            } else {
                self.follow_include(own, name)?;
            }
        }
        for name in &mentions.nexts {
            // In the main file, and in a file that was included by its full path, it is the same as `#include`.
            if name.form == IncludeForm::Quote {
                self.follow_place(joined(own, &name.text), None)?;
            }
            self.follow_next(&name.text)?;
        }
        for name in &mentions.asked {
            self.follow_question(own, name)?;
        }
        if mentions.computes_names {
            self.follow_computed(path, own)?;
        }
        Ok(())
    }

    /// Follows an `#include`: the search ends at the first file.
    fn follow_include(&mut self, own: &[u8], name: &ScannedName) -> Result<(), NotStored> {
        if name.text.starts_with(b"/") {
            return self.follow_place(to_path(&name.text), None).map(drop);
        }
        let quoted = name.form == IncludeForm::Quote;
        if quoted && self.follow_place(joined(own, &name.text), None)? {
            return Ok(());
        }
        if !self.done.insert((quoted, name.text.clone())) {
            return Ok(());
        }
        for index in 0..self.order.len() {
            if self.order[index].quotes_only && !quoted {
                continue;
            }
            if self.follow_place(self.candidate(index, &name.text), Some((index, &name.text)))? {
                break;
            }
        }
        Ok(())
    }

    fn follow_angle(&mut self, text: &[u8]) -> Result<(), NotStored> {
        let name = ScannedName {
            form: IncludeForm::Angle,
            text: text.to_vec(),
        };
        self.follow_include(b"", &name)
    }

    /// Follows an `#include_next`, which may start anywhere in the order. A place with a file that was not
    /// entered was not searched; every empty place may have been.
    fn follow_next(&mut self, text: &[u8]) -> Result<(), NotStored> {
        for index in 0..self.order.len() {
            self.follow_place(self.candidate(index, text), Some((index, text)))?;
        }
        Ok(())
    }

    /// Follows the `#include`s of the file `path` whose names macros compute.
    fn follow_computed(&mut self, path: &Path, own: &[u8]) -> Result<(), NotStored> {
        let Some(reached) = &self.reached else {
            return self.follow_entered(own);
        };
        let names: Vec<_> = reached.of(path).cloned().collect();
        self.note_absolute(names.iter());
        for name in &names {
            self.follow_include(own, name)?;
        }
        Ok(())
    }

    /// Records which of the `names` are absolute: such a name leads elsewhere from another checkout.
    fn note_absolute<'n>(&mut self, names: impl Iterator<Item = &'n ScannedName>) {
        if let Some(absolute) = &mut self.found.absolute {
            let paths = names.map(|name| to_path(&name.text));
            absolute.extend(paths.filter(|path| path.is_absolute()));
        }
    }

    /// Follows an `#include` whose name is not known. The header is one of the sources, so every source's path
    /// without its search directory may be the name. The including file's own directory is searched first.
    fn follow_entered(&mut self, own: &[u8]) -> Result<(), NotStored> {
        let mut names = BTreeSet::new();
        for source in self.reads.sources.keys() {
            for directory in &self.order {
                let rest = source
                    .strip_prefix(&directory.path)
                    .or_else(|_| source.strip_prefix(&directory.real));
                names.extend(rest.ok().map(|rest| rest.as_os_str().as_bytes().to_vec()));
            }
        }
        for text in names {
            // Both forms, because one may find a file that the other does not search for.
            self.follow_angle(&text)?;
            let name = ScannedName {
                form: IncludeForm::Quote,
                text,
            };
            self.follow_include(own, &name)?;
        }
        Ok(())
    }

    /// Records what is at one place of a search. Returns whether a file is there. `searched` is the index of
    /// the directory in the order, and the name.
    fn follow_place(
        &mut self,
        place: PathBuf,
        searched: Option<(usize, &[u8])>,
    ) -> Result<bool, NotStored> {
        match self.look(&place)? {
            Probed::File => {
                self.note_file(place, searched)?;
                return Ok(true);
            }
            Probed::Directory => drop(self.found.directories.insert(place)),
            Probed::Blocked { by } => drop(self.found.present.insert(by)),
            Probed::Nothing { directory, missing } => self.note_absent(directory, missing),
        }
        Ok(false)
    }

    /// Records a file to which an include leads. It is one of the sources, perhaps by another spelling, or
    /// the preprocessor did not reach the include.
    fn note_file(
        &mut self,
        place: PathBuf,
        searched: Option<(usize, &[u8])>,
    ) -> Result<(), NotStored> {
        if self.reads.sources.contains_key(&place) || self.found.files.contains(&place) {
            return Ok(());
        }
        if self.names.is_some() {
            let found = if self.note_name(&place)? {
                &mut self.found.files
            } else {
                &mut self.found.probed
            };
            found.insert(place);
            return Ok(());
        }
        if let Some((index, name)) = searched {
            // gcc may shorten the path to this spelling; `same` records that both lead to one directory.
            let real = self.order[index].real.join(to_path(name));
            if self.reads.sources.contains_key(&real) {
                return Ok(());
            }
        }
        if self
            .real_path(&place)
            .is_some_and(|real| self.real.contains(&real))
        {
            self.found.files.insert(place);
            return Ok(());
        }
        if self.once.hold(&place)? {
            // GCC may have taken it for the other file, and would enter it if its bytes were others.
            self.found.files.insert(place);
        } else {
            self.found.probed.insert(place);
        }
        Ok(())
    }

    /// Whether `place` is a name of a file that clang read. If it is, the directory must stay where it is: clang may
    /// look for the file's includes there.
    fn note_name(&mut self, place: &Path) -> Result<bool, NotStored> {
        let Some(names) = &self.names else {
            return Ok(false);
        };
        let holds = names.hold(place)?;
        let real = file_names::directory(place)?;
        let spelled = place.parent().unwrap_or(Path::new(""));
        let is_here = matches!(spelled.as_os_str().as_bytes(), b"" | b".");
        if holds && !is_here && spelled != real {
            self.found.same.insert((spelled.to_owned(), real));
        }
        Ok(holds)
    }

    fn look(&mut self, place: &Path) -> Result<Probed, NotStored> {
        self.probe
            .look(place)
            .map_err(|error| format!("{}: {error}", place.display()))
    }

    fn note_absent(&mut self, directory: PathBuf, missing: PathBuf) {
        let names = self.found.absent.entry(directory).or_default();
        names.insert(missing);
    }

    fn candidate(&self, index: usize, name: &[u8]) -> PathBuf {
        self.order[index].path.join(to_path(name))
    }

    /// The real path of a file. Each directory is resolved only once.
    fn real_path(&mut self, path: &Path) -> Option<PathBuf> {
        if fs::symlink_metadata(path).ok()?.is_symlink() {
            return fs::canonicalize(path).ok();
        }
        let directory = path.parent()?;
        if !self.real_directories.contains_key(directory) {
            let spelled = if directory.as_os_str().is_empty() {
                Path::new(".")
            } else {
                directory
            };
            let real = fs::canonicalize(spelled).ok()?;
            self.real_directories.insert(directory.to_owned(), real);
        }
        Some(self.real_directories[directory].join(path.file_name()?))
    }
}

/// The prefix that gcc puts before a quoted name in the file `path`: everything up to the last slash.
fn own_directory(path: &Path) -> &[u8] {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|&byte| byte == b'/');
    &bytes[..end.map_or(0, |slash| slash + 1)]
}

fn joined(directory: &[u8], name: &[u8]) -> PathBuf {
    to_path(&[directory, name].concat())
}

fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
