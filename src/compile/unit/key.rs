//! The key of one translation unit.

use crate::compile::inputs::context::UnitContext;
use crate::compile::request::environment::{self, word_depends_on_machine};
use crate::compile::run::commands::template;
use crate::key::{HostHeader, Pass, Sink, TuFacts};
use std::os::unix::ffi::OsStrExt;

/// The unit's commands as text, sorted, each with its stage.
pub(crate) fn sorted_commands(work: &UnitContext<'_>) -> Vec<(Vec<u8>, usize)> {
    let stages = work.unit.stages.iter();
    let mut commands: Vec<_> = stages
        .map(|number| (template(work.plan, work.stage(*number)), *number))
        .collect();
    commands.sort();
    commands
}

/// Writes the fields of the unit's key to `sink`.
pub(crate) fn write_key(
    work: &UnitContext<'_>,
    output: Option<&[u8]>,
    commands: &[Vec<u8>],
    passes: &[Pass],
    host_headers: &[HostHeader],
    sink: &mut impl Sink,
) {
    let facts = work.facts;
    let machine = if commands.iter().any(|text| word_depends_on_machine(text)) {
        environment::machine()
    } else {
        Vec::new()
    };
    TuFacts {
        common: facts.common(work.commands.toolchain),
        host: &work.host.commands,
        machine: &machine,
        source: work.plan.file(work.unit.source).path.as_bytes(),
        output,
        commands,
        passes,
        host_headers,
    }
    .write(sink);
}
