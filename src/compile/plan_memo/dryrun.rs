//! The plan of a job: the real nvcc is asked once, and its answer is remembered with the work
//! directory taken out, and with the header that it depends on besides its key.

use crate::cmdline::Job;
use crate::compile::direct::search_orders::{Asked, Asker, IncludePathQuery};
use crate::compile::plan_memo::predefined::Predefined;
use crate::compile::request::environment::{self, value_depends_on_machine};
use crate::compile::request::facts::RequestFacts;
use crate::compile::run::mentions::{Mention, mentions};
use crate::compile::run::workspace::Workspace;
use crate::compile::store_view::StoreView;
use crate::includes::lookups::Doubt;
use crate::journal::Recorder;
use crate::key::{Digest, Digester, Sink, list};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::Plan;
use crate::secret::Values;
use crate::stat::CoarseTime;
use crate::store::FileStore;
use crate::toolchain::{Toolchain, nvcc_command};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The version of a remembered answer.
const SCHEMA: &[u8] = b"pcache-nvcc plan 2";

/// Asks for plans, or remembers them.
pub(crate) struct Planner<'a> {
    pub nvcc: &'a Path,
    pub toolchain: &'a Toolchain,
    /// Where answers are remembered.
    pub cache: &'a StoreView<'a>,
    pub facts: &'a RequestFacts,
    /// Where it tells what it does.
    pub recorder: &'a Recorder,
    /// A time before nvcc was asked anything, by the clock that stamps files.
    pub started: CoarseTime,
}

/// An answer to be remembered.
pub(crate) struct PlanMemo {
    key: Digest,
    root: Vec<u8>,
    /// Secrets of the command line, without which the answer is kept.
    secrets: Values,
}

impl PlanMemo {
    pub(crate) fn new<W: AsRef<[u8]>>(key: Digest, root: &Path, words: &[W]) -> Self {
        Self {
            key,
            root: root.as_os_str().as_bytes().to_vec(),
            secrets: Values::of(words),
        }
    }

    /// What was remembered: what it depends on, and the answer.
    pub(crate) fn read(&self, known: &[u8]) -> Option<(Predefined, Vec<u8>)> {
        let end = memchr::memchr(b'\n', known)?;
        let found = serde_json::from_slice(&known[..end]).ok()?;
        let text = self.secrets.restore(&known[end + 1..])?;
        Some((found, Mention::Name(self.root.clone()).insert(text)))
    }
}

impl Planner<'_> {
    /// The plan of `job` in `workspace`. `asked` is nvcc's answer, if there is one already.
    pub(crate) fn plan(
        &self,
        job: &Job,
        workspace: &Workspace,
        asked: Option<Vec<u8>>,
    ) -> Result<Plan, Fallback> {
        let args = job.dryrun_args(&workspace.temporaries());
        let root = workspace.root().as_os_str().as_bytes();
        let words: Vec<_> = args.iter().map(|arg| arg.as_bytes()).collect();
        let memo = self.is_repeatable(&args, root);
        let memo = memo.then(|| PlanMemo::new(self.key(&args, root), workspace.root(), &words));
        let parse = |text: &[u8]| {
            let plan = Plan::parse(text, &workspace.temporaries());
            plan.map_err(|error| Fallback::new(FallbackReason::PlanShape, error.to_string()))
        };
        if let (Some(memo), None) = (&memo, &asked)
            && let Some(known) = self.recall(memo)
        {
            self.recorder.note("plan", "remembered");
            return parse(&known);
        }
        self.recorder.note("plan", "asked of nvcc");
        let asker = Asker {
            cache: self.cache,
            facts: self.facts,
            toolchain: self.toolchain,
            environment: &[],
        };
        let memo = memo.filter(|_| self.cache.store.is_some_and(FileStore::may_change_own));
        // Asked while nvcc is.
        let searched = memo.is_some().then(|| self.ask_order(&asker));
        let text = asked.map_or_else(|| ask(self.nvcc, &args, workspace), Ok);
        // Waited for whatever nvcc said.
        let order = searched.map(|searched| searched.and_then(|asked| asker.answer(asked)));
        let text = text?;
        let plan = parse(&text)?;
        if let (Some(memo), Some(Ok(order))) = (memo, order)
            && let Ok(found) = Predefined::find(&order, self.started)
        {
            self.remember(memo, &found, text);
        }
        Ok(plan)
    }

    /// Where the host compiler looks for a header when nvcc asks for its version: `gcc -E x.cpp`.
    fn ask_order(&self, asker: &Asker<'_>) -> Result<Asked, Doubt> {
        let mut known = self.toolchain.roles.iter().zip(&self.toolchain.tools);
        let host = known.find(|((role, _), _)| role == "host");
        let (_, host) = host.ok_or("no host compiler")?;
        let question = IncludePathQuery {
            program: host.clone().into(),
            args: ["-E", "-x", "c++"].map(OsString::from).into(),
        };
        asker.ask(&question, &|program| Ok(PathBuf::from(program)))
    }

    /// The remembered answer, while nothing that it depends on has changed.
    fn recall(&self, memo: &PlanMemo) -> Option<Vec<u8>> {
        let known = self.cache.order(&memo.key);
        let known = known.filter(|_| !self.cache.recache)?;
        let (found, text) = memo.read(&known)?;
        found.holds().then_some(text)
    }

    /// A line of JSON, then the answer. What is not remembered is asked again.
    fn remember(&self, memo: PlanMemo, found: &Predefined, text: Vec<u8>) {
        if let Ok(mut record) = serde_json::to_vec(found)
            && let Some(text) = Mention::Name(memo.root.clone()).remove(text)
            && let Some(text) = memo.secrets.hide_commands(&text)
            // A part of the name, or another spelling of it, must not stay.
            && !mentions_work(&text, &memo.root)
        {
            record.push(b'\n');
            record.extend(text);
            self.cache.keep_order(&memo.key, &record);
        }
    }

    /// Whether the answer depends on nothing but the key and the predefined header: `native` asks the machine, and scripts may
    /// ask anything. A work directory that a shell would quote is not told from its quoted form.
    fn is_repeatable(&self, args: &[OsString], root: &[u8]) -> bool {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
        // nvcc asks the host compiler for its version, which reads a stdc-predef.h that these may name.
        let searched: [&[u8]; 3] = [b"CPATH=", b"CPLUS_INCLUDE_PATH=", b"C_INCLUDE_PATH="];
        let is_searched = |found: &Vec<u8>| searched.iter().any(|name| found.starts_with(name));
        // A configuration file of clang's may change what it tells nvcc.
        self.toolchain.starts_gcc()
            && !self.facts.environment.iter().any(is_searched)
            && root.iter().all(is_plain)
            && !args
                .iter()
                .any(|arg| value_depends_on_machine(arg.as_bytes()))
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
        environment.extend(environment::searched());
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

/// What nvcc prints on stderr, given [`Job::dryrun_args`]. The flags from its own environment variables
/// are part of the job already, so nvcc must not read them again.
pub(crate) fn ask(
    nvcc: &Path,
    args: &[OsString],
    workspace: &Workspace,
) -> Result<Vec<u8>, Fallback> {
    let failed = |text: String| Fallback::new(FallbackReason::Dryrun, text);
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

/// Whether `text` still holds the work directory's own, random name.
fn mentions_work(text: &[u8], root: &[u8]) -> bool {
    let name = root.rsplit(|&byte| byte == b'/').next().unwrap_or(root);
    mentions(text, name)
}
