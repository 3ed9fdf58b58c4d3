//! Observes the file accesses of libnvrtc while it compiles. It reports them nowhere, but it calls the C library
//! through its own table of addresses, in the thread that called it. These functions replace the C library's in that
//! table, record each call and its result, and pass it on. Only libnvrtc's own calls are redirected, no others in the
//! process, and only once something has to be compiled.

use super::elf::Object;
use super::slots::HookSlot;
use crate::nvrtc::program::FileAccess;
use std::cell::RefCell;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    /// The accesses of this thread's compile; `None` while no compile is watched.
    static SEEN: RefCell<Option<SeenAccess>> = const { RefCell::new(None) };
}

/// The observed accesses of one compile.
#[derive(Default)]
struct SeenAccess {
    accesses: Vec<FileAccess>,
    /// The working directory when the compile began.
    directory: Option<PathBuf>,
    /// Whether there was an access that no [`FileAccess`] describes. The result must not be stored then.
    is_strange: bool,
}

/// Watches this thread's compiles until [`Watch::end`].
pub(super) struct Watch(());

impl Watch {
    /// Starts to watch the library in `slot`; `None` if its calls cannot be observed.
    pub(super) fn begin(slot: &HookSlot) -> Option<Self> {
        tap(slot)?;
        SEEN.set(Some(SeenAccess {
            directory: std::env::current_dir().ok(),
            ..SeenAccess::default()
        }));
        Some(Self(()))
    }

    /// The observed accesses; `None` if there was one that cannot be described.
    pub(super) fn end(self) -> Option<Vec<FileAccess>> {
        let seen = SEEN.take()?;
        (!seen.is_strange).then_some(seen.accesses)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        SEEN.set(None);
    }
}

/// A watched function of the C library, our replacement, and the address of the real function.
struct Tap {
    name: &'static CStr,
    ours: fn() -> usize,
    real: AtomicUsize,
}

macro_rules! taps {
    ($($at:ident: $name:literal => $ours:ident,)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum At { $($at,)* }

        // Static, because C calls the replacements without any context.
        static TAPS: [Tap; [$($name,)*].len()] = [$(Tap {
            name: $name,
            ours: || $ours as *const () as usize,
            real: AtomicUsize::new(0),
        },)*];
    };
}

taps! {
    Fopen: c"fopen" => fopen,
    Fopen64: c"fopen64" => fopen64,
    Open: c"open" => open,
    Open64: c"open64" => open64,
    Openat: c"openat" => openat,
    Xstat: c"__xstat" => xstat,
    Lxstat: c"__lxstat" => lxstat,
    Stat: c"stat" => stat,
    Lstat: c"lstat" => lstat,
    FileAccess: c"access" => access,
    Opendir: c"opendir" => opendir,
    Readlink: c"readlink" => readlink,
    Realpath: c"realpath" => realpath,
}

/// A library must import one of each group. Otherwise it accesses files in unknown ways and cannot be observed.
const NEEDED: [&[&CStr]; 2] = [&[c"fopen", c"fopen64"], &[c"__xstat", c"stat"]];

/// Puts our functions into the library's table; `None` if it does not import the functions in [`NEEDED`].
///
/// Repeated before each compile: in a library with lazy binding, ld.so may have written the C library's
/// function into the table at the very moment at which ours was written.
fn tap(slot: &HookSlot) -> Option<()> {
    let (base, dynamic) = slot.place();
    // SAFETY: the slot's library is mapped as long as a thread calls its functions.
    let object = unsafe { Object::new(base, dynamic as *const u8) }?;
    let mut tapped = Vec::new();
    for (place, name) in object.imports() {
        let Some(tap) = TAPS.iter().find(|tap| tap.name == name) else {
            continue;
        };
        if tap.real.load(Ordering::Acquire) == 0 {
            // SAFETY: looks a name up; nothing is run.
            let real = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            if real.is_null() {
                return None;
            }
            tap.real.store(real as usize, Ordering::Release);
        }
        // SAFETY: a place for an address in the library's table.
        unsafe {
            let ours = (tap.ours)();
            if place.read_volatile() != ours {
                object.write(place, ours)?;
            }
        }
        tapped.push(tap.name);
    }
    let is_tapped = |names: &&[&CStr]| names.iter().any(|name| tapped.contains(name));
    NEEDED.iter().all(is_tapped).then_some(())
}

fn real(at: At) -> usize {
    TAPS[at as usize].real.load(Ordering::Acquire)
}

/// The kind of a call with a path, which decides what its success means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AccessQuestion {
    /// It opens the file for reading.
    Read,
    /// It asks for the file's state.
    Look,
    /// It does something that no [`FileAccess`] describes, unless nothing is at the path.
    Strange,
}

/// Records the result of a call, and leaves errno unchanged.
fn note(path: *const c_char, question: AccessQuestion, is_there: bool) {
    let errno = errno();
    let _ = std::panic::catch_unwind(|| {
        SEEN.with(|seen| {
            if let Ok(mut seen) = seen.try_borrow_mut()
                && let Some(seen) = &mut *seen
            {
                seen.note(path, question, is_there.then_some(()).ok_or(errno));
            }
        });
    });
    set_errno(errno);
}

impl SeenAccess {
    fn note(&mut self, path: *const c_char, question: AccessQuestion, result: Result<(), c_int>) {
        let Some(path) = self.absolute(path) else {
            self.is_strange = true;
            return;
        };
        match (result, question) {
            (Ok(()), AccessQuestion::Read) => self.accesses.push(FileAccess::Opened(path)),
            (Ok(()), AccessQuestion::Look) => self.accesses.push(FileAccess::Looked(path)),
            (Err(libc::ENOENT | libc::ENOTDIR), _) => self.accesses.push(FileAccess::Absent(path)),
            _ => self.is_strange = true,
        }
    }

    /// The absolute path. `None` for a relative path if the working directory is not the one at the start: another
    /// thread may change it for a moment, in which the path means something else.
    fn absolute(&self, path: *const c_char) -> Option<PathBuf> {
        if path.is_null() {
            return None;
        }
        // SAFETY: what is not null is a string: the caller gives it to the C library.
        let path = Path::new(OsStr::from_bytes(
            unsafe { CStr::from_ptr(path) }.to_bytes(),
        ));
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        let now = std::env::current_dir().ok();
        // An empty path is an error for the C library, but joining it would give the directory.
        let is_certain = !path.as_os_str().is_empty() && now == self.directory;
        Some(now.filter(|_| is_certain)?.join(path))
    }
}

pub(super) fn errno() -> c_int {
    // SAFETY: the place of this thread's errno is always there.
    unsafe { *libc::__errno_location() }
}

pub(super) fn set_errno(errno: c_int) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

fn reads(mode: *const c_char) -> AccessQuestion {
    let mode = if mode.is_null() {
        b"".as_slice()
    } else {
        // SAFETY: the caller gives the mode to fopen, as a string.
        unsafe { CStr::from_ptr(mode) }.to_bytes()
    };
    if mode.first() == Some(&b'r') && !mode.contains(&b'+') {
        AccessQuestion::Read
    } else {
        AccessQuestion::Strange
    }
}

fn reads_only(flags: c_int) -> AccessQuestion {
    match flags & (libc::O_ACCMODE | libc::O_DIRECTORY | libc::O_CREAT | libc::O_TRUNC) {
        libc::O_RDONLY => AccessQuestion::Read,
        _ => AccessQuestion::Strange,
    }
}

/// The C library's function of a tap, with its type.
macro_rules! real {
    ($at:ident as fn($($argument:ty),*) -> $result:ty) => {
        // SAFETY: the tap's name is this function's, and its address was found before ours could be called.
        unsafe { std::mem::transmute::<usize, unsafe extern "C" fn($($argument),*) -> $result>(real(At::$at)) }
    };
}

type WatchedName = *const c_char;

unsafe extern "C" fn fopen(path: WatchedName, mode: *const c_char) -> *mut c_void {
    let real = real!(Fopen as fn(WatchedName, *const c_char) -> *mut c_void);
    // SAFETY: the caller's own call.
    let file = unsafe { real(path, mode) };
    note(path, reads(mode), !file.is_null());
    file
}

unsafe extern "C" fn fopen64(path: WatchedName, mode: *const c_char) -> *mut c_void {
    let real = real!(Fopen64 as fn(WatchedName, *const c_char) -> *mut c_void);
    // SAFETY: the caller's own call.
    let file = unsafe { real(path, mode) };
    note(path, reads(mode), !file.is_null());
    file
}

// The mode of a new file is always passed on, although C lets callers leave it out.
unsafe extern "C" fn open(path: WatchedName, flags: c_int, mode: c_int) -> c_int {
    let real = real!(Open as fn(WatchedName, c_int, c_int) -> c_int);
    // SAFETY: the caller's own call.
    let file = unsafe { real(path, flags, mode) };
    note(path, reads_only(flags), file >= 0);
    file
}

unsafe extern "C" fn open64(path: WatchedName, flags: c_int, mode: c_int) -> c_int {
    let real = real!(Open64 as fn(WatchedName, c_int, c_int) -> c_int);
    // SAFETY: the caller's own call.
    let file = unsafe { real(path, flags, mode) };
    note(path, reads_only(flags), file >= 0);
    file
}

unsafe extern "C" fn openat(dir: c_int, path: WatchedName, flags: c_int, mode: c_int) -> c_int {
    let real = real!(Openat as fn(c_int, WatchedName, c_int, c_int) -> c_int);
    // SAFETY: the caller's own call.
    let file = unsafe { real(dir, path, flags, mode) };
    let question = match dir {
        libc::AT_FDCWD => reads_only(flags),
        _ => AccessQuestion::Strange,
    };
    note(path, question, file >= 0);
    file
}

unsafe extern "C" fn xstat(version: c_int, path: WatchedName, state: *mut c_void) -> c_int {
    let real = real!(Xstat as fn(c_int, WatchedName, *mut c_void) -> c_int);
    // SAFETY: the caller's own call.
    let result = unsafe { real(version, path, state) };
    note(path, AccessQuestion::Look, result == 0);
    result
}

unsafe extern "C" fn lxstat(version: c_int, path: WatchedName, state: *mut c_void) -> c_int {
    let real = real!(Lxstat as fn(c_int, WatchedName, *mut c_void) -> c_int);
    // SAFETY: the caller's own call.
    let result = unsafe { real(version, path, state) };
    note(path, AccessQuestion::Look, result == 0);
    result
}

unsafe extern "C" fn stat(path: WatchedName, state: *mut c_void) -> c_int {
    let real = real!(Stat as fn(WatchedName, *mut c_void) -> c_int);
    // SAFETY: the caller's own call.
    let result = unsafe { real(path, state) };
    note(path, AccessQuestion::Look, result == 0);
    result
}

unsafe extern "C" fn lstat(path: WatchedName, state: *mut c_void) -> c_int {
    let real = real!(Lstat as fn(WatchedName, *mut c_void) -> c_int);
    // SAFETY: the caller's own call.
    let result = unsafe { real(path, state) };
    note(path, AccessQuestion::Look, result == 0);
    result
}

unsafe extern "C" fn access(path: WatchedName, mode: c_int) -> c_int {
    let real = real!(FileAccess as fn(WatchedName, c_int) -> c_int);
    // SAFETY: the caller's own call.
    let result = unsafe { real(path, mode) };
    note(path, AccessQuestion::Look, result == 0);
    result
}

unsafe extern "C" fn opendir(path: WatchedName) -> *mut c_void {
    let real = real!(Opendir as fn(WatchedName) -> *mut c_void);
    // SAFETY: the caller's own call.
    let listing = unsafe { real(path) };
    note(path, AccessQuestion::Strange, !listing.is_null());
    listing
}

unsafe extern "C" fn readlink(path: WatchedName, buffer: *mut c_char, size: usize) -> isize {
    let real = real!(Readlink as fn(WatchedName, *mut c_char, usize) -> isize);
    // SAFETY: the caller's own call.
    let result = unsafe { real(path, buffer, size) };
    note(path, AccessQuestion::Strange, result >= 0);
    result
}

unsafe extern "C" fn realpath(path: WatchedName, buffer: *mut c_char) -> *mut c_char {
    let real = real!(Realpath as fn(WatchedName, *mut c_char) -> *mut c_char);
    // SAFETY: the caller's own call.
    let result = unsafe { real(path, buffer) };
    note(path, AccessQuestion::Strange, !result.is_null());
    result
}
