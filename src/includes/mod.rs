//! The include files of a compile: reads them from preprocessed text, finds every path that their lookup depends
//! on, and writes nvcc's depfiles.
//!
//! | module             | part                                                                |
//! |--------------------|---------------------------------------------------------------------|
//! | `markers`          | line markers of a preprocessed file, and the files they name        |
//! | `line_insensitive` | a digest of preprocessed text that ignores moved lines              |
//! | `depfile`          | reads depfiles of GCC and GNU as, writes nvcc's own                 |
//! | `lexer`            | preprocessing tokens of a text, and the pieces between them         |
//! | `tokens`           | digests of the tokens of a text                                     |
//! | `times`            | finds texts that `__TIME__` and the like could have given           |
//! | `scan`             | the headers that a source's text makes the preprocessor look for    |
//! | `placeless`        | a digest of preprocessed text that does not depend on its place     |
//! | `shown`            | the roots that a preprocessed text shows                            |
//! | `reached`          | the headers that a preprocessor prints that it includes             |
//! | `search`           | the search order of a preprocessor, as its `-v` prints it           |
//! | `probe`            | what is at a path, and where a path that leads nowhere ends         |
//! | `lookups`          | from the files that were read to all paths their includes depend on |
//! | `unchanged_since`  | whether the disk is still as the compile found it                   |
//! | `name_watch`       | the names that come and go in directories during a compile          |
//! | `path_set`         | lookups as bytes, and the check that they still hold                |
//! | `digests`          | the digests of headers, in a table that all processes share         |
//!
//! Data flows down this table. Nothing here depends on nvcc, its passes or its keys.

pub mod depfile;
pub mod digests;
pub mod lexer;
pub mod line_insensitive;
pub mod lookups;
pub mod markers;
pub(crate) mod mounts;
pub mod name_watch;
pub mod path_set;
pub mod placeless;
pub(crate) mod probe;
pub mod reached;
pub(crate) mod scan;
pub mod search;
pub mod shown;
pub mod times;
pub mod tokens;
pub mod unchanged_since;
