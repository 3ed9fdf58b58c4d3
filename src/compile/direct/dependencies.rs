//! What an ordinary compile collects for direct mode: the search orders of its passes, queried before they run,
//! and the files that they read; then the path set and digests that follow from these.

use crate::compile::direct::search_orders::{IncludePathQuery, IncludePaths};
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::known_files::ReadFiles;
use crate::compile::inputs::steering::{included, steering};
use crate::compile::request::environment;
use crate::compile::run::commands::plain_arguments;
use crate::includes::lookups::{Lookups, NotStored, Preprocessor, Reads};
use crate::includes::mounts::Mounts;
use crate::includes::name_watch::NameWatch;
use crate::includes::path_set::PathSet;
use crate::includes::search::SearchOrder;
use crate::includes::times::{self, Moments};
use crate::includes::tokens::TokenDigests;
use crate::key::{Digest, RootSet};
use crate::stat::CoarseTime;
use crate::toolchain::HostFamily;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

/// What an ordinary compile read.
pub(crate) struct ReadSet<'a> {
    /// Files and names.
    pub reads: Reads,
    /// The search orders of all passes.
    pub orders: BTreeSet<SearchOrder>,
    /// A time before any of the passes started.
    pub started: CoarseTime,
    /// The mounts since then.
    pub mounts: &'a Mounts,
    /// The names that come and go in the search directories since then.
    pub watch: NameWatch,
    /// The units.
    pub works: Vec<UnitContext<'a>>,
}

/// What a compile depends on: the path set, and the digests of its files.
pub(crate) struct ResolvedDependencies<'a> {
    /// What the includes depend on.
    pub lookups: Lookups,
    pub set: PathSet,
    /// The content digest of each file of the set, in its order.
    pub contents: Vec<Digest>,
    /// The set's files, in its order.
    pub files: Vec<PathBuf>,
    /// Whether a pass gave something that may be a time.
    pub has_times: bool,
    /// The roots whose paths a source holds.
    pub roots: RootSet,
    /// The token digests of each file of the set, in its order; `None` if semantic matches are off.
    pub tokens: Option<Vec<Option<TokenDigests>>>,
    /// What they were resolved from.
    pub read: ReadSet<'a>,
}

impl ResolvedDependencies<'_> {
    /// Requires equal bytes, not only equal tokens, for `paths`. If one of them is not in the set under that
    /// spelling, requires it for every file.
    pub(crate) fn with_quoted(mut self, paths: &BTreeSet<PathBuf>) -> Self {
        if !paths.iter().all(|path| self.lookups.files.contains(path)) {
            self.tokens = None;
        }
        let tokens = self.tokens.iter_mut().flatten();
        for (path, tokens) in self.files.iter().zip(tokens) {
            tokens.take_if(|_| paths.contains(path));
        }
        self
    }
}

impl<'a> ReadSet<'a> {
    /// Queries the include paths of every preprocessor of `works`. Must be called before any pass runs.
    pub(crate) fn begin(works: &[UnitContext<'a>]) -> Result<Self, NotStored> {
        let mut questions = BTreeSet::new();
        let mut reads = Reads {
            preprocessor: preprocessor(works[0].commands.toolchain.host),
            ..Reads::default()
        };
        let preprocessor = reads.preprocessor;
        let mut snippets = BTreeSet::new();
        // Directives and forced includes of the command line are read besides the sources.
        for work in works {
            for (_, stage) in work.passes.stages(work.plan, work.unit) {
                let args = plain_arguments(work.plan, stage);
                reads.forced.extend(forced(&args, preprocessor)?);
                snippets.extend(definitions(&args));
                questions.insert(IncludePathQuery {
                    program: stage.program.clone(),
                    args: steering(&args),
                });
            }
            // A program in front of the compiler, or a specs file, may add to them.
            for args in &work.host.arguments {
                reads.forced.extend(forced(args, preprocessor)?);
                snippets.extend(definitions(args));
            }
            let generated = work.passes.snippets.iter();
            snippets.extend(generated.map(|(_, text)| text.as_bytes().to_vec()));
        }
        reads.snippets = snippets.into_iter().collect();
        let (work, commands) = (&works[0], works[0].commands);
        let include_paths = IncludePaths {
            cache: work.cache,
            facts: work.facts,
            toolchain: commands.toolchain,
            environment: &commands.environment,
        };
        let find = |program: &OsStr| {
            let path = commands.find(work.plan, program);
            path.map_err(|unknown| unknown.detail)
        };
        // All queries are started before the first answer is waited for.
        let pending = questions
            .iter()
            .map(|question| include_paths.ask(question, &find))
            .collect::<Result<Vec<_>, _>>()?;
        let orders = pending.into_iter().map(|query| include_paths.answer(query));
        let orders = orders.collect::<Result<BTreeSet<_>, _>>()?;
        let searched: BTreeSet<_> = orders.iter().flat_map(SearchOrder::directories).collect();
        let here = Path::new(".");
        let watch = NameWatch::of(searched.into_iter().map(PathBuf::as_path).chain([here]));
        Ok(Self {
            reads,
            orders,
            watch,
            started: CoarseTime::now(),
            mounts: work.mounts,
            works: works.to_vec(),
        })
    }

    /// Checks that no pass expanded `__TIME__` or its like: each time in its text stands in a source, or comes from
    /// SOURCE_DATE_EPOCH.
    pub(crate) fn check_times(&self) -> Result<(), NotStored> {
        let reads = &self.reads;
        if reads.times.is_empty() {
            return Ok(());
        }
        let mtime = |path: &PathBuf| match fs::metadata(path) {
            Ok(metadata) => Ok(metadata.mtime()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        };
        // Clang reads SOURCE_DATE_EPOCH only since release 16.
        let is_given = reads.preprocessor == Preprocessor::Gcc;
        let moments = Moments {
            compile: self.started.seconds()..=seconds(SystemTime::now()),
            files: reads.sources.keys().map(mtime).collect::<Result<_, _>>()?,
            given: environment::source_date()
                .filter(|_| is_given)
                .and_then(|seconds| std::str::from_utf8(&seconds).ok()?.parse().ok()),
        };
        let sources = reads.sources.values().map(|text| text.as_slice());
        let snippets = reads.snippets.iter().map(Vec::as_slice);
        let texts: Vec<_> = sources.chain(snippets).collect();
        match times::asked(&reads.times, &texts, &moments) {
            Some(sentence) => Err(sentence.to_owned()),
            None => Ok(()),
        }
    }

    /// Adds the files that a unit's passes read.
    pub(crate) fn add(&mut self, read_files: &ReadFiles) -> Result<(), NotStored> {
        self.reads.raw.extend(read_files.raw().cloned());
        // Clang takes precompiled headers for those that options include, and for no others.
        let precompilable = read_files.precompilable().cloned();
        let precompilable = precompilable.filter(|_| self.reads.preprocessor == Preprocessor::Gcc);
        self.reads.precompilable.extend(precompilable);
        self.reads.times.extend(read_files.times().cloned());
        for path in read_files.preprocessed() {
            if self.reads.sources.contains_key(path) {
                continue;
            }
            let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            self.reads.sources.insert(path.clone(), Rc::new(text));
        }
        Ok(())
    }
}

/// Options that change which tokens the bytes of a source mean.
const READ_OTHERWISE: [&[u8]; 3] = [b"-finput-charset", b"-traditional", b"-fpreprocessed"];

/// Options with which clang searches for headers as Microsoft's compiler does.
const OF_MICROSOFT: &[u8] = b"-fms-";

fn preprocessor(family: HostFamily) -> Preprocessor {
    match family {
        HostFamily::Gnu => Preprocessor::Gcc,
        HostFamily::Clang | HostFamily::Other => Preprocessor::Clang,
    }
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// The files that options include before the source. A doubt about options that change how sources are read or
/// how headers are found.
fn forced(args: &[OsString], preprocessor: Preprocessor) -> Result<Vec<Vec<u8>>, NotStored> {
    let mut names = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let bytes = arg.as_bytes();
        if READ_OTHERWISE
            .iter()
            .any(|option| bytes.starts_with(option))
        {
            return Err(format!("{} changes how sources are read", arg.display()));
        }
        if preprocessor == Preprocessor::Clang && bytes.starts_with(OF_MICROSOFT) {
            return Err(format!("{} changes how headers are found", arg.display()));
        }
        if bytes.starts_with(b"@") || bytes == b"-I-" || bytes.starts_with(b"-fmodule") {
            return Err(format!("{} changes how headers are found", arg.display()));
        }
        let Some(joined) = included(bytes) else {
            continue;
        };
        match joined {
            b"" => names.extend(rest.next().map(|name| name.as_bytes().to_vec())),
            joined => names.push(joined.strip_prefix(b"=").unwrap_or(joined).to_vec()),
        }
    }
    Ok(names)
}

/// The macros that `-D` defines, as `#define` directives.
fn definitions(args: &[OsString]) -> Vec<Vec<u8>> {
    let mut directives = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let definition = match arg.as_bytes().strip_prefix(b"-D") {
            Some(b"") => rest.next().map(|next| next.as_bytes()),
            joined => joined,
        };
        let Some(definition) = definition else {
            continue;
        };
        let mut line = b"#define ".to_vec();
        let mut parts = definition.splitn(2, |&byte| byte == b'=');
        line.extend(parts.next().unwrap_or_default());
        line.push(b' ');
        line.extend(parts.next().unwrap_or_default());
        directives.push(line);
    }
    directives
}

#[cfg(test)]
mod tests {
    use super::{Preprocessor, definitions, forced as forced_for};
    use std::ffi::OsString;

    fn forced(args: &[OsString]) -> Result<Vec<Vec<u8>>, String> {
        forced_for(args, Preprocessor::Gcc)
    }

    fn args(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn included_names_are_found_in_every_spelling() {
        let found = forced(&args("-E -include a -imacrosb --include=c --imacros d -Ix")).unwrap();
        assert_eq!(found, [b"a", b"b", b"c", b"d"]);
        assert!(forced(&args("-E @x")).is_err());
        assert!(forced(&args("-I- -Ix")).is_err());
        assert!(forced(&args("-finput-charset=UTF-7")).is_err());
        assert!(forced(&args("--include-directory x")).unwrap().is_empty());
        let ms = args("-E -fms-extensions");
        assert!(forced(&ms).unwrap().is_empty() && forced_for(&ms, Preprocessor::Clang).is_err());
    }

    #[test]
    fn macros_of_the_command_line_are_directives() {
        let found = definitions(&args("-DA -D B=<x.h> -DASK(x)=__has_include(x) -Ix"));
        let lines: Vec<_> = found
            .iter()
            .map(|line| String::from_utf8_lossy(line))
            .collect();
        assert_eq!(
            lines,
            [
                "#define A ",
                "#define B <x.h>",
                "#define ASK(x) __has_include(x)"
            ]
        );
    }
}
