//! The requests of NVRTC's clients and their results: plain data that the hooks and the cache exchange.

use std::path::PathBuf;

/// One loaded libnvrtc, as the hooks found it.
#[derive(Clone, Debug)]
pub struct Library {
    /// The mapped file.
    pub path: PathBuf,
    /// The builtins library that it would load, if known; its content is part of every key.
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

/// The arguments of `nvrtcCreateProgram`.
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
    /// The library that was called.
    pub library: &'a Library,
    /// The program to compile.
    pub program: &'a Program,
    /// The name expressions added so far, in order.
    pub expressions: &'a [Vec<u8>],
    /// The options, in order.
    pub options: &'a [Vec<u8>],
}

/// The outputs that a compile can have besides its log, by the function that returns them.
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

/// The output of a successful compile, as the real functions return it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramOutput {
    /// The log, with its NUL.
    pub log: Vec<u8>,
    /// Each name expression with its lowered name.
    pub lowered: Vec<(Vec<u8>, Vec<u8>)>,
    /// The outputs that are not empty, in order.
    pub artefacts: Vec<(ProgramArtefact, Vec<u8>)>,
}

/// One file access of the library during a compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileAccess {
    /// It opened this file for reading.
    Opened(PathBuf),
    /// It called `stat` or the like on this path, or tried to open it, and nothing was there.
    Absent(PathBuf),
    /// It called `stat` or the like on this path, which exists.
    Looked(PathBuf),
}
