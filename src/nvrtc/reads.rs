//! From what NVRTC was seen to do in the file system to everything that a result depends on. NVRTC is
//! the same program each time: where every file that it opened has the same content, and every place
//! that it looked at has or lacks a file as before, it looks at the same places again and finds the
//! same. Looks at the disk when the compile is done.

use super::key::shown_name;
use super::program::{Access, Program};
use super::scope;
use crate::includes::lookups::{Doubt, Lookups};
use crate::includes::probe::{Found, Probe};
use crate::stat::Stat;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Where a compile happens, and what it was told.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The working directory, in both its spellings.
    pub directories: &'a [PathBuf; 2],
    /// The program.
    pub program: &'a Program,
    /// The directories of `-I`.
    pub includes: &'a [PathBuf],
}

/// What a compile has read.
pub struct Reads {
    /// Everything that it depends on.
    pub lookups: Lookups,
    /// Whether all of it was found without asking where the program is and what it is called.
    pub is_anywhere: bool,
}

impl Place<'_> {
    /// What follows from the accesses that were `seen`.
    ///
    /// # Errors
    /// They cannot be all, or something cannot be remembered.
    pub fn follow(&self, seen: &[Access]) -> Result<Reads, Doubt> {
        let (own, implied) = (self.own(), self.implied());
        let base = own.iter().next_back().and_then(|path| path.file_name());
        let mut reads = Reads {
            lookups: Lookups::default(),
            is_anywhere: true,
        };
        let mut probe = Probe::default();
        let mut was_observed = false;
        for access in seen {
            let (Access::Opened(path) | Access::Absent(path) | Access::Looked(path)) = access;
            let place = plain(&self.directories[0].join(path));
            was_observed |= own.contains(&place);
            let is_opened = matches!(access, Access::Opened(_));
            if implied.contains(&place) && !is_opened {
                // Whether it is the same file as a header. The program itself may well be there.
                let is_other_file = !own.contains(&place) && place.is_file();
                reads.is_anywhere &= !is_other_file;
                continue;
            }
            reads.is_anywhere &= self.is_reached_by_search(path);
            reads.is_anywhere &= !(is_opened && place.file_name() == base);
            note(&mut reads.lookups, &mut probe, access)?;
        }
        if !was_observed && scope::reads_files(self.program) {
            return Err("what NVRTC reads was not observed".to_owned());
        }
        let Lookups { files, present, .. } = &mut reads.lookups;
        present.retain(|path| !files.contains(path));
        let texts = self.read(&mut reads.lookups)?;
        reads.is_anywhere &= !self.tells_names(&texts);
        Ok(reads)
    }

    /// The place of the program, where NVRTC looks for it although it has the text.
    fn own(&self) -> BTreeSet<PathBuf> {
        let name = shown_name(self.program);
        let places = self.directories.iter().map(|path| plain(&path.join(name)));
        places.collect()
    }

    /// Places that NVRTC looks at for every compile, only to tell files apart.
    fn implied(&self) -> BTreeSet<PathBuf> {
        let own = self.own();
        let parents = own.iter().filter_map(|path| path.parent());
        let mut places: BTreeSet<_> = parents.map(Path::to_owned).collect();
        places.extend(own);
        let headers = self.program.headers.iter();
        let headers = headers.map(|header| header.name.as_slice());
        let internal: [&[u8]; 3] = [b"", b"__nv_nvrtc_builtin_header.h", b"__nv_name_map"];
        for name in internal.into_iter().chain(headers) {
            let name = OsStr::from_bytes(name);
            places.extend(self.directories.iter().map(|path| plain(&path.join(name))));
        }
        places
    }

    /// Whether a place follows from a directory of `-I` alone.
    fn is_reached_by_search(&self, path: &Path) -> bool {
        let own = self.own();
        let beside = own.iter().filter_map(|path| path.parent());
        let mut around = beside.chain(self.directories.iter().map(PathBuf::as_path));
        let is_around = around.any(|near| path.starts_with(near));
        let mut named = self.includes.iter().filter(|include| include.is_absolute());
        !is_around && named.any(|include| path.starts_with(include))
    }

    /// The texts of the files, checked for what cannot be remembered.
    fn read(&self, lookups: &mut Lookups) -> Result<Vec<Vec<u8>>, Doubt> {
        let mut texts = Vec::with_capacity(lookups.files.len());
        let mut spellings: HashMap<(u64, u64), PathBuf> = HashMap::new();
        let mut once: BTreeMap<Vec<u8>, PathBuf> = BTreeMap::new();
        for path in &lookups.files {
            let failed = |error| format!("{}: {error}", path.display());
            let text = fs::read(path).map_err(failed)?;
            if scope::asks_for_time(&text) || scope::may_paste_time(&text) {
                return Err(format!(
                    "{} mentions the time of the compile",
                    path.display()
                ));
            }
            let stat = Stat::from(&fs::metadata(path).map_err(failed)?);
            if let Some(other) = spellings.get(&stat.identity()) {
                lookups.same.insert((path.clone(), other.clone()));
            } else {
                spellings.insert(stat.identity(), path.clone());
                // Two names of one file are read once; whether they are one, nobody asks later.
                let may_be_once = memchr::memmem::find(&text, b"once").is_some();
                if may_be_once && let Some(other) = once.insert(text.clone(), path.clone()) {
                    return Err(format!(
                        "{} is a copy of {}",
                        path.display(),
                        other.display()
                    ));
                }
            }
            texts.push(text);
        }
        Ok(texts)
    }

    fn tells_names(&self, texts: &[Vec<u8>]) -> bool {
        let all = texts.iter().map(Vec::as_slice);
        if all.clone().any(scope::header_tells_names) {
            return true;
        }
        scope::uses_any(self.program, &scope::naming_macros(all))
    }
}

fn note(lookups: &mut Lookups, probe: &mut Probe, access: &Access) -> Result<(), Doubt> {
    let mut look = |path: &Path| {
        let found = probe.look(path);
        found.map_err(|error| format!("{}: {error}", path.display()))
    };
    match access {
        Access::Opened(path) => drop(lookups.files.insert(path.clone())),
        Access::Looked(path) => match look(path)? {
            Found::File => drop(lookups.present.insert(path.clone())),
            Found::Directory => drop(lookups.directories.insert(path.clone())),
            Found::Nothing { .. } | Found::Blocked { .. } => {
                return Err(format!("{} went during the compile", path.display()));
            }
        },
        Access::Absent(path) => match look(path)? {
            Found::Nothing { directory, missing } => {
                lookups.absent.entry(directory).or_default().insert(missing);
            }
            Found::Blocked { by } => drop(lookups.present.insert(by)),
            // It may be a directory in the place of a header, which cannot be opened.
            Found::Directory => drop(lookups.directories.insert(path.clone())),
            Found::File => return Err(format!("{} appeared during the compile", path.display())),
        },
    }
    Ok(())
}

/// Without dots that mean nothing; `..` stays.
fn plain(path: &Path) -> PathBuf {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.collect()
}
