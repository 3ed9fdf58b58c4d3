//! What a compile has read, from which its includes are followed, and the word for why they cannot be. Looks at
//! no disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

/// Why a compile's lookups cannot be described; a sentence.
pub type Doubt = String;

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Every file that a preprocessor entered, as it spells it, with its content.
    pub sources: BTreeMap<PathBuf, Rc<Vec<u8>>>,
    /// Files that were read without being preprocessed.
    pub raw: BTreeSet<PathBuf>,
    /// Names of `-include`: searched in the working directory first.
    pub forced: BTreeSet<Vec<u8>>,
    /// Text of our own that includes headers by search alone.
    pub snippets: Vec<Vec<u8>>,
    /// Headers in whose place a precompiled one (`x.h.gch`) would be taken: those of a compile, which
    /// unlike a preprocessing takes them.
    pub precompilable: BTreeSet<PathBuf>,
    /// What the preprocessors wrote that may tell a time.
    pub times: BTreeSet<Vec<u8>>,
}
