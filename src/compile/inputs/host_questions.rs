//! What the host compiler is asked about a job: its own commands with all their flags, and how the questions of an
//! invocation are remembered, without secrets, for its next compile.

use crate::cmdline::Job;
use crate::compile::inputs::extra_passes::UnitPasses;
use crate::compile::request::environment;
use crate::compile::run::commands::{plain_arguments, search_path};
use crate::compile::store_view::StoreView;
use crate::key::{Digest, Digester, Sink, list};
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
    /// `NAME=value`: what nvcc gives its tools, where a program in front of the host compiler may look at it.
    #[serde(with = "text::list")]
    pub environment: Vec<OsString>,
}

/// The commands of the host compiler that it is asked about: compiles. A program in front of it may add anything, for
/// anything, so it is asked about each preprocessing of a source too.
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

/// What to ask about the host compiler's part in `plan`, exactly as the stages start it.
pub(crate) fn questions<'a>(
    plan: &Plan,
    asked: impl Iterator<Item = &'a Stage>,
    driver: HostDriver,
) -> BTreeSet<HostQuestion> {
    let mut questions = BTreeSet::new();
    for stage in asked {
        let question = HostQuestion::about(plan, stage, driver);
        if question.inquiry == Inquiry::Parts && question.has(PIPE) {
            // Behind a pipe, the assembler does not tell.
            let mut apart = question.clone();
            apart.flags.retain(|flag| flag != PIPE);
            questions.insert(apart);
        }
        questions.insert(question);
    }
    questions
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
                let given = plan.env.iter();
                let given = given.map(|(name, value)| joined(name, value));
                (Inquiry::Parts, given.collect())
            }
        };
        Self {
            inquiry,
            // All arguments: a wrapper may look at macros, specs files ask for them.
            flags: plain_arguments(plan, stage),
            environment,
        }
    }

    /// Whether it asks with this flag.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }

    /// The question with what `change` makes of each of its words.
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

/// Has GCC's driver start compiler and assembler side by side.
pub(crate) const PIPE: &str = "-pipe";

/// The questions that a former compile of `job`, which is the invocation `base`, led to.
pub(crate) fn recall(
    cache: &StoreView<'_>,
    base: &Digest,
    job: &Job,
) -> Option<BTreeSet<HostQuestion>> {
    let kept: BTreeSet<HostQuestion> = serde_json::from_slice(&cache.order(&place(base))?).ok()?;
    let secrets = secrets(job);
    let whole = kept
        .iter()
        .map(|question| question.changed(|word| secrets.restore(word)));
    whole.collect()
}

/// Remembers the questions of the invocation `base`, without the secrets of `job`; whether that succeeded.
pub(crate) fn remember(
    cache: &StoreView<'_>,
    base: &Digest,
    job: &Job,
    questions: &BTreeSet<HostQuestion>,
) -> bool {
    let is_known = recall(cache, base, job).as_ref() == Some(questions);
    let record = || {
        let secrets = secrets(job);
        let kept = questions
            .iter()
            .map(|question| question.changed(|word| secrets.hide(word)));
        serde_json::to_vec(&kept.collect::<Option<BTreeSet<_>>>()?).ok()
    };
    is_known || record().is_some_and(|bytes| cache.keep_order(&place(base), &bytes))
}

/// The secrets that the questions of a job may hold.
fn secrets(job: &Job) -> Values {
    let words = job.nameless_args();
    Values::of(words.iter().map(|word| word.as_bytes()))
}

/// The questions hold what nvcc gives its tools, which follows from the invocation and from the variables along which
/// tools are found.
fn place(base: &Digest) -> Digest {
    let mut sink = Digester::default();
    sink.one("schema", b"pcache-nvcc questions 7");
    sink.one("direct", base);
    let searched = environment::searched();
    list(&mut sink, "searched", searched.iter().map(Vec::as_slice));
    sink.finish()
}
