//! The plan of a job. Runs `nvcc --dryrun` once, and stores its output without the work directory's name and PATH,
//! together with the predefined headers that it depends on besides its key.

use crate::cmdline::Job;
use crate::compile::direct::search_orders::{IncludePathQuery, IncludePaths, PendingQuery};
use crate::compile::plan_memo::path_line;
use crate::compile::plan_memo::predefined::Predefined;
use crate::compile::request::environment;
use crate::compile::request::facts::RequestFacts;
use crate::compile::request::machine::asks_for_gpus;
use crate::compile::run::mentions::{Mention, mentions};
use crate::compile::run::workspace::Workspace;
use crate::compile::store_view::StoreView;
use crate::includes::lookups::NotStored;
use crate::journal::Recorder;
use crate::key::{Digest, Digester, Sink, list};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::Plan;
use crate::secret::Values;
use crate::stat::CoarseTime;
use crate::store::FileStore;
use crate::toolchain::{PathUse, Toolchain, nvcc_command};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The version of a stored plan.
const SCHEMA: &[u8] = b"pcache-nvcc plan 3";

/// Gets plans from the store, or from nvcc.
pub(crate) struct Planner<'a> {
    pub nvcc: &'a Path,
    pub toolchain: &'a Toolchain,
    /// Where plans are stored.
    pub cache: &'a StoreView<'a>,
    pub facts: &'a RequestFacts,
    /// Logs where the plan came from.
    pub recorder: &'a Recorder,
    /// A time before nvcc was run, by the clock that stamps files.
    pub started: CoarseTime,
}

/// How the plan of one command line is stored and read.
pub(crate) struct PlanMemo {
    key: Digest,
    /// The work directory.
    root: Vec<u8>,
    /// Secrets of the command line, which are left out of the stored plan.
    secrets: Values,
    /// nvcc's PATH for its tools, if it is left out of the stored plan.
    search: Option<OsString>,
}

impl PlanMemo {
    pub(crate) fn new<W: AsRef<[u8]>>(key: Digest, root: &Path, words: &[W]) -> Self {
        Self {
            key,
            root: root.as_os_str().as_bytes().to_vec(),
            secrets: Values::of(words),
            search: None,
        }
    }

    /// Leaves PATH, which is `search` for nvcc's tools, out of the stored plan.
    fn without_path(self, search: &OsStr) -> Self {
        Self {
            search: Some(search.to_owned()),
            ..self
        }
    }

    /// Reads a stored plan: the headers that it depends on, and the output of `nvcc --dryrun`.
    pub(crate) fn read(&self, record: &[u8]) -> Option<(Predefined, Vec<u8>)> {
        let end = memchr::memchr(b'\n', record)?;
        let predefined = serde_json::from_slice(&record[..end]).ok()?;
        let output = self.secrets.restore(&record[end + 1..])?;
        let output = Mention::Name(self.root.clone()).insert(output);
        let output = match &self.search {
            Some(search) => path_line::insert(&output, search),
            None => output,
        };
        Some((predefined, output))
    }

    /// The stored form of the output of `nvcc --dryrun`. `None` if it has none.
    fn stored(&self, output: Vec<u8>) -> Option<Vec<u8>> {
        let output = match &self.search {
            Some(search) => path_line::remove(&output, search)?,
            None => output,
        };
        let output = Mention::Name(self.root.clone()).remove(output)?;
        let output = self.secrets.hide_commands(&output)?;
        // A part of the work directory's name, or another spelling of it, must not be stored.
        (!mentions_work(&output, &self.root)).then_some(output)
    }
}

impl Planner<'_> {
    /// The plan of `job` in `workspace`. `dryrun_output` is what `nvcc --dryrun` printed, if it has run already.
    pub(crate) fn plan(
        &self,
        job: &Job,
        workspace: &Workspace,
        dryrun_output: Option<Vec<u8>>,
    ) -> Result<Plan, Fallback> {
        let args = job.dryrun_args(&workspace.temporaries());
        let root = workspace.root().as_os_str().as_bytes();
        let words: Vec<_> = args.iter().map(|arg| arg.as_bytes()).collect();
        let memo = self
            .is_repeatable(root)
            .then(|| PlanMemo::new(self.key(&args, root), workspace.root(), &words));
        let memo = match self.toolchain.path_use {
            PathUse::Lookups => memo.map(|memo| memo.without_path(&self.toolchain.search)),
            PathUse::Value => memo,
        };
        if let (Some(memo), None) = (&memo, &dryrun_output)
            && let Some(output) = self.recall(memo)
        {
            self.recorder.note("plan", "remembered");
            return parse(&output, workspace);
        }
        self.recorder.note("plan", "from nvcc --dryrun");
        let include_paths = IncludePaths {
            cache: self.cache,
            facts: self.facts,
            toolchain: self.toolchain,
            environment: &[],
        };
        let memo = memo.filter(|_| self.cache.store.is_some_and(FileStore::may_change_own));
        // The host compiler runs while nvcc does.
        let query = memo.is_some().then(|| self.ask_order(&include_paths));
        let output = dryrun_output.map_or_else(|| ask(self.nvcc, &args, workspace), Ok);
        // Its process is waited for even if nvcc failed.
        let order = query.map(|query| query.and_then(|query| include_paths.answer(query)));
        let output = output?;
        let plan = parse(&output, workspace)?;
        if let (Some(memo), Some(Ok(order))) = (memo, order)
            && let Ok(predefined) = Predefined::find(&order, self.started)
        {
            self.remember(&memo, &predefined, output);
        }
        Ok(plan)
    }

    /// Queries where the host compiler looks for a header when nvcc asks for its version: `gcc -E x.cpp`.
    fn ask_order(&self, include_paths: &IncludePaths<'_>) -> Result<PendingQuery, NotStored> {
        let mut tools = self.toolchain.roles.iter().zip(&self.toolchain.tools);
        let host = tools.find(|((role, _), _)| role == "host");
        let (_, host) = host.ok_or("no host compiler")?;
        let question = IncludePathQuery {
            program: host.clone().into(),
            args: ["-E", "-x", "c++"].map(OsString::from).into(),
        };
        include_paths.ask(&question, &|program| Ok(PathBuf::from(program)))
    }

    /// The stored output of `nvcc --dryrun`, unless something that it depends on has changed.
    fn recall(&self, memo: &PlanMemo) -> Option<Vec<u8>> {
        let record = self.cache.order(&memo.key);
        let record = record.filter(|_| !self.cache.recache)?;
        let (predefined, output) = memo.read(&record)?;
        predefined.holds().then_some(output)
    }

    /// Stores the headers as a line of JSON, then the output of `nvcc --dryrun`. Best effort: without the record, the
    /// next compile runs nvcc again.
    fn remember(&self, memo: &PlanMemo, predefined: &Predefined, output: Vec<u8>) {
        if let Ok(mut record) = serde_json::to_vec(predefined)
            && let Some(output) = memo.stored(output)
        {
            record.push(b'\n');
            record.extend(output);
            self.cache.keep_order(&memo.key, &record);
        }
    }

    /// Whether the plan depends on nothing but the key and the predefined headers: `-arch=native` asks the
    /// machine, and scripts may ask anything. Nor may the work directory's name need quoting, as only its unquoted form is
    /// recognised in the plan.
    fn is_repeatable(&self, root: &[u8]) -> bool {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
        // To learn its version, nvcc runs the host compiler, which reads a stdc-predef.h that these may point to.
        let header_paths: [&[u8]; 3] = [b"CPATH=", b"CPLUS_INCLUDE_PATH=", b"C_INCLUDE_PATH="];
        let is_header_path =
            |assignment: &Vec<u8>| header_paths.iter().any(|name| assignment.starts_with(name));
        // A configuration file of clang may change what it reports to nvcc.
        self.toolchain.starts_gcc()
            && !self.facts.environment.iter().any(is_header_path)
            && root.iter().all(is_plain)
            && !asks_for_gpus(self.facts)
    }

    fn key(&self, args: &[OsString], root: &[u8]) -> Digest {
        let mut sink = Digester::default();
        sink.one("schema", SCHEMA);
        sink.one("toolchain", &self.toolchain.id);
        sink.one("nvcc", self.nvcc.as_os_str().as_bytes());
        list(
            &mut sink,
            "programs",
            self.toolchain
                .found
                .iter()
                .map(|path| path.as_os_str().as_bytes()),
        );
        list(
            &mut sink,
            "directory",
            self.facts.directory.bytes().into_iter(),
        );
        let mut environment = environment::planned(&self.toolchain.profile_variables);
        environment.extend(self.facts.environment.iter().cloned());
        environment.extend(environment::searched_by_value(self.toolchain.path_use));
        list(
            &mut sink,
            "environment",
            environment.iter().map(Vec::as_slice),
        );
        let portable = |arg: &OsString| {
            let portable = Mention::Name(root.to_vec()).remove(arg.as_bytes().to_vec());
            portable.unwrap_or_default()
        };
        let arguments: Vec<_> = args.iter().map(portable).collect();
        list(&mut sink, "arguments", arguments.iter().map(Vec::as_slice));
        sink.finish()
    }
}

fn parse(output: &[u8], workspace: &Workspace) -> Result<Plan, Fallback> {
    Plan::parse(output, &workspace.temporaries())
        .map_err(|error| Fallback::new(FallbackReason::PlanShape, error.to_string()))
}

/// Runs nvcc with [`Job::dryrun_args`] and returns what it prints on stderr. The flags from its own environment
/// variables are part of the job already, so nvcc must not read them again.
pub(crate) fn ask(
    nvcc: &Path,
    args: &[OsString],
    workspace: &Workspace,
) -> Result<Vec<u8>, Fallback> {
    let failed = |detail: String| Fallback::new(FallbackReason::Dryrun, detail);
    let output = nvcc_command(nvcc)
        .args(args)
        .env_remove("NVCC_PREPEND_FLAGS")
        .env_remove("NVCC_APPEND_FLAGS")
        .env("TMPDIR", workspace.scratch())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("{}: {error}", nvcc.display())))?;
    if output.status.success() {
        Ok(output.stderr)
    } else {
        Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}

/// Whether `text` still contains the random last part of the work directory's name.
fn mentions_work(text: &[u8], root: &[u8]) -> bool {
    let name = root.rsplit(|&byte| byte == b'/').next().unwrap_or(root);
    mentions(text, name)
}
