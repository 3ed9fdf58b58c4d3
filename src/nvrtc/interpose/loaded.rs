//! Finds the files of a loaded libnvrtc: its own, and the builtins library that it opens by name in its first compile.
//! Before that, the builtins can only be guessed, by searching as ld.so would. So a compile that stores a result
//! checks afterwards that the guess was right.

use super::elf::Object;
use super::functions::MARK;
use super::slots::{self, SLOTS};
use crate::nvrtc::program::Library;
use std::env;
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The files of the library in a slot.
struct LoadedLibrary {
    generation: u32,
    library: Library,
}

/// The files of each slot's library, determined once per library. Never freed, because a compile may still use them;
/// that costs some bytes for each time that a program loads libnvrtc.
static KNOWN: [AtomicPtr<LoadedLibrary>; SLOTS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];

/// The files of the library in a slot.
pub(super) fn library(slot: usize) -> Option<&'static Library> {
    let generation = slots::own().get(slot).generation();
    // SAFETY: what is there stays for ever.
    let known = unsafe { KNOWN[slot].load(Ordering::Acquire).as_ref() };
    if let Some(known) = known.filter(|known| known.generation == generation) {
        return Some(&known.library);
    }
    let loaded = LoadedLibrary {
        generation,
        library: find(slot)?,
    };
    let loaded: &'static LoadedLibrary = Box::leak(Box::new(loaded));
    KNOWN[slot].store(ptr::from_ref(loaded).cast_mut(), Ordering::Release);
    Some(&loaded.library)
}

/// Whether the loaded builtins library is the file that was guessed. If not, the next compile guesses again.
pub(super) fn is_confirmed(slot: usize, library: &Library) -> bool {
    let is_right = library.builtins.as_ref().is_some_and(|builtins| {
        let name = builtins.file_name().and_then(c_string);
        let loaded = name.and_then(|name| loaded_as(&name));
        loaded.is_some_and(|loaded| is_same(&loaded, builtins))
    });
    if !is_right {
        KNOWN[slot].store(ptr::null_mut(), Ordering::Release);
    }
    is_right
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(one).is_some_and(|one| real(other) == Some(one))
}

fn find(slot: usize) -> Option<Library> {
    let path = path_of(slots::own().get(slot).real(MARK)?)?;
    let (base, dynamic) = slots::own().get(slot).place();
    // SAFETY: the slot's library is mapped as long as a thread calls its functions.
    let object = unsafe { Object::new(base, dynamic as *const u8) }?;
    let builtins = builtins_name(&object, &path).and_then(|name| {
        let loaded = c_string(OsStr::new(&name)).and_then(|name| loaded_as(&name));
        let order = if object.searches_itself_first() {
            BuiltinsOrder::OwnDirectoryFirst
        } else {
            BuiltinsOrder::OwnDirectoryLast
        };
        loaded.or_else(|| search(&name, &path, order))
    });
    Some(Library { path, builtins })
}

/// The loaded file that contains an address.
fn path_of(address: usize) -> Option<PathBuf> {
    let mut about = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: looks an address up; the answer is used where there is one, and its name is a string.
    let name = unsafe {
        if libc::dladdr(address as *const c_void, about.as_mut_ptr()) == 0 {
            return None;
        }
        CStr::from_ptr(about.assume_init().dli_fname)
    };
    let path = Path::new(OsStr::from_bytes(name.to_bytes()));
    // A name without a directory is that of the program itself: a statically linked libnvrtc, which is not hooked.
    std::path::absolute(path).ok().filter(|path| path.is_file())
}

/// The name of the builtins library: `libnvrtc-builtins.so.13.2` for libnvrtc.so.13 of release 13.2, and with `.alt`
/// for the alternative one.
fn builtins_name(object: &Object, path: &Path) -> Option<String> {
    let symbol = object.symbol(c"nvrtcVersion")?;
    let (mut major, mut minor): (c_int, c_int) = (0, 0);
    // SAFETY: the function of this name takes two places for numbers.
    let result = unsafe {
        let address = object.base() + (*symbol).st_value as usize;
        let version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int =
            std::mem::transmute(address);
        version(&mut major, &mut minor)
    };
    let is_alternative = path.file_name()?.as_bytes().starts_with(b"libnvrtc.alt.");
    let kind = if is_alternative { ".alt" } else { "" };
    (result == 0).then(|| format!("libnvrtc-builtins{kind}.so.{major}.{minor}"))
}

/// The loaded file that ld.so knows by this name. ld.so would not open another file of the same name.
fn loaded_as(name: &CStr) -> Option<PathBuf> {
    // SAFETY: nothing is loaded, and the count of users is put back below.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    if handle.is_null() {
        // SAFETY: takes away the message that the client's next dlerror() would find.
        unsafe { libc::dlerror() };
        return None;
    }
    /// The start of `struct link_map` of `<link.h>`.
    #[repr(C)]
    struct Map {
        base: usize,
        name: *const c_char,
    }
    let mut map = ptr::null::<Map>();
    // SAFETY: the handle is ld.so's, the answer is one of its records, and the name is copied before the end.
    unsafe {
        let status = libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, (&raw mut map).cast());
        let name = (status == 0 && !map.is_null()).then(|| CStr::from_ptr((*map).name));
        let path = name.map(|name| PathBuf::from(OsStr::from_bytes(name.to_bytes())));
        libc::dlclose(handle);
        path.and_then(|path| std::path::absolute(path).ok())
    }
}

/// When ld.so searches the directory of a library for its dependencies: before or after `LD_LIBRARY_PATH`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BuiltinsOrder {
    OwnDirectoryFirst,
    OwnDirectoryLast,
}

/// The builtins library that ld.so would find for the library at `path`.
fn search(name: &str, path: &Path, order: BuiltinsOrder) -> Option<PathBuf> {
    let own = path.parent()?.join(name);
    let listed = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = env::split_paths(&listed)
        .filter(|dir| !dir.as_os_str().is_empty())
        .map(|dir| dir.join(name))
        .collect();
    match order {
        BuiltinsOrder::OwnDirectoryFirst => places.insert(0, own),
        BuiltinsOrder::OwnDirectoryLast => places.push(own),
    }
    let builtins = places.into_iter().find(|path| path.is_file())?;
    std::path::absolute(builtins).ok()
}

fn c_string(text: &OsStr) -> Option<CString> {
    CString::new(text.as_bytes()).ok()
}
