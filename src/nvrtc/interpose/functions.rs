//! The hooked functions of libnvrtc, one row each, and their signatures. Calls of other functions go to the real
//! library directly.

use std::ffi::{CStr, c_char, c_int, c_void};

/// An `nvrtcProgram`.
pub(super) type Handle = *mut c_void;

/// `nvrtcCreateProgram`.
pub(super) type CreateFn = unsafe extern "C" fn(
    *mut Handle,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> c_int;
/// `nvrtcDestroyProgram`.
pub(super) type DestroyFn = unsafe extern "C" fn(*mut Handle) -> c_int;
/// `nvrtcCompileProgram`.
pub(super) type CompileFn = unsafe extern "C" fn(Handle, c_int, *const *const c_char) -> c_int;
/// `nvrtcAddNameExpression`.
pub(super) type ExpressionFn = unsafe extern "C" fn(Handle, *const c_char) -> c_int;
/// `nvrtcGetLoweredName`.
pub(super) type LoweredFn =
    unsafe extern "C" fn(Handle, *const c_char, *mut *const c_char) -> c_int;
/// `nvrtcGetPTXSize` and the like.
pub(super) type SizeFn = unsafe extern "C" fn(Handle, *mut usize) -> c_int;
/// `nvrtcGetPTX` and the like.
pub(super) type GetFn = unsafe extern "C" fn(Handle, *mut c_char) -> c_int;
/// `nvrtcGetPCHCreateStatus`.
pub(super) type StatusFn = unsafe extern "C" fn(Handle) -> c_int;
/// A function with further pointers that are only passed on, such as `nvrtcSetFlowCallback`.
pub(super) type OtherFn = unsafe extern "C" fn(Handle, *mut c_void, *mut c_void) -> c_int;

macro_rules! functions {
    ($($variant:ident = $name:literal,)*) => {
        /// A hooked function.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)] // The names are the functions' own.
        pub(super) enum Function { $($variant,)* }

        /// The names of the functions, in the order of the variants.
        pub(super) const NAMES: [&CStr; COUNT] = [$($name,)*];

        /// All functions, in the same order.
        pub(super) const ALL: [Function; COUNT] = [$(Function::$variant,)*];

        pub(super) const COUNT: usize = [$(Function::$variant,)*].len();
    };
}

functions! {
    CreateProgram = c"nvrtcCreateProgram",
    DestroyProgram = c"nvrtcDestroyProgram",
    CompileProgram = c"nvrtcCompileProgram",
    AddNameExpression = c"nvrtcAddNameExpression",
    GetLoweredName = c"nvrtcGetLoweredName",
    GetProgramLogSize = c"nvrtcGetProgramLogSize",
    GetProgramLog = c"nvrtcGetProgramLog",
    GetPtxSize = c"nvrtcGetPTXSize",
    GetPtx = c"nvrtcGetPTX",
    GetCubinSize = c"nvrtcGetCUBINSize",
    GetCubin = c"nvrtcGetCUBIN",
    GetLtoirSize = c"nvrtcGetLTOIRSize",
    GetLtoir = c"nvrtcGetLTOIR",
    GetOptixIrSize = c"nvrtcGetOptiXIRSize",
    GetOptixIr = c"nvrtcGetOptiXIR",
    GetNvvmSize = c"nvrtcGetNVVMSize",
    GetNvvm = c"nvrtcGetNVVM",
    GetTileIrSize = c"nvrtcGetTileIRSize",
    GetTileIr = c"nvrtcGetTileIR",
    GetPchCreateStatus = c"nvrtcGetPCHCreateStatus",
    GetPchHeapSizeRequired = c"nvrtcGetPCHHeapSizeRequired",
    SetFlowCallback = c"nvrtcSetFlowCallback",
}

/// The function by which a libnvrtc is recognised, whatever the name of its file.
pub(super) const MARK: Function = Function::CompileProgram;

impl Function {
    /// Its index in tables.
    pub(super) const fn index(self) -> usize {
        self as usize
    }

    pub(super) const fn name(self) -> &'static CStr {
        NAMES[self as usize]
    }
}
