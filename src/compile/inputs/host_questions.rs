//! The questions to the host compiler about a job: its own commands with all their flags. The questions of an
//! invocation are stored, without secrets, for its next compile.

use crate::cmdline::Job;
use crate::compile::inputs::extra_passes::UnitPasses;
use crate::compile::inputs::steering::steering;
use crate::compile::request::environment;
use crate::compile::run::commands::{plain_arguments, search_path};
use crate::compile::store_view::StoreView;
use crate::key::{Digest, Digester, RootSet, Roots, Sink, list};
use crate::plan::{Plan, Stage, Tool};
use crate::secret::Values;
use crate::text;
use crate::toolchain::{HostDriver, Inquiry};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A question to the host compiler with the flags of one of the job's commands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct HostQuestion {
    pub inquiry: Inquiry,
    /// All arguments of the command.
    #[serde(with = "text::list")]
    pub flags: Vec<OsString>,
    /// `NAME=value` of the variables that nvcc sets for its tools, as a program in front of the host compiler may look
    /// at all of them.
    #[serde(with = "text::list")]
    pub environment: Vec<OsString>,
}

/// The stages that the host compiler is asked about: compiles. A program in front of it may add any flag to any
/// command, so it is asked about each preprocessing of a source too.
pub(crate) fn asked<'a>(
    plan: &'a Plan,
    passes: &'a [UnitPasses],
    driver: HostDriver,
) -> impl Iterator<Item = &'a Stage> {
    let passes = plan.units.iter().zip(passes);
    let passes = passes.flat_map(|(unit, passes)| passes.of_source(plan, unit));
    let stages = plan.stages.iter().chain(passes.map(|(_, stage)| stage));
    stages.filter(move |stage| match stage.tool {
        Tool::HostCompile | Tool::StubCompile => true,
        Tool::Preprocess | Tool::HostPreprocess => driver == HostDriver::Wrapper,
        _ => false,
    })
}

/// The questions about the `asked` stages of `plan`, with exactly the flags of these stages.
pub(crate) fn questions<'a>(
    plan: &Plan,
    asked: impl Iterator<Item = &'a Stage>,
    driver: HostDriver,
) -> BTreeSet<HostQuestion> {
    let mut questions = BTreeSet::new();
    for stage in asked {
        let question = HostQuestion::about(plan, stage, driver);
        if question.inquiry == Inquiry::Parts && question.has(PIPE) {
            // With -pipe, the answer does not show the assembler's command.
            let mut without_pipe = question.clone();
            without_pipe.flags.retain(|flag| flag != PIPE);
            questions.insert(without_pipe);
        }
        questions.insert(question);
    }
    questions
}

/// The question to clang's driver about the first of `passes`: where nothing is compiled for the host, its answer shows
/// which directories the driver has found.
pub(crate) fn about_search(plan: &Plan, passes: &[UnitPasses]) -> Option<HostQuestion> {
    let mut units = plan.units.iter().zip(passes);
    let (_, stage) = units.find_map(|(unit, passes)| {
        let stages = passes.of_source(plan, unit);
        stages.into_iter().next()
    })?;
    let mut question = HostQuestion::about(plan, stage, HostDriver::Own);
    question.flags = steering(&question.flags);
    Some(question)
}

impl HostQuestion {
    /// The question about one stage of a plan.
    pub(crate) fn about(plan: &Plan, stage: &Stage, driver: HostDriver) -> Self {
        let (inquiry, environment) = match driver {
            HostDriver::Own => {
                let path = joined("PATH".as_ref(), &search_path(plan));
                (Inquiry::Commands, vec![path])
            }
            HostDriver::Wrapper => {
                let variables = plan.env.iter();
                let assignments = variables.map(|(name, value)| joined(name, value));
                (Inquiry::Parts, assignments.collect())
            }
        };
        Self {
            inquiry,
            // All arguments: a wrapper may look at macros, and specs files may test for them.
            flags: plain_arguments(plan, stage),
            environment,
        }
    }

    /// Whether its command has this flag.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|argument| argument == flag)
    }

    /// The question with `change` applied to each of its words.
    fn changed(&self, change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Self> {
        let words = |words: &[OsString]| -> Option<Vec<OsString>> {
            let words = words.iter().map(|word| change(word.as_bytes()));
            words.map(|word| word.map(OsString::from_vec)).collect()
        };
        Some(Self {
            inquiry: self.inquiry,
            flags: words(&self.flags)?,
            environment: words(&self.environment)?,
        })
    }
}

fn joined(name: &OsStr, value: &OsStr) -> OsString {
    [name, "=".as_ref(), value].into_iter().collect()
}

/// Makes GCC's driver run compiler and assembler in parallel, connected by a pipe.
pub(crate) const PIPE: &str = "-pipe";

/// The questions that an earlier compile of `job` asked. `base` is direct mode's key without the answers.
pub(crate) fn recall(
    cache: &StoreView<'_>,
    base: &Digest,
    roots: &Roots,
    job: &Job,
) -> Option<BTreeSet<HostQuestion>> {
    let stored: BTreeSet<HostQuestion> =
        serde_json::from_slice(&cache.order(&place(base, roots))?).ok()?;
    let secrets = secrets(job);
    stored
        .iter()
        .map(|question| question.changed(|word| secrets.restore(word)))
        .collect()
}

/// Stores the questions of an invocation without the secrets of `job`. `base` is direct mode's key without the
/// answers. Returns whether they are stored.
pub(crate) fn remember(
    cache: &StoreView<'_>,
    base: &Digest,
    roots: &Roots,
    job: &Job,
    questions: &BTreeSet<HostQuestion>,
) -> bool {
    let is_stored = recall(cache, base, roots, job).as_ref() == Some(questions);
    is_stored
        || record(job, questions).is_some_and(|bytes| cache.keep_order(&place(base, roots), &bytes))
}

/// The bytes to store for `questions`.
fn record(job: &Job, questions: &BTreeSet<HostQuestion>) -> Option<Vec<u8>> {
    let secrets = secrets(job);
    let without_secrets = questions
        .iter()
        .map(|question| question.changed(|word| secrets.hide(word)))
        .collect::<Option<BTreeSet<_>>>()?;
    serde_json::to_vec(&without_secrets).ok()
}

/// The secrets that the questions of a job may hold.
fn secrets(job: &Job) -> Values {
    let words = job.nameless_args();
    Values::of(words.iter().map(|word| word.as_bytes()))
}

/// The key of the stored questions. They hold the variables that nvcc sets for its tools, which follow from the
/// invocation and from the search path variables.
fn place(base: &Digest, roots: &Roots) -> Digest {
    let mut sink = Digester::default();
    sink.one("schema", b"pcache-nvcc questions 8");
    sink.one("direct", base);
    // They hold the paths of this place.
    let places = roots.paths(RootSet::all());
    list(&mut sink, "places", places.iter().map(Vec::as_slice));
    let searched = environment::searched();
    list(&mut sink, "searched", searched.iter().map(Vec::as_slice));
    sink.finish()
}
