//! What a compile includes: read off preprocessed text, followed to every place that it depends on,
//! and written down the way nvcc does.
//!
//! | module             | part                                                                |
//! |--------------------|---------------------------------------------------------------------|
//! | `markers`          | line markers of a preprocessed file, and the files they name        |
//! | `line_insensitive` | a digest of preprocessed text that is blind to lines that only move |
//! | `depfile`          | dependency files: those of GCC and GNU as read, nvcc's own written  |
//! | `lexer`            | preprocessing tokens of a text, and what stands between them        |
//! | `tokens`           | digests of the tokens of a text                                     |
//! | `times`            | texts of the forms that the macros of the time give                 |
//! | `scan`             | what one source's text asks the preprocessor to look for            |
//! | `search`           | the search order of a preprocessor, as its `-v` tells it            |
//! | `probe`            | what is at a path, and where a path ends that leads nowhere         |
//! | `lookups`          | from files that were read to all that their includes depend on      |
//! | `unchanged_since`  | whether the disk is still as the compile found it                   |
//! | `path_set`         | the same as bytes, and whether it still holds                       |
//! | `digests`          | the digests of headers, remembered for all processes                |
//!
//! Data flows down this table. Knows nothing of nvcc, its passes and its keys, so that whatever
//! compiles C++ with includes can use it.

pub mod depfile;
pub mod digests;
pub mod lexer;
pub mod line_insensitive;
pub mod lookups;
pub mod markers;
pub(crate) mod mounts;
pub mod path_set;
pub(crate) mod probe;
pub(crate) mod scan;
pub mod search;
pub mod times;
pub mod tokens;
pub mod unchanged_since;
