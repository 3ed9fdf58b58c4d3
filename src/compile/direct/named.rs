//! The paths that an invocation names, below which path sets of other machines may lead.

use crate::compile::direct::lookup::Direct;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What separates paths from each other, and from options, in a word.
const SEPARATORS: [u8; 4] = *b":,;=";

/// Options with a path right behind them, in words for other tools.
const PREFIXES: [&[u8]; 4] = [b"-isystem", b"-idirafter", b"-iquote", b"-I"];

impl Direct<'_> {
    /// The working directory, then whatever may be a path in the command line and the environment, and the directories of
    /// the sources. Words that are no paths do no harm: they name files that are not there.
    pub(super) fn named(&self) -> Vec<Vec<u8>> {
        let mut named = vec![
            self.facts
                .directory
                .physical
                .as_os_str()
                .as_bytes()
                .to_vec(),
        ];
        let values = self.facts.job.iter().flat_map(|(_, values)| values);
        for word in values.chain(&self.facts.environment) {
            for part in word.split(|byte| SEPARATORS.contains(byte) || *byte == 0) {
                let mut prefixes = PREFIXES.iter();
                let path = prefixes.find_map(|prefix| part.strip_prefix(*prefix));
                named.push(path.unwrap_or(part).to_vec());
            }
        }
        for input in &self.facts.inputs {
            let parent = Path::new(std::ffi::OsStr::from_bytes(input)).parent();
            named.extend(parent.map(|parent| parent.as_os_str().as_bytes().to_vec()));
        }
        named.retain(|path| !path.is_empty());
        named
    }
}
