//! One compile from the hooks' point of view: asks the cache; on a miss, watches the real library compile and commits
//! the output. Also does the real compile after a hit if a client asks for something that the hit does not have.

use super::file_trace::{Watch, errno, set_errno};
use super::functions::{CompileFn, Function, GetFn, Handle, LoweredFn, SizeFn};
use super::loaded;
use super::programs::{ProgramEntry, ProgramHit, ProgramKey, ProgramStage, Programs};
use super::slots::{self, HookSlot};
use crate::nvrtc::cache::{Begin, Cache, Miss};
use crate::nvrtc::program::{NvrtcRequest, Program, ProgramArtefact, ProgramOutput};
use crate::outcome::NvrtcReason;
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::Instant;

/// `NVRTC_SUCCESS`.
pub(super) const SUCCESS: c_int = 0;

/// All programs of this process. A static, because C callers pass nothing but their handles.
pub(super) static PROGRAMS: Programs = Programs::new();

/// The cache of this process, opened by the first compile. Never freed, because a hit may still use it.
static CACHE: AtomicPtr<Cache> = AtomicPtr::new(ptr::null_mut());

/// Whether the parent process had done a compile that changes all later ones.
static TAINTED: AtomicBool = AtomicBool::new(false);

/// The functions that return each artefact's size and bytes, and the size of an empty artefact.
pub(super) const ARTEFACTS: [(ProgramArtefact, Function, Function, usize); 6] = [
    (
        ProgramArtefact::Ptx,
        Function::GetPtxSize,
        Function::GetPtx,
        1,
    ),
    (
        ProgramArtefact::Cubin,
        Function::GetCubinSize,
        Function::GetCubin,
        0,
    ),
    (
        ProgramArtefact::Ltoir,
        Function::GetLtoirSize,
        Function::GetLtoir,
        0,
    ),
    (
        ProgramArtefact::OptixIr,
        Function::GetOptixIrSize,
        Function::GetOptixIr,
        0,
    ),
    (
        ProgramArtefact::Nvvm,
        Function::GetNvvmSize,
        Function::GetNvvm,
        0,
    ),
    (
        ProgramArtefact::TileIr,
        Function::GetTileIrSize,
        Function::GetTileIr,
        0,
    ),
];

fn cache() -> &'static Cache {
    let open = CACHE.load(Ordering::Acquire);
    if !open.is_null() {
        // SAFETY: what is there stays for ever.
        return unsafe { &*open };
    }
    let opened = Cache::open();
    if TAINTED.load(Ordering::Acquire) {
        opened.taint();
    }
    let opened = Box::into_raw(Box::new(opened));
    let ours = CACHE.compare_exchange(ptr::null_mut(), opened, Ordering::AcqRel, Ordering::Acquire);
    match ours {
        // SAFETY: it is ours and stays for ever.
        Ok(_) => unsafe { &*opened },
        Err(theirs) => {
            // SAFETY: no other thread has seen ours.
            drop(unsafe { Box::from_raw(opened) });
            // SAFETY: theirs stays for ever.
            unsafe { &*theirs }
        }
    }
}

/// Installs the panic hook and the fork handlers, once, when the first program is created.
pub(super) fn prepare() {
    static READY: Once = Once::new();
    READY.call_once(|| {
        // This library has a Rust standard library of its own, so this does not affect a client's panics. After
        // one of ours, the real function answers, and nothing is printed.
        std::panic::set_hook(Box::new(|_| {}));
        // SAFETY: the functions stay, as a preloaded library is never unmapped.
        unsafe { libc::pthread_atfork(Some(fork::prepare), Some(fork::parent), Some(fork::child)) };
    });
}

/// Fork handlers that keep locks and cache usable in the child, which has only the thread that forked.
mod fork {
    use super::super::programs::Frozen;
    use super::{CACHE, PROGRAMS, TAINTED};
    use std::cell::RefCell;
    use std::panic::catch_unwind;
    use std::ptr;
    use std::sync::atomic::Ordering;

    thread_local! {
        /// The locks that are held while the thread forks.
        static HELD: RefCell<Frozen<'static>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) extern "C" fn prepare() {
        let _ = catch_unwind(|| HELD.set(PROGRAMS.freeze()));
    }

    pub(super) extern "C" fn parent() {
        let _ = catch_unwind(|| HELD.take());
    }

    pub(super) extern "C" fn child() {
        parent();
        // Its locks may be held by threads that do not exist here, and its files are shared with the
        // parent. The child opens a cache of its own.
        let former = CACHE.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: what was there stays for ever.
        if unsafe { former.as_ref() }.is_some_and(super::Cache::is_tainted) {
            TAINTED.store(true, Ordering::Release);
        }
    }
}

/// Runs `work`, and leaves errno unchanged.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let before = errno();
    let result = work();
    set_errno(before);
    result
}

/// The real function of a library, with its type.
macro_rules! real {
    ($slot:expr, $function:expr, $kind:ty) => {{
        let address = $slot.real($function);
        // SAFETY: the address is that of the function with this shape.
        address.map(|address| unsafe { std::mem::transmute::<usize, $kind>(address) })
    }};
}
pub(super) use real;

/// How a call of `nvrtcCompileProgram` is handled.
enum CompileTurn {
    /// The program's first compile: ask the cache.
    First(Arc<Program>, Vec<Vec<u8>>),
    /// A compile with a callback: a bypass.
    Callback(Arc<Program>, Vec<Vec<u8>>),
    /// Another compile after a hit: do the first one for real, and leave this one to the real library.
    Again(Arc<ProgramHit>),
    /// Leave it to the real library.
    Real,
}

/// How the next compile of the program is handled. All later ones are left to the real library.
fn take_turn(entry: &mut ProgramEntry) -> CompileTurn {
    match std::mem::replace(&mut entry.stage, ProgramStage::Real) {
        ProgramStage::Fresh => CompileTurn::First(entry.program.clone(), entry.expressions.clone()),
        ProgramStage::Hit(hit) => {
            entry.kept.push(hit.clone());
            CompileTurn::Again(hit)
        }
        ProgramStage::Callback => {
            CompileTurn::Callback(entry.program.clone(), entry.expressions.clone())
        }
        ProgramStage::Real => CompileTurn::Real,
    }
}

/// Handles a compile; `None` (or a panic) leaves it to the real library.
///
/// Only the first compile of a program is cached. In a later compile, the real library keeps outputs of the earlier
/// one that the new one does not produce (a CUBIN, if the new one only gives PTX), so the result would depend
/// on the earlier compiles.
pub(super) fn compile(key: ProgramKey, options: Option<Vec<CString>>) -> Option<c_int> {
    let slot = slots::own().get(key.slot);
    let turn = PROGRAMS.with(key, slot.generation(), take_turn);
    // `Cache::begin` observes a first compile itself.
    if !matches!(turn, Some(CompileTurn::First(..))) {
        quietly(|| observe(key, options.as_deref()));
    }
    let turn = turn?;
    let has_callback = matches!(turn, CompileTurn::Callback(..));
    let (program, expressions) = match turn {
        CompileTurn::First(program, expressions) | CompileTurn::Callback(program, expressions) => {
            (program, expressions)
        }
        CompileTurn::Again(hit) => {
            hit.compile(key);
            return None;
        }
        CompileTurn::Real => return None,
    };
    let library = quietly(|| loaded::library(key.slot));
    let (Some(options), Some(library)) = (&options, library) else {
        quietly(|| observe(key, options.as_deref()));
        return None;
    };
    let plain = plain(options);
    let request = NvrtcRequest {
        library,
        program: &program,
        expressions: &expressions,
        options: &plain,
    };
    if has_callback {
        quietly(|| cache().note_bypass(&request, NvrtcReason::Callback));
        return None;
    }
    match quietly(|| cache().begin(&request)) {
        Begin::Hit(output) => {
            let hit = ProgramHit::new(output, options.clone(), &expressions)?;
            PROGRAMS.with(key, slot.generation(), |entry| {
                entry.stage = ProgramStage::Hit(Arc::new(hit));
                SUCCESS
            })
        }
        Begin::Miss(miss) => compile_watched(key, slot, &request, options, miss),
        Begin::Bypass => None,
    }
}

/// Reports an uncached compile to the cache, because it may change the results of later ones.
fn observe(key: ProgramKey, options: Option<&[CString]>) {
    let plain = plain(options.unwrap_or_default());
    cache().observe(loaded::library(key.slot), &plain);
}

fn plain(options: &[CString]) -> Vec<Vec<u8>> {
    let options = options.iter();
    options.map(|text| text.to_bytes().to_vec()).collect()
}

/// Lets the real library compile, and stores the output if the compile succeeds.
fn compile_watched(
    key: ProgramKey,
    slot: &HookSlot,
    request: &NvrtcRequest<'_>,
    options: &[CString],
    miss: Miss<'_>,
) -> Option<c_int> {
    let watch = quietly(|| Watch::begin(slot))?;
    let started = Instant::now();
    let result = compile_really(key, slot, options)?;
    let took = started.elapsed();
    let seen = watch.end();
    // A panic here must not affect the client, which has its result already.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        quietly(|| {
            let seen = seen.filter(|_| result == SUCCESS)?;
            let is_right = loaded::is_confirmed(key.slot, request.library);
            let output = collect(key, slot, request.expressions).filter(|_| is_right)?;
            miss.commit(seen, &output, took);
            Some(())
        })
    }));
    Some(result)
}

fn compile_really(key: ProgramKey, slot: &HookSlot, options: &[CString]) -> Option<c_int> {
    let compile = real!(slot, Function::CompileProgram, CompileFn)?;
    let pointers: Vec<*const c_char> = options.iter().map(|text| text.as_ptr()).collect();
    let array = if pointers.is_empty() {
        ptr::null()
    } else {
        pointers.as_ptr()
    };
    // SAFETY: the client's own program, and as many options as are said.
    Some(unsafe { compile(key.handle as Handle, pointers.len() as c_int, array) })
}

/// All outputs of a real compile that has just succeeded; `None` if the library refuses one of them.
fn collect(key: ProgramKey, slot: &HookSlot, expressions: &[Vec<u8>]) -> Option<ProgramOutput> {
    let mut output = ProgramOutput {
        log: bytes(
            key,
            slot,
            Function::GetProgramLogSize,
            Function::GetProgramLog,
        )?,
        ..ProgramOutput::default()
    };
    for expression in expressions {
        let name = lowered_name(key, slot, &CString::new(expression.as_slice()).ok()?)?;
        output.lowered.push((expression.clone(), name));
    }
    for (artefact, size, get, empty) in ARTEFACTS {
        if slot.real(size).is_none() {
            continue;
        }
        let bytes = bytes(key, slot, size, get)?;
        if bytes.len() > empty {
            output.artefacts.push((artefact, bytes));
        }
    }
    Some(output)
}

fn bytes(key: ProgramKey, slot: &HookSlot, size: Function, get: Function) -> Option<Vec<u8>> {
    let size_of = real!(slot, size, SizeFn)?;
    let get = real!(slot, get, GetFn)?;
    let mut size = 0;
    // SAFETY: the client's own program.
    if unsafe { size_of(key.handle as Handle, &mut size) } != SUCCESS {
        return None;
    }
    let mut bytes = vec![0u8; size];
    if size == 0 {
        return Some(bytes);
    }
    // SAFETY: there is room for as much as the library has said.
    let result = unsafe { get(key.handle as Handle, bytes.as_mut_ptr().cast()) };
    (result == SUCCESS).then_some(bytes)
}

fn lowered_name(key: ProgramKey, slot: &HookSlot, expression: &CStr) -> Option<Vec<u8>> {
    let lowered = real!(slot, Function::GetLoweredName, LoweredFn)?;
    let mut name = ptr::null();
    // SAFETY: the client's own program; a name that is given is a string until the program goes.
    unsafe {
        let result = lowered(key.handle as Handle, expression.as_ptr(), &mut name);
        (result == SUCCESS && !name.is_null()).then(|| CStr::from_ptr(name).to_bytes().to_vec())
    }
}

impl ProgramHit {
    /// `None` if the output is incomplete: without a log or without the name of an expression.
    fn new(
        output: Arc<ProgramOutput>,
        options: Vec<CString>,
        expressions: &[Vec<u8>],
    ) -> Option<Self> {
        let names = output.lowered.iter();
        let lowered: Option<_> = names
            .map(|(_, name)| CString::new(name.as_slice()).ok())
            .collect();
        let has = |wanted| output.lowered.iter().any(|(name, _)| name == wanted);
        let is_whole = expressions.iter().all(has) && output.log.last() == Some(&0);
        Some(Self {
            lowered: lowered.filter(|_| is_whole)?,
            output,
            options,
            compiled: OnceLock::new(),
        })
    }

    /// Lets the real library compile the program too, once, so that it can answer for it. Other threads that
    /// need the same wait.
    pub(super) fn compile(&self, key: ProgramKey) {
        self.compiled.get_or_init(|| {
            let slot = slots::own().get(key.slot);
            // If it fails, the library's own functions report that to the client.
            let _ = compile_really(key, slot, &self.options);
        });
    }
}
