//! One program that is compiled at run time: looked up, waited for, or remembered. Whatever goes wrong
//! is a bypass or a result that is not stored, and the program gets what NVRTC gives.
//! Does not know how it came between the program and NVRTC.

use super::key::{NvrtcFacts, Scope, result_key, shown_name};
use super::level::Level;
use super::library::Libraries;
use super::options::Options;
use super::program::{Access, Output, Request};
use super::record::{Record, SCHEMA};
use crate::config::Config;
use crate::includes::digests::DigestTable;
use crate::includes::lookups::Lookups;
use crate::includes::path_set::{self, Changed, PathSet};
use crate::includes::settled;
use crate::key::Digest;
use crate::outcome::NvrtcReason;
use crate::stats::Counter;
use crate::store::{FileStore, Flight, Flights, Guard};
use crate::toolchain::driver_version;
use std::convert::Infallible;
use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How many others a compile waits for, one after the other, as for units of nvcc.
const LEADERS: u32 = 2;

/// The cache of one process.
pub struct Cache {
    config: Config,
    level: Option<Level>,
    digests: DigestTable,
    flights: Flights,
    libraries: Libraries,
    driver: String,
}

/// What is to be done for a compile.
pub enum Begin<'a> {
    /// Nothing: this is its result.
    Hit(Arc<Output>),
    /// Let NVRTC compile, and hand in what came of it.
    Miss(Miss<'a>),
    /// Let NVRTC compile.
    Bypass,
}

/// A compile that is NVRTC's now; while it lasts, others that want the same wait. Dropped, nothing is
/// stored.
pub struct Miss<'a> {
    cache: &'a Cache,
    level: &'a Level,
    keys: Keys,
    /// A time before NVRTC began, of the clock that stamps files.
    began: SystemTime,
    /// Held for its drop.
    _lead: Option<Guard>,
}

/// The keys of one request, by [`Scope`].
#[derive(Clone, Copy)]
struct Keys {
    here: Digest,
    anywhere: Digest,
}

impl Cache {
    /// Opens the cache that the settings name. Never fails: one that cannot be used answers
    /// [`Begin::Bypass`].
    pub fn open() -> Self {
        let (config, _) = Config::load(&|name| env::var_os(name));
        let root = &config.dir.value;
        let readonly = config.readonly.value;
        let max_bytes = config.max_size.value.bytes();
        let is_on = config.nvrtc.value && !config.disable.value;
        let opened = is_on.then(|| match readonly {
            true => FileStore::open_read_only(root, max_bytes),
            false => FileStore::open(root, max_bytes),
        });
        let store = opened.and_then(Result::ok);
        let store = store.map(|store| store.with_policy(config.policy.value.into()));
        Self {
            level: store.map(|store| Level::new(store, readonly)),
            digests: match (is_on, readonly) {
                (false, _) => DigestTable::nowhere(),
                (true, true) => DigestTable::open_existing(root),
                (true, false) => DigestTable::open(root),
            },
            flights: Flights::new(root),
            libraries: Libraries::default(),
            driver: driver_version(env::var_os("LD_LIBRARY_PATH").as_deref()),
            config,
        }
    }

    /// Looks for the result of `request`, and waits for whoever is compiling the same.
    pub fn begin(&self, request: &Request<'_>) -> Begin<'_> {
        let Some(level) = &self.level else {
            return Begin::Bypass;
        };
        let keys = match self.keys(request) {
            Ok(keys) => keys,
            Err((reason, _)) => {
                level.stats().add(Counter::NvrtcBypassed(reason), 1);
                return Begin::Bypass;
            }
        };
        if let Some(output) = self.look_up(level, &keys) {
            level.stats().add(Counter::NvrtcHit, 1);
            return Begin::Hit(Arc::new(output));
        }
        match self.take_turn(level, &keys) {
            Ok((output, counter)) => {
                level.stats().add(counter, 1);
                Begin::Hit(Arc::new(output))
            }
            Err(lead) => Begin::Miss(Miss {
                cache: self,
                level,
                keys,
                began: settled::stamp_time(),
                _lead: lead,
            }),
        }
    }

    /// Counts a compile that never came here, such as one with a flow callback.
    pub fn note_bypass(&self, reason: NvrtcReason) {
        if let Some(level) = &self.level {
            level.stats().add(Counter::NvrtcBypassed(reason), 1);
        }
    }

    fn keys(&self, request: &Request<'_>) -> Result<Keys, (NvrtcReason, Vec<u8>)> {
        let options = Options::read(request.options)?;
        let library = self.libraries.identify(request.library, &self.digests);
        let path = || shown_name(request.program).as_encoded_bytes().to_vec();
        let library = library.ok_or_else(|| (NvrtcReason::Library, path()))?;
        let directory = env::current_dir().map_err(|_| (NvrtcReason::Files, b".".to_vec()))?;
        let facts = NvrtcFacts {
            library: [&library[0], &library[1]],
            driver: self.driver.as_bytes(),
            environment: &[],
            request: *request,
            options: &options,
            directory: &directory,
            scope: Scope::Here,
        };
        let anywhere = NvrtcFacts {
            scope: Scope::Anywhere,
            ..facts
        };
        Ok(Keys {
            here: facts.key(),
            anywhere: anywhere.key(),
        })
    }

    fn look_up(&self, level: &Level, keys: &Keys) -> Option<Output> {
        if self.config.recache.value {
            return None;
        }
        let mut keys = [&keys.anywhere, &keys.here].into_iter();
        keys.find_map(|key| {
            let known = level.known_record(key);
            let known = known.and_then(|list| self.look_through(level, key, &list));
            known.or_else(|| self.look_through(level, key, &level.record(key)?))
        })
    }

    /// The result of the first path set in `list` whose files have one.
    fn look_through(&self, level: &Level, key: &Digest, list: &[u8]) -> Option<Output> {
        let began = SystemTime::now();
        let sets = path_set::read_list(list)?;
        sets.iter().find_map(|set| {
            let contents = set.check(&self.digests, None, began).ok()?;
            fetch(level, &result_key(key, &set.digest, &contents))
        })
    }

    /// Waits for others that compile the same, or takes the lead.
    fn take_turn(&self, level: &Level, keys: &Keys) -> Result<(Output, Counter), Option<Guard>> {
        if level.is_readonly() || self.config.recache.value {
            return Err(None);
        }
        let deadline = Instant::now() + self.config.wait.value;
        let mut counter = Counter::NvrtcHit;
        let mut followed = 0;
        while followed < LEADERS {
            let key = &keys.anywhere;
            let lead = match self.flights.join(key, deadline, &mut || None::<Infallible>) {
                Flight::Leader(lead) => Some(lead),
                Flight::Followed => {
                    counter = Counter::NvrtcCoalesced;
                    followed += 1;
                    None
                }
                Flight::Impatient | Flight::Unsupported => break,
                Flight::Failed(_) => {
                    level.stats().add(Counter::Error, 1);
                    break;
                }
                Flight::Interrupted(never) => match never {},
            };
            // For the leader again: another may have stored it since this one looked.
            if let Some(output) = self.look_up(level, keys) {
                return Ok((output, counter));
            }
            if lead.is_some() {
                return Err(lead);
            }
        }
        Err(None)
    }
}

/// The output under the key of a result.
fn fetch(level: &Level, key: &Digest) -> Option<Output> {
    let stored = level.known_record(key).or_else(|| level.record(key))?;
    let record: Record = serde_json::from_slice(&stored).ok()?;
    if record.schema != SCHEMA {
        return None;
    }
    let lowered = record.lowered.into_iter();
    let artefacts = record.artefacts.iter();
    let artefacts = artefacts.map(|(kind, found)| Some(((*kind).into(), level.artefact(found)?)));
    Some(Output {
        log: level.artefact(&record.log)?,
        lowered: lowered
            .map(|(name, lowered)| (name.into_bytes(), lowered.into_bytes()))
            .collect(),
        artefacts: artefacts.collect::<Option<_>>()?,
    })
}

impl Miss<'_> {
    /// Remembers the `output` of a successful compile that took so long, during which the library was
    /// `seen` to do these things.
    pub fn commit(self, seen: Vec<Access>, output: &Output, took: Duration) {
        let stats = self.level.stats();
        stats.add(Counter::NvrtcMiss, 1);
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if self.keep(&seen, output, milliseconds).is_err() {
            stats.add(Counter::NvrtcUncacheable, 1);
        }
    }

    fn keep(&self, seen: &[Access], output: &Output, milliseconds: u64) -> Result<(), String> {
        if !seen.is_empty() {
            return Err("files were read".to_owned());
        }
        let full = || "the store did not take it".to_owned();
        let lookups = Lookups::default();
        let set = PathSet::new(&lookups).ok_or("a path with a NUL")?;
        let contents = set
            .check(&self.cache.digests, None, settled::stamp_time())
            .map_err(|Changed(path)| format!("{} changed during the compile", path.display()))?;
        settled::check(&lookups, self.began)?;
        let key = &self.keys.here;
        let record = self.record(output, milliseconds).ok_or_else(full)?;
        let record = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
        let result = result_key(key, &set.digest, &contents);
        let kept = self.level.keep(&result, &record);
        (kept && self.keep_set(key, set))
            .then_some(())
            .ok_or_else(full)
    }

    fn record(&self, output: &Output, milliseconds: u64) -> Option<Record> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let lowered = output.lowered.iter();
        let artefacts = output.artefacts.iter();
        Some(Record {
            schema: SCHEMA,
            log: self.level.keep_artefact(&output.log)?,
            lowered: lowered
                .map(|(name, lowered)| Some((text(name)?, text(lowered)?)))
                .collect::<Option<_>>()?,
            artefacts: artefacts
                .map(|(kind, bytes)| Some(((*kind).into(), self.level.keep_artefact(bytes)?)))
                .collect::<Option<_>>()?,
            milliseconds,
            facts: None,
        })
    }

    /// Puts `set` first in the list of `key`.
    fn keep_set(&self, key: &Digest, set: PathSet) -> bool {
        let known = self.level.record(key);
        let known = known.as_deref().and_then(path_set::read_list);
        match path_set::list_with(set, known.unwrap_or_default()) {
            Some(list) => self.level.keep(key, &list),
            None => true,
        }
    }
}
