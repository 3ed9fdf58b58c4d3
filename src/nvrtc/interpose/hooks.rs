//! What clients call in the place of libnvrtc's functions. Each hook knows its slot, and so its library; it
//! answers for programs that the cache had a result of, and passes everything else on to the real function.
//! What all releases answer alike of a compiled program is answered here: a compile that is made up for later may
//! find its headers gone. The rest (a null pointer for a name, a panic of ours) is the real function's to answer,
//! after the real compile where the program has had none.

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

/// `NVRTC_ERROR_INTERNAL_ERROR`: a function was called that its library does not have, which cannot be.
const INTERNAL_ERROR: c_int = 11;

/// What all releases say of a compiled program: `NVRTC_ERROR_INVALID_INPUT` where a place for the answer is missing,
/// `NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION`, `NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID` of one that was not
/// added, and `NVRTC_ERROR_NO_PCH_CREATE_ATTEMPTED` where no option asked for it, as of all that are cached.
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

/// Where the hook of a slot for the function at `index` lies in this copy.
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

/// What `work` says, if it ends without a panic.
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

/// Makes the real library able to answer for a program.
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
            let (made, program) =
                unsafe { (read_program(source, name, count, headers, names)?, *program) };
            let entry = ProgramEntry {
                generation: generation::<SLOT>(),
                program: Arc::new(made),
                expressions: Vec::new(),
                stage: ProgramStage::Fresh,
                kept: Vec::new(),
            };
            PROGRAMS.insert(key::<SLOT>(program), entry);
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

/// An array of strings; `None` where one is missing, or the array.
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
    // Before the real one: afterwards another thread may be given the same handle.
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
    let given = guarded(|| unsafe { strings(count, options) });
    let result = guarded(|| session::compile(key::<SLOT>(program), given));
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
    let found = hit::<SLOT>(program).and_then(|hit| {
        if expression.is_null() || name.is_null() {
            return None;
        }
        // SAFETY: what is not null is a string.
        let wanted = unsafe { CStr::from_ptr(expression) }.to_bytes();
        let mut known = hit.output.lowered.iter();
        let at = known.position(|(known, _)| known == wanted);
        Some(at.map(|at| hit.lowered[at].as_ptr()))
    });
    match found {
        Some(None) => NOT_VALID,
        Some(Some(found)) => {
            // SAFETY: a place for the answer, which stays as long as the program.
            unsafe { name.write(found) };
            SUCCESS
        }
        None => {
            hand_over::<SLOT>(program);
            // SAFETY: the client's own call.
            unsafe { lowered(program, expression, name) }
        }
    }
}

/// What a hit has of what `function`, or its size, asks for.
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
    // A result is stored with all that is not empty: the real functions say so of all kinds.
    Some(stored.map_or(&[0; 1][..row.3], |(_, bytes)| bytes))
}

unsafe extern "C" fn get_size<const SLOT: usize, const FUNCTION: usize>(
    program: Handle,
    size: *mut usize,
) -> c_int {
    let found = hit::<SLOT>(program);
    if found.is_some() && size.is_null() {
        return INVALID_INPUT;
    }
    if let Some(bytes) = found.as_deref().and_then(|hit| stored(hit, FUNCTION)) {
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
    let found = hit::<SLOT>(program);
    if found.is_some() && place.is_null() {
        return INVALID_INPUT;
    }
    if let Some(bytes) = found.as_deref().and_then(|hit| stored(hit, FUNCTION)) {
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

/// A client that registers a flow callback expects it to run, so that such a program is left to NVRTC.
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

/// The function of a hook that was made for its place in the table.
const fn function<const FUNCTION: usize>() -> Function {
    super::functions::ALL[FUNCTION]
}
