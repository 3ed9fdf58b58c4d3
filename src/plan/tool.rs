//! The tools that the stages of a plan run.

/// The tool that a stage runs. A host compiler may have any name, so its uses are recognised by their flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tool {
    /// The host compiler preprocesses a source (`-E`). Its line markers name every file that it read.
    Preprocess,
    /// The host compiler preprocesses the output of cudafe++: the last step of `-cuda`.
    HostPreprocess,
    /// The host compiler compiles (`-c`) a host source or the output of cudafe++.
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
    /// `fatbinary` with nothing to pack, which writes the form of what the host compiler includes. Not part of nvcc's
    /// own plans: see [`Plan::split_host_compile`](super::Plan::split_host_compile).
    EmptyFatbinary,
    /// The host compiler's driver assembles what it compiled. Not part of nvcc's own plans either.
    Assemble,
    /// `nvlink`: links device code. `-l` libraries are searched for, and are not among the reads.
    Nvlink,
    /// The host compiler links. `-l` libraries are not among the reads.
    HostLink,
    /// `ar cr`: adds to the archive that it writes, so an existing archive is also read.
    Archive,
    /// `rm` of a file that nvlink will append to. There is nothing to remove in a new keep directory.
    Remove,
}
