//! The modes of nvcc.

/// How far a compile goes, and what it outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Make rules and nothing else: `-M`, `-MM`.
    Rules,
    /// Objects: `-c`, `-dc`, `-dw`.
    Object,
    /// PTX: `-ptx`.
    Ptx,
    /// Cubins: `-cubin`.
    Cubin,
    /// Fatbins: `-fatbin`.
    Fatbin,
    /// OptiX IR: `-optix-ir`.
    OptixIr,
    /// Link-time IR: `-ltoir`.
    Ltoir,
    /// The host compiler's input: `-cuda`.
    CudaSource,
    /// An archive: `-lib`.
    Library,
    /// Linked device code: `-dlink`.
    DeviceLink,
    /// A program or shared library: `-link`, or no mode at all.
    Program,
}
