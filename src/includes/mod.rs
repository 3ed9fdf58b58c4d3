//! What a compile includes: read off preprocessed text, and written down the way nvcc does.
//!
//! | module    | part                                                        |
//! |-----------|-------------------------------------------------------------|
//! | `markers` | line markers of a preprocessed file, and the files they name |
//! | `depfile` | nvcc's own `-MD`/`-MMD`/`-MP` file, byte for byte            |
//! | `prerequisites` | what a make rule of GCC's or the assembler's names    |
//!
//! Works on bytes that the caller has read. Does not know where a header was searched for, nor
//! whether any file exists.

pub mod depfile;
pub mod lookups;
pub mod markers;
pub mod prerequisites;
pub mod probe;
pub mod scan;
pub mod search;
