//! Include search paths of the host compiler. Runs it once with `-v` per toolchain and directory, and stores its
//! answer together with what the answer depends on.

use crate::compile::request::facts::RequestFacts;
use crate::compile::store_view::StoreView;
use crate::includes::lookups::NotStored;
use crate::includes::search::SearchOrder;
use crate::key::{Digest, Digester, Sink, list};
use crate::toolchain::{HostDriver, HostFamily, Toolchain};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A query for the search path of one preprocessor. Its fields are part of the answer's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IncludePathQuery {
    /// The program as the plan names it, before it is searched for.
    pub program: OsString,
    /// Those of its arguments that affect the search for headers.
    pub args: Vec<OsString>,
}

/// Answers queries from the store, or by running the preprocessor.
pub(crate) struct IncludePaths<'a> {
    /// Where answers are stored.
    pub cache: &'a StoreView<'a>,
    pub facts: &'a RequestFacts,
    pub toolchain: &'a Toolchain,
    /// Variables that are set for the preprocessor.
    pub environment: &'a [(OsString, OsString)],
}

/// A query that has been answered, or whose program is running.
pub(crate) struct PendingQuery(QueryState);

enum QueryState {
    Known(SearchOrder),
    /// The program runs; its answer is to be stored under this key.
    Running(Digest, Child),
}

impl IncludePaths<'_> {
    /// Looks the answer up, or starts the program at the path that `find` returns.
    pub(crate) fn ask(
        &self,
        question: &IncludePathQuery,
        find: &dyn Fn(&OsStr) -> Result<PathBuf, NotStored>,
    ) -> Result<PendingQuery, NotStored> {
        let key = self.key(question);
        let stored = self.is_lasting().then(|| self.cache.order(&key)).flatten();
        let record = stored.and_then(|bytes| serde_json::from_slice::<OrderRecord>(&bytes).ok());
        Ok(PendingQuery(match record.filter(OrderRecord::holds) {
            Some(record) => QueryState::Known(record.order),
            None => QueryState::Running(key, self.start(find(&question.program)?, &question.args)?),
        }))
    }

    /// Waits for the answer, and stores it.
    pub(crate) fn answer(&self, query: PendingQuery) -> Result<SearchOrder, NotStored> {
        let (key, child) = match query.0 {
            QueryState::Known(order) => return Ok(order),
            QueryState::Running(key, child) => (key, child),
        };
        let output = child
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        let order = SearchOrder::parse(&output.stderr).filter(|_| output.status.success());
        let order = order.ok_or("the preprocessor does not tell where it searches")?;
        let record = OrderRecord::new(order.clone());
        let record = record.filter(|_| self.is_lasting());
        if let Some(bytes) = record.and_then(|record| serde_json::to_vec(&record).ok()) {
            // Best effort: without it, the next compile runs the preprocessor again.
            self.cache.keep_order(&key, &bytes);
        }
        Ok(order)
    }

    /// Whether an answer can be used again. A program in front of the preprocessor may answer differently each time;
    /// clang, when another GCC is installed or a configuration file is written.
    fn is_lasting(&self) -> bool {
        self.toolchain.driver == HostDriver::Own && self.toolchain.host == HostFamily::Gnu
    }

    fn key(&self, question: &IncludePathQuery) -> Digest {
        let mut sink = Digester::default();
        sink.one("schema", b"pcache-nvcc search order 1");
        sink.one("toolchain", &self.toolchain.id);
        let programs = self.toolchain.found.iter();
        let programs = programs.map(|path| path.as_os_str().as_bytes());
        list(&mut sink, "programs", programs);
        list(
            &mut sink,
            "directory",
            self.facts.directory.bytes().into_iter(),
        );
        let environment = self.facts.environment.iter().map(Vec::as_slice);
        list(&mut sink, "environment", environment);
        let args = question.args.iter().map(|arg| arg.as_bytes());
        list(&mut sink, "args", args);
        sink.one("program", question.program.as_bytes());
        sink.finish()
    }

    fn start(&self, program: PathBuf, args: &[OsString]) -> Result<Child, NotStored> {
        let nowhere = ["-v", "-o", "/dev/null", "/dev/null"];
        let environment = self.environment.iter();
        Command::new(&program)
            .args(args)
            .args(nowhere.map(OsStr::new))
            .envs(environment.map(|(name, value)| (name, value)))
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))
    }
}

/// A stored search order, with what it depends on besides the query.
#[derive(Serialize, Deserialize)]
pub(crate) struct OrderRecord {
    order: SearchOrder,
    /// The real path of every directory that the order lists and of its duplicates.
    real: Vec<PathBuf>,
}

impl OrderRecord {
    /// `None` if a directory has been removed since.
    fn new(order: SearchOrder) -> Option<Self> {
        let real = real_directories(&order)?;
        Some(Self { order, real })
    }

    /// Whether all directories still have the same real paths, and those that were missing still are.
    fn holds(&self) -> bool {
        let is_missing = |path: &PathBuf| {
            fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
        };
        real_directories(&self.order).as_ref() == Some(&self.real)
            && self.order.missing.iter().all(is_missing)
    }
}

/// The real paths of the directories of `order` and of their duplicates. `None` if one is not a directory.
fn real_directories(order: &SearchOrder) -> Option<Vec<PathBuf>> {
    let directories = order.directories().chain(&order.duplicates);
    let real = |path: &PathBuf| {
        let real = fs::canonicalize(path).ok()?;
        real.is_dir().then_some(real)
    };
    directories.map(real).collect()
}
