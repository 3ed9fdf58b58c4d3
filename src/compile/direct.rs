//! Direct mode: an invocation answered from what it read last time, without starting a process.
//! `docs/direct.md` says what is checked, and why that is enough.
//!
//! Stores under the direct key a list of path sets, newest first, and under each set's digest and the
//! digests of its files a [`DirectRecord`]. Does not know how anything was compiled.

use super::deliver::{Delivery, Placed};
use super::place::{Manner, Site};
use super::request::Request;
use super::semantic::{Sight, TokenSet};
use super::{Cache, Facts, Printed, why};
use crate::cmdline::Job;
use crate::includes::digests::DigestTable;
use crate::includes::lookups::{Doubt, Lookups, Reads};
use crate::includes::mounts::Mounts;
use crate::includes::path_set::{self, Changed, PathSet};
use crate::includes::search::SearchOrder;
use crate::includes::settled;
use crate::includes::tokens::{self, TokenDigests};
use crate::journal::{Account, place, text};
use crate::key::{Digest, Digester, result_key};
use crate::store::Artefact;
use crate::toolchain::{Front, HostFamily, Toolchain};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The version of [`DirectRecord`].
const SCHEMA: u32 = 1;

/// An invocation's result.
#[derive(Debug, Serialize, Deserialize)]
struct DirectRecord {
    schema: u32,
    /// Translation units, for the counters.
    units: u64,
    outputs: Vec<OutputRecord>,
    /// Depfiles and kept files, at their places.
    depfiles: Vec<(PathBuf, Artefact)>,
    kept: Vec<(PathBuf, Artefact)>,
    stdout: Option<Artefact>,
    stderr: Option<Artefact>,
    /// Wall time of the compile, passes included, in milliseconds.
    #[serde(default)]
    milliseconds: u64,
    /// The record of what it depended on.
    #[serde(default)]
    facts: Option<String>,
    /// The sources that it was made of, for people: whole, without dots.
    #[serde(default)]
    sources: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OutputRecord {
    /// Where it goes; `None` for what `-o` says.
    path: Option<PathBuf>,
    manner: Manner,
    artefact: Artefact,
}

/// What a direct hit found.
pub struct Hit {
    /// Everything to put in place and to print.
    pub delivery: Delivery,
    /// What is at the places of outputs and depfiles.
    pub sites: Vec<Site>,
    /// What is at the places of kept files.
    pub kept_sites: Vec<Site>,
    /// Translation units.
    pub units: u64,
    /// The key of the result.
    pub key: Digest,
    /// Whether files have changed, in what no compiler sees.
    pub is_semantic: bool,
    /// Milliseconds that the compile took.
    pub milliseconds: u64,
    /// The record of what it depended on.
    pub facts: Option<String>,
}

/// What an ordinary compile read, for the next time.
pub struct Trail<'a> {
    /// Files and names.
    pub reads: Reads,
    /// The search orders of all passes.
    pub orders: BTreeSet<SearchOrder>,
    /// A time before any of the passes began.
    pub began: SystemTime,
    /// The mounts since then.
    pub mounts: &'a Mounts,
}

/// What a trail leads to: the path set, and what its files hold.
pub struct Followed<'a> {
    /// What the includes depend on.
    pub lookups: Lookups,
    set: PathSet,
    /// Of each of its files, in their order.
    pub contents: Vec<Digest>,
    /// Of each file's tokens, where they count.
    pub tokens: Option<Vec<Option<TokenDigests>>>,
    began: SystemTime,
    mounts: &'a Mounts,
}

/// How a result came about.
pub struct Made {
    /// Translation units.
    pub units: u64,
    /// Milliseconds that it took to compile them.
    pub milliseconds: u64,
    /// The record of what it depended on.
    pub facts: Option<String>,
}

impl Followed<'_> {
    /// The same where of the files at `paths` more than the tokens counts; of all files, where one of
    /// these goes by another name here.
    pub fn with_quoted(mut self, paths: &BTreeSet<PathBuf>) -> Self {
        if !paths.iter().all(|path| self.lookups.files.contains(path)) {
            self.tokens = None;
        }
        let tokens = self.tokens.iter_mut().flatten();
        for (path, tokens) in self.lookups.files.iter().zip(tokens) {
            tokens.take_if(|_| paths.contains(path));
        }
        self
    }
}

/// One invocation as direct mode sees it.
pub struct Direct<'a> {
    key: Digest,
    job: &'a Job,
    facts: &'a Facts,
    cache: &'a Cache<'a>,
    table: &'a DigestTable,
    /// Whether what a compile makes may depend on nothing but the tokens of its sources.
    counts_tokens: bool,
}

impl<'a> Direct<'a> {
    /// None where direct mode is off or cannot tell what the invocation depends on: another host
    /// compiler than GCC, whose lookups are known; a script as nvcc or host compiler, which the ordinary
    /// way runs and sees the effect of; `native`, which is the machine's affair.
    pub fn new(
        request: &Request<'_>,
        job: &'a Job,
        facts: &'a Facts,
        toolchain: &Toolchain,
        cache: &'a Cache<'a>,
    ) -> Option<Self> {
        let table = cache.digests.filter(|_| cache.store.is_some())?;
        let asks_native = |value: &Vec<u8>| value.windows(6).any(|word| word == b"native");
        let mut values = facts.job.iter().flat_map(|(_, values)| values);
        let known = toolchain.host == HostFamily::Gnu && toolchain.front == Front::Programs;
        if !known || values.any(asks_native) {
            return None;
        }
        let mut key = Digester::default();
        request.write(&mut key);
        Some(Self {
            key: key.finish(),
            job,
            facts,
            cache,
            table,
            counts_tokens: false,
        })
    }

    /// The same for an invocation of which it is known whether what it makes may depend on nothing but
    /// the tokens of its sources.
    pub fn counting_tokens(self, counts_tokens: bool) -> Self {
        Self {
            counts_tokens,
            ..self
        }
    }

    /// The stored result, if nothing that it depends on has changed. Tells `account` why not.
    pub fn look_up(&self, account: &Account) -> Option<Hit> {
        if self.cache.recache {
            account.note("direct", "not looked up: PCACHE_RECACHE is set");
            return None;
        }
        let began = SystemTime::now();
        let Some(sets) = self
            .cache
            .record(&self.key)
            .and_then(|list| path_set::read_list(&list))
        else {
            account.note("direct", "no such command line was compiled before");
            return None;
        };
        let mut memo = (sets.len() > 1).then(HashMap::new);
        let mut others = Vec::new();
        for (number, set) in sets.iter().enumerate() {
            let nth = || format!("path set {} of {}", number + 1, sets.len());
            let contents = match set.check(self.table, memo.as_mut(), began) {
                Ok(contents) => contents,
                Err(Changed(path)) => {
                    let path = path.display();
                    account.note("direct", format_args!("{}: {path} has changed", nth()));
                    continue;
                }
            };
            let key = result_key(&self.key, &set.digest, &contents);
            match self.fetch(&key) {
                Some((hit, _)) => return Some(hit),
                None => others.push((set, contents, key)),
            }
            account.note(
                "direct",
                format_args!("{}: no result of these contents", nth()),
            );
        }
        let mut others = others.iter().filter(|_| self.cache.semantic);
        let found = others.find_map(|(set, contents, key)| self.fetch_alike(set, contents, key));
        if found.is_none() && account.keeps_notes() {
            let what = match self.cache.semantic {
                true => "no former state of these files had their tokens",
                false => "PCACHE_SEMANTIC is off",
            };
            account.note("direct", what);
        }
        found
    }

    /// The result of files whose tokens were the same, which is remembered for these contents too.
    fn fetch_alike(&self, set: &PathSet, contents: &[Digest], key: &Digest) -> Option<Hit> {
        let known = self.cache.record(&TokenSet::key(&self.key, set))?;
        let known = TokenSet::read_all(&known)?;
        let paths = set.files()?;
        let alike = known.iter().filter(|tokens| tokens.hold(&paths, contents));
        let mut found = alike.map(|tokens| (tokens, self.fetch(&tokens.result)));
        let (tokens, (hit, mut record)) =
            found.find_map(|(tokens, found)| Some((tokens, found?)))?;
        let base = record.facts.take();
        let changed = tokens.changed(&paths, contents);
        record.facts = base.and_then(|base| why::keep_later(self.cache, base, changed));
        if let Ok(record) = serde_json::to_vec(&record) {
            self.cache.keep(key, &record);
        }
        Some(Hit {
            is_semantic: true,
            facts: record.facts,
            ..hit
        })
    }

    /// The result under `key`, and its record.
    fn fetch(&self, key: &Digest) -> Option<(Hit, DirectRecord)> {
        let stored = self.cache.record(key)?;
        let record: DirectRecord = serde_json::from_slice(&stored).ok()?;
        if record.schema != SCHEMA {
            return None;
        }
        let bytes = |artefact: &Option<Artefact>| match artefact {
            Some(artefact) => self.cache.artefact(artefact),
            None => Some(Vec::new()),
        };
        let plain = |files: &[(PathBuf, Artefact)]| -> Option<Vec<(PathBuf, Vec<u8>)>> {
            let file = |(path, artefact): &(PathBuf, Artefact)| {
                Some((path.clone(), self.cache.artefact(artefact)?))
            };
            files.iter().map(file).collect()
        };
        let mut delivery = Delivery {
            depfiles: plain(&record.depfiles)?,
            kept: plain(&record.kept)?,
            printed: Printed {
                stdout: bytes(&record.stdout)?,
                stderr: bytes(&record.stderr)?,
            },
            ..Delivery::default()
        };
        for output in &record.outputs {
            delivery.outputs.push(Placed {
                path: match &output.path {
                    Some(path) => path.clone(),
                    None => self.job.output.clone()?.into(),
                },
                manner: output.manner,
                bytes: self.cache.artefact(&output.artefact)?,
            });
        }
        let hit = Hit {
            // What cannot be placed as nvcc would is the ordinary way's to tell.
            sites: delivery.sites().ok()?,
            kept_sites: delivery.kept_sites().ok()?,
            delivery,
            units: record.units,
            key: *key,
            is_semantic: false,
            milliseconds: record.milliseconds,
            facts: record.facts.clone(),
        };
        Some((hit, record))
    }

    /// What `trail` leads to, once it holds everything that was read.
    pub fn follow<'t>(&self, trail: &Trail<'t>) -> Result<Followed<'t>, Doubt> {
        let lookups = Lookups::follow(&trail.reads, &trail.orders)?;
        let set = PathSet::new(&lookups).ok_or("a path with a NUL")?;
        let contents = set
            .check(self.table, None, settled::stamp_time())
            .map_err(|Changed(path)| format!("{} changed during the compile", path.display()))?;
        Ok(Followed {
            tokens: self.counts_tokens.then(|| tokens_of(&lookups, trail)),
            lookups,
            set,
            contents,
            began: trail.began,
            mounts: trail.mounts,
        })
    }

    /// Remembers what a trail led to; by the tokens of the files too, if more than these has not been
    /// in `sight`. What cannot be remembered is no trouble; the reason is for the log.
    pub fn keep(
        &self,
        followed: Followed<'_>,
        sight: Option<Sight>,
        delivery: &Delivery,
        made: Made,
    ) -> Result<(), Doubt> {
        if self.cache.readonly {
            return Ok(());
        }
        let Followed {
            lookups,
            set,
            contents,
            tokens,
            began,
            mounts,
        } = followed;
        // Last, so that it speaks for everything that was looked at and read.
        settled::check(&lookups, began)?;
        mounts.check()?;
        let full = || Doubt::from("the store did not take it");
        let record = self.record(delivery, made).ok_or_else(full)?;
        let key = result_key(&self.key, &set.digest, &contents);
        let bytes = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
        self.cache
            .keep(&key, &bytes)
            .then_some(())
            .ok_or_else(full)?;
        if let (Some(sight), Some(tokens)) = (sight, tokens) {
            self.keep_tokens(&set, TokenSet::new(key, sight, contents, &tokens));
        }
        self.keep_set(set).then_some(()).ok_or_else(full)
    }

    /// Puts `tokens` first in the list of `set`. Without, the next edit of a comment costs a
    /// preprocessing.
    fn keep_tokens(&self, set: &PathSet, tokens: TokenSet) {
        let place = TokenSet::key(&self.key, set);
        let known = self.cache.record(&place);
        let known = known.as_deref().and_then(TokenSet::read_all);
        self.cache
            .keep(&place, &tokens.write_before(&known.unwrap_or_default()));
    }

    fn record(&self, delivery: &Delivery, made: Made) -> Option<DirectRecord> {
        let stream = |bytes: &[u8]| match bytes {
            [] => Some(None),
            bytes => self.cache.keep_artefact(bytes).map(Some),
        };
        let plain = |files: &[(PathBuf, Vec<u8>)]| -> Option<Vec<(PathBuf, Artefact)>> {
            let file = |(path, bytes): &(PathBuf, Vec<u8>)| {
                Some((path.clone(), self.cache.keep_artefact(bytes)?))
            };
            files.iter().map(file).collect()
        };
        let named = self.job.output.as_deref().map(Path::new);
        let output = |placed: &Placed| {
            Some(OutputRecord {
                path: (Some(placed.path.as_path()) != named).then(|| placed.path.clone()),
                manner: placed.manner,
                artefact: self.cache.keep_artefact(&placed.bytes)?,
            })
        };
        Some(DirectRecord {
            schema: SCHEMA,
            units: made.units,
            milliseconds: made.milliseconds,
            facts: made.facts,
            sources: self.sources(),
            outputs: delivery.outputs.iter().map(output).collect::<Option<_>>()?,
            depfiles: plain(&delivery.depfiles)?,
            kept: plain(&delivery.kept)?,
            stdout: stream(&delivery.printed.stdout)?,
            stderr: stream(&delivery.printed.stderr)?,
        })
    }

    /// Its sources as the journal and its readers know them.
    fn sources(&self) -> Vec<String> {
        let directory = &self.facts.directories[0];
        let sources = self.job.inputs.iter();
        let places = sources.map(|path| place(directory, path));
        places.map(|path| text(path.as_os_str())).collect()
    }

    /// Puts `set` first in the list. Of two processes that do so at once, one may lose its set, which
    /// costs a preprocessing.
    fn keep_set(&self, set: PathSet) -> bool {
        let known = self.cache.record(&self.key);
        let known = known.as_deref().and_then(path_set::read_list);
        match path_set::list_with(set, known.unwrap_or_default()) {
            Some(list) => self.cache.keep(&self.key, &list),
            None => true,
        }
    }
}

/// The digests of the tokens of each file, in the order of a path set.
fn tokens_of(lookups: &Lookups, trail: &Trail<'_>) -> Vec<Option<TokenDigests>> {
    let texts = lookups.files.iter();
    let texts = texts.map(|path| trail.reads.sources.get(path));
    texts.map(|text| tokens::digest(text?)).collect()
}
