//! The hooks, which clients call instead of libnvrtc's functions. Each hook knows its slot, and so its library. It
//! answers for programs whose result came from the cache, and passes all other calls on to the real function.
//! Answers that are the same in all releases for a compiled program are given here, because a real compile that is
//! done later may find its headers gone. All other calls (a null pointer for a name, a panic of ours) go to the real
//! function, after a real compile if the program has had none.

use super::functions::{
    COUNT, CompileFn, CreateFn, DestroyFn, ExpressionFn, Function, GetFn, Handle, LoweredFn,
    OtherFn, SizeFn, StatusFn,
};
use super::programs::{ProgramEntry, ProgramHit, ProgramKey, ProgramStage};
use super::session::{self, ARTEFACTS, PROGRAMS, SUCCESS, real};
use super::slots::{self, SLOTS};
use crate::nvrtc::program::{Header, Program};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::slice;
use std::sync::Arc;

/// `NVRTC_ERROR_INTERNAL_ERROR`: the library does not have the called function, which cannot happen.
const INTERNAL_ERROR: c_int = 11;

/// Errors that all releases return for a compiled program: `NVRTC_ERROR_INVALID_INPUT` if the pointer for the answer is
/// null, `NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION`, `NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID` for an expression
/// that was not added, and `NVRTC_ERROR_NO_PCH_CREATE_ATTEMPTED` if no option asked for a precompiled header, as for
/// all cached programs.
const INVALID_INPUT: c_int = 3;
const TOO_LATE: c_int = 8;
const NOT_VALID: c_int = 10;
const NO_PCH: c_int = 13;

/// The address of a function.
struct Address(*const ());

// SAFETY: nothing writes through the address of a function.
unsafe impl Sync for Address {}

static HOOKS: [[Address; COUNT]; SLOTS] = [
    hooks::<0>(),
    hooks::<1>(),
    hooks::<2>(),
    hooks::<3>(),
    hooks::<4>(),
    hooks::<5>(),
    hooks::<6>(),
    hooks::<7>(),
];

/// The address in this copy of a slot's hook for the function at `index`.
pub(super) fn address(slot: usize, index: usize) -> usize {
    HOOKS[slot][index].0 as usize
}

/// The hooks of a slot, in the order of [`Function`].
const fn hooks<const SLOT: usize>() -> [Address; COUNT] {
    const fn size<const SLOT: usize, const FUNCTION: usize>() -> Address {
        Address(get_size::<SLOT, FUNCTION> as *const ())
    }
    const fn bytes<const SLOT: usize, const FUNCTION: usize>() -> Address {
        Address(get_bytes::<SLOT, FUNCTION> as *const ())
    }
    [
        Address(create::<SLOT> as *const ()),
        Address(destroy::<SLOT> as *const ()),
        Address(compile::<SLOT> as *const ()),
        Address(add_name_expression::<SLOT> as *const ()),
        Address(get_lowered_name::<SLOT> as *const ()),
        size::<SLOT, { Function::GetProgramLogSize.index() }>(),
        bytes::<SLOT, { Function::GetProgramLog.index() }>(),
        size::<SLOT, { Function::GetPtxSize.index() }>(),
        bytes::<SLOT, { Function::GetPtx.index() }>(),
        size::<SLOT, { Function::GetCubinSize.index() }>(),
        bytes::<SLOT, { Function::GetCubin.index() }>(),
        size::<SLOT, { Function::GetLtoirSize.index() }>(),
        bytes::<SLOT, { Function::GetLtoir.index() }>(),
        size::<SLOT, { Function::GetOptixIrSize.index() }>(),
        bytes::<SLOT, { Function::GetOptixIr.index() }>(),
        size::<SLOT, { Function::GetNvvmSize.index() }>(),
        bytes::<SLOT, { Function::GetNvvm.index() }>(),
        size::<SLOT, { Function::GetTileIrSize.index() }>(),
        bytes::<SLOT, { Function::GetTileIr.index() }>(),
        Address(get_pch_create_status::<SLOT> as *const ()),
        Address(get_pch_heap_size_required::<SLOT> as *const ()),
        Address(set_flow_callback::<SLOT> as *const ()),
    ]
}

fn key<const SLOT: usize>(program: Handle) -> ProgramKey {
    ProgramKey {
        slot: SLOT,
        handle: program as usize,
    }
}

/// The result of `work`; `None` if it panics.
fn guarded<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok().flatten()
}

fn generation<const SLOT: usize>() -> u32 {
    slots::own().get(SLOT).generation()
}

/// The hit that answers for a program.
fn hit<const SLOT: usize>(program: Handle) -> Option<Arc<ProgramHit>> {
    let look = |entry: &mut ProgramEntry| match &entry.stage {
        ProgramStage::Hit(hit) => Some(hit.clone()),
        ProgramStage::Fresh | ProgramStage::Callback | ProgramStage::Real => None,
    };
    guarded(|| {
        PROGRAMS
            .with(key::<SLOT>(program), generation::<SLOT>(), look)
            .flatten()
    })
}

/// Lets the real library compile a program that was a hit, so that it can answer for it.
fn hand_over<const SLOT: usize>(program: Handle) {
    if let Some(hit) = hit::<SLOT>(program) {
        let _ = catch_unwind(AssertUnwindSafe(|| hit.compile(key::<SLOT>(program))));
    }
}

unsafe extern "C" fn create<const SLOT: usize>(
    program: *mut Handle,
    source: *const c_char,
    name: *const c_char,
    count: c_int,
    headers: *const *const c_char,
    names: *const *const c_char,
) -> c_int {
    let Some(create) = real!(slots::own().get(SLOT), Function::CreateProgram, CreateFn) else {
        return INTERNAL_ERROR;
    };
    // SAFETY: the client's own call.
    let result = unsafe { create(program, source, name, count, headers, names) };
    if result == SUCCESS {
        guarded(|| {
            session::prepare();
            // SAFETY: the real function has just read the same strings, and has set the handle.
            let (created, handle) =
                unsafe { (read_program(source, name, count, headers, names)?, *program) };
            let entry = ProgramEntry {
                generation: generation::<SLOT>(),
                program: Arc::new(created),
                expressions: Vec::new(),
                stage: ProgramStage::Fresh,
                kept: Vec::new(),
            };
            PROGRAMS.insert(key::<SLOT>(handle), entry);
            Some(())
        });
    }
    result
}

/// # Safety
/// The arguments are those of a `nvrtcCreateProgram` that succeeded.
unsafe fn read_program(
    source: *const c_char,
    name: *const c_char,
    count: c_int,
    headers: *const *const c_char,
    names: *const *const c_char,
) -> Option<Program> {
    // SAFETY: as promised.
    let (source, name, headers, names) = unsafe {
        (
            bytes(source)?,
            bytes(name),
            strings(count, headers)?,
            strings(count, names)?,
        )
    };
    let headers = headers.into_iter().zip(names).map(|(source, name)| Header {
        name: name.into_bytes(),
        source: source.into_bytes(),
    });
    Some(Program {
        source,
        name: name.filter(|name| !name.is_empty()),
        headers: headers.collect(),
    })
}

/// # Safety
/// What is not null is a string.
unsafe fn bytes(text: *const c_char) -> Option<Vec<u8>> {
    // SAFETY: as promised.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes().to_vec())
}

/// Copies an array of strings; `None` if the array or one of its strings is null.
///
/// # Safety
/// What is not null is an array of `count`, or a string.
unsafe fn strings(count: c_int, texts: *const *const c_char) -> Option<Vec<CString>> {
    let count = usize::try_from(count).ok()?;
    if count == 0 {
        return Some(Vec::new());
    }
    if texts.is_null() {
        return None;
    }
    // SAFETY: as promised.
    let texts = unsafe { slice::from_raw_parts(texts, count) };
    let own = |&text: &*const c_char| {
        // SAFETY: as promised.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_owned())
    };
    texts.iter().map(own).collect()
}

unsafe extern "C" fn destroy<const SLOT: usize>(program: *mut Handle) -> c_int {
    let Some(destroy) = real!(slots::own().get(SLOT), Function::DestroyProgram, DestroyFn) else {
        return INTERNAL_ERROR;
    };
    // Before the real call: afterwards another thread may get the same handle for a new program.
    // SAFETY: the client's handle, if there is one.
    if let Some(program) = unsafe { program.as_ref() } {
        guarded(|| PROGRAMS.remove(key::<SLOT>(*program)));
    }
    // SAFETY: the client's own call.
    unsafe { destroy(program) }
}

unsafe extern "C" fn compile<const SLOT: usize>(
    program: Handle,
    count: c_int,
    options: *const *const c_char,
) -> c_int {
    let Some(compile) = real!(slots::own().get(SLOT), Function::CompileProgram, CompileFn) else {
        return INTERNAL_ERROR;
    };
    // SAFETY: the client's own strings.
    let copied = guarded(|| unsafe { strings(count, options) });
    let result = guarded(|| session::compile(key::<SLOT>(program), copied));
    // SAFETY: the client's own call.
    result.unwrap_or_else(|| unsafe { compile(program, count, options) })
}

unsafe extern "C" fn add_name_expression<const SLOT: usize>(
    program: Handle,
    expression: *const c_char,
) -> c_int {
    let slot = slots::own().get(SLOT);
    let Some(add) = real!(slot, Function::AddNameExpression, ExpressionFn) else {
        return INTERNAL_ERROR;
    };
    if !expression.is_null() && hit::<SLOT>(program).is_some() {
        return TOO_LATE;
    }
    hand_over::<SLOT>(program);
    // SAFETY: the client's own call.
    let result = unsafe { add(program, expression) };
    if result == SUCCESS {
        guarded(|| {
            // SAFETY: the real function has just read it.
            let expression = unsafe { bytes(expression) }?;
            PROGRAMS.with(key::<SLOT>(program), generation::<SLOT>(), |entry| {
                entry.expressions.push(expression);
            })
        });
    }
    result
}

unsafe extern "C" fn get_lowered_name<const SLOT: usize>(
    program: Handle,
    expression: *const c_char,
    name: *mut *const c_char,
) -> c_int {
    let slot = slots::own().get(SLOT);
    let Some(lowered) = real!(slot, Function::GetLoweredName, LoweredFn) else {
        return INTERNAL_ERROR;
    };
    // `None` = the real library answers; `Some(None)` = the expression was not added.
    let answer = hit::<SLOT>(program).and_then(|hit| {
        if expression.is_null() || name.is_null() {
            return None;
        }
        // SAFETY: what is not null is a string.
        let wanted = unsafe { CStr::from_ptr(expression) }.to_bytes();
        let mut expressions = hit.output.lowered.iter();
        let at = expressions.position(|(expression, _)| expression == wanted);
        Some(at.map(|at| hit.lowered[at].as_ptr()))
    });
    match answer {
        Some(None) => NOT_VALID,
        Some(Some(lowered_name)) => {
            // SAFETY: a place for the answer, which stays as long as the program.
            unsafe { name.write(lowered_name) };
            SUCCESS
        }
        None => {
            hand_over::<SLOT>(program);
            // SAFETY: the client's own call.
            unsafe { lowered(program, expression, name) }
        }
    }
}

/// The output of a hit that `function` returns, or whose size it returns.
fn stored(hit: &ProgramHit, function: usize) -> Option<&[u8]> {
    let is_asked = |one: Function| one.index() == function;
    if is_asked(Function::GetProgramLogSize) || is_asked(Function::GetProgramLog) {
        return Some(&hit.output.log);
    }
    let row = ARTEFACTS
        .iter()
        .find(|(_, size, get, _)| is_asked(*size) || is_asked(*get))?;
    let mut stored = hit.output.artefacts.iter();
    let stored = stored.find(|(artefact, _)| *artefact == row.0);
    // Every output that is not empty is stored, so a missing one is empty: its size is that in `ARTEFACTS`.
    Some(stored.map_or(&[0; 1][..row.3], |(_, bytes)| bytes))
}

unsafe extern "C" fn get_size<const SLOT: usize, const FUNCTION: usize>(
    program: Handle,
    size: *mut usize,
) -> c_int {
    let hit = hit::<SLOT>(program);
    if hit.is_some() && size.is_null() {
        return INVALID_INPUT;
    }
    if let Some(bytes) = hit.as_deref().and_then(|hit| stored(hit, FUNCTION)) {
        // SAFETY: a place for the answer.
        unsafe { size.write(bytes.len()) };
        return SUCCESS;
    }
    hand_over::<SLOT>(program);
    match real!(slots::own().get(SLOT), function::<FUNCTION>(), SizeFn) {
        // SAFETY: the client's own call.
        Some(real) => unsafe { real(program, size) },
        None => INTERNAL_ERROR,
    }
}

unsafe extern "C" fn get_bytes<const SLOT: usize, const FUNCTION: usize>(
    program: Handle,
    place: *mut c_char,
) -> c_int {
    let hit = hit::<SLOT>(program);
    if hit.is_some() && place.is_null() {
        return INVALID_INPUT;
    }
    if let Some(bytes) = hit.as_deref().and_then(|hit| stored(hit, FUNCTION)) {
        // SAFETY: the client has made room for as much as it was told.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place.cast(), bytes.len()) };
        return SUCCESS;
    }
    hand_over::<SLOT>(program);
    match real!(slots::own().get(SLOT), function::<FUNCTION>(), GetFn) {
        // SAFETY: the client's own call.
        Some(real) => unsafe { real(program, place) },
        None => INTERNAL_ERROR,
    }
}

unsafe extern "C" fn get_pch_create_status<const SLOT: usize>(program: Handle) -> c_int {
    if hit::<SLOT>(program).is_some() {
        return NO_PCH;
    }
    let slot = slots::own().get(SLOT);
    match real!(slot, Function::GetPchCreateStatus, StatusFn) {
        // SAFETY: the client's own call.
        Some(real) => unsafe { real(program) },
        None => INTERNAL_ERROR,
    }
}

unsafe extern "C" fn get_pch_heap_size_required<const SLOT: usize>(
    program: Handle,
    size: *mut usize,
) -> c_int {
    if hit::<SLOT>(program).is_some() {
        // SAFETY: what is not null is a place for the answer.
        return match unsafe { size.as_mut() } {
            Some(size) => {
                *size = 0;
                SUCCESS
            }
            None => INVALID_INPUT,
        };
    }
    let slot = slots::own().get(SLOT);
    match real!(slot, Function::GetPchHeapSizeRequired, SizeFn) {
        // SAFETY: the client's own call.
        Some(real) => unsafe { real(program, size) },
        None => INTERNAL_ERROR,
    }
}

/// Hook of `nvrtcSetFlowCallback`. A client that registers a callback expects it to run during the compile, so such a
/// program bypasses the cache.
unsafe extern "C" fn set_flow_callback<const SLOT: usize>(
    program: Handle,
    callback: *mut c_void,
    payload: *mut c_void,
) -> c_int {
    hand_over::<SLOT>(program);
    guarded(|| {
        PROGRAMS.with(key::<SLOT>(program), generation::<SLOT>(), |entry| {
            entry.stage = match std::mem::replace(&mut entry.stage, ProgramStage::Real) {
                ProgramStage::Fresh => ProgramStage::Callback,
                ProgramStage::Hit(hit) => {
                    entry.kept.push(hit);
                    ProgramStage::Real
                }
                other => other,
            };
        })
    });
    match real!(slots::own().get(SLOT), Function::SetFlowCallback, OtherFn) {
        // SAFETY: the client's own call.
        Some(real) => unsafe { real(program, callback, payload) },
        None => INTERNAL_ERROR,
    }
}

/// The function with this index in the table.
const fn function<const FUNCTION: usize>() -> Function {
    super::functions::ALL[FUNCTION]
}
