//! The keys of one translation unit.

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::line_insensitive::{LineInsensitive, line_insensitive_key};
use crate::compile::inputs::preprocess::PassResults;
use crate::compile::request::machine::{self, asks_for_processor};
use crate::compile::run::commands::template;
use crate::compile::unit::consumed;
use crate::compile::unit::module::{self, OutputScope};
use crate::key::{CommonFacts, Digest, Digester, Explanation, Pass, Sink, TuFacts};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Computes the keys of a unit whose passes have run.
pub(crate) struct UnitKeys<'a> {
    work: &'a UnitContext<'a>,
    read: &'a PassResults,
    /// The unit's commands as text, sorted.
    commands: Vec<Vec<u8>>,
    /// The stage of each command.
    stages: Vec<usize>,
    /// The job and the commands that the host compiler would run, without what the preprocessor has consumed.
    job: Vec<(&'static str, Vec<Vec<u8>>)>,
    host: Vec<Vec<u8>>,
    /// The path of the result, as spelled.
    output: OsString,
    /// The description of this machine if a command depends on it (`-march=native`), otherwise empty.
    machine: Vec<u8>,
}

impl<'a> UnitKeys<'a> {
    pub(crate) fn of(work: &'a UnitContext<'a>, read: &'a PassResults) -> Self {
        let (commands, stages) = stage_order(work);
        let depends_on_machine = commands.iter().any(|command| asks_for_processor(command));
        Self {
            work,
            read,
            stages,
            job: consumed::job(work),
            host: consumed::host(work),
            output: module::output(work),
            machine: if depends_on_machine {
                machine::processor()
            } else {
                Vec::new()
            },
            commands,
        }
    }

    /// The stages in the order of their commands in the key. Records refer to stages by their index in this list.
    pub(crate) fn stages(&self) -> &[usize] {
        &self.stages
    }

    /// The key that holds every byte of the preprocessed text.
    pub(crate) fn exact(&self, scope: OutputScope) -> Digest {
        self.digest(scope, &self.read.passes)
    }

    /// The key over the line-insensitive digests of the passes.
    pub(crate) fn line_insensitive(&self, scope: OutputScope, passes: &LineInsensitive) -> Digest {
        line_insensitive_key(&self.digest(scope, &passes.passes))
    }

    /// The fields of the exact key.
    pub(crate) fn explain(&self, scope: OutputScope) -> Explanation {
        let mut fields = Explanation::default();
        self.write(scope, &self.read.passes, &mut fields);
        fields
    }

    fn digest(&self, scope: OutputScope, passes: &[Pass]) -> Digest {
        let mut key = Digester::default();
        self.write(scope, passes, &mut key);
        key.finish()
    }

    fn write(&self, scope: OutputScope, passes: &[Pass], sink: &mut impl Sink) {
        let work = self.work;
        TuFacts {
            common: CommonFacts {
                job: &self.job,
                ..work.facts.common(work.commands.toolchain)
            },
            host: &self.host,
            machine: &self.machine,
            source: work.plan.file(work.unit.source).path.as_bytes(),
            output: (scope == OutputScope::ThisOutput).then(|| self.output.as_bytes()),
            commands: &self.commands,
            passes,
            host_headers: &self.read.host_headers,
        }
        .write(sink);
    }
}

/// The commands of the unit's stages as text, sorted, and the stage of each.
pub(crate) fn stage_order(work: &UnitContext<'_>) -> (Vec<Vec<u8>>, Vec<usize>) {
    let stages = work.unit.stages.iter();
    let mut commands: Vec<_> = stages
        .map(|number| {
            let command = template(work.plan, work.stage(*number));
            (consumed::without_searched(work, &command), *number)
        })
        .collect();
    commands.sort();
    commands.into_iter().unzip()
}
