//! What the preprocessor consumes: macros, files to include first, and directories to search. They act through the
//! text of the passes and through the headers that the host compile of cudafe++'s output finds, which the key of a
//! unit holds; nvcc gives macros to the passes alone. So the options themselves are left out of that key and of the
//! module id. `docs/design/keys.md#what-the-preprocessor-consumes` says where they are not.

use crate::compile::inputs::context::UnitContext;
use memchr::memmem;

/// Options of nvcc that name directories to search.
const SEARCHED: [&str; 2] = ["include-path", "system-include"];

/// Options of nvcc that it gives to preprocessors alone.
const PREPROCESSED: [&str; 3] = ["define-macro", "pre-include", "undefine-macro"];

/// Options of the host compiler whose value, joined or the next word, is a directory to search for headers.
const SEARCH_FLAGS: [&[u8]; 4] = [b"-I", b"-idirafter", b"-iquote", b"-isystem"];

/// The job's fields for the key of the unit `work`.
pub(crate) fn job(work: &UnitContext<'_>) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let fields = work.facts.job.iter().filter(|(name, _)| {
        let is_searched = SEARCHED.contains(name) && !records_commands(work);
        // A host source is compiled with its macros, which debug information may list.
        let is_preprocessed = PREPROCESSED.contains(name) && !work.passes.compile_sources();
        !is_searched && !is_preprocessed
    });
    fields.cloned().collect()
}

/// The words of a command, each but the last followed by a NUL, without directories to search.
pub(crate) fn without_searched(work: &UnitContext<'_>, command: &[u8]) -> Vec<u8> {
    if records_commands(work) {
        return command.to_vec();
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut words = command.split(|byte| *byte == 0);
    while let Some(word) = words.next() {
        match SEARCH_FLAGS.iter().find(|flag| word.starts_with(flag)) {
            Some(flag) if word == *flag => drop(words.next()),
            Some(_) => {}
            None => kept.push(word),
        }
    }
    kept.join(&0)
}

/// The commands that the host compiler would run, likewise.
pub(crate) fn host(work: &UnitContext<'_>) -> Vec<Vec<u8>> {
    let commands = work.host.commands.iter();
    commands
        .map(|command| without_searched(work, command))
        .collect()
}

/// Whether the host compiler writes its own command line into the object.
fn records_commands(work: &UnitContext<'_>) -> bool {
    let fields = work.facts.job.iter();
    let mut values = fields
        .filter(|(name, _)| *name == "compiler-options")
        .flat_map(|(_, values)| values);
    let is_recorded = |value: &Vec<u8>| memmem::find(value, b"record-").is_some();
    values.any(is_recorded) || work.host.additions.is_some()
}
