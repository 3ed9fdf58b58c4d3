//! What a client asks of NVRTC and what it gets: plain data, between the hooks and the cache.

use std::path::PathBuf;

/// One loaded libnvrtc, as the hooks found it.
#[derive(Clone, Debug)]
pub struct Library {
    /// The file that is mapped.
    pub path: PathBuf,
    /// The builtins that it would load, if they are known; their contents are part of every key.
    pub builtins: Option<PathBuf>,
}

/// A header that a client passed in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name by which `#include` finds it.
    pub name: Vec<u8>,
    /// Its text.
    pub source: Vec<u8>,
}

/// What `nvrtcCreateProgram` was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The source's text.
    pub source: Vec<u8>,
    /// The program's name; `None` for NULL or an empty one, which NVRTC calls `default_program`.
    pub name: Option<Vec<u8>>,
    /// The headers, in order.
    pub headers: Vec<Header>,
}

/// One call of `nvrtcCompileProgram`.
#[derive(Clone, Copy, Debug)]
pub struct NvrtcRequest<'a> {
    /// Who would compile it.
    pub library: &'a Library,
    /// What is compiled.
    pub program: &'a Program,
    /// The name expressions added so far, in order.
    pub expressions: &'a [Vec<u8>],
    /// The options, in order.
    pub options: &'a [Vec<u8>],
}

/// What a compile can give besides its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProgramArtefact {
    /// `nvrtcGetPTX`, with its NUL.
    Ptx,
    /// `nvrtcGetCUBIN`.
    Cubin,
    /// `nvrtcGetLTOIR`.
    Ltoir,
    /// `nvrtcGetOptiXIR`.
    OptixIr,
    /// `nvrtcGetNVVM`, up to 12.9: the same as LTO-IR.
    Nvvm,
    /// `nvrtcGetTileIR`, from 13.2 on.
    TileIr,
}

/// All that a successful compile gave, as the real functions return it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramOutput {
    /// The log, with its NUL.
    pub log: Vec<u8>,
    /// Each name expression with its lowered name.
    pub lowered: Vec<(Vec<u8>, Vec<u8>)>,
    /// What is not empty, in order.
    pub artefacts: Vec<(ProgramArtefact, Vec<u8>)>,
}

/// What the library was seen to do in the file system while it compiled, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileAccess {
    /// It opened this file for reading.
    Opened(PathBuf),
    /// It asked whether this exists, or opened it, and it did not exist.
    Absent(PathBuf),
    /// It asked for the state of this, which exists.
    Looked(PathBuf),
}
