//! The tools that the stages of a plan run.

/// What a stage does. Host compilers have any name, so they are told apart by their flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tool {
    /// The host compiler preprocesses a source (`-E`); its line markers name every file it read.
    Preprocess,
    /// The host compiler preprocesses what cudafe++ wrote: the last step of `-cuda`.
    HostPreprocess,
    /// The host compiler compiles (`-c`) a host source or what cudafe++ wrote.
    HostCompile,
    /// The host compiler compiles `crt/link.stub` or `crt/prelink.stub` around a fatbinary.
    StubCompile,
    /// `cudafe++`: the host half of a preprocessed source.
    Cudafe,
    /// `cicc`: the device half, to PTX, LTO IR or OptiX IR.
    Cicc,
    /// `ptxas`: PTX to a cubin, or, with nothing to write, a check of the PTX.
    Ptxas,
    /// `fatbinary`: packs device code.
    Fatbinary,
    /// `fatbinary` with nothing to pack: the form of what the host compiler includes. In no plan of
    /// nvcc's: see [`Plan::split_host_compile`](super::Plan::split_host_compile).
    EmptyFatbinary,
    /// The host compiler's driver assembles what it compiled; in no plan of nvcc's either.
    Assemble,
    /// `nvlink`: links device code. `-l` libraries are searched for, and are not among the reads.
    Nvlink,
    /// The host compiler links. `-l` libraries are not among the reads.
    HostLink,
    /// `ar cr`: adds to the archive that it writes, so one that is there already is read too.
    Archive,
    /// `rm`, of a file that nvlink will append to; nothing to do in a fresh keep directory.
    Remove,
}
