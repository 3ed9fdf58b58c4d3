//! Include search paths of the host compilers: each is run once with `-v` per toolchain and directory, and its
//! answer is remembered with what it depends on.

use crate::compile::request::facts::RequestFacts;
use crate::compile::store_view::StoreView;
use crate::includes::lookups::Doubt;
use crate::includes::search::SearchOrder;
use crate::key::{Digest, Digester, Sink, list};
use crate::toolchain::{HostDriver, Toolchain};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A preprocessor's question, as the key of its answer has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IncludePathQuery {
    /// The program, however it is found.
    pub program: OsString,
    /// Its arguments that steer the search.
    pub args: Vec<OsString>,
}

/// Asks, once for each toolchain and place.
pub(crate) struct Asker<'a> {
    /// Where answers are remembered.
    pub cache: &'a StoreView<'a>,
    pub facts: &'a RequestFacts,
    pub toolchain: &'a Toolchain,
    /// Variables of the preprocessor's environment.
    pub environment: &'a [(OsString, OsString)],
}

/// A question on its way.
pub(crate) struct Asked(QueryState);

enum QueryState {
    Known(SearchOrder),
    /// To be remembered under this key.
    Running(Digest, Child),
}

impl Asker<'_> {
    /// Looks the answer up, or starts the program that `find` finds.
    pub(crate) fn ask(
        &self,
        question: &IncludePathQuery,
        find: &dyn Fn(&OsStr) -> Result<PathBuf, Doubt>,
    ) -> Result<Asked, Doubt> {
        let key = self.key(question);
        // A program in front of the preprocessor may give another answer each time.
        let is_own = self.toolchain.driver == HostDriver::Own;
        let known = is_own.then(|| self.cache.order(&key)).flatten();
        let known = known.and_then(|bytes| serde_json::from_slice::<OrderRecord>(&bytes).ok());
        Ok(Asked(match known.filter(OrderRecord::holds) {
            Some(known) => QueryState::Known(known.order),
            None => QueryState::Running(key, self.start(find(&question.program)?, &question.args)?),
        }))
    }

    /// Waits for the answer, and remembers it.
    pub(crate) fn answer(&self, asked: Asked) -> Result<SearchOrder, Doubt> {
        let (key, child) = match asked.0 {
            QueryState::Known(order) => return Ok(order),
            QueryState::Running(key, child) => (key, child),
        };
        let output = child
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        let order = SearchOrder::parse(&output.stderr).filter(|_| output.status.success());
        let order = order.ok_or("the preprocessor does not tell where it searches")?;
        let record = OrderRecord::new(order.clone());
        if let Some(bytes) = record.and_then(|record| serde_json::to_vec(&record).ok()) {
            // What is not remembered is asked again.
            self.cache.keep_order(&key, &bytes);
        }
        Ok(order)
    }

    fn key(&self, question: &IncludePathQuery) -> Digest {
        let mut sink = Digester::default();
        sink.one("schema", b"pcache-nvcc search order 1");
        sink.one("toolchain", &self.toolchain.id);
        let path = |path: &'_ PathBuf| path.as_os_str().as_bytes().to_vec();
        let found: Vec<_> = self.toolchain.found.iter().map(path).collect();
        list(&mut sink, "programs", found.iter().map(Vec::as_slice));
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

    fn start(&self, program: PathBuf, args: &[OsString]) -> Result<Child, Doubt> {
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

/// A search order as it is remembered, with what it depends on besides the question.
#[derive(Serialize, Deserialize)]
pub(crate) struct OrderRecord {
    order: SearchOrder,
    /// The real path of every directory that the order lists and of its duplicates.
    real: Vec<PathBuf>,
}

impl OrderRecord {
    /// `None` if a directory is gone since.
    fn new(order: SearchOrder) -> Option<Self> {
        let real = real_directories(&order)?;
        Some(Self { order, real })
    }

    /// Whether all directories are there, the same, and those that were missing still are.
    fn holds(&self) -> bool {
        let is_missing = |path: &PathBuf| {
            let found = fs::metadata(path);
            found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
        };
        real_directories(&self.order).as_ref() == Some(&self.real)
            && self.order.missing.iter().all(is_missing)
    }
}

fn real_directories(order: &SearchOrder) -> Option<Vec<PathBuf>> {
    let directories = order.directories().chain(&order.duplicates);
    let real = |path: &PathBuf| {
        let real = fs::canonicalize(path).ok()?;
        real.is_dir().then_some(real)
    };
    directories.map(real).collect()
}
