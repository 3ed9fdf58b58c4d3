//! Lets a table be mapped by a program that owns its process. A file that another program shortens would end the
//! process by SIGBUS at the next look; with the guard, what is gone reads as zeros, which no slot is. In a process of
//! another program no handler is set, and the table is read instead.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where the mapping begins and ends; a signal handler has no other way to know.
static FIRST: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);

/// Leave to map one table: the handler is set.
#[derive(Debug)]
pub struct MappingGuard(());

impl MappingGuard {
    /// Sets the handler, for programs that have no other one. `None` where the system refuses.
    pub fn set() -> Option<Self> {
        // SAFETY: an all-zero `sigaction` is a valid one, with an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = handle;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: `handle` does only what a signal handler may do, and has the signature that SA_SIGINFO asks for.
        let set = unsafe { libc::sigaction(libc::SIGBUS, &action, null_mut()) };
        (set == 0).then_some(Self(()))
    }

    /// Takes note of the mapping that is guarded.
    pub(super) fn watch(&self, first: *const u8, bytes: usize) {
        FIRST.store(first as usize, Ordering::Relaxed);
        END.store(first as usize + bytes, Ordering::Relaxed);
    }

    /// The mapping is no more.
    pub(super) fn forget(&self) {
        END.store(0, Ordering::Relaxed);
    }
}

/// Puts a page of zeros in the place of one that is gone from the mapped file. Any other fault ends the process, as
/// without the handler.
extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel gives a valid `siginfo_t`, and for SIGBUS it has an address.
    let address = unsafe { (*info).si_addr() } as usize;
    let is_ours = (FIRST.load(Ordering::Relaxed)..END.load(Ordering::Relaxed)).contains(&address);
    if is_ours {
        // SAFETY: POSIX lists `sysconf` among what a signal handler may call; it only reads.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let page = (address & !(size - 1)) as *mut c_void;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the page lies in the table's mapping, of which any bit pattern is valid and which nothing
        // writes to; `mmap` is a bare system call.
        let put = unsafe { libc::mmap(page, size, libc::PROT_READ, flags, -1, 0) };
        if put != libc::MAP_FAILED {
            return;
        }
    }
    // The fault comes again when this returns, and ends the process.
    // SAFETY: the default action is a valid one for any signal.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}
