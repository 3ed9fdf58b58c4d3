//! What differs in the files that two compiles read, and in the places where they looked for them.
//! Paths are compared as they were spelled, against the directory of their compile. Looks at no disk.

use super::difference::{Difference, DifferenceKind, short};
use super::facts::{DependencyReport, File, values};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Files by their places on the disk, as spelled.
struct Index<'f> {
    facts: &'f DependencyReport,
    files: BTreeMap<PathBuf, usize>,
    absent: HashSet<PathBuf>,
}

impl<'f> Index<'f> {
    fn of(facts: &'f DependencyReport) -> Self {
        let mut files: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (at, file) in facts.files.iter().enumerate() {
            // Of two spellings, the one that tells who included it.
            let known = files.entry(place(facts, &file.path)).or_insert(at);
            if facts.files[*known].by.is_none() {
                *known = at;
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

    /// Whether the place, or a directory on the way to it, was looked for in vain.
    fn lacked(&self, place: &Path) -> bool {
        place.ancestors().any(|place| self.absent.contains(place))
    }

    fn is_source(&self, file: &File) -> bool {
        let inputs = values(&self.facts.job, "input");
        inputs.contains(&file.path)
    }
}

/// A path against the directory of its compile, without dots that mean nothing.
fn place(facts: &DependencyReport, path: &str) -> PathBuf {
    plain(&Path::new(facts.directory()).join(path))
}

fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Paths that lead elsewhere: sources, and directories of headers.
pub(super) fn links(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let mut found = Vec::new();
    let inputs = |facts: &DependencyReport| values(&facts.job, "input").to_vec();
    let (was, is) = (old.request("sources"), new.request("sources"));
    if inputs(old) == inputs(new) && old.directory() == new.directory() {
        for (name, (was, is)) in inputs(new).iter().zip(was.iter().zip(is)) {
            if was != is {
                found.push(Difference::new(
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
                found.push(Difference::new(
                    DifferenceKind::Link,
                    name,
                    Some(was),
                    Some(is),
                ));
            }
        }
    }
    found
}

/// Files that were changed, have appeared or are gone.
pub(super) fn files(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let (was, is) = (Index::of(old), Index::of(new));
    let moved: Vec<_> = links(old, new)
        .iter()
        .map(|link| place(new, &link.name))
        .collect();
    let mut found = Vec::new();
    for (place, &at) in &is.files {
        let file = &new.files[at];
        match was.file(place) {
            Some(before) if before.digest == file.digest => {}
            // What a link leads to has been named.
            Some(_) if moved.iter().any(|link| place.starts_with(link)) => {}
            Some(before) => found.push(changed(&is, at, before)),
            None if was.lacked(place) => found.push(appeared(&was, &is, at)),
            None => {}
        }
    }
    for path in &new.present {
        if was.lacked(&place(new, path)) && !is.files.contains_key(&place(new, path)) {
            let appeared = Difference::new(DifferenceKind::Appeared, path, None, Some("there"));
            found.push(appeared.noting(Some(
                "a question whether it is there (__has_include)".to_owned(),
            )));
        }
    }
    let read = old.files.iter().map(|file| &file.path);
    for path in read.chain(&old.present) {
        let at = place(old, path);
        if is.lacked(&at) && !is.files.contains_key(&at) && old.directory() == new.directory() {
            found.push(Difference::new(
                DifferenceKind::Gone,
                path,
                Some("there"),
                None,
            ));
        }
    }
    found
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
    let found = Difference::new(kind, &file.path, Some(old), Some(new));
    found.noting((!notes.is_empty()).then(|| notes.join("; ")))
}

fn appeared(was: &Index<'_>, is: &Index<'_>, at: usize) -> Difference {
    let file = &is.facts.files[at];
    let name = Path::new(&file.path).file_name();
    // What was found in its stead.
    let stands_in = was
        .files
        .iter()
        .find(|(place, _)| place.file_name() == name && !is.files.contains_key(*place));
    let stood = stands_in.map(|(_, at)| was.facts.files[*at].path.as_str());
    let mut notes = Vec::new();
    notes.extend(stood.map(|stood| format!("in the place of {stood}")));
    notes.extend(included_by(is.facts, at));
    let found = Difference::new(
        DifferenceKind::Appeared,
        &file.path,
        None,
        Some(short(&file.digest)),
    );
    found.noting((!notes.is_empty()).then(|| notes.join("; ")))
}

/// The way by which a header came in.
fn included_by(facts: &DependencyReport, at: usize) -> Option<String> {
    let chain = facts.chain(at);
    (!chain.is_empty()).then(|| format!("included by {}", chain.join(", by ")))
}

/// Files that one compile read and the other did not, where nothing else tells why.
pub(super) fn strays(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let (was, is) = (Index::of(old), Index::of(new));
    let come = is
        .files
        .iter()
        .filter(|(place, _)| !was.files.contains_key(*place));
    let come = come.map(|(_, &at)| {
        let file = &new.files[at];
        let read = Difference::new(
            DifferenceKind::Header,
            &file.path,
            None,
            Some(short(&file.digest)),
        );
        read.noting(included_by(new, at))
    });
    let gone = was
        .files
        .iter()
        .filter(|(place, _)| !is.files.contains_key(*place));
    let gone = gone.map(|(_, &at)| {
        let file = &old.files[at];
        let read = Difference::new(
            DifferenceKind::Header,
            &file.path,
            Some(short(&file.digest)),
            None,
        );
        read.noting(included_by(old, at))
    });
    come.chain(gone).collect()
}
