//! The functions that ld.so calls in the copy of this library that it loads as auditor (`LD_AUDIT`, see rtld-audit(7)).
//! That copy lives in a namespace of its own, with a C library of its own, where no hook may run. So it only examines
//! each object when it is mapped, before it is used: it recognises libnvrtc by a function, and redirects its symbols
//! to the hooks in the preloaded copy of this same file.

use super::elf::Object;
use super::functions::{COUNT, Function, MARK, NAMES};
use super::hooks;
use super::slots::{self, HookSlot, HookSlots};
use libc::Elf64_Sym;
use std::ffi::{CStr, c_char, c_int, c_long, c_uint};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The start of `struct link_map` of `<link.h>`, the record of a loaded object.
#[repr(C)]
pub(super) struct LinkMap {
    base: usize,
    name: *const c_char,
    dynamic: *const u8,
}

/// The namespace of the program itself (`LM_ID_BASE`).
const PROGRAM: c_long = 0;
/// `STT_FUNC`.
const FUNCTION: u8 = 2;

/// The symbol that `scripts/nvrtc-shim` defines in libraries that only forward to a libnvrtc.
const SHIM: &CStr = c"pcache_nvcc_shim";

/// Address of the preloaded copy of this file; zero before it is loaded. A static, because ld.so passes no context from
/// call to call.
static PRELOADED: AtomicUsize = AtomicUsize::new(0);

/// Called by ld.so to negotiate the version of the audit interface; zero makes it unload the auditor.
// SAFETY: the name is ld.so's for this, and nothing else here has it.
#[unsafe(no_mangle)]
pub(super) extern "C" fn la_version(version: c_uint) -> c_uint {
    // SAFETY: the environment does not change while ld.so starts the process.
    let setting = unsafe { libc::getenv(c"PCACHE_NVRTC".as_ptr()) };
    // SAFETY: what is not null is a string.
    let is_off = !setting.is_null() && is_no(unsafe { CStr::from_ptr(setting) }.to_bytes());
    if is_off { 0 } else { version }
}

/// Whether `text` is one of the settings' spellings of "no". The preloaded copy judges all other values.
fn is_no(text: &[u8]) -> bool {
    let words: [&[u8]; 4] = [b"0", b"false", b"no", b"off"];
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Called by ld.so when it has mapped an object.
///
/// # Safety
/// For ld.so alone: `object` is one, and `cookie` can be written.
// SAFETY: the name is ld.so's for this, and nothing else here has it.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn la_objopen(
    object: *mut LinkMap,
    namespace: c_long,
    cookie: *mut usize,
) -> c_uint {
    // SAFETY: the promise of this function. The object stays mapped until la_objclose.
    unsafe {
        *cookie = 0;
        if namespace == PROGRAM {
            *cookie = meet(&*object).map_or(0, |slot| slot + 1);
        }
    }
    // ld.so need not report calls from or to the object.
    0
}

/// Called by ld.so when it is about to unmap an object.
///
/// # Safety
/// For ld.so alone: `cookie` is what [`la_objopen`] has left.
// SAFETY: the name is ld.so's for this, and nothing else here has it.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn la_objclose(cookie: *mut usize) -> c_uint {
    // SAFETY: the promise of this function.
    let number = unsafe { *cookie };
    if let (Some(slots), Some(number)) = (preloaded(), number.checked_sub(1)) {
        slots.get(number).release();
    }
    0
}

/// Hooks a libnvrtc that is loaded already, with the hooks of this very copy. For shims that forward to it and look up
/// its functions afterwards. Returns zero if the library is hooked now, or already was by an auditor.
///
/// # Safety
/// `object` is a loaded object's record, as `dlinfo` gives it, and no thread is loading or unloading it.
// SAFETY: nothing else has this name.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pcache_nvcc_adopt(object: *const LinkMap) -> c_int {
    PRELOADED.store(own_base(), Ordering::Relaxed);
    // SAFETY: as promised.
    let slot = unsafe { object.as_ref() }.and_then(|map| {
        let hooked = slots::own().of(map.base);
        // SAFETY: as promised.
        hooked.or_else(|| unsafe { meet(map) })
    });
    slot.map_or(1, |_| 0)
}

/// Hooks an object if it is a libnvrtc, and returns its slot. Remembers an object that is the preloaded copy.
///
/// # Safety
/// `map` is an object that has just been mapped.
unsafe fn meet(map: &LinkMap) -> Option<usize> {
    // SAFETY: as promised.
    let object = unsafe { Object::new(map.base, map.dynamic) }?;
    if object.symbol(MARK.name()).is_some() {
        if object.symbol(SHIM).is_some() {
            return None;
        }
        return bring_in(&object, map, preloaded()?);
    }
    if PRELOADED.load(Ordering::Relaxed) == 0 && is_same_file(map, &object) {
        PRELOADED.store(map.base, Ordering::Relaxed);
    }
    None
}

/// Whether an object is another copy of this file, so that everything in it is at the same offset as in this copy. Its
/// name is then one under which ld.so has loaded this copy. `dladdr` would tell this copy's name, but up to glibc 2.33 it
/// crashes in an auditor while the process starts.
fn is_same_file(map: &LinkMap, object: &Object) -> bool {
    let Some(symbol) = object.symbol(slots::NAME) else {
        return false;
    };
    let own = ptr::from_ref(slots::own()) as usize;
    // SAFETY: a symbol of a mapped object.
    let is_alike = unsafe { (*symbol).st_value } as usize == own - own_base();
    // SAFETY: the environment does not change while ld.so starts the process, and what is not null is a string, as is the
    // name of an object.
    unsafe {
        let auditors = libc::getenv(c"LD_AUDIT".as_ptr());
        is_alike
            && !auditors.is_null()
            && is_listed(
                CStr::from_ptr(auditors).to_bytes(),
                CStr::from_ptr(map.name).to_bytes(),
            )
    }
}

/// Whether `name` is one of the names in a list such as that of `LD_AUDIT`.
fn is_listed(list: &[u8], name: &[u8]) -> bool {
    list.split(|byte| *byte == b':').any(|one| one == name)
}

fn own_base() -> usize {
    unsafe extern "C" {
        /// The linker's name for the start of this file.
        static __ehdr_start: u8;
    }
    &raw const __ehdr_start as usize
}

/// The slots of the preloaded copy.
fn preloaded() -> Option<&'static HookSlots> {
    let base = PRELOADED.load(Ordering::Relaxed);
    let own = ptr::from_ref(slots::own()) as usize;
    // SAFETY: the same file lies there, and what is preloaded stays mapped; all of it is atomic.
    (base != 0).then(|| unsafe { &*((own - own_base() + base) as *const HookSlots) })
}

/// Redirects every function of libnvrtc that has a hook. Returns the library's slot.
fn bring_in(object: &Object, map: &LinkMap, slots: &HookSlots) -> Option<usize> {
    let (number, slot) = slots.free()?;
    let symbols = NAMES.map(|name| object.symbol(name));
    let mut real = [0; COUNT];
    for (address, symbol) in real.iter_mut().zip(symbols) {
        // SAFETY: a symbol of a mapped object.
        let symbol = symbol.map(|symbol| unsafe { *symbol });
        let function = symbol.filter(|symbol| symbol.st_info & 0xf == FUNCTION);
        *address = function.map_or(0, |symbol| map.base + symbol.st_value as usize);
    }
    let needed = [Function::CreateProgram, MARK, Function::DestroyProgram];
    if needed.iter().any(|function| real[function.index()] == 0) {
        return None;
    }
    slot.take(map.base, map.dynamic as usize, &real);
    match redirect(object, &symbols, &real, number) {
        Some(()) => Some(number),
        None => {
            restore(object, &symbols, &real, slot);
            None
        }
    }
}

/// Points each symbol at its hook in the preloaded copy.
fn redirect(
    object: &Object,
    symbols: &[Option<*mut Elf64_Sym>; COUNT],
    real: &[usize; COUNT],
    slot: usize,
) -> Option<()> {
    let shift = PRELOADED.load(Ordering::Relaxed).wrapping_sub(own_base());
    for (at, symbol) in symbols.iter().enumerate() {
        if let (Some(symbol), true) = (symbol, real[at] != 0) {
            let hook = hooks::address(slot, at).wrapping_add(shift);
            set_value(object, *symbol, hook)?;
        }
    }
    Some(())
}

/// Undoes an incomplete [`redirect`].
fn restore(
    object: &Object,
    symbols: &[Option<*mut Elf64_Sym>; COUNT],
    real: &[usize; COUNT],
    slot: &HookSlot,
) {
    for (symbol, address) in symbols.iter().zip(real) {
        if let (Some(symbol), true) = (symbol, *address != 0) {
            let _ = set_value(object, *symbol, *address);
        }
    }
    slot.release();
}

fn set_value(object: &Object, symbol: *mut Elf64_Sym, address: usize) -> Option<()> {
    // ld.so adds the object's own address to a symbol's value, without looking for an overflow.
    let value = address.wrapping_sub(object.base());
    // SAFETY: the value of a symbol of this object, which no thread has looked at yet.
    unsafe { object.write((&raw mut (*symbol).st_value).cast(), value) }
}
