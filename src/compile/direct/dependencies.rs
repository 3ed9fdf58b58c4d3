//! What an ordinary compile leaves for direct mode: the search orders of its passes, asked before
//! they run, and what they read; then what that depends on.

use crate::compile::direct::search_orders::{Asker, IncludePathQuery};
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::extra_passes::HOST_RUNTIME;
use crate::compile::inputs::known_files::ReadFiles;
use crate::compile::inputs::steering::{included, steering};
use crate::compile::run::commands::plain_arguments;
use crate::includes::lookups::{Doubt, Lookups, Reads};
use crate::includes::mounts::Mounts;
use crate::includes::path_set::PathSet;
use crate::includes::search::SearchOrder;
use crate::includes::times::{self, Moments};
use crate::includes::tokens::TokenDigests;
use crate::key::Digest;
use crate::stat::CoarseTime;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::SystemTime;

/// What an ordinary compile read, for the next time.
pub(crate) struct ReadSet<'a> {
    /// Files and names.
    pub reads: Reads,
    /// The search orders of all passes.
    pub orders: BTreeSet<SearchOrder>,
    /// A time before any of the passes started.
    pub started: CoarseTime,
    /// The mounts since then.
    pub mounts: &'a Mounts,
}

/// What a compile depends on: the path set, and what its files hold.
pub(crate) struct ResolvedDependencies<'a> {
    /// What the includes depend on.
    pub lookups: Lookups,
    pub set: PathSet,
    /// Of each of its files, in their order.
    pub contents: Vec<Digest>,
    /// Of each file's tokens, where they count.
    pub tokens: Option<Vec<Option<TokenDigests>>>,
    pub started: CoarseTime,
    pub mounts: &'a Mounts,
}

impl ResolvedDependencies<'_> {
    /// Requires equal bytes, not only equal tokens, for `paths`. If one of them is not in the set under that
    /// spelling, requires it for every file.
    pub(crate) fn with_quoted(mut self, paths: &BTreeSet<PathBuf>) -> Self {
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

impl<'a> ReadSet<'a> {
    /// Asks every preprocessor of `works` where it searches. To be called before any pass.
    pub(crate) fn begin(works: &[UnitContext<'a>]) -> Result<Self, Doubt> {
        let mut questions = BTreeSet::new();
        let mut reads = Reads::default();
        let mut snippets = BTreeSet::new();
        for work in works {
            for (_, stage) in work.passes.stages(work.plan, work.unit) {
                let args = plain_arguments(work.plan, stage);
                reads.forced.extend(forced(&args)?);
                snippets.extend(definitions(&args));
                questions.insert(IncludePathQuery {
                    program: stage.program.clone(),
                    args: steering(&args),
                });
            }
            // A program in front of the compiler, or a specs file, may add to them.
            for args in &work.host.arguments {
                reads.forced.extend(forced(args)?);
                snippets.extend(definitions(args));
            }
            if work.passes.include_runtime() {
                snippets.insert(HOST_RUNTIME.as_bytes().to_vec());
            }
        }
        reads.snippets = snippets.into_iter().collect();
        let (work, commands) = (&works[0], works[0].commands);
        let asker = Asker {
            cache: work.cache,
            facts: work.facts,
            toolchain: commands.toolchain,
            environment: &commands.environment,
        };
        let find = |program: &OsStr| {
            let found = commands.find(work.plan, program);
            found.map_err(|unknown| unknown.detail)
        };
        // All are asked before the first answer is waited for.
        let asked = questions.iter().map(|question| asker.ask(question, &find));
        let asked = asked.collect::<Result<Vec<_>, _>>()?;
        let orders = asked.into_iter().map(|asked| asker.answer(asked));
        Ok(Self {
            reads,
            orders: orders.collect::<Result<_, _>>()?,
            started: CoarseTime::now(),
            mounts: work.mounts,
        })
    }

    /// No pass tells a time, but for those that stand in a source or that `environment` gives.
    pub(crate) fn check_times(&self, environment: &[Vec<u8>]) -> Result<(), Doubt> {
        let reads = &self.reads;
        if reads.times.is_empty() {
            return Ok(());
        }
        let stamp = |path: &PathBuf| {
            let found = fs::metadata(path);
            let found = found.map_err(|error| format!("{}: {error}", path.display()))?;
            Ok::<_, Doubt>(found.mtime())
        };
        let mut given = environment.iter();
        let given = given.find_map(|one| one.strip_prefix(b"SOURCE_DATE_EPOCH="));
        let moments = Moments {
            compile: self.started.seconds()..=seconds(SystemTime::now()),
            files: reads.sources.keys().map(stamp).collect::<Result<_, _>>()?,
            given: given.and_then(|given| std::str::from_utf8(given).ok()?.parse().ok()),
        };
        let sources = reads.sources.values().map(|text| text.as_slice());
        let snippets = reads.snippets.iter().map(Vec::as_slice);
        let sources: Vec<_> = sources.chain(snippets).collect();
        let asked = times::asked(&reads.times, &sources, &moments);
        asked.map_or(Ok(()), |what| Err(what.to_owned()))
    }

    /// Adds what a unit's passes read.
    pub(crate) fn add(&mut self, known: &ReadFiles) -> Result<(), Doubt> {
        self.reads.raw.extend(known.raw().cloned());
        let precompilable = known.precompilable().cloned();
        self.reads.precompilable.extend(precompilable);
        self.reads.times.extend(known.times().cloned());
        for path in known.preprocessed() {
            if self.reads.sources.contains_key(path) {
                continue;
            }
            let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            self.reads.sources.insert(path.clone(), Rc::new(text));
        }
        Ok(())
    }
}

/// Options by which a source holds other words than its bytes tell.
const READ_OTHERWISE: [&[u8]; 3] = [b"-finput-charset", b"-traditional", b"-fpreprocessed"];

/// Seconds since 1970.
fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// The names that options include before the source.
fn forced(args: &[OsString]) -> Result<Vec<Vec<u8>>, Doubt> {
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

/// What `-D` defines, as the directives that gcc makes of it.
fn definitions(args: &[OsString]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let text = match arg.as_bytes().strip_prefix(b"-D") {
            Some(b"") => rest.next().map(|next| next.as_bytes()),
            joined => joined,
        };
        let Some(text) = text else { continue };
        let mut line = b"#define ".to_vec();
        let mut parts = text.splitn(2, |&byte| byte == b'=');
        line.extend(parts.next().unwrap_or_default());
        line.push(b' ');
        line.extend(parts.next().unwrap_or_default());
        found.push(line);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{definitions, forced};
    use std::ffi::OsString;

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
