//! What a compile includes: read off preprocessed text, and written down the way nvcc does.
//!
//! | module    | part                                                        |
//! |-----------|-------------------------------------------------------------|
//! | `markers` | line markers of a preprocessed file, and the files they name |
//! | `depfile` | nvcc's own `-MD`/`-MMD`/`-MP` file, byte for byte            |
//! | `prerequisites` | what a make rule of GCC's or the assembler's names    |
//! | `digests` | the digests of headers, remembered for all processes        |
//!
//! All but `digests` work on bytes that the caller has read. Does not know where a header was
//! searched for.

pub mod depfile;
pub mod digests;
pub mod markers;
pub mod prerequisites;
