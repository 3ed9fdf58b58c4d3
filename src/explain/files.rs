//! Finds differences between the files that two compiles read, and between the places where they searched for them.
//! Compares paths as they were spelled, relative to the directory of their compile. Reads no files.

use super::difference::{Difference, DifferenceKind, short};
use super::facts::{DependencyReport, File, values};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// The files and missing places of a report by their absolute paths, as spelled.
struct Index<'f> {
    facts: &'f DependencyReport,
    files: BTreeMap<PathBuf, usize>,
    absent: HashSet<PathBuf>,
}

impl<'f> Index<'f> {
    fn of(facts: &'f DependencyReport) -> Self {
        let mut files: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (at, file) in facts.files.iter().enumerate() {
            // If a file occurs with two spellings, takes the one whose includer is known.
            let index = files.entry(place(facts, &file.path)).or_insert(at);
            if facts.files[*index].by.is_none() {
                *index = at;
            }
        }
        let absent = facts.absent.iter().flat_map(|(directory, names)| {
            let directory = place(facts, directory);
            names.iter().map(move |name| plain(&directory.join(name)))
        });
        Self {
            facts,
            files,
            absent: absent.collect(),
        }
    }

    fn file(&self, place: &Path) -> Option<&'f File> {
        self.files.get(place).map(|at| &self.facts.files[*at])
    }

    /// Whether the place, or a directory on the way to it, was searched for and missing.
    fn lacked(&self, place: &Path) -> bool {
        place.ancestors().any(|place| self.absent.contains(place))
    }

    fn is_source(&self, file: &File) -> bool {
        let inputs = values(&self.facts.job, "input");
        inputs.contains(&file.path)
    }
}

/// The absolute path of a path in a report, without `.` components.
fn place(facts: &DependencyReport, path: &str) -> PathBuf {
    plain(&Path::new(facts.directory()).join(path))
}

fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Sources and directories of headers whose links have another target now.
pub(super) fn links(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let mut differences = Vec::new();
    let inputs = |facts: &DependencyReport| values(&facts.job, "input").to_vec();
    let (was, is) = (old.request("sources"), new.request("sources"));
    if inputs(old) == inputs(new) && old.directory() == new.directory() {
        for (name, (was, is)) in inputs(new).iter().zip(was.iter().zip(is)) {
            if was != is {
                differences.push(Difference::new(
                    DifferenceKind::Link,
                    name,
                    Some(was),
                    Some(is),
                ));
            }
        }
    }
    if old.directory() == new.directory() {
        for (name, is) in &new.links {
            if let Some(was) = old.links.get(name).filter(|was| *was != is) {
                differences.push(Difference::new(
                    DifferenceKind::Link,
                    name,
                    Some(was),
                    Some(is),
                ));
            }
        }
    }
    differences
}

/// Files that have changed, appeared or gone.
pub(super) fn files(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let (was, is) = (Index::of(old), Index::of(new));
    let moved: Vec<_> = links(old, new)
        .iter()
        .map(|link| place(new, &link.name))
        .collect();
    let mut differences = Vec::new();
    for (place, &at) in &is.files {
        let file = &new.files[at];
        match was.file(place) {
            Some(before) if before.digest == file.digest => {}
            // The changed link is already a difference of its own.
            Some(_) if moved.iter().any(|link| place.starts_with(link)) => {}
            Some(before) => differences.push(changed(&is, at, before)),
            None if was.lacked(place) => differences.push(appeared(&was, &is, at)),
            None => {}
        }
    }
    for path in &new.present {
        if was.lacked(&place(new, path)) && !is.files.contains_key(&place(new, path)) {
            let appeared = Difference::new(DifferenceKind::Appeared, path, None, Some("there"));
            differences.push(appeared.noting(Some(
                "a question whether it is there (__has_include)".to_owned(),
            )));
        }
    }
    let read = old.files.iter().map(|file| &file.path);
    for path in read.chain(&old.present) {
        let at = place(old, path);
        if is.lacked(&at) && !is.files.contains_key(&at) && old.directory() == new.directory() {
            differences.push(Difference::new(
                DifferenceKind::Gone,
                path,
                Some("there"),
                None,
            ));
        }
    }
    differences
}

fn changed(is: &Index<'_>, at: usize, before: &File) -> Difference {
    let file = &is.facts.files[at];
    let kind = if is.is_source(file) {
        DifferenceKind::Source
    } else {
        DifferenceKind::Header
    };
    let mut notes = Vec::new();
    notes.extend(included_by(is.facts, at));
    if file.tokens.is_some() && file.tokens == before.tokens {
        let why = match &is.facts.exact {
            Some(exact) => format!("in comments or blanks alone, which count: {exact}"),
            None => "in comments or blanks alone".to_owned(),
        };
        notes.push(why);
    }
    let (old, new) = (short(&before.digest), short(&file.digest));
    let difference = Difference::new(kind, &file.path, Some(old), Some(new));
    difference.noting((!notes.is_empty()).then(|| notes.join("; ")))
}

fn appeared(was: &Index<'_>, is: &Index<'_>, at: usize) -> Difference {
    let file = &is.facts.files[at];
    let name = Path::new(&file.path).file_name();
    // The file that the earlier search found instead.
    let replaced = was
        .files
        .iter()
        .find(|(place, _)| place.file_name() == name && !is.files.contains_key(*place));
    let replaced = replaced.map(|(_, at)| was.facts.files[*at].path.as_str());
    let mut notes = Vec::new();
    notes.extend(replaced.map(|path| format!("in the place of {path}")));
    notes.extend(included_by(is.facts, at));
    let difference = Difference::new(
        DifferenceKind::Appeared,
        &file.path,
        None,
        Some(short(&file.digest)),
    );
    difference.noting((!notes.is_empty()).then(|| notes.join("; ")))
}

/// The chain of includes that leads to a header, as a note.
fn included_by(facts: &DependencyReport, at: usize) -> Option<String> {
    let chain = facts.chain(at);
    (!chain.is_empty()).then(|| format!("included by {}", chain.join(", by ")))
}

/// Files that one compile read and the other did not. For when no other difference explains that.
pub(super) fn strays(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let (was, is) = (Index::of(old), Index::of(new));
    let added = is
        .files
        .iter()
        .filter(|(place, _)| !was.files.contains_key(*place));
    let added = added.map(|(_, &at)| {
        let file = &new.files[at];
        let difference = Difference::new(
            DifferenceKind::Header,
            &file.path,
            None,
            Some(short(&file.digest)),
        );
        difference.noting(included_by(new, at))
    });
    let removed = was
        .files
        .iter()
        .filter(|(place, _)| !is.files.contains_key(*place));
    let removed = removed.map(|(_, &at)| {
        let file = &old.files[at];
        let difference = Difference::new(
            DifferenceKind::Header,
            &file.path,
            Some(short(&file.digest)),
            None,
        );
        difference.noting(included_by(old, at))
    });
    added.chain(removed).collect()
}
