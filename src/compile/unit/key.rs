//! The keys of one translation unit.

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::line_insensitive::{LineInsensitive, line_insensitive_key};
use crate::compile::inputs::preprocess::{self, PassResults};
use crate::compile::request::machine::{self, asks_for_processor};
use crate::compile::run::commands::template;
use crate::compile::unit::consumed;
use crate::compile::unit::module::{self, OutputScope};
use crate::key::{
    CommonFacts, Digest, Digester, Explanation, HostHeader, Pass, PathStarts, RootSet, Shortener,
    Sink, TuFacts,
};
use crate::plan::Tool;
use std::os::unix::ffi::OsStrExt;

/// Computes the keys of a unit whose passes have run. Paths stand below the names of their roots.
pub(crate) struct UnitKeys<'a> {
    work: &'a UnitContext<'a>,
    read: &'a PassResults,
    directory: [Vec<u8>; 2],
    environment: Vec<Vec<u8>>,
    keep: Option<Vec<u8>>,
    /// The job and the commands that the host compiler would run, without what the preprocessor has consumed.
    job: Vec<(&'static str, Vec<Vec<u8>>)>,
    host: Vec<Vec<u8>>,
    source: Vec<u8>,
    /// The path of the source below the base, or else below its deepest root.
    module: Vec<u8>,
    /// The path of the result, as module ids have it.
    output: Vec<u8>,
    /// The unit's commands as text, sorted.
    commands: Vec<Vec<u8>>,
    /// The stage of each command.
    stages: Vec<usize>,
    host_headers: Vec<HostHeader>,
    /// The description of this machine if a command depends on it (`-march=native`), otherwise empty.
    machine: Vec<u8>,
    places: Vec<Vec<u8>>,
}

impl<'a> UnitKeys<'a> {
    pub(crate) fn of(work: &'a UnitContext<'a>, read: &'a PassResults) -> Self {
        let (facts, mut short) = (work.facts, Shortener::new(work.roots));
        let (commands, stages) = stage_order(work);
        let depends_on_machine = commands.iter().any(|command| asks_for_processor(command));
        let headers = read.host_headers.iter().map(|header| HostHeader {
            path: short.word(&header.path),
            digest: header.digest,
        });
        let mut host_headers: Vec<_> = headers.collect();
        host_headers.sort_by(|a, b| a.path.cmp(&b.path));
        let keep = facts.keep.as_ref();
        let mut keys = Self {
            directory: facts.directory.bytes().map(|path| short.word(path)),
            environment: short.words(&facts.environment),
            keep: keep.map(|keep| short.word(keep.prefix.as_bytes())),
            job: short.job(&consumed::job(work)),
            host: short.words(&consumed::host(work)),
            source: short.word(work.plan.file(work.unit.source).path.as_bytes()),
            module: short.source(&module::source(work)),
            output: module::output(work),
            machine: if depends_on_machine {
                machine::processor()
            } else {
                Vec::new()
            },
            commands: short.words(&commands),
            places: short.places(),
            host_headers,
            stages,
            work,
            read,
        };
        if short.is_ambiguous() {
            keys.places = work.roots.paths(RootSet::all());
            keys.places.push(b"a control character".to_vec());
        }
        keys
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
                directory: self.directory.each_ref().map(Vec::as_slice),
                environment: &self.environment,
                keep: self.keep.as_deref(),
                job: &self.job,
                ..work.facts.common(work.commands.toolchain)
            },
            host: &self.host,
            machine: &self.machine,
            source: &self.source,
            module: &self.module,
            output: (scope == OutputScope::ThisOutput).then_some(self.output.as_slice()),
            commands: &self.commands,
            passes,
            host_headers: &self.host_headers,
            places: &self.places,
        }
        .write(sink);
    }
}

/// The commands of the unit's stages as text, in the order that they have wherever the roots are, and the stage of
/// each.
pub(crate) fn stage_order(work: &UnitContext<'_>) -> (Vec<Vec<u8>>, Vec<usize>) {
    let stages = work.unit.stages.iter();
    let mut commands: Vec<_> = stages
        .map(|number| {
            let stage = work.stage(*number);
            let command = match stage.tool {
                Tool::Preprocess => preprocess::pass_name(work.plan, stage),
                _ => consumed::without_searched(work, &template(work.plan, stage)),
            };
            (command, *number)
        })
        .collect();
    commands.sort_by_cached_key(|(command, number)| {
        let (short, _) = work.roots.shorten_text(command, PathStarts::Words);
        (short, *number)
    });
    commands.into_iter().unzip()
}
