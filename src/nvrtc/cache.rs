//! Caches one compile at run time: looks its result up, waits for another process that compiles the same, or stores
//! the result. Any error means a bypass or a result that is not stored; the program then gets NVRTC's own answer.

use super::environment::{self, Start};
use super::found::{FoundResult, fetch};
use super::key::{Locality, result_key};
use super::library::Libraries;
use super::locality::{self, Given};
use super::log;
use super::options::{Options, Refusal};
use super::process::{self, SideEffects};
use super::program::{FileAccess, Library, NvrtcRequest, ProgramOutput};
use super::record::{NvrtcRecord, SCHEMA};
use super::recorder::{ProgramRecorder, StoredProgram, keep_facts};
use super::tiered_store::{TierAccess, TieredStore};
use crate::config::Config;
use crate::includes::digests::{DigestError, DigestTable};
use crate::includes::mounts::Mounts;
use crate::includes::name_watch::ChangedNames;
use crate::includes::path_set::{self, Changed, PathSet};
use crate::includes::unchanged_since;
use crate::journal::CompileOutcome as Ending;
use crate::key::Digest;
use crate::key::Roots;
use crate::outcome::NvrtcReason;
use crate::remote::Remote;
use crate::stat::CoarseTime;
use crate::stats::Counter;
use crate::store::{self, FileStore, Flights, LeadGuard, Turn, Worth};
use crate::toolchain::{KeyedSettings, driver_version};
use std::convert::Infallible;
use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use super::keyed::Keyed;

/// The cache of one process.
pub struct Cache {
    config: Config,
    level: Option<TieredStore>,
    digests: DigestTable,
    flights: Flights,
    libraries: Libraries,
    driver: String,
    start: Start,
    leaks: SideEffects,
}

/// What the caller must do for a compile.
pub enum Begin<'a> {
    /// Nothing: this is its result.
    Hit(Arc<ProgramOutput>),
    /// Let NVRTC compile, and [`Miss::commit`] the output.
    Miss(Miss<'a>),
    /// Let NVRTC compile.
    Bypass,
}

/// A compile that NVRTC does. Until it is committed or dropped, others that want the same result wait. Dropping it
/// stores nothing.
pub struct Miss<'a> {
    cache: &'a Cache,
    level: &'a TieredStore,
    remote: Option<Box<Remote<'a>>>,
    keyed: Box<Keyed>,
    /// A time before NVRTC started, of the clock that stamps files.
    started: CoarseTime,
    /// Detects changes of mounts since then.
    mounts: Mounts,
    /// `None` once the outcome is recorded.
    recorder: Option<Box<ProgramRecorder>>,
    /// Released on drop.
    _lead: Option<LeadGuard>,
}

impl Cache {
    /// Opens the cache that the settings name. Never fails: a cache that cannot be used answers
    /// [`Begin::Bypass`].
    pub fn open() -> Self {
        let (config, _) = Config::load(&|name| env::var_os(name));
        Self::with(config)
    }

    /// Opens the cache of these settings.
    pub fn with(config: Config) -> Self {
        let store = FileStore::from_config(&config).ok();
        let is_refused = store
            .as_ref()
            .is_some_and(|store| store.refusal().is_some());
        let access = if config.readonly.value || is_refused {
            TierAccess::ReadOnly
        } else {
            TierAccess::ReadWrite
        };
        let own = store.as_ref().and_then(FileStore::own_dir);
        Self {
            digests: match (own, store.as_ref().is_some_and(FileStore::may_change_own)) {
                (None, _) => DigestTable::nowhere(),
                (Some(own), false) => DigestTable::open_existing(own),
                (Some(own), true) => DigestTable::open(own),
            },
            flights: Flights::new(own),
            level: store.map(|store| TieredStore::new(store, access)),
            libraries: Libraries::default(),
            driver: driver_version(
                &config.driver.value,
                env::var_os("LD_LIBRARY_PATH").as_deref(),
            ),
            start: Start::read(),
            leaks: SideEffects::default(),
            config,
        }
    }

    /// Records a compile of this process, by the cache or by NVRTC alone: some change the results of later ones.
    pub fn observe(&self, library: Option<&Library>, options: &[Vec<u8>]) {
        let appended = environment::appended();
        let appended = appended.as_deref().map(OsStr::as_bytes);
        self.leaks.observe(library, options, appended);
    }

    /// Whether a compile of this process has changed the results of later ones.
    pub fn is_tainted(&self) -> bool {
        self.leaks.any()
    }

    /// Marks the process as one in which such a compile has happened.
    pub fn taint(&self) {
        self.leaks.note();
    }

    /// Looks up the result of `request`, and waits for a thread or process that compiles the same.
    pub fn begin(&self, request: &NvrtcRequest<'_>) -> Begin<'_> {
        self.observe(Some(request.library), request.options);
        let Some(level) = &self.level else {
            return Begin::Bypass;
        };
        let recorder = ProgramRecorder::begin(request, &self.config);
        let keyed = match self.keyed(request) {
            Ok(keyed) => keyed,
            Err((reason, detail)) => {
                recorder.bypassed(level, reason, &detail);
                return Begin::Bypass;
            }
        };
        let remote = level.remote(&self.config);
        let stored = self.look_up(level, &keyed, &recorder);
        let stored =
            stored.or_else(|| self.look_up_servers(level, &keyed, &recorder, remote.as_ref()?));
        let turn = match stored {
            Some(result) => Ok((result, Ending::DirectHit)),
            None => self.take_turn(level, &keyed, &recorder),
        };
        match turn {
            Ok((result, ending)) => {
                recorder.hit(level, ending, &result);
                Begin::Hit(Arc::new(result.output))
            }
            Err(lead) => Begin::Miss(Miss {
                cache: self,
                level,
                remote: remote.map(Box::new),
                keyed: Box::new(keyed),
                started: CoarseTime::now(),
                mounts: Mounts::watch(),
                recorder: Some(Box::new(recorder)),
                _lead: lead,
            }),
        }
    }

    /// Counts a compile that bypasses the cache for a reason that only the hooks know.
    pub fn note_bypass(&self, request: &NvrtcRequest<'_>, reason: NvrtcReason) {
        if let Some(level) = &self.level {
            ProgramRecorder::begin(request, &self.config).bypassed(level, reason, b"");
        }
    }

    /// Computes the keys of a request, or says why it bypasses the cache.
    fn keyed(&self, request: &NvrtcRequest<'_>) -> Result<Keyed, Refusal> {
        if self.config.disable.value || !self.config.nvrtc.value {
            return Err((NvrtcReason::Disabled, Vec::new()));
        }
        if self.is_tainted() {
            return Err((NvrtcReason::Process, Vec::new()));
        }
        let appended = environment::appended();
        let appended = appended.as_deref().map(OsStr::as_bytes);
        let options = Options::read(request.options, appended)?;
        let program = request.program;
        let given = Given {
            options: &options,
            expressions: request.expressions,
        };
        // The reasons that need no look at a file come first.
        if locality::all_texts(program, &given).any(locality::asks_for_time) {
            return Err((NvrtcReason::TimeMacro, Vec::new()));
        }
        let environment = self.environment()?;
        let digests = self.libraries.identify(request.library, &self.digests);
        let path = request.library.path.as_os_str().as_bytes();
        let digests = digests.ok_or_else(|| (NvrtcReason::Library, path.to_vec()))?;
        let directories = environment::directories();
        let directories = directories.map_err(|_| (NvrtcReason::Files, b".".to_vec()))?;
        let mut keyed = Keyed {
            library: request.library.clone(),
            digests,
            program: program.clone(),
            expressions: request.expressions.to_vec(),
            options,
            environment,
            floating_point: process::floating_point_mode(),
            directories,
            // Replaced below: the keys are computed from the other fields.
            anywhere: Digest::default(),
            here: Digest::default(),
        };
        keyed.anywhere = keyed.facts(&self.driver, Locality::Anywhere, |facts| facts.key());
        keyed.here = keyed.facts(&self.driver, Locality::ThisDirectory, |facts| facts.key());
        Ok(keyed)
    }

    /// `NAME=value` of every variable and setting that is part of the keys.
    fn environment(&self) -> Result<Vec<Vec<u8>>, Refusal> {
        let mut environment = self.start.keyed()?;
        let settings = KeyedSettings::of(&self.config).assignments(Some(&self.digests));
        let refused = |error: DigestError| {
            let detail = error.to_string().into_bytes();
            (NvrtcReason::ExtraFile, detail)
        };
        environment.extend(settings.map_err(refused)?);
        Ok(environment)
    }

    fn look_up(
        &self,
        level: &TieredStore,
        keyed: &Keyed,
        recorder: &ProgramRecorder,
    ) -> Option<FoundResult> {
        if self.config.recache.value {
            recorder.note("lookup", "none: PCACHE_RECACHE is set");
            return None;
        }
        let mut scopes = [Locality::Anywhere, Locality::ThisDirectory].into_iter();
        scopes.find_map(|scope| {
            let key = keyed.key(scope);
            // With such options, no result is stored for any directory.
            if scope == Locality::Anywhere && keyed.options.tells_names {
                return None;
            }
            // The list in memory comes first. It can only lack path sets that other processes have stored since.
            let in_memory = level.known_record(key);
            let result = in_memory
                .and_then(|list| self.look_through((level, None), keyed, scope, &list, recorder));
            result.or_else(|| {
                let list = level.record(key)?;
                self.look_through((level, None), keyed, scope, &list, recorder)
            })
        })
    }

    /// The same with what servers have, after [`Cache::look_up`] has found nothing.
    fn look_up_servers(
        &self,
        level: &TieredStore,
        keyed: &Keyed,
        recorder: &ProgramRecorder,
        remote: &Remote<'_>,
    ) -> Option<FoundResult> {
        if self.config.recache.value {
            return None;
        }
        let mut scopes = [Locality::Anywhere, Locality::ThisDirectory].into_iter();
        let found = scopes.find_map(|scope| {
            if scope == Locality::Anywhere && keyed.options.tells_names {
                return None;
            }
            // A list that a server adds nothing to may still hold here, where only the result is missing.
            let key = keyed.key(scope);
            let list = level.shared_record(key, Some(remote));
            let list = list.or_else(|| level.record(key))?;
            self.look_through((level, Some(remote)), keyed, scope, &list, recorder)
        });
        remote.hang_up();
        recorder.asked(remote);
        found
    }

    /// The result of the first path set in `list` whose files have one.
    fn look_through(
        &self,
        (level, remote): (&TieredStore, Option<&Remote<'_>>),
        keyed: &Keyed,
        scope: Locality,
        list: &[u8],
        recorder: &ProgramRecorder,
    ) -> Option<FoundResult> {
        let started = CoarseTime::now();
        let sets = path_set::read_list(list)?;
        sets.iter().find_map(|set| {
            let place = keyed.place();
            // A file on disk with the name of a header in memory may change what the includes mean here.
            let is_unambiguous =
                scope == Locality::ThisDirectory || keyed.program.headers.is_empty();
            if !is_unambiguous && set.has_files() && place.has_stand_ins() {
                return None;
            }
            let here = place.resolve(set)?;
            let contents = here.check(&self.digests, None, started, &Roots::default());
            let contents = contents.map_err(|Changed(path)| {
                recorder.note("lookup", format_args!("{} has changed", path.display()));
            });
            let times = keyed.times(set);
            let key = result_key(keyed.key(scope), &set.digest, &contents.ok()?, &times);
            let wanted = (&keyed.program, keyed.expressions.as_slice());
            fetch((level, remote), &key, scope, wanted)
        })
    }

    /// Waits for another thread or process that compiles the same, or takes the lead.
    fn take_turn(
        &self,
        level: &TieredStore,
        keyed: &Keyed,
        recorder: &ProgramRecorder,
    ) -> Result<(FoundResult, Ending), Option<LeadGuard>> {
        if level.is_readonly() || self.config.recache.value {
            return Err(None);
        }
        let deadline = Instant::now() + self.config.wait.value;
        let mut join = || {
            let key = &keyed.anywhere;
            self.flights.join(key, deadline, &mut || None::<Infallible>)
        };
        let mut look_up = || self.look_up(level, keyed, recorder);
        let mut failed = || level.stats().add(Counter::Error, 1);
        match store::take_turn(&mut join, &mut look_up, &mut failed) {
            Ok(Turn::Found { value, waited }) => {
                let ending = if waited {
                    Ending::Coalesced
                } else {
                    Ending::DirectHit
                };
                Ok((value, ending))
            }
            Ok(Turn::Make(lead)) => Err(lead),
            Err(never) => match never {},
        }
    }
}

impl Miss<'_> {
    /// Stores the `output` of a successful compile. `seen` are the library's file accesses during it, `took` is its
    /// wall time.
    pub fn commit(mut self, seen: Vec<FileAccess>, output: &ProgramOutput, took: Duration) {
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let stored = self.keep(&seen, output, milliseconds);
        if let Some(remote) = &self.remote {
            remote.finish();
        }
        if let Some(recorder) = self.recorder.take() {
            recorder.missed(self.level, stored);
        }
    }

    /// Stores the result, or says why it is not stored.
    fn keep(
        &self,
        seen: &[FileAccess],
        output: &ProgramOutput,
        milliseconds: u64,
    ) -> Result<StoredProgram, String> {
        let full = || "the store did not take it".to_owned();
        if self.level.is_readonly() {
            return Err("the cache is only read".to_owned());
        }
        let keyed = &*self.keyed;
        let place = keyed.place();
        let reads = place.follow(seen)?;
        // The result can serve any directory only if neither code nor log depends on the program's name.
        let unnamed = log::unnamed(&output.log, &keyed.program, reads.renames_lines);
        let anywhere = reads.anywhere.as_ref().zip(unnamed.as_ref());
        let tells_names = locality::program_tells_names(&keyed.program, &keyed.given());
        let (scope, lookups, log) = match anywhere.filter(|_| !tells_names) {
            Some((lookups, log)) => (Locality::Anywhere, lookups, log),
            None => (Locality::ThisDirectory, &reads.here, &output.log),
        };
        let set = PathSet::new(lookups, &Roots::default()).ok_or("a path with a NUL")?;
        let here = place.resolve(&set).ok_or("no directory of the program")?;
        let contents = here
            .check(
                &self.cache.digests,
                None,
                CoarseTime::now(),
                &Roots::default(),
            )
            .map_err(|Changed(path)| format!("{} changed during the compile", path.display()))?;
        self.check_still()?;
        // Last, so that it covers everything that was read above.
        unchanged_since::check(&reads.here, self.started, &ChangedNames::default())?;
        self.mounts.check()?;
        let driver = &self.cache.driver;
        let facts = keyed.facts(driver, scope, |written| {
            keep_facts(self.level, keyed, written, &reads.here, &contents)
        });
        let record = NvrtcRecord {
            facts,
            ..self.record(log, output, milliseconds).ok_or_else(full)?
        };
        let bytes = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
        let key = result_key(keyed.key(scope), &set.digest, &contents, &keyed.times(&set));
        let kept = self.keep_record(&key, &bytes) && self.keep_set(keyed.key(scope), set);
        let facts = record.facts;
        kept.then_some(StoredProgram { key, facts })
            .ok_or_else(full)
    }

    /// Checks that the inputs of the keys did not change during the compile, so that NVRTC saw the same.
    fn check_still(&self) -> Result<(), String> {
        let keyed = &*self.keyed;
        if self.cache.is_tainted() {
            return Err("another compile of the process changes what is in the log".to_owned());
        }
        let digests = self
            .cache
            .libraries
            .identify(&keyed.library, &self.cache.digests);
        if digests != Some(keyed.digests) {
            return Err("libnvrtc or its builtins changed".to_owned());
        }
        let environment = self.cache.environment().ok();
        if environment.as_ref() != Some(&keyed.environment) {
            return Err("the environment changed during the compile".to_owned());
        }
        if process::floating_point_mode() != keyed.floating_point {
            return Err("the floating-point mode changed during the compile".to_owned());
        }
        match environment::directories() {
            Ok(directories) if directories == keyed.directories => Ok(()),
            _ => Err("the working directory changed during the compile".to_owned()),
        }
    }

    fn record(&self, log: &[u8], output: &ProgramOutput, milliseconds: u64) -> Option<NvrtcRecord> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let lowered = output.lowered.iter();
        let artefacts = output.artefacts.iter();
        Some(NvrtcRecord {
            schema: SCHEMA,
            log: self.level.keep_artefact(log)?,
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
        let list = self.level.record(key);
        let sets = list.as_deref().and_then(path_set::read_list);
        match path_set::list_with(set, sets.unwrap_or_default()) {
            Some(list) => self.keep_record(key, &list),
            None => true,
        }
    }

    /// Stores a record, and names it for other machines. Returns whether it is stored.
    fn keep_record(&self, key: &Digest, bytes: &[u8]) -> bool {
        let is_kept = self.level.keep(key, bytes);
        if let Some(remote) = self.remote.as_ref().filter(|_| is_kept) {
            remote.made(Worth::Result, key);
        }
        is_kept
    }
}

impl Drop for Miss<'_> {
    fn drop(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            recorder.failed(self.level);
        }
    }
}
