//! A SIGBUS handler that lets a program map the table. If another program truncates a mapped file, the next read of it
//! raises SIGBUS; with the handler, the missing pages read as zeros, which are no valid slot. Code that runs inside
//! another program sets no handler and reads the table instead.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Start and end of the mapping, in statics because a signal handler gets no argument from us.
static FIRST: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);

/// Proof that the handler is set, which allows one table to be mapped.
#[derive(Debug)]
pub struct MappingGuard(());

impl MappingGuard {
    /// Sets the handler, for programs that have no other one. `None` if the system refuses.
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

    /// Guards the mapping of `bytes` bytes at `first`.
    pub(super) fn watch(&self, first: *const u8, bytes: usize) {
        FIRST.store(first as usize, Ordering::Relaxed);
        END.store(first as usize + bytes, Ordering::Relaxed);
    }

    /// Ends the guard, because the mapping is about to be removed.
    pub(super) fn forget(&self) {
        END.store(0, Ordering::Relaxed);
    }
}

/// Maps a page of zeros in place of a page that was truncated from the mapped file. Any other fault ends the process,
/// as without the handler.
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
        let mapped = unsafe { libc::mmap(page, size, libc::PROT_READ, flags, -1, 0) };
        if mapped != libc::MAP_FAILED {
            return;
        }
    }
    // The instruction faults again when this returns, and ends the process.
    // SAFETY: the default action is a valid one for any signal.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}
